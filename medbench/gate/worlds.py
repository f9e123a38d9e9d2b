"""Simulated suites as they truly are: which items share runs, means, noise of seeds and of patients.

A world's test sets are the same every night; only seeds and machines change. Nothing is judged here.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from medbench.errors import MedbenchError
from medbench.expect import FEWEST_SEEDS, SAFETY, Expectation, Expectations
from medbench.spec.effects import Gain
from medbench.stats.interval import LEVEL
from medbench.stats.prediction import SeedSpread, prior_spread

METRIC = "roc_auc@1"
"""What every item is of in worlds that are not like the stored runs, and what planted falls are of."""
GAIN = str(Gain.__struct_config__.tag)
"""The effect of the items that areas are planted to fall in: the treatment is one of two arms."""
MARGIN = 0.005
"""Of claims in worlds of the grid."""
DEVICE = "cpu"
"""Values that were accepted on other device classes are not simulated."""
FEWEST_POSITIVE = 20
"""Patients with a finding in a generated world: with fewer, medbench's users are told to draw no verdict."""
RARER = 150
"""Patients of the rarer class that intervals of worlds like the stored runs rest on."""
TAIL = 5
"""Degrees of freedom of the t distribution of seeds with heavy tails."""
BAD, WORSE = 0.005, 3
"""In worlds with heavy tails, the share of bad runs, and by how much further than others they deviate."""

Values = list[NDArray[np.float64]]
"""By item, (TERMS, seeds): the metric by term and seed."""


@dataclass(frozen=True)
class Suite:
    """The shape of what was accepted: items, and which of their terms are scores of the same runs.

    A score is what was accepted of one quantity: a metric of an arm's runs on one evaluation set. Several
    items may have it as a term, those of fewer seeds the first of its seeds. Scores of the same runs by the
    same metric have noise in common.

    Attributes:
      items: that are simulated: all that were accepted on `DEVICE` with two seeds or more.
      left_out: how many others were accepted.
      seeds: (ITEMS,) accepted, of each term.
      scores: by item, (TERMS,) number of the score of each term.
      weights: by item, (TERMS,) of each term in the effect; zeros where it is no sum.
      runs: (SCORES,) number of the group of runs that is scored.
      sets: (SCORES,) number of the evaluation set, of a task, that it is scored on.
      tasks: (SETS,) number of the task of each evaluation set.
      accepted: by score, its accepted values by seed.
      metrics: by score.
      least: by score, what machines alone make of a deviation: a smaller one is no noise of seeds.
    """

    items: tuple[Expectation, ...]
    left_out: int
    seeds: NDArray[np.int64]
    scores: tuple[NDArray[np.int64], ...]
    weights: tuple[NDArray[np.float64], ...]
    runs: NDArray[np.int64]
    sets: NDArray[np.int64]
    tasks: NDArray[np.int64]
    accepted: tuple[tuple[float, ...], ...]
    metrics: tuple[str, ...]
    least: NDArray[np.float64]

    @classmethod
    def of(cls, expectations: Expectations) -> "Suite":
        """The shape of accepted values.

        Raises:
          MedbenchError: there is nothing that a simulation could be like.
        """
        items = [e for e in expectations.accepted if e.environment == DEVICE and _seeds(e) >= FEWEST_SEEDS]
        if not any(map(is_area, items)):
            raise MedbenchError(
                f"simulated nights need an accepted gain of {METRIC} on {DEVICE} with two seeds or more; of "
                f"{len(expectations.accepted)} accepted items none is one. Name others with --expectations."
            )
        accepted: dict[tuple[str, str, str, str], tuple[float, ...]] = {}
        for item in items:
            for term in item.samples:
                values = accepted.setdefault(item.quantity(term), ())
                accepted[item.quantity(term)] = max(values, _in_order(item, term), key=len)
        place = {quantity: i for i, quantity in enumerate(accepted)}
        sets = list(dict.fromkeys((task, on) for task, on, *_ in accepted))
        return cls(
            items=tuple(items),
            left_out=len(expectations.accepted) - len(items),
            seeds=np.array([_seeds(item) for item in items]),
            scores=tuple(np.array([place[item.quantity(term)] for term in item.samples]) for item in items),
            weights=tuple(weights(item) for item in items),
            runs=_numbers((task, arm, metric) for task, _, metric, arm in accepted),
            sets=_numbers((task, on) for task, on, *_ in accepted),
            tasks=_numbers(task for task, _ in sets),
            accepted=tuple(accepted.values()),
            metrics=tuple(metric for _, _, metric, _ in accepted),
            least=np.array([expectations.tolerance(metric, DEVICE) / SAFETY for _, _, metric, _ in accepted]),
        )

    @property
    def areas(self) -> list[int]:
        """The items that areas are planted to fall in: gains of one of two arms over the other."""
        return [i for i, item in enumerate(self.items) if is_area(item)]

    @property
    def on_areas(self) -> "Suite":
        """The same shape with each metric of a task as the area of another: as many scores, all alike."""
        return replace(
            self,
            items=tuple(map(_on_area, self.items)),
            metrics=(METRIC,) * len(self.metrics),
        )

    @property
    def shared(self) -> float:
        """Correlation of a seed's deviations on the evaluation sets of one run: the mean over accepted pairs.

        0 where no two scores have runs in common, or where deviations go against each other.
        """
        pairs = [
            np.corrcoef(self.accepted[a], self.accepted[b])[0, 1]
            for a, b in combinations(range(len(self.runs)), 2)
            if self.runs[a] == self.runs[b]
            and len(self.accepted[a]) == len(self.accepted[b]) > 2
            and min(np.ptp(self.accepted[a]), np.ptp(self.accepted[b])) > 0
        ]
        return max(0.0, float(np.mean(pairs))) if pairs else 0.0


