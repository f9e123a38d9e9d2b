"""Trends against least squares, scikit-learn's isotonic regression and Page's test of scipy."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress, page_trend_test, ttest_1samp
from sklearn.isotonic import IsotonicRegression

from medbench.stats import trend
from medbench.stats.interval import limits
from medbench.stats.trend import isotonic, rise_p_value, slope, slope_contrast

SEED = np.random.SeedSequence(1)
RANKS = (0, 1, 2, 3)


@settings(deadline=None)
@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=6, unique=True).map(sorted),
    st.integers(0, 1000),
)
def test_the_contrast_is_the_slope_of_least_squares(positions, rng):
    values = np.random.default_rng(rng).normal(size=len(positions))
    assert slope_contrast(positions) @ values == pytest.approx(linregress(positions, values).slope)


@pytest.mark.parametrize("positions", [[], [1.0], [1.0, 1.0], [2.0, 1.0, 3.0]])
def test_a_ladder_has_two_steps_and_rises(positions):
    with pytest.raises(ValueError, match="expected at least two rising positions, found"):
        slope_contrast(positions)


def test_without_chance_among_patients_the_interval_is_a_t_test_of_the_slopes_of_the_seeds():
    values = np.random.default_rng(0).normal(size=(5, 4)) + 0.3 * np.arange(4)
    effect, spread = slope(values, np.zeros((4, 4)), RANKS, resting_on=50)
    slopes = [linregress(RANKS, row).slope for row in values]
    expected = ttest_1samp(slopes, 0).confidence_interval(0.9)
    assert effect == pytest.approx(np.mean(slopes))
    assert limits(effect, spread) == pytest.approx((expected.low, expected.high))
    assert (spread.n_patients, spread.n_seeds) == (50, 5)


def test_two_seeds_tell_the_noise_of_training():
    values = np.array([[0.1, 0.2], [0.1, 0.4]])
    effect, spread = slope(values, np.zeros((2, 2)), (0, 1), resting_on=9)
    assert (effect, spread.seeds) == (pytest.approx(0.2), pytest.approx(0.02))


def test_patients_that_move_all_arms_alike_do_not_move_the_slope():
    alike = np.full((4, 4), 0.3)
    assert slope(np.zeros((3, 4)), alike, RANKS, resting_on=9)[1].patients == pytest.approx(0, abs=1e-15)
    effect, spread = slope(np.zeros((1, 4)), np.diag([1.0, 2.0, 3.0, 4.0]), RANKS, resting_on=9)
    contrast = np.array([-0.3, -0.1, 0.1, 0.3])
    assert spread.patients == pytest.approx((contrast**2 * [1, 2, 3, 4]).sum())
    assert (effect, spread.seeds) == (0, 0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(0.1, 10)), min_size=1, max_size=12))
def test_the_monotone_fit_is_that_of_scikit_learn(rows):
    values, weights = zip(*rows, strict=True)
    x = np.arange(len(values))
    for given_weights in (None, weights):
        expected = IsotonicRegression().fit_transform(x, values, sample_weight=given_weights)
        fitted = isotonic(values, given_weights)
        np.testing.assert_allclose(fitted, expected, atol=1e-9)
        assert (np.diff(fitted) >= 0).all()


def test_many_ladders_are_fitted_at_once_as_each_by_itself():
    ladders = np.random.default_rng(6).normal(size=(3, 4, 5))
    each = [[isotonic(row) for row in rows] for rows in ladders]
    np.testing.assert_array_equal(isotonic(ladders), each)


def test_what_rises_already_is_left_alone_to_the_last_bit_whatever_else_is_fitted():
    rising = np.sort(np.random.default_rng(7).random((50, 6)), axis=1)
    rising[:, 3] = rising[:, 2]
    falling = rising[:, ::-1]
    fitted = isotonic(np.stack([rising, falling], axis=1))
    np.testing.assert_array_equal(fitted[:, 0], rising)
    np.testing.assert_allclose(fitted[:, 1], np.tile(falling.mean(axis=1, keepdims=True), 6))
    assert len(isotonic([])) == 0


@pytest.mark.parametrize("rng", range(5))
def test_on_ranks_it_is_pages_exact_test(rng):
    draw = np.random.default_rng(rng)
    ranks = np.array([draw.permutation(4) + 1.0 for _ in range(3)])
    expected = page_trend_test(ranks, ranked=True, method="exact").pvalue
    assert rise_p_value(ranks, RANKS, SEED) == pytest.approx(expected)


def test_on_any_values_it_is_the_share_of_all_arrangements():
    values, positions = np.random.default_rng(3).normal(size=(2, 3)), [0.0, 1.0, 5.0]
    sums = [
        sum(linregress(positions, row).slope for row in rows)
        for rows in product(*(list(permutations(row)) for row in values))
    ]
    observed = sum(linregress(positions, row).slope for row in values)
    expected = np.mean(np.array(sums) >= observed - 1e-9)
    assert rise_p_value(values, positions, SEED) == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_units_do_not_matter_and_equal_slopes_count_as_equal(scale):
    ranks = np.array([[1.0, 3.0, 2.0], [2.0, 1.0, 3.0], [1.0, 2.0, 3.0]])
    expected = rise_p_value(ranks, (0, 1, 2), SEED)
    assert rise_p_value(scale * 0.1 * ranks, (0, 1, 2), SEED) == expected
    assert rise_p_value(0.1 * ranks, (0, scale * 0.1, scale * 0.2), SEED) == expected


def test_as_many_arrangements_as_are_drawn_are_all_counted(monkeypatch):
    values = np.random.default_rng(8).normal(size=(2, 3))
    exact = rise_p_value(values, (0, 1, 2), SEED)
    monkeypatch.setattr(trend, "ARRANGEMENTS", 36)
    others = {rise_p_value(values, (0, 1, 2), np.random.SeedSequence(i)) for i in range(5)}
    assert others == {exact}


def test_what_is_drawn_are_arrangements_of_each_seed_and_what_was_seen():
    seen = np.array([[0.0, 0.0, 1.0]] * 5 + [[0.0, 1.0, 0.0]] * 3)
    for positions in ([0, 1, 2], [0, 1, 9]):
        contrast = slope_contrast(positions)
        sums = np.array(list(product(contrast, repeat=8))).sum(axis=1)  # the 1 is any arm's, as likely
        exact = np.mean(sums >= (seen @ contrast).sum() - 1e-9)
        assert rise_p_value(seen, positions, SEED) == pytest.approx(exact, abs=4 * (exact / 1e5) ** 0.5)
    assert rise_p_value(np.full((8, 3), 0.7), (0, 1, 2), SEED) == 1


def test_a_ladder_of_equal_values_shows_nothing_and_a_clear_rise_all_it_can():
    assert rise_p_value(np.full((2, 3), 0.7), (0, 1, 2), SEED) == 1
    rising = np.tile([0.1, 0.2, 0.3], (2, 1))
    assert rise_p_value(rising, (0, 1, 2), SEED) == pytest.approx(1 / 36)
    assert rise_p_value(-rising, (0, 1, 2), SEED) == 1


def test_drawn_arrangements_agree_with_all_of_them(monkeypatch):
    values = np.random.default_rng(4).normal(size=(3, 4)) + 0.1 * np.arange(4)
    exact = rise_p_value(values, RANKS, SEED)
    monkeypatch.setattr(trend, "ARRANGEMENTS", 10_000)
    drawn = rise_p_value(values, RANKS, SEED)
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 10_000) ** 0.5)
    assert drawn == rise_p_value(values, RANKS, np.random.SeedSequence(1))
    assert rise_p_value(10 * np.tile(np.arange(4.0), (5, 1)), RANKS, SEED) == pytest.approx(1e-4, abs=2e-4)
