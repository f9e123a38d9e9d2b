"""Calibration against scikit-learn, scipy, closed forms and plain loops, and on degenerate input."""

import itertools
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import brentq
from scipy.stats import entropy
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from medbench.errors import MedbenchError
from medbench.metrics.calibration import (
    TEMPERATURES,
    brier,
    calibration_error,
    calibration_intercept,
    calibration_slope,
    negative_log_likelihood,
    reliability,
    temperature,
    top_label,
)
from medbench.metrics.sample import Sample
from medbench.spec.metrics import (
    Brier,
    CalibrationError,
    CalibrationIntercept,
    CalibrationSlope,
    NegativeLogLikelihood,
)
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

NLL, SLOPE, INTERCEPT = NegativeLogLikelihood(), CalibrationSlope(), CalibrationIntercept()
PARTS = ("score", "reliability", "resolution", "uncertainty")
ALL = [
    (negative_log_likelihood, NLL),
    *((brier, Brier(part=part, bins=3)) for part in PARTS),
    *(
        (calibration_error, CalibrationError(of=of, binning=binning, bins=3))
        for of in ("positive", "top-label", "class-wise")
        for binning in ("equal-width", "equal-mass")
    ),
    (calibration_slope, SLOPE),
    (calibration_intercept, INTERCEPT),
]
TARGETS = [BINARY, THREE, FINDINGS]


def of_known(scored, i):
    """Probabilities, outcomes and which examples are known, of one column."""
    known = scored.labels[:, i] >= 0
    return probabilities(scored)[known, i], scored.labels[known, i], known


# ---------------------------------------------------------------- scores of probabilities


@pytest.mark.parametrize("target", [BINARY, THREE])
def test_nll_is_sklearns_log_loss_under_weights(target):
    scored, weights = random(target, 120, 0), drawn(120, 6, 1)
    found = negative_log_likelihood(NLL, Sample(scored), weights)
    classes = scored.labels.argmax(axis=1)
    expected = [log_loss(classes, probabilities(scored), sample_weight=w) for w in weights]
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    assert found.defined.all()
    assert found.reason == ""


def test_nll_of_labels_is_the_mean_over_labels_of_known_examples():
    scored, weights = random(FINDINGS, 90, 2, unknown=0.3), drawn(90, 4, 3)
    found = negative_log_likelihood(NLL, Sample(scored), weights)
    expected = []
    for w in weights:
        losses = [log_loss(y, p, sample_weight=w[m]) for p, y, m in (of_known(scored, i) for i in (0, 1))]
        expected.append(np.mean(losses))
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)


def test_nll_keeps_its_digits_where_probabilities_round_to_one():
    assert one(negative_log_likelihood, NLL, binary([1], [50.0])) == pytest.approx(np.exp(-50), rel=1e-12)
    sure = predictions(THREE, [[0, 0, 1]], [[0.0, 0.0, 50.0]])
    assert one(negative_log_likelihood, NLL, sure) == pytest.approx(2 * np.exp(-50), rel=1e-12)


def test_nll_of_huge_logits_is_huge_and_finite():
    assert one(negative_log_likelihood, NLL, binary([1, 0], [-HUGE, -HUGE])) == pytest.approx(HUGE / 2)
    wrong = predictions(THREE, [[1, 0, 0]], [[-HUGE, HUGE, HUGE]])
    assert one(negative_log_likelihood, NLL, wrong) == pytest.approx(2 * HUGE)
    assert one(
        negative_log_likelihood, NLL, predictions(FINDINGS, [[1, 0]], [[-HUGE, HUGE]])
    ) == pytest.approx(HUGE)


def test_equal_huge_logits_are_equal_probabilities():
    even = predictions(THREE, [[0, 1, 0]], [[HUGE, HUGE, HUGE]])
    assert one(negative_log_likelihood, NLL, even) == pytest.approx(log(3), rel=1e-14)


@pytest.mark.parametrize(("metric", "spec"), ALL)
def test_logits_that_would_overflow_float64_are_undefined_with_the_reason(metric, spec):
    scored = binary([0, 1], [1e300, 1.0], dtype=np.float64)
    assert one(metric, spec, scored) == "logits are larger than 1e+100, so that probabilities would overflow"


