"""One self-contained page from the record: what changed, what to do, figures, claims and their evidence.

Nothing outside the file is asked for: style and script are its own and named by hash in its security policy.
The page is whole without the script, which filters and sorts; of thousands of claims it also unpacks the
evidence of those that neither failed nor moved. All text is escaped by the template engine.
"""

import base64
import gzip
import hashlib
import json
import re
from importlib.resources import files
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from medbench.anchors import shown
from medbench.diff.show import LOUD
from medbench.errors import printable_lines
from medbench.predicates import PREDICATES
from medbench.report import advice, draw, terminal
from medbench.report.figures import Axis, Chart, Figure, Forest, Row
from medbench.report.record import ClaimResult, Report

_WIDTH, _PADDING = 160.0, 6.0
"""Size of a bar in the table, in CSS pixels."""
FOREST_ROWS = 40
"""Of an effects forest that is made here; the table has all."""
INLINE = 1_000
"""Claims up to which a page has all evidence as it is; of more, it would be megabytes that nobody opens."""
ALL_ON_PAPER = 12
"""Claims of a report of which all evidence is printed."""
_VERDICTS = ("refuted", "inconclusive", "supported", "missing", "not-run")
_STATUSES = (
    *("drifted", "verdict-changed", "vanished", "stale", "not-compared", "no-expectation", "not-run", "ok"),
)


class Bar(NamedTuple):
    """An interval drawn on the axis of its metric, in pixels from the left; cut where the axis ends."""

    low: float
    value: float
    high: float
    zero: float
    bounds: tuple[float, ...]
    """Where the claim's range of effects ends: one for superiority, two for equivalence."""


class Drawn(NamedTuple):
    """A figure ready to be set."""

    figure: Figure
    svg: Markup
    table: draw.Table
    legend: list[tuple[Markup, str]]


