"""Simulated suites as they truly are: means, noise of seeds and of patients of every item and arm.

A world's test sets are the same every night; only seeds and machines change. Nothing is judged here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.expect import Expectations
from medbench.judge import ARMS
from medbench.stats.interval import LEVEL
from medbench.stats.prediction import SeedSpread, prior_spread

TASKS, SETS = 3, 3
"""The embedded suite: three tasks, each judged on `id` and on two shifts of the same runs."""
ITEMS = TASKS * SETS
SHARED = 0.32
"""Correlation of a seed's deviations on the evaluation sets of one run: the mean of the 18 pairs of the
accepted runs."""
FEWEST_POSITIVE = 20
"""Patients with a finding in a generated world: with fewer, medbench's users are told to draw no verdict."""


@dataclass(frozen=True)
class World:
    """What does not change from night to night.

    Attributes:
      means: (ITEMS, 2) the metric of each arm, averaged over all seeds there could be; in [0, 1].
      deviations: (ITEMS, 2) between seeds.
      patients: (ITEMS,) variance of the mean difference over the choice of patients.
      n_patients: (ITEMS,) that show the rarest class.
      step: (ITEMS,) between possible values: one pair of images more ranked right, or half of one.
    """

    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    patients: NDArray[np.float64]
    n_patients: NDArray[np.int64]
    step: NDArray[np.float64]

    def draw(self, random: np.random.Generator, seeds: int) -> NDArray[np.float64]:
        """(ITEMS, 2, seeds) areas of newly trained runs: normal between seeds, within [0, 1], with ties."""
        of_run = np.repeat(random.normal(size=(TASKS, 2, seeds)), SETS, axis=0)
        of_set = random.normal(size=(ITEMS, 2, seeds))
        noise = SHARED**0.5 * of_run + (1 - SHARED) ** 0.5 * of_set
        exact = self.means[..., None] + self.deviations[..., None] * noise
        step = self.step[:, None, None]
        return np.clip(np.round(exact / step) * step, 0.0, 1.0)


class LikeStored:
    """Worlds like the one that the accepted runs were drawn from, as far as five seeds tell.

    Each arm's spread is drawn from what the accepted seeds of a random arm leave open about it: the
    spreads seen are wider apart than the true ones, by the chance of five seeds.
    """

    def __init__(self, expectations: Expectations) -> None:
        accepted = expectations.accepted
        self._values = np.array([[list(e.values(arm).values()) for arm in ARMS] for e in accepted])
        groups = self._values.reshape(-1, self._values.shape[-1]).tolist()
        self._prior: SeedSpread = prior_spread(groups, arms=2 * TASKS)
        self._patients = np.array([_patients_variance(e.effect.low, e.effect.high) for e in accepted])
        differences = np.diff(self._values, axis=1)[:, 0]
        of_seeds = differences.var(axis=1, ddof=1) / differences.shape[1]
        # The interval has both variances; where the seeds' share is all of it by chance, half is left.
        self._patients = np.maximum(self._patients - of_seeds, self._patients / 2)

    def __call__(self, random: np.random.Generator) -> World:
        """A world."""
        seeds = self._values.shape[-1]
        own = self._values.var(axis=-1, ddof=1).ravel()[random.integers(2 * ITEMS, size=(ITEMS, 2))]
        freedom = self._prior.degrees_of_freedom + seeds - 1
        sums = self._prior.degrees_of_freedom * self._prior.deviation**2 + (seeds - 1) * own
        return World(
            means=self._values.mean(axis=-1),
            deviations=np.sqrt(sums / random.chisquare(freedom, size=(ITEMS, 2))),
            patients=self._patients,
            n_patients=np.full(ITEMS, 150),
            step=np.full(ITEMS, 0.5e-6),
        )


def of_grid(random: np.random.Generator) -> World:
    """A world from the grid: areas of .6 to .99, prevalence of 2 to 50 % and so on.

    Clusters of 1 to 20 images, correlated by 0 to .8 within a patient, seed noise of 0 to 2 times that of
    patients by run, and test sets so small that values tie.
    """
    prevalence = np.exp(random.uniform(np.log(0.02), np.log(0.5), TASKS))
    patients = np.exp(random.uniform(np.log(100), np.log(5000), TASKS))
    patients = np.maximum(patients, FEWEST_POSITIVE / prevalence)
    images, correlation = random.integers(1, 21, TASKS), random.uniform(0, 0.8, TASKS)
    effective = images / (1 + (images - 1) * correlation)
    baseline = random.uniform(0.6, 0.99, (TASKS, SETS))
    treatment = np.clip(baseline + random.uniform(-0.03, 0.1, (TASKS, SETS)), 0.6, 0.99)
    means = np.stack([baseline, treatment], axis=-1)
    positive, negative = (prevalence * patients * effective), ((1 - prevalence) * patients * effective)
    of_patients = area_deviation(means, positive[:, None, None], negative[:, None, None])
    ratio = random.uniform(0, 2, (TASKS, 1, 2)) * np.exp(random.normal(0, 0.3, (TASKS, SETS, 2)))
    step = 0.5 / (prevalence * (1 - prevalence) * (patients * images) ** 2)
    return World(
        means=means.reshape(ITEMS, 2),
        deviations=(of_patients * ratio).reshape(ITEMS, 2),
        # Arms agree on most patients: a correlation of .6 between them.
        patients=(0.4 * (of_patients**2).sum(axis=-1)).ravel(),
        n_patients=np.repeat(np.ceil(prevalence * patients).astype(np.int64), SETS),
        step=np.repeat(step, SETS),
    )


def area_deviation(
    area: NDArray[np.float64], positive: NDArray[np.float64], negative: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Standard deviation of an area over the choice of patients (Hanley and McNeil 1982).

    Args:
      area: in (0, 1), broadcast with the others.
      positive: effective number of examples with the finding.
      negative: of those without.
    """
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positive - 1) * (q1 - area**2) + (negative - 1) * (q2 - area**2)
    deviation: NDArray[np.float64] = np.sqrt(variance / (positive * negative))
    return deviation


def _patients_variance(low: float, high: float) -> float:
    """Of both sources, from an accepted interval, whose degrees of freedom are many."""
    from scipy.special import ndtri  # noqa: PLC0415 (slow to import)

    return ((high - low) / 2 / float(ndtri(1 - LEVEL))) ** 2
