"""The record of one session: what `report.json` holds, and what every other report is made from.

Built from judgements and checks alone; nothing here reads files, computes statistics or imports jax.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from medbench.anchors import Anchor
from medbench.difference import Comparison
from medbench.judgement import Check, Judgement
from medbench.multiplicity import adjust
from medbench.report.figures import Figure
from medbench.spec.records import Synthesis
from medbench.synthesis import Conclusion, conclude

SCHEMA_VERSION = 3

Origin = Literal["trained", "reused", "loaded"]
_PRECEDENCE: tuple[Origin, ...] = ("trained", "loaded", "reused")
"""A run that one worker trained is reused by the others: the session as a whole trained it."""


class RunOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the numbers of one run came from."""

    run_id: str
    spec_id: str
    label: str
    """The run in words."""
    origin: Origin
    """`trained` in this session, `reused` from the store, `loaded` from a reference run: not measured."""
    device_class: str
    device: str
    finished: str
    """UTC, ISO 8601."""
    seconds: float
    """Training and scoring, when the run was made."""
    trainer: str = ""
    """Who trained it, with the version; empty where medbench did."""


class ItemResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one item; travels from the process that judged it to the one that reports."""

    id: str
    category: str
    """The outcome's word, as `medbench.policy` has it, or `error`."""
    red: bool
    sentence: str
    """Why, for a person."""
    judgement: Judgement | None = None
    """Absent where an error came first, and for an item that vanished."""
    check: Check | None = None
    runs: list[RunOrigin] = []


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Where the verdicts of this session were made."""

    device_class: str
    cores: int
    platform: str
    python: str
    libraries: dict[str, str]
    commit: str


class RunCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs the judged claims needed, and where they came from."""

    planned: int
    """Distinct runs of the selected items."""
    executed: int
    """Trained in this session."""
    reused: int
    """Found in the store."""
    loaded: int
    """Loaded from reference runs, not measured here."""
    naive: int
    """What the same items would need without sharing."""


class ClaimResult(Judgement, frozen=True, kw_only=True):
    """A judgement with its outcome: does it reproduce the study?"""

    category: str
    red: bool
    sentence: str
    origins: dict[str, int]
    """Number of runs by origin."""
    runs: list[str] = []  # noqa: RUF012  msgspec copies it
    """Ids of its runs, which `Report.provenance` has."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What one claim asks of one of its tasks, so that none is silently absent."""

    claim: str
    task: str
    evaluation_sets: list[str]
    attributes: list[str]
    """Whose sub-groups are compared; none where the claim is not about each attribute."""
    items: list[str]
    """Ids, one per evaluation set and attribute."""
    why_none: str
    """Empty where there are items."""


class ItemError(msgspec.Struct, frozen=True, kw_only=True):
    """An item that could not be judged."""

    id: str
    message: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The file `report.json`; field order is part of the format."""

    schema_version: int = SCHEMA_VERSION
    medbench: str
    created: str
    """UTC, ISO 8601, to the second."""
    tier: str
    generated: bool
    """True where any number comes from generated images (phantoms)."""
    scope: str
    """What the verdicts speak of, where it is less than the tier: a cohort or backbones of the user's own."""
    warnings: list[str]
    """What to know about the cohorts before believing a number."""
    environment: Session
    runs: RunCounts
    syntheses: list[Conclusion]
    """What the claims come to together."""
    asked: list[Asked]
    """By every claim of every task, selected for this session or not."""
    claims: list[ClaimResult]
    """Red ones first, then those that moved."""
    expectations: list[Check]
    anchors: list[Anchor]
    """What others published of sets of the same domains, where images are real; compared with nothing."""
    errors: list[ItemError]
    counts: dict[str, int]
    """Items by verdict, state and status."""
    provenance: list[RunOrigin]
    shapes: dict[str, dict[str, dict[str, str]]] = {}
    """Backbone and recipe of the selected items' runs, by task and arm, one dotted name a value."""
    since: Comparison | None = None
    """What changed since an earlier report; null where none was named."""
    figures: list[Figure] = []


