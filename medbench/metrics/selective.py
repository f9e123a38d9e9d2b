"""What a model's doubt is worth: leaving its least confident calls to a person, and noticing strange images.

Confidence is compared by log odds, which order as probabilities do and do not saturate.
"""

import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError
from medbench.metrics.calibration import (
    Event,
    has_weight,
    no_example,
    of_defined,
    one_vs_rest,
    sigmoid,
    tempered,
    top_label,
)
from medbench.metrics.discrimination import binary_roc_auc, undefined
from medbench.metrics.estimates import Estimates, mean_over
from medbench.metrics.running import running_sums
from medbench.metrics.sample import Sample
from medbench.predictions import Predictions
from medbench.spec.metrics import MisclassificationAuc, OutOfDistributionAuc, RiskCoverageArea


def risk_coverage_area(spec: RiskCoverageArea, sample: Sample, weights: NDArray[np.float64]) -> Estimates:
    """Mean error rate over the k most confident examples, k = 1 ... n (Geifman et al. 2019); ties averaged.

    Examples of equal confidence come in random order: the value is the expectation over all their orders,
    in closed form by harmonic numbers, so that it does not depend on the order of rows. An example
    drawn w times counts as w examples of equal confidence. Several labels: the mean over labels.

    Args:
      spec: whether after temperature scaling.
      sample: of n examples.
      weights: (b, n) whole numbers, at least 0.

    Returns:
      (b,) areas in [0, 1]; lower is better.
    """
    ready = tempered(sample, scaled=spec.temperature)
    if isinstance(ready, str):
        return undefined(weights, ready)
    return mean_over([_area(event, weights) for event in top_label(ready)])


def misclassification_auc(
    spec: MisclassificationAuc, sample: Sample, weights: NDArray[np.float64]
) -> Estimates:
    """Probability that a wrongly called example is less confident than a rightly called one, ties half.

    As the area under a ROC curve (Hendrycks and Gimpel 2017). Several labels: the mean over labels.

    Args:
      spec: whether after temperature scaling.
      sample: of n examples.
      weights: (b, n), at least 0.

    Returns:
      (b,) areas in [0, 1]; undefined where all examples are called rightly, or all wrongly.
    """
    ready = tempered(sample, scaled=spec.temperature)
    if isinstance(ready, str):
        return undefined(weights, ready)
    return mean_over([_doubt_auc(event, weights) for event in top_label(ready)])


def out_of_distribution_auc(
    spec: OutOfDistributionAuc, sample: Sample, weights: NDArray[np.float64]
) -> Estimates:
    """Probability that an example of the shift looks stranger than one of `id`, ties half.

    Strange is a small probability of the most probable answer, its large entropy, or a large energy, -log
    sum exp of the logits (Liu et al. 2020). Several labels are taken as independent given the image,
    so that the answer is the whole set of labels: the log of its largest probability, the entropy and
    the energy are sums over labels (the energy is the JointEnergy of Wang et al. 2021, whose terms are
    -log(1 + exp logit)). True labels are not looked at.

    Args:
      spec: the score.
      sample: of n examples, those of `id` and of the shift.
      weights: (b, n), at least 0.

    Returns:
      (b,) areas in [0, 1]; undefined where either set has no weight.
    """
    if sample.shifted is None:
        return undefined(weights, "no examples of a shift are scored together with those of `id`")
    ready = tempered(sample, scaled=False)
    if isinstance(ready, str):
        return undefined(weights, ready)
    strangeness = _energy(sample.predictions) if spec.score == "energy" else _SCORES[spec.score](ready)
    area = binary_roc_auc(strangeness, sample.shifted.astype(np.int8), weights, name="shift")
    seen = has_weight(weights, ~sample.shifted)
    lacking = "a shift" if seen[np.argmin(area.defined)] else "`id`"
    return of_defined(area.values, area.defined, f"there is no example of {lacking}")


