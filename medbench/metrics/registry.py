"""Every metric by name: a named, versioned definition with its direction.

A change that can move a value is a new version; a claim names a metric, an expectation pins its version.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError, nearest
from medbench.metrics.discrimination import roc_auc
from medbench.metrics.estimates import Estimates
from medbench.predictions import Predictions


@dataclass(frozen=True)
class Metric:
    """A function of predictions, vectorised over bootstrap weights.

    Attributes:
      name: as claims write it.
      version: counts changes of the definition.
      higher_is_better: whether a larger value is a better model.
      values: (predictions of n examples, (b, n) weights) -> (b,) estimates.
    """

    name: str
    version: int
    higher_is_better: bool
    values: Callable[[Predictions, NDArray[np.float64]], Estimates]

    @property
    def identity(self) -> str:
        """Name and version, such as `roc_auc@1`."""
        return f"{self.name}@{self.version}"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in [
        Metric(name="roc_auc", version=1, higher_is_better=True, values=roc_auc),
    ]
}


def metric_named(name: str) -> Metric:
    """The registered metric.

    Raises:
      MedbenchError: no such metric; the message names the nearest.
    """
    if name not in METRICS:
        raise MedbenchError(f"metric `{name}` is not known. {nearest(name, METRICS)}")
    return METRICS[name]


def evaluate(name: str, predictions: Predictions) -> tuple[float | None, str]:
    """The metric of all examples, each counted once: (value, "") or (None, why it is undefined).

    Raises:
      MedbenchError: no such metric.
    """
    estimates = metric_named(name).values(predictions, np.ones((1, len(predictions))))
    if not estimates.defined[0]:
        return None, estimates.reason
    return float(estimates.values[0]), ""
