"""Limits and degrees of freedom against scipy's t tests, and coverage by simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, ttest_ind

from medbench.stats.interval import LEVEL, Claimed, Spread, limits, p_value

variances = st.floats(1e-6, 1.0)


def test_seeds_alone_are_a_t_test_of_the_seeds():
    values = np.array([0.02, 0.05, 0.01, 0.03])
    spread = Spread(patients=0.0, seeds=float(np.var(values, ddof=1)), n_patients=50, n_seeds=4)
    expected = ttest_1samp(values, 0.0).confidence_interval(1 - 2 * LEVEL)
    assert limits(float(values.mean()), spread) == pytest.approx((expected.low, expected.high))


def test_patients_alone_are_a_t_test_of_the_patients():
    values = np.random.default_rng(0).normal(0.3, 1, 12)
    spread = Spread(patients=float(np.var(values, ddof=1) / 12), seeds=0.0, n_patients=12, n_seeds=1)
    expected = ttest_1samp(values, 0.0).confidence_interval(1 - 2 * LEVEL)
    assert limits(float(values.mean()), spread) == pytest.approx((expected.low, expected.high))


def test_two_sources_add_up_as_in_welchs_test():
    draw = np.random.default_rng(1)
    a, b = draw.normal(size=7), 3 * draw.normal(size=4)
    spread = Spread(
        patients=float(np.var(a, ddof=1) / 7), seeds=float(np.var(b, ddof=1)), n_patients=7, n_seeds=4
    )
    welch = ttest_ind(a, b, equal_var=False)
    assert spread.degrees_of_freedom == pytest.approx(welch.df)
    assert limits(float(a.mean() - b.mean()), spread) == pytest.approx(
        tuple(welch.confidence_interval(1 - 2 * LEVEL))
    )


@settings(deadline=None)
@given(variances, variances, st.integers(2, 500), st.integers(2, 10))
def test_degrees_of_freedom_lie_between_the_lesser_and_the_sum(patients, seeds, n_patients, n_seeds):
    spread = Spread(patients=patients, seeds=seeds, n_patients=n_patients, n_seeds=n_seeds)
    freedom = spread.degrees_of_freedom
    assert min(n_patients, n_seeds) - 1 <= freedom * (1 + 1e-9)
    assert freedom <= (n_patients + n_seeds - 2) * (1 + 1e-9)


def test_no_variance_is_an_interval_of_no_width():
    spread = Spread(patients=0.0, seeds=0.0, n_patients=9, n_seeds=3)
    assert limits(0.25, spread) == (0.25, 0.25)


def test_more_patients_or_seeds_shrink_their_own_share_only():
    spread = Spread(patients=0.04, seeds=0.09, n_patients=10, n_seeds=3)
    assert spread.variance == pytest.approx(0.07)
    assert spread.standard_error == pytest.approx(0.07**0.5)
    assert spread.with_patients(4).variance == pytest.approx(0.04)
    assert spread.with_patients(4).n_patients == 40
    assert spread.with_seeds(9).variance == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("sd_patients", "sd_seeds", "sd_both"), [(1, 0.02, 0.5), (1, 0.2, 0.0), (0.3, 0.3, 1)]
)
@pytest.mark.parametrize("n_seeds", [3, 5])
def test_each_limit_is_exceeded_by_chance_in_no_more_than_five_of_a_hundred(
    sd_patients, sd_seeds, sd_both, n_seeds
):
    """Differences of crossed patients and seeds around a true effect of 0."""
    draw, n, studies = np.random.default_rng(2), 40, 2000
    differences = (
        sd_patients * draw.normal(size=(studies, n, 1))
        + sd_seeds * draw.normal(size=(studies, 1, n_seeds))
        + sd_both * draw.normal(size=(studies, n, n_seeds))
    )
    covered = []
    for study in differences:
        by_patient, by_seed = study.mean(axis=1), study.mean(axis=0)
        spread = Spread(
            patients=float(np.var(by_patient, ddof=1) / n),
            seeds=float(np.var(by_seed, ddof=1)),
            n_patients=n,
            n_seeds=n_seeds,
        )
        low, high = limits(float(study.mean()), spread)
        covered.append((low <= 0, high >= 0))
    # 2,000 studies: the standard error of a share near .95 is .005.
    assert (np.mean(covered, axis=0) > 0.95 - 3 * 0.005).all()


@pytest.mark.parametrize(("n_seeds", "promised"), [(2, 0.92), (3, 0.94), (5, 0.945)])
def test_the_worst_mixture_of_patients_and_seeds_covers_what_the_docs_say(n_seeds, promised):
    """Without interaction, and with four times the variance from seeds as from patients."""
    draw, n, studies = np.random.default_rng(3), 100, 6000
    patients = draw.chisquare(n - 1, studies) / (n - 1)
    seeds = 4 * n_seeds * draw.chisquare(n_seeds - 1, studies) / (n_seeds - 1)
    effects = draw.normal(0, 5**0.5, studies)
    covered = [
        limits(effect, Spread(patients=p, seeds=s, n_patients=n, n_seeds=n_seeds))[0] <= 0
        for effect, p, s in zip(effects, patients, seeds, strict=True)
    ]
    assert np.mean(covered) == pytest.approx(promised, abs=0.01)


def test_the_p_value_of_one_bound_is_that_of_a_t_test():
    values = np.array([0.02, 0.05, 0.01, 0.03])
    spread = Spread(patients=0.0, seeds=float(np.var(values, ddof=1)), n_patients=50, n_seeds=4)
    effect = float(values.mean())
    above = ttest_1samp(values, 0.01, alternative="greater").pvalue
    below = ttest_1samp(values, 0.05, alternative="less").pvalue
    assert p_value(effect, Claimed(low=0.01), spread) == pytest.approx(above)
    assert p_value(effect, Claimed(high=0.05), spread) == pytest.approx(below)
    assert p_value(effect, Claimed(0.01, 0.05), spread) == pytest.approx(max(above, below))


@settings(deadline=None)
@given(st.floats(-1, 1), variances, st.floats(0.001, 1.0), st.booleans())
def test_p_is_below_the_level_exactly_where_the_limits_clear_the_bounds(effect, variance, margin, two):
    spread = Spread(patients=variance, seeds=variance, n_patients=20, n_seeds=3)
    claimed = Claimed(-margin, margin) if two else Claimed(low=margin)
    low, high = limits(effect, spread)
    p = p_value(effect, claimed, spread)
    if abs(p - LEVEL) > 1e-9:
        assert (p < LEVEL) == (claimed.low < low and high < claimed.high)


def test_an_effect_is_denied_beyond_the_bound_it_lies_outside_of():
    assert Claimed(-1.0, 1.0).denial(0.5) is None
    assert Claimed(-1.0, 1.0).denial(1.0) is None
    assert Claimed(-1.0, 1.0).denial(2.0) == Claimed(low=1.0)
    assert Claimed(-1.0, 1.0).denial(-2.0) == Claimed(high=-1.0)
    assert Claimed(low=0.5).denial(0.0) == Claimed(high=0.5)


def test_a_claim_that_allows_for_an_error_holds_of_fewer_effects():
    assert Claimed(-1.0, 1.0).narrowed(0.25) == Claimed(-0.75, 0.75)
    assert Claimed(low=0.5).narrowed(0.25) == Claimed(low=0.75)
    assert Claimed(low=0.5).narrowed(0.0) == Claimed(low=0.5)
