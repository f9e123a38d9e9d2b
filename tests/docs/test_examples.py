"""What the pages for users show is what one gets."""

import re

import pytest

from tests.docs.examples import DOCS, ROOT, Reader, clone, examples, require_shown

ELSEWHERE = {
    "diff": "tests/diff/test_docs.py",
    "history": "tests/test_history.py",
    "large-runs": "tests/test_plugin_distributed.py",
    "many-machines": "tests/execute/test_ray.py",
    "nightly": "tests/test_nightly.py",
    "other-results": "tests/others/test_docs.py",
    "own-suite": "tests/spec/test_layers.py",
    "own-trainer": "tests/execute/test_trainer_docs.py",
    "report": "tests/report/test_markdown.py",
}
"""Pages whose examples need more than a folder: executed by these tests."""


def listed():
    """The tutorial, and the how-to pages that index.md lists and that are there."""
    contents = (DOCS / "index.md").read_text(encoding="utf-8")
    (how_to,) = re.findall(r":caption: How to\n:maxdepth: 1\n\n(.*?)```", contents, re.DOTALL)
    return [name for name in ("tutorial", *how_to.split()) if (DOCS / f"{name}.md").exists()]


@pytest.mark.parametrize("page", [page for page in listed() if examples(page)])
def test_the_examples_of_a_page_do_what_it_says(page, tmp_path):
    reader = Reader(clone(tmp_path))
    for example in examples(page):
        reader.does(example)


@pytest.mark.parametrize("page", listed())
def test_a_page_that_says_how_to_do_something_has_an_executed_example(page):
    assert examples(page) or (ROOT / ELSEWHERE[page]).is_file()


def test_output_that_a_page_does_not_show_truly_is_noticed():
    require_shown("one\n…\nthree  four\n", "zero one\ntwo\nthree four five\n")
    with pytest.raises(AssertionError, match="the page shows\none"):
        require_shown("three\none\n", "one\nthree\n")
