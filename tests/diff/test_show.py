import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.diff import show
from medbench.difference import Comparison, Difference, Suspect
from tests.diff.sides import compared, samples, side, values

LOSS = compared(
    values(), values(samples=samples(treatment=0.78, noise=(0.004, -0.006, 0.001, 0.006, -0.003)))
)


def comparison(*differences, **changes):
    counts = dict.fromkeys(("worse", "unchanged"), 0) | {"worse": len(differences)}
    fields = {"before": "a", "after": "b", "differences": list(differences), "suspects": [], "counts": counts}
    return Comparison(**(fields | changes))


def test_unchanged_items_are_counted_and_shown_when_all_are_asked_for():
    same = compared(side(values("a/b/id")), side(values("a/b/id")))
    assert not any("a/b/id" in line for line in show.lines(same))
    assert any("a/b/id" in line for line in show.lines(same, all_of_them=True))
    assert show.closing(same) == "1 item compared: 1 unchanged"


def test_a_loud_item_has_its_arms_below_it():
    text = show.lines(LOSS)
    row = next(i for i, line in enumerate(text) if line.startswith("worse"))
    assert re.match(r" +treatment +0.8304 -> 0.7804  -0.0500 \[.*\]  by tolerance  bit-m-r", text[row + 2])


def test_a_short_section_leaves_out_what_is_insignificant():
    moved = compared(values(), values(samples=samples(noise=(0.006, -0.003, -0.004, 0.002, 0.004))))
    assert moved.counts["insignificant"] == 1
    assert not any("insignificant  " in line for line in show.loud_lines(moved))
    assert show.loud_lines(moved)[-1] == "1 item compared: 1 insignificant"


def test_a_verdict_that_turned_is_shown_though_nothing_moved():
    found = compared(values(), values(verdict="refuted"))
    assert any("supported -> refuted" in line for line in show.loud_lines(found))
    assert "1 verdict turned" in show.closing(found)


HOSTILE = (
    "<img src=x onerror=alert(1)>|`code`\n# head @team [a](http://b) www.b.c #12 \x1b[31m *b* _i_ &lt; \\|"
)


@pytest.mark.parametrize("field", ["id", "sentence"])
def test_hostile_names_are_nothing_but_text_in_markdown(field):
    hostile = Difference(**{"id": "a", "state": "worse", "sentence": "s", field: HOSTILE})
    text = show.markdown(comparison(hostile))
    row = next(line for line in text.splitlines() if line.startswith("| worse"))
    assert_harmless(row)
    assert row.count("|") == 10


def test_hostile_suspects_and_sides_are_nothing_but_text_in_markdown():
    suspect = Suspect(kind="library", name=HOSTILE, before=HOSTILE, after=HOSTILE)
    text = show.markdown(comparison(before=HOSTILE, after=HOSTILE, suspects=[suspect]))
    assert_harmless(text.splitlines()[2])
    assert_harmless(next(line for line in text.splitlines() if line.startswith("- ")))


def assert_harmless(line):
    assert "\x1b" not in line
    assert not re.search(r"[<>`*\[\]()@$~_\\]", line)
    assert not re.search(r"https?:|www\.|(?<!&)#", line)
    assert "@\u200bteam" in html.unescape(line)


def test_hostile_names_keep_to_their_line_in_text():
    hostile = Difference(id=HOSTILE, state="worse", sentence=HOSTILE)
    assert not any("\n" in line or "\x1b" in line for line in show.lines(comparison(hostile)))


def test_markdown_fits_a_comment_and_says_how_much_it_left_out():
    many = [Difference(id=f"t/c/{i}", state="worse", sentence="x|" * 500) for i in range(5000)]
    suspects = [Suspect(kind="library", name="<" * 500, before="|" * 500, after="|" * 500)] * 500
    text = show.markdown(comparison(*many, before="|" * 9999, suspects=suspects))
    shown = text.count("\n| worse")
    assert len(text) <= show.LONGEST
    assert f"and {5000 - shown} more" in text
    assert shown > 0


@given(st.text(max_size=400))
def test_any_text_is_one_cell(text):
    row = show.markdown(comparison(Difference(id=text, state="worse", sentence=text))).splitlines()[6]
    assert row.count("|") == 10


def test_phantoms_are_marked_in_every_form():
    generated = comparison(generated=True)
    for text in (
        "\n".join(show.lines(generated)),
        show.markdown(generated),
        "\n".join(show.loud_lines(generated)),
    ):
        assert "phantoms, not of patients" in text
