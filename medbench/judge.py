"""From the predictions of paired runs to a verdict: the one function that applies a claim's predicate.

What was accepted earlier plays no part here (that is `expect`), nor what a verdict means for a pytest run
(that is `policy`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, inf
from typing import Any, Literal, Protocol

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from medbench.data.cohort import ID, VALIDATION
from medbench.errors import MedbenchError
from medbench.judgement import Definition, Interval, Judgement, Settle, Verdict
from medbench.metrics import Metric, Sample, evaluate, metric_named, pooled
from medbench.metrics.evidence import resting_on
from medbench.metrics.floor import noise_floor
from medbench.metrics.influence import influence
from medbench.metrics.unseen import most_unseen
from medbench.predicates import PREDICATES, verdict
from medbench.predictions import Predictions
from medbench.record import RunRecord
from medbench.spec.records import Claim
from medbench.spec.runs import PlannedItem
from medbench.stats.bootstrap import patient_weights, seed_sequence, weights_without
from medbench.stats.interval import LEVEL, ROUNDING, Claimed, Spread, limits, p_value
from medbench.stats.patients import influence_by_patient, patients_behind, variance_over_patients
from medbench.stats.power import (
    detectable,
    patients_and_seeds_that_settle,
    patients_that_settle,
    power,
    seeds_that_settle,
)

ARMS = ("baseline", "treatment")
REPLICATES = 1000
"""Of the patient bootstrap: its own noise moves a standard error by some 2 %."""

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

    The effect is the mean over seeds of the treatment's metric minus the baseline's on the same
    images, with the sign turned where lower is better, so that positive always favours the treatment.
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
    judgement = Judgement(
        id=item.id,
        task=item.task,
        claim=item.claim,
        evaluation_set=item.evaluation_set,
        statement=claim.statement,
        metric=metric.identity,
        baseline=item.baseline,
        treatment=item.treatment,
        state="not-run",
        margin=claim.margin,
        relevant_effect=claim.relevant_effect,
        family=claim.family,
        definition=definition_of(planned, claim),
        cohort_fingerprint=next(iter(planned.baseline.values())).cohort_fingerprint,
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
        arm: {seed: _sample(run, metric, item.evaluation_set) for seed, run in there[arm].items()}
        for arm in ARMS
    }
    predictions = {
        arm: {seed: sample.predictions for seed, sample in by_seed.items()} for arm, by_seed in scored.items()
    }
    _require_same_examples(planned, predictions)
    judgement = replace(judgement, **_facts(there, predictions))
    samples, undefined = _samples(metric, scored)
    judgement = replace(judgement, samples=samples)
    if undefined:
        return replace(judgement, state="missing", reason=undefined)
    return _with_verdict(judgement, claim, metric, scored)


def definition_of(planned: PlannedItem, claim: Claim) -> Definition:
    """What an item's values mean: equal definitions may be compared."""
    spec = next(iter(planned.baseline.values()))
    return Definition(
        predicate=claim.predicate,
        margin=claim.margin,
        metric=metric_named(planned.item.metric, planned.metrics).identity,
        evaluate=claim.evaluate,
        cohort=spec.cohort,
        labels=f"{spec.target.kind}: {', '.join(spec.target.classes)}",
    )


def _runs_there(planned: PlannedItem, runs: Runs) -> dict[str, dict[int, JudgedRun]] | str:
    """Every planned run by arm and seed, or which of them are not there."""
    there: dict[str, dict[int, JudgedRun]] = {arm: {} for arm in ARMS}
    absent = []
    for arm, specs in {"baseline": planned.baseline, "treatment": planned.treatment}.items():
        for seed in sorted(specs):
            run = runs.get(arm, {}).get(seed)
            if run is None:
                absent.append(f"{arm} seed {seed}")
            else:
                there[arm][seed] = run
    return f"no run of {', '.join(absent)}" if absent else there


def _sample(run: JudgedRun, metric: Metric, evaluation_set: str) -> Sample:
    """What the metric looks at of one run."""
    scored = run.predictions(evaluation_set)
    validation = run.predictions(VALIDATION) if metric.needs_validation else None
    if metric.pools_home:
        return pooled(run.predictions(ID), scored, validation)
    return Sample(scored, validation)


def _require_same_examples(
    planned: PlannedItem, predictions: Mapping[str, Mapping[int, Predictions]]
) -> None:
    """Paired means paired: every run must have scored the same images in the same order.

    Raises:
      MedbenchError: the message names the first two runs that differ, and in what.
    """
    runs = [(f"{arm} seed {seed}", by_seed[seed]) for arm, by_seed in predictions.items() for seed in by_seed]
    for (one, a), (other, b) in pairwise(runs):
        different = a.difference(b)
        if different:
            raise MedbenchError(
                f"{planned.item.id}: {one} and {other} were not scored on the same {different} "
                f"({len(a)} and {len(b)} examples), so they cannot be paired. Train them afresh "
                "on one cohort with --runs=force."
            )