@pytest.mark.parametrize(("metric", "spec"), ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_undefined_with_their_count(metric, spec, bad):
    found = metric(spec, Sample(binary([0, 1, 1], [bad, 1.0, bad])), np.ones((4, 3)))
    assert found.defined.tolist() == [False] * 4
    assert found.values.tolist() == [0] * 4
    assert found.reason == "2 of 3 examples have logits that are not finite"


def test_brier_is_sklearns_for_two_classes_and_summed_over_more():
    weights = drawn(120, 5, 5)
    for target, halves in ((BINARY, 1), (THREE, 2)):
        scored = random(target, 120, 4)
        found = brier(Brier(), Sample(scored), weights)
        p, y = probabilities(scored), scored.labels
        expected = [np.average(((p - y) ** 2).sum(axis=1), weights=w) / (2 / halves) for w in weights]
        np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    two = random(BINARY, 120, 4)
    sklearns = [
        brier_score_loss(two.labels[:, 1], probabilities(two)[:, 1], sample_weight=w) for w in weights
    ]
    np.testing.assert_allclose(brier(Brier(), Sample(two), weights).values, sklearns, rtol=1e-12)


def test_brier_of_labels_is_the_mean_over_labels():
    scored = random(FINDINGS, 70, 6, unknown=0.3)
    expected = np.mean([brier_score_loss(y, p) for p, y, _ in (of_known(scored, i) for i in (0, 1))])
    assert one(brier, Brier(), scored) == pytest.approx(expected, rel=1e-12)


def test_brier_of_being_surely_wrong_is_its_upper_limit():
    assert one(brier, Brier(), binary([0, 1], [HUGE, -HUGE])) == 1.0
    assert one(brier, Brier(), predictions(THREE, [[1, 0, 0]], [[-HUGE, HUGE, -HUGE]])) == 2.0


def part(name, scored, weights, bins=5):
    return brier(Brier(part=name, bins=bins), Sample(scored), weights).values


@pytest.mark.parametrize("target", TARGETS)
def test_murphys_parts_add_up_where_every_bin_holds_one_probability(target):
    rng = np.random.default_rng(7)
    levels = rng.choice([-2.0, -0.5, 1.0], 300)
    k = len(target.classes)
    logits = np.concatenate([levels[:, None], np.zeros((300, k - 1))], axis=1)
    if target.kind == "multi-label":
        logits[:, 1] = rng.choice([-1.0, 3.0], 300)
    labels = random(target, 300, 8).labels
    scored, weights = predictions(target, labels, logits), drawn(300, 5, 9)
    # A hundred bins of three examples: no bin holds two levels, as edges are among the levels.
    total = part("reliability", scored, weights, 100) - part("resolution", scored, weights, 100)
    total += part("uncertainty", scored, weights, 100)
    np.testing.assert_allclose(total, part("score", scored, weights), atol=1e-14)


def test_murphys_parts_and_the_spread_within_bins_add_up_to_rounding():
    scored, weights = random(BINARY, 200, 10), drawn(200, 4, 11)
    p, y = probabilities(scored)[:, 1], scored.labels[:, 1]
    order = np.argsort(p)
    within = []
    for w in weights:
        total = 0.0
        for rows in np.split(order, 5):
            mass, p_bin, y_bin = w[rows].sum(), p[rows], y[rows]
            p_mean, y_mean = np.average(p_bin, weights=w[rows]), np.average(y_bin, weights=w[rows])
            total += (w[rows] * ((p_bin - p_mean) ** 2 - 2 * (p_bin - p_mean) * (y_bin - y_mean))).sum()
            assert mass > 0
        within.append(total / w.sum())
    parts = part("reliability", scored, weights) - part("resolution", scored, weights)
    parts += part("uncertainty", scored, weights)
    np.testing.assert_allclose(parts + within, part("score", scored, weights), atol=1e-14)


def test_the_uncertainty_is_that_of_the_base_rate_and_resolution_never_exceeds_it():
    scored = binary([1, 0, 0, 0], [1.0, 2.0, 3.0, 4.0])
    ones = np.ones((1, 4))
    assert part("uncertainty", scored, ones, 2)[0] == pytest.approx(0.25 * 0.75)
    # Shares .5 and 0 in halves, against .25 in all.
    assert part("resolution", scored, ones, 2)[0] == pytest.approx(0.25**2)
    perfect = binary([0, 0, 1, 1], [-HUGE, -HUGE, HUGE, HUGE])
    assert part("resolution", perfect, ones, 2)[0] == part("uncertainty", perfect, ones, 2)[0] == 0.25
    assert part("reliability", perfect, ones, 2)[0] == 0.0


@pytest.mark.parametrize("name", PARTS)
def test_parts_are_shares_so_that_only_the_ratios_of_weights_count(name):
    scored, weights = random(BINARY, 30, 33), drawn(30, 3, 34)
    np.testing.assert_allclose(part(name, scored, weights / 100), part(name, scored, weights), rtol=1e-12)


# ---------------------------------------------------------------- expected calibration error


def plain_error(p, y, w, edges):
    """By a loop over bins that hold their lower edge, the last one both."""
    total = 0.0
    for i, (low, high) in enumerate(itertools.pairwise(edges)):
        rows = (p >= low) & ((p < high) | (i == len(edges) - 2))
        if w[rows].sum() > 0:
            gap = np.average(y[rows], weights=w[rows]) - np.average(p[rows], weights=w[rows])
            total += w[rows].sum() * abs(gap)
    return total / w.sum()


def equal_mass(p, bins):
    ranked = np.sort(p)
    return [0.0, *(ranked[i * len(p) // bins] for i in range(1, bins)), 1.0]


EDGES = {"equal-width": lambda p, bins: [i / bins for i in range(bins + 1)], "equal-mass": equal_mass}


@pytest.mark.parametrize("binning", EDGES)
@pytest.mark.parametrize("of", ["positive", "top-label", "class-wise"])
@pytest.mark.parametrize("target", TARGETS)
def test_calibration_error_is_that_of_a_plain_loop_over_bins(target, of, binning):
    n = 150
    scored, weights = random(target, n, 12, unknown=0.2), drawn(n, 5, 13)
    p, y = probabilities(scored), scored.labels
    columns = [(p[:, i], y[:, i]) for i in range(y.shape[1])]
    if of == "positive" and target is BINARY:
        columns = columns[1:]
    if of == "top-label":
        if target is FINDINGS:
            columns = [(np.maximum(q, 1 - q), np.where(z < 0, -1, (q > 0.5) == z)) for q, z in columns]
        else:
            columns = [(p.max(axis=1), y[np.arange(n), p.argmax(axis=1)])]
    found = calibration_error(CalibrationError(of=of, binning=binning, bins=7), Sample(scored), weights)
    for value, w in zip(found.values, weights, strict=True):
        errors = []
        for q, z in columns:
            known = z >= 0
            errors.append(plain_error(q[known], z[known], w[known], EDGES[binning](q[known], 7)))
        assert value == pytest.approx(np.mean(errors), abs=1e-12)


def test_a_probability_of_exactly_one_is_counted_in_the_last_bin():
    sure = binary([0], [HUGE])
    for binning in EDGES:
        assert one(calibration_error, CalibrationError(binning=binning), sure) == 1.0
    assert one(calibration_error, CalibrationError(), binary([1], [-HUGE])) == 1.0


def test_a_probability_on_an_edge_belongs_to_the_bin_above():
    # Two bins: .5 joins .8, not .2; the errors -.5 and .2 of the upper bin cancel in part.
    scored = binary([0, 1, 1], [0.0, log(4), -log(4)])
    found = one(calibration_error, CalibrationError(bins=2), scored)
    assert found == pytest.approx((abs(-0.5 + 0.2) + 0.8) / 3)


def test_bins_of_equal_mass_have_the_edges_of_the_sample_in_every_replicate():
    scored = binary([0, 1, 0, 1], np.log([1 / 9, 2 / 8, 6 / 4, 9 / 1]), dtype=np.float64)
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 1, 1], [0, 0, 0, 4]])
    found = calibration_error(CalibrationError(binning="equal-mass", bins=2), Sample(scored), weights)
    # Probabilities .1, .2 | .6, .9
    np.testing.assert_allclose(found.values, [(0.7 + 0.5) / 4, (0.2 + 0.5) / 4, 0.1], rtol=1e-12)


def test_equal_probabilities_share_a_bin_of_equal_mass():
    scored = binary([0, 1, 0, 1, 0, 1], [0.0] * 6)
    assert one(calibration_error, CalibrationError(binning="equal-mass", bins=3), scored) == 0.0
    assert len(reliability(CalibrationError(binning="equal-mass", bins=3), Sample(scored))[0].counts) == 1


def test_top_label_ties_call_the_first_class_and_a_label_absent():
    assert one(calibration_error, CalibrationError(of="top-label"), binary([0], [0.0])) == 0.5
    spec = CalibrationError(of="top-label", bins=1)
    # Called the first, which is right: 1 - 1/3.
    tied = predictions(THREE, [[1, 0, 0]], [[2.0, 2.0, 2.0]])
    assert one(calibration_error, spec, tied) == pytest.approx(2 / 3)
    last = predictions(THREE, [[0, 0, 1]], [[2.0, 2.0, 2.0]])
    assert one(calibration_error, spec, last) == pytest.approx(1 / 3)
    nodule, effusion = top_label(predictions(FINDINGS, [[1, 1], [0, -1]], np.zeros((2, 2))))
    assert (nodule.happened.tolist(), effusion.happened.tolist()) == ([0, 1], [0, -1])


def test_one_bin_gives_the_distance_of_the_means():
    scored = random(BINARY, 40, 14)
    expected = abs(probabilities(scored)[:, 1].mean() - scored.labels[:, 1].mean())
    assert one(calibration_error, CalibrationError(bins=1), scored) == pytest.approx(expected, rel=1e-12)


def test_the_first_of_two_classes_counts_class_wise():
    # p = .75 for the second class and .25 for the first: at two bins both miss by .25.
    scored = binary([1], [log(3)])
    assert one(calibration_error, CalibrationError(of="class-wise", bins=2), scored) == pytest.approx(0.25)
    # Bins are not mirrored: .5 is in the upper bin of both classes.
    half = binary([1, 0], [0.0, -log(3)])
    errors = [(0.5 + 0.25) / 2, abs(-0.5 + 0.25) / 2]
    found = one(calibration_error, CalibrationError(of="class-wise", bins=2), half)
    assert found == pytest.approx(np.mean(errors))


# ---------------------------------------------------------------- slope and intercept


def sklearn_fit(s, y, w, intercept_only=False):
    kept = w > 0
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000, solver="newton-cholesky")
    model.fit(s[kept, None], y[kept], sample_weight=w[kept])
    return model.intercept_[0], model.coef_[0, 0]


