"""Weights summed down a ranking, of all replicates at once: what areas under curves are read from."""

import numpy as np
from numpy.typing import NDArray

_MANY = 32
"""Replicates from which one addition an example is faster than numpy's cumulative sum."""


def running_sums(weights: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.float64]:
    """The weight of the first examples of a ranking.

    Args:
      weights: (b, n), one row a replicate; fastest where those of an example are side by side.
      order: (m,) examples.

    Returns:
      (m + 1, b), row j of which is the weight of the first j of them.
    """
    of_example = weights.T
    sums = np.zeros((len(order) + 1, len(weights)))
    if len(weights) < _MANY:
        np.cumsum(of_example[order], axis=0, out=sums[1:])
        return sums
    for j, example in enumerate(order):
        np.add(sums[j], of_example[example], out=sums[j + 1])
    return sums