def _facts(
    there: Mapping[str, Mapping[int, JudgedRun]], predictions: Mapping[str, Mapping[int, Predictions]]
) -> dict[str, object]:
    """The fields of a judgement that describe its runs and examples."""
    one = next(iter(predictions["baseline"].values()))
    devices = {
        arm: {seed: run.record.environment.device_class for seed, run in there[arm].items()} for arm in ARMS
    }
    trained = {arm: [seed for seed, run in there[arm].items() if run.origin != "loaded"] for arm in ARMS}
    measured = {devices[arm][seed] for arm in ARMS for seed in trained[arm]}
    return {
        "n_images": len(one),
        "n_patients": len(np.unique(one.patient)),
        "n_seeds": len(there["baseline"]),
        "groups": {
            name: sorted(str(group) for group in np.unique(values) if group)
            for name, values in one.attributes.items()
        },
        "trained": trained,
        "devices": devices,
        "environments": sorted(measured or {device for arm in ARMS for device in devices[arm].values()}),
    }


def _samples(
    metric: Metric, scored: Mapping[str, Mapping[int, Sample]]
) -> tuple[dict[str, dict[int, float]], str]:
    """The metric by arm and seed where it is defined, and why the first undefined one is not."""
    samples: dict[str, dict[int, float]] = {arm: {} for arm in ARMS}
    undefined = ""
    for arm in ARMS:
        for seed, sample in scored[arm].items():
            value, reason = evaluate(metric, sample)
            if value is None:
                undefined = undefined or f"{metric.name} of {arm}, seed {seed}, is undefined: {reason}"
            else:
                samples[arm][seed] = value
    return samples, undefined


def _with_verdict(
    judgement: Judgement,
    claim: Claim,
    metric: Metric,
    scored: Mapping[str, Mapping[int, Sample]],
) -> Judgement:
    """The judgement completed: effect, verdict, power and what would settle it."""
    inner = metric.inner.spec if metric.inner else None
    patients = min(resting_on(metric.spec, sample, inner) for arm in ARMS for sample in scored[arm].values())
    if patients < 2:
        reason = f"one {judgement.cluster} alone shows a class: there is no interval over patients"
        return replace(judgement, state="missing", reason=reason)
    sign = 1 if metric.higher_is_better else -1
    by_seed = [
        sign * (judgement.samples["treatment"][seed] - judgement.samples["baseline"][seed])
        for seed in judgement.samples["baseline"]
    ]
    over_patients = _by_influence(metric, scored, patients) or _by_bootstrap(judgement.id, metric, scored)
    judgement = replace(judgement, **over_patients.facts)
    if over_patients.undefined:
        return replace(judgement, state="missing", reason=over_patients.undefined)
    spread = Spread.of(by_seed, patients=over_patients.variance, n_patients=patients)
    mean, bias = float(np.mean(by_seed)), over_patients.floor
    low, high = limits(mean, spread)
    effect = Interval(value=mean, low=low - bias, high=high + bias)
    judgement = replace(
        judgement, state="judged", effect=effect, certified=_certified(metric, scored, patients)
    )
    reason = why_no_verdict(
        spread,
        behind=over_patients.behind,
        resampled=over_patients.facts["interval"] == "bootstrap",
        cluster=judgement.cluster,
    )
    if reason:
        return replace(judgement, **_verdicts(None, claim), note=reason)
    claimed = PREDICATES[claim.predicate](claim.margin)
    unseen = _unseen(claimed, metric, scored)
    certain = claimed.narrowed(bias + unseen)
    judgement = replace(
        judgement,
        **_verdicts(effect, claim, unseen),
        p=p_value(mean, certain, spread),
        power=power(claim.relevant_effect, certain, spread),
        detectable=detectable(certain, spread),
    )
    if judgement.verdict == "inconclusive" and verdict(effect, claimed) == "supported":
        return replace(judgement, note=_why_not_excluded(judgement, claimed, unseen))
    if judgement.verdict != "inconclusive":
        return judgement
    settle = Settle(
        patients=patients_that_settle(mean, certain, spread),
        seeds=seeds_that_settle(mean, certain, spread),
        both=patients_and_seeds_that_settle(mean, certain, spread),
    )
    better = effect.low > 0 and claim.predicate == "superiority"
    note = f"the treatment is better, but whether by more than {claim.margin:g} is open" if better else ""
    return replace(judgement, settle=settle, note=note)


@dataclass(frozen=True)
class _OverPatients:
    """What the choice of patients adds to the uncertainty of an effect.

    Attributes:
      facts: for the judgement: how the interval was made.
      variance: of the mean difference over seeds; 0 where it is undefined.
      floor: the most by which noise may bias the difference.
      behind: how many patients it effectively rests on.
      undefined: why there is none, else empty.
    """

    facts: Mapping[str, Any]
    variance: float = 0.0
    floor: float = 0.0
    behind: float = 0.0
    undefined: str = ""


