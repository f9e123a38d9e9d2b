"""Figures as inline SVG, and the same numbers as a table.

Colours are classes (`s0` to `s5`, verdicts) that the page's style gives values for light and dark; every
series has a marker and a dash of its own too. Nothing here knows of claims or pages.
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from medbench.errors import few, printable
from medbench.report.figures import Axis, Chart, Figure, Forest, Point, Reference, Row, Series

WIDTH = 420.0
"""Of every figure, in its own units: about CSS pixels on a phone."""
HEIGHT = 280.0
"""Of a chart."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 30.0, 44.0
_ROW = 32.0
_CHARACTER = 6.4
"""Mean width of a character of a figure's text."""
COLOURS, MARKERS, DASHES = 6, 7, 4
"""Distinct looks of series; they repeat with different periods, so that no two of 84 look alike."""
_GAP = 16.0
"""Left of the column of numbers of a forest, with the room right of it."""
FENCE = 3.0
"""Interquartile ranges beyond which a limit does not stretch an axis."""
_LARGEST = 1e300
"""Size of a value that has a place: beyond it the room around it could not be computed."""
_TO_THE_DIAGONAL = ("reliability", "robustness")
"""Kinds whose axes share one range, so that equal values lie on the diagonal."""


class Mark(NamedTuple):
    """How one series looks."""

    colour: int
    marker: int
    dash: int


class Table(NamedTuple):
    """A figure's numbers."""

    headings: list[str]
    rows: list[list[str]]
    items: list[str]
    """By row the item that it belongs to; empty where it is none's."""


