import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medbench.others.contrast import contrast
from medbench.stats.interval import LEVEL, Claimed, p_value

COVERED = 1 - 2 * LEVEL


def by_seed(values, first=0):
    return dict(enumerate(map(float, values), first))


def difference(treatment, baseline):
    return contrast([(1, treatment), (-1, baseline)])


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_arms_with_the_same_seeds_have_the_paired_t_interval(n):
    draw = np.random.default_rng(n)
    seeds = draw.normal(size=n)
    a, b = seeds + 0.1 * draw.normal(size=n), seeds + 0.1 * draw.normal(size=n)
    found, oracle = difference(by_seed(a), by_seed(b)), stats.ttest_rel(a, b)
    expected = oracle.confidence_interval(COVERED)
    assert found.pairing == "paired"
    assert found.degrees_of_freedom == pytest.approx(n - 1)
    assert (found.interval().low, found.interval().high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 4), (3, 20)])
def test_arms_with_other_seeds_have_welchs_interval(n, m):
    draw = np.random.default_rng(n)
    a, b = draw.normal(size=n), 3 * draw.normal(size=m)
    found = difference(by_seed(a), by_seed(b, first=1))
    oracle = stats.ttest_ind(a, b, equal_var=False)
    expected = oracle.confidence_interval(COVERED)
    assert found.pairing == "unpaired"
    assert found.degrees_of_freedom == pytest.approx(oracle.df)
    assert (found.interval().low, found.interval().high) == pytest.approx((expected.low, expected.high))


def test_the_p_value_is_that_of_the_one_sided_t_test():
    draw = np.random.default_rng(4)
    a, b = draw.normal(size=6), draw.normal(size=5)
    paired = difference(by_seed(a[:5]), by_seed(b))
    oracle = stats.ttest_rel(a[:5] - 0.1, b, alternative="greater")
    assert p_value(paired.value, Claimed(low=0.1), paired) == pytest.approx(oracle.pvalue)
    unpaired = difference(by_seed(a), by_seed(b))
    oracle = stats.ttest_ind(a + 0.3, b, equal_var=False, alternative="greater")
    assert p_value(unpaired.value, Claimed(low=-0.3), unpaired) == pytest.approx(oracle.pvalue)


def test_pairs_are_made_by_seed_whatever_the_order():
    a, b = {1: 0.1, 2: 0.5, 3: 0.2}, {3: 0.1, 1: 0.0, 2: 0.3}
    assert difference(a, b).interval().value == pytest.approx(np.mean([0.1, 0.2, 0.1]))
    assert difference(a, b).standard_error == pytest.approx(stats.sem([0.1, 0.2, 0.1]))


def test_an_interaction_of_paired_arms_is_the_one_sample_interval_of_its_values_by_seed():
    draw = np.random.default_rng(1)
    arms = draw.normal(size=(4, 6))
    found = contrast(list(zip((1, -1, -1, 1), map(by_seed, arms), strict=True)))
    oracle = stats.ttest_1samp(arms[0] - arms[1] - arms[2] + arms[3], 0).confidence_interval(COVERED)
    assert (found.interval().low, found.interval().high) == pytest.approx((oracle.low, oracle.high))


def test_two_pairs_of_arms_with_other_seeds_are_welchs_interval_of_their_differences():
    draw = np.random.default_rng(2)
    a, b, c, d = (draw.normal(size=n) for n in (4, 4, 6, 6))
    found = contrast([(1, by_seed(a)), (-1, by_seed(b)), (-1, by_seed(c)), (1, by_seed(d))])
    oracle = stats.ttest_ind(a - b, c - d, equal_var=False).confidence_interval(COVERED)
    assert found.pairing == "partly paired"
    assert (found.interval().low, found.interval().high) == pytest.approx((oracle.low, oracle.high))


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8),
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8),
)
def test_limits_are_finite_around_the_value_and_mirror_when_the_arms_are_swapped(a, b):
    found, swapped = difference(by_seed(a), by_seed(b)), difference(by_seed(b), by_seed(a))
    limits = found.interval()
    assert math.isfinite(limits.low)
    assert math.isfinite(limits.high)
    assert limits.low <= limits.value <= limits.high
    assert swapped.interval().low == pytest.approx(-limits.high, abs=1e-6)
    assert found.degrees_of_freedom >= 1 - 1e-9


def test_seeds_that_do_not_differ_have_no_spread():
    found = difference(by_seed([0.5, 0.5]), by_seed([0.25, 0.25]))
    assert found.standard_error == 0
    assert (found.interval().low, found.interval().high) == (0.25, 0.25)