@pytest.mark.parametrize("target", TARGETS)
def test_slope_is_that_of_an_unpenalised_logistic_regression(target):
    scored, weights = random(target, 200, 15, unknown=0.2, spread=2.5), drawn(200, 4, 16)
    found = calibration_slope(SLOPE, Sample(scored), weights)
    assert found.defined.all()
    for value, w in zip(found.values, weights, strict=True):
        errors = []
        for i in range(1 if target is BINARY else 0, len(target.classes)):
            p, y, known = of_known(scored, i)
            errors.append(abs(sklearn_fit(np.log(p / (1 - p)), y, w[known])[1] - 1))
        assert value == pytest.approx(np.mean(errors), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("target", TARGETS)
def test_intercept_makes_the_mean_probability_the_share_of_positives(target):
    scored, weights = random(target, 200, 17, unknown=0.2, spread=2.5), drawn(200, 4, 18)
    found = calibration_intercept(INTERCEPT, Sample(scored), weights)
    assert found.defined.all()
    for value, w in zip(found.values, weights, strict=True):
        errors = []
        for i in range(1 if target is BINARY else 0, len(target.classes)):
            p, y, known = of_known(scored, i)
            s = np.log(p / (1 - p))

            def excess(a, s=s, y=y, w=w[known]):
                return w @ (1 / (1 + np.exp(-s - a)) - y)

            errors.append(abs(brentq(excess, -30, 30, xtol=1e-13)))
        assert value == pytest.approx(np.mean(errors), rel=1e-9, abs=1e-10)


def test_slope_of_two_log_odds_is_the_difference_of_their_empirical_ones():
    # Three of four positive at 2, one of four at -1: slope (log 3 - log(1/3)) / 3.
    scored = binary([1, 1, 1, 0, 1, 0, 0, 0], [2.0] * 4 + [-1.0] * 4)
    assert one(calibration_slope, SLOPE, scored) == pytest.approx(abs(2 * log(3) / 3 - 1), rel=1e-12)


def test_intercept_at_one_log_odds_is_its_distance_from_the_empirical_one():
    assert one(calibration_intercept, INTERCEPT, binary([1, 1, 1, 0], [5.0] * 4)) == pytest.approx(5 - log(3))
    assert one(calibration_intercept, INTERCEPT, binary([1, 0], [-40.0] * 2)) == pytest.approx(40, rel=1e-12)


def test_well_calibrated_log_odds_have_no_error():
    odds = [1.0] * 4 + [-1.0] * 4
    scored = binary([1, 1, 1, 0, 0, 0, 0, 1], np.log(3) * np.array(odds), dtype=np.float64)
    assert one(calibration_slope, SLOPE, scored) == pytest.approx(0, abs=1e-12)
    assert one(calibration_intercept, INTERCEPT, scored) == pytest.approx(0, abs=1e-12)


def test_log_odds_of_any_scale_and_origin_give_the_slope_that_undoes_them():
    rng = np.random.default_rng(19)
    s = rng.normal(size=60)
    outcomes = s + rng.logistic(size=60) > 0
    plain = sklearn_fit(s, outcomes, np.ones(60))[1]
    for scale, shift in ((1e-6, 0.0), (1.0, 30.0), (1e6, -1e7)):
        found = one(calibration_slope, SLOPE, binary(outcomes, scale * s + shift, dtype=np.float64))
        assert found == pytest.approx(abs(plain / scale - 1), rel=1e-5)


def test_all_but_separated_classes_have_a_steep_slope():
    s = np.array([-3.0, -2.0, -1e-2, 0.0, 1e-2, 2.0, 3.0])
    outcomes = np.array([0, 0, 1, 0, 0, 1, 1])
    expected = sklearn_fit(s, outcomes, np.ones(7))[1]
    assert one(calibration_slope, SLOPE, binary(outcomes, s)) == pytest.approx(abs(expected - 1), rel=1e-5)


@pytest.mark.parametrize(
    ("outcomes", "log_odds"),
    [
        ([0, 0, 1, 1], [-2.0, -1.0, 1.0, 2.0]),
        ([1, 1, 0, 0], [-2.0, -1.0, 1.0, 2.0]),
        ([0, 0, 1, 1], [-2.0, 0.0, 0.0, 2.0]),
        ([1, 1, 0, 0], [-2.0, 0.0, 0.0, 2.0]),
        ([0, 0, 1, 1], [0.0, 0.0, 0.0, 2.0]),
        ([0, 1], [-HUGE, HUGE]),
    ],
)
def test_separated_classes_even_with_ties_have_no_slope(outcomes, log_odds):
    reason = one(calibration_slope, SLOPE, binary(outcomes, log_odds))
    assert reason == "the log odds separate `malignant` from the rest, so that no slope is the steepest"


def test_a_class_within_the_other_does_not_separate():
    scored = binary([1, 0, 0, 1], [-2.0, 0.0, 0.0, 1.0])
    slope = sklearn_fit(np.array([-2.0, 0, 0, 1]), np.array([1, 0, 0, 1]), np.ones(4))[1]
    assert one(calibration_slope, SLOPE, scored) == pytest.approx(abs(slope - 1), rel=1e-6)


def test_equal_log_odds_have_no_slope_but_an_intercept():
    scored = binary([0, 1], [3.0, 3.0])
    assert one(calibration_slope, SLOPE, scored) == "all log odds of `malignant` are equal"
    assert one(calibration_intercept, INTERCEPT, scored) == pytest.approx(3.0)


@pytest.mark.parametrize(("metric", "spec"), [(calibration_slope, SLOPE), (calibration_intercept, INTERCEPT)])
def test_one_class_has_no_regression(metric, spec):
    assert one(metric, spec, binary([1, 1], [0.0, 1.0])) == "`malignant` has no negative example"
    assert one(metric, spec, binary([0, 0], [0.0, 1.0])) == "`malignant` has no positive example"
    unknown = predictions(FINDINGS, [[1, -1], [0, -1], [1, -1]], [[1, 1], [2, 2], [3, 3]])
    assert one(metric, spec, unknown) == "`effusion` has no positive example"


def test_a_slope_is_undefined_only_in_the_replicates_that_are_separated():
    scored = binary([0, 1, 0, 1], [0.0, 1.0, 2.0, 3.0])
    weights = np.array([[1.0, 1, 1, 1], [1, 1, 0, 1], [0, 1, 0, 1], [1, 1, 1, 1], [2, 1, 3, 1]])
    found = calibration_slope(SLOPE, Sample(scored), weights)
    assert found.defined.tolist() == [True, False, False, True, True]
    assert found.values[1:3].tolist() == [0, 0]
    assert found.reason == "the log odds separate `malignant` from the rest, so that no slope is the steepest"
    for row in (0, 3, 4):
        slope = sklearn_fit(np.arange(4.0), np.array([0, 1, 0, 1]), weights[row])[1]
        assert found.values[row] == pytest.approx(abs(slope - 1), rel=1e-6)
    no_positive = np.array([[1.0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 1]])
    assert (
        calibration_slope(SLOPE, Sample(scored), no_positive).reason == "`malignant` has no positive example"
    )
    lacking = calibration_slope(SLOPE, Sample(scored), weights[[0, 2, 1]])
    assert lacking.defined.tolist() == [True, False, False]
    assert lacking.reason == "`malignant` has no negative example"


def test_an_intercept_that_rounding_would_decide_is_undefined():
    reason = one(calibration_intercept, INTERCEPT, binary([1, 0], [HUGE, -HUGE]))
    assert reason == (
        "the calibration intercept of `malignant` did not converge: "
        "its probabilities are too close to 0 and 1"
    )


def test_an_outlier_that_hides_the_spread_of_the_rest_leaves_the_slope_undefined():
    reason = one(calibration_slope, SLOPE, binary([1, 0, 1, 0, 1], [-1.0, 0.0, 1.0, 2.0, HUGE]))
    assert reason == "the calibration slope of `malignant` did not converge: it is all but separated"


# ---------------------------------------------------------------- temperature


def test_temperature_undoes_a_known_scale():
    rng = np.random.default_rng(20)
    s = rng.normal(size=4000)
    outcomes = s + rng.logistic(size=4000) > 0
    slope = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(s[:, None], outcomes).coef_[0, 0]
    for scale in (0.2, 1.0, 7.0):
        found = temperature(binary(outcomes, scale * s, dtype=np.float64))
        assert found == pytest.approx(scale / slope, rel=1e-4)


@pytest.mark.parametrize("target", [THREE, FINDINGS])
def test_temperature_has_the_least_nll_of_a_grid(target):
    validation = random(target, 200, 21, unknown=0.2, spread=4.0)
    found = temperature(validation)

    def loss(t):
        return one(negative_log_likelihood, NLL, scaled(validation, t))

    assert TEMPERATURES[0] < found < TEMPERATURES[1]
    assert loss(found) <= min(loss(t) for t in np.geomspace(*TEMPERATURES, 60)) + 1e-9
    assert max(loss(found * 0.97), loss(found / 0.97)) > loss(found) + 1e-6


def scaled(scored, t):
    return predictions(scored.target, scored.labels, scored.logits.astype(np.float64) / t, dtype=np.float64)


def test_separated_validation_gives_the_lower_bound_and_reversed_the_upper():
    assert temperature(binary([0, 1], [-2.0, 2.0])) == pytest.approx(0.01)
    assert temperature(binary([0, 1], [-20.0, 20.0])) == pytest.approx(0.01)
    assert temperature(binary([0, 1], [2.0, -2.0])) == pytest.approx(100.0)


def test_temperature_stays_one_where_nothing_is_better():
    assert temperature(binary([0, 1], [0.0, 0.0])) == 1.0
    assert temperature(binary([0, 1], [-HUGE, HUGE])) == 1.0


@pytest.mark.parametrize(("metric", "spec"), ALL)
def test_every_calibration_metric_is_that_of_the_divided_logits_if_asked(metric, spec):
    validation, test = random(THREE, 150, 22, spread=4.0), random(THREE, 100, 23, spread=4.0)
    weights = drawn(100, 3, 24)
    asked = type(spec)(**{**fields(spec), "temperature": True})
    found = metric(asked, Sample(test, validation), weights)
    expected = metric(spec, Sample(scaled(test, temperature(validation))), weights)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-9)
    unasked = metric(spec, Sample(test, validation), weights)
    np.testing.assert_array_equal(unasked.values, metric(spec, Sample(test), weights).values)
    # Bins of equal mass follow the ranks, which one temperature hardly moves.
    assert (
        getattr(spec, "part", "") in ("resolution", "uncertainty") or (found.values != unasked.values).all()
    )


