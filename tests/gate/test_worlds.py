"""Simulated worlds: their shape is that of what was accepted, and values scatter as they say."""

from itertools import chain

import numpy as np
import pytest
from scipy.stats import kurtosis, norm

from medbench.errors import MedbenchError
from medbench.expect import Expectations
from medbench.gate.worlds import (
    HeavyTailed,
    LikeStored,
    OfGrid,
    Suite,
    area_deviation,
    variance_over_patients,
)
from tests.gate.conftest import UNMOVED, expectation, of_terms, suite_of

A, B, C = [0.7, 0.72, 0.75], [0.8, 0.83, 0.82], [0.75, 0.73, 0.74]
SHIFT = [0.6, 0.61, 0.64], [0.7, 0.72, 0.74]
MIXED = Expectations(
    (
        expectation("chest/scale/id", A, B),
        expectation("chest/scale/icu", *SHIFT),
        expectation("chest/transfer/id", C, B, backbones=("random", "large")),
        expectation(
            "skin/calibration/id", [0.5, 0.52], [0.4, 0.45], metric="nll@1", predicate="non-inferiority"
        ),
        expectation("skin/calibration/phone", [0.7, 0.72], [0.6, 0.62], metric="nll@1"),
        expectation("skin/scale/id", A, B, environment="gpu-h100"),
        expectation("skin/scale/phone", [0.7], [0.8]),
    ),
    UNMOVED,
)
"""Two metrics, an arm of two claims, unequal seeds, another device, a single seed."""


@pytest.mark.parametrize("items", [1, 4])
@pytest.mark.parametrize("seeds", [2, 7])
def test_a_simulated_suite_has_the_items_and_seeds_that_were_accepted(items, seeds):
    suite = Suite.of(suite_of(items, seeds))
    assert len(suite.items) == items
    assert suite.left_out == 0
    assert suite.seeds.tolist() == [seeds] * items
    for make in (LikeStored(suite), OfGrid(suite), HeavyTailed(suite)):
        world = make(np.random.default_rng(0))
        assert [v.shape for v in world.draw(np.random.default_rng(0), suite.seeds)] == [(2, seeds)] * items
        assert [v.shape for v in world.draw(np.random.default_rng(0), 1)] == [(2, 1)] * items


def test_arms_that_are_one_score_are_drawn_once_and_sets_of_a_run_are_known():
    suite = Suite.of(MIXED)
    assert [item.item for item in suite.items] == [e.item for e in MIXED.accepted[:5]]
    assert suite.left_out == 2
    assert suite.seeds.tolist() == [3, 3, 3, 2, 2]
    assert [terms.tolist() for terms in suite.scores] == [[0, 1], [2, 3], [4, 1], [5, 6], [7, 8]]
    assert [weights.tolist() for weights in suite.weights] == [[-1, 1]] * 5
    assert suite.runs.tolist() == [0, 1, 0, 1, 2, 3, 4, 3, 4]
    assert suite.sets.tolist() == [0, 0, 1, 1, 0, 2, 2, 3, 3]
    assert suite.tasks.tolist() == [0, 0, 1, 1]
    values = LikeStored(suite)(np.random.default_rng(0)).draw(np.random.default_rng(1), suite.seeds)
    assert values[0][1].tolist() == values[2][1].tolist()
    assert [v.shape[1] for v in values] == [3, 3, 3, 2, 2]


def test_items_keep_their_metric_and_predicate_but_for_the_grid_which_is_on_areas():
    suite = Suite.of(MIXED)
    random = np.random.default_rng(0)
    for make in (LikeStored(suite), HeavyTailed(suite)):
        assert make(random).suite.items == suite.items
    definitions = [item.definition for item in OfGrid(suite)(random).suite.items]
    assert {(d.metric, d.predicate) for d in definitions} == {("roc_auc@1", "superiority")}


def test_scores_of_the_grid_are_as_many_quantities_as_in_the_suite_whatever_their_metrics(expectations):
    suite = Suite.of(expectations)
    found = Expectations(OfGrid(suite)(np.random.default_rng(0)).suite.items).families["cpu"]
    assert found == expectations.families["cpu"] == len(suite.runs)


