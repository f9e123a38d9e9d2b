"""Where in a series of nightly values a jump lies, and whether it slides: marks for a person who looks back.

What is held against accepted values, and alarms, is `medbench.expect`; here only a series is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class Jump:
    """A night from which on values lie elsewhere.

    Attributes:
      at: index of the first value after it.
      change: level after it less the level before.
      p: of no jump, adjusted for the choice of the night; None where noise is bounded and no test is needed.
    """

    at: int
    change: float
    p: float | None = None


@dataclass(frozen=True)
class Slide:
    """Nights over which values go one way by little, so that none of them explains it.

    Attributes:
      first, last: indices of the first and last value.
      change: of the robust line through them, from first to last.
      p: of no trend, two-sided.
    """

    first: int
    last: int
    change: float
    p: float


@dataclass(frozen=True)
class Changes:
    """What a series shows, in order."""

    jumps: tuple[Jump, ...] = ()
    slides: tuple[Slide, ...] = ()


def changes(values: Sequence[float], *, tolerance: float, level: float, noisy: bool) -> Changes:
    """The jumps and slides of a series, none of them smaller than the tolerance.

    *Noise that is bounded* (the same seeds every night): two values further apart than the tolerance differ,
    by the tolerance's own definition, so a jump is a step of more than that from one night to the next.

    *Noise without a bound* (new seeds every night): a jump is the split with the largest two-sample t, and
    p is Bonferroni's bound over the splits (Worsley 1979, J. Am. Stat. Assoc. 74:365-367), exact but for
    that bound where values are normal and independent; the two sides are searched in turn (Scott and Knott
    1974). A series that a line fits better than any step, and that has a trend, is not cut: it slides.

    A slide is sought between jumps: Kendall's test of trend (Mann 1945; exact for few values without ties)
    with the line of Theil (1950) and Sen (1968), whose change from end to end must exceed the tolerance.

    Args:
      values: (n,) in the order of the nights; nights without a value are left out.
      tolerance: how far values move without a cause.
      level: of a false alarm, in (0, 1): half is for jumps and half for slides. With bounded noise it is not
        used up, as steps and slides below the tolerance are none.
      noisy: whether noise has no bound.
    """
    series = np.asarray(values, dtype=np.float64)
    find = _splits if noisy else _steps
    jumps = find(series, tolerance, level / 2)
    ends = [0, *(jump.at for jump in jumps), len(series)]
    slides = (
        _slide(series[first:end], first, tolerance, level / 2 / (len(ends) - 1))
        for first, end in pairwise(ends)
    )
    return Changes(tuple(jumps), tuple(slide for slide in slides if slide))


def _steps(values: NDArray[np.float64], tolerance: float, _: float) -> list[Jump]:
    """Every step of more than the tolerance."""
    steps = np.diff(values)
    return [Jump(int(i) + 1, float(steps[i])) for i in np.flatnonzero(np.abs(steps) > tolerance)]


def _splits(values: NDArray[np.float64], tolerance: float, level: float, start: int = 0) -> list[Jump]:
    """The best split, if it is one, and those on its two sides."""
    if len(values) < 3:
        return []
    at, change, p, rest = _best_split(values)
    if p > level or abs(change) <= tolerance:
        return []
    if _rest_of_line(values) <= rest and _slide(values, start, tolerance, level):
        return []
    before = _splits(values[:at], tolerance, level, start)
    after = _splits(values[at:], tolerance, level, start + at)
    return [*before, Jump(start + at, change, p), *after]


def _best_split(values: NDArray[np.float64]) -> tuple[int, float, float, float]:
    """Where two means fit best, how far they lie apart, p, and the squares that they leave."""
    n = len(values)
    centred = values - values.mean()
    sums, before = np.cumsum(centred)[:-1], np.arange(1, n)
    differences = -sums / (n - before) - sums / before
    explained = before * (n - before) / n * differences**2
    best = int(explained.argmax())
    rest = max(float(centred @ centred - explained[best]), 0.0)
    spread = np.sqrt(rest / (n - 2) * (1 / before[best] + 1 / (n - before[best])))
    t = abs(differences[best]) / spread if spread else np.inf
    p = min(1.0, (n - 1) * 2 * float(stats.t.sf(t, n - 2)))
    return best + 1, float(differences[best]), p, rest


def _rest_of_line(values: NDArray[np.float64]) -> float:
    """The squares that the best line leaves."""
    x = np.arange(len(values)) - (len(values) - 1) / 2
    centred = values - values.mean()
    return float(centred @ centred - (x @ centred) ** 2 / (x @ x))


def _slide(values: NDArray[np.float64], first: int, tolerance: float, level: float) -> Slide | None:
    """The trend of values without a jump, if they have one."""
    if len(values) < 3 or np.ptp(values) <= tolerance:
        return None
    nights = np.arange(len(values))
    p = float(stats.kendalltau(nights, values).pvalue)
    if p > level:
        return None
    change = float(stats.theilslopes(values, nights).slope) * (len(values) - 1)
    return Slide(first, first + len(values) - 1, change, p) if abs(change) > tolerance else None
