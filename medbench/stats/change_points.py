"""Where in a series of nightly values a jump lies, and whether it slides: marks for a person who looks back.

What is held against accepted values, and alarms, is `medbench.expect`; here only a series is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats


@dataclass(frozen=True)
class Jump:
    """A night from which on values lie elsewhere.

    Attributes:
      at: index of the first value after it.
      change: level after it less the level before; under noise the level is the median.
      p: of no jump, adjusted for the choice of the night and for all looks; None where noise is bounded and
        no test is needed.
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
      p: of no trend, two-sided, adjusted for all looks.
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


_NOTHING = 1e-9
"""Squares of scores, which are near 1 each, that are rounding."""
_LOT = 1
"""Seed of the lot by which ties are broken, the same at every look."""


def changes(values: Sequence[float], *, tolerance: float, level: float, noisy: bool) -> Changes:
    """The jumps and slides of a series, none of them smaller than the tolerance.

    *Noise that is bounded* (the same seeds every night): two values further apart than the tolerance differ,
    by the tolerance's own definition, so a jump is a step of more than that from one night to the next.

    *Noise without a bound* (new seeds every night): a jump is a split of the nights by the values' normal
    scores (van der Waerden 1952), with the smallest p of the two-sample t test, bounded over the splits by
    Bonferroni (Worsley 1979, J. Am. Stat. Assoc. 74:365-367). Where no split is one, some nights between two
    jumps are held against all others (Olshen et al. 2004, Biostatistics 5:557-572). The parts are searched
    in turn. Scores are of ranks alone, so that heavy tails and single outlying nights weigh no more than any
    largest value. p is never below 2 / (n over k), that of k nights wholly apart from the others if any
    order of the nights is as likely: a jump waits until so many nights lie behind it. Values that a line
    fits better than any step, and that have a trend, are not cut: they slide.

    A slide is sought between jumps: Kendall's test of trend (Mann 1945; exact for few values without ties)
    with the line of Theil (1950) and Sen (1968), whose change from end to end must exceed the tolerance.

    A series grows night by night and is *looked at anew* each time. The look at n values may spend 3 /
    (n (n + 1)) of the level, which over all n from 3 on adds up to 1 (spending of Lan and DeMets 1983,
    Biometrika 70:659-663): a series without a change is ever marked with at most that probability.

    Args:
      values: (n,) in the order of the nights; nights without a value are left out.
      tolerance: how far values move without a cause.
      level: of a false alarm in all looks together, in (0, 1): half is for jumps and half for slides. With
        bounded noise it is not used up, as steps and slides below the tolerance are none.
      noisy: whether noise has no bound.
    """
    series = np.asarray(values, dtype=np.float64)
    looks = len(series) * (len(series) + 1) / 3
    jumps = _cuts(series, tolerance, level / 2, looks) if noisy else _steps(series, tolerance)
    ends = [0, *(jump.at for jump in jumps), len(series)]
    slides = (
        _slide(series[first:end], first, tolerance, level / 2 / (len(ends) - 1), looks)
        for first, end in pairwise(ends)
    )
    return Changes(tuple(jumps), tuple(slide for slide in slides if slide))


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quantiles of the normal distribution at the ranks of values; ties are broken by a fixed lot.

    By lot, nights in any order are as likely as in any other also where values are tied, as at a ceiling;
    with mean ranks a few odd ones among hundreds of equal values would have the tails of a rare event.

    Args:
      values: (…, n), ranked along the last axis.

    Returns:
      (…, n), of sum 0.
    """
    n = values.shape[-1]
    lot = np.broadcast_to(np.random.default_rng(_LOT).random(n), values.shape)
    ranks = np.lexsort((lot, values)).argsort(-1) + 1
    return np.asarray(special.ndtri(ranks / (n + 1)))


def _steps(values: NDArray[np.float64], tolerance: float) -> list[Jump]:
    """Every step of more than the tolerance."""
    steps = np.diff(values)
    return [Jump(int(i) + 1, float(steps[i])) for i in np.flatnonzero(np.abs(steps) > tolerance)]


def _cuts(
    values: NDArray[np.float64], tolerance: float, level: float, looks: float, start: int = 0
) -> list[Jump]:
    """The best split or, if it is none, the best arc, and those of its parts; p counts for so many looks."""
    if len(values) < 3:
        return []
    scores = normal_scores(values)
    for best in (_best_split, _best_arc):
        cuts, p = best(scores)
        p = min(1.0, p * looks)
        parts = np.split(values, cuts)
        rises = [float(np.median(after) - np.median(before)) for before, after in pairwise(parts)]
        if p <= level / 2 and all(abs(rise) > tolerance for rise in rises):
            break
    else:
        return []
    if _rest_of_line(values) <= sum(map(_rest, parts)) and _slide(values, start, tolerance, level, looks):
        return []
    found = _cuts(parts[0], tolerance, level, looks, start)
    for cut, rise, part in zip(cuts, rises, parts[1:], strict=True):
        found += [Jump(start + cut, rise, p), *_cuts(part, tolerance, level, looks, start + cut)]
    return found


def _best_split(scores: NDArray[np.float64]) -> tuple[list[int], float]:
    """Where two levels fit best, and p over all splits."""
    sizes = np.arange(1, len(scores))
    p = _p_of(np.cumsum(scores)[:-1], sizes, scores)
    best = int(p.argmin())
    return [best + 1], (len(scores) - 1) * float(p[best])


def _best_arc(scores: NDArray[np.float64]) -> tuple[list[int], float]:
    """Between which cuts the nights differ most from those before and after together, and p over all."""
    n = len(scores)
    sums = np.cumsum(scores)[:-1]  # before each cut
    sizes = np.arange(1, n - 1)
    apart = [sums[size:] - sums[:-size] for size in sizes]
    firsts = [int(np.abs(of).argmax()) for of in apart]
    p = _p_of(np.array([of[i] for of, i in zip(apart, firsts, strict=True)]), sizes, scores)
    best = int(p.argmin())
    first = firsts[best] + 1
    return [first, first + best + 1], (n - 1) * (n - 2) / 2 * float(p[best])


def _p_of(
    sums: NDArray[np.float64], sizes: NDArray[np.int64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of the two-sample t test of some scores, of which there are `sizes` with these sums, and all others."""
    n = len(scores)
    explained = sums**2 * n / (sizes * (n - sizes))
    rest = np.maximum(scores @ scores - explained, _NOTHING)
    t = np.sqrt(explained * (n - 2) / rest)
    return np.maximum(2 * special.stdtr(n - 2, -t), 2 / special.binom(n, sizes))


def _rest(values: NDArray[np.float64]) -> float:
    """The squares that one level leaves."""
    return float(((values - values.mean()) ** 2).sum())


def _rest_of_line(values: NDArray[np.float64]) -> float:
    """The squares that the best line leaves."""
    x = np.arange(len(values)) - (len(values) - 1) / 2
    centred = values - values.mean()
    return float(centred @ centred - (x @ centred) ** 2 / (x @ x))


def _slide(
    values: NDArray[np.float64], first: int, tolerance: float, level: float, looks: float
) -> Slide | None:
    """The trend of values without a jump, if they have one; p counts for so many looks."""
    if len(values) < 3 or np.ptp(values) <= tolerance:
        return None
    nights = np.arange(len(values))
    p = min(1.0, float(stats.kendalltau(nights, values).pvalue) * looks)
    if p > level:
        return None
    change = float(stats.theilslopes(values, nights).slope) * (len(values) - 1)
    return Slide(first, first + len(values) - 1, change, p) if abs(change) > tolerance else None
