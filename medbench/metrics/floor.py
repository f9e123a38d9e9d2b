"""What noise alone makes of a metric that is 0 for a perfect model: folded errors, and gaps between groups.

A good model's value is mostly noise and a bad one's is not, so that their difference comes out too small.
"""

from dataclasses import replace

import numpy as np
from msgspec.structs import replace as replace_fields
from numpy.typing import NDArray

from medbench.metrics.calibration import sigmoid, tempered
from medbench.metrics.registry import Metric, evaluate, metric_named
from medbench.metrics.sample import Sample
from medbench.spec.metrics import (
    OF_GROUPS,
    Brier,
    CalibrationError,
    CalibrationIntercept,
    CalibrationSlope,
    GroupGap,
    MetricSpec,
    WorstGroup,
)

DRAWS = 20
"""Of a model without error: their mean is known to some 5 to 15 %."""


def noise_floor(metric: Metric, sample: Sample, random: np.random.Generator) -> float:
    """How far noise alone moves the metric of a model that has no error to be found: the most bias there is.

    Errors of calibration: their mean where outcomes are drawn from the model's own probabilities, one
    number deciding for all images of a patient. Gaps between groups, and the worst of them: their mean
    distance from what equal groups have, where groups are dealt out among the patients anew; of a corrected
    gap too it is that of the plain one, since the correction may take off as much as noise adds.

    Args:
      metric: any; of kinds that are not folded the floor is 0.
      sample: of n examples, on which it is defined.
      random: of the draws.

    Returns:
      At least 0, in the metric's unit; 0 also where no draw defines the metric.
    """
    spec, without_noise = metric.spec, 0.0
    if _of_calibration(spec):
        probabilities = _probabilities(sample, scaled=spec.temperature)  # type: ignore[attr-defined]
        draws = (_as_said(sample, probabilities, random) for _ in range(DRAWS))
    elif isinstance(spec, OF_GROUPS):
        metric = _plain(metric)
        draws = (_dealt(sample, spec.attributes, random) for _ in range(DRAWS))
        if isinstance(spec, WorstGroup) and metric.inner is not None:
            without_noise = evaluate(metric.inner, sample)[0] or 0.0
    else:
        return 0.0
    values = [value for draw in draws if (value := evaluate(metric, draw)[0]) is not None]
    return abs(float(np.mean(values)) - without_noise) if values else 0.0


def _plain(metric: Metric) -> Metric:
    """The same gap without correction; other metrics as they are."""
    if not isinstance(metric.spec, GroupGap) or metric.inner is None:
        return metric
    spec = replace_fields(metric.spec, corrected=False)
    return metric_named(metric.name, {metric.name: spec, spec.of: metric.inner.spec})


def _of_calibration(spec: MetricSpec) -> bool:
    """Whether it is a distance from perfect calibration."""
    if isinstance(spec, Brier):
        return spec.part == "reliability"
    return isinstance(spec, CalibrationError | CalibrationSlope | CalibrationIntercept)


def _probabilities(sample: Sample, *, scaled: bool) -> NDArray[np.float64]:
    """(n, k) of the classes or labels, as the metric takes them."""
    ready = tempered(sample, scaled=scaled)
    assert not isinstance(ready, str), ready  # the metric is defined
    logits = ready.logits.astype(np.float64)
    if ready.target.kind == "multi-label":
        return sigmoid(logits)
    odds = np.exp(logits)  # the largest logit is 0
    return odds / odds.sum(axis=1, keepdims=True)


def _as_said(sample: Sample, probabilities: NDArray[np.float64], random: np.random.Generator) -> Sample:
    """Outcomes drawn from the probabilities; unknown labels stay unknown."""
    scored = sample.predictions
    names, patient = np.unique(scored.patient, return_inverse=True)
    if scored.target.kind == "multi-label":
        drawn = random.random((len(names), probabilities.shape[1]))[patient] < probabilities
    else:
        below = np.cumsum(probabilities, axis=1)[:, :-1]
        drawn = np.eye(probabilities.shape[1])[
            (random.random(len(names))[patient][:, None] > below).sum(axis=1)
        ]
    labels = np.where(scored.labels < 0, scored.labels, drawn).astype(np.int8)
    return replace(sample, predictions=replace(scored, labels=labels))


def _dealt(sample: Sample, attributes: list[str], random: np.random.Generator) -> Sample:
    """Groups dealt out among the patients anew; a patient whose images differ in them gets those of one."""
    scored = sample.predictions
    _, first, patient = np.unique(scored.patient, return_index=True, return_inverse=True)
    dealt = first[random.permutation(len(first))][patient]
    changed = {name: scored.attributes[name][dealt] for name in attributes}
    return replace(sample, predictions=replace(scored, attributes={**scored.attributes, **changed}))