def fields(spec):
    return {name: getattr(spec, name) for name in spec.__struct_fields__}


@pytest.mark.parametrize(("metric", "spec"), ALL)
def test_without_usable_validation_nothing_is_scaled(metric, spec):
    asked, scored = type(spec)(**{**fields(spec), "temperature": True}), random(BINARY, 40, 25)
    assert one(metric, asked, scored) == "there are no predictions on validation to fit the temperature on"
    empty = predictions(BINARY, np.zeros((0, 2)), np.zeros((0, 2)))
    assert one(metric, asked, scored, validation=empty) == (
        "no temperature can be fitted on validation: `malignant` has no example whose label is known"
    )
    broken = binary([0, 1], [np.nan, 0.0])
    assert one(metric, asked, scored, validation=broken) == (
        "no temperature can be fitted on validation: 1 of 2 examples have logits that are not finite"
    )


def test_a_temperature_without_examples_is_refused():
    unknown = predictions(FINDINGS, [[1, -1], [0, -1]], np.zeros((2, 2)))
    with pytest.raises(MedbenchError, match="no temperature can be fitted on validation: `effusion` has no"):
        temperature(unknown)


# ---------------------------------------------------------------- reliability diagrams


@pytest.mark.parametrize("spec", [s for _, s in ALL if isinstance(s, CalibrationError)])
@pytest.mark.parametrize("target", TARGETS)
def test_the_diagrams_bars_are_what_the_error_averages(target, spec):
    scored = random(target, 80, 26, unknown=0.2)
    diagrams = reliability(spec, Sample(scored))
    errors = [(d.counts * np.abs(d.probability - d.positive)).sum() / d.counts.sum() for d in diagrams]
    assert one(calibration_error, spec, scored) == pytest.approx(np.mean(errors), rel=1e-12)
    for diagram in diagrams:
        assert (diagram.low <= diagram.probability).all()
        assert (diagram.probability <= diagram.high).all()
        assert (diagram.counts > 0).all()


