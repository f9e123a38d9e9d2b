"""How often an interval holds the truth: simulated studies of known truth, judged by medbench's own pieces.

Each study is a binormal test set with clustered patients, scored by networks whose separation differs
between seeds. The truth is the mean over all seeds and all patients there could be.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from medbench.gate.share import share
from medbench.gate.worlds import FEWEST_POSITIVE, area_deviation
from medbench.metrics import Metric, Sample, evaluate, metric_named
from medbench.metrics.evidence import resting_on
from medbench.metrics.influence import influence
from medbench.predictions import Predictions
from medbench.spec.metrics import BUILT_IN, AnyMetric, GroupGap, SensitivityAtSpecificity
from medbench.spec.runs import Target
from medbench.stats.bootstrap import patient_weights
from medbench.stats.interval import LEVEL, Spread, limits
from medbench.stats.patients import influence_by_patient, variance_over_patients

PATIENTS = (50, 100, 200, 1000, 5000, 20000)
SEEDS = (1, 2, 3, 5, 10)
MOST_IMAGES = 4_000
"""Of a test set, unless there are more patients: clusters of 20 images are seen with few patients."""
NOMINAL, PRINTED = "nominal 95 %", "printed 90 %"
LEVELS = {NOMINAL: 0.025, PRINTED: LEVEL}
"""One-sided."""

PROMISED, FEWEST_SEEDS, FEWEST_PATIENTS = 0.93, 3, 100
"""A metric is certified if its nominal 95 % intervals hold at least this often, with at least so many seeds,
patients, and patients of either class (`FEWEST_POSITIVE`): see `certified`."""

SMOOTH = ("roc_auc", "brier", "nll")
"""With a truth in closed form, hence studied over the whole grid."""
DECLARED: dict[str, AnyMetric] = {
    **BUILT_IN,
    "auc_gap": GroupGap(of="roc_auc", attributes=["group"]),
    "sensitivity_at_90": SensitivityAtSpecificity(specificity=0.9),
}
CANDIDATES = (
    "balanced_accuracy",
    "average_precision",
    "sensitivity_at_90",
    "ece",
    "calibration_slope_error",
    "aurc",
    "auc_gap",
)
"""Without one: studied in a few populations whose truth is simulated."""
REPLICATES = 200
TARGET = Target(kind="single-label", classes=("benign", "malignant"))
ARMS = 2
SHARED = 0.7
"""Of an image's noise: what all networks find hard."""
LARGEST_SPREAD = 0.5
"""Standard deviation between seeds of the separation, in units of an image's noise."""
HARDER = 0.8
"""Separation in the second group of patients, as a share of that in the first (candidates only)."""
_NODES, _POPULATION, _POPULATION_SEEDS = 15, 40_000, 10

Cell = tuple[str, int, int]
"""Metric, patients, seeds. `delta …` is the paired difference between two arms."""


@dataclass(frozen=True)
class Population:
    """What a study is drawn from.

    Attributes:
      separations: (ARMS,) between the classes, of the mean seed, in units of an image's noise.
      between_seeds: standard deviation of the separation.
      prevalence: share of patients, or of images, with the finding.
      images: of each patient.
      correlation: between the noise of a patient's images.
      by_patient: whether all images of a patient have one label, else each its own.
      step: scores are rounded to multiples of it, so that they tie.
      slope: of the log odds by the score: 1 calibrates a single seed of the mean separation.
      second_group: separation of the second group of patients as a share of the first's.
    """

    separations: NDArray[np.float64]
    between_seeds: float
    prevalence: float
    images: int
    correlation: float
    by_patient: bool
    step: float
    slope: float
    second_group: float = 1.0

    def draw(self, patients: int, deviates: NDArray[np.float64], random: np.random.Generator) -> "Study":
        """A test set, and the networks of all arms and seeds scored on it.

        Args:
          patients: how many.
          deviates: (ARMS, seeds) of the separations, in standard deviations.
          random: of the patients and their images.
        """
        seeds = deviates.shape[1]
        n = patients * self.images
        patient = np.repeat(np.arange(patients), self.images)
        has = random.random(patients)[patient] if self.by_patient else random.random(n)
        labels = (has < self.prevalence).astype(np.int8)
        group = (np.arange(patients) % 2)[patient]

        def noise(*shape: int) -> NDArray[np.float64]:
            of_patient = random.normal(size=(*shape, patients))[..., patient]
            of_image = random.normal(size=(*shape, n))
            mixed: NDArray[np.float64] = (
                self.correlation**0.5 * of_patient + (1 - self.correlation) ** 0.5 * of_image
            )
            return mixed

        common = noise()
        ease = np.where(group == 1, self.second_group, 1.0) * (labels - 0.5)
        logits = np.empty((ARMS, seeds, n), dtype=np.float32)
        for arm in range(ARMS):
            separations = self.separations[arm] + self.between_seeds * deviates[arm]
            own = (1 - SHARED) ** 0.5 * noise(seeds) + SHARED**0.5 * common
            scores = np.round((separations[:, None] * ease + own) / self.step) * self.step
            logits[arm] = self._log_odds(scores, arm)
        return Study(labels, patient, group.astype(np.str_), logits)

    def truth(self, metric: str) -> NDArray[np.float64]:
        """(ARMS,) the metric of all patients, averaged over all seeds, in closed form up to quadrature."""
        from scipy.special import ndtr  # noqa: PLC0415 (slow to import)

        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        weights = weights / weights.sum()
        edge = np.ceil((8 + np.abs(self.separations).max()) / self.step)
        scores = np.arange(-edge, edge + 1) * self.step
        means = []
        for arm in range(ARMS):
            half = (self.separations[arm] + self.between_seeds * nodes)[:, None] / 2
            absent, present = (
                np.diff(ndtr(np.append(scores - self.step / 2, np.inf) - mean), axis=1)
                for mean in (-half, half)
            )
            if metric == "roc_auc":
                below = np.cumsum(absent, axis=1) - absent / 2
                by_seed = (present * below).sum(axis=1)
            else:
                log_odds = self._log_odds(scores, arm)
                loss = _LOSSES[metric]
                by_seed = self.prevalence * present @ loss(-log_odds) + (1 - self.prevalence) * absent @ loss(
                    log_odds
                )
            means.append(float(weights @ by_seed))
        return np.array(means)

    def _log_odds(self, scores: NDArray[np.float64], arm: int) -> NDArray[np.float64]:
        odds: NDArray[np.float64] = self.slope * self.separations[arm] * scores + np.log(
            self.prevalence / (1 - self.prevalence)
        )
        return odds


