"""From the predictions of paired runs to a verdict: the one function that applies a claim's predicate.

What was accepted earlier plays no part here (that is `expect`), nor what a verdict means for a pytest run
(that is `policy`).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil, inf
from typing import Literal, Protocol

import numpy as np
from msgspec.structs import replace

from medbench.data.cohort import ID, VALIDATION
from medbench.errors import MedbenchError, few
from medbench.judgement import Definition, Interval, Judgement, Settle, Verdict
from medbench.metrics import Metric, Sample, evaluate, metric_named, pooled
from medbench.metrics.evidence import resting_on
from medbench.metrics.unseen import most_unseen
from medbench.over_patients import Evidence, Scored, of_sum
from medbench.predicates import PREDICATES, verdict
from medbench.predictions import Predictions
from medbench.record import RunRecord
from medbench.saving import saving
from medbench.spec.effects import DataSaved
from medbench.spec.metrics import AnyMetric
from medbench.spec.records import Claim
from medbench.spec.runs import Item, PlannedItem
from medbench.spec.units import Unit
from medbench.stats.interval import LEVEL, ROUNDING, Claimed, Spread, limits, p_value
from medbench.stats.power import (
    Doubt,
    detectable,
    patients_and_seeds_that_settle,
    patients_that_settle,
    power,
    seeds_that_settle,
)
from medbench.units import in_words, joined

FEWEST_SEEDS = 3
"""An arm. With two, a limit holds in 92 of 100 studies instead of 95 where seeds differ by more than patients
explain (tests/stats/test_interval.py), with three in 94."""
FEWEST_OF_A_CLASS = 10
"""Patients that must show each class before anything is concluded."""
FEWEST_RESAMPLED = 20
"""The same where the interval is by the bootstrap: the smallest number that was studied (docs/gate.md, by
`medbench.gate.scarce`)."""
CERTIFIED_CLASSES, CERTIFIED_PATIENTS, CERTIFIED_OF_A_CLASS = 2, 100, 20
"""Where intervals were measured to hold (docs/gate.md)."""
FEWEST_BEHIND = 10
"""Patients on whom a difference must effectively rest. Of areas near 1, with fewer, the patients who would be
ranked differently were hardly drawn, and the spread looks small (docs/gate.md, by `medbench.gate.scarce`)."""


class JudgedRun(Protocol):
    """What judging asks of a run in the store."""

    @property
    def record(self) -> RunRecord:
        """Its record."""

    @property
    def origin(self) -> Literal["trained", "reused", "loaded"]:
        """Trained now, earlier, or loaded from the reference runs."""

    def predictions(self, evaluation_set: str) -> Predictions:
        """Its predictions, verified."""


Runs = Mapping[str, Mapping[int, JudgedRun | None]]
"""By arm and seed; None or absent where a run was not to be made."""


def judge(
    planned: PlannedItem, claim: Claim, runs: Runs, *, generated: bool = False, cluster: str = "patient"
) -> Judgement:
    """Judge one item from its runs, paired by patient and seed.

    The effect is the mean over seeds of what the claim makes of its arms, such as the treatment's metric
    minus the baseline's on the same images, with the sign turned where lower is better, so that positive
    always favours the treatment.
    Deterministic: where the interval needs a bootstrap, its draws follow from the item's id.

    Args:
      planned: the item and its runs' specs.
      claim: that the item belongs to.
      runs: by arm and seed.
      generated: whether the cohort's images are.
      cluster: what stands for a patient in the cohort.

    Returns:
      A judgement in state `judged`; `not-run` where a planned run is not there; `missing` where the
      metric, or an interval for it, is undefined, with the reason.

    Raises:
      MedbenchError: the runs were not scored on the same images, patients, labels and sub-groups.
    """
    item, metric = planned.item, metric_named(planned.item.metric, planned.metrics)
    judgement = replace(
        not_run(item, claim, planned.metrics),
        definition=definition_of(planned, claim),
        cohort_fingerprint=planned.all_runs[0].cohort_fingerprint,
        generated=generated,
        cluster=cluster,
    )
    there = _runs_there(planned, runs)
    if isinstance(there, str):
        return replace(judgement, reason=there)
    if metric.pools_home and item.evaluation_set == ID:
        reason = (
            f"{metric.name} tells a shift from `{ID}`, so on `{ID}` itself there is nothing to tell apart"
        )
        return replace(judgement, state="missing", reason=reason)
    scored = {
        term.name: {
            seed: sample_of(run, metric, term.evaluation_set, planned.units)
            for seed, run in there[term.arm].items()
        }
        for term in planned.terms
    }
    _require_same_examples(planned, scored)
    judgement = replace(judgement, **_facts(planned, there, scored))
    samples, undefined = _samples(metric, scored)
    judgement = replace(judgement, samples=samples)
    if undefined:
        return replace(judgement, state="missing", reason=undefined)
    inner = metric.inner.spec if metric.inner else None
    patients = min(resting_on(metric.spec, sample, inner) for of in scored.values() for sample in of.values())
    if patients < 2:
        reason = f"one {cluster} alone shows a class: there is no interval over patients"
        return replace(judgement, state="missing", reason=reason)
    evidence = Evidence(item.id, metric, planned.terms, scored, samples, patients)
    if isinstance(claim.effect, DataSaved):
        return _with_saving(judgement, claim, evidence, planned)
    return _with_sum(judgement, claim, evidence)


def evaluation_sets(planned: PlannedItem) -> frozenset[str]:
    """The sets whose predictions are looked at when an item is judged."""
    metric = metric_named(planned.item.metric, planned.metrics)
    beside = {VALIDATION: metric.needs_validation, ID: metric.pools_home}
    looked_at = {term.evaluation_set for term in planned.terms}
    return frozenset(looked_at | {name for name, needed in beside.items() if needed})


def not_run(item: Item, claim: Claim, metrics: Mapping[str, AnyMetric], reason: str = "") -> Judgement:
    """All that can be said of an item that has no runs.

    Args:
      item: the item.
      claim: that it belongs to.
      metrics: the item's metric by its name, and the one that it is `of`.
      reason: why there are none.
    """
    return Judgement(
        id=item.id,
        task=item.task,
        claim=item.claim,
        evaluation_set=item.evaluation_set,
        statement=claim.statement,
        source=f"{claim.source.study} [{claim.source.strength}]",
        metric=metric_named(item.metric, metrics).identity,
        attribute=item.attribute,
        arms=item.arms,
        state="not-run",
        reason=reason,
        margin=claim.margin,
        relevant_effect=claim.relevant_effect,
        family=claim.family,
    )


def definition_of(planned: PlannedItem, claim: Claim) -> Definition:
    """What an item's values mean: equal definitions may be compared."""
    spec = planned.all_runs[0]
    return Definition(
        predicate=claim.predicate,
        margin=claim.margin,
        metric=metric_named(planned.item.metric, planned.metrics).identity,
        evaluate=claim.evaluate,
        cohort=spec.cohort,
        labels=f"{spec.target.kind}: {', '.join(spec.target.classes)}",
        effect=str(type(claim.effect).__struct_config__.tag),
        weights={term.name: round(term.weight, 6) for term in planned.terms if term.weight},
        units=in_words(planned.units),
    )


