import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medbench.stats.change import Error, Priors, Seeds, error_over_seeds, two_sided_p
from medbench.stats.interval import Spread, limits
from medbench.stats.prediction import SeedSpread

BEFORE = (0.81, 0.80, 0.82, 0.805, 0.83)
AFTER = (0.79, 0.785, 0.81, 0.80, 0.80)


def test_without_a_prior_it_is_the_paired_t_test():
    seeds = Seeds(BEFORE, AFTER, paired=True)
    oracle = stats.ttest_rel(AFTER, BEFORE)
    error = error_over_seeds(seeds)
    assert two_sided_p(seeds.change, error) == pytest.approx(oracle.pvalue, rel=1e-9)
    interval = oracle.confidence_interval(0.9)
    assert limits(seeds.change, error) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_of_other_seeds_without_a_prior_it_is_the_t_test_of_two_samples():
    seeds = Seeds(BEFORE, AFTER[:3], paired=False)
    oracle = stats.ttest_ind(AFTER[:3], BEFORE)
    assert two_sided_p(seeds.change, error_over_seeds(seeds)) == pytest.approx(oracle.pvalue, rel=1e-9)


def test_a_prior_moderates_the_variance_as_its_formula_says():
    seeds, prior = Seeds(BEFORE, AFTER, paired=True), SeedSpread(0.02, 7.0)
    own = np.var(seeds.differences, ddof=1)
    variance = (7 * 0.02**2 + 4 * own) / 11
    t = seeds.change / np.sqrt(variance / 5)
    p = two_sided_p(seeds.change, error_over_seeds(seeds, Priors(differences=prior)))
    assert p == pytest.approx(2 * stats.t.sf(abs(t), 11), rel=1e-9)


def test_one_difference_is_held_against_the_noise_of_independent_seeds():
    beside = (0.80, 0.82, 0.81)
    seeds = Seeds((0.81,), (0.75,), paired=True, beside=(beside,))
    p = two_sided_p(seeds.change, error_over_seeds(seeds))
    assert p == pytest.approx(2 * stats.t.sf(0.06 / (np.std(beside, ddof=1) * np.sqrt(2)), 2), rel=1e-9)


def test_one_seed_a_side_and_nothing_beside_says_nothing():
    seeds = Seeds((0.81,), (0.75,), paired=True)
    assert error_over_seeds(seeds) is None
    assert two_sided_p(seeds.change, None) == 1.0


def test_a_change_that_is_the_same_for_every_seed_leaves_nothing_to_chance():
    seeds = Seeds((0.5, 0.75), (0.25, 0.5), paired=True)
    assert two_sided_p(seeds.change, error_over_seeds(seeds)) == 0.0


def test_a_bias_is_taken_off_the_change_whatever_its_sign():
    error = Error(((1.0, 5.0),))
    assert two_sided_p(-3.0, error, bias=1.0) == pytest.approx(2 * stats.t.sf(2.0, 5), rel=1e-9)
    assert two_sided_p(-0.5, error, bias=1.0) == 1.0


def test_variances_add_with_the_freedom_that_intervals_of_effects_have():
    spread = Spread(patients=2e-4, seeds=6e-4, n_patients=40, n_seeds=5)
    error = Error(((2e-4, 39), (6e-4 / 5, 4)))
    assert error.standard_error == pytest.approx(spread.standard_error)
    assert error.degrees_of_freedom == pytest.approx(spread.degrees_of_freedom)


VALUES = st.lists(st.floats(0.1, 0.9), min_size=1, max_size=6).map(tuple)


@given(VALUES, VALUES)
def test_nothing_but_the_sign_depends_on_which_side_is_first(before, after):
    paired = len(before) == len(after)
    one, other = (Seeds(*sides, paired=paired) for sides in ((before, after), (after, before)))
    assert one.change == -other.change
    p, q = (two_sided_p(seeds.change, error_over_seeds(seeds)) for seeds in (one, other))
    assert p == pytest.approx(q, rel=1e-6, abs=1e-12)


def test_unchanged_terms_are_found_changed_as_often_as_the_level_says():
    draw = np.random.default_rng(5)
    values = draw.normal(size=(2000, 2, 5))
    seeds = [Seeds(tuple(before), tuple(after), paired=True) for before, after in values]
    found = np.mean([two_sided_p(each.change, error_over_seeds(each)) < 0.05 for each in seeds])
    assert 0.04 < found < 0.06
