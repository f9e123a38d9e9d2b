"""The patient bootstrap's weights against their exact distribution."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from medbench.stats import bootstrap
from medbench.stats.bootstrap import (
    patient_weights,
    seed_sequence,
    weights_without,
)

SEED = np.random.SeedSequence(7)


def weights(patients, replicates, seed=SEED):
    return np.concatenate(list(patient_weights(np.array(patients), replicates, seed)))


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=20), st.integers(1, 9))
def test_every_replicate_draws_as_many_patients_as_there_are_with_all_their_images(patients, replicates):
    drawn = weights(patients, replicates)
    assert drawn.shape == (replicates, len(patients))
    assert drawn.dtype == np.float64
    firsts = [patients.index(name) for name in sorted(set(patients))]
    assert (drawn[:, firsts].sum(axis=1) == len(firsts)).all()
    for i, name in enumerate(patients):
        np.testing.assert_array_equal(drawn[:, i], drawn[:, patients.index(name)])


def test_every_way_to_draw_three_patients_comes_up_as_often_as_it_should():
    expected = Counter(tuple(draw.count(p) for p in range(3)) for draw in product(range(3), repeat=3))
    drawn = Counter(tuple(row.astype(int)) for row in weights(["a", "b", "c"], 27_000))
    assert set(drawn) == set(expected)
    keys = sorted(expected)
    assert chisquare([drawn[k] for k in keys], [1000 * expected[k] for k in keys]).pvalue > 0.01


def test_the_order_of_images_does_not_move_a_patients_weight():
    forward, backward = weights(["a", "b", "c", "a"], 50), weights(["a", "c", "b", "a"], 50)
    np.testing.assert_array_equal(forward, backward[:, [0, 2, 1, 3]])


def test_blocks_are_pieces_of_one_stream(monkeypatch):
    whole = weights(list("abcdefg"), 100)
    monkeypatch.setattr(bootstrap, "_BLOCK", 7 * 16 + 3)
    pieces = list(patient_weights(np.array(list("abcdefg")), 100, SEED))
    assert [len(piece) for piece in pieces] == [16] * 6 + [4]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    monkeypatch.setattr(bootstrap, "_BLOCK", 1)
    assert [len(piece) for piece in patient_weights(np.array(["a", "b"]), 3, SEED)] == [1, 1, 1]


def test_a_block_holds_no_more_than_32_megabytes():
    assert bootstrap._BLOCK * np.dtype(float).itemsize == 2**25


def test_an_item_always_draws_the_same_and_another_item_draws_otherwise():
    # The first 32 hex digits that sha256sum prints for `a/b/id`.
    assert seed_sequence("a/b/id").entropy == 0xBF03B6BD6B4272551F72DAB2D9464B56
    one, again = (weights(list("abcdef"), 20, seed_sequence("chest/scale/id")) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert (one != weights(list("abcdef"), 20, seed_sequence("chest/scale/icu"))).any()


@pytest.mark.parametrize(("most", "rows"), [(1000, 4), (4, 4), (3, 3), (1, 1)])
def test_every_patient_is_left_out_once_alone_or_with_others(most, rows):
    patients = np.array(["b", "a", "c", "a", "d"])
    (weights,) = weights_without(patients, most)
    assert weights.shape == (rows, 5)
    assert (weights[:, 1] == weights[:, 3]).all()  # the two images of one patient
    assert ((1 - weights).sum(axis=0) == 1).all()
    if rows == 4:
        assert ((1 - weights[:, [0, 1, 2, 4]]).sum(axis=1) == 1).all()


def test_leaving_out_comes_in_blocks_that_are_the_whole(monkeypatch):
    patients = np.array([f"p{i}" for i in range(7)])
    whole = np.concatenate(list(weights_without(patients, 7)))
    monkeypatch.setattr(bootstrap, "_BLOCK", 14)
    blocks = list(weights_without(patients, 7))
    assert [len(block) for block in blocks] == [2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
