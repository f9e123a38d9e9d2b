"""Which claims of a suite somebody else's predictions allow, and the verdicts on these.

`medbench.judge` does the judging, from runs that are made of the files; nothing is expected of them.
"""

from collections.abc import Iterator

import msgspec

from medbench.data.cohort import ID, VALIDATION
from medbench.errors import MedbenchError
from medbench.judge import judge
from medbench.judgement import Judgement
from medbench.metrics import Metric, metric_named
from medbench.others.folder import Folder
from medbench.others.runs import OthersRun, run_of, spec_of
from medbench.spec.records import PRIMARY, Claim, Suite, Task
from medbench.spec.runs import Item, PlannedItem

SCHEMA_VERSION = 1


class NotAllowed(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that the predictions do not allow to judge."""

    claim: str
    evaluation_set: str
    """Empty where none is to blame."""
    reason: str


class PredictionsReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `medbench judge --predictions --json` writes; field order is part of the format."""

    schema_version: int = SCHEMA_VERSION
    medbench: str
    predictions: str
    """The folder."""
    warnings: list[str]
    claims: list[Judgement]
    not_allowed: list[NotAllowed]
    counts: dict[str, int]
    """Items by verdict and state."""


def judge_claims(folder: Folder, suite: Suite) -> tuple[list[Judgement], list[NotAllowed], list[str]]:
    """Every claim of the suite about the folder's domain: judged, or why not; and what was left out.

    Raises:
      MedbenchError: the suite has no task of the domain.
    """
    tasks = {name: task for name, task in suite.tasks.items() if task.domain == folder.declared.domain}
    if not tasks:
        domains = sorted({task.domain for task in suite.tasks.values()})
        raise MedbenchError(
            f"{suite.root}: no task of the domain `{folder.declared.domain}`. It has {', '.join(domains)}."
        )
    judged: list[Judgement] = []
    refused: list[NotAllowed] = []
    notes: list[str] = []
    for claim in suite.claims.values():
        task = next((tasks[name] for name in claim.tasks if name in tasks), None)
        if task is None:
            reason = f"it is not about {folder.declared.domain}"
            refused.append(NotAllowed(claim=claim.claim, evaluation_set="", reason=reason))
            continue
        for asked in _items(folder, claim, task):
            allowed = asked if isinstance(asked, NotAllowed) else _planned(folder, suite, asked)
            if isinstance(allowed, NotAllowed):
                refused.append(allowed)
                continue
            planned, runs, left_out = allowed
            judged.append(judge(planned, claim, runs, cluster=folder.declared.cluster))
            notes += left_out
    return judged, refused, notes


def _items(folder: Folder, claim: Claim, task: Task) -> Iterator[Item | NotAllowed]:
    """What the claim asks of these backbones and evaluation sets."""
    pairs = _arms(folder, claim)
    if not pairs:
        compared = dict.fromkeys(
            " with ".join(f"{arm.upstream} {arm.architecture}" for arm in (arms.baseline, arms.treatment))
            for arms in claim.arms.values()
        )
        reason = f"no such arms: it compares {'; '.join(compared)} (upstream and architecture)"
        yield NotAllowed(claim=claim.claim, evaluation_set="", reason=reason)
        return
    sets = [ID] if claim.evaluate == "id" else folder.declared.shifts
    if not sets:
        reason = "no such evaluation set: no shift is declared"
        yield NotAllowed(claim=claim.claim, evaluation_set="", reason=reason)
    for evaluation_set in sets:
        for baseline, treatment in pairs:
            yield Item(
                task=folder.declared.task,
                claim=claim.claim,
                evaluation_set=evaluation_set,
                metric=task.primary if claim.metric == PRIMARY else claim.metric,
                baseline=baseline,
                treatment=treatment,
            )


def _arms(folder: Folder, claim: Claim) -> list[tuple[str, str]]:
    """The folder's backbones in the claim's arms, for every tier that it has both of."""
    declared = folder.declared
    if declared.arms:
        return [(declared.arms.baseline, declared.arms.treatment)]
    at = {(position.upstream, position.architecture): name for name, position in declared.backbones.items()}
    pairs = [
        tuple(at.get((arm.upstream, arm.architecture)) for arm in (arms.baseline, arms.treatment))
        for arms in claim.arms.values()
    ]
    return list(dict.fromkeys((b, t) for b, t in pairs if b is not None and t is not None))


def _planned(
    folder: Folder, suite: Suite, item: Item
) -> tuple[PlannedItem, dict[str, dict[int, OthersRun | None]], list[str]] | NotAllowed:
    """The item with the runs that both arms have, and a note on those that one arm has alone."""
    metric = metric_named(item.metric, suite.metrics)
    sets = _sets(metric, item.evaluation_set)
    arms = {"baseline": item.baseline, "treatment": item.treatment}
    seeds = {arm: folder.seeds(name, sets) for arm, name in arms.items()}
    common = sorted(set(seeds["baseline"]) & set(seeds["treatment"]))
    if len(common) < 2:
        return NotAllowed(
            claim=item.claim,
            evaluation_set=item.evaluation_set,
            reason=_too_few(arms, seeds, common, sets, metric.name),
        )
    specs = {arm: {seed: spec_of(folder, name, seed) for seed in common} for arm, name in arms.items()}
    planned = PlannedItem(
        item=item, metrics=suite.metrics, baseline=specs["baseline"], treatment=specs["treatment"]
    )
    runs: dict[str, dict[int, OthersRun | None]] = {
        arm: {seed: run_of(folder, spec) for seed, spec in by_seed.items()} for arm, by_seed in specs.items()
    }
    left_out = [
        f"{item.id}: seeds {', '.join(map(str, alone))} of {arms[arm]} have no counterpart and are left out"
        for arm in arms
        if (alone := sorted(set(seeds[arm]) - set(common)))
    ]
    return planned, runs, left_out


def _sets(metric: Metric, evaluation_set: str) -> set[str]:
    """Every set whose predictions the metric looks at."""
    validation = {VALIDATION} if metric.needs_validation else set()
    return {evaluation_set} | validation | ({ID} if metric.pools_home else set())


def _too_few(
    arms: dict[str, str], seeds: dict[str, list[int]], common: list[int], sets: set[str], metric: str
) -> str:
    """Why fewer than two seeds can be paired."""
    words = " and ".join(f"`{name}`" for name in sorted(sets))
    for arm, name in arms.items():
        if not seeds[arm]:
            return f"no such evaluation set: {metric} needs {words}, and {name} has no run scored on that"
    if common:
        return f"one seed ({common[0]}) in both arms: the noise of training is unknown, three are needed"
    of = " and ".join(f"{', '.join(map(str, seeds[arm]))} of {name}" for arm, name in arms.items())
    return f"no seed in both arms: seeds are {of}, and arms are compared seed by seed"
