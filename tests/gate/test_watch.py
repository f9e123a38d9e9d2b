"""A night is judged where anything comes near a limit, and alarms as if every item had been."""

from dataclasses import replace

import numpy as np
import pytest

from medbench.expect import Expectations
from medbench.gate import nights, rates
from medbench.gate.watch import Watch
from tests.gate.conftest import UNMOVED, expectation, scripted, suite_of
from tests.gate.test_worlds import MIXED

SEEDS = 4


def quiet():
    """Accepted values of three items, and the watch over their world."""
    world = scripted(suite_of(3, SEEDS))
    values = [np.array([list(of.values()) for of in item.samples.values()]) for item in world.suite.items]
    return values, Watch(world, values, UNMOVED)


@pytest.mark.parametrize("worlds", rates.WORLDS)
def test_the_alarms_are_those_of_all_items_judged_one_by_one(expectations, worlds):
    for accepted, times in ((MIXED, 20), (expectations, 2)):
        random = np.random.default_rng(0)
        make, alarms = rates.maker(worlds, accepted), 0
        for _ in range(times):
            world = make(random)
            values = world.draw(random, world.suite.seeds)
            watch = Watch(world, values, accepted.calibration)
            for night in rates.NIGHTS:
                measured, first = rates.tonight(world, values, night, random, accepted)
                moved = [
                    of + (random.random() < 0.2) * random.normal(0, 0.05, (len(of), 1)) for of in measured
                ]
                expected = np.flatnonzero(nights.alarms(world, moved, first, watch.expectations)).tolist()
                assert list(watch.alarms(moved, first)) == expected
                alarms += len(expected)
        assert alarms


@pytest.mark.parametrize("new", [1, 2, SEEDS])
@pytest.mark.parametrize("arm", [0, 1])
def test_a_mean_is_looked_at_from_just_within_the_band_that_medbench_holds_it_to(new, arm):
    values, watch = quiet()
    item = watch.expectations.accepted[1]
    expected = [of_item.mean(axis=1, keepdims=True).repeat(new, axis=1) for of_item in values]
    half, _ = watch.expectations.bands(item, list(item.samples)[arm], [0.0] * new)
    for share, looked_at in ((0.985, []), (0.995, [1]), (1.01, [1])):
        measured = [of_item.copy() for of_item in expected]
        measured[1][arm] += (-1, 1)[arm] * share * half  # away from each other, so that no verdict flips
        assert watch.suspects(measured, SEEDS + 1) == looked_at
        assert list(watch.alarms(measured, SEEDS + 1)) == (looked_at if share > 1 else [])


def test_one_of_several_new_seeds_is_looked_at_from_just_within_its_own_band():
    values, watch = quiet()
    item = watch.expectations.accepted[2]
    expected = [of_item.mean(axis=1, keepdims=True).repeat(SEEDS, axis=1) for of_item in values]
    for share, looked_at in ((0.985, []), (0.995, [2]), (1.01, [2])):
        measured = [of_item.copy() for of_item in expected]
        _, half = watch.expectations.bands(item, "treatment", measured[2][1])
        measured[2][1] += share * half * np.array([1, -1, 0, 0])  # the mean stays
        assert watch.suspects(measured, SEEDS + 1) == looked_at
        assert list(watch.alarms(measured, SEEDS + 1)) == (looked_at if share > 1 else [])


@pytest.mark.parametrize("item", range(3))
def test_a_value_of_the_same_seed_is_looked_at_from_just_within_the_tolerance(item):
    values, watch = quiet()
    tolerance = watch.expectations.tolerance("roc_auc@1", "cpu")
    for share, looked_at in ((0.985, []), (0.995, [item]), (1.01, [item])):
        measured = [of_item.copy() for of_item in values]
        measured[item][0, 2] -= share * tolerance
        assert watch.suspects(measured, 1) == looked_at
        assert list(watch.alarms(measured, 1)) == (looked_at if share > 1 else [])


@pytest.mark.parametrize("metric", ["roc_auc@1", "nll@1"])
def test_a_verdict_that_flips_within_all_bands_alarms(metric):
    scatter = np.array([0.3, 0.5, 0.7, 0.4])
    gain = 0.05 if metric == "roc_auc@1" else -0.05
    items = [expectation(f"{task}/c/id", scatter, scatter + gain, metric=metric) for task in "ab"]
    area = expectation("c/c/id", scatter, scatter + 0.05)
    world = replace(scripted(Expectations((*items, area), UNMOVED)), patients=np.full(3, 1e-6))
    values = [np.stack([scatter, scatter + of]) for of in (gain, gain, 0.05)]
    watch = Watch(world, values, UNMOVED)
    assert [e.verdict for e in watch.expectations.accepted] == ["supported"] * 3
    worse = [np.stack([scatter, scatter + of]) for of in (gain, -0.04 * gain, 0.05)]
    assert list(watch.alarms(worse, SEEDS + 1)) == [1]
    assert list(watch.alarms(values, SEEDS + 1)) == []
