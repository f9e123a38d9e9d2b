"""The kinds of metric and their parameters, as typed records: what a value means, never how it is computed.

A suite's `metrics.yaml` gives a name to a kind with parameters; `medbench.metrics` computes. A change of
a definition that can move a value raises the kind's `version`, and what was accepted before is stale.
"""

from collections.abc import Mapping
from math import inf
from typing import ClassVar, Literal, get_args

import msgspec

from medbench.spec.declared import Declared


class MetricSpec(Declared, frozen=True, kw_only=True, tag_field="kind"):
    """A metric pinned down to its parameters."""

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    low: ClassVar[float] = 0.0
    """The smallest value there can be."""
    high: ClassVar[float] = 1.0
    reads_validation: ClassVar[bool] = False
    """Whether something, such as a threshold or a temperature, is fitted on the validation set."""
    pools_home: ClassVar[bool] = False
    """Whether the examples of `id` are scored together with those of the shift."""

    @property
    def detail(self) -> str:
        """The parameters that set this metric apart from others of its kind, such as `equal-width-15`."""
        return ""

    @property
    def rewards_higher(self) -> bool:
        """As `higher_is_better`, of this metric with its parameters."""
        return self.higher_is_better

    @property
    def certified(self) -> bool:
        """Whether its intervals were measured to hold (docs/gate.md says by what rule)."""
        return False

    @property
    def needs_validation(self) -> bool:
        """As `reads_validation`, of this metric with its parameters."""
        return self.reads_validation

    @property
    def identity(self) -> str:
        """Kind, parameters and version, such as `ece/equal-width-15@1`: equal identities may be compared."""
        kind = type(self).__struct_config__.tag
        return f"{kind}/{self.detail}@{self.version}" if self.detail else f"{kind}@{self.version}"


class _OfLabel(MetricSpec, frozen=True, kw_only=True):
    """Of one label where there are several, else of their mean."""

    label: str = ""
    """A class of the target; empty for the mean over labels (several labels) or over one-vs-rest problems."""

    @property
    def detail(self) -> str:
        """See the base class."""
        return self.label


class RocAuc(_OfLabel, frozen=True, kw_only=True, tag="roc_auc"):
    """Area under the ROC curve, ties counted half."""

    @property
    def certified(self) -> bool:
        """As measured for docs/gate.md."""
        return True


class AveragePrecision(_OfLabel, frozen=True, kw_only=True, tag="average_precision"):
    """Mean precision over recall steps: sum over thresholds of (recall - previous recall) x precision."""


class BalancedAccuracy(MetricSpec, frozen=True, kw_only=True, tag="balanced_accuracy"):
    """Mean over classes of the share of its examples that are called right, by the largest logit.

    Several labels: mean over labels of (sensitivity + specificity) / 2 at a probability of one half.
    """


class TopK(MetricSpec, frozen=True, kw_only=True, tag="top_k"):
    """Share of examples whose class is among the k largest logits; single-label only."""

    k: int = 1
    """At least 1, and fewer than the classes."""

    @property
    def detail(self) -> str:
        """See the base class."""
        return str(self.k)


class SensitivityAtSpecificity(_OfLabel, frozen=True, kw_only=True, tag="sensitivity_at_specificity"):
    """The largest sensitivity that any threshold has whose specificity is at least the stated one."""

    specificity: float = 0.9
    """At least, above 0 and below 1."""

    @property
    def detail(self) -> str:
        """See the base class."""
        return "-".join(filter(None, (f"{self.specificity}", self.label)))


class SpecificityAtSensitivity(_OfLabel, frozen=True, kw_only=True, tag="specificity_at_sensitivity"):
    """The largest specificity that any threshold has whose sensitivity is at least the stated one."""

    sensitivity: float = 0.9
    """At least, above 0 and below 1."""

    @property
    def detail(self) -> str:
        """See the base class."""
        return "-".join(filter(None, (f"{self.sensitivity}", self.label)))


class _Calibration(MetricSpec, frozen=True, kw_only=True):
    """Of probabilities, as they are or after temperature scaling."""

    temperature: bool = False
    """Whether logits are first divided by the temperature that gives the least NLL on the validation set."""

    @property
    def parameters(self) -> str:
        """What sets it apart, beside the temperature."""
        return ""

    @property
    def detail(self) -> str:
        """See the base class."""
        return "-".join(filter(None, (self.parameters, "temperature" if self.temperature else "")))

    @property
    def needs_validation(self) -> bool:
        return self.temperature


class NegativeLogLikelihood(_Calibration, frozen=True, kw_only=True, tag="nll"):
    """Mean negative log probability of the true class, in nats; several labels: mean over labels."""

    higher_is_better = False
    high = inf

    @property
    def certified(self) -> bool:
        """As measured for docs/gate.md."""
        return not self.temperature


