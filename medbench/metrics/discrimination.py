"""How well scores separate the classes: areas under curves, rates at an operating point, shares called right.

Every function takes weights, one row a bootstrap replicate, and answers for all rows at once.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medbench.errors import nearest
from medbench.metrics.estimates import Estimates, mean_over
from medbench.metrics.running import running_sums
from medbench.metrics.sample import Sample
from medbench.predictions import Predictions
from medbench.spec.metrics import (
    AveragePrecision,
    BalancedAccuracy,
    RocAuc,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TopK,
)


def roc_auc(spec: RocAuc, sample: Sample, weights: NDArray[np.float64]) -> Estimates:
    """Area under the ROC curve, the mean over labels where there are several (`roc_auc@1`).

    Two single-label classes give one area, of the second class, by the difference of the logits.
    More classes give one-vs-rest areas by the log odds of each class; several labels give one area
    each, from the examples whose label is known. The mean over labels is undefined as soon as one
    area is: a mean over whichever labels happen to be defined would change its meaning from
    replicate to replicate.

    Args:
      spec: whether of one label.
      sample: of n examples.
      weights: (b, n) bootstrap weights, at least 0; a single row of ones for the estimate.

    Returns:
      (b,) areas in [0, 1]; higher is better.
    """
    return _over_labels(binary_roc_auc, spec.label, sample.predictions, weights)


def average_precision(spec: AveragePrecision, sample: Sample, weights: NDArray[np.float64]) -> Estimates:
    """Sum over thresholds of (recall - previous recall) x precision (`average_precision@1`).

    Every distinct score is a threshold, so that ties are one step; nothing is interpolated. Undefined
    without a positive, and without a negative, where every ranking has a precision of 1.

    Args:
      spec: whether of one label.
      sample: of n examples.
      weights: (b, n), at least 0.

    Returns:
      (b,) values in [0, 1]; higher is better, the share of positives is what chance gives.
    """
    return _over_labels(binary_average_precision, spec.label, sample.predictions, weights)


def sensitivity_at_specificity(
    spec: SensitivityAtSpecificity, sample: Sample, weights: NDArray[np.float64]
) -> Estimates:
    """The largest sensitivity at a specificity of at least the stated one (`sensitivity_at_specificity@1`).

    The threshold is the best of those that the sample itself allows, in every replicate anew, one
    above all scores included; nothing is interpolated between them.

    Args:
      spec: the specificity, and whether of one label.
      sample: of n examples.
      weights: (b, n), at least 0.

    Returns:
      (b,) sensitivities in [0, 1]; higher is better.
    """
    binary = partial(_best_rate, of=1, at_least=spec.specificity)
    return _over_labels(binary, spec.label, sample.predictions, weights)


def specificity_at_sensitivity(
    spec: SpecificityAtSensitivity, sample: Sample, weights: NDArray[np.float64]
) -> Estimates:
    """The largest specificity at a sensitivity of at least the stated one (`specificity_at_sensitivity@1`).

    As `sensitivity_at_specificity`, with the classes exchanged.

    Args:
      spec: the sensitivity, and whether of one label.
      sample: of n examples.
      weights: (b, n), at least 0.

    Returns:
      (b,) specificities in [0, 1]; higher is better.
    """
    binary = partial(_best_rate, of=0, at_least=spec.sensitivity)
    return _over_labels(binary, spec.label, sample.predictions, weights)


def balanced_accuracy(spec: BalancedAccuracy, sample: Sample, weights: NDArray[np.float64]) -> Estimates:  # noqa: ARG001
    """Mean over classes of the share of its examples that are called right (`balanced_accuracy@1`).

    A single-label example is called by its largest logit, the first of equal ones. Of several labels,
    each is called present where its probability exceeds one half, and the value is the mean over
    labels of (sensitivity + specificity) / 2. Undefined as soon as a class has no example.

    Args:
      spec: has no parameters.
      sample: of n examples.
      weights: (b, n), at least 0.

    Returns:
      (b,) values in [0, 1]; higher is better, one divided by the number of classes is what chance gives.
    """
    predictions = sample.predictions
    if predictions.target.kind == "multi-label":
        return _over_labels(_mean_of_rates, "", predictions, weights)
    lacking = not_finite(predictions, weights)
    if lacking is not None:
        return lacking
    called = np.argmax(predictions.logits, axis=1)
    right = np.stack(
        [
            _share(weights[:, members], called[members] == i)
            for i, members in enumerate((predictions.labels == 1).T)
        ]
    )
    defined = np.logical_and.reduce(~np.isnan(right))
    reason = ""
    if not defined.all():
        absent = int(np.argmax(np.isnan(right[:, np.argmin(defined)])))
        reason = f"`{predictions.target.classes[absent]}` has no example"
    return Estimates(np.where(defined, right.mean(axis=0), 0.0), defined, reason)


def top_k(spec: TopK, sample: Sample, weights: NDArray[np.float64]) -> Estimates:
    """Share of examples whose class is among the k largest logits (`top_k/1@1` is the accuracy).

    Of equal logits, those of earlier classes count as larger. Undefined for several labels, and where
    k is all classes, so that nothing can be wrong.

    Args:
      spec: k.
      sample: of n examples.
      weights: (b, n), at least 0.

    Returns:
      (b,) shares in [0, 1]; higher is better.
    """
    predictions = sample.predictions
    classes = len(predictions.target.classes)
    if predictions.target.kind == "multi-label":
        return undefined(weights, "several labels may be true at once, so that none is the example's class")
    if spec.k >= classes:
        return undefined(weights, f"the class is always among the {spec.k} largest of {classes} logits")
    lacking = not_finite(predictions, weights)
    if lacking is not None:
        return lacking
    known = predictions.labels.max(axis=1, initial=-1) == 1
    largest = np.argsort(-predictions.logits[known], axis=1, kind="stable")[:, : spec.k]
    hits = np.take_along_axis(predictions.labels[known], largest, axis=1).max(axis=1) == 1
    share = _share(weights[:, known], hits)
    defined = ~np.isnan(share)
    return Estimates(
        np.where(defined, share, 0.0), defined, "" if defined.all() else "no example has a known class"
    )


def scores_and_labels(
    predictions: Predictions,
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.int8]]:
    """The one-against-rest problems in predictions: names (k,), scores (n, k), labels (n, k) of 0, 1, -1.

    Scores are log odds, which rank as the probabilities do and do not saturate.
    """
    classes, logits = predictions.target.classes, predictions.logits.astype(np.float64)
    if predictions.target.kind == "multi-label":
        return classes, logits, predictions.labels
    if len(classes) == 2:
        return classes[1:], logits[:, 1:] - logits[:, :1], predictions.labels[:, 1:]
    rest = [_log_sum_exp(np.delete(logits, i, axis=1)) for i in range(len(classes))]
    return classes, logits - np.stack(rest, axis=1), predictions.labels


def _log_sum_exp(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the (n, k) logits of each example; several times faster than `np.logaddexp.reduce`."""
    largest = logits.max(axis=1)
    summed: NDArray[np.float64] = np.exp(logits - largest[:, None]).sum(axis=1)
    return largest + np.log(summed)