def test_an_item_of_several_terms_is_their_sum_over_arms_that_others_have_too():
    weights = {"many": 0.5, "few": -0.5, "many at id": -0.5, "few at id": 0.5}
    arms = {term: [0.6, 0.62, 0.61] for term in weights}
    accepted = Expectations(
        (
            expectation("chest/scale/id", A, B, backbones=("few-net", "many-net")),
            of_terms("chest/drop/icu", arms | {"many at id": B, "few at id": A}, weights),
        )
    )
    suite = Suite.of(accepted)
    assert [terms.tolist() for terms in suite.scores] == [[0, 1], [2, 3, 1, 0]]
    assert suite.weights[1].tolist() == [0.5, -0.5, -0.5, 0.5]
    assert suite.areas == [0]
    for make in (LikeStored(suite), OfGrid(suite), HeavyTailed(suite)):
        gain, drop = make(np.random.default_rng(0)).draw(np.random.default_rng(1), suite.seeds)
        assert drop[3].tolist() == gain[0].tolist()
        assert drop[2].tolist() == gain[1].tolist()


def test_an_item_of_fewer_seeds_has_the_first_of_a_score_that_another_item_has_more_of():
    few = expectation("chest/few/id", A[:2], B[:2])
    suite = Suite.of(Expectations((few, expectation("chest/all/id", A, B))))
    assert suite.accepted == (tuple(A), tuple(B))
    assert suite.seeds.tolist() == [2, 3]
    two, three = LikeStored(suite)(np.random.default_rng(0)).draw(np.random.default_rng(1), suite.seeds)
    assert two.tolist() == three[:, :2].tolist()


def test_the_variance_over_patients_is_the_intervals_less_that_of_the_seeds():
    item = expectation("a/c/id", [0.7, 0.71, 0.72], [0.8, 0.82, 0.825])
    both = (0.02 / norm.isf(0.05)) ** 2
    assert variance_over_patients(item) == pytest.approx(both - np.var([0.1, 0.11, 0.105], ddof=1) / 3)
    loud = expectation("a/c/id", [0.2, 0.7], [0.8, 0.3])
    assert variance_over_patients(loud) == pytest.approx(both / 2)


def test_areas_stay_between_0_and_1_and_other_metrics_need_not():
    suite = Suite.of(
        Expectations(
            (
                expectation("a/c/id", [0.99, 0.999, 0.9], [0.99, 0.999, 0.95]),
                expectation("b/c/id", [0.99, 1.3, 0.9], [0.99, 1.4, 0.95], metric="nll@1"),
            )
        )
    )
    area, loss = LikeStored(suite)(np.random.default_rng(0)).draw(np.random.default_rng(0), 500)
    assert area.max() == 1
    assert loss.max() > 1


def test_the_noise_that_sets_of_a_run_share_is_the_mean_correlation_of_the_accepted():
    suite = Suite.of(MIXED)
    pairs = [np.corrcoef(A, SHIFT[0])[0, 1], np.corrcoef(B, SHIFT[1])[0, 1]]
    assert suite.shared == pytest.approx(np.mean(pairs))  # two seeds of the other metric say nothing
    assert Suite.of(suite_of(3)).shared == 0


@pytest.mark.parametrize(
    "accepted",
    [(), (expectation("a/c/id", [0.7], [0.8]),), (expectation("a/c/id", A, B, metric="nll@1"),)],
)
def test_a_suite_without_areas_of_several_seeds_is_refused_in_one_sentence(accepted):
    with pytest.raises(MedbenchError, match=r"need an accepted gain of roc_auc@1 on cpu with two seeds"):
        Suite.of(Expectations(accepted))


