"""How far sub-groups lie apart in another metric, how the worst of them fares, and a table of them all.

Which groups are compared is decided once, on the full sample, never by a bootstrap replicate.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError, nearest
from medbench.metrics.discrimination import not_finite, scores_and_labels, undefined
from medbench.metrics.estimates import Estimates, why_undefined
from medbench.metrics.sample import Sample
from medbench.spec.metrics import EqualizedOddsGap, GroupGap, WorstGroup
from medbench.stats.bootstrap import patient_weights, seed_sequence
from medbench.stats.interval import ROUNDING

InnerValues = Callable[[Sample, NDArray[np.float64]], Estimates]
"""The metric that is compared: (sample of n examples, (b, n) weights) -> (b,) estimates."""
_OfRows = Callable[[NDArray[np.intp], NDArray[np.float64]], Estimates]
"""The same of a part of the sample: ((m,) rows, (b, m) their weights) -> (b,) estimates."""

NOISE_REPLICATES = 100
"""Of the patients of each group: a variance is then known to some 14 %, and the correction takes its root."""


@dataclass(frozen=True, eq=False)  # told apart by identity: what is found out of one is kept
class Group:
    """The examples that share a value of every attribute.

    Attributes:
      name: the value; of several attributes their values in the order asked for, as in `female & 60+`.
      rows: (m,) positions of its examples in the sample.
      patients: how many have an example in it.
    """

    name: str
    rows: NDArray[np.intp]
    patients: int


@dataclass(frozen=True)
class Groups:
    """What a sample falls into; groups are sorted by their values.

    Attributes:
      kept: those with enough patients.
      too_small: the others.
      unrecorded: how many examples lack a value, and so are in no group.
    """

    kept: tuple[Group, ...]
    too_small: tuple[Group, ...]
    unrecorded: int


@dataclass(frozen=True)
class GroupRow:
    """A group's line in a report.

    Attributes:
      name: of the group.
      value: of the metric within the group; None where undefined.
      reason: why it is undefined, else empty.
      n_patients: in the group.
      n_images: in the group.
      prevalence: by label, the share of positives in [0, 1] among the images whose label is known, None
        where none is. Of two single-label classes the second only.
      compared: whether the group counts in gaps: it is large enough and has a value.
    """

    name: str
    value: float | None
    reason: str
    n_patients: int
    n_images: int
    prevalence: Mapping[str, float | None]
    compared: bool


def groups(sample: Sample, attributes: Sequence[str], smallest: int) -> Groups:
    """Form the groups of one attribute, or of all combinations of several that occur.

    A group is as large as its patients are many: a hundred images of one person tell little. A patient
    whose images differ in an attribute, such as the site of a lesion, counts in each of its groups.

    Args:
      sample: of n examples.
      attributes: names, at least one.
      smallest: patients that a kept group has at least.

    Raises:
      MedbenchError: no attribute is named, or the predictions lack one; the message names the nearest.
    """
    lacking = _lacking(sample, attributes)
    if lacking:
        raise MedbenchError(lacking)
    columns = [sample.predictions.attributes[name] for name in attributes]
    recorded = np.flatnonzero(np.logical_and.reduce([column != "" for column in columns]))
    value_of = [np.unique(column[recorded], return_inverse=True) for column in columns]
    shape = tuple(len(values) for values, _ in value_of)
    _, first, group_of = np.unique(
        np.ravel_multi_index(tuple(of for _, of in value_of), shape), return_index=True, return_inverse=True
    )
    patients = sample.predictions.patient
    found = []
    for i, example in enumerate(recorded[first]):
        rows, name = recorded[group_of == i], " & ".join(column[example] for column in columns)
        found.append(Group(name, rows, len(np.unique(patients[rows]))))
    return Groups(
        kept=tuple(group for group in found if group.patients >= smallest),
        too_small=tuple(group for group in found if group.patients < smallest),
        unrecorded=len(sample) - len(recorded),
    )


def by_group(
    inner_values: InnerValues, sample: Sample, attributes: Sequence[str], smallest: int
) -> list[GroupRow]:
    """The metric within every group, those left out of gaps included; arguments and errors as of `groups`."""
    found = groups(sample, attributes, smallest)
    rows = []
    for group in sorted((*found.kept, *found.too_small), key=lambda group: group.name):
        part = part_of(sample, group.rows)
        estimate = inner_values(part, np.ones((1, len(part))))
        defined = bool(estimate.defined[0])
        rows.append(
            GroupRow(
                name=group.name,
                value=float(estimate.values[0]) if defined else None,
                reason="" if defined else estimate.reason,
                n_patients=group.patients,
                n_images=len(part),
                prevalence=_prevalence(part),
                compared=defined and group.patients >= smallest,
            )
        )
    return rows


def group_gap(
    spec: GroupGap,
    inner_values: InnerValues,
    sample: Sample,
    weights: NDArray[np.float64],
    *,
    higher_is_better: bool,
) -> Estimates:
    """The gap between groups in another metric (`group_gap@1`): best minus worst, or whole minus worst.

    The whole is all examples, those of small groups and of none included; where it fares worse than every
    group (the AUC of a mixture may), the gap is 0. Groups in which the metric is undefined on the full sample
    are left out, as are small ones; a replicate in which a kept group is undefined is undefined.

    *Correction.* The best minus the worst of equal groups is positive, because each is measured with noise.
    With `corrected` the groups' values are first drawn together, by as much as noise has driven them apart:

        value -> centre + sqrt(t / (t + v)) (value - centre),   centre = mean weighted by 1 / (t + v)

    v is the group's variance over its patients: from a bootstrap of the full sample, the same for all
    replicates. t is the variance between the groups' true values, by moments (DerSimonian and Laird 1986),
    at least 0. The root makes the values spread as the true ones do; shrunk all the way, by t / (t + v), they
    would be the best guess of each and spread too little (Louis 1984, doi:10.1080/01621459.1984.10478062).
    A small group, whose value is mostly noise, is drawn in most.

    *Limits.* No estimate of a gap is free of bias everywhere: a gap has a kink where groups are equal, and
    an estimate that is never negative, and not always 0, is too large there. What noise makes too small by
    chance is cut off at 0: between 2, 4 and 6 equal groups the corrected gap is mostly 0, and its mean .43,
    .34 and .30 of the plain one's. Judging adds what is left to the interval (`medbench.metrics.floor`). A
    true gap of five standard errors of a group is underestimated by 5 to 8 %, one of two and a half by some
    20 % (simulated in tests/metrics/test_fairness.py); where several groups tie for the best or the worst,
    it may be overestimated by as much. Only the noise of patients is taken off, not that of training; a
    patient in several groups is taken for several; v is itself an estimate. A group without any spread, such
    as one that is separated perfectly, is given the others' mean variance per patient; where no group has
    spread nothing is taken off.

    Args:
      spec: the attributes and the rest of the definition.
      inner_values: of the other metric.
      sample: of n examples.
      weights: (b, n) bootstrap weights, at least 0; a single row of ones for the estimate.
      higher_is_better: the other metric's direction.

    Returns:
      (b,) gaps, at least 0, in the other metric's unit; lower is better. Undefined where fewer than two
      groups are left; the reason names what was left out.
    """
    of_rows = partial(_inner_of_rows, inner_values, sample)
    kept, reason = _compared(inner_values, sample, tuple(spec.attributes), spec.smallest)
    if reason:
        return undefined(weights, reason)
    values, defined, reason = _values(of_rows, kept, weights)
    if spec.corrected:
        values = drawn_together(values, _noise(inner_values, sample, kept))
    if spec.statistic == "max-min":
        gaps = np.ptp(values, axis=1)
    else:
        whole = inner_values(sample, weights)
        reason = why_undefined([(defined, reason), (whole.defined, whole.reason)])
        defined = defined & whole.defined
        worse = whole.values[:, None] - values if higher_is_better else values - whole.values[:, None]
        gaps = np.maximum(worse.max(axis=1), 0.0)
    return Estimates(np.where(defined, gaps, 0.0), defined, reason)


def worst_group(
    spec: WorstGroup,
    inner_values: InnerValues,
    sample: Sample,
    weights: NDArray[np.float64],
    *,
    higher_is_better: bool,
) -> Estimates:
    """The worst group's value of another metric (`worst_group@1`); arguments as of `group_gap`.

    Which group is the worst may differ between replicates. The worst of several noisy values lies below
    the worst true one, the more so the smaller the groups: compare it between models on the same patients.

    Returns:
      (b,) values, in the other metric's range; undefined as `group_gap` is.
    """
    of_rows = partial(_inner_of_rows, inner_values, sample)
    kept, reason = _compared(inner_values, sample, tuple(spec.attributes), spec.smallest)
    if reason:
        return undefined(weights, reason)
    values, defined, reason = _values(of_rows, kept, weights)
    worst = values.min(axis=1) if higher_is_better else values.max(axis=1)
    return Estimates(np.where(defined, worst, 0.0), defined, reason)


def equalized_odds_gap(spec: EqualizedOddsGap, sample: Sample, weights: NDArray[np.float64]) -> Estimates:
    """The larger of the gaps in sensitivity and in specificity at one threshold (`equalized_odds_gap@1`).

    Hardt et al. (2016), as fairlearn's `equalized_odds_difference`. An example is called positive from the
    threshold on that `youden_threshold` finds on the validation set; groups share it. Several labels, or
    one-against-rest problems of more than two classes: the mean of their gaps; a group that lacks an outcome
    of any is left out. Noise makes the gap too large, as `group_gap` explains; nothing is taken off here.

    Args:
      spec: the attributes and the smallest size of a group.
      sample: of n examples, with validation.
      weights: (b, n), at least 0.

    Returns:
      (b,) gaps in [0, 1]; lower is better. Undefined as `group_gap` is, and where the validation set is not
      there or lacks an outcome.
    """
    validation = sample.validation
    if validation is None:
        return undefined(weights, "there are no predictions on the validation set to find the threshold on")
    lacking = not_finite(sample.predictions, weights) or not_finite(validation, weights)
    if lacking is not None:
        return lacking
    names, scores, labels = scores_and_labels(sample.predictions)
    rates: list[_OfRows] = []
    for name, column, outcome, seen, known in zip(
        names, scores.T, labels.T, *(array.T for array in scores_and_labels(validation)[1:]), strict=True
    ):
        threshold = youden_threshold(seen, known)
        if threshold is None:
            missing = "negative" if (known == 1).any() else "positive"
            return undefined(weights, f"`{name}` has no {missing} example in the validation set")
        called = column >= threshold
        rates.append(partial(_rate, outcome == 1, called, f"`{name}` has no positive example"))
        rates.append(partial(_rate, outcome == 0, ~called, f"`{name}` has no negative example"))
    kept, reason = _comparable(rates, sample, spec.attributes, spec.smallest)
    if reason:
        return undefined(weights, reason)
    results = [_values(rate, kept, weights) for rate in rates]
    defined = np.logical_and.reduce([defined for _, defined, _ in results])
    gaps = np.array([np.ptp(values, axis=1) for values, _, _ in results]).reshape(-1, 2, len(weights))
    reason = why_undefined([(defined, reason) for _, defined, reason in results])
    return Estimates(np.where(defined, gaps.max(axis=1).mean(axis=0), 0.0), defined, reason)


def youden_threshold(scores: NDArray[np.float64], labels: NDArray[np.int8]) -> float | None:
    """The score from which on to call positive, for the largest sensitivity + specificity - 1 (Youden 1950).

    Args:
      scores: (n,) finite, higher for the positive class.
      labels: (n,) of 0, 1, and -1 where unknown; unknown examples are left out.

    Returns:
      A score that occurs, of equally good ones the highest; None where a class has no example.
    """
    positive, negative = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    if not len(positive) or not len(negative):
        return None
    candidates = np.unique(np.concatenate([positive, negative]))[::-1]
    hits = len(positive) - np.searchsorted(positive, candidates)
    alarms = len(negative) - np.searchsorted(negative, candidates)
    # In whole numbers, so that equally good thresholds compare as equal.
    return float(candidates[np.argmax(hits * len(negative) - alarms * len(positive))])


def drawn_together(values: NDArray[np.float64], variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Group values that spread as the true ones do, not as noise makes them; see `group_gap`.

    Args:
      values: (b, k) of at least two groups.
      variances: (k,) of each group's value; all positive, or all 0 where there is no noise.

    Returns:
      (b, k) values in the same order, no further apart.
    """
    if not variances.any():
        return values
    precision = 1 / variances
    share = precision / precision.sum()
    apart = (values - (values @ share)[:, None]) ** 2 @ precision
    excess = np.maximum(apart - (values.shape[1] - 1), 0.0)
    between = (excess / (precision @ (1 - share)))[:, None]
    weight = 1 / (between + variances)
    centre = (weight * values).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    return centre + np.sqrt(between * weight) * (values - centre)