class Brier(_Calibration, frozen=True, kw_only=True, tag="brier"):
    """Mean squared distance between probability and outcome, or a part of it.

    Two classes and each of several labels: of the positive class, in [0, 1]; more classes: summed over
    classes, in [0, 2]. The parts are Murphy's (1973), over bins of equal mass: score = reliability -
    resolution + uncertainty, up to the spread within bins.
    """

    part: Literal["score", "reliability", "resolution", "uncertainty"] = "score"
    bins: int = 15
    """Of the parts, 2 to 1000; the score itself has none."""
    higher_is_better = False
    high = 2.0

    @property
    def rewards_higher(self) -> bool:
        """Of the parts, resolution is what a model should have much of."""
        return self.part == "resolution"

    @property
    def parameters(self) -> str:
        """See the base class."""
        return "" if self.part == "score" else f"{self.part}-{self.bins}"

    @property
    def certified(self) -> bool:
        """As measured for docs/gate.md."""
        return self.part == "score" and not self.temperature


class CalibrationError(_Calibration, frozen=True, kw_only=True, tag="ece"):
    """Expected calibration error: mean distance between the share of positives and the mean probability.

    Within bins, weighted by the bins' shares of the examples (Naeini et al. 2015).
    """

    of: Literal["positive", "top-label", "class-wise"] = "positive"
    """`positive`: of the positive class, or the mean over labels; `top-label`: of the largest probability,
    against being right; `class-wise`: the mean over all classes."""
    binning: Literal["equal-width", "equal-mass"] = "equal-width"
    """Half-open bins, the last one closed, so that a probability of exactly 1 is counted."""
    bins: int = 15
    """2 to 1000."""
    higher_is_better = False

    @property
    def parameters(self) -> str:
        """See the base class."""
        of = "" if self.of == "positive" else self.of
        return "-".join(filter(None, (of, self.binning, str(self.bins))))


class CalibrationSlope(_Calibration, frozen=True, kw_only=True, tag="calibration_slope_error"):
    """Distance from 1 of the slope of a logistic regression of outcome on log odds (Cox 1958)."""

    higher_is_better = False
    high = inf


class CalibrationIntercept(_Calibration, frozen=True, kw_only=True, tag="calibration_intercept_error"):
    """Distance from 0 of the intercept of a logistic regression with the log odds as offset."""

    higher_is_better = False
    high = inf


class RiskCoverageArea(_Calibration, frozen=True, kw_only=True, tag="aurc"):
    """Area under the risk-coverage curve: the mean error rate over all shares of most confident examples."""

    higher_is_better = False


class MisclassificationAuc(_Calibration, frozen=True, kw_only=True, tag="misclassification_auroc"):
    """Probability that a wrongly called example is less confident than a rightly called one."""


class OutOfDistributionAuc(MetricSpec, frozen=True, kw_only=True, tag="ood_auroc"):
    """Probability that an example of the shift looks stranger than one of `id`."""

    score: Literal["max-probability", "entropy", "energy"] = "max-probability"
    pools_home = True

    @property
    def detail(self) -> str:
        """See the base class."""
        return self.score


PRIMARY = "primary"
"""What claims and metrics call a task's own metric."""


class GroupGap(MetricSpec, frozen=True, kw_only=True, tag="group_gap"):
    """How far sub-groups lie apart in another metric."""

    of: str
    """The other metric's name, or `primary` for the task's own."""
    attributes: list[str] = msgspec.field(default_factory=list)
    """One attribute, or several whose combinations are the groups; none for claims on each attribute."""
    statistic: Literal["max-min", "to-whole"] = "max-min"
    """`max-min`: between the best group and the worst; `to-whole`: between the whole and the worst."""
    corrected: bool = True
    """Whether what noise alone adds to the gap is taken off."""
    smallest: int = 20
    """Groups with fewer patients are named and left out."""
    higher_is_better = False

    @property
    def detail(self) -> str:
        """See the base class."""
        corrected = "" if self.corrected else "plain-"
        return f"{corrected}{self.statistic}-of-{self.of}-by-{'+'.join(self.attributes)}-from-{self.smallest}"


class WorstGroup(MetricSpec, frozen=True, kw_only=True, tag="worst_group"):
    """The worst sub-group's value of another metric, whose direction and range it has."""

    of: str
    """The other metric's name, or `primary` for the task's own."""
    attributes: list[str] = msgspec.field(default_factory=list)
    """One attribute, or several whose combinations are the groups; none for claims on each attribute."""
    smallest: int = 20
    """Groups with fewer patients are named and left out."""

    @property
    def detail(self) -> str:
        """See the base class."""
        return f"of-{self.of}-by-{'+'.join(self.attributes)}-from-{self.smallest}"


class EqualizedOddsGap(MetricSpec, frozen=True, kw_only=True, tag="equalized_odds_gap"):
    """The larger of the gaps between groups in sensitivity and in specificity at one operating point.

    The threshold is that of the largest Youden index on the validation set.
    """

    attributes: list[str] = msgspec.field(default_factory=list)
    """One attribute, or several whose combinations are the groups; none for claims on each attribute."""
    smallest: int = 20
    """Groups with fewer patients are named and left out."""
    higher_is_better = False
    reads_validation = True

    @property
    def detail(self) -> str:
        """See the base class."""
        return f"by-{'+'.join(self.attributes)}-from-{self.smallest}"


