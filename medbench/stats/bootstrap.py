"""The patient bootstrap by weights: a replicate is how often each patient was drawn, never a copied row.

All images of a patient are drawn together, so that their correlation is in the spread.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK = 2**22
"""Weights held at once: 32 MB of float64."""


def seed_sequence(item: str) -> np.random.SeedSequence:
    """The random stream of an item: by its id, so that judging it again draws the same patients."""
    return np.random.SeedSequence(int.from_bytes(hashlib.sha256(item.encode()).digest()[:16]))


def patient_draws(
    count: int, replicates: int, seed: np.random.SeedSequence, *, rows: int = 1
) -> Iterator[NDArray[np.int64]]:
    """How often each of `count` patients is drawn, with replacement and as many as there are.

    Whole numbers decide, so that the draws are the same on every machine, whatever the blocks.

    Args:
      count: number of patients, at least 1.
      replicates: how many in all.
      seed: of the draws.
      rows: replicates a block, but for the last.

    Yields:
      (rows, count) draws; each row adds up to `count`.
    """
    draw = np.random.default_rng(seed)
    for start in range(0, replicates, rows):
        size = min(rows, replicates - start)
        drawn = draw.integers(count, size=(size, count)) + np.arange(size)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)


def patient_weights(
    patients: NDArray[np.str_], replicates: int, seed: np.random.SeedSequence
) -> Iterator[NDArray[np.float64]]:
    """Multinomial bootstrap weights over patients, spread to their images, in blocks of replicates.

    Args:
      patients: (n,) the patient of each image.
      replicates: how many in all.
      seed: of the draws.

    Yields:
      (rows, n) weights, whole numbers, those of an image side by side in memory (as metrics gather them);
      the rows of all blocks add up to `replicates`.
    """
    names, patient_of_image = np.unique(patients, return_inverse=True)
    rows = max(1, _BLOCK // max(1, len(patients)))
    for counts in patient_draws(len(names), replicates, seed, rows=rows):
        by_patient = counts.T.astype(np.float64, order="C")
        yield by_patient[patient_of_image].T


def weights_without(patients: NDArray[np.str_], most: int) -> Iterator[NDArray[np.float64]]:
    """Weights that leave out one patient after the other, or one group of several where there are too many.

    Args:
      patients: (n,) the patient of each image.
      most: rows in all; more patients are left out in groups as even as can be.

    Yields:
      (rows, n) weights of 0 and 1, in blocks; in memory as those of `patient_weights`.
    """
    names, patient_of_image = np.unique(patients, return_inverse=True)
    groups = min(len(names), most)
    group_of_image = patient_of_image % groups
    rows = max(1, _BLOCK // max(1, len(patients)))
    for start in range(0, groups, rows):
        left_out = np.arange(start, min(start + rows, groups))
        yield (group_of_image[:, None] != left_out).astype(np.float64).T
