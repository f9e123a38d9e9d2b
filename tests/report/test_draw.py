import itertools
import math
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.report import draw
from medbench.report.figures import Axis, Chart, Forest, Point, Reference, Row, Series
from tests.report.records import figures

ANY = st.floats(allow_nan=True, allow_infinity=True)


def chart(points, *, scale="linear", joined=True, references=()):
    made = [Point(x=x, y=y, low=low, high=high) for x, y, low, high in points]
    return Chart(
        id="a",
        kind="ladder",
        task="chest",
        title="<b>\x00\ud800",
        x=Axis(label="x", scale=scale),
        y=Axis(label="y"),
        series=[Series(name="one", points=made, joined=joined)],
        references=list(references),
    )


@pytest.mark.parametrize("figure", figures(), ids=lambda figure: figure.id)
def test_every_kind_is_well_formed_named_and_has_its_numbers_as_a_table(figure):
    root = ET.fromstring(draw.draw(figure))
    assert root.get("role") == "img"
    assert root.find("title").text == figure.title
    numbers = sum(len(each.points) for each in getattr(figure, "series", [])) or len(figure.rows)
    assert len(draw.table(figure).rows) == numbers


@given(points=st.lists(st.tuples(ANY, ANY, ANY | st.none(), ANY | st.none()), max_size=4), data=st.data())
def test_whatever_the_values_are_the_drawing_is_well_formed_and_has_finite_places(points, data):
    scale = data.draw(st.sampled_from(["linear", "log"]))
    ends = data.draw(st.tuples(ANY, ANY, ANY, ANY))
    line = Reference(name="r", start=ends[:2], end=ends[2:])
    text = draw.draw(chart(points, scale=scale, joined=data.draw(st.booleans()), references=[line]))
    for element in ET.fromstring(text).iter():
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy"):
            assert -1 <= float(element.get(name, 0)) <= draw.WIDTH + 1


def test_a_point_lies_where_its_share_of_the_axis_is():
    scale = draw.Scale([0.0, 10.0], 100.0, 200.0)  # with a twentieth of room: from -0.5 to 10.5
    assert scale.at(5.0) == pytest.approx(150.0)
    assert scale.at(10.0) == pytest.approx(100 + 100 * 10.5 / 11)
    log = draw.Scale([1.0, 100.0], 0.0, 1.0, log=True)
    assert log.at(10.0) == pytest.approx(0.5)
    assert not log.has(0.0)


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_within_the_range(low, span):
    ticks = draw.linear_ticks(low, low + span, 5)
    assert 2 <= len(ticks) <= 11
    steps = {f"{b - a:.3e}"[0] for a, b in itertools.pairwise(ticks)}
    assert steps <= {"1", "2", "5", "4", "9"}  # 1, 2 or 5, but for rounding
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in ticks)


def test_a_line_is_cut_where_it_leaves_the_axes():
    x, y = draw.Scale([0.0, 1.0], 0.0, 110.0), draw.Scale([0.0, 1.0], 110.0, 0.0)
    line = draw.clipped(Reference(name="r", start=(-9, -9), end=(9, 9)), x, y)
    assert line == pytest.approx((0, 110, 110, 0))
    assert draw.clipped(Reference(name="r", start=(5, 5), end=(9, 9)), x, y) is None


def test_no_two_of_many_series_look_alike():
    assert len({draw.mark_of(i) for i in range(84)}) == 84


def test_hostile_text_stays_text():
    text = draw.draw(chart([(0, 1, None, None)]))
    assert "&lt;b&gt;\\x00\\ud800" in text


def test_values_that_are_no_numbers_are_told_as_such():
    made = draw.table(chart([(0.0, math.nan, None, None)]))
    assert made.rows == [["one", "0", "–"]]
    assert msgspec.json.encode(made.headings) == b'["series","x","y"]'