class Scale:
    """From values to places on one axis.

    Attributes:
      low: the smallest value shown.
      high: the largest, greater than `low`.
      log: whether equal ratios are equal distances.
    """

    def __init__(self, values: Iterable[float], start: float, end: float, *, log: bool = False) -> None:
        """An axis on which all values have a place, with some room at both ends.

        Args:
          values: any; those that have no place (not finite, or too large; on a log axis not above 0) are
            left out.
          start: place of the low end, in the figure's units.
          end: of the high end.
          log: whether equal ratios are equal distances.
        """
        self.log, self.start, self.end = log, start, end
        places = [self._inner(value) for value in values if self.has(value)]
        low, high = (min(places), max(places)) if places else (0.0, 1.0)
        if high - low <= max(abs(low), abs(high)) * 1e-9 + 1e-300:  # all alike
            room = 0.5 if log else max(abs(high) * 0.1, 1e-6) if high else 1.0
        else:
            room = 0.05 * (high / 2 - low / 2) * 2
        self._low, self._high = low - room, high + room

    @property
    def low(self) -> float:
        """The smallest value shown."""
        return self._outer(self._low)

    @property
    def high(self) -> float:
        """The largest value shown."""
        return self._outer(self._high)

    def has(self, value: float | None) -> bool:
        """Whether a value has a place."""
        return has_place(value, log=self.log)

    def shows(self, value: float | None) -> bool:
        """Whether a value's place is on the axis."""
        return value is not None and self.has(value) and self._low <= self._inner(value) <= self._high

    def at(self, value: float) -> float:
        """Its place; outside [start, end] for what is not shown."""
        span = self._high / 2 - self._low / 2
        share = (self._inner(value) / 2 - self._low / 2) / span
        return self.start + share * (self.end - self.start)

    def within(self, value: float) -> float:
        """Its place, or the end of the axis that is nearest to it."""
        return min(max(self.at(value), min(self.start, self.end)), max(self.start, self.end))

    def ticks(self, about: int = 5) -> list[float]:
        """Round values within the range, at most about twice as many as asked for."""
        if not self.log:
            return linear_ticks(self._low, self._high, about)
        decades = linear_ticks(self._low, self._high, about)
        if self._high - self._low >= 2:
            return [10.0**decade for decade in decades if decade == round(decade)]
        first, last = math.floor(self._low), math.ceil(self._high)
        fine = [digit * 10.0**decade for decade in range(first, last) for digit in (1, 2, 5)]
        shown = [value for value in fine if self._low <= math.log10(value) <= self._high]
        return shown if len(shown) > 1 else linear_ticks(self.low, self.high, about)

    def _inner(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def _outer(self, place: float) -> float:
        return 10.0 ** min(place, 308.0) if self.log else place


def has_place(value: float | None, *, log: bool) -> bool:
    """Whether a value can be on an axis: finite, not too large, on a log axis above 0."""
    return value is not None and abs(value) <= _LARGEST and (value > 0 or not log)


def linear_ticks(low: float, high: float, about: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high].

    Args:
      low: of the range.
      high: greater than `low`.
      about: how many; between half and twice as many come.
    """
    raw = (high / about) - (low / about)
    power = math.floor(math.log10(raw))
    unit = 10.0**power
    step = next((digit * unit for digit in (1, 2, 5) if digit * unit >= raw * 0.999), 10 * unit)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12 - power) if abs(power) < 290 else k * step for k in range(first, last + 1)]


def number(value: float) -> str:
    """A tick's text: `0.25`, `2,000`, `50k`, `2e-07`."""
    size = abs(value)
    if size and (size < 1e-4 or size >= 1e9):
        return f"{value:.3g}"
    if size >= 10_000 and value % 1000 == 0:
        return f"{value / 1000:,.0f}k"
    return f"{value:z,.6g}" if size < 1e6 else f"{value:,.0f}"


def mark_of(index: int) -> Mark:
    """The look of the series of that number in its figure."""
    return Mark(index % COLOURS, index % MARKERS, index % DASHES)


def draw(figure: Figure) -> str:
    """The figure as an `<svg>` element, well-formed as XML and as HTML."""
    root = _forest(figure) if isinstance(figure, Forest) else _chart(figure)
    return ET.tostring(root, encoding="unicode")


def swatch(mark: Mark) -> str:
    """What stands beside a series' name in a legend."""
    root = _element(None, "svg", viewBox="0 0 30 12", width=30, height=12, aria_hidden="true")
    _element(root, "path", cls=f"line s{mark.colour} d{mark.dash}", d="M0 6H30")
    _marker(root, mark.marker, 15, 6, f"mark s{mark.colour}")
    return ET.tostring(root, encoding="unicode")


def reference_swatch() -> str:
    """What stands beside the name of a line to compare with."""
    root = _element(None, "svg", viewBox="0 0 30 12", width=30, height=12, aria_hidden="true")
    _element(root, "path", cls="reference", d="M0 6H30")
    return ET.tostring(root, encoding="unicode")


def table(figure: Figure) -> Table:
    """The figure's numbers in words and digits."""
    if isinstance(figure, Forest):
        headings = ["row", figure.axis.label, "lower limit", "upper limit", "verdict"]
        cells = [[row.label, *map(_cell, (row.value, row.low, row.high)), row.state] for row in figure.rows]
        return _without_empty(headings, cells, [row.item for row in figure.rows])
    headings = ["series", figure.x.label, figure.y.label, "lower limit", "upper limit", "note"]
    cells = [
        [series.name, _named(figure.x, point.x), *map(_cell, (point.y, point.low, point.high)), point.label]
        for series in figure.series
        for point in series.points
    ]
    return _without_empty(headings, cells, [""] * len(cells))


def _without_empty(headings: list[str], rows: list[list[str]], items: list[str]) -> Table:
    kept = [i for i in range(len(headings)) if i < 2 or any(row[i] for row in rows)]
    return Table([headings[i] for i in kept], [[row[i] for i in kept] for row in rows], items)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:z.4g}" if math.isfinite(value) else "–"


def _named(axis: Axis, value: float) -> str:
    """The name at a position, or the value where it has none."""
    if math.isfinite(value) and value == int(value) and 0 <= value < len(axis.names):
        return axis.names[int(value)]
    return number(value) if math.isfinite(value) else "–"


# Charts


def _chart(chart: Chart) -> ET.Element:
    x, y = scales(chart)
    root = _root(chart, HEIGHT, _summary(chart))
    _grid(root, chart, x, y)
    for reference in chart.references:
        if line := clipped(reference, x, y):
            _element(root, "line", cls="reference", x1=line[0], y1=line[1], x2=line[2], y2=line[3])
    for index, series in enumerate(chart.series):
        _series(root, chart, series, mark_of(index), x, y)
    return root