BIT_STAGES = ("root", "block1", "block2", "block3", "block4", "pre_logits")
"""Where a BiT's features are kept."""


class FeatureReuse(MetricSpec, frozen=True, kw_only=True, tag="feature_reuse"):
    """How alike a stage's features are before and after fine-tuning: linear CKA, unbiased.

    On the first images of `id`; known of a run, not of its predictions.
    """

    stage: str
    """`root`, `block1` to `block4`, or `pre_logits`, what the head sees; of a backbone that is not BiT, as
    its module calls them. Of a run without such a stage the value is undefined."""
    low = -1.0

    @property
    def detail(self) -> str:
        """See the base class."""
        return self.stage


class StepsToShare(MetricSpec, frozen=True, kw_only=True, tag="steps_to_share"):
    """Fine-tuning steps until the validation ROC AUC has come a share of the way from chance to its end.

    Known of a run, not of its predictions.
    """

    share: float = 0.9
    """Of the way, above 0 and up to 1."""
    higher_is_better = False
    high = inf

    @property
    def detail(self) -> str:
        """See the base class."""
        return f"{self.share:g}"


AnyMetric = (
    RocAuc
    | AveragePrecision
    | BalancedAccuracy
    | TopK
    | SensitivityAtSpecificity
    | SpecificityAtSensitivity
    | NegativeLogLikelihood
    | Brier
    | CalibrationError
    | CalibrationSlope
    | CalibrationIntercept
    | RiskCoverageArea
    | MisclassificationAuc
    | OutOfDistributionAuc
    | GroupGap
    | WorstGroup
    | EqualizedOddsGap
    | FeatureReuse
    | StepsToShare
)

KINDS: tuple[type[MetricSpec], ...] = get_args(AnyMetric)
"""Every kind of metric."""
OF_ANOTHER = GroupGap | WorstGroup
"""Kinds that compare another metric, named by `of`, between groups."""
OF_GROUPS = GroupGap | WorstGroup | EqualizedOddsGap
"""Kinds that compare groups, and so cannot themselves be compared between groups."""


OF_RUN = FeatureReuse | StepsToShare
"""Kinds that are known of a run as a whole: no choice of patients moves them, and no image's weight."""


def why_ungroupable(spec: MetricSpec) -> str:
    """Why a metric cannot be compared between groups; empty where it can."""
    if isinstance(spec, OF_GROUPS):
        return "compares groups itself"
    return "is known of a run as a whole" if isinstance(spec, OF_RUN) else ""


def ungrouped(declared: Mapping[str, MetricSpec]) -> list[str]:
    """Names of the metrics that can be compared between groups."""
    return [name for name, spec in declared.items() if not why_ungroupable(spec)]


def resolved(
    name: str, declared: Mapping[str, AnyMetric], *, primary: str, attribute: str = ""
) -> dict[str, AnyMetric]:
    """A declared metric by its name, and the one that it compares between groups, with nothing left open.

    Args:
      name: of the metric.
      declared: among these.
      primary: the metric that `of: primary` means.
      attribute: whose sub-groups are compared, where the metric names none.
    """
    spec = declared[name]
    if attribute and isinstance(spec, OF_GROUPS) and not spec.attributes:
        spec = msgspec.structs.replace(spec, attributes=[attribute])
    if not isinstance(spec, OF_ANOTHER):
        return {name: spec}
    of = primary if spec.of == PRIMARY else spec.of
    return {name: msgspec.structs.replace(spec, of=of), of: declared[of]}


def pools_home(name: str, declared: Mapping[str, AnyMetric], primary: str) -> bool:
    """Whether a declared metric, or the one that it compares, tells a shift from `id`."""
    return any(spec.pools_home for spec in resolved(name, declared, primary=primary).values())


class Metrics(Declared, frozen=True, kw_only=True):
    """The file `metrics.yaml`: names for kinds with parameters."""

    metrics: dict[str, AnyMetric]


BUILT_IN: dict[str, AnyMetric] = {
    "roc_auc": RocAuc(),
    "average_precision": AveragePrecision(),
    "balanced_accuracy": BalancedAccuracy(),
    "accuracy": TopK(),
    "nll": NegativeLogLikelihood(),
    "brier": Brier(),
    "ece": CalibrationError(),
    "calibration_slope_error": CalibrationSlope(),
    "calibration_intercept_error": CalibrationIntercept(),
    "aurc": RiskCoverageArea(),
    "misclassification_auroc": MisclassificationAuc(),
    "ood_auroc": OutOfDistributionAuc(),
    "steps_to_share": StepsToShare(),
}
"""Metrics that need no declaration: every kind that makes sense without parameters, under its own name."""
