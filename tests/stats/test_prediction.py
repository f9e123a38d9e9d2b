"""Bands for new seeds against closed forms, and their family-wise rate of false alarms by simulation."""

import numpy as np
import pytest
from scipy.stats import f_oneway, t

from medbench.stats.prediction import FALSE_ALARMS, SeedSpread, half_width, pooled_spread


def test_the_pooled_spread_is_the_error_mean_square_of_an_analysis_of_variance():
    draw = np.random.default_rng(0)
    groups = [list(draw.normal(i, 0.3, size)) for i, size in enumerate([5, 3, 8])]
    spread = pooled_spread(groups)
    assert spread.degrees_of_freedom == 13
    means = np.concatenate([np.full(len(g), np.mean(g)) for g in groups])
    everything = np.concatenate(groups)
    between = ((means - everything.mean()) ** 2).sum() / 2
    assert f_oneway(*groups).statistic == pytest.approx(between / spread.deviation**2)


def test_single_seeds_tell_nothing_of_the_spread():
    assert pooled_spread([[0.8], [0.9]]) == SeedSpread(0.0, 0)
    assert pooled_spread([]) == SeedSpread(0.0, 0)


def test_one_interval_is_the_classical_prediction_interval():
    half = half_width(SeedSpread(0.02, 9), accepted=5, new=2, family=1)
    assert half == pytest.approx(t.ppf(1 - FALSE_ALARMS / 2, 9) * 0.02 * np.sqrt(1 / 5 + 1 / 2))


def test_a_family_shares_the_level_by_sidaks_rule():
    half = half_width(SeedSpread(0.02, 9), accepted=5, new=5, family=10)
    two_sided = 2 * t.sf(half / (0.02 * np.sqrt(2 / 5)), 9)
    assert 1 - (1 - two_sided) ** 10 == pytest.approx(FALSE_ALARMS)


def test_unchanged_nights_alarm_no_more_often_than_designed():
    draw, nights, items, seeds = np.random.default_rng(1), 4000, 12, 5
    alarms = 0
    for accepted, new in zip(
        draw.normal(0.8, 0.014, (nights, items, seeds)),
        draw.normal(0.8, 0.014, (nights, items, 3)),
        strict=True,
    ):
        half = half_width(pooled_spread(accepted), accepted=seeds, new=3, family=items)
        alarms += bool((np.abs(new.mean(axis=1) - accepted.mean(axis=1)) > half).any())
    # Designed for .04; the bands of a suite share one spread, which only makes them alarm together.
    assert 0.02 < alarms / nights < 0.04 + 3 * 0.0031
