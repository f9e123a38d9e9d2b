"""One self-contained page from the record: claims, evidence, verdicts and where numbers came from.

No script, no outside resource; all text is escaped by the template engine.
"""

from typing import NamedTuple

import jinja2

from medbench.report import terminal
from medbench.report.record import ClaimResult, Report

_WIDTH, _PADDING = 240.0, 6.0
"""Size of a forest bar in CSS pixels."""


class Bar(NamedTuple):
    """An interval drawn on the common axis, in pixels from the left."""

    low: float
    value: float
    high: float
    zero: float
    margin: float


def render(report: Report) -> str:
    """The page as HTML text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("medbench.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        report=report,
        checks={check.id: check for check in report.expectations},
        bars=bars(report.claims),
        width=_WIDTH,
        interval=terminal.interval,
        accepted=terminal.accepted,
        drift=terminal.drift,
        remarks=terminal.remarks,
        closing=terminal.closing(report),
        provenance=terminal.provenance(report),
    )


def bars(claims: list[ClaimResult]) -> dict[str, Bar]:
    """A forest bar for each claim with an interval, all on one axis that shows zero and every margin."""
    shown = {claim.id: (claim.effect, claim.margin) for claim in claims if claim.effect}
    points = [0.0]
    for effect, margin in shown.values():
        points += [effect.low, effect.high, margin]
    left, span = min(points), (max(points) - min(points)) or 1.0

    def x(value: float) -> float:
        return round(_PADDING + (value - left) / span * (_WIDTH - 2 * _PADDING), 1)

    return {
        id_: Bar(x(effect.low), x(effect.value), x(effect.high), x(0.0), x(margin))
        for id_, (effect, margin) in shown.items()
    }