@dataclass(frozen=True)
class World:
    """What does not change from night to night.

    Attributes:
      suite: its shape.
      means: (SCORES,) the metric averaged over all seeds there could be.
      deviations: (SCORES,) between seeds.
      shared: correlation of a seed's deviations on the evaluation sets of one run; a tenth less if `heavy`.
      patients: (ITEMS,) variance of the mean difference over the choice of patients.
      n_patients: (ITEMS,) that show the rarest class.
      step: (SCORES,) between possible values: one pair of images more ranked right, or half of one.
      heavy: whether seeds have heavier tails than normal, and runs are bad now and then.
    """

    suite: Suite
    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    shared: float
    patients: NDArray[np.float64]
    n_patients: NDArray[np.int64]
    step: NDArray[np.float64]
    heavy: bool = False

    def draw(self, random: np.random.Generator, seeds: int | NDArray[np.int64]) -> Values:
        """The metric of newly trained runs, with ties, areas within [0, 1].

        Args:
          random: of the seeds.
          seeds: of every item, or (ITEMS,) of each.
        """
        of_each = np.broadcast_to(seeds, len(self.suite.items))
        shape = (len(self.means), int(of_each.max()))
        runs = int(self.suite.runs.max()) + 1
        of_run = random.normal(size=(runs, shape[1]))[self.suite.runs]
        noise = self.shared**0.5 * of_run + (1 - self.shared) ** 0.5 * random.normal(size=shape)
        if self.heavy:
            # Divided by the root of chi-square over its degrees of freedom it is t, here of variance 1.
            noise *= ((TAIL - 2) / random.chisquare(TAIL, size=shape)) ** 0.5
            noise *= np.where(random.random((runs, shape[1])) < BAD, WORSE, 1)[self.suite.runs]
        exact = self.means[:, None] + self.deviations[:, None] * noise
        values = np.round(exact / self.step[:, None]) * self.step[:, None]
        areas = np.array([metric == METRIC for metric in self.suite.metrics])
        values[areas] = np.clip(values[areas], 0.0, 1.0)
        return [values[terms, :n] for terms, n in zip(self.suite.scores, of_each, strict=True)]


