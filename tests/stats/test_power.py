"""Power against simulation and the normal limit; what settles a claim against the power it then has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from medbench.stats.interval import LEVEL, Spread
from medbench.stats.power import (
    LARGEST_FACTOR,
    MOST_SEEDS,
    WANTED,
    detectable_gap,
    patients_and_seeds_that_settle,
    patients_that_settle,
    power,
    seeds_that_settle,
)

FEW_SEEDS = Spread(patients=0.0001, seeds=0.0006, n_patients=60, n_seeds=3)


def test_power_is_the_share_of_simulated_studies_that_clear_the_margin():
    draw, n, gap = np.random.default_rng(0), 6, 0.8
    studies = draw.normal(gap, 1.0, size=(20_000, n))
    statistic = studies.mean(axis=1) / (studies.std(axis=1, ddof=1) / n**0.5)
    cleared = (statistic > t.isf(LEVEL, n - 1)).mean()
    spread = Spread(patients=1 / n, seeds=0.0, n_patients=n, n_seeds=1)
    assert power(gap, spread) == pytest.approx(cleared, abs=0.01)


def test_power_with_many_patients_is_that_of_a_normal_test():
    spread = Spread(patients=0.01, seeds=0.0, n_patients=10**6, n_seeds=1)
    assert power(0.25, spread) == pytest.approx(norm.sf(norm.isf(LEVEL) - 2.5), abs=1e-4)


def test_power_at_the_margin_is_the_level():
    assert power(0.0, FEW_SEEDS) == pytest.approx(LEVEL)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0])
def test_the_detectable_gap_has_the_wanted_power_at_any_scale(scale):
    spread = Spread(patients=scale**2, seeds=3 * scale**2, n_patients=30, n_seeds=3)
    assert power(detectable_gap(spread), spread) == pytest.approx(WANTED, abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.7, 1.5), st.floats(1e-6, 1e-2), st.integers(2, 500), st.integers(3, 10))
def test_the_patients_that_settle_are_just_enough(gap_in_errors, share, n_patients, n_seeds):
    spread = Spread(patients=1.0, seeds=share * n_seeds, n_patients=n_patients, n_seeds=n_seeds)
    gap = gap_in_errors * spread.standard_error
    factor = patients_that_settle(gap, spread)
    assert factor is not None
    assert power(gap, spread.with_patients(factor)) == pytest.approx(WANTED, abs=2e-3)
    assert patients_that_settle(-gap, spread) == factor


def test_a_few_more_patients_settle_what_was_nearly_settled():
    spread = Spread(patients=1.0, seeds=0.0, n_patients=500, n_seeds=3)
    gap = detectable_gap(spread) / 1.2
    # The standard error must shrink by 1.2, so the patients grow by its square.
    assert patients_that_settle(gap, spread) == pytest.approx(1.44, abs=0.01)


def test_patients_cannot_settle_what_the_seeds_leave_open():
    assert patients_that_settle(0.01, FEW_SEEDS) is None
    assert power(0.01, FEW_SEEDS.with_patients(LARGEST_FACTOR)) < WANTED


def test_more_of_both_settles_what_neither_settles_alone():
    factor = patients_and_seeds_that_settle(0.01, FEW_SEEDS)
    enlarged = FEW_SEEDS.with_patients(factor).with_seeds(3 * factor)
    assert power(0.01, enlarged) == pytest.approx(WANTED, abs=2e-3)
    assert patients_and_seeds_that_settle(-0.01, FEW_SEEDS) == factor
    assert patients_and_seeds_that_settle(1e-6, FEW_SEEDS) is None


def test_the_seeds_that_settle_are_the_fewest():
    gap = 0.035
    seeds = seeds_that_settle(gap, FEW_SEEDS)
    assert power(gap, FEW_SEEDS.with_seeds(seeds)) >= WANTED > power(gap, FEW_SEEDS.with_seeds(seeds - 1))
    assert seeds_that_settle(-gap, FEW_SEEDS) == seeds
    assert isinstance(seeds, int)


def test_seeds_cannot_settle_what_the_patients_leave_open():
    assert seeds_that_settle(0.01, FEW_SEEDS) is None
    assert power(0.01, FEW_SEEDS.with_seeds(MOST_SEEDS)) < WANTED


def test_nothing_settles_an_effect_that_equals_the_margin():
    assert patients_that_settle(0.0, FEW_SEEDS) is None
    assert seeds_that_settle(0.0, FEW_SEEDS) is None


def test_what_is_settled_already_asks_for_no_more():
    assert patients_that_settle(1.0, FEW_SEEDS) == 1.0
    assert seeds_that_settle(1.0, FEW_SEEDS) == FEW_SEEDS.n_seeds
