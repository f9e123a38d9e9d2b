"""Selective prediction against enumeration of orders, pairs and label sets, and on degenerate input."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from medbench.errors import MedbenchError
from medbench.metrics.calibration import temperature
from medbench.metrics.sample import Sample
from medbench.metrics.selective import (
    misclassification_auc,
    out_of_distribution_auc,
    risk_coverage_area,
    risk_coverage_curve,
)
from medbench.spec.metrics import MisclassificationAuc, OutOfDistributionAuc, RiskCoverageArea
from tests.metrics.handmade import (
    BINARY,
    FINDINGS,
    HUGE,
    THREE,
    binary,
    degenerate,
    drawn,
    one,
    predictions,
    probabilities,
    random,
)

AREA, DOUBT = RiskCoverageArea(), MisclassificationAuc()
OF_CALLS = [(risk_coverage_area, AREA), (misclassification_auc, DOUBT)]
TARGETS = [BINARY, THREE, FINDINGS]
SCORES = ("max-probability", "entropy", "energy")


def calls(scored):
    """Confidence and error of the known examples, one pair a label or one for all classes."""
    p, y = probabilities(scored), scored.labels
    if scored.target.kind == "single-label":
        return [(p.max(axis=1), y[np.arange(len(y)), p.argmax(axis=1)] == 0, np.ones(len(y), dtype=bool))]
    columns = [(p[:, i], y[:, i]) for i in range(y.shape[1])]
    return [(np.maximum(q, 1 - q), (q > 0.5) != z, z >= 0) for q, z in columns]


# ---------------------------------------------------------------- risk and coverage


def mean_risk_over_orders(confidence, wrong):
    """Mean area over all orders that never rank a less confident example first."""
    areas = []
    for order in permutations(range(len(wrong))):
        c = np.array([confidence[i] for i in order])
        if (np.diff(c) <= 0).all():
            errors = np.cumsum([wrong[i] for i in order])
            areas.append(np.mean(errors / np.arange(1, len(wrong) + 1)))
    return np.mean(areas)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_area_is_the_mean_over_all_orders_of_ties(data):
    n = data.draw(st.integers(1, 6))
    levels = data.draw(st.lists(st.sampled_from([-2.0, -1.0, 1.0, 2.0]), min_size=n, max_size=n))
    outcomes = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    wrong = [(level > 0) != bool(outcome) for level, outcome in zip(levels, outcomes, strict=True)]
    expected = mean_risk_over_orders(np.abs(levels), wrong)
    scored = binary(outcomes, levels)
    assert one(risk_coverage_area, AREA, scored) == pytest.approx(expected, abs=1e-12)
    coverage, risk = risk_coverage_curve(Sample(scored))
    assert risk.mean() == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(coverage, np.arange(1, n + 1) / n)


@pytest.mark.parametrize("target", TARGETS)
def test_area_without_ties_is_the_mean_of_the_cumulated_errors(target):
    scored = random(target, 150, 0, unknown=0.2)
    areas = []
    for confidence, wrong, known in calls(scored):
        errors = wrong[known][np.argsort(-confidence[known])]
        areas.append(np.mean(np.cumsum(errors) / np.arange(1, len(errors) + 1)))
    assert one(risk_coverage_area, AREA, scored) == pytest.approx(np.mean(areas), rel=1e-12)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("metric", "spec"), OF_CALLS)
def test_an_example_drawn_w_times_counts_as_w_examples(metric, spec, target):
    scored, weights = random(target, 60, 1, unknown=0.2), drawn(60, 5, 2)
    found = metric(spec, Sample(scored), weights)
    assert found.defined.all()
    for value, w in zip(found.values, weights.astype(int), strict=True):
        repeated = predictions(
            target, np.repeat(scored.labels, w, axis=0), np.repeat(scored.logits, w, axis=0)
        )
        assert value == pytest.approx(one(metric, spec, repeated), rel=1e-12)


def test_area_does_not_depend_on_the_order_of_rows():
    levels, outcomes = np.array([1.0, 1, 1, 2, 2, -1]), np.array([1, 0, 1, 0, 1, 1])
    rng = np.random.default_rng(3)
    areas = []
    for _ in range(5):
        order = rng.permutation(6)
        areas.append(one(risk_coverage_area, AREA, binary(outcomes[order], levels[order])))
    assert np.ptp(areas) < 1e-15


def test_equal_confidence_everywhere_has_the_error_rate_as_area_and_a_flat_curve():
    scored = binary([1, 1, 0, 1], [2.0, 2.0, 2.0, -2.0])
    assert one(risk_coverage_area, AREA, scored) == pytest.approx(0.5, rel=1e-14)
    np.testing.assert_allclose(risk_coverage_curve(Sample(scored))[1], 0.5)


def test_confidence_that_rounds_to_probability_one_is_still_ranked():
    # Only the least sure, of log odds 50, is wrong.
    scored = binary([0, 1, 1, 1], [50.0, 60.0, 70.0, HUGE])
    assert one(risk_coverage_area, AREA, scored) == pytest.approx(1 / 16)
    assert one(misclassification_auc, DOUBT, scored) == 1.0
    np.testing.assert_allclose(risk_coverage_curve(Sample(scored))[1], [0, 0, 0, 0.25])


def test_areas_of_no_error_and_of_nothing_right_are_the_limits():
    assert one(risk_coverage_area, AREA, binary([1, 0, 1], [1.0, -2.0, 3.0])) == 0.0
    assert one(risk_coverage_area, AREA, binary([0, 1, 0], [1.0, -2.0, 3.0])) == 1.0


def test_the_curve_of_labels_is_the_mean_of_their_curves():
    known = predictions(FINDINGS, [[1, 0], [1, 1]], [[2.0, 1.0], [-1.0, 2.0]])
    coverage, risk = risk_coverage_curve(Sample(known))
    np.testing.assert_allclose(coverage, [0.5, 1])
    # nodule: right at 2, wrong at 1; effusion: right at 2, wrong at 1.
    np.testing.assert_allclose(risk, [0, 0.5])
    partly = predictions(FINDINGS, [[1, -1], [1, -1], [0, 1], [0, 1]], [[4, 0], [-3, 9], [-2, 8], [-1, -7]])
    # nodule: 0, 1/2, 1/3, 1/4; effusion of two examples: 0 at half, 1/2 at all, a line between.
    expected = [0, (1 / 2 + 0) / 2, (1 / 3 + 1 / 4) / 2, (1 / 4 + 1 / 2) / 2]
    np.testing.assert_allclose(risk_coverage_curve(Sample(partly))[1], expected)


def test_a_curve_of_nothing_or_of_broken_logits_is_refused_with_the_reason():
    empty = predictions(BINARY, np.zeros((0, 2)), np.zeros((0, 2)))
    with pytest.raises(
        MedbenchError, match=r"^no risk-coverage curve: `top label` has no example whose label"
    ):
        risk_coverage_curve(Sample(empty))
    with pytest.raises(
        MedbenchError, match=r"^no risk-coverage curve: 1 of 2 examples have logits that are not"
    ):
        risk_coverage_curve(Sample(binary([0, 1], [np.inf, 0.0])))


# ---------------------------------------------------------------- misclassification


@pytest.mark.parametrize("target", TARGETS)
def test_doubt_is_sklearns_area_of_errors_by_lack_of_confidence(target):
    scored, weights = random(target, 150, 4, unknown=0.2), drawn(150, 4, 5)
    found = misclassification_auc(DOUBT, Sample(scored), weights)
    for value, w in zip(found.values, weights, strict=True):
        areas = [roc_auc_score(e[m], -c[m], sample_weight=w[m]) for c, e, m in calls(scored)]
        assert value == pytest.approx(np.mean(areas), rel=1e-12)


def test_doubt_is_undefined_where_all_calls_are_right_or_all_wrong():
    right = binary([1, 0], [1.0, -2.0])
    assert one(misclassification_auc, DOUBT, right) == "`top label` has no wrongly called example"
    wrong = binary([0, 1], [1.0, -2.0])
    assert one(misclassification_auc, DOUBT, wrong) == "`top label` has no rightly called example"
    label = predictions(FINDINGS, [[1, 1], [1, 1]], [[1, 1], [-1, 1]])
    assert one(misclassification_auc, DOUBT, label) == "`effusion` has no wrongly called example"


@pytest.mark.parametrize(("order", "lacking"), [((0, 1, 2), "rightly"), ((0, 2, 1), "wrongly")])
def test_doubt_is_undefined_only_in_the_replicates_that_lack_an_error_and_names_what_the_first_lacks(
    order, lacking
):
    scored = binary([1, 0, 1], [1.0, 0.5, 2.0])
    weights = np.array([[1.0, 1, 1], [0, 1, 0], [1, 0, 1]])[list(order)]
    found = misclassification_auc(DOUBT, Sample(scored), weights)
    assert found.defined.tolist() == [True, False, False]
    assert found.values.tolist() == [1, 0, 0]
    assert found.reason == f"`top label` has no {lacking} called example"


@pytest.mark.parametrize(("metric", "spec"), OF_CALLS)
def test_temperature_reorders_more_than_two_classes(metric, spec):
    validation, test = random(THREE, 200, 6, spread=6.0), random(THREE, 200, 7, spread=6.0)
    cooled = predictions(
        THREE, test.labels, test.logits.astype(np.float64) / temperature(validation), dtype=np.float64
    )
    found = one(metric, type(spec)(temperature=True), test, validation=validation)
    assert found == pytest.approx(one(metric, spec, cooled), rel=1e-12)
    assert found != one(metric, spec, test)
    assert one(metric, type(spec)(temperature=True), test) == (
        "there are no predictions on validation to fit the temperature on"
    )


# ---------------------------------------------------------------- out of distribution


def joint(scored):
    """(n, 2^k) probabilities and energies' exponents of all label sets, which are independent labels."""
    logits = scored.logits.astype(np.float64)
    sets = np.array(list(product([0, 1], repeat=logits.shape[1])))
    totals = logits @ sets.T
    return np.exp(totals) / np.exp(totals).sum(axis=1, keepdims=True), totals


