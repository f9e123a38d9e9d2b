"""How well scores separate the classes: the area under the receiver operating characteristic.

Every function takes weights, one row a bootstrap replicate, and answers for all rows at once.
"""

import numpy as np
from numpy.typing import NDArray

from medbench.metrics.estimates import Estimates
from medbench.predictions import Predictions


def roc_auc(predictions: Predictions, weights: NDArray[np.float64]) -> Estimates:
    """Area under the ROC curve, the mean over labels where there are several (`roc_auc@1`).

    Two single-label classes give one area, of the second class, by the difference of the logits.
    More classes give one-vs-rest areas by the log odds of each class; several labels give one area
    each, from the examples whose label is known. The mean over labels is undefined as soon as one
    area is: a mean over whichever labels happen to be defined would change its meaning from
    replicate to replicate.

    Args:
      predictions: of n examples.
      weights: (b, n) bootstrap weights, at least 0; a single row of ones for the estimate.

    Returns:
      (b,) areas in [0, 1]; higher is better.
    """
    if not np.isfinite(predictions.logits).all():
        count = int((~np.isfinite(predictions.logits)).any(axis=1).sum())
        b = len(weights)
        reason = f"{count} of {len(predictions)} examples have logits that are not finite"
        return Estimates(np.zeros(b), np.zeros(b, dtype=bool), reason)
    names, scores, labels = scores_and_labels(predictions)
    columns = [binary_roc_auc(scores[:, i], labels[:, i], weights, name=name) for i, name in enumerate(names)]
    defined = np.logical_and.reduce([column.defined for column in columns])
    mean = np.mean([column.values for column in columns], axis=0)
    reason = next((column.reason for column in columns if column.reason), "")
    return Estimates(np.where(defined, mean, 0.0), defined, reason)


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