def build(
    results: Iterable[ItemResult],
    *,
    version: str,
    created: str,
    tier: str,
    scope: str,
    warnings: list[str],
    environment: Session,
    planned: int,
    naive: int,
    asked: Iterable[Asked] = (),
    syntheses: Iterable[Synthesis] = (),
    anchors: Iterable[Anchor] = (),
    figures: Iterable[Figure] = (),
    shapes: dict[str, dict[str, dict[str, str]]] | None = None,
) -> Report:
    """The report of a session's results.

    Args:
      results: one per item, in the order of judging.
      version: of medbench.
      created: UTC, ISO 8601.
      tier: name of the tier.
      scope: see `Report.scope`.
      warnings: about the cohorts.
      environment: of this session.
      planned: distinct runs of the selection.
      naive: runs without sharing.
      asked: by every claim of every task.
      syntheses: as declared.
      anchors: published values to show beside.
      figures: to draw.
      shapes: see `Report.shapes`.
    """
    ordered = sorted(results, key=_urgency)
    judged = [result for result in ordered if result.judgement]
    adjusted = adjust(result.judgement for result in judged if result.judgement)
    runs = merge_runs(run for result in ordered for run in result.runs)
    origins = Counter(run.origin for run in runs)
    asked = list(asked)
    return Report(
        medbench=version,
        created=created,
        tier=tier,
        generated=any(result.judgement.generated for result in ordered if result.judgement),
        scope=scope,
        warnings=warnings,
        environment=environment,
        runs=RunCounts(
            planned=planned,
            executed=origins["trained"],
            reused=origins["reused"],
            loaded=origins["loaded"],
            naive=naive,
        ),
        syntheses=conclude(syntheses, adjusted, {(each.task, each.claim): each.items for each in asked}),
        asked=asked,
        claims=[_claim(result, judgement) for result, judgement in zip(judged, adjusted, strict=True)],
        expectations=[result.check for result in ordered if result.check],
        anchors=list(anchors),
        errors=[
            ItemError(id=result.id, message=result.sentence)
            for result in ordered
            if not result.judgement and not result.check
        ],
        counts=_counts(ordered),
        provenance=runs,
        shapes=shapes or {},
        figures=list(figures),
    )


def merge_runs(runs: Iterable[RunOrigin]) -> list[RunOrigin]:
    """Each run once, with its strongest origin, ordered by label."""
    merged: dict[str, RunOrigin] = {}
    for run in runs:
        known = merged.get(run.run_id)
        if known is None or _PRECEDENCE.index(run.origin) < _PRECEDENCE.index(known.origin):
            merged[run.run_id] = run
    return sorted(merged.values(), key=lambda run: run.label)


def to_json(report: Report) -> bytes:
    """The report as indented JSON; what is undefined is null."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _claim(result: ItemResult, judgement: Judgement) -> ClaimResult:
    return ClaimResult(
        **{name: getattr(judgement, name) for name in Judgement.__struct_fields__},
        category=result.category,
        red=result.red,
        sentence=result.sentence,
        origins=dict(sorted(Counter(run.origin for run in result.runs).items())),
        runs=[run.run_id for run in result.runs],
    )


def _urgency(result: ItemResult) -> tuple[bool, bool]:
    moved = result.check is not None and result.check.status not in ("ok", "no-expectation")
    return (not result.red, not moved)


_VERDICTS = ("supported", "refuted", "inconclusive")
_STATUSES = ("ok", "drifted", "verdict-changed", "vanished", "stale", "not-compared", "no-expectation")


def _counts(results: list[ItemResult]) -> dict[str, int]:
    judgements = [result.judgement for result in results if result.judgement]
    verdicts = Counter(judgement.verdict for judgement in judgements if judgement.state == "judged")
    states = Counter(judgement.state for judgement in judgements)
    statuses = Counter(result.check.status for result in results if result.check)
    return {
        "items": len(results),
        "judged": states["judged"],
        **{verdict: verdicts[verdict] for verdict in _VERDICTS},  # type: ignore[index]
        "missing": states["missing"],
        "not-run": states["not-run"],
        "errors": sum(result.judgement is None and result.check is None for result in results),
        **{status: statuses[status] for status in _STATUSES},  # type: ignore[index]
        "red": sum(result.red for result in results),
    }
