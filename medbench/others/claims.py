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
from medbench.plan import resolved_metrics, units_of
from medbench.spec.effects import BASELINE, TREATMENT, terms
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
            allowed = asked if isinstance(asked, NotAllowed) else _planned(folder, suite, task, asked)
            if isinstance(allowed, NotAllowed):
                refused.append(allowed)
                continue
            planned, runs, left_out = allowed
            judged.append(judge(planned, claim, runs, cluster=folder.declared.cluster))
            notes += left_out
    return judged, refused, notes


def _items(folder: Folder, claim: Claim, task: Task) -> Iterator[Item | NotAllowed]:
    """What the claim asks of these backbones and evaluation sets."""
    sides = _arms(folder, claim)
    if not sides:
        compared = dict.fromkeys(
            " with ".join(arm.label.removeprefix("bit-") for arm in arms.values())
            for arms in claim.arms.values()
        )
        reason = f"no such arms: it compares {'; '.join(compared)} (upstream and architecture)"
        yield NotAllowed(claim=claim.claim, evaluation_set="", reason=reason)
        return
    sets = {"id": [ID], "each-shift": folder.declared.shifts, "each-set": [ID, *folder.declared.shifts]}
    if not sets[claim.evaluate]:
        reason = "no such evaluation set: no shift is declared"
        yield NotAllowed(claim=claim.claim, evaluation_set="", reason=reason)
    attributes = [name for name in task.attributes if name in folder.attributes]
    if claim.each_attribute and not attributes:
        reason = f"no such sub-groups: it compares those by {', '.join(task.attributes)}"
        yield NotAllowed(claim=claim.claim, evaluation_set="", reason=reason)
    for evaluation_set in sets[claim.evaluate]:
        for attribute in attributes if claim.each_attribute else [""]:
            for arms in sides:
                yield Item(
                    task=folder.declared.task,
                    claim=claim.claim,
                    evaluation_set=evaluation_set,
                    metric=task.primary if claim.metric == PRIMARY else claim.metric,
                    attribute=attribute,
                    arms=arms,
                )


def _arms(folder: Folder, claim: Claim) -> list[dict[str, str]]:
    """The folder's backbones in the claim's arms, for every tier of which it has all, with all the data."""
    declared = folder.declared
    if declared.arms:
        pair = {BASELINE: declared.arms.baseline, TREATMENT: declared.arms.treatment}
        return [pair] if any(arms.keys() == pair.keys() for arms in claim.arms.values()) else []
    at = {(position.upstream, position.architecture): name for name, position in declared.backbones.items()}
    sides = []
    for arms in claim.arms.values():
        found = {name: at.get((arm.upstream, arm.architecture)) for name, arm in arms.items()}
        side = {name: backbone for name, backbone in found.items() if backbone is not None}
        if len(side) == len(arms) and all(arm.fraction == 1 for arm in arms.values()) and side not in sides:
            sides.append(side)
    return sides


def _planned(
    folder: Folder, suite: Suite, task: Task, item: Item
) -> tuple[PlannedItem, dict[str, dict[int, OthersRun | None]], list[str]] | NotAllowed:
    """The item with the runs that all arms have, and a note on those that some arms have alone."""
    claim, metrics = suite.claims[item.claim], resolved_metrics(suite, task, item)
    metric = metric_named(item.metric, metrics)
    of_terms = terms(claim.effect, list(item.arms), item.evaluation_set)
    sets = {name for term in of_terms for name in _sets(metric, term.evaluation_set)}
    seeds = {arm: folder.seeds(name, sets) for arm, name in item.arms.items()}
    common = sorted(set.intersection(*map(set, seeds.values())))
    if len(common) < 2:
        return NotAllowed(
            claim=item.claim,
            evaluation_set=item.evaluation_set,
            reason=_too_few(item.arms, seeds, common, sets, metric.name),
        )
    specs = {arm: {seed: spec_of(folder, name, seed) for seed in common} for arm, name in item.arms.items()}
    units = units_of(task, folder.attributes, next(iter(specs[next(iter(specs))].values())).target)
    planned = PlannedItem(item=item, metrics=metrics, terms=of_terms, units=units, runs=specs)
    runs: dict[str, dict[int, OthersRun | None]] = {
        arm: {seed: run_of(folder, spec) for seed, spec in by_seed.items()} for arm, by_seed in specs.items()
    }
    left_out = [
        f"{item.id}: seeds {', '.join(map(str, alone))} of {name} have no counterpart and are left out"
        for arm, name in item.arms.items()
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
        return f"one seed ({common[0]}) in all arms: the noise of training is unknown, three are needed"
    of = " and ".join(f"{', '.join(map(str, seeds[arm]))} of {name}" for arm, name in arms.items())
    return f"no seed in all arms: seeds are {of}, and arms are compared seed by seed"