@lru_cache(maxsize=32)  # the seeds of an item: one correction serves all replicates of a run
def _noise(inner_values: InnerValues, sample: Sample, kept: tuple[Group, ...]) -> NDArray[np.float64]:
    """The variances by which the values of a sample's groups are drawn together."""
    return _variances(partial(_inner_of_rows, inner_values, sample), kept, sample.predictions.patient)


def _variances(of_rows: _OfRows, kept: Sequence[Group], patients: NDArray[np.str_]) -> NDArray[np.float64]:
    """The variance of each group's value over its patients: (k,), all positive or all 0."""
    variances = np.array([_variance(of_rows, group, patients[group.rows]) for group in kept])
    sizes = np.array([group.patients for group in kept])
    spread = variances > ROUNDING**2
    if not spread.any():
        return np.zeros(len(kept))
    a_patient = (variances * sizes)[spread].mean()
    return np.where(spread, variances, a_patient / sizes)


def _variance(of_rows: _OfRows, group: Group, patients: NDArray[np.str_]) -> float:
    """Bootstrap variance of one group's value over its (m,) patients, from the replicates that have one."""
    values: list[float] = []
    for weights in patient_weights(patients, NOISE_REPLICATES, seed_sequence(group.name)):
        estimates = of_rows(group.rows, weights)
        values.extend(estimates.values[estimates.defined])
    return float(np.var(values, ddof=1)) if len(values) > 1 else 0.0


