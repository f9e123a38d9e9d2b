"""How a metric differs between paired arms after some of their predictions were swapped.

What `medbench.stats.permutation` asks of any metric of predictions alone, such as a gap between sub-groups.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medbench.metrics.estimates import Estimates
from medbench.metrics.sample import Sample, pooled


def difference_of(
    values: Callable[[Sample, NDArray[np.float64]], Estimates], pairs: Sequence[tuple[Sample, Sample]]
) -> Callable[[NDArray[np.bool_]], tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """The metric of the second arm minus that of the first, averaged over pairs, by what was swapped.

    Both arms of a pair are laid end to end as one sample, in which weights of 0 and 1 say whose
    prediction of an image counts for which arm; an image is swapped in all pairs at once. What a
    metric derives from the sample as a whole, as bins of equal mass or a correction for noise, it
    derives from both arms together, the same for all swaps.

    Args:
      values: (sample of n examples, (b, n) weights) -> (b,) estimates.
      pairs: baseline and treatment by seed, all scored on the same examples.

    Returns:
      (b, n) which examples are swapped -> (b,) differences, and (b,) whether they are defined.

    Raises:
      ValueError: the samples bring a validation set, for what is fitted on it belongs to an arm.
    """
    if any(sample.validation is not None for pair in pairs for sample in pair):
        raise ValueError("what is fitted on validation belongs to an arm and cannot be swapped by patient")
    both = [_end_to_end(*pair) for pair in pairs]

    def difference(swapped: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        first = np.hstack([~swapped, swapped]).astype(np.float64)
        total, defined = np.zeros(len(swapped)), np.ones(len(swapped), dtype=bool)
        for sample in both:
            theirs, ours = values(sample, first), values(sample, 1 - first)
            total += ours.values - theirs.values
            defined &= ours.defined & theirs.defined
        return total / len(pairs), defined

    return difference


def _end_to_end(first: Sample, second: Sample) -> Sample:
    """The examples of both samples, which are the same but for their logits."""
    shifted = None if first.shifted is None else np.concatenate([first.shifted, first.shifted])
    return replace(pooled(first.predictions, second.predictions), shifted=shifted)
