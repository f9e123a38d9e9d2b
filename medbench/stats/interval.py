"""The interval of an effect over two crossed sources of chance: which patients, and which seeds.

Three to five seeds cannot be resampled honestly, so variances are added and a t distribution is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
"""One-sided level of every limit."""
ROUNDING = 1e-9
"""A standard error below this comes from rounding: metrics are of the order of 1."""


class Uncertain(Protocol):
    """What is known of the error of an estimate."""

    @property
    def standard_error(self) -> float:
        """At least 0, in the unit of the estimate."""

    @property
    def degrees_of_freedom(self) -> float:
        """What the standard error rests on, above 0; anything where that is 0."""


@dataclass(frozen=True)
class Claimed:
    """The true effects of which a claim holds: those between two bounds, either of which may be infinite."""

    low: float = -inf
    high: float = inf

    @property
    def bounds(self) -> tuple[tuple[float, int], ...]:
        """Each finite bound, with 1 where the effect must lie above it and -1 where below."""
        return tuple((b, sign) for b, sign in ((self.low, 1), (self.high, -1)) if abs(b) < inf)

    def narrowed(self, by: float) -> "Claimed":
        """The effects of which the claim still holds when they are wrong by up to so much; perhaps none."""
        return Claimed(self.low + by, self.high - by)

    def denial(self, effect: float) -> "Claimed | None":
        """The side beyond the bound on which an effect lies outside; None where it lies within."""
        if effect < self.low:
            return Claimed(high=self.low)
        return Claimed(low=self.high) if effect > self.high else None


@dataclass(frozen=True)
class Spread:
    """The variance of a mean difference between paired arms, by source.

    The sum of the two shares counts the interaction of seed and patient twice, and so errs on the
    wide side.

    Attributes:
      patients: variance, from the choice of patients, of the difference averaged over seeds.
      seeds: variance of the difference between seeds on the same patients; 0 for one seed.
      n_patients: patients that `patients` rests on, at least 2.
      n_seeds: at least 1; fractions serve to extrapolate, as with patients.
    """

    patients: float
    seeds: float
    n_patients: float
    n_seeds: float

    @classmethod
    def of(
        cls, by_seed: Sequence[float] | NDArray[np.float64], *, patients: float, n_patients: float
    ) -> Self:
        """Of values by seed, at least one, all on the same patients.

        Args:
          by_seed: the difference between arms that are paired by seed.
          patients: variance of their mean from the choice of patients.
          n_patients: that this variance rests on.
        """
        seeds = float(np.var(by_seed, ddof=1)) if len(by_seed) > 1 else 0.0
        return cls(patients=patients, seeds=seeds, n_patients=n_patients, n_seeds=len(by_seed))

    @property
    def variance(self) -> float:
        """Of the mean difference."""
        return self.patients + self.seeds / self.n_seeds

    @property
    def standard_error(self) -> float:
        """Of the mean difference."""
        return self.variance**0.5

    @property
    def degrees_of_freedom(self) -> float:
        """Satterthwaite's (1946): those of a single variance that is as uncertain as this sum.

        Not defined where the variance is 0.
        """
        share = self.seeds / self.n_seeds
        uncertainty = self.patients**2 / (self.n_patients - 1)
        if self.n_seeds > 1:
            uncertainty += share**2 / (self.n_seeds - 1)
        return self.variance**2 / uncertainty

    def with_patients(self, factor: float) -> "Spread":
        """What is to be expected with `factor` times the patients."""
        return replace(self, patients=self.patients / factor, n_patients=self.n_patients * factor)

    def with_seeds(self, seeds: float) -> "Spread":
        """What is to be expected with `seeds` seeds an arm."""
        return replace(self, n_seeds=seeds)


def limits(effect: float, error: Uncertain, level: float = LEVEL) -> tuple[float, float]:
    """Lower and upper one-sided limits of an effect, each exceeded by chance with probability `level`."""
    from scipy.special import stdtrit  # noqa: PLC0415 (slow to import, and only judging needs it)

    if error.standard_error == 0:
        return effect, effect
    half = float(stdtrit(error.degrees_of_freedom, 1 - level)) * error.standard_error
    return effect - half, effect + half


def p_value(effect: float, claimed: Claimed, error: Uncertain) -> float:
    """Of the t test against the effects of which the claim does not hold, in (0, 1); with an error above 0.

    With two bounds the larger of two one-sided tests (Schuirmann 1987). Below `LEVEL` where the limits
    lie within the bounds, and only there.
    """
    from scipy.special import stdtr  # noqa: PLC0415

    df, unit = error.degrees_of_freedom, error.standard_error
    return max(float(stdtr(df, -sign * (effect - bound) / unit)) for bound, sign in claimed.bounds)
