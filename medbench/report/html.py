"""One self-contained page from the record: claims, evidence, verdicts and where numbers came from.

No script, no outside resource; all text is escaped by the template engine.
"""

from typing import NamedTuple

import jinja2

from medbench.anchors import shown
from medbench.predicates import PREDICATES
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
    bounds: tuple[float, ...]
    """Where the claim's range of effects ends: one for superiority, two for equivalence."""


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
        where=terminal.where,
        shown=shown,
        asked=terminal.asked(report),
        accepted=terminal.accepted,
        drift=terminal.drift,
        remarks=terminal.remarks,
        margin=terminal.margin,
        p_value=p_value,
        closing=terminal.closing(report),
        provenance=terminal.provenance(report),
    )


def bars(claims: list[ClaimResult]) -> dict[str, Bar]:
    """A forest bar for each claim with an interval, all on one axis that shows zero and every margin."""
    shown = {claim.id: (claim.effect, _bounds(claim)) for claim in claims if claim.effect}
    points = [0.0]
    for effect, bounds in shown.values():
        points += [effect.low, effect.high, *bounds]
    left, span = min(points), (max(points) - min(points)) or 1.0

    def x(value: float) -> float:
        return round(_PADDING + (value - left) / span * (_WIDTH - 2 * _PADDING), 1)

    return {
        id_: Bar(x(effect.low), x(effect.value), x(effect.high), x(0.0), tuple(map(x, bounds)))
        for id_, (effect, bounds) in shown.items()
    }


def p_value(p: float | None) -> str:
    """Three decimals, `<.001` below that, a dash where there is none."""
    if p is None:
        return "–"
    return "<.001" if p < 0.001 else f"{p:.3f}"


def _bounds(claim: ClaimResult) -> tuple[float, ...]:
    """Where the effects of which the claim holds end."""
    predicate = claim.definition.predicate if claim.definition else "superiority"
    return tuple(bound for bound, _ in PREDICATES[predicate](claim.margin).bounds)
