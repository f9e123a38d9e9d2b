"""Where the mean of a few new seeds should lie, given a few accepted ones, for a whole suite at once.

Each arm's variance between seeds is its own, moderated by what the others' have in common: from five
seeds alone an interval is so wide that it hardly alarms, and one variance for all arms alarms all the
time for those that scatter and never for those that do not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

FALSE_ALARMS = 0.04
"""Designed share of unchanged nights on which any band of the suite is left."""
SINGLE_SEEDS = 0.005
"""The part of it that is kept for bands of single seeds. Without them one of several new seeds that is
broken hides itself: it widens the spread more than it moves the mean. Where one seed is new the part is
not spent, and makes up for a prior that fits arms badly whose spreads are very unequal."""
MEANS = FALSE_ALARMS - SINGLE_SEEDS
"""The part for bands of means."""

SINGLE_FREEDOM = 5
"""Degrees of freedom at most of a band for one seed. A mean of several is nearly normal whatever seeds are;
one seed is held to a quantile so far out that tails decide. This many are as if seeds themselves had the
tails of t with five, which ten accepted seeds an arm cannot deny."""


@dataclass(frozen=True)
class SeedSpread:
    """A standard deviation between seeds.

    Attributes:
      deviation: at least 0; 0 where there are no degrees of freedom.
      degrees_of_freedom: how much it rests on, at least 0.
    """

    deviation: float
    degrees_of_freedom: float


def prior_spread(groups: Iterable[Sequence[float]], *, arms: int, least: float = 0.0) -> SeedSpread:
    """What the variances of groups have in common: a scaled inverse chi-square by moments of their logs.

    Smyth 2004 (Stat Appl Genet Mol Biol 3:3, section 6.2), the estimator of limma. The degrees of freedom
    are large where the groups scatter alike and small where each has a variance of its own.

    Args:
      groups: values by seed; groups of one seed say nothing.
      arms: how many of the groups come from different runs. The prior is as uncertain as the variances
        scatter and as its own estimate from so few of them: 1 / df = 1 / d0 + 1 / (`arms` - 1).
      least: groups whose standard deviation is not above it say nothing either: an arm at the ceiling
        of its metric has no noise of seeds to tell of, and its logarithm would drown all others.
    """
    from scipy.optimize import brentq  # noqa: PLC0415 (slow to import, and only judging needs it)
    from scipy.special import digamma, polygamma  # noqa: PLC0415

    spreads = [(len(group), float(np.std(group, ddof=1))) for group in groups if len(group) > 1]
    telling = [(seeds, deviation) for seeds, deviation in spreads if deviation > least]
    if len(telling) < 2 or arms < 2:
        return SeedSpread(0.0, 0.0)
    seeds, deviations = np.array(telling).T
    halves = (seeds - 1) / 2
    logs = 2 * np.log(deviations) - digamma(halves) + np.log(halves)
    excess = float(np.var(logs, ddof=1) - np.mean(polygamma(1, halves)))
    alike = 1e4
    half = alike
    if excess > polygamma(1, alike):
        half = brentq(lambda candidate: float(polygamma(1, candidate)) - excess, 1e-4, alike)
    log_variance = float(np.mean(logs) + digamma(half) - np.log(half))
    return SeedSpread(float(np.exp(log_variance / 2)), 1 / (1 / float(2 * half) + 1 / (arms - 1)))


def moderated_spread(prior: SeedSpread, *groups: Sequence[float]) -> SeedSpread:
    """An arm's own variance and the prior one, weighted by their degrees of freedom.

    Args:
      prior: of all arms.
      *groups: the arm's values by seed, each group about a mean of its own: accepted, and new.
    """
    own = sum(float(np.sum((np.asarray(group) - np.mean(group)) ** 2)) for group in groups)
    freedom = prior.degrees_of_freedom + sum(len(group) - 1 for group in groups)
    if not freedom:
        return SeedSpread(0.0, 0.0)
    variance = (prior.degrees_of_freedom * prior.deviation**2 + own) / freedom
    return SeedSpread(variance**0.5, freedom)


def half_width(
    spread: SeedSpread, *, accepted: int, new: int, family: int, level: float = FALSE_ALARMS
) -> float:
    """Half the width of a prediction interval for the mean of `new` seeds around that of `accepted`.

    t times s times sqrt(1/accepted + 1/new) (Hahn 1970), its level shared over `family` intervals by
    Sidak's rule, so that all hold together with a probability near 1 - `level`. For a single new seed t
    has `SINGLE_FREEDOM` degrees of freedom at most.

    Args:
      spread: with degrees of freedom.
      accepted: seeds behind the accepted mean.
      new: seeds behind the mean to come.
      family: intervals that are checked together.
      level: how often any of them is left by chance.
    """
    from scipy.special import stdtrit  # noqa: PLC0415

    each = 1 - (1 - level) ** (1 / family)
    freedom = spread.degrees_of_freedom if new > 1 else min(spread.degrees_of_freedom, SINGLE_FREEDOM)
    return float(stdtrit(freedom, 1 - each / 2)) * spread.deviation * (1 / accepted + 1 / new) ** 0.5