@pytest.mark.parametrize(
    ("make", "excess"), [(LikeStored, (-0.3, 0.3)), (OfGrid, (-0.3, 0.3)), (HeavyTailed, (1.5, 60))]
)
def test_drawn_seeds_have_the_deviations_the_correlation_and_the_tails_of_their_world(
    expectations, make, excess
):
    random = np.random.default_rng(3)
    world = make(Suite.of(expectations))(random)
    world = type(world)(**{**vars(world), "step": np.full(len(world.means), 1e-9)})
    world.means[:] = 0.5  # far from the bounds
    world.deviations[:] = np.clip(world.deviations, 1e-4, 0.05)  # of an area, but not of nats or of steps
    # One task at home, the same runs on a shift, another task.
    gains = ["chest/scale-data/id", "chest/ood-robustness/icu", "dermatology/scale-data/id"]
    place = [[item.item for item in world.suite.items].index(gain) for gain in gains]
    drawn = world.draw(random, 10_000)
    values = np.array([drawn[i] for i in place])
    deviations = world.deviations[np.array([world.suite.scores[i] for i in place])]
    assert values.mean(axis=-1) == pytest.approx(np.full_like(deviations, 0.5), abs=0.004)
    assert values.std(axis=-1) == pytest.approx(deviations, rel=0.06)
    assert np.corrcoef(values[0, 0], values[1, 0])[0, 1] == pytest.approx(world.shared, abs=0.09)
    assert np.corrcoef(values[0, 0], values[2, 0])[0, 1] == pytest.approx(0, abs=0.03)
    assert np.corrcoef(values[0, 0], values[0, 1])[0, 1] == pytest.approx(0, abs=0.03)
    assert excess[0] < kurtosis(values, axis=-1).mean() < excess[1]


@pytest.mark.parametrize("make", [LikeStored, HeavyTailed])
def test_worlds_like_the_stored_runs_spread_as_those_do(expectations, make):
    random = np.random.default_rng(0)
    suite = Suite.of(expectations)
    worlds = make(suite)
    areas = [i for i, metric in enumerate(suite.metrics) if metric == "roc_auc@1"]
    drawn = [worlds(random).draw(random, suite.seeds) for _ in range(100)]
    of_scores = [dict(zip(np.concatenate(suite.scores), chain(*values), strict=True)) for values in drawn]
    simulated = [np.log(np.std(of_score[i], ddof=1)) for of_score in of_scores for i in areas]
    stored = np.log([np.std(suite.accepted[i], ddof=1) for i in areas])
    assert np.mean(simulated) == pytest.approx(np.mean(stored), abs=0.2)
    assert np.std(stored) * 0.75 < np.std(simulated) < np.std(stored) * 1.6
    assert np.mean([worlds(random).means for _ in range(3)], axis=0) == pytest.approx(
        [np.mean(values) for values in suite.accepted]
    )


def test_the_grid_has_areas_ties_and_noise_as_wide_as_practice(expectations):
    random = np.random.default_rng(0)
    make = OfGrid(Suite.of(expectations))
    worlds = [make(random) for _ in range(400)]
    means = np.array([world.means for world in worlds])
    assert means.min() == pytest.approx(0.6, abs=0.01)
    assert means.max() == pytest.approx(0.99, abs=0.001)
    assert min(world.n_patients.min() for world in worlds) >= 20
    assert max(world.n_patients.max() for world in worlds) > 1000
    drawn = [of_item for w in worlds[:50] for of_item in w.draw(random, 20)]
    assert any(np.any(np.diff(np.sort(of_item), axis=-1) == 0) for of_item in drawn)
    # Variances of seeds over those of patients: the square of a uniform from 0 to 2, times a log-normal.
    gains = worlds[0].suite.areas
    scores = np.array([worlds[0].suite.scores[i] for i in gains])
    of_seeds = np.array([(w.deviations[scores] ** 2).sum(axis=1) for w in worlds])
    of_patients = np.array([w.patients[gains] / 0.4 for w in worlds])
    assert np.mean(of_seeds / of_patients) == pytest.approx(4 / 3 * np.exp(2 * 0.3**2), rel=0.1)
    differences = np.diff(means[:, scores], axis=-1)
    assert differences.min() < -0.1
    assert differences.max() > 0.1


def test_the_deviation_of_an_area_is_that_of_drawn_test_sets():
    random = np.random.default_rng(0)
    shift = norm.ppf(0.8) * 2**0.5
    areas = [
        np.mean(random.normal(shift, 1, 60)[:, None] > random.normal(0, 1, 90)[None, :]) for _ in range(4000)
    ]
    expected = area_deviation(np.array(0.8), np.array(60.0), np.array(90.0))
    # Their formula takes the scores for exponential, which errs on the wide side here.
    assert np.std(areas) == pytest.approx(expected, rel=0.08)
