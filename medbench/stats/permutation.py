"""A permutation test for a metric without a well-behaved interval, such as a gap between sub-groups.

Paired arms are swapped within patients: if it does not matter which arm scored a patient, any swap is as
likely as what was seen.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXACT_UP_TO, DRAWS = 12, 2000
"""Patients up to which all swaps are enumerated, 4,096 of them; beyond, how many are drawn, what was seen
being counted as one of them."""
_BLOCK = 2**22
"""Weights held at once: 32 MB of float64."""
_TIE = 1e-9
"""Differences nearer than this are equal: sums in another order."""


@dataclass(frozen=True)
class SwapTest:
    """Whether two arms differ in a metric.

    Attributes:
      difference: the metric of the second arm minus that of the first, averaged over seeds.
      p: two-sided, in (0, 1].
      exact: whether all swaps were enumerated.
    """

    difference: float
    p: float
    exact: bool


def swap_test(
    difference: Callable[[NDArray[np.bool_]], tuple[NDArray[np.float64], NDArray[np.bool_]]],
    patients: NDArray[np.str_],
    seed: np.random.SeedSequence,
) -> SwapTest:
    """Test whether two arms differ, for any difference that can be computed after a swap.

    Args:
      difference: (b, n) which images are swapped -> (b,) differences between the arms, such as
        `medbench.metrics.swaps.difference_of`, and (b,) whether they are defined.
      patients: (n,) the patient of each image; all images of a patient are swapped together.
      seed: of the draws, where not all swaps are enumerated.

    Returns:
      The difference and its p-value; a swap that leaves it undefined counts as one that is as extreme
      as what was seen, so that it can only raise p.

    Raises:
      ValueError: the difference is undefined for what was seen.
    """
    names, patient_of_image = np.unique(patients, return_inverse=True)
    blocks = [difference(swaps[:, patient_of_image]) for swaps in _swaps(len(names), len(patients), seed)]
    differences, defined = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    if not defined[0]:
        raise ValueError("the metric is undefined for one of the arms")
    observed = float(differences[0])
    extreme = ~defined | (np.abs(differences) >= abs(observed) - _TIE)
    return SwapTest(difference=observed, p=float(extreme.mean()), exact=len(names) <= EXACT_UP_TO)


def _swaps(patients: int, images: int, seed: np.random.SeedSequence) -> Iterator[NDArray[np.bool_]]:
    """Blocks of (rows, patients) of which patients are swapped; the first row is what was seen: none."""
    rows = max(1, _BLOCK // (2 * images))
    exact = patients <= EXACT_UP_TO
    total = 2**patients if exact else DRAWS
    draw = np.random.default_rng(seed)
    for start in range(0, total, rows):
        numbers = np.arange(start, min(total, start + rows))
        if exact:
            yield (numbers[:, None] >> np.arange(patients) & 1).astype(bool)
        else:
            swaps = draw.integers(2, size=(len(numbers), patients)).astype(bool)
            swaps[numbers == 0] = False
            yield swaps