def test_a_diagram_lists_the_bins_that_hold_examples():
    scored = binary([0, 1, 1, 0], np.log([1 / 9, 9.0, 9.0, 9.0]), dtype=np.float64)
    (diagram,) = reliability(CalibrationError(bins=4), Sample(scored))
    assert diagram.name == "malignant"
    assert diagram.low.tolist() == [0, 0.75]
    assert diagram.high.tolist() == [0.25, 1]
    assert diagram.counts.tolist() == [1, 3]
    np.testing.assert_allclose(diagram.probability, [0.1, 0.9])
    np.testing.assert_allclose(diagram.positive, [0, 2 / 3])


def test_diagrams_are_named_after_what_they_show():
    names = {
        (target, of): [d.name for d in reliability(CalibrationError(of=of), Sample(random(target, 30, 27)))]
        for target in TARGETS
        for of in ("positive", "top-label", "class-wise")
    }
    assert names[BINARY, "positive"] == ["malignant"]
    assert names[BINARY, "class-wise"] == ["benign", "malignant"]
    assert names[THREE, "positive"] == names[THREE, "class-wise"] == ["a", "b", "c"]
    assert names[BINARY, "top-label"] == names[THREE, "top-label"] == ["top label"]
    assert {tuple(names[FINDINGS, of]) for of in ("positive", "top-label", "class-wise")} == {
        ("nodule", "effusion")
    }


