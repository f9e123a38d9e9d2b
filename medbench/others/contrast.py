"""The interval of a difference between arms from one value a seed: no patients are known, only seeds.

Arms are paired by seed where they have the same seeds, and independent where they have not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medbench.judgement import Interval
from medbench.stats.interval import limits

Pairing = Literal["paired", "unpaired", "partly paired"]
Term = tuple[float, Mapping[int, float]]
"""A coefficient and an arm's values by seed."""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of arms' means over seeds, such as treatment minus baseline.

    Attributes:
      value: of the sum.
      standard_error: of the sum over seeds, on one test set; 0 where the seeds do not differ.
      degrees_of_freedom: of `standard_error`, at least 1; not defined where that is 0.
      pairing: `paired` if all arms have the same seeds, `unpaired` if no two have.
    """

    value: float
    standard_error: float
    degrees_of_freedom: float
    pairing: Pairing

    def interval(self) -> Interval:
        """The value with its two one-sided limits."""
        low, high = limits(self.value, self)
        return Interval(value=self.value, low=low, high=high)


def contrast(terms: Sequence[Term]) -> Contrast:
    """The weighted sum of means over seeds.

    Arms with the same set of seeds are summed seed by seed, so that what a seed does to all of them
    (its training subset, its order) cancels. What remains are independent groups, whose variances
    add up, with the degrees of freedom of Welch (1947) and Satterthwaite (1946): one group is the
    paired t interval, two of one arm each are Welch's.

    Args:
      terms: every arm with two seeds or more.
    """
    groups: dict[frozenset[int], list[Term]] = {}
    for coefficient, by_seed in terms:
        groups.setdefault(frozenset(by_seed), []).append((coefficient, by_seed))
    sums = [
        np.array([sum(c * by_seed[seed] for c, by_seed in group) for seed in sorted(seeds)])
        for seeds, group in groups.items()
    ]
    variances = np.array([np.var(values, ddof=1) / len(values) for values in sums])
    freedom = np.array([len(values) - 1 for values in sums])
    total, uncertainty = float(variances.sum()), float((variances**2 / freedom).sum())
    return Contrast(
        value=float(sum(values.mean() for values in sums)),
        standard_error=total**0.5,
        degrees_of_freedom=total**2 / uncertainty if uncertainty else 1.0,
        pairing="paired"
        if len(groups) == 1
        else "unpaired"
        if len(groups) == len(terms)
        else "partly paired",
    )
