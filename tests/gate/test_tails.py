"""Whether seeds have heavier tails than a normal distribution."""

import numpy as np
import pytest
from scipy.stats import kurtosis

from medbench.gate import rates, tails
from tests.gate.conftest import suite_of


def test_excess_kurtosis_is_scipys_without_bias_averaged_over_groups():
    random = np.random.default_rng(0)
    groups = [random.normal(size=n) * 10**-n for n in (4, 5, 10)]
    expected = np.mean([kurtosis(group, bias=False) for group in groups])
    assert tails.excess_kurtosis(groups) == pytest.approx(expected)


def test_it_is_0_on_average_for_normal_seeds_however_few():
    random = np.random.default_rng(0)
    assert tails.excess_kurtosis(random.normal(size=(20_000, 5))) == pytest.approx(0, abs=0.05)


def test_groups_of_few_or_equal_values_say_nothing():
    told = [0.1, 0.2, 0.4, 0.9]
    assert tails.excess_kurtosis([[1, 2, 3], [5, 5, 5, 5], told]) == tails.excess_kurtosis([told])
    assert tails.excess_kurtosis([[1, 2, 3]]) is None


def test_simulated_suites_with_heavy_tails_are_told_from_normal_ones():
    accepted = suite_of(40, seeds=10)
    random = np.random.default_rng(0)
    normal, heavy = (tails.simulated(rates.maker(w, accepted), 30, random) for w in ("stored", "heavy"))
    assert len(normal) == len(heavy) == 30
    assert np.mean(normal) == pytest.approx(0, abs=0.15)
    assert np.mean(heavy) > 0.5


def test_suites_of_too_few_seeds_have_none():
    assert tails.simulated(rates.maker("stored", suite_of(2, seeds=3)), 5, np.random.default_rng(0)) == []
