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
    known = np.flatnonzero(labels >= 0)
    order = known[np.argsort(scores[known], kind="stable")]
    positive = labels[order] == 1
    in_order = weights[:, order].astype(np.float64, copy=False)
    positives, negatives = in_order * positive, in_order * ~positive
    total_positive, total_negative = positives.sum(axis=1), negatives.sum(axis=1)
    defined = (total_positive > 0) & (total_negative > 0)
    if not defined.any():
        return Estimates(np.zeros(len(weights)), defined, _one_class(name, total_positive, defined))
    first_of_tie = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) > 0)
    positives = np.add.reduceat(positives, first_of_tie, axis=1)
    negatives = np.add.reduceat(negatives, first_of_tie, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    won = (positives * below).sum(axis=1)
    pairs = np.where(defined, total_positive * total_negative, 1.0)
    values = np.where(defined, np.clip(won / pairs, 0.0, 1.0), 0.0)
    return Estimates(values, defined, _one_class(name, total_positive, defined))


def _one_class(name: str, total_positive: NDArray[np.float64], defined: NDArray[np.bool_]) -> str:
    """Why the first undefined area of `name` is undefined, or an empty string."""
    if defined.all():
        return ""
    lacking = "negative" if total_positive[np.argmin(defined)] > 0 else "positive"
    return f"`{name}` has no {lacking} example"