def _runs_there(planned: PlannedItem, runs: Runs) -> dict[str, dict[int, JudgedRun]] | str:
    """Every planned run by arm and seed, or which of them are not there."""
    there: dict[str, dict[int, JudgedRun]] = {arm: {} for arm in planned.runs}
    absent = []
    for arm, specs in planned.runs.items():
        for seed in sorted(specs):
            run = runs.get(arm, {}).get(seed)
            if run is None:
                absent.append(f"{arm} seed {seed}")
            else:
                there[arm][seed] = run
    return f"no run of {few(absent)}; train them with --runs=auto" if absent else there


def sample_of(run: JudgedRun, metric: Metric, evaluation_set: str, units: Sequence[Unit]) -> Sample:
    """What the metric looks at of one run on one evaluation set, images joined to what is scored."""

    def scored(name: str) -> Predictions:
        return joined(run.predictions(name), units)

    validation = scored(VALIDATION) if metric.needs_validation else None
    if metric.pools_home:
        return pooled(scored(ID), scored(evaluation_set), validation)
    return Sample(scored(evaluation_set), validation, record=run.record)


def _require_same_examples(planned: PlannedItem, scored: Scored) -> None:
    """Paired means paired: on a set every run must have scored the same images in the same order.

    Raises:
      MedbenchError: the message names the first two runs that differ, and in what.
    """
    for evaluation_set in dict.fromkeys(term.evaluation_set for term in planned.terms):
        runs = [
            (f"{term.arm} seed {seed}", sample.predictions)
            for term in planned.terms
            if term.evaluation_set == evaluation_set
            for seed, sample in scored[term.name].items()
        ]
        _require_equal(planned.item.id, runs)


