"""The interval of a difference between arms from one value a seed: no patients are known, only seeds.

Arms are paired by seed where they have the same seeds, and independent where they have not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medbench.judgement import Interval
from medbench.stats.interval import LEVEL

ROUNDING = 1e-9
"""A standard error below this comes from rounding: metrics are of the order of 1."""

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

    def limits(self) -> Interval:
        """The value with its two one-sided limits at `LEVEL`."""
        from scipy.stats import t  # noqa: PLC0415 (a second to import, and only judging needs it)

        if self.standard_error == 0:
            return Interval(value=self.value, low=self.value, high=self.value)
        half = float(t.ppf(1 - LEVEL, self.degrees_of_freedom)) * self.standard_error
        return Interval(value=self.value, low=self.value - half, high=self.value + half)

    def p_value(self, margin: float) -> float:
        """Of the one-sided t test that the sum exceeds the margin; `standard_error` above 0."""
        from scipy.stats import t  # noqa: PLC0415

        return float(t.sf((self.value - margin) / self.standard_error, self.degrees_of_freedom))


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