def not_finite(predictions: Predictions, weights: NDArray[np.float64]) -> Estimates | None:
    """Undefined in all (b,) replicates where any logit is not finite, with the count; else None."""
    broken = int((~np.isfinite(predictions.logits)).any(axis=1).sum())
    if not broken:
        return None
    return undefined(weights, f"{broken} of {len(predictions)} examples have logits that are not finite")


def undefined(weights: NDArray[np.float64], reason: str) -> Estimates:
    """Undefined in all (b,) replicates."""
    return Estimates(np.zeros(len(weights)), np.zeros(len(weights), dtype=bool), reason)


def _over_labels(
    binary: Callable[..., Estimates], label: str, predictions: Predictions, weights: NDArray[np.float64]
) -> Estimates:
    """A binary metric of one label, or its mean over the one-against-rest problems.

    Args:
      binary: (scores (n,), labels (n,), weights (b, n), name=) -> (b,) estimates.
      label: a class of the target; empty for the mean.
      predictions: of n examples.
      weights: (b, n), at least 0.
    """
    lacking = not_finite(predictions, weights)
    if lacking is not None:
        return lacking
    classes = predictions.target.classes
    if label and label not in classes:
        return undefined(weights, f"the target has no label `{label}`. {nearest(label, classes)}")
    names, scores, labels = scores_and_labels(predictions)
    if label in names:
        i = names.index(label)
        return binary(scores[:, i], labels[:, i], weights, name=label)
    if label:  # the first of two classes
        return binary(-scores[:, 0], predictions.labels[:, 0], weights, name=label)
    return mean_over([binary(scores[:, i], labels[:, i], weights, name=name) for i, name in enumerate(names)])


