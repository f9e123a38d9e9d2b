"""Every metric by name: its definition (`medbench.spec.metrics`) bound to the function that computes it.

A claim names a metric, an expectation pins its identity.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError, nearest
from medbench.metrics import calibration, discrimination, fairness, representation, selective
from medbench.metrics.estimates import Estimates
from medbench.metrics.sample import Sample
from medbench.spec import metrics as kinds
from medbench.spec.metrics import BUILT_IN, MetricSpec

Values = Callable[[Sample, NDArray[np.float64]], Estimates]
"""(sample of n examples, (b, n) weights) -> (b,) estimates."""


_FUNCTIONS: dict[type[MetricSpec], Callable[..., Estimates]] = {
    kinds.RocAuc: discrimination.roc_auc,
    kinds.AveragePrecision: discrimination.average_precision,
    kinds.BalancedAccuracy: discrimination.balanced_accuracy,
    kinds.TopK: discrimination.top_k,
    kinds.SensitivityAtSpecificity: discrimination.sensitivity_at_specificity,
    kinds.SpecificityAtSensitivity: discrimination.specificity_at_sensitivity,
    kinds.NegativeLogLikelihood: calibration.negative_log_likelihood,
    kinds.Brier: calibration.brier,
    kinds.CalibrationError: calibration.calibration_error,
    kinds.CalibrationSlope: calibration.calibration_slope,
    kinds.CalibrationIntercept: calibration.calibration_intercept,
    kinds.RiskCoverageArea: selective.risk_coverage_area,
    kinds.MisclassificationAuc: selective.misclassification_auc,
    kinds.OutOfDistributionAuc: selective.out_of_distribution_auc,
    kinds.EqualizedOddsGap: fairness.equalized_odds_gap,
    kinds.FeatureReuse: representation.feature_reuse,
    kinds.StepsToShare: representation.steps_to_share_of_run,
}
"""(spec, sample, weights) -> estimates."""
_OF_ANOTHER: dict[type[MetricSpec], Callable[..., Estimates]] = {
    kinds.GroupGap: fairness.group_gap,
    kinds.WorstGroup: fairness.worst_group,
}
"""(spec, the other metric's values, sample, weights, higher_is_better=the other's) -> estimates."""


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
      inner: the metric that this one compares between groups, if it does.
    """

    name: str
    spec: MetricSpec
    higher_is_better: bool
    low: float
    high: float
    values: Values
    inner: "Metric | None" = None

    @property
    def identity(self) -> str:
        """Kind, parameters and version, such as `roc_auc@1`; that of a metric of another spells it out."""
        if self.inner is None:
            return self.spec.identity
        return msgspec.structs.replace(self.spec, of=self.inner.identity).identity

    @property
    def needs_validation(self) -> bool:
        """Whether a sample must bring the predictions on the validation set."""
        return self.spec.needs_validation or (self.inner is not None and self.inner.needs_validation)

    @property
    def pools_home(self) -> bool:
        """Whether the examples of `id` are scored together with those of the shift."""
        return self.spec.pools_home or (self.inner is not None and self.inner.pools_home)


def metric_named(name: str, declared: Mapping[str, MetricSpec] = BUILT_IN) -> Metric:
    """The metric of that name among those built in or declared.

    Raises:
      MedbenchError: no such metric, the message names the nearest; or one that has no value for a group is
        to be compared between groups.
    """
    if name not in declared:
        raise MedbenchError(f"metric `{name}` is not known. {nearest(name, declared)}")
    spec = declared[name]
    if not isinstance(spec, kinds.OF_ANOTHER):
        return Metric(
            name, spec, spec.rewards_higher, spec.low, spec.high, partial(_FUNCTIONS[type(spec)], spec)
        )
    if spec.of in declared and (why := kinds.why_ungroupable(declared[spec.of])):
        valid = ", ".join(kinds.ungrouped(declared))
        raise MedbenchError(f"metric `{name}` is of `{spec.of}`, which {why}. Expected one of {valid}.")
    inner = metric_named(spec.of, declared)
    values = partial(_OF_ANOTHER[type(spec)], spec, inner.values, higher_is_better=inner.higher_is_better)
    return Metric(name, spec, *_direction_and_range(spec, inner), values, inner)


def _direction_and_range(spec: MetricSpec, inner: Metric) -> tuple[bool, float, float]:
    """Whether higher is better, the lowest and the highest value, of a metric of another one."""
    if isinstance(spec, kinds.WorstGroup):
        return inner.higher_is_better, inner.low, inner.high
    return spec.rewards_higher, 0.0, inner.high - inner.low


def higher_is_better(identity: str) -> bool | None:
    """The direction of the metric with that identity; None where its kind is of another version of medbench.

    What was accepted pins a metric by its identity alone, so the direction must follow from that.
    """
    kind = re.split("[/@]", identity, maxsplit=1)[0]
    spec = next((spec for spec in kinds.KINDS if spec.__struct_config__.tag == kind), None)
    if spec is kinds.WorstGroup:
        return higher_is_better(identity.removeprefix(f"{kind}/of-"))
    if spec is kinds.Brier and identity.startswith(f"{kind}/resolution-"):
        return True
    return None if spec is None else spec.higher_is_better


def evaluate(metric: Metric, sample: Sample) -> tuple[float | None, str]:
    """The metric of all examples, each counted once: (value, "") or (None, why it is undefined)."""
    estimates = metric.values(sample, np.ones((1, len(sample))))
    if not estimates.defined[0]:
        return None, estimates.reason
    return float(estimates.values[0]), ""
