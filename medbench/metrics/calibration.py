"""How far probabilities can be believed: scores of probabilities, calibration errors, slope, intercept.

All start from log odds in float64, which do not saturate, and answer for all rows of weights at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError
from medbench.metrics.discrimination import not_finite, scores_and_labels, undefined
from medbench.metrics.estimates import Estimates, mean_over
from medbench.metrics.logistic import logistic
from medbench.metrics.sample import Sample
from medbench.predictions import Predictions
from medbench.spec.metrics import (
    Brier,
    CalibrationError,
    CalibrationIntercept,
    CalibrationSlope,
    NegativeLogLikelihood,
)

TEMPERATURES = (0.01, 100.0)
"""Where a temperature is looked for; data that the logits separate have their least NLL at the lower end."""

_LARGEST = 1e100
"""Logits beyond it, which no float32 has, would overflow when squared."""


@dataclass(frozen=True)
class Event:
    """Something that was given a probability and then happened or not.

    Attributes:
      name: of the class, or `top label`.
      log_odds: (n,) finite float64.
      happened: (n,) int8 of 0, 1, and -1 where unknown.
    """

    name: str
    log_odds: NDArray[np.float64]
    happened: NDArray[np.int8]

    @property
    def probability(self) -> NDArray[np.float64]:
        """(n,) in [0, 1]."""
        return sigmoid(self.log_odds)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n,) whether it is known if it happened."""
        return self.happened >= 0


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: the bins that hold an example, in rising order.

    Attributes:
      name: of the class, or `top label`.
      low: (m,) the bins' lower edges, which belong to them.
      high: (m,) their upper edges, which do not, except for 1.
      counts: (m,) examples.
      probability: (m,) their mean probability.
      positive: (m,) the share of them where it happened.
    """

    name: str
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counts: NDArray[np.int64]
    probability: NDArray[np.float64]
    positive: NDArray[np.float64]


def negative_log_likelihood(
    spec: NegativeLogLikelihood, sample: Sample, weights: NDArray[np.float64]
) -> Estimates:
    """Mean negative log probability of the true class in nats; several labels: the mean over labels.

    Args:
      spec: whether after temperature scaling.
      sample: of n examples.
      weights: (b, n), at least 0.

    Returns:
      (b,) values, at least 0 and finite however large the logits.
    """
    ready = tempered(sample, scaled=spec.temperature)
    if isinstance(ready, str):
        return undefined(weights, ready)
    events = one_vs_rest(ready)
    columns = [_mean(event, _surprise(event, one_of=_classes(ready)), weights) for event in events]
    return _over_classes(columns, ready)


def brier(spec: Brier, sample: Sample, weights: NDArray[np.float64]) -> Estimates:
    """Mean squared distance between probability and outcome (Brier 1950), or one of Murphy's (1973) parts.

    The score is reliability - resolution + uncertainty, plus, within bins, the variance of the
    probability less twice its covariance with the outcome (Stephenson et al. 2008); the last two vanish
    where all probabilities of a bin are equal.

    Args:
      spec: the part, its bins, and whether after temperature scaling.
      sample: of n examples.
      weights: (b, n), at least 0.

    Returns:
      (b,) values in [0, 1] for two classes and for labels, in [0, 2] for more classes.
    """
    ready = tempered(sample, scaled=spec.temperature)
    if isinstance(ready, str):
        return undefined(weights, ready)
    if spec.part == "score":
        columns = [_mean(event, sigmoid(_against(event)) ** 2, weights) for event in one_vs_rest(ready)]
    else:
        columns = [_brier_part(event, spec, weights) for event in one_vs_rest(ready)]
    return _over_classes(columns, ready)


def calibration_error(spec: CalibrationError, sample: Sample, weights: NDArray[np.float64]) -> Estimates:
    """Mean over bins of |share of positives - mean probability|, by share of examples (Naeini et al. 2015).

    A bin holds its lower edge and not its upper one, except for the last, which holds 1. Edges of
    equal width are i / bins, rounded to float64. Those of equal mass are values of the sample that was
    scored, each counted once, whatever the weights: every replicate has the same bins, so that its
    spread is that of the examples and not of the edges, and equal probabilities share a bin.

    Args:
      spec: of which probability, the bins, and whether after temperature scaling.
      sample: of n examples.
      weights: (b, n), at least 0.

    Returns:
      (b,) values in [0, 1]; biased upwards where bins hold few examples.
    """
    events = _events(spec, sample)
    if isinstance(events, str):
        return undefined(weights, events)
    return mean_over([_binned_distance(event, spec, weights) for event in events])


def calibration_slope(spec: CalibrationSlope, sample: Sample, weights: NDArray[np.float64]) -> Estimates:
    """Distance from 1 of the slope of a logistic regression of outcome on log odds (Cox 1958).

    By maximum likelihood with an intercept, without penalty. The mean over labels, or over
    one-against-rest problems.

    Args:
      spec: whether after temperature scaling.
      sample: of n examples.
      weights: (b, n), at least 0.

    Returns:
      (b,) values, at least 0; undefined where a class is absent, all log odds are equal, or they separate
      the classes, perfectly or but for ties: the likelihood then has no maximum.
    """
    return _over_events(_slope_error, sample, weights, scaled=spec.temperature)


def calibration_intercept(
    spec: CalibrationIntercept, sample: Sample, weights: NDArray[np.float64]
) -> Estimates:
    """Distance from 0 of the intercept of a logistic regression with the log odds as offset (Cox 1958).

    Also called calibration in the large: the shift of all log odds that makes the mean probability the
    share of positives. The mean over labels, or over one-against-rest problems.

    Args:
      spec: whether after temperature scaling.
      sample: of n examples.
      weights: (b, n), at least 0.

    Returns:
      (b,) values, at least 0; undefined where a class is absent or all probabilities are so close to 0
      and 1 that no shift can be told from another.
    """
    return _over_events(_intercept_error, sample, weights, scaled=spec.temperature)


@lru_cache(maxsize=32)  # the seeds of an item: one validation set serves all replicates of a run
def temperature(validation: Predictions) -> float:
    """The temperature that gives the least NLL on validation (Guo et al. 2017), one for all labels.

    Found on a logarithmic scale within `TEMPERATURES`; data that the logits separate perfectly give its
    lower end, logits that rank the wrong way its upper one, and 1 stays where nothing is better.

    Raises:
      MedbenchError: the NLL on validation is undefined; the message says why.
    """
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 (slow to import, rarely needed)

    ones = np.ones((1, len(validation)))

    def loss(log_temperature: float) -> Estimates:
        scaled = Sample(_divided(validation, float(np.exp(log_temperature))))
        return negative_log_likelihood(NegativeLogLikelihood(), scaled, ones)

    at_one = loss(0.0)
    if not at_one.defined[0]:
        raise MedbenchError(f"no temperature can be fitted on validation: {at_one.reason}")
    ends = tuple(np.log(TEMPERATURES))
    inner = minimize_scalar(lambda x: loss(x).values[0], bounds=ends, method="bounded").x
    best = min((0.0, *ends, inner), key=lambda x: float(loss(x).values[0]))
    return float(np.exp(best))


def reliability(spec: CalibrationError, sample: Sample) -> tuple[Reliability, ...]:
    """What the calibration error of that spec averages over: a diagram for each label, class or top label.

    Raises:
      MedbenchError: the probabilities are undefined; the message says why.
    """
    events = _events(spec, sample)
    if isinstance(events, str):
        raise MedbenchError(f"no reliability diagram: {events}")
    return tuple(_diagram(event, spec) for event in events)


def tempered(sample: Sample, *, scaled: bool) -> Predictions | str:
    """The sample's predictions with float64 logits, scaled by temperature if asked; or why there are none.

    Logits of classes that exclude each other are shifted so that the largest is 0, which changes no
    probability and keeps differences exact.
    """
    broken = not_finite(sample.predictions, np.ones((1, len(sample))))
    if broken is not None:
        return broken.reason
    if (np.abs(sample.predictions.logits.astype(np.float64)) > _LARGEST).any():
        return f"logits are larger than {_LARGEST:g}, so that probabilities would overflow"
    by = 1.0
    if scaled:
        if sample.validation is None:
            return "there are no predictions on validation to fit the temperature on"
        try:
            by = temperature(sample.validation)
        except MedbenchError as error:
            return str(error)
    return _divided(sample.predictions, by)


def _divided(predictions: Predictions, by: float) -> Predictions:
    """Logits in float64 divided by a temperature, the largest of a single label shifted to 0."""
    logits: Any = predictions.logits.astype(np.float64)
    if predictions.target.kind == "single-label":
        logits = logits - logits.max(axis=1, keepdims=True)
    return replace(predictions, logits=logits / by)


def one_vs_rest(predictions: Predictions) -> list[Event]:
    """The one-against-rest problems: the second of two classes, every class of more, every label."""
    names, log_odds, labels = scores_and_labels(predictions)
    return [Event(name, log_odds[:, i], labels[:, i]) for i, name in enumerate(names)]


def top_label(predictions: Predictions) -> list[Event]:
    """Being right, as an event whose probability is the confidence: one a label, or one for all classes.

    What is called is the class of the largest logit, of equals the first; for a label, present where its
    probability exceeds one half. Log odds order confidence as probabilities do, without saturating.
    """
    events = one_vs_rest(predictions)
    if predictions.target.kind == "multi-label":
        return [
            Event(
                event.name,
                np.abs(event.log_odds),
                np.where(event.known, (event.log_odds > 0) == event.happened, -1).astype(np.int8),
            )
            for event in events
        ]
    called = predictions.logits.argmax(axis=1)[:, None]
    right = np.take_along_axis(predictions.labels, called, axis=1)[:, 0]
    if len(events) == 1:
        confidence = np.abs(events[0].log_odds)
    else:
        log_odds = np.stack([event.log_odds for event in events], axis=1)
        confidence = np.take_along_axis(log_odds, called, axis=1)[:, 0]
    return [Event("top label", confidence, right)]


def sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of log odds, accurate where it is close to 0, and never overflowing."""
    return np.exp(-np.logaddexp(0, -log_odds))


