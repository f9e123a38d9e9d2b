import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.data.splits import in_hashed_order, nested_subset, split_by_patient

SHARES = {"train": 0.6, "validation": 0.1, "id": 0.3}
SPLITS_OF_SEED_20 = "v t t v i i t i t t t i"
SUBSET_OF_SEED_1 = [3, 5, 8]


def cohort(patients: int, images: int = 3, share: float = 0.2, seed: int = 0):
    names = np.repeat([f"p{i}" for i in range(patients)], images)
    sick = np.random.default_rng(seed).random(patients) < share
    positive = np.repeat(sick, images).astype(np.int8)[:, None]
    return names, np.hstack([1 - positive, positive])


@st.composite
def small_cohorts(draw):
    n = draw(st.integers(1, 60))
    k = draw(st.integers(1, 4))
    patients = draw(st.lists(st.text(max_size=3), min_size=n, max_size=n))
    labels = draw(
        st.lists(st.lists(st.sampled_from([-1, 0, 1]), min_size=k, max_size=k), min_size=n, max_size=n)
    )
    return np.array(patients, dtype=np.str_), np.array(labels, dtype=np.int8)


@given(small_cohorts(), st.integers(0, 5))
def test_a_patient_never_stands_in_two_splits(drawn, seed):
    patients, labels = drawn
    splits = split_by_patient(patients, labels, SHARES, seed)
    assert len(splits) == len(patients)
    assert set(splits) <= set(SHARES)
    for patient in set(patients):
        assert len(set(splits[patients == patient])) == 1


@given(small_cohorts(), st.integers(0, 100))
def test_the_order_of_the_rows_decides_nothing(drawn, shuffle):
    patients, labels = drawn
    order = np.random.default_rng(shuffle).permutation(len(patients))
    before = split_by_patient(patients, labels, SHARES, 7)
    after = split_by_patient(patients[order], labels[order], SHARES, 7)
    assert before[order].tolist() == after.tolist()


def test_shares_are_met_to_one_patient_in_a_large_cohort():
    patients, labels = cohort(1000)
    splits = split_by_patient(patients, labels, SHARES, 0)
    for name, share in SHARES.items():
        assert abs(len(set(patients[splits == name])) - 1000 * share) <= 1


def test_every_split_has_its_share_of_the_sick():
    patients, labels = cohort(1000, share=0.05)
    splits = split_by_patient(patients, labels, SHARES, 0)
    sick = set(patients[labels[:, 1] == 1])
    for name, share in SHARES.items():
        assert abs(len(sick & set(patients[splits == name])) - share * len(sick)) <= 1


@pytest.mark.parametrize("sick", [3, 4, 5, 9])
def test_a_rare_label_reaches_every_split_if_it_can(sick):
    patients = np.array([f"p{i}" for i in range(50)])
    positive = (np.arange(50) < sick).astype(np.int8)[:, None]
    splits = split_by_patient(patients, np.hstack([1 - positive, positive]), SHARES, 3)
    assert set(splits[:sick]) == set(SHARES)


@pytest.mark.parametrize("seed", range(8))
def test_a_patient_counts_by_the_rarest_of_several_labels(seed):
    patients = np.array([f"p{i}" for i in range(100)])
    labels = np.zeros((100, 2), dtype=np.int8)
    labels[:90, 0] = 1  # common, and had by those with the rare one too
    labels[:3, 1] = 1
    assert set(split_by_patient(patients, labels, SHARES, seed)[:3]) == set(SHARES)


def test_shares_are_met_over_many_labels_that_few_have():
    labels = np.repeat(np.eye(100, dtype=np.int8), 2, axis=0)
    splits = split_by_patient(np.array([f"p{i}" for i in range(200)]), labels, SHARES, 0)
    for name, share in SHARES.items():
        assert abs((splits == name).sum() - 200 * share) <= 1


def test_another_seed_deals_another_hand():
    patients, labels = cohort(100)
    assert (
        split_by_patient(patients, labels, SHARES, 0) != split_by_patient(patients, labels, SHARES, 1)
    ).any()


def test_only_the_proportions_of_the_shares_matter():
    patients, labels = cohort(100)
    tenths = split_by_patient(patients, labels, {"train": 0.6, "validation": 0.1}, 0)
    sevenths = split_by_patient(patients, labels, {"train": 6 / 7, "validation": 1 / 7}, 0)
    assert tenths.tolist() == sevenths.tolist()


def test_the_order_is_that_of_the_keyed_hashes():
    by_hand = sorted("abc", key=lambda n: hashlib.sha256(b"key/" + n.encode()).hexdigest())
    assert in_hashed_order({"a", "b", "c"}, "key") == by_hand


def test_splits_and_subsets_are_the_same_on_every_machine():
    patients, labels = cohort(12, images=1)
    splits = split_by_patient(patients, labels, SHARES, 20)
    assert " ".join(name[0] for name in splits) == SPLITS_OF_SEED_20
    assert nested_subset(patients, 0.25, np.random.SeedSequence([1, 3])).tolist() == SUBSET_OF_SEED_1


@given(
    st.lists(st.text(max_size=3), min_size=1, max_size=60),
    st.floats(0.01, 1.0),
    st.floats(0.01, 1.0),
    st.integers(0, 10),
)
def test_a_smaller_subset_is_part_of_a_larger_one_and_patients_stay_whole(names, one, other, seed):
    patients = np.array(names, dtype=np.str_)
    small, large = (
        nested_subset(patients, f, np.random.SeedSequence([seed, 3])) for f in sorted([one, other])
    )
    assert set(small) <= set(large)
    assert len(small) > 0
    assert (np.diff(small) > 0).all()
    assert not set(patients[small]) & set(np.delete(patients, small))


def test_a_subset_has_the_share_of_the_patients_that_was_asked_for():
    patients, _ = cohort(200)
    for fraction in (0.01, 0.1, 0.5, 1.0):
        chosen = nested_subset(patients, fraction, np.random.SeedSequence(0))
        assert len(set(patients[chosen])) == round(200 * fraction)


def test_seeds_choose_different_patients():
    patients, _ = cohort(200)
    one, other = (set(nested_subset(patients, 0.1, np.random.SeedSequence([s, 3]))) for s in (1, 2))
    assert one != other


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_a_share_that_is_none_is_refused(fraction):
    with pytest.raises(ValueError, match=r"expected a share of the patients in \(0, 1\]"):
        nested_subset(np.array(["a"]), fraction, np.random.SeedSequence(0))
