"""Whether stored seeds deviate as a normal distribution does, which bands of single seeds rest on."""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from medbench.gate.worlds import Make

FEWEST = 4
"""Seeds of a score for an excess kurtosis without bias."""


def excess_kurtosis(groups: Iterable[Sequence[float] | NDArray[np.float64]]) -> float | None:
    """The mean over groups of Fisher's (1930) G2: 0 on average where values are normal of any spread.

    Args:
      groups: values by seed; those of fewer than `FEWEST`, or without spread, say nothing.

    Returns:
      None where no group says anything.
    """
    of_each = []
    for group in groups:
        about = np.asarray(group) - np.mean(group)
        n = len(about)
        if n < FEWEST or not about.any():
            continue
        ratio = n * (about**4).sum() / (about**2).sum() ** 2
        of_each.append((n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (ratio - 3) + 6))
    return float(np.mean(of_each)) if of_each else None


def simulated(make: Make, suites: int, random: np.random.Generator) -> list[float]:
    """That of some accepted sets, each of a world of its own."""
    found = []
    for _ in range(suites):
        world = make(random)
        # A score that is a term of several items counts once, with all its seeds, as among the accepted.
        scores = np.concatenate(world.suite.scores)
        drawn = zip(scores, chain(*world.draw(random, world.suite.seeds)), strict=True)
        by_seeds = sorted(drawn, key=lambda pair: len(pair[1]))
        found.append(excess_kurtosis(dict(by_seeds).values()))
    return [value for value in found if value is not None]