def of_defined(values: NDArray[np.float64], defined: NDArray[np.bool_], reason: str) -> Estimates:
    """Estimates of (b,) values where some are defined; the reason is that of those which are not."""
    return Estimates(np.where(defined, values, 0.0), defined, "" if defined.all() else reason)


def has_weight(weights: NDArray[np.float64], of: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(b,) whether any of the marked (n,) examples has weight."""
    return weights @ of.astype(np.float64) > 0


def no_example(name: str) -> str:
    """Why a metric of that class is undefined where nothing has weight."""
    return f"`{name}` has no example whose label is known"


def _classes(predictions: Predictions) -> int:
    """How many one-against-rest problems one true class takes part in."""
    several = predictions.target.kind == "single-label" and len(predictions.target.classes) > 2
    return len(predictions.target.classes) if several else 1


def _over_classes(columns: list[Estimates], predictions: Predictions) -> Estimates:
    """The mean over labels, but the sum over classes that exclude each other."""
    mean = mean_over(columns)
    return replace(mean, values=mean.values * _classes(predictions))


def _over_events(
    metric: Callable[[Event, NDArray[np.float64]], Estimates],
    sample: Sample,
    weights: NDArray[np.float64],
    *,
    scaled: bool,
) -> Estimates:
    """The mean of a metric over the one-against-rest problems."""
    ready = tempered(sample, scaled=scaled)
    if isinstance(ready, str):
        return undefined(weights, ready)
    return mean_over([metric(event, weights) for event in one_vs_rest(ready)])


def _against(event: Event) -> NDArray[np.float64]:
    """(n,) log odds of what did not happen: large where the probability was wrong."""
    return np.where(event.happened == 1, -event.log_odds, event.log_odds)


def _surprise(event: Event, *, one_of: int) -> NDArray[np.float64]:
    """(n,) negative log probability of what happened; 0 for the other classes where one of many is true."""
    surprise = np.logaddexp(0, _against(event))
    return surprise if one_of == 1 else np.where(event.happened == 1, surprise, 0.0)


def _mean(event: Event, values: NDArray[np.float64], weights: NDArray[np.float64]) -> Estimates:
    """Weighted mean of (n,) values over the examples where it is known if the event happened."""
    total = weights @ event.known.astype(np.float64)
    summed = weights @ np.where(event.known, values, 0.0)
    mean = np.divide(summed, total, out=np.zeros(len(weights)), where=total > 0)
    return of_defined(mean, total > 0, no_example(event.name))


def _brier_part(event: Event, spec: Brier, weights: NDArray[np.float64]) -> Estimates:
    """Murphy's reliability, resolution or uncertainty over bins of equal mass."""
    within = _membership(event, "equal-mass", spec.bins)
    mass = weights @ within
    probability = weights @ (within * event.probability[:, None])
    happened = weights @ (within * event.happened[:, None])
    total = mass.sum(axis=1)
    safe, filled = np.where(total > 0, total, 1.0), np.where(mass > 0, mass, 1.0)
    base_rate = happened.sum(axis=1) / safe
    if spec.part == "uncertainty":
        part = base_rate * (1 - base_rate)
    elif spec.part == "reliability":
        part = ((probability - happened) ** 2 / filled).sum(axis=1) / safe
    else:
        part = (mass * (happened / filled - base_rate[:, None]) ** 2).sum(axis=1) / safe
    return of_defined(part, total > 0, no_example(event.name))


def _events(spec: CalibrationError, sample: Sample) -> list[Event] | str:
    """What a calibration error is the mean over, or why there is nothing."""
    ready = tempered(sample, scaled=spec.temperature)
    if isinstance(ready, str):
        return ready
    if spec.of == "top-label":
        return top_label(ready)
    events = one_vs_rest(ready)
    if spec.of == "class-wise" and ready.target.kind == "single-label" and len(events) == 1:
        first = Event(ready.target.classes[0], -events[0].log_odds, ready.labels[:, 0])
        return [first, *events]
    return events


def _binned_distance(event: Event, spec: CalibrationError, weights: NDArray[np.float64]) -> Estimates:
    """The calibration error of one event."""
    within = _membership(event, spec.binning, spec.bins)
    apart = within * (event.probability - event.happened)[:, None]
    summed = weights @ np.column_stack([apart, event.known])  # weights are read once
    apart, total = np.abs(summed[:, :-1]).sum(axis=1), summed[:, -1]
    return of_defined(apart / np.where(total > 0, total, 1.0), total > 0, no_example(event.name))


def _inner_edges(event: Event, binning: str, bins: int) -> NDArray[np.float64]:
    """(bins - 1,) lower edges of all bins but the first."""
    if binning == "equal-width":
        return np.arange(1, bins) / bins
    ranked = np.sort(event.probability[event.known])
    # The first example of each bin; those of equal probability go to the last bin that has it as edge.
    return ranked[np.arange(1, bins) * len(ranked) // bins] if len(ranked) else np.ones(bins - 1)


def _membership(event: Event, binning: str, bins: int) -> NDArray[np.float64]:
    """(n, bins) of 1 where a known example is in the bin, else 0."""
    bin_of = np.searchsorted(_inner_edges(event, binning, bins), event.probability, side="right")
    return ((bin_of[:, None] == np.arange(bins)) & event.known[:, None]).astype(np.float64)


def _diagram(event: Event, spec: CalibrationError) -> Reliability:
    """Of one event: its bins with their means."""
    within = _membership(event, spec.binning, spec.bins)
    edges = np.concatenate([[0.0], _inner_edges(event, spec.binning, spec.bins), [1.0]])
    counts = within.sum(axis=0)
    filled = counts > 0
    return Reliability(
        name=event.name,
        low=edges[:-1][filled],
        high=edges[1:][filled],
        counts=counts[filled].astype(np.int64),
        probability=(event.probability @ within)[filled] / counts[filled],
        positive=(event.happened @ within)[filled] / counts[filled],
    )


def _slope_error(event: Event, weights: NDArray[np.float64]) -> Estimates:
    """|slope - 1| of one event, by Newton's method on log odds of mean 0 and deviation 1."""
    reason, possible = _why_no_slope(event, weights)
    log_odds, sign = event.log_odds[event.known], _sign(event)
    slopes, settled = np.zeros(len(weights)), np.zeros(len(weights), dtype=bool)
    if possible.any():
        deviation = log_odds.std()
        standard = (log_odds - log_odds.mean()) / deviation
        found, settled[possible] = logistic(
            standard, np.zeros_like(standard), sign, weights[np.ix_(possible, event.known)]
        )
        slopes[possible] = found[:, 1] / deviation
    if possible[np.argmin(settled)]:
        reason = f"the calibration slope of `{event.name}` did not converge: it is all but separated"
    return of_defined(np.abs(slopes - 1), settled, reason)


def _intercept_error(event: Event, weights: NDArray[np.float64]) -> Estimates:
    """|intercept| of one event, by Newton's method with the log odds as offset."""
    reason, possible = _why_no_class(event, weights)
    log_odds, sign = event.log_odds[event.known], _sign(event)
    intercepts, settled = np.zeros(len(weights)), np.zeros(len(weights), dtype=bool)
    if possible.any():
        found, settled[possible] = logistic(
            np.zeros_like(log_odds), log_odds, sign, weights[np.ix_(possible, event.known)]
        )
        intercepts[possible] = found[:, 0]
    if possible[np.argmin(settled)]:
        reason = (
            f"the calibration intercept of `{event.name}` did not converge: "
            "its probabilities are too close to 0 and 1"
        )
    return of_defined(np.abs(intercepts), settled, reason)


def _sign(event: Event) -> NDArray[np.float64]:
    """1 where it happened, -1 where not, of the known examples."""
    return np.where(event.happened[event.known] == 1, 1.0, -1.0)


def _why_no_class(event: Event, weights: NDArray[np.float64]) -> tuple[str, NDArray[np.bool_]]:
    """Why the first replicate without both classes lacks one, and which (b,) have both."""
    positive, negative = (has_weight(weights, event.happened == value) for value in (1, 0))
    both = positive & negative
    if both.all():
        return "", both
    lacking = "negative" if positive[np.argmin(both)] else "positive"
    return f"`{event.name}` has no {lacking} example", both


def _why_no_slope(event: Event, weights: NDArray[np.float64]) -> tuple[str, NDArray[np.bool_]]:
    """Why the first replicate without a finite slope has none, and which (b,) have one.

    The likelihood has a maximum if and only if the classes overlap by more than ties at one end
    (Albert and Anderson 1984): each has an example beyond the nearest of the other.
    """
    _, both = _why_no_class(event, weights)
    low, high = {}, {}
    for value in (0, 1):
        of_class = np.flatnonzero(event.happened == value)
        ranked = of_class[np.argsort(event.log_odds[of_class])]
        log_odds, present = event.log_odds[ranked], weights[:, ranked] > 0
        low[value] = _first(log_odds, present)
        high[value] = _first(log_odds[::-1], present[:, ::-1])
    overlap = both & (low[1] < high[0]) & (low[0] < high[1])
    first = np.argmin(overlap)
    if not both[first]:
        return _why_no_class(event, weights[first : first + 1])[0], overlap
    if low[0][first] == low[1][first] == high[0][first] == high[1][first]:
        return f"all log odds of `{event.name}` are equal", overlap
    return f"the log odds separate `{event.name}` from the rest, so that no slope is the steepest", overlap


def _first(values: NDArray[np.float64], present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(b,) the first of (m,) values that is present in each row; any where none is, 0 of no values."""
    return values[present.argmax(axis=1)] if len(values) else np.zeros(len(present))
