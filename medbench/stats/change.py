"""Whether the mean of a few seeds has changed: paired by seed where seeds are shared, moderated by many arms.

The spread of an arm rests on few seeds, so it borrows from the spreads of all others, as in `prediction`.
"""

from dataclasses import dataclass

import numpy as np

from medbench.stats.interval import Claimed, Uncertain, p_value
from medbench.stats.prediction import SeedSpread, moderated_spread

UNKNOWN = SeedSpread(0.0, 0.0)


@dataclass(frozen=True)
class Error:
    """The error of a change: the sum of variances that were estimated apart.

    Attributes:
      parts: (variance, its degrees of freedom) of each, degrees above 0.
    """

    parts: tuple[tuple[float, float], ...]

    @property
    def standard_error(self) -> float:
        """The root of the sum."""
        return sum(variance for variance, _ in self.parts) ** 0.5

    @property
    def degrees_of_freedom(self) -> float:
        """Satterthwaite's (1946), as in `medbench.stats.interval.Spread`; not defined where all are 0."""
        uncertainty = sum(variance**2 / freedom for variance, freedom in self.parts)
        return float(self.standard_error**4 / uncertainty)


@dataclass(frozen=True)
class Seeds:
    """One term's values on two sides.

    Attributes:
      before: values by seed that are compared, at least one.
      after: the same; of the same seeds in the same order where they are paired.
      paired: whether seeds are shared.
      beside: groups of further values, of seeds that are not compared: they tell of the noise alone.
    """

    before: tuple[float, ...]
    after: tuple[float, ...]
    paired: bool
    beside: tuple[tuple[float, ...], ...] = ()

    @property
    def change(self) -> float:
        """After minus before, of the means over seeds."""
        return float(np.mean(self.after) - np.mean(self.before))

    @property
    def differences(self) -> tuple[float, ...]:
        """After minus before, by seed; empty where seeds are not shared."""
        return tuple(b - a for a, b in zip(self.before, self.after, strict=True)) if self.paired else ()

    @property
    def groups(self) -> tuple[tuple[float, ...], ...]:
        """What tells of the noise between seeds, each group about a mean of its own."""
        return (self.before, self.after, *self.beside)


@dataclass(frozen=True)
class Priors:
    """What the spreads of all terms of a metric have in common; see `medbench.stats.prediction.prior_spread`.

    Attributes:
      differences: between paired seeds of two sides.
      seeds: between seeds of one side.
    """

    differences: SeedSpread = UNKNOWN
    seeds: SeedSpread = UNKNOWN


def error_over_seeds(values: Seeds, priors: Priors = Priors()) -> Error | None:
    """The error of a change that comes from the seeds; None where nothing is known of it.

    Paired: s / sqrt(n) with the moderated spread s of the n differences (without a prior the paired t test;
    with one the moderated t statistic of Smyth 2004, Stat Appl Genet Mol Biol 3:3). Where one difference and
    no prior of differences say nothing of s, and where seeds are not shared: s sqrt(1/n + 1/m) with the
    moderated spread s between seeds, which seeds that are the same can only make too wide (without a prior
    the t test of two samples of equal variance).
    """
    if values.paired:
        spread = moderated_spread(priors.differences, values.differences)
        if spread.degrees_of_freedom:
            return _error(spread, 1 / len(values.differences))
    spread = moderated_spread(priors.seeds, *values.groups)
    if not spread.degrees_of_freedom:
        return None
    return _error(spread, 1 / len(values.before) + 1 / len(values.after))


def two_sided_p(change: float, error: Uncertain | None, *, bias: float = 0.0) -> float:
    """Of the t test of no change, in [0, 1].

    Args:
      change: of any sign, not 0 by rounding alone.
      error: None where nothing is known of it: then 1. An error of 0 leaves nothing to chance.
      bias: the most by which noise may have moved the change without any cause.
    """
    distance = max(abs(change) - bias, 0.0)
    if error is None or not distance:
        return 1.0
    if not error.standard_error:
        return 0.0
    return min(2 * p_value(distance, Claimed(low=0.0), error), 1.0)


def _error(spread: SeedSpread, share: float) -> Error:
    return Error(((spread.deviation**2 * share, spread.degrees_of_freedom),))