def render(report: Report) -> str:
    """The page as HTML text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("medbench.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    style, script = _asset("page.css"), _asset("page.js")
    numbers = {run.run_id: i for i, run in enumerate(report.provenance, 1)}
    of_evidence: dict[str, Any] = {
        "runs": lambda claim: ranges(sorted({numbers[id_] for id_ in claim.runs if id_ in numbers})),
        "p_value": p_value,
    }
    on_paper = printed(report)
    large = len(report.claims) > INLINE
    to_pack = [claim for claim in report.claims if large and claim.id not in on_paper]
    evidence = environment.get_template("evidence.html.j2")
    return environment.get_template("report.html.j2").render(
        **of_evidence,
        packed={claim.id: place for place, claim in enumerate(to_pack)},
        evidence=packed([evidence.render(claim=claim, **of_evidence) for claim in to_pack]),
        report=report,
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=(
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        headline=advice.headline(report),
        basis=advice.basis(report),
        advice=advice.advice(report),
        moved=advice.moved(report),
        checks={check.id: check for check in report.expectations},
        bars=bars(report.claims),
        printed=on_paper,
        choices=choices(report),
        index=Markup(json.dumps(index(report), separators=(",", ":"))),  # noqa: S704
        figures=figures(report),
        width=int(_WIDTH),
        anchor=lambda item: f"#{quote(item)}",
        interval=terminal.interval,
        where=terminal.where,
        shown=shown,
        asked=terminal.asked(report),
        accepted=terminal.accepted,
        drift=terminal.drift,
        remarks=terminal.remarks,
        margin=terminal.margin,
        closing=terminal.closing(report),
        provenance=terminal.provenance(report),
    )


def packed(texts: list[str]) -> str:
    """Texts as base64 of gzip of a JSON list, the same bytes for the same texts."""
    return base64.b64encode(gzip.compress(json.dumps(texts).encode(), mtime=0)).decode()


def bars(claims: list[ClaimResult]) -> dict[str, Bar]:
    """A bar for each claim with an interval; those of a metric share an axis with zero and every margin.

    One interval that is very long does not stretch the axis (see `draw.bulk`): its bar ends where that ends.
    """
    limits: dict[str, list[float]] = {}
    kept: dict[str, list[float]] = {}
    for claim in claims:
        if claim.effect:
            limits.setdefault(claim.metric, []).extend((claim.effect.low, claim.effect.high))
            kept.setdefault(claim.metric, [0.0]).extend((claim.effect.value, *_bounds(claim)))
    ends = {metric: [*draw.bulk(limits[metric]), *kept[metric]] for metric in limits}
    axes = {metric: (min(values), max(values)) for metric, values in ends.items()}
    return {claim.id: _bar(claim, axes[claim.metric]) for claim in claims if claim.effect}


def _bar(claim: ClaimResult, axis: tuple[float, float]) -> Bar:
    left, span = axis[0], (axis[1] - axis[0]) or 1.0

    def x(value: float) -> float:
        share = min(max((value - left) / span, 0.0), 1.0)
        return round(_PADDING + share * (_WIDTH - 2 * _PADDING), 1)

    assert claim.effect is not None
    effect = claim.effect
    return Bar(x(effect.low), x(effect.value), x(effect.high), x(0.0), tuple(map(x, _bounds(claim))))


def printed(report: Report) -> set[str]:
    """Claims whose evidence is on paper: red ones, and what moved; all of them where they are few."""
    if len(report.claims) <= ALL_ON_PAPER:
        return {claim.id for claim in report.claims}
    red = {claim.id for claim in report.claims if claim.red}
    since = report.since.differences if report.since else []
    return red | {check.id for check in advice.moved(report)} | {d.id for d in since if d.state in LOUD}


def choices(report: Report) -> dict[str, list[str]]:
    """What each filter offers, sorted."""
    return {
        "task": sorted({claim.task for claim in report.claims}),
        "property": sorted({claim.family for claim in report.claims}),
        "backbone": sorted({name for claim in report.claims for name in _backbones(claim)}),
    }


def index(report: Report) -> list[list[Any]]:
    """What the script filters and sorts by, a row a claim: numbers alone, so that no text can end it.

    Returns:
      By claim: places of task, property and backbones among `choices`; 1 where it is red; then by column
      the number that it is sorted by, None last.
    """
    offered = choices(report)
    places = {name: {word: i for i, word in enumerate(words)} for name, words in offered.items()}
    checks = {check.id: check for check in report.expectations}
    by_name = _ranks([claim.id for claim in report.claims])
    by_set = _ranks([terminal.where(claim) for claim in report.claims])
    rows = []
    for claim in report.claims:
        check = checks.get(claim.id)
        accepted = check.accepted_verdict if check else None
        keys = [
            by_name[claim.id],
            by_set[terminal.where(claim)],
            claim.effect.value if claim.effect else None,
            claim.margin,
            _VERDICTS.index(claim.verdict or claim.state),
            claim.n_patients,
            sum(claim.origins.get(origin, 0) for origin in ("trained", "reused")),
            _VERDICTS.index(accepted) if accepted else None,
            _STATUSES.index(check.status) if check else None,
        ]
        backbones = [places["backbone"][name] for name in _backbones(claim)]
        row = [places["task"][claim.task], places["property"][claim.family], backbones, int(claim.red)]
        rows.append([*row, keys])
    return rows


def _ranks(names: list[str]) -> dict[str, int]:
    return {name: rank for rank, name in enumerate(sorted(set(names)))}


def _backbones(claim: ClaimResult) -> list[str]:
    """Of its arms, without shares of patients and recipes."""
    return list(dict.fromkeys(re.split(r"\s*[@+]", arm)[0] for arm in claim.arms.values()))


def figures(report: Report) -> list[tuple[str, list[Drawn]]]:
    """The figures by task; where a report has no forest of effects, one a task is made from its claims."""
    given = list(report.figures)
    if not any(isinstance(figure, Forest) and figure.kind == "effects" for figure in given):
        given = [*_forests(report.claims), *given]
    given.sort(key=lambda figure: figure.task)
    return [(task, [_drawn(figure) for figure in of]) for task, of in groupby(given, lambda each: each.task)]


def _forests(claims: list[ClaimResult]) -> list[Figure]:
    """The effects of a task in units of their margins, in which any two metrics compare."""
    by_task: dict[str, list[ClaimResult]] = {}
    for claim in claims:
        if claim.effect and claim.margin > 0:
            by_task.setdefault(claim.task, []).append(claim)
    return [_forest_of(number, task, of) for number, (task, of) in enumerate(by_task.items())]


def _forest_of(number: int, task: str, claims: list[ClaimResult]) -> Forest:
    rows = [
        Row(
            label=f"{claim.claim} · {terminal.where(claim)}",
            value=round(claim.effect.value / claim.margin, 6),
            low=round(claim.effect.low / claim.margin, 6),
            high=round(claim.effect.high / claim.margin, 6),
            state=claim.verdict or "",
            item=claim.id,
        )
        for claim in claims[:FOREST_ROWS]
        if claim.effect
    ]
    rest = f"The first {FOREST_ROWS} of {len(claims)} claims; " if len(claims) > FOREST_ROWS else ""
    return Forest(
        id=f"effects-{number}",
        kind="effects",
        task=task,
        title=f"Effects on {task}, in units of each claim's margin",
        axis=Axis(label="effect / margin"),
        rows=rows,
        bounds=[-1.0, 1.0],
        note=f"{rest}dashed: the margin on either side. Claims with a margin of 0 are in the table alone.",
    )


def _drawn(figure: Figure) -> Drawn:
    legend = []
    if isinstance(figure, Chart):
        legend = [(Markup(draw.swatch(draw.mark_of(i))), each.name) for i, each in enumerate(figure.series)]  # noqa: S704
        legend += [(Markup(draw.reference_swatch()), each.name) for each in figure.references]  # noqa: S704
    return Drawn(figure, Markup(draw.draw(figure)), draw.table(figure), legend)  # noqa: S704


def ranges(numbers: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as first and last of each unbroken row of them."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def p_value(p: float | None) -> str:
    """Three decimals, `<.001` below that, a dash where there is none."""
    if p is None:
        return "–"
    return "<.001" if p < 0.001 else f"{p:.3f}"


def _bounds(claim: ClaimResult) -> tuple[float, ...]:
    """Where the effects of which the claim holds end."""
    predicate = claim.definition.predicate if claim.definition else "superiority"
    return tuple(bound for bound, _ in PREDICATES[predicate](claim.margin).bounds)


def _finalized(value: object) -> object:
    """Every text that the template sets, but not what was made for it as markup."""
    return printable_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _asset(name: str) -> str:
    return (files("medbench.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content security policy names an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