def strangeness(score, scored):
    """By the formulas over all answers: classes, or sets of labels."""
    if scored.target.kind == "multi-label":
        p, totals = joint(scored)
    else:
        p, totals = probabilities(scored), scored.logits.astype(np.float64)
    return {
        "max-probability": -p.max(axis=1),
        "entropy": -(p * np.log(p)).sum(axis=1),
        "energy": -np.log(np.exp(totals).sum(axis=1)),
    }[score]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("target", TARGETS)
def test_strangeness_is_that_of_all_answers(target, score):
    scored, weights = random(target, 120, 8, unknown=0.3), drawn(120, 4, 9)
    shifted = np.random.default_rng(10).random(120) < 0.4
    found = out_of_distribution_auc(OutOfDistributionAuc(score=score), Sample(scored, None, shifted), weights)
    expected = [roc_auc_score(shifted, strangeness(score, scored), sample_weight=w) for w in weights]
    np.testing.assert_allclose(found.values, expected, rtol=1e-9)
    assert found.defined.all()


def far_and_near(target, near, far):
    """One example of `id` and one of the shift."""
    k = len(target.classes)
    return predictions(target, np.eye(k, dtype=int)[[0, 0]], [near, far]), np.array([False, True])


@pytest.mark.parametrize("score", ["max-probability", "entropy"])
@pytest.mark.parametrize(
    ("target", "near", "far"),
    [
        (BINARY, [0, 80], [0, 70]),
        (BINARY, [80, 0], [0, 70]),
        (THREE, [0, 0, 80], [70, 0, 0]),
        (FINDINGS, [-80, 70], [70, -70]),
    ],
)
def test_less_sure_is_stranger_even_where_probabilities_round_to_one(target, near, far, score):
    scored, shifted = far_and_near(target, near, far)
    assert one(out_of_distribution_auc, OutOfDistributionAuc(score=score), scored, shifted=shifted) == 1.0