def scales(chart: Chart) -> tuple[Scale, Scale]:
    """The axes of a chart: all points and intervals, and the references that are level or upright."""
    points = [point for series in chart.series for point in series.points]
    xs = [point.x for point in points] + [float(place) for place in range(len(chart.x.names))]
    ys = [value for point in points for value in (point.y, point.low, point.high) if value is not None]
    ys += [float(place) for place in range(len(chart.y.names))]
    for line in chart.references:
        ys += [line.start[1]] if line.start[1] == line.end[1] else []
        xs += [line.start[0]] if line.start[0] == line.end[0] else []
    if chart.kind in _TO_THE_DIAGONAL:
        xs = ys = [*xs, *ys, *((0.0, 1.0) if chart.kind == "reliability" else ())]
    return (
        Scale(xs, _LEFT, WIDTH - _RIGHT, log=chart.x.scale == "log"),
        Scale(ys, HEIGHT - _BOTTOM, _TOP, log=chart.y.scale == "log"),
    )


def clipped(reference: Reference, x: Scale, y: Scale) -> tuple[float, float, float, float] | None:
    """The part of a reference that is within the axes (Liang and Barsky 1984), or None.

    Returns:
      x1, y1, x2, y2 in the figure's units.
    """
    (x1, y1), (x2, y2) = reference.start, reference.end
    if not all((x.has(x1), x.has(x2), y.has(y1), y.has(y2))):
        return None
    ax, ay, bx, by = x.at(x1), y.at(y1), x.at(x2), y.at(y2)
    if not max(abs(place) for place in (ax, ay, bx, by)) < 1e9:  # further out, rounding shows
        return None
    enters, leaves = 0.0, 1.0
    for start, change, low, high in (
        (ax, bx - ax, *sorted((x.start, x.end))),
        (ay, by - ay, *sorted((y.start, y.end))),
    ):
        if change == 0:
            if not low - 1e-6 <= start <= high + 1e-6:
                return None
            continue
        near, far = sorted(((low - start) / change, (high - start) / change))
        enters, leaves = max(enters, near), min(leaves, far)
    if not enters <= leaves:
        return None
    return (
        ax + enters * (bx - ax),
        ay + enters * (by - ay),
        ax + leaves * (bx - ax),
        ay + leaves * (by - ay),
    )


def _grid(root: ET.Element, chart: Chart, x: Scale, y: Scale) -> None:
    """Axes with their ticks, names and labels."""
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for value, text in _ticks(chart.y, y, 5):
        place = y.at(value)
        _element(root, "line", cls="grid", x1=_LEFT, x2=right, y1=place, y2=place)
        _text(root, _LEFT - 6, place + 4, text, "tick", anchor="end")
    wide = max((len(name) for name in chart.x.names), default=6)
    room = max(2, int((right - _LEFT) / (_CHARACTER * (min(wide, 12) + 2))))
    for value, text in _ticks(chart.x, x, room):
        place = x.at(value)
        _element(root, "line", cls="axis", x1=place, x2=place, y1=bottom, y2=bottom + 4)
        _text(root, place, bottom + 17, text, "tick", anchor="middle")
    _element(root, "line", cls="axis", x1=_LEFT, x2=right, y1=bottom, y2=bottom)
    _text(root, 2, 14, shortened(chart.y.label, 60), "label", anchor="start")
    _text(root, right, HEIGHT - 8, shortened(chart.x.label, 60), "label", anchor="end")


def _ticks(axis: Axis, scale: Scale, about: int) -> Iterator[tuple[float, str]]:
    """Values and their texts; of names as many as there is room for, always the first."""
    if not axis.names:
        ticks = scale.ticks(min(about, 5))
        every = math.ceil(len(ticks) / (2 * max(about, 5)))
        yield from ((value, number(value)) for value in ticks[:: every or 1])
        return
    every = math.ceil(len(axis.names) / about)
    for position in range(0, len(axis.names), every):
        if scale.has(position):
            yield position, shortened(axis.names[position], 12)


def _series(  # noqa: PLR0917  where, what, how
    root: ET.Element, chart: Chart, series: Series, mark: Mark, x: Scale, y: Scale
) -> None:
    """One series: its intervals, as a band where a line runs through all, else as bars; then itself."""
    points = [point for point in series.points if x.has(point.x) and y.has(point.y)]
    group = _element(root, "g", cls=f"series s{mark.colour}")
    whole = [point for point in points if y.has(point.low) and y.has(point.high)]
    if series.joined and len(whole) == len(points) > 1:
        upper = [(x.at(p.x), y.at(p.high or 0.0)) for p in points]
        lower = [(x.at(p.x), y.at(p.low or 0.0)) for p in reversed(points)]
        _element(group, "path", cls="band", d=f"{_path(upper + lower)}Z")
    else:
        for point in whole:
            ends = y.at(point.low or 0.0), y.at(point.high or 0.0)
            _element(group, "line", cls="range", x1=x.at(point.x), x2=x.at(point.x), y1=ends[0], y2=ends[1])
    if series.joined and len(points) > 1:
        line = _path([(x.at(point.x), y.at(point.y)) for point in points])
        _element(group, "path", cls=f"line d{mark.dash}", d=line)
    if len(points) > _MANY and series.joined:
        return
    for point in points:
        title = f"{series.name}: {_named(chart.x, point.x)}, {_interval(point)} {point.label}"
        _marker(group, mark.marker, x.at(point.x), y.at(point.y), "mark", title.strip())