def _by_influence(
    metric: Metric, scored: Mapping[str, Mapping[int, Sample]], patients: int
) -> _OverPatients | None:
    """From each patient's influence on the mean difference; None where the metric has no such form."""
    one = next(iter(scored["baseline"].values())).predictions
    total = np.zeros(len(one))
    for seed in scored["baseline"]:
        baseline, treatment = (influence(metric.spec, scored[arm][seed]) for arm in ARMS)
        if baseline is None or treatment is None:
            return None
        total += treatment - baseline
    by_patient = influence_by_patient(total / len(scored["baseline"]), one.patient)
    return _OverPatients(
        facts={"interval": "influence"},
        variance=variance_over_patients(by_patient, patients),
        behind=patients_behind(by_patient),
    )


def _by_bootstrap(item: str, metric: Metric, scored: Mapping[str, Mapping[int, Sample]]) -> _OverPatients:
    """From replicates of the patients, those in which any run is undefined left out."""
    patients, draws = next(iter(scored["baseline"].values())).predictions.patient, seed_sequence(item)
    replicates, defined, reason = _reweighted_effects(
        metric, scored, patient_weights(patients, REPLICATES, draws)
    )
    facts = {
        "interval": "bootstrap",
        "replicates": REPLICATES,
        "undefined_replicates": int((~defined).sum()),
    }
    if defined.sum() < REPLICATES / 2:
        reason = f"{metric.name} is undefined in most replicates of the patients: {reason}"
        return _OverPatients(facts=facts, undefined=reason)
    without, there, _ = _reweighted_effects(metric, scored, weights_without(patients, REPLICATES))
    random = np.random.default_rng(draws.spawn(1)[0])
    floor = max(noise_floor(metric, next(iter(scored[arm].values())), random) for arm in ARMS)
    return _OverPatients(
        facts=facts,
        variance=float(np.var(replicates[defined], ddof=1)),
        floor=floor,
        behind=patients_behind(without[there] - without[there].mean()) if there.any() else 0.0,
    )


def _reweighted_effects(
    metric: Metric, scored: Mapping[str, Mapping[int, Sample]], blocks: Iterable[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], str]:
    """The mean difference over seeds by weights of the examples: (b,) values, defined, reason."""
    sums, everywhere, reason = [], [], ""
    for weights in blocks:
        total, defined = np.zeros(len(weights)), np.ones(len(weights), dtype=bool)
        for seed in scored["baseline"]:
            baseline, treatment = (metric.values(scored[arm][seed], weights) for arm in ARMS)
            total += treatment.values - baseline.values
            defined &= baseline.defined & treatment.defined
            reason = reason or baseline.reason or treatment.reason
        sums.append(total)
        everywhere.append(defined)
    return np.concatenate(sums) / len(scored["baseline"]), np.concatenate(everywhere), reason


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
    fewest = FEWEST_RESAMPLED if resampled else FEWEST_OF_A_CLASS
    if spread.n_patients < fewest:
        return (
            f"a class is shown by {spread.n_patients} {cluster}s only, "
            f"and nothing is concluded from fewer than {fewest}"
        )
    if behind < FEWEST_BEHIND:
        return (
            f"the difference rests on {behind:.1f} {cluster}s, the arms score the others alike, "
            f"and nothing is concluded from fewer than {FEWEST_BEHIND}"
        )
    return ""


def _certified(metric: Metric, scored: Mapping[str, Mapping[int, Sample]], patients: int) -> bool:
    """Whether intervals were measured to hold for such data: one finding, enough patients, of each class."""
    one = next(iter(scored["baseline"].values())).predictions
    return (
        metric.spec.certified
        and one.target.kind == "single-label"
        and len(one.target.classes) == CERTIFIED_CLASSES
        and len(np.unique(one.patient)) >= CERTIFIED_PATIENTS
        and patients >= CERTIFIED_OF_A_CLASS
    )


def _unseen(claimed: Claimed, metric: Metric, scored: Mapping[str, Mapping[int, Sample]]) -> float:
    """What patients of a kind that is not among these may cost, by the claims that seeing nothing supports.

    Those are the claims that arms without any difference would fulfil; for others it is 0. A loss is the
    treatment's, a difference may be that of either arm.
    """
    if claimed.low >= 0:
        return 0.0
    at_risk = ARMS if claimed.high < inf else ("treatment",)
    return max(
        float(np.mean([most_unseen(metric, sample, LEVEL) for sample in scored[arm].values()]))
        for arm in at_risk
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


def _verdicts(effect: Interval | None, claim: Claim, unseen: float = 0.0) -> dict[str, Verdict]:
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
