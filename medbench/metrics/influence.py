"""How much each example moves a metric: derivatives by its weight, where the metric has them in closed form.

They give the variance over patients without replicates; metrics that are not smooth have none.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medbench.metrics.calibration import one_vs_rest, sigmoid, tempered
from medbench.metrics.discrimination import scores_and_labels
from medbench.metrics.sample import Sample
from medbench.predictions import Predictions
from medbench.spec.metrics import BalancedAccuracy, Brier, MetricSpec, NegativeLogLikelihood, RocAuc, TopK


def influence(spec: MetricSpec, sample: Sample) -> NDArray[np.float64] | None:
    """The derivative of a metric by the weight of each example, at weights of one.

    The infinitesimal jackknife (Jaeckel 1972; Efron 1982). For ROC areas these are the structural
    components of DeLong et al. (1988), centred and divided by the size of the class. What is fitted on
    validation, such as a temperature, is held fixed, as the bootstrap holds it.

    Args:
      spec: of the metric.
      sample: of n examples; the metric is defined on it.

    Returns:
      (n,) values that sum to 0, 0 where an example's label is unknown; None where the metric has no
      derivative or none in closed form.
    """
    of_kind = _OF_KIND.get(type(spec))
    if of_kind is None or (isinstance(spec, Brier) and spec.part != "score"):
        return None
    values: NDArray[np.float64] = of_kind(spec, sample)
    return values


def _of_roc_auc(spec: RocAuc, sample: Sample) -> NDArray[np.float64]:
    names, scores, labels = scores_and_labels(sample.predictions)
    if spec.label and spec.label not in names:  # the first of two classes
        return _of_area(-scores[:, 0], sample.predictions.labels[:, 0])
    asked = [names.index(spec.label)] if spec.label else range(len(names))
    return _mean([_of_area(scores[:, i], labels[:, i]) for i in asked])


def _of_likelihood(spec: NegativeLogLikelihood, sample: Sample) -> NDArray[np.float64]:
    ready = _tempered(sample, scaled=spec.temperature)
    if _one_of_many(ready):
        true = ready.labels.argmax(axis=1)[:, None]
        surprise = np.logaddexp.reduce(ready.logits, axis=1) - np.take_along_axis(ready.logits, true, 1)[:, 0]
        return _of_mean(surprise, ready.labels.max(axis=1) == 1)
    events = one_vs_rest(ready)
    return _mean([_of_mean(np.logaddexp(0, _against(e.log_odds, e.happened)), e.known) for e in events])


def _of_brier(spec: Brier, sample: Sample) -> NDArray[np.float64]:
    ready = _tempered(sample, scaled=spec.temperature)
    parts = [_of_mean(sigmoid(_against(e.log_odds, e.happened)) ** 2, e.known) for e in one_vs_rest(ready)]
    return np.sum(parts, axis=0) if _one_of_many(ready) else _mean(parts)


def _of_top_k(spec: TopK, sample: Sample) -> NDArray[np.float64]:
    labels = sample.predictions.labels
    largest = np.argsort(-sample.predictions.logits, axis=1, kind="stable")[:, : spec.k]
    hits = np.take_along_axis(labels, largest, axis=1).max(axis=1) == 1
    return _of_mean(hits, labels.max(axis=1) == 1)


def _of_balanced_accuracy(spec: BalancedAccuracy, sample: Sample) -> NDArray[np.float64]:  # noqa: ARG001
    predictions = sample.predictions
    labels = predictions.labels.T
    if predictions.target.kind == "multi-label":
        called = (predictions.logits > 0).T
        rates = [_of_mean(c == v, of == v) for c, of in zip(called, labels, strict=True) for v in (0, 1)]
        return _mean(rates)
    called = np.argmax(predictions.logits, axis=1)
    return _mean([_of_mean(called == i, of == 1) for i, of in enumerate(labels)])


_OF_KIND: dict[type[MetricSpec], Callable[..., NDArray[np.float64]]] = {
    RocAuc: _of_roc_auc,
    NegativeLogLikelihood: _of_likelihood,
    Brier: _of_brier,
    TopK: _of_top_k,
    BalancedAccuracy: _of_balanced_accuracy,
}


def _of_area(scores: NDArray[np.float64], labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Of the area under one ROC curve: each example's share of the other class ranked right, centred."""
    positive, negative = labels == 1, labels == 0
    shares = np.zeros(len(labels))
    shares[positive] = _share_below(scores[positive], scores[negative])
    shares[negative] = 1 - _share_below(scores[negative], scores[positive])
    return _of_mean(shares, positive) + _of_mean(shares, negative)


def _share_below(scores: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each score the share of others that are smaller, equal ones counted half."""
    ranked = np.sort(others)
    below, at_most = (np.searchsorted(ranked, scores, side=side) for side in ("left", "right"))
    return (below + at_most) / (2 * len(others))


def _of_mean(values: NDArray[Any], of: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of the mean of (n,) values over the examples (n,) that it is of."""
    return np.where(of, values - values[of].mean(), 0.0) / of.sum()


def _mean(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean(parts, axis=0)
    return mean


def _against(log_odds: NDArray[np.float64], happened: NDArray[np.int8]) -> NDArray[np.float64]:
    """Log odds of what did not happen."""
    return np.where(happened == 1, -log_odds, log_odds)


def _one_of_many(predictions: Predictions) -> bool:
    return predictions.target.kind == "single-label" and len(predictions.target.classes) > 2


def _tempered(sample: Sample, *, scaled: bool) -> Predictions:
    ready = tempered(sample, scaled=scaled)
    assert not isinstance(ready, str), ready  # the metric is defined
    return ready
