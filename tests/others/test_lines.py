import pytest

from medbench.others.lines import p_value, share, table
from medbench.others.record import Matched, Reach


def reach(size, *, after="0.1", by="1"):
    return Reach(after=after, by=by, share=size)


@pytest.mark.parametrize(
    ("reaches", "words"),
    [
        ((reach(0.41), reach(0.352), reach(0.52)), "41%  [35%, 52%] of the data"),
        ((reach(None), reach(None), reach(None)), "between 0.1 and 1"),
        (
            (reach(0.41), reach(0.05, after=None, by="0.05"), reach(None, after="1", by=None)),
            "41% of the data  [with 0.05 already; not with 1]",
        ),
    ],
)
def test_a_matched_share_is_said_with_its_limits_or_with_the_amounts_around_it(reaches, words):
    assert share(Matched(estimate=reaches[0], earliest=reaches[1], latest=reaches[2])) == words


def test_p_values_have_three_decimals():
    assert [p_value(p) for p in (None, 0.0001, 0.001, 0.5)] == ["–", "<.001", "0.001", "0.500"]


def test_cells_stand_under_their_headings_and_remarks_below_their_row():
    lines = table(("a", "bb"), [(("long", "x"), ["because", ""]), (("s", "y"), [])])
    assert lines == ["a     bb", "long  x", "    because", "s     y"]