def test_a_diagram_of_broken_logits_is_refused_with_the_reason():
    with pytest.raises(MedbenchError, match="no reliability diagram: 1 of 2 examples have logits that are"):
        reliability(CalibrationError(), Sample(binary([0, 1], [np.nan, 0.0])))


# ---------------------------------------------------------------- everywhere


@pytest.mark.parametrize(("metric", "spec"), ALL)
@settings(deadline=None, max_examples=60)
@given(case=degenerate())
def test_degenerate_input_gives_a_value_in_range_or_a_reason(metric, spec, case):
    scored, weights = case
    found = metric(spec, Sample(scored), weights)
    assert found.values.shape == found.defined.shape == (3,)
    assert np.isfinite(found.values).all()
    assert (found.values >= 0).all()
    assert (found.values <= spec.high).all()
    assert (found.values[~found.defined] == 0).all()
    assert bool(found.reason) != found.defined.all()


@pytest.mark.parametrize(("metric", "spec"), ALL)
@pytest.mark.parametrize("target", TARGETS)
def test_an_example_drawn_twice_counts_as_two_examples(metric, spec, target):
    # Bins of equal mass have the edges of the sample, so those are left to their own test.
    if getattr(spec, "binning", "") == "equal-mass" or getattr(spec, "part", "score") != "score":
        return
    scored = random(target, 60, 28, unknown=0.1)
    w = np.random.default_rng(29).integers(0, 4, 60)
    repeated = predictions(target, np.repeat(scored.labels, w, axis=0), np.repeat(scored.logits, w, axis=0))
    found = metric(spec, Sample(scored), w[None, :].astype(float))
    assert found.values[0] == pytest.approx(one(metric, spec, repeated), rel=1e-7)


