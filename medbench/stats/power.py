"""What an experiment of this size can show, and what size would settle what it left open."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np

from medbench.stats.interval import LEVEL, Claimed, Spread

WANTED = 0.8
"""The power that `detectable` and the functions of what settles a claim ask for."""
LARGEST_FACTOR, MOST_SEEDS = 100.0, 100
"""Times the patients, and number of seeds, beyond which nobody will gather more: they cannot settle it."""


@dataclass(frozen=True)
class Doubt:
    """What a verdict must allow for beside the spread, in the unit of the effect.

    Attributes:
      bias: the effect may be wrong by so much in either direction; noise makes it, so that it falls as a
        standard error does with more patients.
      unseen: patients of a kind that was not drawn may take so much off a claim that is supported; the share
        that may be missed falls as patients grow.
    """

    bias: float = 0.0
    unseen: float = 0.0

    def with_patients(self, factor: float) -> "Doubt":
        """What is to be expected with `factor` times the patients."""
        return Doubt(self.bias / factor**0.5, self.unseen / factor)

    def to_support(self, claimed: Claimed) -> Claimed:
        """The effects that support the claim nevertheless."""
        return claimed.narrowed(self.bias + self.unseen)

    def to_refute(self, denied: Claimed) -> Claimed:
        """The effects on one side of the claim that refute it nevertheless."""
        return denied.narrowed(self.bias)


NO_DOUBT = Doubt()

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(80)
_TAIL = 1e-12
"""The probability that the quadrature over the standard error leaves out at either end: right to 1e-9."""


def power(effect: float, claimed: Claimed, spread: Spread) -> float:
    """Probability that the limits clear every bound of a claim at a true effect.

    Given the ratio u of the estimated standard error to the true one, the mean must fall between bounds
    that t u standard errors narrow; u^2 is a chi-square over its degrees of freedom, over which we
    integrate (Owen 1965; Phillips 1990). With one bound that is a noncentral t distribution.

    Args:
      effect: the true one, within the claimed range or not.
      claimed: with a finite bound.
      spread: with a variance above 0.

    Returns:
      A probability in [0, 1].
    """
    # The distributions of scipy.stats are these functions, and take a second to import.
    from scipy.special import chdtri, gammaln, ndtr, stdtrit  # noqa: PLC0415

    df, error = spread.degrees_of_freedom, spread.standard_error
    critical = float(stdtrit(df, 1 - LEVEL))
    low, high = (claimed.low - effect) / error, (claimed.high - effect) / error
    least, most = np.sqrt(chdtri(df, [1 - _TAIL, _TAIL]) / df)
    most = min(most, (high - low) / (2 * critical))  # beyond it the narrowed bounds have crossed
    if most <= least:
        return 0.0
    u = least + (most - least) * (_NODES + 1) / 2
    log_density = np.log(2) + df / 2 * np.log(df / 2) - gammaln(df / 2) + (df - 1) * np.log(u) - df * u**2 / 2
    between = ndtr(high - critical * u) - ndtr(low + critical * u)
    return float(np.clip((most - least) / 2 * _WEIGHTS @ (np.exp(log_density) * between), 0.0, 1.0))


def detectable(claimed: Claimed, spread: Spread) -> float | None:
    """The true effect furthest from certainty at which the power is `WANTED`; variance above 0.

    With a lower bound alone the smallest effect that is found; with two, the largest that is still
    found within them, None where even an effect amid them is not.
    """
    from scipy.optimize import brentq  # noqa: PLC0415 (slow to import, and only judging needs it)

    def lacking(effect: float) -> float:
        return power(effect, claimed, spread) - WANTED

    if claimed.high < inf:
        middle = (claimed.low + claimed.high) / 2
        return float(brentq(lacking, middle, claimed.high)) if lacking(middle) >= 0 else None
    step = spread.standard_error
    while lacking(claimed.low + step) < 0:
        step *= 2
    return float(brentq(lacking, claimed.low, claimed.low + step))


def patients_that_settle(
    effect: float, claimed: Claimed, spread: Spread, doubt: Doubt = NO_DOUBT
) -> float | None:
    """Factor on the patients that gives the power `WANTED` to support, or to refute, at a true effect.

    None where more patients alone cannot, because the seeds' share remains.
    """
    return _smallest_factor(effect, claimed, spread.with_patients, doubt)


def patients_and_seeds_that_settle(
    effect: float, claimed: Claimed, spread: Spread, doubt: Doubt = NO_DOUBT
) -> float | None:
    """Factor on both patients and seeds that gives the power `WANTED`; None where it is out of reach."""

    def enlarged(factor: float) -> Spread:
        return spread.with_patients(factor).with_seeds(factor * spread.n_seeds)

    return _smallest_factor(effect, claimed, enlarged, doubt)


def seeds_that_settle(effect: float, claimed: Claimed, spread: Spread, doubt: Doubt = NO_DOUBT) -> int | None:
    """Seeds an arm that give the power `WANTED` to support, or to refute, at a true effect.

    None where more seeds alone cannot, because the patients' share remains.
    """
    low, high = int(spread.n_seeds), MOST_SEEDS

    def enough(seeds: int) -> bool:
        return _settled(effect, claimed, spread.with_seeds(seeds), doubt) >= WANTED

    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _smallest_factor(
    effect: float, claimed: Claimed, enlarged: Callable[[float], Spread], doubt: Doubt
) -> float | None:
    from scipy.optimize import brentq  # noqa: PLC0415 (slow to import, and only judging needs it)

    def lacking(factor: float) -> float:
        return _settled(effect, claimed, enlarged(factor), doubt.with_patients(factor)) - WANTED

    if lacking(LARGEST_FACTOR) < 0:
        return None
    return 1.0 if lacking(1.0) >= 0 else float(brentq(lacking, 1.0, LARGEST_FACTOR))


def _settled(effect: float, claimed: Claimed, spread: Spread, doubt: Doubt) -> float:
    """Power of the verdict that is right at a true effect: supported within the range, else refuted."""
    denied = claimed.denial(effect)
    return power(effect, doubt.to_refute(denied) if denied else doubt.to_support(claimed), spread)
