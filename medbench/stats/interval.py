"""The interval of an effect over two crossed sources of chance: which patients, and which seeds.

Three to five seeds cannot be resampled honestly, so variances are added and a t distribution is used.
"""

from dataclasses import dataclass, replace

LEVEL = 0.05
"""One-sided level of every limit."""


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


def limits(effect: float, spread: Spread) -> tuple[float, float]:
    """Lower and upper one-sided limits of an effect, each exceeded by chance with probability `LEVEL`."""
    from scipy.stats import t  # noqa: PLC0415 (a second to import, and only judging needs it)

    if spread.variance == 0:
        return effect, effect
    half = float(t.ppf(1 - LEVEL, spread.degrees_of_freedom)) * spread.standard_error
    return effect - half, effect + half
