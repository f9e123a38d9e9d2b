"""Counts of alarms, in worlds in which it is known how many there must be."""

from collections import Counter

import numpy as np
import pytest

from medbench.gate import rates
from tests.gate.conftest import scripted, suite_of
from tests.gate.test_worlds import MIXED

RANDOM = np.random.default_rng(0)
ITEMS = 3
STILL, ALL = [0.0] * ITEMS, [0.1] * ITEMS


def following(script, items=ITEMS):
    """Makes worlds that each follow the script."""
    return lambda random: scripted(suite_of(items), script)


def test_where_nothing_moves_no_night_alarms():
    make = following([STILL] * 3)
    assert rates.unchanged(make, suite_of(ITEMS), 4, RANDOM) == {
        "same seeds": 0,
        "new seeds": 0,
        "one new seed": 0,
    }


def test_where_every_band_is_left_every_night_with_new_seeds_alarms():
    make = following([STILL, ALL, ALL])
    assert rates.unchanged(make, suite_of(ITEMS), 4, RANDOM) == {
        "same seeds": 0,
        "new seeds": 4,
        "one new seed": 4,
    }


@pytest.mark.parametrize("item", range(ITEMS))
def test_an_alarm_of_any_one_item_makes_the_night_count_once(item):
    one = [0.1 * (i == item) for i in range(ITEMS)]
    make = following([STILL, one, STILL])
    assert rates.unchanged(make, suite_of(ITEMS), 5, RANDOM) == {
        "same seeds": 0,
        "new seeds": 5,
        "one new seed": 0,
    }


def test_a_machine_on_which_values_move_further_than_calibrated_alarms_with_the_same_seeds(monkeypatch):
    monkeypatch.setattr(
        rates, "machine", lambda calibration, random: lambda metric, shape: np.full(shape, 0.01)
    )
    make = following([STILL] * 3)
    assert rates.unchanged(make, suite_of(ITEMS), 3, RANDOM)["same seeds"] == 3


def test_each_accepted_set_has_the_rate_of_its_own_nights():
    make = following([STILL, ALL, STILL, STILL, ALL])
    assert rates.conditional(make, suite_of(ITEMS), 2, 4, RANDOM) == [0.5, 0.5]


def test_normal_seeds_of_equal_spread_alarm_as_designed():
    """With spreads alike, bands of means are nearly exact; those of single seeds allow for heavier tails."""
    accepted, nights = suite_of(6, seeds=10), 500
    red = rates.unchanged(
        lambda random: scripted(accepted, deviation=0.01), accepted, nights, np.random.default_rng(1)
    )
    assert 0.015 < red["new seeds"] / nights < 0.07
    assert red["one new seed"] <= 0.01 * nights
    assert red["same seeds"] == 0


def test_falls_of_known_size_are_caught_if_they_leave_the_band_and_only_then():
    accepted = suite_of(ITEMS)
    make = following([STILL] * 3)
    caught, tried = rates.planted(make, "stored", accepted, 3, RANDOM)
    assert set(tried.values()) == {3}
    # 4 falls in 1 or 2 arms on 3 kinds of night, deviations where seeds are new, and of one arm by its seeds.
    assert len(tried) == 29
    for cell in tried:  # where no seed deviates, bands are the numeric tolerance
        assert caught[cell] == (3 if cell.change == "AUC drop" else 0)


def test_three_deviations_are_those_of_the_items_own_arms():
    world = scripted(suite_of(2))
    world.deviations[:] = [0.01, 0.02, 0.03, 0.04]
    for item, expected in ((0, [0.03, 0.06]), (1, [0.09, 0.12])):
        assert rates.deviations(world, item) == pytest.approx(expected)


def test_falls_are_of_items_on_the_area():
    random = np.random.default_rng(0)
    world = rates.maker("stored", MIXED)(random)
    assert {rates.any_area(world, random) for _ in range(50)} == {0, 1, 2}


def test_nights_with_other_numbers_of_seeds_count_each():
    accepted = suite_of(2)
    make = rates.maker("stored", accepted)
    caught, tried = rates.with_other_seeds(make, accepted, 40, np.random.default_rng(0))
    assert list(tried.values()) == [40] * 6
    by_seeds = {cell.night: count for cell, count in caught.items()}
    assert by_seeds["20 accepted, 10 new"] == 40
    assert by_seeds["5 accepted, 5 new"] < 40


def test_a_suite_of_several_metrics_and_unequal_seeds_is_simulated():
    for worlds in rates.WORLDS:
        make = rates.maker(worlds, MIXED)
        random = np.random.default_rng(0)
        red = rates.unchanged(make, MIXED, 20, random)
        assert red.keys() == set(rates.NIGHTS)
        assert red["same seeds"] == 0
        assert max(red.values()) < 8
        assert 0 <= rates.conditional(make, MIXED, 1, 4, random)[0] <= 1
        caught, tried = rates.planted(make, worlds, MIXED, 3, random)
        assert set(tried.values()) == {3}
        assert caught <= Counter(tried)