_LOSSES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "nll": lambda against: np.logaddexp(0, against),
    "brier": lambda against: 1 / (1 + np.exp(-against)) ** 2,
}
"""By the log odds of what did not happen."""


@dataclass(frozen=True)
class Study:
    """A drawn test set.

    Attributes:
      labels: (n,) of 0 and 1.
      patient: (n,) number of each image's patient.
      group: (n,) `0` or `1`, by patient.
      logits: (ARMS, seeds, n) of the finding, against 0.
    """

    labels: NDArray[np.int8]
    patient: NDArray[np.int64]
    group: NDArray[np.str_]
    logits: NDArray[np.float32]

    @cached_property
    def samples(self) -> list[list[Sample]]:
        """(ARMS, seeds) the runs as a metric sees them."""
        arms, seeds = self.logits.shape[:2]
        return [[self._sample(arm, seed) for seed in range(seeds)] for arm in range(arms)]

    def _sample(self, arm: int, seed: int) -> Sample:
        """Of one run; patients are numbers, which sort faster than names."""
        n = len(self.labels)
        return Sample(
            Predictions(
                evaluation_set="id",
                target=TARGET,
                image=self.patient,  # type: ignore[arg-type]
                patient=self.patient,  # type: ignore[arg-type]
                labels=np.stack([1 - self.labels, self.labels], axis=1),
                logits=np.stack([np.zeros(n, dtype=np.float32), self.logits[arm, seed]], axis=1),
                attributes={"group": self.group},
            )
        )

    @cached_property
    def rarer(self) -> int:
        """Patients that show the rarer class, on whom areas, Brier score and likelihood of all runs rest."""
        return resting_on(BUILT_IN["roc_auc"], self.samples[0][0])


@dataclass
class Tally:
    """Of one cell: studies, hits by level, and widths.

    Attributes:
      studies: that have an interval.
      hits: by level, intervals that hold the truth.
      width: summed, of nominal 95 %.
      ratio: of each study, its error over half the width, to know the oracle's.
    """

    studies: int = 0
    hits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LEVELS, 0))
    width: float = 0.0
    ratio: list[float] = field(default_factory=list)

    def add(self, estimate: float, spread: Spread, truth: float) -> None:
        """Count one study."""
        self.studies += 1
        for name, level in LEVELS.items():
            low, high = limits(estimate, spread, level)
            self.hits[name] += bool(low <= truth <= high)
            if name == NOMINAL:
                self.width += high - low
                if high > low:
                    self.ratio.append(2 * (estimate - truth) / (high - low))

    def merge(self, other: "Tally") -> None:
        """Add another part's counts."""
        self.studies += other.studies
        self.width += other.width
        self.ratio += other.ratio
        for name, hits in other.hits.items():
            self.hits[name] += hits

    @property
    def of_oracle(self) -> float:
        """Mean width over that of the narrowest interval of the same shape that would hold 95 %.

        That one scales every study's interval by one factor: the 95 % quantile of the error in half-widths.
        """
        return 1 / float(np.quantile(np.abs(self.ratio), 0.95)) if self.ratio else 0.0


