"""A simulated night is judged, checked and made red by medbench's own functions."""

import numpy as np
import pytest

from medbench.expect import Expectations
from medbench.gate import nights
from medbench.gate.worlds import LikeStored, Suite
from tests.gate.conftest import UNMOVED, expectation, of_terms, scripted, suite_of


def test_a_night_is_red_when_a_band_is_left_or_a_verdict_flips(expectations):
    random = np.random.default_rng(0)
    world = LikeStored(Suite.of(expectations))(random)
    values = world.draw(random, world.suite.seeds)
    accepted = nights.accept(world, values, expectations.calibration)
    assert not nights.alarms(world, values, 1, accepted).any()
    one, two = world.suite.areas[:2]
    values[one][1, 2] += 0.004
    assert np.flatnonzero(nights.alarms(world, values, 1, accepted)).tolist() == [one]
    values[one][1, 2] -= 0.004
    values[two] = values[two][::-1]
    assert nights.alarms(world, values, 1, accepted)[two]


def test_every_item_can_be_the_one_that_alarms():
    world = scripted(suite_of(3))
    values = world.draw(np.random.default_rng(0), 4)
    accepted = nights.accept(world, values, UNMOVED)
    for item in range(3):
        moved = [of + 0.01 * (i == item) for i, of in enumerate(values)]
        assert nights.alarms(world, moved, 1, accepted).tolist() == [i == item for i in range(3)]


@pytest.mark.parametrize(
    ("metric", "predicate", "gain", "verdict"),
    [
        ("roc_auc@1", "superiority", 0.1, "supported"),
        ("roc_auc@1", "superiority", -0.1, "refuted"),
        ("roc_auc@1", "superiority", 0.005, "inconclusive"),
        ("roc_auc@1", "non-inferiority", 0.02, "supported"),
        ("roc_auc@1", "equivalence", 0.1, "refuted"),
        ("nll@1", "superiority", 0.1, "refuted"),
        ("nll@1", "superiority", -0.1, "supported"),
    ],
)
def test_the_verdict_is_that_of_the_items_own_predicate_and_direction(metric, predicate, gain, verdict):
    item = expectation("a/c/id", [0.6, 0.62, 0.61], [0.7, 0.72, 0.7], metric=metric, predicate=predicate)
    world = scripted(Expectations((item, expectation("b/c/id", [0.6, 0.62], [0.7, 0.72]))))
    baseline = np.array([0.6, 0.62, 0.61])
    judgement = nights.judged(world, 0, np.stack([baseline, baseline + gain + [1e-4, -1e-4, 0]]), 1)
    assert judgement.verdict == verdict
    assert judgement.effect.value == pytest.approx(gain if metric == "roc_auc@1" else -gain)


def test_the_effect_of_several_terms_is_their_weighted_sum():
    weights = {"few": -1.0, "many": 1.0, "few at id": 1.0, "many at id": -1.0}
    samples = dict(
        zip(
            weights, ([0.6, 0.61, 0.62], [0.8, 0.82, 0.81], [0.7, 0.71, 0.7], [0.75, 0.74, 0.75]), strict=True
        )
    )
    item = of_terms("a/c/icu", samples, weights)
    world = scripted(Expectations((expectation("b/c/id", [0.6, 0.62], [0.7, 0.72]), item)))
    judgement = nights.judged(world, 1, np.array(list(samples.values())), 1)
    assert judgement.effect.value == pytest.approx(0.2 - (0.7466667 - 0.7033333))
    assert judgement.verdict == "supported"
    assert judgement.samples.keys() == samples.keys()


def test_an_effect_that_is_no_sum_concludes_nothing_and_its_bands_are_held():
    item = of_terms("a/c/id", {"few": [0.6, 0.61, 0.62], "many": [0.8, 0.82, 0.81]}, {})
    world = scripted(Expectations((expectation("b/c/id", [0.6, 0.62], [0.7, 0.72]), item), UNMOVED))
    values = [np.full((2, 2), 0.7), np.array([[0.6, 0.61, 0.62], [0.8, 0.82, 0.81]])]
    accepted = nights.accept(world, values, UNMOVED)
    assert accepted.accepted[1].verdict == "inconclusive"
    assert accepted.accepted[1].effect == item.effect
    moved = [values[0], values[1] + [[0.0], [0.01]]]
    assert nights.alarms(world, moved, 1, accepted).tolist() == [False, True]


def test_one_seed_concludes_nothing():
    world = scripted(suite_of(1))
    assert nights.judged(world, 0, np.array([[0.6], [0.9]]), 7).verdict == "inconclusive"
    assert nights.judged(world, 0, np.array([[0.6], [0.9]]), 7).samples["treatment"] == {7: 0.9}


def test_numeric_noise_has_a_calibrated_difference_as_its_usual_largest(expectations):
    random = np.random.default_rng(0)
    one = next(row for row in expectations.calibration if row.metric == "roc_auc@1")
    same = (one.variant, one.jax)
    rows = tuple(row for row in expectations.calibration if (row.variant, row.jax) == same)
    largest = [
        np.abs(nights.machine(rows, random)("roc_auc@1", (nights.CALIBRATED_VALUES,))).max()
        for _ in range(500)
    ]
    assert np.median(largest) == pytest.approx(one.largest_difference, rel=0.1)


def test_a_metric_that_was_not_calibrated_on_a_machine_does_not_move():
    moved = nights.machine(UNMOVED, np.random.default_rng(0))
    assert np.all(moved("ece@1", (2, 5)) == 0)
    assert np.all(moved("roc_auc@1", (2, 5)) == 0)