@lru_cache(maxsize=32)  # the seeds of an item, as above
def _compared(
    inner_values: InnerValues, sample: Sample, attributes: tuple[str, ...], smallest: int
) -> tuple[tuple[Group, ...], str]:
    """The groups that can be compared in one metric, or why there are none."""
    return _comparable([partial(_inner_of_rows, inner_values, sample)], sample, attributes, smallest)


def _comparable(
    metrics: Iterable[_OfRows], sample: Sample, attributes: Sequence[str], smallest: int
) -> tuple[tuple[Group, ...], str]:
    """The groups that are large enough and in which all metrics are defined; why that is no comparison."""
    lacking = _lacking(sample, attributes)
    if lacking:
        return (), lacking
    found = groups(sample, attributes, smallest)
    kept: list[Group] = []
    left_out = [f"{group.name} has {group.patients} of {smallest} patients" for group in found.too_small]
    metrics = list(metrics)
    for group in found.kept:
        once = np.ones((1, len(group.rows)))
        reason = next((e.reason for metric in metrics if (e := metric(group.rows, once)).reason), "")
        if reason:
            left_out.append(f"{group.name}: {reason}")
        else:
            kept.append(group)
    if len(kept) > 1:
        return tuple(kept), ""
    if found.unrecorded:
        left_out.append(f"examples without {' or '.join(attributes)}: {found.unrecorded}")
    why = "; ".join([f"{group.name} can" for group in kept] + left_out) or "there is none"
    return (), f"fewer than two groups by {' & '.join(attributes)} can be compared: {why}"


