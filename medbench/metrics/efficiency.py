"""What a learning curve says: the training fraction at which it reaches a baseline, and the area under it.

A curve is a score by training fraction, the mean over seeds; fractions are compared on a log scale.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError
from medbench.metrics.estimates import Estimates
from medbench.stats.interval import LEVEL
from medbench.stats.trend import isotonic


@dataclass(frozen=True, kw_only=True)
class Matched(Estimates):
    """The matched fraction of each of b curves; where undefined, the side on which it lies is known.

    Attributes:
      below: (b,) bool, the curve is above the target at the smallest fraction already, which is then an
        upper bound.
      beyond: (b,) bool, the curve never reaches the target: the largest fraction is a lower bound.
    """

    below: NDArray[np.bool_]
    beyond: NDArray[np.bool_]


@dataclass(frozen=True)
class FractionInterval:
    """An interval for a matched fraction.

    Attributes:
      low: lower limit; None where it lies below the smallest fraction.
      high: upper limit; None where it lies beyond the largest fraction.
      below: share of replicates, in [0, 1], that were above the target at the smallest fraction.
      beyond: share of replicates that never reached the target.
      undefined: share of replicates without a matched fraction for any reason.
    """

    low: float | None
    high: float | None
    below: float
    beyond: float
    undefined: float


def matched_fraction(
    fractions: NDArray[np.float64],
    scores: NDArray[np.float64],
    target: NDArray[np.float64],
    *,
    higher_is_better: bool = True,
) -> Matched:
    """The smallest training fraction at which a learning curve reaches a target.

    The curve is made monotone, then taken as linear in the score on log fraction. Monotone by isotonic
    regression, which averages neighbours that are out of order: a running maximum would keep the luckier of
    them and so reach the target too early, the more so the noisier the scores.

    Args:
      fractions: (f,) at least two, increasing, in (0, 1].
      scores: (b, f) of b curves, such as the mean over seeds in each replicate of the patients.
      target: (b,) to be reached, such as the baseline's score with all data in the same replicates.
      higher_is_better: the score's direction.

    Returns:
      (b,) fractions between the smallest and the largest. Undefined, with a reason that says `gap`, where the
      fractions do not bracket the target, and where a score is not finite.

    Raises:
      MedbenchError: the fractions are not as above.
    """
    fractions = _checked(fractions)
    finite = _finite(scores) & np.isfinite(target)
    sign = 1.0 if higher_is_better else -1.0
    curve = isotonic(sign * np.where(finite[:, None], scores, 0.0))
    goal = sign * np.where(finite, target, 0.0)[:, None]
    reached = curve >= goal
    below = finite & (curve[:, :1] > goal)[:, 0]
    beyond = finite & ~reached[:, -1]
    defined = finite & ~below & ~beyond
    # The interval of fractions in which the goal is reached; the first one also where it begins there.
    right = np.maximum(reached.argmax(axis=1), 1)[:, None]
    start, end = (np.take_along_axis(curve, i, axis=1) for i in (right - 1, right))
    rise = end - start
    between = defined[:, None] & (rise > 0)  # elsewhere the goal may be any number of rises away
    way = np.divide(goal - start, rise, out=np.zeros_like(rise), where=between)
    log = np.log(fractions)
    values = np.exp(log[right - 1] + way * (log[right] - log[right - 1]))[:, 0]
    why = {
        "a score is not finite": ~finite,
        f"gap: above the target with {fractions[0]:g} of the data already": below,
        f"gap: the target is not reached with {fractions[-1]:g} of the data": beyond,
    }
    first = np.argmin(defined)
    reason = "" if defined.all() else next(reason for reason, where in why.items() if where[first])
    return Matched(np.where(defined, values, 0.0), defined, reason, below=below, beyond=beyond)


def fraction_interval(
    fractions: NDArray[np.float64], replicates: Matched, level: float = 1 - 2 * LEVEL
) -> FractionInterval:
    """Percentile interval from replicates, those without a matched fraction counted on the side they lie.

    A replicate that never reached the target is larger than any fraction, one that was above it all along is
    smaller: left out, they would make the interval short just where the data say least. Quantiles are
    replicates themselves (no interpolation, which would mix a fraction with what has none).

    Args:
      fractions: (f,) of the curves.
      replicates: matched fractions of replicates whose scores vary as the curve's do: by patients
        (bootstrap), by seeds (`with_seed_noise`), or both.
      level: of coverage, in (0, 1); both limits are one-sided at `LEVEL` unless given.

    Returns:
      Limits; None for both where all replicates are undefined for want of finite scores. Where even the
      lower one lies beyond the largest fraction, it is that fraction; the upper one likewise.
    """
    undefined = float((~replicates.defined).mean())
    placed = np.where(replicates.below, -np.inf, np.where(replicates.beyond, np.inf, replicates.values))
    placed = np.sort(placed[replicates.defined | replicates.below | replicates.beyond])
    low = high = None
    if len(placed):
        outside = int((1 - level) / 2 * (len(placed) - 1))
        least, most = placed[outside], placed[-1 - outside]
        low = None if least == -np.inf else float(min(least, fractions[-1]))
        high = None if most == np.inf else float(max(most, fractions[0]))
    return FractionInterval(
        low, high, float(replicates.below.mean()), float(replicates.beyond.mean()), undefined
    )


def with_seed_noise(
    replicates: NDArray[np.float64], by_seed: NDArray[np.float64], seed: np.random.SeedSequence
) -> NDArray[np.float64]:
    """Replicates of means over seeds, with the noise added that comes from having only a few seeds.

    The variance between seeds is pooled over columns and drawn from what is known of it, c (s - 1) degrees of
    freedom over a chi-square, so that few seeds give the wide tails of t; three seeds resampled would not.

    Args:
      replicates: (b, c) means over seeds in b replicates of the patients, or the same row b times. Columns
        are scores that were measured by fine-tunings of their own, such as a curve's and its target.
      by_seed: (s, c) the same scores of each seed, on all patients; at least two seeds.
      seed: of the draws.

    Returns:
      (b, c) noisier replicates.

    Raises:
      MedbenchError: there is one seed, from which no noise can be told.
    """
    seeds, columns = by_seed.shape
    if seeds < 2:
        raise MedbenchError("the noise between seeds cannot be told from one seed; train at least two.")
    draw = np.random.default_rng(seed)
    freedom = columns * (seeds - 1)
    pooled = np.var(by_seed, axis=0, ddof=1).mean()
    variance = pooled * freedom / draw.chisquare(freedom, size=(len(replicates), 1))
    return replicates + np.sqrt(variance / seeds) * draw.standard_normal(replicates.shape)


def learning_curve_area(fractions: NDArray[np.float64], scores: NDArray[np.float64]) -> Estimates:
    """Mean height of a learning curve over log fraction, by trapezoids: in the score's unit and range.

    Args:
      fractions: (f,) at least two, increasing, in (0, 1].
      scores: (b, f) of b curves.

    Returns:
      (b,) areas, divided by the width so that a flat curve's is its score; undefined where a score is not
      finite.

    Raises:
      MedbenchError: the fractions are not as above.
    """
    log = np.log(_checked(fractions))
    defined = _finite(scores)
    curve = np.where(defined[:, None], scores, 0.0)
    share = np.diff(log) / (log[-1] - log[0])
    area = (curve[:, 1:] / 2 + curve[:, :-1] / 2) @ share
    return Estimates(area, defined, "" if defined.all() else "a score is not finite")


def _checked(fractions: NDArray[np.float64]) -> NDArray[np.float64]:
    fractions = np.asarray(fractions, dtype=np.float64)
    good = len(fractions) > 1 and (np.diff(fractions) > 0).all() and fractions[0] > 0 and fractions[-1] <= 1
    if not good:
        found = ", ".join(f"{fraction:g}" for fraction in fractions) or "none"
        raise MedbenchError(
            f"training fractions are {found}: expected at least two, increasing, above 0 and up to 1."
        )
    return fractions


def _finite(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of b rows have finite scores only."""
    return np.asarray(np.isfinite(scores).all(axis=1))
