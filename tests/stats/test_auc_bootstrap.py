"""The fast bootstrap of areas against the metric itself on the same draws, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from medbench.metrics.discrimination import binary_roc_auc
from medbench.stats.auc_bootstrap import auc_replicates
from medbench.stats.bootstrap import patient_draws, patient_weights

SEED = 7


def drawn(labels, scores, patients, replicates=50):
    return auc_replicates(
        np.array(labels, dtype=np.int8),
        np.asarray(scores),
        np.asarray(patients),
        replicates,
        np.random.SeedSequence(SEED),
    )


def by_metric(labels, scores, patients, replicates=50):
    (weights,) = patient_weights(np.asarray(patients), replicates, np.random.SeedSequence(SEED))
    found = [binary_roc_auc(np.asarray(s), np.array(labels), weights, name="x") for s in scores]
    return np.stack([f.values for f in found], axis=1), found[0].defined


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from("abcd"), st.integers(0, 3)), min_size=1))
def test_the_same_draws_give_bit_for_bit_the_areas_of_the_metric(rows):
    labels, patients, score = zip(*rows, strict=True)
    scores = np.array([score, np.negative(score)], dtype=float)
    areas, defined = drawn(labels, scores, patients)
    expected, expected_defined = by_metric(labels, scores, patients)
    np.testing.assert_array_equal(areas, expected)
    np.testing.assert_array_equal(defined, expected_defined)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_areas_are_those_of_scikit_learn_with_the_patients_drawn_as_weights(dtype):
    draw = np.random.default_rng(0)
    patients = draw.integers(0, 40, 200).astype(str)
    labels = draw.integers(0, 2, 200)
    scores = np.round(draw.normal(size=(2, 200)) + labels, 1).astype(dtype)
    areas, defined = drawn(labels, scores, patients, 5)
    (weights,) = patient_weights(patients, 5, np.random.SeedSequence(SEED))
    assert defined.all()
    for row, area in zip(weights, areas, strict=True):
        expected = [roc_auc_score(labels, s, sample_weight=row) for s in scores]
        np.testing.assert_allclose(area, expected)


def test_a_replicate_without_a_class_is_undefined_and_0():
    areas, defined = drawn([1, 0, 0], [[3.0, 1.0, 2.0]], ["a", "b", "c"], 400)
    # None of three drawn is the positive one, or all are: (2/3)^3 + (1/3)^3.
    assert (~defined).mean() == pytest.approx(1 / 3, abs=0.08)
    assert (areas[~defined] == 0).all()
    assert (areas[defined] == 1).all()


def test_areas_of_very_many_pairs_do_not_overflow():
    n = 70_000  # times itself this is above 2^32
    labels = np.repeat([0, 1], n)
    areas, _ = drawn(labels, [np.arange(2 * n)], np.arange(2 * n).astype(str), 1)
    assert areas[0, 0] == 1


@pytest.mark.parametrize("rows", [1, 3, 7, 100])
def test_draws_do_not_depend_on_the_blocks_they_come_in(rows):
    whole = np.concatenate(list(patient_draws(5, 7, np.random.SeedSequence(SEED), rows=7)))
    pieces = list(patient_draws(5, 7, np.random.SeedSequence(SEED), rows=rows))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert len(pieces) == -(-7 // rows)
    assert (whole.sum(axis=1) == 5).all()
