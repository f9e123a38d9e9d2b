"""Names, identities, directions and ranges of metrics, and how one is made from its definition."""

from math import inf

import numpy as np
import pytest

from medbench.errors import MedbenchError
from medbench.metrics import Sample, evaluate, metric_named
from medbench.metrics.registry import higher_is_better
from medbench.spec.metrics import (
    BUILT_IN,
    KINDS,
    AveragePrecision,
    Brier,
    CalibrationError,
    EqualizedOddsGap,
    FeatureReuse,
    GroupGap,
    NegativeLogLikelihood,
    OutOfDistributionAuc,
    RiskCoverageArea,
    RocAuc,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    StepsToShare,
    TopK,
    WorstGroup,
    resolved,
    ungrouped,
)
from tests import runs
from tests.judging import scored

DECLARED = {
    **BUILT_IN,
    "tempered": CalibrationError(temperature=True),
    "reliability": Brier(part="reliability"),
    "resolution": Brier(part="resolution"),
    "worst-resolution": WorstGroup(of="resolution", attributes=["sex"]),
    "gap": GroupGap(of="roc_auc", attributes=["sex"]),
    "nll-gap": GroupGap(of="nll", attributes=["sex"], statistic="to-whole", corrected=False, smallest=5),
    "worst": WorstGroup(of="roc_auc", attributes=["sex", "age"]),
    "worst-nll": WorstGroup(of="nll", attributes=["sex"]),
    "worst-tempered": WorstGroup(of="tempered", attributes=["sex"]),
    "ood-gap": GroupGap(of="ood_auroc", attributes=["sex"]),
    "odds": EqualizedOddsGap(attributes=["sex"]),
    "screening": SensitivityAtSpecificity(specificity=0.9),
    "rule-out": SpecificityAtSensitivity(sensitivity=0.95),
    "reuse": FeatureReuse(stage="block4"),
}
OF_A_RUN = ["steps_to_share", "reuse"]


def test_the_registry_pins_name_version_and_direction():
    metric = metric_named("roc_auc")
    assert (metric.name, metric.identity, metric.spec) == ("roc_auc", "roc_auc@1", RocAuc())
    assert (metric.higher_is_better, metric.low, metric.high) == (True, 0.0, 1.0)
    assert (metric.needs_validation, metric.pools_home, metric.inner) == (False, False, None)


@pytest.mark.parametrize("name", ["rocauc", "of-unknown"])
def test_an_unknown_metric_is_refused_with_the_nearest_name(name):
    declared = {**BUILT_IN, "of-unknown": GroupGap(of="rocauc", attributes=["sex"])}
    with pytest.raises(MedbenchError) as caught:
        metric_named(name, declared)
    assert str(caught.value) == "metric `rocauc` is not known. Did you mean `roc_auc`?"


@pytest.mark.parametrize("of", ["gap", "worst", "odds", "itself"])
@pytest.mark.parametrize("kind", [GroupGap, WorstGroup])
def test_what_compares_groups_cannot_be_compared_between_groups(kind, of):
    few = {name: DECLARED[name] for name in ("roc_auc", "nll", "gap", "worst", "odds")}
    with pytest.raises(MedbenchError) as caught:
        metric_named("itself", {**few, "itself": kind(of=of, attributes=["sex"])})
    assert str(caught.value) == (
        f"metric `itself` is of `{of}`, which compares groups itself. Expected one of roc_auc, nll."
    )


@pytest.mark.parametrize("of", OF_A_RUN)
@pytest.mark.parametrize("kind", [GroupGap, WorstGroup])
def test_what_is_known_of_a_run_cannot_be_compared_between_groups(kind, of):
    few = {name: DECLARED[name] for name in ("roc_auc", *OF_A_RUN)}
    with pytest.raises(MedbenchError) as caught:
        metric_named("itself", {**few, "itself": kind(of=of, attributes=["sex"])})
    assert str(caught.value) == (
        f"metric `itself` is of `{of}`, which is known of a run as a whole. Expected one of roc_auc."
    )


def test_what_a_declaration_leaves_open_is_the_tasks_own_metric_and_an_attribute():
    declared = {**DECLARED, "open": GroupGap(of="primary"), "open-odds": EqualizedOddsGap()}
    found = resolved("open", declared, primary="tempered", attribute="age")
    assert found == {"open": GroupGap(of="tempered", attributes=["age"]), "tempered": DECLARED["tempered"]}
    assert metric_named("open", found).identity == (
        "group_gap/max-min-of-ece/equal-width-15-temperature@1-by-age-from-20@1"
    )
    odds = resolved("open-odds", declared, primary="tempered", attribute="age")
    assert odds == {"open-odds": EqualizedOddsGap(attributes=["age"])}


@pytest.mark.parametrize("name", DECLARED)
def test_what_a_declaration_names_stays(name):
    found = resolved(name, DECLARED, primary="nll", attribute="view")
    assert found[name] == DECLARED[name]
    assert metric_named(name, found).identity == metric_named(name, DECLARED).identity
    assert set(found) == {name, getattr(DECLARED[name], "of", name)} & set(DECLARED)