def _require_equal(item: str, runs: Sequence[tuple[str, Predictions]]) -> None:
    for (one, a), (other, b) in pairwise(runs):
        different = a.difference(b)
        if different:
            raise MedbenchError(
                f"{item}: {one} and {other} were not scored on the same {different} "
                f"({len(a)} and {len(b)} examples), so they cannot be paired. Train them afresh "
                "on one cohort with --runs=force."
            )


def _facts(
    planned: PlannedItem, there: Mapping[str, Mapping[int, JudgedRun]], scored: Scored
) -> dict[str, object]:
    """The fields of a judgement that describe its runs and examples."""
    one = next(iter(scored[planned.terms[0].name].values())).predictions
    runs = {term.name: there[term.arm] for term in planned.terms}
    devices = {
        name: {seed: run.record.environment.device_class for seed, run in of.items()}
        for name, of in runs.items()
    }
    trained = {
        name: [seed for seed, run in of.items() if run.origin != "loaded"] for name, of in runs.items()
    }
    measured = {devices[name][seed] for name, seeds in trained.items() for seed in seeds}
    return {
        "n_images": len(one),
        "n_patients": len(np.unique(one.patient)),
        "n_seeds": len(next(iter(there.values()))),
        "groups": {
            name: sorted(str(group) for group in np.unique(values) if group)
            for name, values in one.attributes.items()
        },
        "trained": trained,
        "devices": devices,
        "environments": sorted(measured or {device for of in devices.values() for device in of.values()}),
    }


def _samples(metric: Metric, scored: Scored) -> tuple[dict[str, dict[int, float]], str]:
    """The metric by term and seed where it is defined, and why the first undefined one is not."""
    samples: dict[str, dict[int, float]] = {name: {} for name in scored}
    undefined = ""
    for name, by_seed in scored.items():
        for seed, sample in by_seed.items():
            value, reason = evaluate(metric, sample)
            if value is None:
                undefined = undefined or f"{metric.name} of {name}, seed {seed}, is undefined: {reason}"
            else:
                samples[name][seed] = value
    return samples, undefined