def test_nothing_below_zero_that_rounds_to_it_is_written_as_zero_with_a_sign():
    row = Row(label="a", value=0.1, low=-0.0, high=0.2)
    forest = Forest(id="f", kind="effects", task="chest", title="t", axis=Axis(label="x"), rows=[row])
    assert "0.1 [0, 0.2]" in draw.draw(forest)


def forest(*intervals, scale="linear", bounds=()):
    rows = [
        Row(label=f"row {i}", low=low, value=value, high=high)
        for i, (low, value, high) in enumerate(intervals)
    ]
    axis = Axis(label="x", scale=scale)
    return Forest(id="f", kind="effects", task="chest", title="t", axis=axis, rows=rows, bounds=list(bounds))


def drawn(made, cls):
    return [each for each in ET.fromstring(draw.draw(made)).iter() if each.get("class") == cls]


USUAL = [(i - 1.0, float(i), i + 1.0) for i in range(8)]


def test_one_very_long_interval_leaves_the_axis_to_the_others_and_goes_on_as_arrows():
    long = forest(*USUAL, (-500.0, 3.0, 900.0), bounds=[-5.0])
    scale = draw.forest_scale(long)
    assert (scale.low, scale.high) == pytest.approx((-5.0 - 0.65, 8.0 + 0.65))  # of 13, a twentieth of room
    assert len(drawn(long, "arrow")) == 2
    description = ET.fromstring(draw.draw(long)).find("desc").text
    assert "Arrow heads mark what goes on beyond the axis: row 8." in description
    assert len(drawn(long, "mark")) == 9


def test_an_estimate_beyond_the_axis_is_an_arrow_at_its_end():
    out = forest(*USUAL, (400.0, 500.0, 600.0))
    (arrow,) = drawn(out, "arrow")
    assert arrow.get("d").startswith(f"M{draw._round(draw.forest_scale(out).end)} ")
    assert len(drawn(out, "mark")) == 8


def test_what_is_not_far_out_is_shown_whole_without_arrows():
    assert drawn(forest(*USUAL), "arrow") == []
    assert "Arrow" not in draw.draw(forest(*USUAL))
    assert drawn(forest((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (1.0, 1.0, 90.0)), "arrow") == []


def test_far_out_on_a_log_axis_goes_by_ratios():
    assert draw.bulk([1.0, 10.0, 100.0, 1000.0], log=True) == [1.0, 10.0, 100.0, 1000.0]
    assert draw.bulk([1.0, 2.0, 3.0, 4.0, 1e6], log=True) == [1.0, 2.0, 3.0, 4.0]
    assert draw.bulk([0.0, -1.0, math.inf, math.nan, 2.0], log=True) == [2.0]


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30),
    margin=st.floats(-10, 10),
)
def test_nothing_is_kept_that_is_far_out_and_zero_and_margins_are_always_shown(values, margin):
    low, _, high = np.quantile(values, [0.25, 0.5, 0.75])
    if high - low > 1e-6:
        reach = 3.0 * (high - low)
        near = 1e-9 * max(map(abs, values))
        kept = draw.bulk(values)
        assert all(low - reach - near <= each <= high + reach + near for each in kept)
        assert all(each in kept for each in values if low - reach + near < each < high + reach - near)
    scale = draw.forest_scale(forest(*((value,) * 3 for value in values), bounds=[margin]))
    assert scale.shows(0.0)
    assert scale.shows(margin)


@given(rows=st.lists(st.tuples(ANY, ANY, ANY), max_size=6), scale=st.sampled_from(["linear", "log"]))
def test_no_interval_reaches_the_column_of_numbers(rows, scale):
    made = forest(*rows, scale=scale)
    right = draw.forest_scale(made).end
    widest = max((len(draw._interval(row)) for row in made.rows), default=0)
    assert right + widest * draw._CHARACTER < draw.WIDTH or right >= draw.WIDTH / 2 - draw._GAP
    for line in drawn(made, "range"):
        assert 8 - 0.1 <= float(line.get("x1")) <= right + 0.1
        assert 8 - 0.1 <= float(line.get("x2")) <= right + 0.1