@pytest.mark.parametrize(
    ("spec", "identity"),
    [
        (RocAuc(), "roc_auc@1"),
        (RocAuc(label="malignant"), "roc_auc/malignant@1"),
        (AveragePrecision(label="a"), "average_precision/a@1"),
        (TopK(k=3), "top_k/3@1"),
        (SensitivityAtSpecificity(specificity=0.9), "sensitivity_at_specificity/0.9@1"),
        (SensitivityAtSpecificity(specificity=0.9, label="a"), "sensitivity_at_specificity/0.9-a@1"),
        (SpecificityAtSensitivity(sensitivity=0.975), "specificity_at_sensitivity/0.975@1"),
        (SpecificityAtSensitivity(sensitivity=0.9750001), "specificity_at_sensitivity/0.9750001@1"),
        (NegativeLogLikelihood(), "nll@1"),
        (NegativeLogLikelihood(temperature=True), "nll/temperature@1"),
        (Brier(), "brier@1"),
        (Brier(part="resolution", bins=10, temperature=True), "brier/resolution-10-temperature@1"),
        (CalibrationError(), "ece/equal-width-15@1"),
        (CalibrationError(of="top-label", binning="equal-mass", bins=10), "ece/top-label-equal-mass-10@1"),
        (RiskCoverageArea(temperature=True), "aurc/temperature@1"),
        (OutOfDistributionAuc(score="energy"), "ood_auroc/energy@1"),
        (EqualizedOddsGap(attributes=["sex", "age"]), "equalized_odds_gap/by-sex+age-from-20@1"),
        (FeatureReuse(stage="pre_logits"), "feature_reuse/pre_logits@1"),
        (StepsToShare(), "steps_to_share/0.9@1"),
        (StepsToShare(share=0.75), "steps_to_share/0.75@1"),
    ],
)
def test_an_identity_names_what_the_value_depends_on(spec, identity):
    assert metric_named("ours", {"ours": spec}).identity == identity


def test_the_identity_of_a_metric_of_another_spells_that_one_out():
    """Its name would not do: the declaration under a name may change."""
    assert metric_named("gap", DECLARED).identity == "group_gap/max-min-of-roc_auc@1-by-sex-from-20@1"
    assert metric_named("nll-gap", DECLARED).identity == "group_gap/plain-to-whole-of-nll@1-by-sex-from-5@1"
    assert metric_named("worst-tempered", DECLARED).identity == (
        "worst_group/of-ece/equal-width-15-temperature@1-by-sex-from-20@1"
    )


@pytest.mark.parametrize(
    ("name", "higher", "low", "high"),
    [
        ("roc_auc", True, 0, 1),
        ("nll", False, 0, inf),
        ("brier", False, 0, 2),
        ("reliability", False, 0, 2),
        ("resolution", True, 0, 2),
        ("worst-resolution", True, 0, 2),
        ("misclassification_auroc", True, 0, 1),
        ("aurc", False, 0, 1),
        ("gap", False, 0, 1),
        ("nll-gap", False, 0, inf),
        ("worst", True, 0, 1),
        ("worst-nll", False, 0, inf),
        ("odds", False, 0, 1),
        ("steps_to_share", False, 0, inf),
        ("reuse", True, -1, 1),
    ],
)
def test_a_group_metric_takes_direction_and_range_from_the_one_that_is_compared(name, higher, low, high):
    metric = metric_named(name, DECLARED)
    assert (metric.higher_is_better, metric.low, metric.high) == (higher, low, high)


@pytest.mark.parametrize("name", DECLARED)
def test_the_direction_of_an_accepted_value_follows_from_its_identity(name):
    metric = metric_named(name, DECLARED)
    assert higher_is_better(metric.identity) is metric.higher_is_better


@pytest.mark.parametrize("identity", ["loss@1", "worst_group/of-loss@2-by-sex-from-20@1", "", "@", "roc@1"])
def test_a_kind_of_another_version_of_medbench_has_no_direction(identity):
    assert higher_is_better(identity) is None


@pytest.mark.parametrize("name", DECLARED)
def test_only_some_metrics_look_beyond_the_evaluation_set(name):
    metric = metric_named(name, DECLARED)
    assert metric.needs_validation == (name in {"tempered", "worst-tempered", "odds"})
    assert metric.pools_home == (name in {"ood_auroc", "ood-gap"})


def test_every_kind_stands_in_these_tests():
    assert {type(spec) for spec in DECLARED.values()} == set(KINDS)


def test_what_has_no_value_for_a_group_cannot_be_compared_between_groups():
    of_examples = [name for name in BUILT_IN if name != "steps_to_share"]
    assert ungrouped(BUILT_IN) == of_examples
    assert ungrouped(DECLARED) == [
        *of_examples,
        "tempered",
        "reliability",
        "resolution",
        "screening",
        "rule-out",
    ]


@pytest.mark.parametrize("name", DECLARED)
def test_every_metric_values_a_sample_within_its_range(name):
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 400)
    attributes = {"sex": np.array(["f", "m"])[draw.integers(0, 2, 400)], "age": np.full(400, "60")}
    predictions = scored(labels, labels + draw.normal(size=400), attributes=attributes)
    shifted = np.arange(400) >= 200
    record = runs.record(feature_reuse={"block4": -0.3})
    metric = metric_named(name, DECLARED)
    sample = Sample(predictions, validation=predictions, shifted=shifted, record=record)
    value, reason = evaluate(metric, sample)
    assert reason == ""
    assert metric.low <= value <= metric.high


def test_an_undefined_metric_has_no_value_but_a_reason():
    one_class = Sample(scored([1, 1], [0.0, 1.0]))
    assert evaluate(metric_named("roc_auc"), one_class) == (None, "`malignant` has no negative example")