_MANY = 60
"""Joined points beyond which a curve is drawn without markers."""


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_round(x)} {_round(y)}" for x, y in points)


def _summary(chart: Chart) -> str:
    names = ", ".join(series.name for series in chart.series) or "no series"
    lines = "".join(f"; line: {reference.name}" for reference in chart.references)
    return f"{chart.y.label} against {chart.x.label}: {names}{lines}. The numbers are in the table below."


# Forests


def _forest(forest: Forest) -> ET.Element:
    rows = [row for row in forest.rows if abs(row.value) <= _LARGEST]
    scale = forest_scale(forest)
    height = len(rows) * _ROW + 52
    root = _root(forest, height, _forest_summary(forest, rows, scale))
    bottom = len(rows) * _ROW + 8
    for value in scale.ticks(4):
        _upright(root, "grid", scale.at(value), bottom)
        _text(root, scale.at(value), bottom + 15, number(value), "tick", anchor="middle")
    for zero in filter(scale.shows, [0.0]):
        _upright(root, "axis", scale.at(zero), bottom)
    for bound in filter(scale.shows, forest.bounds):
        _upright(root, "margin", scale.at(bound), bottom)
    for index, row in enumerate(rows):
        _forest_row(root, row, index * _ROW + 8, scale)
    if any(_beyond(row, scale) for row in rows):
        _text(root, 4, bottom + 34, "arrow: goes on", "label", anchor="start")
    _text(root, WIDTH - 4, bottom + 34, shortened(forest.axis.label, 46), "label", anchor="end")
    return root


def _forest_summary(forest: Forest, rows: Sequence[Row], scale: Scale) -> str:
    text = f"{len(rows)} intervals of {forest.axis.label}. "
    if beyond := [row.label for row in rows if _beyond(row, scale)]:
        text += f"Arrow heads mark what goes on beyond the axis: {few(beyond)}. "
    return text + "The numbers are in the table below."


def forest_scale(forest: Forest) -> Scale:
    """The axis of a forest, left of a column for the numbers.

    It has the limits and estimates that lie within the outer fences of all of them (`bulk`), so that one
    interval that is very long leaves room for the others; all margins; and zero where it is linear. What
    lies beyond is an arrow head.
    """
    log = forest.axis.scale == "log"
    values = [value for row in forest.rows for value in (row.value, row.low, row.high) if value is not None]
    zero = [] if log else [0.0]
    numbers = max((len(_interval(row)) for row in forest.rows), default=0) * _CHARACTER
    right = WIDTH - _GAP - min(numbers, WIDTH / 2)
    return Scale([*bulk(values, log=log), *forest.bounds, *zero], 8, right, log=log)


def bulk(values: Iterable[float], *, log: bool = False) -> list[float]:
    """The values that are not far out: none beyond the quartiles by more than `FENCE` times their distance.

    Tukey's outer fences (Exploratory Data Analysis, 1977). Where the quartiles are equal, all are kept.

    Args:
      values: any; those that have no place on such an axis are left out.
      log: whether distances are those of logarithms.
    """
    placed = [value for value in values if has_place(value, log=log)]
    if len(placed) < 2:
        return placed
    inner = [math.log10(value) if log else value for value in placed]
    low, _, high = statistics.quantiles(inner, n=4, method="inclusive")
    reach = FENCE * (high - low)
    if reach == 0:
        return placed
    return [value for value, at in zip(placed, inner, strict=True) if low - reach <= at <= high + reach]


def _beyond(row: Row, scale: Scale) -> list[float]:
    """The ends of the axis at which a part of the row is left out."""
    values = [value for value in (row.low, row.value, row.high) if value is not None and scale.has(value)]
    return sorted({scale.within(value) for value in values if not scale.shows(value)})