def test_energy_sees_the_size_of_logits_and_the_others_do_not():
    scored, shifted = far_and_near(THREE, [5, 6, 9], [1, 2, 5])
    found = {
        score: one(out_of_distribution_auc, OutOfDistributionAuc(score=score), scored, shifted=shifted)
        for score in SCORES
    }
    assert found == {"max-probability": 0.5, "entropy": 0.5, "energy": 1.0}


def test_strangeness_does_not_look_at_true_labels():
    scored = random(FINDINGS, 50, 11)
    unknown = predictions(FINDINGS, np.full((50, 2), -1), scored.logits)
    shifted = np.arange(50) % 3 == 0
    for score in SCORES:
        spec = OutOfDistributionAuc(score=score)
        assert one(out_of_distribution_auc, spec, unknown, shifted=shifted) == one(
            out_of_distribution_auc, spec, scored, shifted=shifted
        )


def test_strangeness_needs_examples_of_both_sets():
    scored, spec = random(BINARY, 3, 12), OutOfDistributionAuc()
    none = one(out_of_distribution_auc, spec, scored)
    assert none == "no examples of a shift are scored together with those of `id`"
    nobody = one(out_of_distribution_auc, spec, scored, shifted=np.zeros(3, dtype=bool))
    assert nobody == "there is no example of a shift"
    everybody = one(out_of_distribution_auc, spec, scored, shifted=np.ones(3, dtype=bool))
    assert everybody == "there is no example of `id`"
    rows = np.array([[1.0, 1, 1], [1, 0, 0], [0, 0, 1]])
    found = out_of_distribution_auc(spec, Sample(scored, None, np.array([False, False, True])), rows)
    assert found.defined.tolist() == [True, False, False]
    assert found.reason == "there is no example of a shift"
    found = out_of_distribution_auc(spec, Sample(scored, None, np.array([False, False, True])), rows[::2])
    assert found.reason == "there is no example of `id`"