Tallies = dict[Cell, Tally]


def grid(patients: int, studies: int, random: np.random.Generator) -> Tallies:
    """The smooth metrics over the grid: each study from a population of its own."""
    tallies: Tallies = {}
    metrics = {name: metric_named(name) for name in SMOOTH}
    for _ in range(studies):
        population = any_population(patients, random)
        study = population.draw(patients, random.normal(size=(ARMS, max(SEEDS))), random)
        if study.rarer < FEWEST_POSITIVE:
            continue
        for name, metric in metrics.items():
            truth, (values, influences) = population.truth(name), _by_influence(metric, study)
            what = {
                name: (values[1], influences[1], truth[1]),
                f"delta {name}": (values[1] - values[0], influences[1] - influences[0], truth[1] - truth[0]),
            }
            for label, of_study in what.items():
                cells = {s: tallies.setdefault((label, patients, s), Tally()) for s in SEEDS}
                _count(cells, study, *of_study)
    return tallies


def candidates(
    patients: int, seeds: int, studies: int, random: np.random.Generator, names: tuple[str, ...] = CANDIDATES
) -> Tallies:
    """Other metrics, in populations whose truth is simulated; paired differences only."""
    tallies: Tallies = {}
    metrics = {name: metric_named(name, DECLARED) for name in names}
    populations = [_population(area, random) for area in (0.75, 0.9)]
    truths = [_simulated_truth(population, metrics, random) for population in populations]
    for i in range(studies):
        population, truth = populations[i % len(populations)], truths[i % len(populations)]
        study = population.draw(patients, random.normal(size=(ARMS, seeds)), random)
        if study.rarer < FEWEST_POSITIVE:
            continue
        draws = np.random.SeedSequence(int(random.integers(2**32)))
        weights = np.concatenate(list(patient_weights(study.patient, REPLICATES, draws)))  # type: ignore[arg-type]
        for name, metric in metrics.items():
            effect = _by_bootstrap(metric, study, weights)
            if effect is not None:
                cell = (f"delta {name}", patients, seeds)
                tallies.setdefault(cell, Tally()).add(*effect, float(truth[name][1] - truth[name][0]))
    return tallies


