"""Power against simulation and the normal limit; what settles a claim against the power it then has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import chi, nct, norm, t

from medbench.stats.interval import LEVEL, Claimed, Spread
from medbench.stats.power import (
    LARGEST_FACTOR,
    MOST_SEEDS,
    WANTED,
    Doubt,
    detectable,
    patients_and_seeds_that_settle,
    patients_that_settle,
    power,
    seeds_that_settle,
)

ABOVE_0 = Claimed(low=0.0)
FEW_SEEDS = Spread(patients=0.0001, seeds=0.0006, n_patients=60, n_seeds=3)


def test_power_is_the_share_of_simulated_studies_that_clear_the_margin():
    draw, n, gap = np.random.default_rng(0), 6, 0.8
    studies = draw.normal(gap, 1.0, size=(20_000, n))
    statistic = studies.mean(axis=1) / (studies.std(axis=1, ddof=1) / n**0.5)
    cleared = (statistic > t.isf(LEVEL, n - 1)).mean()
    spread = Spread(patients=1 / n, seeds=0.0, n_patients=n, n_seeds=1)
    assert power(gap, ABOVE_0, spread) == pytest.approx(cleared, abs=0.01)


def test_power_with_many_patients_is_that_of_a_normal_test():
    spread = Spread(patients=0.01, seeds=0.0, n_patients=10**6, n_seeds=1)
    assert power(0.25, ABOVE_0, spread) == pytest.approx(norm.sf(norm.isf(LEVEL) - 2.5), abs=1e-4)


def test_power_at_the_margin_is_the_level():
    assert power(0.0, ABOVE_0, FEW_SEEDS) == pytest.approx(LEVEL)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0])
def test_the_detectable_gap_has_the_wanted_power_at_any_scale(scale):
    spread = Spread(patients=scale**2, seeds=3 * scale**2, n_patients=30, n_seeds=3)
    assert power(detectable(ABOVE_0, spread), ABOVE_0, spread) == pytest.approx(WANTED, abs=1e-4)


def test_what_is_detectable_has_the_unit_of_the_effect_and_lies_between_the_bounds_wherever_they_are():
    plain = Spread(patients=1e-4, seeds=2e-4, n_patients=60, n_seeds=3)
    large = Spread(patients=1e4, seeds=2e4, n_patients=60, n_seeds=3)
    assert detectable(Claimed(low=100.0), large) == pytest.approx(1e4 * detectable(Claimed(low=0.01), plain))
    shifted = detectable(Claimed(0.25, 0.35), plain)
    assert shifted == pytest.approx(0.3 + detectable(Claimed(-0.05, 0.05), plain))


@settings(max_examples=25, deadline=None)
@given(st.floats(0.7, 1.5), st.floats(1e-6, 1e-2), st.integers(2, 500), st.integers(3, 10))
def test_the_patients_that_settle_are_just_enough(gap_in_errors, share, n_patients, n_seeds):
    spread = Spread(patients=1.0, seeds=share * n_seeds, n_patients=n_patients, n_seeds=n_seeds)
    gap = gap_in_errors * spread.standard_error
    factor = patients_that_settle(gap, ABOVE_0, spread)
    assert factor is not None
    assert power(gap, ABOVE_0, spread.with_patients(factor)) == pytest.approx(WANTED, abs=2e-3)
    assert patients_that_settle(-gap, ABOVE_0, spread) == pytest.approx(factor)


def test_a_few_more_patients_settle_what_was_nearly_settled():
    spread = Spread(patients=1.0, seeds=0.0, n_patients=500, n_seeds=3)
    gap = detectable(ABOVE_0, spread) / 1.2
    # The standard error must shrink by 1.2, so the patients grow by its square.
    assert patients_that_settle(gap, ABOVE_0, spread) == pytest.approx(1.44, abs=0.01)


def test_patients_cannot_settle_what_the_seeds_leave_open():
    assert patients_that_settle(0.01, ABOVE_0, FEW_SEEDS) is None
    assert power(0.01, ABOVE_0, FEW_SEEDS.with_patients(LARGEST_FACTOR)) < WANTED


def test_more_of_both_settles_what_neither_settles_alone():
    factor = patients_and_seeds_that_settle(0.01, ABOVE_0, FEW_SEEDS)
    enlarged = FEW_SEEDS.with_patients(factor).with_seeds(3 * factor)
    assert power(0.01, ABOVE_0, enlarged) == pytest.approx(WANTED, abs=2e-3)
    assert patients_and_seeds_that_settle(-0.01, ABOVE_0, FEW_SEEDS) == pytest.approx(factor)
    assert patients_and_seeds_that_settle(1e-6, ABOVE_0, FEW_SEEDS) is None


def test_the_seeds_that_settle_are_the_fewest():
    gap = 0.035
    seeds = seeds_that_settle(gap, ABOVE_0, FEW_SEEDS)
    assert (
        power(gap, ABOVE_0, FEW_SEEDS.with_seeds(seeds))
        >= WANTED
        > power(gap, ABOVE_0, FEW_SEEDS.with_seeds(seeds - 1))
    )
    assert seeds_that_settle(-gap, ABOVE_0, FEW_SEEDS) == seeds
    assert isinstance(seeds, int)


def test_seeds_cannot_settle_what_the_patients_leave_open():
    assert seeds_that_settle(0.01, ABOVE_0, FEW_SEEDS) is None
    assert power(0.01, ABOVE_0, FEW_SEEDS.with_seeds(MOST_SEEDS)) < WANTED


def test_nothing_settles_an_effect_that_equals_the_margin():
    assert patients_that_settle(0.0, ABOVE_0, FEW_SEEDS) is None
    assert seeds_that_settle(0.0, ABOVE_0, FEW_SEEDS) is None


@pytest.mark.parametrize(
    ("effect", "right"), [(-0.025, "refuted"), (-0.005, "supported"), (0.002, "supported")]
)
@pytest.mark.parametrize("doubt", [Doubt(unseen=0.03), Doubt(bias=0.002), Doubt(bias=0.001, unseen=0.01)])
def test_what_settles_a_claim_in_doubt_gives_studies_that_settle_it(effect, right, doubt):
    """So many times the patients, drawn anew and judged as `medbench.judge` does, with doubts spelled out."""
    margin, spread = 0.02, Spread(patients=1e-4, seeds=0.0, n_patients=10**6, n_seeds=3)
    factor = patients_that_settle(effect, Claimed(low=-margin), spread, doubt)
    error = (1e-4 / factor) ** 0.5
    means = np.random.default_rng(0).normal(effect, error, 20_000)
    low = means - norm.isf(LEVEL) * error - doubt.bias / factor**0.5
    high = means + norm.isf(LEVEL) * error + doubt.bias / factor**0.5
    settled = {"refuted": high < -margin, "supported": low > -margin + doubt.unseen / factor}[right]
    assert settled.mean() == pytest.approx(WANTED, abs=0.01)


def test_seeds_take_away_no_doubt():
    spread = Spread(patients=1e-8, seeds=1e-3, n_patients=1000, n_seeds=3)
    seeds = seeds_that_settle(0.0, Claimed(low=-0.02), spread, Doubt(unseen=0.01))
    assert seeds == seeds_that_settle(0.0, Claimed(low=-0.01), spread)
    assert seeds_that_settle(0.0, Claimed(low=-0.02), spread, Doubt(bias=0.03)) is None


def test_what_is_settled_already_asks_for_no_more():
    assert patients_that_settle(1.0, ABOVE_0, FEW_SEEDS) == 1.0
    assert seeds_that_settle(1.0, ABOVE_0, FEW_SEEDS) == FEW_SEEDS.n_seeds


def test_the_power_against_an_upper_bound_mirrors_that_against_a_lower_one():
    below = Claimed(high=0.0)
    assert power(-0.03, below, FEW_SEEDS) == pytest.approx(power(0.03, ABOVE_0, FEW_SEEDS))


@pytest.mark.parametrize("effect", [0.0, 0.5, -0.5, 2.0])
@pytest.mark.parametrize("n", [3, 6, 40])
def test_the_power_of_equivalence_is_the_share_of_simulated_studies_within_both_bounds(effect, n):
    draw, studies = np.random.default_rng(n), 40_000
    error = draw.chisquare(n - 1, studies) / (n - 1)
    half = t.isf(LEVEL, n - 1) * error**0.5
    mean = draw.normal(effect, 1, studies)
    within = ((mean - half > -2.5) & (mean + half < 2.5)).mean()
    spread = Spread(patients=1.0, seeds=0.0, n_patients=n, n_seeds=1)
    assert power(effect, Claimed(-2.5, 2.5), spread) == pytest.approx(within, abs=0.01)


def test_the_power_of_equivalence_with_many_patients_is_that_of_normal_tests():
    spread = Spread(patients=0.01, seeds=0.0, n_patients=10**6, n_seeds=1)
    expected = norm.cdf(3 - norm.isf(LEVEL) - 1) - norm.cdf(-3 + norm.isf(LEVEL) - 1)
    assert power(0.1, Claimed(-0.3, 0.3), spread) == pytest.approx(expected, abs=1e-4)


def test_a_far_bound_leaves_the_power_of_the_near_one():
    spread = Spread(patients=1.0, seeds=0.0, n_patients=9, n_seeds=1)
    assert power(2.0, Claimed(0, 1000), spread) == pytest.approx(power(2.0, ABOVE_0, spread), abs=1e-4)


def test_the_power_of_equivalence_is_that_of_its_definition_as_an_integral():
    spread = Spread(patients=1.0, seeds=0.0, n_patients=5, n_seeds=1)
    critical = t.isf(LEVEL, 4)

    def density(u):
        between = norm.cdf(3 - 0.4 - critical * u) - norm.cdf(-3 - 0.4 + critical * u)
        return max(0, between) * 2 * chi.pdf(2 * u, 4)

    expected = quad(density, 0, 3 / critical)[0]
    assert power(0.4, Claimed(-3, 3), spread) == pytest.approx(expected, abs=1e-8)


def test_no_margin_leaves_nothing_that_is_equivalent():
    assert power(0.0, Claimed(0.0, 0.0), FEW_SEEDS) == pytest.approx(0, abs=1e-12)
    assert detectable(Claimed(0.0, 0.0), FEW_SEEDS) is None


def test_the_detectable_difference_of_equivalence_is_the_largest_with_the_wanted_power():
    claimed = Claimed(-0.1, 0.1)
    largest = detectable(claimed, FEW_SEEDS)
    assert 0 < largest < 0.1
    assert power(largest, claimed, FEW_SEEDS) == pytest.approx(WANTED, abs=1e-4)
    assert power(largest * 1.01, claimed, FEW_SEEDS) < WANTED < power(largest * 0.99, claimed, FEW_SEEDS)
    assert detectable(Claimed(-0.02, 0.02), FEW_SEEDS) is None


def test_what_settles_equivalence_supports_it_within_the_bounds_and_refutes_it_beyond():
    claimed = Claimed(-0.03, 0.03)
    for effect, right in ((0.0, claimed), (0.06, Claimed(low=0.03)), (-0.06, Claimed(high=-0.03))):
        factor = patients_and_seeds_that_settle(effect, claimed, FEW_SEEDS)
        enlarged = FEW_SEEDS.with_patients(factor).with_seeds(3 * factor)
        assert power(effect, right, enlarged) == pytest.approx(WANTED, abs=2e-3)
        seeds = seeds_that_settle(effect, claimed, FEW_SEEDS.with_patients(10))
        assert power(effect, right, FEW_SEEDS.with_patients(10).with_seeds(seeds)) >= WANTED


@pytest.mark.parametrize("n", [2, 3, 30, 10**6])
def test_the_power_of_one_bound_is_a_noncentral_t_probability(n):
    spread = Spread(patients=4.0, seeds=0.0, n_patients=n, n_seeds=1)
    for gap in (-100.0, -3.0, 0.0, 1.0, 5.0, 20.0, 100.0):
        expected = nct.sf(t.isf(LEVEL, n - 1), n - 1, gap / 2)
        assert power(gap, ABOVE_0, spread) == pytest.approx(expected, abs=1e-8)
