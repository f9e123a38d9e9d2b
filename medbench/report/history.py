"""What a report shows of a history: a chart for each item that is red, or that a recent night marked."""

import hashlib
from collections.abc import Sequence

from medbench.followed import Line, Mark, Series, all_marks, all_series, band_of, follow, shown_term
from medbench.history import History
from medbench.report.figures import Axis, Chart, Point, Reference
from medbench.report.figures import Series as Drawn
from medbench.report.record import Report

RECENT = 14
"""Latest nights of an item in which a mark is news."""
CHARTS, NIGHTS, SAID = 20, 120, 5
"""At most so many charts in a report, so many nights in each, and so many marks told in the terminal."""


def of_report(report: Report, history: History) -> tuple[list[Chart], list[Mark]]:
    """Charts of the report's red and recently marked items, red ones first; and marks to be told.

    Args:
      report: of the latest session.
      history: with the latest session.
    """
    series = all_series(history)
    marks = all_marks(series, [claim.id for claim in report.claims if claim.id in series])
    news = {item: found for item in marks if (found := recent(series[item][-1], marks[item]))}
    wanted = [claim.id for claim in report.claims if claim.id in series and (claim.red or claim.id in news)]
    wanted.sort(key=lambda item: item not in {claim.id for claim in report.claims if claim.red})
    charts = (chart(series[item][-1], marks.get(item, [])) for item in wanted[:CHARTS])
    said = sorted((mark for found in news.values() for mark in found), key=lambda mark: mark.night)
    return [each for each in charts if each], said[-SAID:]


def recent(series: Series, marks: Sequence[Mark]) -> list[Mark]:
    """The marks that lie in the latest nights of a series."""
    nights = {night.created for night, _ in series.nights[-RECENT:]}
    return [mark for mark in marks if mark.night in nights]


def chart(series: Series, marks: Sequence[Mark], term: str = "") -> Chart | None:
    """A term's values by night, with what was accepted; None where no night has a value.

    Args:
      series: of the item.
      marks: of the item, which label their nights.
      term: whose values; the one that a person wants to see where none is given.
    """
    if not series.terms:
        return None
    term = term or shown_term(series, marks)
    line = follow(series, term)
    own = [mark for mark in marks if mark.term == term]
    said = {mark.night: mark.kind for mark in own}
    shown = list(zip(line.nights, line.values, strict=True))[-NIGHTS:]
    nights = [series.nights[i].night for i, _ in shown]
    points = [
        Point(x=x, y=value, label=_label(series, i, said.get(series.nights[i].night.created, "")))
        for x, (i, value) in enumerate(shown)
    ]
    return Chart(
        id=f"history-{hashlib.sha256(f'{series.item} {term}'.encode()).hexdigest()[:12]}",
        kind="history",
        task=series.item.partition("/")[0],
        title=f"{series.item}: {term} by night",
        x=Axis(label="night", names=[night.created[:10] for night in nights]),
        y=Axis(label=f"{series.metric}, {in_words(line)}"),
        series=[Drawn(name=term, points=points)],
        references=_references(line, len(points)),
        note=" · ".join(mark.sentence for mark in own),
    )


def in_words(line: Line) -> str:
    """What a line's values are: `seeds 1, 2`, `mean of each night's new seeds`, `loaded, not measured`."""
    if line.by == "same-seeds":
        return f"seed{'s' if len(line.seeds) > 1 else ''} {', '.join(map(str, line.seeds))}"
    return {"new-seeds": "mean of each night's new seeds", "loaded": "loaded, not measured"}[line.by]


def _label(series: Series, i: int, mark: str) -> str:
    night, entry = series.nights[i]
    parts = [night.created[:10], night.commit, entry.verdict or entry.state]
    return ", ".join(filter(None, [*parts, "accepted" if entry.accepted else "", mark]))


def _references(line: Line, nights: int) -> list[Reference]:
    band = band_of(line)
    if band is None:
        return []
    mean, half = band
    levels = {"accepted": mean, "lower end of its band": mean - half, "upper end of its band": mean + half}
    end = max(nights - 1, 1)
    return [Reference(name=name, start=(0.0, y), end=(float(end), y)) for name, y in levels.items()]