@pytest.mark.parametrize("score", SCORES)
def test_strangeness_of_broken_logits_is_undefined_with_the_reason(score):
    spec, shifted = OutOfDistributionAuc(score=score), np.array([False, True])
    broken = binary([0, 1], [np.nan, 0.0])
    assert one(out_of_distribution_auc, spec, broken, shifted=shifted) == (
        "1 of 2 examples have logits that are not finite"
    )


# ---------------------------------------------------------------- everywhere


@settings(deadline=None, max_examples=150)
@given(case=degenerate(), data=st.data())
def test_degenerate_input_gives_a_value_in_range_or_a_reason(case, data):
    scored, weights = case
    marks = data.draw(st.lists(st.booleans(), min_size=len(scored), max_size=len(scored)))
    sample = Sample(scored, None, np.array(marks, dtype=bool))
    specs = [(out_of_distribution_auc, OutOfDistributionAuc(score=score)) for score in SCORES]
    for metric, spec in [*OF_CALLS, *specs]:
        found = metric(spec, sample, weights)
        assert found.values.shape == found.defined.shape == (3,)
        assert ((found.values >= 0) & (found.values <= 1)).all()
        assert (found.values[~found.defined] == 0).all()
        assert bool(found.reason) != found.defined.all()


@pytest.mark.parametrize(("metric", "spec"), OF_CALLS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_leave_calls_undefined(metric, spec, bad):
    assert one(metric, spec, binary([0, 1], [bad, 0.0])) == "1 of 2 examples have logits that are not finite"


def test_nothing_of_weight_has_no_area_in_that_row_alone():
    found = risk_coverage_area(AREA, Sample(binary([0, 1], [1.0, 2.0])), np.array([[1.0, 1], [0, 0]]))
    assert found.defined.tolist() == [True, False]
    assert found.reason == "`top label` has no example whose label is known"


def test_thousands_of_examples_drawn_many_times_stay_exact():
    scored = random(BINARY, 4000, 13)
    area = one(risk_coverage_area, AREA, scored)
    many = risk_coverage_area(AREA, Sample(scored), np.full((1, 4000), 50.0))
    # Fifty copies of each: the finer steps move the area by less than one example's share.
    assert many.values[0] == pytest.approx(area, abs=1 / 4000)
    assert area == pytest.approx(risk_coverage_curve(Sample(scored))[1].mean(), rel=1e-12)