class LikeStored:
    """Worlds like the one that the accepted runs were drawn from, as far as its few seeds tell.

    Each score's spread between seeds is drawn from what the accepted seeds of a random score of the same
    metric leave open about it: the spreads seen are wider apart than the true ones, by chance.
    """

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._shared = suite.shared
        self._means = np.array([np.mean(values) for values in suite.accepted])
        self._variances = np.array([np.var(values, ddof=1) for values in suite.accepted])
        self._freedom = np.array([len(values) - 1 for values in suite.accepted])
        self._alike = [np.flatnonzero(np.array(suite.metrics) == metric) for metric in suite.metrics]
        priors = {metric: self._prior(metric) for metric in set(suite.metrics)}
        self._prior_freedom = np.array([priors[m].degrees_of_freedom for m in suite.metrics])
        self._prior_variance = np.array([priors[m].deviation ** 2 for m in suite.metrics])
        self._patients = np.array([variance_over_patients(item) for item in suite.items])

    def __call__(self, random: np.random.Generator) -> World:
        """A world."""
        return self._world(self._deviations(random))

    def _prior(self, metric: str) -> SeedSpread:
        scores = np.flatnonzero(np.array(self._suite.metrics) == metric)
        groups = [self._suite.accepted[i] for i in scores]
        arms = len(set(self._suite.runs[scores]))
        return prior_spread(groups, arms=arms, least=float(self._suite.least[scores[0]]))

    def _deviations(self, random: np.random.Generator) -> NDArray[np.float64]:
        """(SCORES,) scaled inverse chi-square."""
        of = np.array([random.choice(alike) for alike in self._alike])
        freedom = self._prior_freedom + self._freedom[of]
        sums = self._prior_freedom * self._prior_variance + self._freedom[of] * self._variances[of]
        deviations: NDArray[np.float64] = np.sqrt(sums / random.chisquare(freedom))
        return deviations

    def _world(self, deviations: NDArray[np.float64], *, heavy: bool = False) -> World:
        return World(
            suite=self._suite,
            means=self._means,
            deviations=deviations,
            shared=self._shared,
            patients=self._patients,
            n_patients=np.full(len(self._suite.items), RARER),
            step=np.full(len(self._means), 0.5e-6),
            heavy=heavy,
        )


class HeavyTailed(LikeStored):
    """Worlds like the stored runs, but for seeds that are none of what the rule of bands takes them for.

    Deviations are log-normal, as wide apart as those seen (which chance spreads more widely than the
    true ones); seeds have a t distribution of the same variance, and now and then a run is bad.
    """

    def __call__(self, random: np.random.Generator) -> World:
        """A world."""
        from scipy.special import digamma  # noqa: PLC0415 (slow to import)

        halves = self._freedom / 2
        # Those that are below what machines make are no more than that, and would drown the others.
        seen = np.maximum(self._variances, self._suite.least**2)
        logs = (np.log(seen) - digamma(halves) + np.log(halves)) / 2
        deviations = np.empty(len(logs))
        for metric in dict.fromkeys(self._suite.metrics):
            of = np.array(self._suite.metrics) == metric
            deviations[of] = np.exp(logs[of].mean() + logs[of].std() * random.normal(size=of.sum()))
        return self._world(deviations, heavy=True)


