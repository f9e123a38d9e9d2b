"""Which patients train, validate and test: patient-disjoint, stratified, nested, the same on every machine.

Order comes from keyed hashes, never from a generator whose stream a library may change.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import ID, TRAIN

NO_SET = ""
"""In place of a set's name."""


def split_by_patient(
    patients: NDArray[np.str_], labels: NDArray[np.int8], shares: Mapping[str, float], seed: int
) -> NDArray[np.str_]:
    """Assign every patient to one split, stratified by the rarest label each patient has.

    Within a stratum the patients, in an order that only `seed` and their ids decide, are dealt
    out by largest remainder; a stratum with enough patients reaches every split.

    Args:
      patients: (n,) patient of each image.
      labels: (n, k) 0, 1, or -1 where unknown.
      shares: split name -> share of the patients, > 0; only their proportions matter.
      seed: another seed deals another hand.

    Returns:
      (n,) split name of each image.
    """
    strata: dict[int, list[str]] = {}
    for patient, stratum in _stratum_by_patient(patients, labels).items():
        strata.setdefault(stratum, []).append(patient)
    split_of: dict[str, str] = {}
    owed = dict.fromkeys(shares, 0.0)
    for stratum in sorted(strata):
        members = in_hashed_order(strata[stratum], f"split/{seed}")
        sizes = _deal(len(members), shares, owed)
        dealt = [name for name, size in sizes.items() for _ in range(size)]
        split_of.update(zip(members, dealt, strict=True))
    return np.array([split_of[p] for p in patients.tolist()], dtype=np.str_)


def deal_out_the_rest(
    placed: NDArray[np.object_],
    patients: NDArray[np.str_],
    labels: NDArray[np.int8],
    shares: Mapping[str, float],
    seed: int,
) -> bool:
    """Split the patients who have no set yet among the sets that nobody is in.

    Where only validation is missing, a part of the training patients is taken for it.

    Args:
      placed: (n,) str, the set of each image, `NO_SET` where it has none; filled in.
      patients: (n,) patient of each image.
      labels: (n, k) 0, 1, or below 0 where unknown.
      shares: of `train`, `validation` and `id`.
      seed: another seed deals another hand.

    Returns:
      Whether training patients were taken for validation.
    """
    given = {name for name in shares if (placed == name).any()}
    is_open = placed == NO_SET
    lacks_validation = given == {TRAIN, ID}
    if lacks_validation:
        is_open, given = is_open | (placed == TRAIN), {ID}
    rest = {name: share for name, share in shares.items() if name not in given}
    if is_open.any() and rest:
        placed[is_open] = split_by_patient(patients[is_open], labels[is_open], rest, seed)
    return lacks_validation


def nested_subset(
    patients: NDArray[np.str_], fraction: float, seed_sequence: np.random.SeedSequence
) -> NDArray[np.int64]:
    """The images of a share of the patients; a smaller share is always part of a larger one.

    Args:
      patients: (n,) patient of each image.
      fraction: share of the patients, in (0, 1]; at least one patient is taken.
      seed_sequence: decides the order in which patients are taken.

    Returns:
      (m,) positions into `patients`, ascending.

    Raises:
      ValueError: the fraction lies outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}; expected a share of the patients in (0, 1]")
    key = "subset/" + seed_sequence.generate_state(4).astype("<u4").tobytes().hex()
    order = in_hashed_order(set(patients.tolist()), key)
    taken = order[: max(1, round(fraction * len(order)))]
    return np.flatnonzero(np.isin(patients, taken))


def in_hashed_order(names: Sequence[str] | set[str], key: str) -> list[str]:
    """The names in the order of their keyed SHA-256, which neither input order nor library decides."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{key}/{name}".encode()).digest())


def _stratum_by_patient(patients: NDArray[np.str_], labels: NDArray[np.int8]) -> dict[str, int]:
    """Each patient's rarest label by rank (0 is the rarest); the number of labels if there is none."""
    names, index = np.unique(patients, return_inverse=True)
    has = np.zeros((len(names), labels.shape[1]), dtype=bool)
    np.logical_or.at(has, index, labels == 1)
    rarest_first = np.argsort(has.sum(axis=0), kind="stable")
    ranked = np.column_stack([has[:, rarest_first], np.ones(len(names), dtype=bool)])
    return dict(zip(names.tolist(), np.argmax(ranked, axis=1).tolist(), strict=True))


def _deal(n: int, shares: Mapping[str, float], owed: dict[str, float]) -> dict[str, int]:
    """How many of `n` each split gets; `owed` carries what rounding gave or took from stratum to stratum."""
    total = sum(shares.values())
    due = {name: n * share / total + owed[name] for name, share in shares.items()}
    sizes = Counter({name: max(0, math.floor(amount)) for name, amount in due.items()})
    while sizes.total() > n:
        sizes[max((s for s in sizes if sizes[s] > 0), key=lambda name: sizes[name] - due[name])] -= 1
    while sizes.total() < n:
        sizes[max(sizes, key=lambda name: due[name] - sizes[name])] += 1
    if n >= len(sizes):
        for empty in [name for name, size in sizes.items() if size == 0]:
            sizes[max(sizes, key=lambda name: sizes[name])] -= 1
            sizes[empty] += 1
    for name in owed:
        owed[name] = due[name] - sizes[name]
    return dict(sizes)
