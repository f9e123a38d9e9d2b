"""What is drawn beside the tables, as data: numbers, names and units, and nothing of how they are drawn.

Two forms are enough: intervals in rows (`Forest`), and points on two axes (`Chart`). They are part of
`report.json`, so that a page can be made again from it without the runs.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

ForestKind = Literal["effects", "groups"]
ChartKind = Literal[
    "ladder", "learning", "reliability", "risk-coverage", "robustness", "reuse", "loss", "history"
]


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """One axis of a figure."""

    label: str
    """With the unit, such as `patients in training`."""
    scale: Literal["linear", "log"] = "linear"
    names: list[str] = []
    """Where positions are 0, 1, 2, … in their stead: stages of a net, nights."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One point, with its interval where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    label: str = ""
    """What a person is told of it: a date, `seed 3`, `412 images`."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Points that belong together, in order."""

    name: str
    points: list[Point]
    joined: bool = True
    """Whether a line runs through them."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A straight line to compare with: of equal robustness, of perfect calibration, what was accepted."""

    name: str
    start: tuple[float, float]
    end: tuple[float, float]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One interval of a forest."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    state: str = ""
    """A verdict, which may colour it."""
    item: str = ""
    """The item that it belongs to, where it is one's."""


class Forest(msgspec.Struct, frozen=True, kw_only=True, tag="forest"):
    """Intervals in rows, on one axis."""

    id: str
    """Unique in a report; letters, digits and hyphens."""
    kind: ForestKind
    task: str
    title: str
    """A sentence that says what is compared."""
    axis: Axis
    rows: list[Row]
    bounds: list[float] = []
    """Where margins lie."""
    note: str = ""


class Chart(msgspec.Struct, frozen=True, kw_only=True, tag="chart"):
    """Points on two axes."""

    id: str
    """Unique in a report; letters, digits and hyphens."""
    kind: ChartKind
    task: str
    title: str
    x: Axis
    y: Axis
    series: list[Series]
    references: list[Reference] = []
    note: str = ""


Figure = Forest | Chart


def slug(*words: str) -> str:
    """An id for a figure, of letters, digits and hyphens: the same for the same words."""
    return "-".join(filter(None, (re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words)))


def distinct(figures: Iterable[Figure]) -> list[Figure]:
    """The figures, a number behind an id that an earlier one has: two names may differ in a comma alone."""
    seen: Counter[str] = Counter()
    found = []
    for figure in figures:
        seen[figure.id] += 1
        number = seen[figure.id]
        found.append(figure if number == 1 else replace(figure, id=f"{figure.id}-{number}"))
    return found
