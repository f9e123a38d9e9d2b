"""An item's arms followed through the nights of a history, and what they show: jumps and slides.

Nothing is written here and nothing drawn.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from medbench.history import Entry, History, Night
from medbench.metrics.registry import higher_is_better
from medbench.stats.change_points import changes

LEVEL = 0.05
"""Of a false mark, over all that a history follows together, in all looks together."""

By = Literal["same-seeds", "new-seeds", "loaded"]


class Seen(NamedTuple):
    """An item in one night."""

    night: Night
    entry: Entry


class Series(NamedTuple):
    """An item's nights that compare: one definition, the same images, one device class, one trainer."""

    item: str
    device_class: str
    nights: list[Seen]

    @property
    def terms(self) -> list[str]:
        """All arms (and other terms) that any night has."""
        return list(dict.fromkeys(term for _, entry in self.nights for term in entry.means))

    @property
    def metric(self) -> str:
        """Name and version."""
        return self.nights[-1].entry.metric


class Line(NamedTuple):
    """One arm of a series, by values that compare."""

    series: Series
    term: str
    by: By
    seeds: list[int]
    """That all of these nights measured, by `same-seeds`."""
    nights: list[int]
    """Positions in the series; the others measured nothing of this arm, or other seeds."""
    values: list[float]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What a line shows."""

    item: str
    term: str
    kind: Literal["jump", "slide"]
    since: str
    """The night before the jump, or the first of the slide: UTC, ISO 8601."""
    night: str
    """The first night after the jump, or the last of the slide."""
    commit: str
    """Of that night."""
    change: float
    better: bool | None
    """Null where the direction of the metric is not known."""
    p: float | None
    """Null for the same seeds, which need no test."""

    @property
    def sentence(self) -> str:
        """`treatment jumped by -0.0200 (worse) in the night of 2026-11-21, commit 1a2b3c4`."""
        side = {True: " (better)", False: " (worse)", None: ""}[self.better]
        if self.kind == "jump":
            return (
                f"{self.term} jumped by {self.change:+.4f}{side} in the night of {self.night[:10]}, "
                f"commit {self.commit or 'unknown'}"
            )
        return f"{self.term} slid by {self.change:+.4f}{side} from {self.since[:10]} to {self.night[:10]}"


def all_series(history: History) -> dict[str, list[Series]]:
    """The series of every item, the one with the latest night last."""
    seen: dict[tuple[str, ...], list[Seen]] = {}
    for night, entries in history.nights:
        for entry in entries:
            device_class = " and ".join(entry.devices) or night.device_class
            key = (entry.id, device_class, entry.of, night.backbones, night.trainer)
            seen.setdefault(key, []).append(Seen(night, entry))
    found: dict[str, list[Series]] = {}
    for (item, device_class, *_), nights in sorted(seen.items(), key=lambda each: each[1][-1].night.created):
        found.setdefault(item, []).append(Series(item, device_class, nights))
    return dict(sorted(found.items()))


def follow(series: Series, term: str) -> Line:
    """A term's values that compare with each other.

    Followed are the seeds that most nights measured, if more than half of those that measured any have them
    all: the same seeds move by what machines move them and no more. Else each night has the mean of the seeds
    that no earlier night had: it differs by their noise. Where no night measured any, means of loaded values
    are followed, which only another metric or another accepted run can move.
    """
    measured = {i: of for i, (_, entry) in enumerate(series.nights) if (of := entry.values.get(term))}
    if not measured:
        means = {i: entry.means[term] for i, (_, entry) in enumerate(series.nights) if term in entry.means}
        return Line(series, term, "loaded", [], list(means), list(means.values()))
    counts = Counter(seed for of in measured.values() for seed in of)
    most = max(counts.values())
    seeds = sorted(seed for seed, count in counts.items() if count == most)
    values = {i: _mean(of, seeds) for i, of in measured.items() if of.keys() >= set(seeds)}
    if len(values) > len(measured) / 2:
        return Line(series, term, "same-seeds", seeds, list(values), list(values.values()))
    known, values = set[int](), {}
    for i, of in measured.items():
        if fresh := of.keys() - known:
            values[i] = _mean(of, sorted(fresh))
            known |= fresh
    return Line(series, term, "new-seeds", [], list(values), list(values.values()))


def marks_of(line: Line, *, level: float) -> list[Mark]:
    """The jumps and slides of a line, by night."""
    nights = [line.series.nights[i] for i in line.nights]
    shown = changes(
        line.values,
        tolerance=max(seen.entry.tolerance for seen in nights),
        level=level,
        noisy=line.by == "new-seeds",
    )
    higher = higher_is_better(line.series.metric)

    def mark(kind: Literal["jump", "slide"], since: int, at: int, change: float, p: float | None) -> Mark:
        return Mark(
            item=line.series.item,
            term=line.term,
            kind=kind,
            since=nights[since].night.created,
            night=nights[at].night.created,
            commit=nights[at].night.commit,
            change=round(change, 6),
            better=None if higher is None else (change > 0) == higher,
            p=p,
        )

    jumps = [mark("jump", each.at - 1, each.at, each.change, each.p) for each in shown.jumps]
    slides = [mark("slide", each.first, each.last, each.change, each.p) for each in shown.slides]
    return sorted([*jumps, *slides], key=lambda each: each.night)


def all_marks(
    series: Mapping[str, Sequence[Series]], items: Iterable[str] | None = None
) -> dict[str, list[Mark]]:
    """The marks of the items that have any, by night, at a level that all lines share (Bonferroni).

    Args:
      series: of all items, as all share the level.
      items: of which marks are wanted; of all where none are given.
    """
    level = LEVEL / max(1, sum(len(one.terms) for each in series.values() for one in each))
    found: dict[str, list[Mark]] = {}
    for item in series if items is None else items:
        lines = [follow(one, term) for one in series[item] for term in one.terms]
        marks = [mark for line in lines for mark in marks_of(line, level=level)]
        if marks:
            found[item] = sorted(marks, key=lambda mark: mark.night)
    return found


def band_of(line: Line) -> tuple[float, float] | None:
    """What the latest night with the line's seeds was held to: the accepted mean, and how far from it."""
    return next(filter(None, (band_in(line, i) for i in reversed(line.nights))), None)


def band_in(line: Line, i: int) -> tuple[float, float] | None:
    """The same of one night, by its position in the series; None where other seeds were held to it."""
    entry = line.series.nights[i].entry
    if line.by == "same-seeds" and [*entry.values.get(line.term, ())] != line.seeds:
        return None
    return entry.bands.get(line.term)


def shown_term(series: Series, marks: Sequence[Mark]) -> str:
    """The arm that a person wants to see: the one with the latest mark, else the treatment, else the last."""
    marked = [mark.term for mark in marks if mark.term in series.terms]
    if marked:
        return marked[-1]
    return "treatment" if "treatment" in series.terms else series.terms[-1]


def _mean(values: dict[int, float], seeds: Sequence[int]) -> float:
    return math.fsum(values[seed] for seed in seeds) / len(seeds)
