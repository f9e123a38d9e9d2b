"""Matched fractions and areas under learning curves against closed forms, scikit-learn and simulation."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.isotonic import IsotonicRegression

from medbench.errors import MedbenchError
from medbench.metrics.efficiency import (
    Matched,
    fraction_interval,
    learning_curve_area,
    matched_fraction,
    with_seed_noise,
)

FRACTIONS = np.array([0.01, 0.1, 1.0])


def matched(scores, target, **options):
    scores = np.atleast_2d(np.asarray(scores, dtype=float))
    return matched_fraction(FRACTIONS, scores, np.broadcast_to(float(target), len(scores)), **options)


def of(values, *, below=(), beyond=()):
    """Matched replicates of which some, by position, lie below or beyond the fractions."""
    n = len(values)
    is_below, is_beyond = np.isin(np.arange(n), below), np.isin(np.arange(n), beyond)
    defined = ~is_below & ~is_beyond
    return Matched(np.where(defined, values, 0.0), defined, below=is_below, beyond=is_beyond)


def test_a_curve_that_is_linear_in_log_fraction_is_matched_where_its_line_says():
    # score = 0.9 + 0.05 log10(fraction)
    curve = 0.9 + 0.05 * np.log10(FRACTIONS)
    for target in (0.81, 0.83, 0.85, 0.88, 0.9):
        result = matched(curve, target)
        assert result.values[0] == pytest.approx(10 ** ((target - 0.9) / 0.05))
        assert (result.defined[0], result.reason) == (True, "")
        assert not result.below[0]
        assert not result.beyond[0]


def test_between_two_fractions_the_score_is_linear_in_the_log_of_the_fraction():
    assert matched([0.7, 0.8, 0.84], 0.81).values[0] == pytest.approx(10 ** (-1 + 0.25))
    assert matched([0.7, 0.8, 0.84], 0.72).values[0] == pytest.approx(10 ** (-2 + 0.2))


def test_a_target_met_exactly_at_a_fraction_is_matched_there():
    assert matched([0.7, 0.8, 0.9], 0.7).values[0] == pytest.approx(0.01)
    assert matched([0.7, 0.8, 0.9], 0.8).values[0] == pytest.approx(0.1)
    assert matched([0.7, 0.8, 0.9], 0.9).values[0] == pytest.approx(1.0)


def test_on_a_plateau_the_first_fraction_counts():
    assert matched([0.7, 0.8, 0.8], 0.8).values[0] == pytest.approx(0.1)
    assert matched([0.9, 0.9, 0.9], 0.9).values[0] == pytest.approx(0.01)
    assert matched([0.7, 0.7, 0.8], 0.7).values[0] == pytest.approx(0.01)


def test_a_lower_score_is_better_where_it_is_said_so():
    result = matched([0.3, 0.2, 0.1], 0.15, higher_is_better=False)
    assert result.values[0] == pytest.approx(10**-0.5)
    assert matched([0.3, 0.2, 0.1], 0.4, higher_is_better=False).below[0]
    assert matched([0.3, 0.2, 0.1], 0.05, higher_is_better=False).beyond[0]


def test_a_target_that_is_never_reached_is_a_gap_beyond():
    result = matched([[0.7, 0.8, 0.9], [0.7, 0.8, 0.85]], 0.88)
    assert result.defined.tolist() == [True, False]
    assert result.beyond.tolist() == [False, True]
    assert result.below.tolist() == [False, False]
    assert result.values[1] == 0.0
    assert result.reason == "gap: the target is not reached with 1 of the data"


def test_a_curve_above_the_target_all_along_is_a_gap_below():
    result = matched([[0.7, 0.8, 0.9], [0.6, 0.8, 0.9]], 0.65)
    assert result.defined.tolist() == [False, True]
    assert result.below.tolist() == [True, False]
    assert result.beyond.tolist() == [False, False]
    assert result.values[0] == 0.0
    assert result.reason == "gap: above the target with 0.01 of the data already"


def test_a_score_that_is_not_finite_is_undefined_and_lies_on_no_side():
    scores = np.array([[0.7, np.nan, 0.9], [0.7, 0.8, 0.9], [0.7, 0.8, np.inf], [0.7, 0.8, 0.9]])
    result = matched_fraction(FRACTIONS, scores, np.array([0.8, np.nan, 0.5, 0.8]))
    assert result.defined.tolist() == [False, False, False, True]
    assert result.values[:3].tolist() == [0.0, 0.0, 0.0]
    assert not result.below.any()
    assert not result.beyond.any()
    assert result.reason == "a score is not finite"


def test_the_reason_is_that_of_the_first_undefined_curve():
    scores = np.array([[0.7, 0.8, 0.9], [0.1, 0.2, 0.3], [np.nan, 0.8, 0.9]])
    assert "not reached" in matched_fraction(FRACTIONS, scores, np.full(3, 0.85)).reason


@settings(deadline=None)
@given(
    scores=hnp.arrays(
        np.float64, (4, 5), elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.9, 1.0]) | st.floats(0, 1)
    ),
    target=st.sampled_from([0.1, 0.5, 0.9]),
)
def test_curves_out_of_order_are_matched_as_scikit_learns_isotonic_regression(scores, target):
    fractions = np.array([0.02, 0.05, 0.2, 0.5, 1.0])
    result = matched_fraction(fractions, scores, np.full(4, target))
    grid = np.linspace(np.log(0.02), 0, 20_001)
    for i, row in enumerate(scores):
        curve = IsotonicRegression().fit_transform(np.arange(5), row)
        if abs(curve - target).min() < 1e-9:  # decided by the last bit
            continue
        assert result.below[i] == (curve[0] > target)
        assert result.beyond[i] == (curve[-1] < target)
        if result.defined[i]:
            first = np.argmax(np.interp(grid, np.log(fractions), curve) >= target)
            assert np.log(result.values[i]) == pytest.approx(grid[first], abs=3e-4)


@settings(deadline=None)
@given(
    scores=hnp.arrays(np.float64, (3, 4), elements=st.floats(-1e38, 1e38)),
    target=hnp.arrays(np.float64, 3, elements=st.floats(-1e38, 1e38)),
)
@example(scores=np.tile([0.0, 1e-296, 1e-296, 1e-296], (3, 1)), target=np.array([1e13, -1e13, 0.0]))
def test_whatever_the_scores_a_fraction_lies_in_the_grid_or_on_one_side(scores, target):
    fractions = np.array([0.1, 0.2, 0.5, 1.0])
    result = matched_fraction(fractions, scores, target)
    assert (result.defined.astype(int) + result.below + result.beyond == 1).all()
    inside = result.values[result.defined]
    assert ((inside >= 0.1 - 1e-12) & (inside <= 1 + 1e-12)).all()
    assert (result.values[~result.defined] == 0).all()
    assert bool(result.reason) != result.defined.all()


def test_a_running_maximum_would_reach_the_target_too_early_isotonic_regression_does_not():
    rng = np.random.default_rng(0)
    fractions = np.array([0.05, 0.1, 0.2, 0.5, 1.0])
    truth = 0.85 + 0.02 * np.log10(fractions)
    scores = truth + 0.01 * rng.normal(size=(4000, 5))
    target = np.full(4000, 0.85 + 0.02 * np.log10(0.3))
    running = matched_fraction(fractions, np.maximum.accumulate(scores, axis=1), target)
    isotonic = matched_fraction(fractions, scores, target)

    def too_early(result):
        placed = np.where(result.below, -np.inf, np.where(result.beyond, np.inf, result.values))
        return (placed < 0.3).mean()

    assert too_early(isotonic) == pytest.approx(0.5, abs=0.06)
    assert too_early(running) > too_early(isotonic) + 0.1


@pytest.mark.parametrize(
    ("fractions", "found"),
    [
        ([1.0], "1"),
        ([], "none"),
        ([0.1, 0.1, 1.0], "0.1, 0.1, 1"),
        ([1.0, 0.1], "1, 0.1"),
        ([0.0, 1.0], "0, 1"),
        ([0.5, 1.5], "0.5, 1.5"),
        ([0.1, 0.5, 1.5], "0.1, 0.5, 1.5"),
        ([0.5, np.nan], "0.5, nan"),
    ],
)
def test_fractions_that_make_no_curve_are_refused(fractions, found):
    scores = np.zeros((1, len(fractions)))
    message = f"^training fractions are {found}: expected at least two, increasing, above 0 and up to 1.$"
    with pytest.raises(MedbenchError, match=message):
        matched_fraction(np.array(fractions), scores, np.zeros(1))
    with pytest.raises(MedbenchError, match=message):
        learning_curve_area(np.array(fractions), scores)


# Intervals.


def test_limits_are_percentiles_of_the_replicates():
    interval = fraction_interval(FRACTIONS, of(np.arange(1, 101) / 100))
    assert (interval.low, interval.high) == (pytest.approx(0.05), pytest.approx(0.96))
    assert (interval.below, interval.beyond, interval.undefined) == (0.0, 0.0, 0.0)
    wider = fraction_interval(FRACTIONS, of(np.arange(1, 101) / 100), level=0.975)
    assert (wider.low, wider.high) == (pytest.approx(0.02), pytest.approx(0.99))


def test_as_many_replicates_lie_outside_either_limit_as_the_level_leaves():
    interval = fraction_interval(FRACTIONS, of(np.array([0.5, 0.2, 0.4, 0.3, 0.1])), level=0.5)
    assert (interval.low, interval.high) == (0.2, 0.4)


def test_two_fractions_make_a_curve():
    fractions = np.array([0.25, 1.0])
    assert matched_fraction(fractions, np.array([[0.0, 1.0]]), np.array([0.5])).values == pytest.approx(0.5)
    assert learning_curve_area(fractions, np.array([[0.0, 1.0]])).values == pytest.approx(0.5)


def test_replicates_that_never_reach_the_target_open_the_interval_upwards():
    values = np.linspace(0.1, 1, 100)
    interval = fraction_interval(FRACTIONS, of(values, beyond=range(90, 100)))
    assert interval.high is None
    assert interval.low == pytest.approx(values[4])
    assert (interval.below, interval.beyond, interval.undefined) == (0.0, 0.1, 0.1)
    few = fraction_interval(FRACTIONS, of(values, beyond=range(97, 100)))
    assert few.high == pytest.approx(values[95])


def test_replicates_above_the_target_all_along_open_it_downwards():
    values = np.linspace(0.1, 1, 100)
    interval = fraction_interval(FRACTIONS, of(values, below=range(10)))
    assert interval.low is None
    assert interval.high == pytest.approx(values[95])
    assert (interval.below, interval.beyond, interval.undefined) == (0.1, 0.0, 0.1)


def test_where_nearly_all_replicates_lie_on_one_side_its_end_of_the_grid_is_the_limit():
    values = np.linspace(0.1, 0.9, 100)
    beyond = fraction_interval(FRACTIONS, of(values, beyond=range(2, 100)))
    assert (beyond.low, beyond.high) == (1.0, None)
    below = fraction_interval(FRACTIONS, of(values, below=range(98)))
    assert (below.low, below.high) == (None, 0.01)


def test_replicates_whose_scores_are_not_finite_count_as_undefined_only():
    scores = np.array([[0.7, 0.8, 0.9]] * 6 + [[0.7, np.nan, 0.9]] * 2)
    interval = fraction_interval(FRACTIONS, matched(scores, 0.8))
    assert (interval.low, interval.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert (interval.below, interval.beyond, interval.undefined) == (0.0, 0.0, 0.25)
    nothing = fraction_interval(FRACTIONS, matched(scores[6:], 0.8))
    assert (nothing.low, nothing.high, nothing.undefined) == (None, None, 1.0)


def test_seed_noise_has_the_pooled_variance_of_a_mean_over_seeds_and_tails_of_t():
    by_seed = np.array([[0.0, 1.0], [2.0, 1.5], [1.0, 0.5]])  # variances 1 and .25: pooled .625
    noisy = with_seed_noise(np.tile([5.0, 7.0], (200_000, 1)), by_seed, np.random.SeedSequence(0))
    np.testing.assert_allclose(noisy.mean(axis=0), [5, 7], atol=0.02)
    scaled = (noisy - [5, 7]) / np.sqrt(0.625 / 3)
    # 97.5 % quantile of t with 2 columns x 2 degrees of freedom
    np.testing.assert_allclose(np.quantile(scaled, 0.975, axis=0), 2.776, rtol=0.03)
    assert abs(np.median(scaled[:, 0])) < 0.02
    assert abs((scaled[:, 0] * scaled[:, 1] > 0).mean() - 0.5) < 0.01


def test_seed_noise_follows_from_its_seed_alone():
    replicates, by_seed = np.zeros((4, 2)), np.array([[0.0, 1.0], [2.0, 1.5]])
    first, again, other = (with_seed_noise(replicates, by_seed, np.random.SeedSequence(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    np.testing.assert_array_equal(
        with_seed_noise(replicates, by_seed[:1].repeat(2, 0), np.random.SeedSequence(1)), 0
    )


def test_one_seed_tells_nothing_of_the_noise_between_seeds():
    with pytest.raises(
        MedbenchError, match=r"^the noise between seeds cannot be told from one seed; train at least two\.$"
    ):
        with_seed_noise(np.zeros((4, 2)), np.zeros((1, 2)), np.random.SeedSequence(0))


def test_intervals_from_three_seeds_hold_about_as_often_as_they_say():
    rng, spread, studies = np.random.default_rng(1), 0.01, 300
    fractions = np.array([0.05, 0.1, 0.2, 0.5, 1.0])
    curve = 0.9 + 0.05 * np.log10(fractions)
    truth = 0.3
    goal, held = 0.9 + 0.05 * np.log10(truth), 0
    for i in range(studies):
        by_seed = np.append(curve, goal) + spread * rng.normal(size=(3, 6))
        means = np.tile(by_seed.mean(axis=0), (400, 1))
        noisy = with_seed_noise(means, by_seed, np.random.SeedSequence(i))
        interval = fraction_interval(fractions, matched_fraction(fractions, noisy[:, :5], noisy[:, 5]))
        held += (interval.low or 0) <= truth <= (interval.high or np.inf)
    assert 0.86 < held / studies < 0.97


# The area.


def test_the_area_of_a_flat_curve_is_its_score():
    assert learning_curve_area(FRACTIONS, np.full((1, 3), 0.8)).values[0] == pytest.approx(0.8)


def test_the_area_of_a_line_in_log_fraction_is_its_middle_whatever_the_grid():
    for fractions in (FRACTIONS, np.array([0.01, 0.02, 0.5, 1.0])):
        area = learning_curve_area(fractions, 0.9 + 0.05 * np.log10(fractions)[None])
        assert area.values[0] == pytest.approx(0.85)
        assert area.defined.tolist() == [True]
        assert area.reason == ""


def test_the_area_is_that_of_trapezoids():
    rng = np.random.default_rng(2)
    fractions, scores = np.array([0.03, 0.1, 0.4, 0.9]), rng.random((3, 4))
    log = np.log(fractions)
    expected = [np.trapezoid(row, log) / (log[-1] - log[0]) for row in scores]
    np.testing.assert_allclose(learning_curve_area(fractions, scores).values, expected)


def test_an_area_with_a_score_that_is_not_finite_is_undefined():
    area = learning_curve_area(FRACTIONS, np.array([[0.1, 0.2, np.nan], [1.0, 1.0, 1.0]]))
    assert area.defined.tolist() == [False, True]
    assert area.values.tolist() == [0.0, pytest.approx(1.0)]
    assert area.reason == "a score is not finite"
