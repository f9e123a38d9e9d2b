"""Every metric by name: its definition (`medbench.spec.metrics`) bound to the function that computes it.

A claim names a metric, an expectation pins its identity.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError, nearest
from medbench.metrics.discrimination import roc_auc
from medbench.metrics.estimates import Estimates
from medbench.metrics.sample import Sample
from medbench.spec.metrics import BUILT_IN, GroupGap, MetricSpec, RocAuc, WorstGroup

Values = Callable[[Sample, NDArray[np.float64]], Estimates]
"""(sample of n examples, (b, n) weights) -> (b,) estimates."""


_FUNCTIONS: dict[type[MetricSpec], Callable[..., Estimates]] = {RocAuc: roc_auc}
"""(spec, sample, weights) -> estimates."""
_OF_ANOTHER: dict[type[MetricSpec], Callable[..., Estimates]] = {}
"""(spec, the other metric's values, sample, weights) -> estimates."""


@dataclass(frozen=True)
class Metric:
    """A function of one run's predictions, vectorised over bootstrap weights.

    Attributes:
      name: as claims write it.
      spec: the kind and its parameters.
      higher_is_better: whether a larger value is a better model.
      low: the smallest value there can be.
      high: the largest, may be infinite.
      values: (sample of n examples, (b, n) weights at least 0) -> (b,) estimates.
    """

    name: str
    spec: MetricSpec
    higher_is_better: bool
    low: float
    high: float
    values: Values

    @property
    def identity(self) -> str:
        """Kind, parameters and version, such as `roc_auc@1`."""
        return self.spec.identity


def metric_named(name: str, declared: Mapping[str, MetricSpec] = BUILT_IN) -> Metric:
    """The metric of that name among those built in or declared.

    Raises:
      MedbenchError: no such metric; the message names the nearest.
    """
    if name not in declared:
        raise MedbenchError(f"metric `{name}` is not known. {nearest(name, declared)}")
    spec = declared[name]
    if isinstance(spec, GroupGap | WorstGroup):
        inner = metric_named(spec.of, declared)
        return Metric(name, spec, *_direction_and_range(spec, inner), partial(_OF_ANOTHER[type(spec)], spec, inner.values))
    return Metric(name, spec, spec.higher_is_better, spec.low, spec.high, partial(_FUNCTIONS[type(spec)], spec))


def evaluate(metric: Metric, sample: Sample) -> tuple[float | None, str]:
    """The metric of all examples, each counted once: (value, "") or (None, why it is undefined)."""
    estimates = metric.values(sample, np.ones((1, len(sample))))
    if not estimates.defined[0]:
        return None, estimates.reason
    return float(estimates.values[0]), ""