def risk_coverage_curve(sample: Sample) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Error rate among the most confident examples, for plots: coverage (n,) k / n, and risk (n,).

    Its mean risk is the area of `risk_coverage_area` without temperature: ties are averaged as there.
    Several labels: the mean of their curves; a label that is not known for all examples has its own
    curve read at these shares, with straight lines between its points.

    Raises:
      MedbenchError: the area is undefined; the message says why.
    """
    area = risk_coverage_area(RiskCoverageArea(), sample, np.ones((1, len(sample))))
    ready = tempered(sample, scaled=False)
    if isinstance(ready, str) or not area.defined[0]:
        raise MedbenchError(f"no risk-coverage curve: {area.reason}")
    coverage = np.arange(1, len(sample) + 1) / len(sample)
    curves = [_curve(event) for event in top_label(ready)]
    risks = [np.interp(coverage, np.arange(1, len(curve) + 1) / len(curve), curve) for curve in curves]
    return coverage, np.mean(risks, axis=0)


def _area(event: Event, weights: NDArray[np.float64]) -> Estimates:
    """The area of one event: what each error adds to the risk at its own place and at all later ones.

    An error at place k of N adds 1 / k + ... + 1 / N = H(N) - H(k - 1). Of m ties at the places after M
    each is an error with e / m, so that together they add, with G(k) = H(0) + ... + H(k - 1) = k (H(k) - 1),
    e H(N) - e / m (G(M + m) - G(M)).
    """
    order, starts = _tie_groups(event)
    if not len(order):
        return undefined(weights, no_example(event.name))
    wrong = event.happened[order] == 0
    with_error = np.logical_or.reduceat(wrong, starts)
    first, end = starts[with_error], np.append(starts[1:], len(order))[with_error]
    weight, errors_to = running_sums(weights, order), running_sums(weights, order[wrong])
    nth = np.append(0, np.cumsum(wrong))
    errors = errors_to[nth[end]] - errors_to[nth[first]]
    before, up_to, total = (places.astype(np.intp) for places in (weight[first], weight[end], weight[-1]))
    harmonic = _harmonic_numbers(int(total.max()))
    summed_to = np.arange(len(harmonic)) * (harmonic - 1)
    share = errors / np.maximum(up_to - before, 1)
    earlier = np.einsum("ij,ij->j", share, summed_to[up_to] - summed_to[before])
    # Of cancelling terms, the sum may leave [0, 1] by rounding.
    area = np.clip((errors_to[-1] * harmonic[total] - earlier) / np.maximum(total, 1), 0.0, 1.0)
    return of_defined(area, total > 0, no_example(event.name))


def _curve(event: Event) -> NDArray[np.float64]:
    """(m,) expected error rate among the 1 ... m most confident known examples."""
    order, starts = _tie_groups(event)
    wrong = 1.0 - event.happened[order]
    size = np.diff(np.append(starts, len(order)))
    return np.cumsum(np.repeat(np.add.reduceat(wrong, starts) / size, size)) / np.arange(1, len(order) + 1)


def _tie_groups(event: Event) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The known examples from most to least confident, and where each group of equal confidence starts."""
    known = np.flatnonzero(event.known)
    order = known[np.argsort(-event.log_odds[known], kind="stable")]
    confidence = event.log_odds[order]
    first = np.append(True, confidence[1:] != confidence[:-1])[: len(order)]
    return order, np.flatnonzero(first)


def _harmonic_numbers(largest: int) -> NDArray[np.float64]:
    """(largest + 1,) of H(0) = 0, H(k) = 1 + 1/2 + ... + 1/k."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, largest + 1))])


def _doubt_auc(event: Event, weights: NDArray[np.float64]) -> Estimates:
    """The area of one event."""
    wrong = np.where(event.known, 1 - event.happened, -1).astype(np.int8)
    area = binary_roc_auc(-event.log_odds, wrong, weights, name=event.name)
    some_wrong = has_weight(weights, wrong == 1)
    lacking = "rightly" if some_wrong[np.argmin(area.defined)] else "wrongly"
    return of_defined(area.values, area.defined, f"`{event.name}` has no {lacking} called example")


def _improbability(predictions: Predictions) -> NDArray[np.float64]:
    """(n,) rises as the largest probability falls: minus its log odds, or minus the log of the joint one."""
    confidence = np.stack([event.log_odds for event in top_label(predictions)], axis=1)
    if predictions.target.kind == "multi-label":
        return np.logaddexp(0, -confidence).sum(axis=1)
    return -confidence[:, 0]


def _entropy(predictions: Predictions) -> NDArray[np.float64]:
    """(n,) in nats: of the class, or of all labels together."""
    log_odds = np.stack([event.log_odds for event in one_vs_rest(predictions)], axis=1)
    if predictions.target.kind == "multi-label" or log_odds.shape[1] == 1:
        log_odds = np.concatenate([log_odds, -log_odds], axis=1)
    return (sigmoid(log_odds) * np.logaddexp(0, -log_odds)).sum(axis=1)


def _energy(predictions: Predictions) -> NDArray[np.float64]:
    """(n,) minus the log of the sum of the exponentials of the logits of all answers."""
    logits = predictions.logits.astype(np.float64)
    if predictions.target.kind == "multi-label":
        return -np.logaddexp(0, logits).sum(axis=1)
    return -np.logaddexp.reduce(logits, axis=1)


_SCORES = {"max-probability": _improbability, "entropy": _entropy}