@pytest.mark.parametrize(("metric", "spec"), ALL)
def test_nothing_of_weight_is_undefined_in_that_row_alone(metric, spec):
    scored = random(FINDINGS, 50, 30)
    weights = np.stack([np.ones(50), np.zeros(50), np.ones(50)])
    found = metric(spec, Sample(scored), weights)
    assert found.defined.tolist() == [True, False, True]
    assert found.values[1] == 0
    assert found.reason.startswith("`nodule` has no ")
    assert found.values[0] == pytest.approx(found.values[2], rel=1e-12)


@pytest.mark.parametrize(("metric", "spec"), ALL)
def test_float64_logits_move_a_metric_by_rounding_only(metric, spec):
    scored = random(THREE, 90, 31)
    double = predictions(THREE, scored.labels, scored.logits, dtype=np.float64)
    assert one(metric, spec, double) == one(metric, spec, scored)


@pytest.mark.parametrize(("metric", "spec"), ALL)
def test_a_label_that_is_never_known_leaves_the_mean_undefined(metric, spec):
    scored = predictions(FINDINGS, [[1, -1], [0, -1], [1, -1], [0, -1]], [[0, 1], [1, 0], [2, 0], [3, 1]])
    assert one(metric, spec, scored).startswith("`effusion` has no ")


def test_entropy_of_the_base_rate_is_the_nll_of_always_saying_it():
    k, n = 3, 10
    scored = binary([1] * k + [0] * (n - k), [log(k / (n - k))] * n, dtype=np.float64)
    assert one(negative_log_likelihood, NLL, scored) == pytest.approx(entropy([0.3, 0.7]), rel=1e-12)
