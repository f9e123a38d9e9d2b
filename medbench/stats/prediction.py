"""Where the mean of a few new seeds should lie, given a few accepted ones, for a whole suite at once.

The spread between seeds is pooled over items: an interval from one item's five seeds alone is so wide
that it would never alarm.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

FALSE_ALARMS = 0.04
"""Designed share of unchanged nights on which any band of the suite is left."""


@dataclass(frozen=True)
class SeedSpread:
    """The standard deviation between seeds, pooled over groups.

    Attributes:
      deviation: at least 0; 0 where there are no degrees of freedom.
      degrees_of_freedom: how much it rests on.
    """

    deviation: float
    degrees_of_freedom: int


def pooled_spread(groups: Iterable[Sequence[float]]) -> SeedSpread:
    """The square root of the mean variance within groups, weighted by their degrees of freedom."""
    squares, freedom = 0.0, 0
    for group in groups:
        squares += float(np.sum((np.asarray(group) - np.mean(group)) ** 2))
        freedom += len(group) - 1
    return SeedSpread((squares / freedom) ** 0.5 if freedom else 0.0, freedom)


def half_width(spread: SeedSpread, *, accepted: int, new: int, family: int) -> float:
    """Half the width of a prediction interval for the mean of `new` seeds around that of `accepted`.

    t times s times sqrt(1/accepted + 1/new) (Hahn 1970), its level shared over `family` intervals by
    Sidak's rule, so that all hold together with probability 1 - `FALSE_ALARMS` or more.

    Args:
      spread: with at least one degree of freedom.
      accepted: seeds behind the accepted mean.
      new: seeds behind the mean to come.
      family: intervals that are checked together.
    """
    from scipy.stats import t  # noqa: PLC0415 (a second to import, and only judging needs it)

    level = 1 - (1 - FALSE_ALARMS) ** (1 / family)
    return (
        float(t.isf(level / 2, spread.degrees_of_freedom))
        * spread.deviation
        * (1 / accepted + 1 / new) ** 0.5
    )
