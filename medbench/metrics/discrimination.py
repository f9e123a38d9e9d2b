"""How well scores separate the classes: the area under the receiver operating characteristic.

Every function takes weights, one row a bootstrap replicate, and answers for all rows at once.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medbench.errors import nearest
from medbench.metrics.estimates import Estimates
from medbench.metrics.sample import Sample
from medbench.predictions import Predictions
from medbench.spec.metrics import RocAuc


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
    rest = [np.logaddexp.reduce(np.delete(logits, i, axis=1), axis=1) for i in range(len(classes))]
    return classes, logits - np.stack(rest, axis=1), predictions.labels


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
    columns = [binary(scores[:, i], labels[:, i], weights, name=name) for i, name in enumerate(names)]
    defined = np.logical_and.reduce([column.defined for column in columns])
    mean = np.mean([column.values for column in columns], axis=0)
    reason = next((column.reason for column in columns if column.reason), "")
    return Estimates(np.where(defined, mean, 0.0), defined, reason)


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
    positives, negatives = weights[:, positive], weights[:, negative]
    # Column j is the weight of the j negatives that score lowest.
    lowest = np.zeros((len(weights), len(negative) + 1))
    np.cumsum(negatives, axis=1, out=lowest[:, 1:])
    below = lowest[:, np.searchsorted(scores[negative], scores[positive], side="left")]
    at_most = lowest[:, np.searchsorted(scores[negative], scores[positive], side="right")]
    won = (positives * (below + at_most)).sum(axis=1) / 2
    pairs = positives.sum(axis=1) * lowest[:, -1]
    defined = pairs > 0
    values = np.divide(won, pairs, out=np.zeros(len(weights)), where=defined)
    return Estimates(values, defined, _one_class(name, positives, defined))


def _one_class(name: str, positives: NDArray[np.float64], defined: NDArray[np.bool_]) -> str:
    """Why the first undefined area of `name` is undefined, or an empty string."""
    if defined.all():
        return ""
    lacking = "negative" if positives[np.argmin(defined)].any() else "positive"
    return f"`{name}` has no {lacking} example"