def binary_roc_auc(
    scores: NDArray[np.float64], labels: NDArray[np.int8], weights: NDArray[np.float64], *, name: str
) -> Estimates:
    """Probability that a positive example scores higher than a negative one, ties counted half.

    The weighted Mann-Whitney form of the area: one sort for all replicates, then cumulative sums.

    Args:
      scores: (n,) finite, higher for the positive class.
      labels: (n,) of 0, 1, and -1 where unknown; unknown examples are left out.
      weights: (b, n), at least 0.
      name: of the label, for the reason.

    Returns:
      (b,) areas in [0, 1]; undefined where a class has no weight.
    """
    positive = np.flatnonzero(labels == 1)
    negative = np.flatnonzero(labels == 0)
    negative = negative[np.argsort(scores[negative])]
    positives, lowest = weights.T[positive], running_sums(weights, negative)
    outdone = lowest[np.searchsorted(scores[negative], scores[positive], side="left")]
    outdone += lowest[np.searchsorted(scores[negative], scores[positive], side="right")]
    won = np.einsum("ij,ij->j", positives, outdone) / 2
    pairs = positives.sum(axis=0) * lowest[-1]
    defined = pairs > 0
    values = np.divide(won, pairs, out=np.zeros(len(weights)), where=defined)
    return Estimates(values, defined, _one_class(name, positives, defined))


def binary_average_precision(
    scores: NDArray[np.float64], labels: NDArray[np.int8], weights: NDArray[np.float64], *, name: str
) -> Estimates:
    """Average precision of one label; arguments as of `binary_roc_auc`.

    Returns:
      (b,) values in [0, 1]; undefined where a class has no weight.
    """
    found, false = _called(scores, labels, weights)
    called = found + false
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    steps = np.diff(found, axis=0, prepend=0.0)
    positives, negatives = found[-1], false[-1]
    defined = (positives > 0) & (negatives > 0)
    values = np.divide((steps * precision).sum(axis=0), positives, out=np.zeros(len(weights)), where=defined)
    return Estimates(values, defined, _one_class(name, weights.T[labels == 1], defined))


def _best_rate(
    scores: NDArray[np.float64],
    labels: NDArray[np.int8],
    weights: NDArray[np.float64],
    *,
    name: str,
    of: int,
    at_least: float,
) -> Estimates:
    """The largest share of a class that is called right, where at least some share of the other class is.

    Args:
      scores: (n,) as of `binary_roc_auc`.
      labels: (n,) as of `binary_roc_auc`.
      weights: (b, n) as of `binary_roc_auc`.
      name: of the label, for the reason.
      of: the class whose share is wanted: 1 for the sensitivity, 0 for the specificity.
      at_least: what any threshold must leave of the other class.

    Returns:
      (b,) shares in [0, 1]; undefined where a class has no weight.
    """
    found, false = _called(scores, labels, weights)
    right, total = (false[-1] - false, found), (false[-1], found[-1])
    defined = (total[0] > 0) & (total[1] > 0)
    # Whole numbers divided round as the stated figure does, so that 9 of 10 is at least .9.
    wanted, other = (
        np.divide(right[c], total[c], out=np.zeros_like(found), where=total[c] > 0) for c in (of, 1 - of)
    )
    values = np.where((other >= at_least) & defined, wanted, 0.0).max(axis=0)
    return Estimates(values, defined, _one_class(name, weights.T[labels == 1], defined))


def _mean_of_rates(
    scores: NDArray[np.float64], labels: NDArray[np.int8], weights: NDArray[np.float64], *, name: str
) -> Estimates:
    """(sensitivity + specificity) / 2 where a label is called present at log odds above 0."""
    positive, negative = labels == 1, labels == 0
    sensitivity = _share(weights[:, positive], scores[positive] > 0)
    specificity = _share(weights[:, negative], scores[negative] <= 0)
    values = (sensitivity + specificity) / 2
    defined = ~np.isnan(values)
    return Estimates(np.where(defined, values, 0.0), defined, _one_class(name, weights.T[positive], defined))


def _called(
    scores: NDArray[np.float64], labels: NDArray[np.int8], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight of the positives and of the negatives at or above each threshold: (t + 1, b) each.

    Thresholds are one above all scores and the t distinct scores, from the highest down.
    """
    order = np.argsort(-scores)
    ends = np.concatenate([[0], np.flatnonzero(np.diff(scores[order])) + 1, [len(order)]])

    def at_or_above(label: int) -> NDArray[np.float64]:
        of_class = labels[order] == label
        return running_sums(weights, order[of_class])[np.append(0, np.cumsum(of_class))[ends]]

    return at_or_above(1), at_or_above(0)


def _share(weights: NDArray[np.float64], hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The weighted share of hits in each of b rows; not a number where a row has no weight."""
    total = weights.sum(axis=1)
    return np.divide(weights @ hits, total, out=np.full(len(weights), np.nan), where=total > 0)


def _one_class(name: str, positives: NDArray[np.float64], defined: NDArray[np.bool_]) -> str:
    """Why the first undefined area of `name` is undefined, by (p, b) positives; or an empty string."""
    if defined.all():
        return ""
    lacking = "negative" if positives[:, np.argmin(defined)].any() else "positive"
    return f"`{name}` has no {lacking} example"