def _with_sum(judgement: Judgement, claim: Claim, evidence: Evidence) -> Judgement:
    """The judgement of a weighted sum completed: effect, verdict, power and what would settle it."""
    sign = 1 if evidence.metric.higher_is_better else -1
    by_seed = sign * evidence.by_seed @ np.array([term.weight for term in evidence.terms])
    over_patients = of_sum(evidence)
    judgement = replace(judgement, **over_patients.facts)
    if over_patients.undefined:
        return replace(judgement, state="missing", reason=over_patients.undefined)
    spread = Spread.of(by_seed, patients=over_patients.variance, n_patients=evidence.patients)
    mean, bias = float(np.mean(by_seed)), over_patients.floor
    low, high = limits(mean, spread)
    effect = Interval(value=mean, low=low - bias, high=high + bias)
    judgement = replace(judgement, state="judged", effect=effect, certified=_certified(evidence))
    reason = why_no_verdict(
        spread,
        behind=over_patients.behind,
        resampled=over_patients.facts["interval"] == "bootstrap",
        cluster=judgement.cluster,
    )
    if reason:
        return replace(judgement, **verdicts(None, claim), note=reason)
    claimed = PREDICATES[claim.predicate](claim.margin)
    unseen = _unseen(claimed, evidence)
    doubt = Doubt(bias, unseen)
    certain = doubt.to_support(claimed)
    judgement = replace(
        judgement,
        **verdicts(effect, claim, unseen),
        p=p_value(mean, certain, spread),
        power=power(claim.relevant_effect, certain, spread),
        detectable=detectable(certain, spread),
    )
    if judgement.verdict == "inconclusive" and verdict(effect, claimed) == "supported":
        return replace(judgement, note=_why_not_excluded(judgement, claimed, unseen))
    if judgement.verdict != "inconclusive":
        return judgement
    settle = Settle(
        patients=patients_that_settle(mean, claimed, spread, doubt),
        seeds=seeds_that_settle(mean, claimed, spread, doubt),
        both=patients_and_seeds_that_settle(mean, claimed, spread, doubt),
    )
    better = effect.low > 0 and claim.predicate == "superiority"
    note = f"there is a gain, but whether of more than {claim.margin:g} is open" if better else ""
    return replace(judgement, settle=settle, note=note)


def _with_saving(judgement: Judgement, claim: Claim, evidence: Evidence, planned: PlannedItem) -> Judgement:
    """The judgement of the data that is saved completed: effect and verdict; power is not known."""
    if judgement.n_seeds == 1:
        reason = "one seed: the noise of training is unknown, so no curve is read; train more"
        return replace(judgement, state="missing", reason=reason)
    fractions = {arm: next(iter(specs.values())).fraction for arm, specs in planned.runs.items()}
    found = saving(evidence, fractions)
    judgement = replace(judgement, **found.facts)
    if found.effect is None or found.replicates is None:
        return replace(judgement, state="missing", reason=found.undefined)
    judgement = replace(judgement, state="judged", effect=found.effect)
    over_all = Spread(
        patients=float(np.var(found.replicates, ddof=1)),
        seeds=0.0,
        n_patients=evidence.patients,
        n_seeds=judgement.n_seeds,
    )
    reason = why_no_verdict(over_all, behind=evidence.patients, resampled=True, cluster=judgement.cluster)
    if reason:
        return replace(judgement, **verdicts(None, claim), note=reason)
    outside = max(
        np.mean(sign * (found.replicates - bound) <= 0)
        for bound, sign in PREDICATES[claim.predicate](claim.margin).bounds
    )
    n = len(found.replicates)
    return replace(judgement, **verdicts(found.effect, claim), p=float((1 + outside * n) / (1 + n)))


def why_no_verdict(spread: Spread, *, behind: float, resampled: bool, cluster: str) -> str:
    """Why an interval is there but carries no verdict, or an empty string.

    Args:
      spread: of the effect.
      behind: how many patients the effect effectively rests on.
      resampled: whether the variance over patients is by the bootstrap.
      cluster: what stands for a patient.
    """
    if spread.n_seeds < FEWEST_SEEDS:
        known = "one seed: the noise of training is unknown"
        if spread.n_seeds > 1:
            known = f"{spread.n_seeds} seeds: the noise of training is hardly known"
        return f"{known}, so nothing is concluded; train {FEWEST_SEEDS - spread.n_seeds} more an arm"
    if spread.standard_error < ROUNDING:
        return "the difference is the same for all patients and seeds, so chance cannot be told from it"
    return why_too_few_patients(spread.n_patients, behind=behind, resampled=resampled, cluster=cluster)