class OfGrid:
    """Worlds of the suite's shape from the grid: areas of .6 to .99, prevalence of 2 to 50 % and so on.

    Clusters of 1 to 20 images, correlated by 0 to .8 within a patient, seed noise of 0 to 2 times that of
    patients by run, and test sets so small that values tie. Every score is an area, whatever metric it is
    in the suite: one metric more is as one set more of another task.
    """

    def __init__(self, suite: Suite) -> None:
        self._suite = suite.on_areas
        self._shared = suite.shared

    def __call__(self, random: np.random.Generator) -> World:
        """A world."""
        suite = self._suite
        tasks, sets, scores = int(suite.tasks.max()) + 1, len(suite.tasks), len(suite.runs)
        task = suite.tasks[suite.sets]
        prevalence = np.exp(random.uniform(np.log(0.02), np.log(0.5), tasks))
        patients = np.exp(random.uniform(np.log(100), np.log(5000), tasks))
        patients = np.maximum(patients, FEWEST_POSITIVE / prevalence)
        images, correlation = random.integers(1, 21, tasks), random.uniform(0, 0.8, tasks)
        effective = images / (1 + (images - 1) * correlation)
        # The first score on a set is the easiest to think of as the baseline, others differ from it.
        gain = random.uniform(-0.03, 0.1, scores)
        gain[np.unique(suite.sets, return_index=True)[1]] = 0
        means = np.clip(random.uniform(0.6, 0.99, sets)[suite.sets] + gain, 0.6, 0.99)
        positive, negative = (prevalence * patients * effective), ((1 - prevalence) * patients * effective)
        of_patients = area_deviation(means, positive[task], negative[task])
        of_run = random.uniform(0, 2, int(suite.runs.max()) + 1)[suite.runs]
        step = 0.5 / (prevalence * (1 - prevalence) * (patients * images) ** 2)
        terms = list(zip(suite.scores, suite.weights, strict=True))
        return World(
            suite=suite,
            means=means,
            deviations=of_patients * of_run * np.exp(random.normal(0, 0.3, scores)),
            shared=self._shared,
            # Arms agree on most patients: a correlation of .6 between them.
            patients=np.array([0.4 * ((w * of_patients[of]) ** 2).sum() for of, w in terms]),
            n_patients=np.ceil(prevalence * patients).astype(np.int64)[task[[of[0] for of, _ in terms]]],
            step=step[task],
        )


Make = Callable[[np.random.Generator], World]


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


def _numbers(keys: Iterable[Hashable]) -> NDArray[np.int64]:
    """Each key by its place among the distinct ones."""
    keys = list(keys)
    place = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([place[key] for key in keys])


def is_area(item: Expectation) -> bool:
    """Whether an item is one arm's gain in area over another."""
    return (item.definition.metric, item.definition.effect) == (METRIC, GAIN)


def weights(item: Expectation) -> NDArray[np.float64]:
    """(TERMS,) of each term in an item's effect."""
    return np.array([item.definition.weights.get(term, 0.0) for term in item.samples])


def variance_over_patients(item: Expectation) -> float:
    """Of an accepted item's mean effect: what its interval has beside the seeds' share.

    The interval's degrees of freedom are many, so that it is taken for normal. Where the seeds' share
    is all of it by chance, half is left.
    """
    from scipy.special import ndtri  # noqa: PLC0415 (slow to import)

    both = ((item.effect.high - item.effect.low) / 2 / float(ndtri(1 - LEVEL))) ** 2
    by_seed = weights(item) @ np.array([_in_order(item, term) for term in item.samples])
    return max(both - float(np.var(by_seed, ddof=1)) / len(by_seed), both / 2)


def _on_area(item: Expectation) -> Expectation:
    """An item of the grid: on the area, of a task for each metric, and of superiority."""
    metric = item.definition.metric
    task, _, rest = item.item.partition("/")
    return structs.replace(
        item,
        item=item.item if metric == METRIC else f"{task} by {metric.replace('/', ' ')}/{rest}",
        definition=structs.replace(
            item.definition, predicate="superiority", margin=MARGIN, metric=METRIC, evaluate="id"
        ),
    )


def _seeds(item: Expectation) -> int:
    """Accepted, of each term."""
    return len(next(iter(item.samples.values())))


def _in_order(item: Expectation, term: str) -> tuple[float, ...]:
    """The values of a term in the order of the seeds."""
    return tuple(value for _, value in sorted(item.samples[term].items()))
