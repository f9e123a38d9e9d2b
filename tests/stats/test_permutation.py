"""Swapping arms within patients against plain enumeration with scikit-learn."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medbench.metrics import metric_named
from medbench.metrics.estimates import Estimates
from medbench.metrics.sample import Sample
from medbench.metrics.swaps import difference_of
from medbench.spec.metrics import BUILT_IN, GroupGap
from medbench.stats import permutation
from medbench.stats.permutation import swap_test
from tests.judging import scored

SEED = np.random.SeedSequence(2)
AUC = metric_named("roc_auc").values
GAP = metric_named(
    "gap", BUILT_IN | {"gap": GroupGap(of="roc_auc", attributes=["sex"], corrected=False, smallest=2)}
).values


def arms(n_patients, *, images=2, seeds=1, harm=0.0, rng=0):
    """Pairs by seed; with `harm`, the treatment ranks the women at random the more."""
    draw = np.random.default_rng(rng)
    patients = [f"p{i:03}" for i in range(n_patients) for _ in range(images)]
    labels = np.tile([0, 1], n_patients * images // 2)
    sex = np.repeat(np.where(np.arange(n_patients) % 2, "f", "m"), images)
    pairs = []
    for _ in range(seeds):
        baseline = 2 * labels + draw.normal(size=len(labels))
        treatment = (2 - harm * (sex == "f")) * labels + draw.normal(size=len(labels))
        pairs.append(
            tuple(
                Sample(scored(labels, s, patients=patients, attributes={"sex": sex}))
                for s in (baseline, treatment)
            )
        )
    return pairs


def swapped(values, pairs):
    return swap_test(difference_of(values, pairs), pairs[0][0].predictions.patient, SEED)


def area(sample, rows):
    return roc_auc_score(sample.predictions.labels[rows, 1], sample.predictions.logits[rows, 1])


@pytest.mark.parametrize(("seeds", "rng"), [(1, 3), (1, 8), (2, 3), (2, 5)])
def test_it_is_the_share_of_all_swaps_that_differ_as_much(seeds, rng):
    pairs = arms(4, seeds=seeds, rng=rng)
    patients = pairs[0][0].predictions.patient
    sex = pairs[0][0].predictions.attributes["sex"]

    def gap(sample):
        return abs(area(sample, sex == "f") - area(sample, sex == "m"))

    differences = []
    for swap in product([False, True], repeat=4):
        of_image = np.array(swap)[np.unique(patients, return_inverse=True)[1]]
        total = 0.0
        for baseline, treatment in pairs:
            a, b = baseline.predictions.logits.copy(), treatment.predictions.logits.copy()
            a[of_image], b[of_image] = b[of_image], a[of_image].copy()
            mixed = [Sample(replace(baseline.predictions, logits=logits)) for logits in (a, b)]
            total += gap(mixed[1]) - gap(mixed[0])
        differences.append(total / seeds)
    result = swapped(GAP, pairs)
    assert result.exact
    assert result.difference == pytest.approx(differences[0])
    assert result.p == pytest.approx(np.mean(np.abs(differences) >= abs(differences[0]) - 1e-9))


PATIENTS = np.array(["b", "a", "b", "c"])


def asked(patients):
    """The swaps that a difference is asked for, block by block."""
    blocks = []

    def difference(swapped):
        blocks.append(swapped)
        return 1.0 - swapped.any(axis=1), np.ones(len(swapped), dtype=bool)

    return swap_test(difference, patients, SEED), blocks


def test_every_swap_is_tried_once_and_all_images_of_a_patient_go_together():
    result, (swaps,) = asked(PATIENTS)
    assert not swaps[0].any()
    np.testing.assert_array_equal(swaps[:, 0], swaps[:, 2])
    assert sorted(map(tuple, swaps[:, [0, 1, 3]].tolist())) == list(product([False, True], repeat=3))
    assert (result.difference, result.p, result.exact) == (1.0, 1 / 8, True)


def test_swaps_of_many_patients_are_drawn_and_what_was_seen_is_one_of_them(monkeypatch):
    monkeypatch.setattr(permutation, "EXACT_UP_TO", 3)
    result, (swaps,) = asked(PATIENTS)
    assert (result.exact, len(swaps)) == (True, 8)
    result, (swaps,) = asked(np.array(["a", "b", "c", "d"]))
    assert not result.exact
    assert swaps.shape == (permutation.DRAWS, 4)
    assert not swaps[0].any()
    np.testing.assert_allclose(swaps.mean(axis=0), 0.5, atol=0.05)
    assert result.p == pytest.approx(1 / 16, abs=0.02)


@pytest.mark.parametrize(("held", "rows"), [(40, [5, 3]), (1, [1] * 8)])
def test_no_more_weights_are_held_than_a_block(monkeypatch, held, rows):
    monkeypatch.setattr(permutation, "_BLOCK", held)
    assert [len(block) for block in asked(PATIENTS)[1]] == rows


def test_arms_that_are_the_same_do_not_differ():
    pairs = [(baseline, baseline) for baseline, _ in arms(6, seeds=2)]
    assert swapped(GAP, pairs) == permutation.SwapTest(difference=0.0, p=1.0, exact=True)


def test_drawn_swaps_agree_with_all_of_them_whatever_the_blocks(monkeypatch):
    pairs = arms(10, rng=5)
    exact = swapped(AUC, pairs)
    assert exact.exact
    monkeypatch.setattr(permutation, "_BLOCK", 40 * 100)
    assert swapped(AUC, pairs) == exact
    monkeypatch.setattr(permutation, "EXACT_UP_TO", 9)
    drawn = swapped(AUC, pairs)
    assert not drawn.exact
    assert drawn.difference == exact.difference
    assert drawn.p == pytest.approx(exact.p, abs=4 * (exact.p * (1 - exact.p) / 2000) ** 0.5)
    assert swapped(AUC, pairs) == drawn


def test_one_sub_group_harmed_is_found():
    result = swapped(GAP, arms(60, seeds=2, harm=2.0))
    assert result.difference > 0.2
    assert result.p < 0.005
    assert not result.exact


def test_without_a_difference_p_is_below_any_level_no_more_often_than_that():
    p = [swapped(GAP, arms(8, rng=rng)).p for rng in range(100)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p) <= level) <= level + 2 * (level * (1 - level) / 100) ** 0.5


def test_a_swap_that_leaves_the_metric_undefined_can_only_raise_p():
    pairs = arms(6, rng=1)

    def shy(sample, weights):
        area = AUC(sample, weights)
        return Estimates(area.values, area.defined & (weights[:, 0] == weights[:, 2]), "shy")

    result, plain = swapped(shy, pairs), swapped(AUC, pairs)
    assert plain.p < result.p
    assert result.p >= 0.5

    def never(sample, weights):
        return Estimates(np.zeros(len(weights)), np.zeros(len(weights), dtype=bool), "never")

    with pytest.raises(ValueError, match=r"^the metric is undefined for one of the arms$"):
        swapped(never, pairs)