def _upright(root: ET.Element, cls: str, x: float, bottom: float) -> None:
    _element(root, "line", cls=cls, x1=x, x2=x, y1=4, y2=bottom)


def _forest_row(root: ET.Element, row: Row, top: float, scale: Scale) -> None:
    """A name, the interval below it, and its numbers in their column."""
    if not scale.has(row.value):
        return
    group = _element(root, "g", cls=f"row {row.state}" if row.state in _STATE_MARKERS else "row")
    numbers, middle = _interval(row), top + 20
    _element(group, "title").text = printable(f"{row.label}: {numbers}")
    _text(group, 4, top + 10, shortened(row.label, int((WIDTH - 8) / _CHARACTER)), "name", anchor="start")
    _text(group, WIDTH - 4, middle + 4, numbers, "numbers", anchor="end")
    if row.low is not None and row.high is not None and scale.has(row.low) and scale.has(row.high):
        ends = scale.within(row.low), scale.within(row.high)
        _element(group, "line", cls="range", x1=ends[0], x2=ends[1], y1=middle, y2=middle)
    for end in _beyond(row, scale):
        _element(group, "path", cls="arrow", d=f"M{_round(end)} {_round(middle)}{_HEADS[end == scale.end]}")
    if scale.shows(row.value):
        _marker(group, _STATE_MARKERS.get(row.state, 0), scale.at(row.value), middle, "mark")


_HEADS = ("l7 -4.5v9z", "l-7 -4.5v9z")
"""Arrow heads that point to the left and to the right."""
_STATE_MARKERS = {"supported": 0, "refuted": 1, "inconclusive": 3}


def _interval(of: Point | Row) -> str:
    value = of.y if isinstance(of, Point) else of.value
    if of.low is None or of.high is None:
        return f"{value:z.4g}"
    return f"{value:z.3g} [{of.low:z.3g}, {of.high:z.3g}]"


# Elements


def _root(figure: Figure, height: float, summary: str) -> ET.Element:
    root = _element(
        None,
        "svg",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_labelledby=f"{figure.id}-title {figure.id}-desc",
    )
    _element(root, "title", id=f"{figure.id}-title").text = printable(figure.title)
    _element(root, "desc", id=f"{figure.id}-desc").text = printable(summary)
    return root


def _marker(  # noqa: PLR0917  where, what, how
    parent: ET.Element, shape: int, x: float, y: float, cls: str, title: str = ""
) -> None:
    """One of `MARKERS` shapes of about equal area around a place, with a tooltip."""
    if shape == 0:
        made = _element(parent, "circle", cls=cls, cx=x, cy=y, r=4)
    else:
        made = _element(parent, "path", cls=cls, d=f"M{_round(x)} {_round(y)}{_SHAPES[shape - 1]}")
    if title:
        _element(made, "title").text = printable(title)


_SHAPES = (
    "m-3.6 -3.6h7.2v7.2h-7.2z",  # square
    "m0 -4.8l4.6 8h-9.2z",  # triangle
    "m0 -5l5 5l-5 5l-5 -5z",  # diamond
    "m0 4.8l4.6 -8h-9.2z",  # triangle on its tip
    "m-1.5 -4.6h3v3.1h3.1v3h-3.1v3.1h-3v-3.1h-3.1v-3h3.1z",  # plus
    "m-4.6 -1.5h9.2v3h-9.2z",  # bar
)


def shortened(text: str, length: int) -> str:
    """The text on one line, with its middle left out where it is longer than `length` characters."""
    line = printable(" ".join(text.split()))
    if len(line) <= length:
        return line
    head = (length - 1) // 2
    return f"{line[:head]}…{line[len(line) - (length - 1 - head) :]}"


def _text(parent: ET.Element, x: float, y: float, text: str, cls: str, *, anchor: str) -> None:
    _element(parent, "text", cls=cls, x=x, y=y, text_anchor=anchor).text = printable(text)


def _element(parent: ET.Element | None, tag: str, *, cls: str = "", **attributes: object) -> ET.Element:
    """An element with attributes: `_` stands for a hyphen, and numbers have one decimal."""
    named = {"class": cls} if cls else {}
    for name, value in attributes.items():
        key = name.replace("_", "-")
        named[key] = _round(value) if isinstance(value, float) else str(value)
    return ET.Element(tag, named) if parent is None else ET.SubElement(parent, tag, named)


def _round(place: float) -> str:
    return f"{place:.1f}".removesuffix(".0")