def why_too_few_patients(patients: float, *, behind: float, resampled: bool, cluster: str) -> str:
    """Why so few patients allow no conclusion, or an empty string.

    Args:
      patients: of the smallest cell that the metric compares.
      behind: how many of them the difference effectively rests on.
      resampled: whether the variance over patients is by the bootstrap.
      cluster: what stands for a patient.
    """
    fewest = FEWEST_RESAMPLED if resampled else FEWEST_OF_A_CLASS
    if patients < fewest:
        return (
            f"a class is shown by {patients} {cluster}s only, "
            f"and nothing is concluded from fewer than {fewest}"
        )
    if behind < FEWEST_BEHIND:
        if round(behind) == 0:
            return f"no {cluster} makes a difference between the arms, so nothing is concluded"
        return (
            f"the difference rests on {behind:.1f} {cluster}s, the arms score the others alike, "
            f"and nothing is concluded from fewer than {FEWEST_BEHIND}"
        )
    return ""


def _certified(evidence: Evidence) -> bool:
    """Whether intervals were measured to hold for such data: one finding, enough patients, of each class."""
    sets = [sample.predictions for sample in evidence.sets.values()]
    target = sets[0].target
    return (
        evidence.metric.spec.certified
        and target.kind == "single-label"
        and len(target.classes) == CERTIFIED_CLASSES
        and min(len(np.unique(of.patient)) for of in sets) >= CERTIFIED_PATIENTS
        and evidence.patients >= CERTIFIED_OF_A_CLASS
    )


def _unseen(claimed: Claimed, evidence: Evidence) -> float:
    """What patients of a kind that is not among these may cost, by the claims that seeing nothing supports.

    Those are the claims that arms without any difference would fulfil; for others it is 0. A loss is the
    treatment's, a difference may be that of either arm.
    """
    if claimed.low >= 0:
        return 0.0
    at_risk = [term for term in evidence.terms if term.weight > 0 or claimed.high < inf]
    by_set = dict.fromkeys((term.evaluation_set for term in at_risk), 0.0)
    for term in at_risk:
        samples = evidence.scored[term.name].values()
        cost = float(np.mean([most_unseen(evidence.metric, sample, LEVEL) for sample in samples]))
        by_set[term.evaluation_set] = max(by_set[term.evaluation_set], cost)
    return sum(
        cost * sum(max(term.weight, 0.0) for term in evidence.terms if term.evaluation_set == name)
        for name, cost in by_set.items()
    )


def _why_not_excluded(judgement: Judgement, claimed: Claimed, unseen: float) -> str:
    """Why a difference that was not seen is not excluded, and how many patients would do."""
    assert judgement.effect is not None
    room = min(judgement.effect.low - claimed.low, claimed.high - judgement.effect.high)
    return (
        f"within the margin of {judgement.margin:g}, but {judgement.cluster}s of a kind that by chance is "
        f"not among these may cost {unseen:.2g}: to exclude them takes {_rounded_up(unseen / room)} times "
        "as many"
    )


def _rounded_up(factor: float) -> str:
    return f"{ceil(round(10 * factor, 6)) / 10:g}"


def verdicts(effect: Interval | None, claim: Claim, unseen: float = 0.0) -> dict[str, Verdict]:
    """The verdict at the margin, at half of it and at twice it; inconclusive without an effect.

    A claim is supported only if it would be were the effect worse by what `unseen` patients may cost.
    """
    claimed = PREDICATES[claim.predicate]
    margins = {
        "verdict": claim.margin,
        "verdict_at_half_margin": claim.margin / 2,
        "verdict_at_twice_margin": claim.margin * 2,
    }
    verdicts: dict[str, Verdict] = {}
    for name, margin in margins.items():
        drawn = "inconclusive" if effect is None else verdict(effect, claimed(margin))
        if effect is not None and drawn == "supported":
            certain = verdict(effect, claimed(margin).narrowed(unseen))
            drawn = "supported" if certain == "supported" else "inconclusive"
        verdicts[name] = drawn
    return verdicts