def _values(
    of_rows: _OfRows, kept: Sequence[Group], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], str]:
    """A metric by replicate and group (b, k), where all groups have one (b,), and the first reason."""
    estimates = [of_rows(group.rows, weights[:, group.rows]) for group in kept]
    named = [(e.defined, f"{group.name}: {e.reason}") for group, e in zip(kept, estimates, strict=True)]
    return (
        np.stack([e.values for e in estimates], axis=1),
        np.logical_and.reduce([e.defined for e in estimates]),
        why_undefined(named),
    )


def _inner_of_rows(
    inner_values: InnerValues, sample: Sample, rows: NDArray[np.intp], weights: NDArray[np.float64]
) -> Estimates:
    return inner_values(part_of(sample, rows), weights)


def _rate(
    among: NDArray[np.bool_],
    right: NDArray[np.bool_],
    lacking: str,
    rows: NDArray[np.intp],
    weights: NDArray[np.float64],
) -> Estimates:
    """The share of right calls among some of the examples; `lacking` where there are none of them."""
    weights = weights * among[rows]
    total = weights.sum(axis=1)
    defined = total > 0
    values = np.divide(weights @ right[rows], total, out=np.zeros(len(weights)), where=defined)
    return Estimates(values, defined, "" if defined.all() else lacking)


def part_of(sample: Sample, rows: NDArray[np.intp]) -> Sample:
    """The sample cut down to some examples; what is fitted on validation stays as it is."""
    whole = sample.predictions
    predictions = replace(
        whole,
        **{name: getattr(whole, name)[rows] for name in ("image", "patient", "labels", "logits")},
        attributes={name: values[rows] for name, values in whole.attributes.items()},
    )
    shifted = None if sample.shifted is None else sample.shifted[rows]
    return replace(sample, predictions=predictions, shifted=shifted)


def _prevalence(sample: Sample) -> dict[str, float | None]:
    """By label, the share of positives among the examples whose label is known."""
    target, labels = sample.predictions.target, sample.predictions.labels
    first = 1 if target.kind == "single-label" and len(target.classes) == 2 else 0
    return {
        name: float((column == 1).sum() / (column >= 0).sum()) if (column >= 0).any() else None
        for name, column in zip(target.classes[first:], labels.T[first:], strict=True)
    }


def _lacking(sample: Sample, attributes: Sequence[str]) -> str:
    """Why groups cannot be formed by these attributes, or an empty string."""
    recorded = sample.predictions.attributes
    if not attributes:
        return f"no attribute is named to form groups by. {nearest('', recorded)}".strip()
    for name in attributes:
        if name not in recorded:
            return f"the predictions have no attribute `{name}`. {nearest(name, recorded)}".strip()
    return ""
