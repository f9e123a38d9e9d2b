import re
import textwrap
from pathlib import Path

import pytest

from medbench import diff_cli
from medbench.diff.compare import ORDER
from medbench.diff.reading import FORMS
from medbench.judgement import Definition
from tests.diff.test_reading import LOSS, accept, diff, project, repository  # noqa: F401

PAGE = (Path(__file__).parents[2] / "docs/diff.md").read_text(encoding="utf-8")


def section(title):
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_example_of_the_page_is_what_is_printed(repository, capsys):  # noqa: F811
    accept(repository, **LOSS)
    diff()
    printed = re.sub(r"\([0-9a-f]{12}, [0-9-]{10}\)", "(1a2b3c4d5e6f, 2026-12-01)", capsys.readouterr().out)
    shown = section("What it looks like").partition("    $ medbench diff\n")[2].partition("\n\n")[0]
    assert textwrap.dedent(shown) == printed.rstrip("\n")


def test_the_page_has_all_states_in_their_order():
    assert re.findall(r"^\| `([a-z-]+)` \|", section("States"), re.MULTILINE) == list(ORDER)


@pytest.mark.parametrize("field", Definition.__struct_fields__)
def test_the_page_names_all_that_makes_up_a_definition(field):
    row = next(line for line in section("States").splitlines() if line.startswith("| `not-comparable`"))
    assert field in row


@pytest.mark.parametrize("form", FORMS)
def test_the_page_and_the_help_name_all_sides(form):
    assert f"`{form}:" in section("Sides")
    assert f"  {form}:" in diff_cli.SIDES


def test_the_page_and_the_help_have_the_same_statuses():
    codes = [int(code) for code in re.findall(r"^\| (\d) \|", section("Exit status"), re.MULTILINE)]
    assert codes == [0, diff_cli.WORSE, diff_cli.MISTAKE, diff_cli.INCOMPARABLE]
    told = diff_cli.SIDES.partition("exit status: ")[2]
    assert [int(code) for code in re.findall(r"\b(\d) (?:if|for)\b", told)] == codes