def any_population(patients: int, random: np.random.Generator) -> Population:
    """From the grid; seed noise is stated by what it does to the area."""
    rarest = min(0.5, max(0.02, 1.5 * FEWEST_POSITIVE / patients))
    prevalence = float(np.exp(random.uniform(np.log(rarest), np.log(0.5))))
    images = int(min(random.choice([1, 2, 5, 20]), max(1, MOST_IMAGES // patients)))
    baseline = random.uniform(0.6, 0.99)
    areas = np.array([baseline, min(0.99, baseline + random.uniform(0, 0.05))])
    return _from(
        areas,
        patients=patients,
        prevalence=prevalence,
        images=images,
        correlation=float(random.uniform(0, 0.8)),
        ratio=float(random.uniform(0, 2)),
        by_patient=bool(random.integers(2)),
        step=float(random.choice([0.01, 0.5])),
        slope=float(random.uniform(0.7, 1.4)),
    )


def promised(tallies: Tallies, metric: str) -> dict[tuple[int, int], Tally]:
    """A metric's cells in which its intervals are to hold, by patients and seeds."""
    return {
        (patients, seeds): tally
        for (name, patients, seeds), tally in tallies.items()
        if name == metric and patients >= FEWEST_PATIENTS and seeds >= FEWEST_SEEDS and tally.studies
    }


def together(cells: dict[tuple[int, int], Tally], seeds: int) -> dict[str, float]:
    """The share of nominal 95 % intervals that hold in all cells of a number of seeds, as by `share`.

    Studies of different numbers of patients are independent; those of different numbers of seeds are
    the same ones, so cells of these are not added up.
    """
    of = [tally for (_, s), tally in cells.items() if s == seeds]
    return share(sum(tally.hits[NOMINAL] for tally in of), sum(tally.studies for tally in of))


def certified(tallies: Tallies, metric: str) -> bool:
    """Whether a metric's nominal 95 % intervals hold often enough wherever that is promised.

    They do in at least `PROMISED` of the studies of every cell; and in all cells of a number of seeds
    together the lower limit of that share is not below it, so that this is no luck. A metric that was not
    studied with every number of seeds for which it is promised is not certified.
    """
    cells = promised(tallies, metric)
    seeds = {s for s in SEEDS if s >= FEWEST_SEEDS}
    return (
        seeds <= {s for _, s in cells}
        and all(tally.hits[NOMINAL] >= PROMISED * tally.studies for tally in cells.values())
        and all(together(cells, s)["low"] >= PROMISED for s in seeds)
    )


def _population(area: float, random: np.random.Generator) -> Population:
    """For candidates: 30 % with the finding, two images a patient, seed noise as large as of 400 patients."""
    return _from(
        np.array([area, area + 0.03]),
        patients=400,
        prevalence=0.3,
        images=2,
        correlation=0.5,
        ratio=1.0,
        by_patient=True,
        step=0.01,
        slope=float(random.uniform(0.8, 1.25)),
        second_group=HARDER,
    )


def _from(areas: NDArray[np.float64], *, patients: int, ratio: float, **facts: float) -> Population:
    from scipy.special import ndtri  # noqa: PLC0415 (slow to import)

    images, correlation, prevalence = facts["images"], facts["correlation"], facts["prevalence"]
    effective = patients * images / (1 + (images - 1) * correlation)
    of_patients = area_deviation(
        areas[:1], np.array([prevalence * effective]), np.array([(1 - prevalence) * effective])
    )[0]
    separations = ndtri(areas) * 2**0.5
    slope = np.exp(-(separations[0] ** 2) / 4) / (4 * np.pi) ** 0.5
    spread = min(ratio * of_patients / slope, LARGEST_SPREAD)
    return Population(separations=separations, between_seeds=float(spread), **facts)  # type: ignore[arg-type]


def _by_influence(metric: Metric, study: Study) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(ARMS, seeds) values and (ARMS, seeds, n) influences."""
    arms, seeds = study.logits.shape[:2]
    values = np.empty((arms, seeds))
    influences = np.empty(study.logits.shape)
    for arm in range(arms):
        for seed in range(seeds):
            sample = study.samples[arm][seed]
            value, reason = evaluate(metric, sample)
            of_run = influence(metric.spec, sample)
            assert value is not None, reason
            assert of_run is not None
            values[arm, seed] = value
            influences[arm, seed] = of_run
    return values, influences


def _count(
    cells: dict[int, Tally],
    study: Study,
    values: NDArray[np.float64],
    influences: NDArray[np.float64],
    truth: float,
) -> None:
    """One study, judged from its first seeds: values (seeds,) and influences (seeds, n)."""
    for seeds, tally in cells.items():
        by_patient = influence_by_patient(influences[:seeds].mean(axis=0), study.patient)  # type: ignore[arg-type]
        spread = Spread.of(
            values[:seeds],
            patients=variance_over_patients(by_patient, study.rarer),
            n_patients=study.rarer,
        )
        tally.add(float(values[:seeds].mean()), spread, truth)


def _by_bootstrap(metric: Metric, study: Study, weights: NDArray[np.float64]) -> tuple[float, Spread] | None:
    """The mean difference and its spread; None where it is undefined or rests on one patient."""
    seeds = study.logits.shape[1]
    patients = min(resting_on(metric.spec, sample) for of_arm in study.samples for sample in of_arm)
    values = [[evaluate(metric, sample)[0] for sample in of_arm] for of_arm in study.samples]
    if patients < 2 or any(value is None for of_arm in values for value in of_arm):
        return None
    total, defined = np.zeros(len(weights)), np.ones(len(weights), dtype=bool)
    for arm, sign in ((0, -1), (1, 1)):
        for sample in study.samples[arm]:
            estimates = metric.values(sample, weights)
            total += sign * np.where(estimates.defined, estimates.values, 0.0) / seeds
            defined &= estimates.defined
    if defined.sum() < len(weights) / 2:
        return None
    by_seed = np.array(values[1], dtype=float) - np.array(values[0], dtype=float)
    spread = Spread.of(
        by_seed,
        patients=float(np.var(total[defined], ddof=1)),
        n_patients=patients,
    )
    return float(by_seed.mean()), spread


def _simulated_truth(
    population: Population, metrics: dict[str, Metric], random: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """(ARMS,) by metric: the mean over many seeds on very many patients."""
    from scipy.special import ndtri  # noqa: PLC0415 (slow to import)

    # Seeds at even quantiles, so that their mean has hardly any noise.
    deviates = ndtri((np.arange(_POPULATION_SEEDS) + 0.5) / _POPULATION_SEEDS)
    study = population.draw(_POPULATION // population.images, np.tile(deviates, (ARMS, 1)), random)
    of_run = partial(_values_of, study)
    return {name: of_run(metric) for name, metric in metrics.items()}


def _values_of(study: Study, metric: Metric) -> NDArray[np.float64]:
    values = [[evaluate(metric, sample)[0] for sample in of_arm] for of_arm in study.samples]
    return np.array(values, dtype=float).mean(axis=1)
