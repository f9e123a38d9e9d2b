import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.difference import Comparison, Difference, Suspect
from medbench.judgement import Check
from medbench.report import markdown
from medbench.report.figures import Axis, Chart
from medbench.report.record import ItemResult
from tests.report.records import DRIFT, report, result

SINCE = Comparison(
    before="report of 2026-11-30",
    after="this report",
    differences=[
        Difference(id="chest/a/id", state="worse", sentence="treatment fell by 0.02"),
        Difference(id="chest/b/id", state="unchanged", sentence="unchanged"),
    ],
    suspects=[Suspect(kind="library", name="jax", before="0.10.2", after="0.11.0")],
    counts={"worse": 1, "unchanged": 1},
)
HISTORY = Chart(
    id="h",
    kind="history",
    task="chest",
    title="chest/a/id: treatment by night",
    x=Axis(label="night"),
    y=Axis(label="roc_auc@1"),
    series=[],
    note="treatment jumped by -0.0200",
)
FULL = report(
    result("chest/a/id"),
    result(check=DRIFT, category="failed", red=True),
    ItemResult(id="chest/c/id", category="error", red=True, sentence="weights not found\nlog"),
    figures=[HISTORY],
)


def test_one_sentence_then_differences_then_the_folded_table_then_provenance():
    made = markdown.render(msgspec.structs.replace(FULL, since=SINCE))
    expected = [
        "**medbench, embedded tier: 2 items red.**",
        "speak of phantoms",
        "**Against what was accepted**",
        "- chest/scale-data/id: drifted: baseline, seed 1 0.8200, accepted 0.8100",
        "- chest/c/id: weights not found",
        "**Since report of 2026-11-30:** 1 worse, 1 unchanged",
        "- worse: chest/a/id: treatment fell by 0.02",
        "Suspects: library jax: 0.10.2",
        "**History**",
        "treatment jumped by -0.0200",
        "<details><summary>2 items</summary>",
        "| chest | scale-data | id | +0.021",
        "</details>",
        "runs: ",
    ]
    places = [made.find(text) for text in expected]
    assert -1 not in places, expected[places.index(-1)]
    assert places == sorted(places)
    assert "chest/b/id: unchanged" not in made
    assert "log" not in made


def test_a_quiet_night_says_so_and_lists_no_differences():
    made = markdown.render(report(result(generated=False)))
    assert made.startswith("**medbench, embedded tier: nothing is red.**")
    assert "Against what was accepted" not in made
    assert "phantoms" not in made


def test_the_largest_report_fits_a_comment_and_says_how_much_is_left_out():
    long = "x" * 500
    results = [
        result(f"chest/{long}{i}/id", check=Check(id=f"chest/{long}{i}/id", status="vanished", detail=long))
        for i in range(2000)
    ]
    made = markdown.render(report(*results, scope=long * 20, tier=long))
    assert len(made) <= markdown.LARGEST
    assert re.search(r"and \d+ more differences", made)
    assert re.search(r"and \d+ more items", made)
    assert made.rstrip().endswith("patients")


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("<script>x</script>", "<"),
        ("a | b", "|"),
        ("`code`", "`"),
        ("@octocat", "@"),
        ("#12", "#12"),
        ("[a](https://evil.example)", "https://"),
        ("www.evil.example", "www."),
        ("*b* _i_ ~s~", "*"),
        ("![x](y)", "["),
        ("$x$", "$"),
        ("&lt;b&gt;", "&lt;"),
        ("a\x1b[31m\u202eb", "\x1b"),
        ("a\u202eb", "\u202e"),
        ("two\nlines", "\n"),
    ],
)
def test_what_a_renderer_would_act_on_is_text(text, gone):
    assert gone not in markdown.escaped(text)


@given(text=st.text(max_size=300))
def test_any_text_stays_one_cell_of_one_line(text):
    made = markdown.escaped(text)
    assert made.isprintable()
    assert not set("|<>`@\n") & set(made)


def test_a_very_long_name_keeps_its_ends():
    made = markdown.escaped("begin" + "x" * 5000 + "end")
    assert len(made) <= markdown.LONGEST + 1
    assert made.startswith("begin")
    assert made.endswith("end")
