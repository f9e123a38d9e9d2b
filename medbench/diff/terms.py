"""One term of an item on two sides: which seeds are compared, how far it moved, and over what chance.

By tolerance where runs are the same; over patients too where predictions are at hand; else over seeds alone.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medbench.diff.sides import OF, ItemValues
from medbench.difference import TermChange
from medbench.expect import SAFETY
from medbench.judge import why_too_few_patients
from medbench.judgement import Interval
from medbench.metrics.evidence import resting_on
from medbench.metrics.registry import higher_is_better
from medbench.over_patients import Evidence, of_sum
from medbench.spec.effects import AT, Term
from medbench.stats.change import Error, Priors, Seeds, error_over_seeds, two_sided_p
from medbench.stats.interval import limits
from medbench.stats.prediction import prior_spread

Tolerance = Callable[[str, str], float]
"""(metric, device class) -> how far machines move a value."""
FEWEST_PAIRS = 3
"""Shared seeds from which pairing is worth more than the seeds that are not shared."""


@dataclass(frozen=True)
class Pair:
    """One item on both sides, defined alike."""

    before: ItemValues
    after: ItemValues

    @property
    def metric(self) -> str:
        """Name and version."""
        definition = self.after.definition or self.before.definition
        return definition.metric if definition else ""

    @property
    def sign(self) -> float:
        """1 where higher is better, else -1; pairs of whose metric that is not known are redefined."""
        return 1.0 if higher_is_better(self.metric) else -1.0

    def arms(self, term: str) -> tuple[str, str]:
        """What was fine-tuned for a term, before and after."""
        return self.before.quantity(term)[2], self.after.quantity(term)[2]

    def is_one_arm(self, term: str) -> bool:
        """Whether the same was fine-tuned for a term on both sides in the same way, as far as is known."""
        known = [
            {
                name: value
                for (kind, name), value in side.facts.items()
                if kind == "spec" and name.endswith(f"{OF}{term.partition(AT)[0]}")
            }
            for side in (self.before, self.after)
        ]
        before, after = self.arms(term)
        return before == after and (known[0] == known[1] or not all(known))

    @property
    def terms(self) -> list[str]:
        """Those that both sides have values of."""
        return [
            term for term, values in self.before.samples.items() if values and self.after.samples.get(term)
        ]


@dataclass(frozen=True)
class Compared:
    """One term of a pair.

    Attributes:
      pair: the item.
      term: its name.
      seeds_before: whose values are compared.
      seeds_after: the same seeds in the same order where they are paired.
      values: of these.
      tolerance: how far machines move a value.
      moved: whether any value moved further than that, or none can tell.
      drifted: by seed, how far the same runs moved that moved further than that, if all moved one way.
    """

    pair: Pair
    term: str
    seeds_before: tuple[int, ...]
    seeds_after: tuple[int, ...]
    values: Seeds
    tolerance: float
    moved: bool
    drifted: Mapping[int, float]

    @property
    def quantity(self) -> tuple[object, ...]:
        """Equal where two items have the same values of the same thing, so that they are one test."""
        of = self.pair.after.quantity(self.term)
        return self.pair.metric, of, self.values.before, self.values.after

    @property
    def change(self) -> float:
        """After minus before, positive where better."""
        return self.pair.sign * self.values.change

    def record(
        self, change: Interval, *, by: Literal["patients", "seeds", "tolerance"], p: float | None
    ) -> TermChange:
        """What is shown."""
        return TermChange(
            term=self.term,
            arm=self._arm,
            before=float(np.mean(self.values.before)),
            after=float(np.mean(self.values.after)),
            change=change,
            by=by,
            p=p,
            moved={seed: self.pair.sign * by for seed, by in self.drifted.items()},
        )

    @property
    def _arm(self) -> str:
        """What was fine-tuned, before and after where that changed."""
        before, after = self.pair.arms(self.term)
        return after if before == after else f"{before} -> {after}"


def compared(pair: Pair, term: str, tolerance: Tolerance) -> Compared:
    """Choose the seeds of a term that are compared.

    A seed that the later side loaded, and the earlier one accepted or loaded, was not made anew: where it
    did not move it says nothing, and is left out as long as there are others. Seeds that are shared are
    paired, if they are all that one side has or `FEWEST_PAIRS`; else all seeds of both sides are compared.

    The same seed of the same arm, by the same recipe, on the same device class and images is the same run:
    that it moved further than machines move it is no chance. Runs that moved so both ways look as if seeds
    were drawn anew (by another order of random numbers, say): what that comes to is a question of chance
    among seeds.
    """
    before, after = pair.before.samples[term], pair.after.samples[term]
    classes = {of for side in (pair.before, pair.after) for of in side.devices[term].values()}
    limit = max(tolerance(pair.metric, device_class) for device_class in classes)
    shared = sorted(before.keys() & after.keys())
    left_out = [
        seed for seed in shared if _is_one_run(pair, term, seed) and abs(after[seed] - before[seed]) <= limit
    ]
    fresh = [seed for seed in shared if seed not in left_out]
    others = [[seed for seed in sorted(values) if seed not in shared] for values in (before, after)]
    paired = bool(shared) and (not all(others) or len(shared) >= FEWEST_PAIRS)
    told = fresh or shared if paired else []
    seeds_before, seeds_after = (told, told) if paired else (sorted(before), sorted(after))
    beside = [[values[seed] for seed in of] for values, of in zip((before, after), others, strict=True)]
    beside.append([(before[seed] + after[seed]) / 2 for seed in left_out if seed not in told])
    values = Seeds(
        tuple(before[seed] for seed in seeds_before),
        tuple(after[seed] for seed in seeds_after),
        paired,
        tuple(tuple(group) for group in beside if group) if paired else (),
    )
    alike = (
        paired
        and pair.before.cohort_fingerprint == pair.after.cohort_fingerprint
        and all(pair.before.devices[term][seed] == pair.after.devices[term][seed] for seed in told)
    )
    far = {seed: by for seed, by in zip(told, values.differences, strict=True) if abs(by) > limit}
    one_way = len({by > 0 for by in far.values()}) == 1 and pair.is_one_arm(term)
    return Compared(
        pair,
        term,
        tuple(seeds_before),
        tuple(seeds_after),
        values,
        limit,
        moved=bool(far) or not alike,
        drifted=far if alike and one_way else {},
    )


def _is_one_run(pair: Pair, term: str, seed: int) -> bool:
    """Whether both sides have the value from the same accepted run, which neither made anew."""
    origins = {side.origins[term][seed] for side in (pair.before, pair.after)}
    return "loaded" in origins and "trained" not in origins


def priors(terms: Iterable[Compared]) -> dict[str, Priors]:
    """What the spreads of all terms have in common, by metric; each quantity counts once."""
    by_metric: dict[str, dict[tuple[object, ...], Compared]] = {}
    for each in terms:
        by_metric.setdefault(each.pair.metric, {})[each.quantity] = each
    return {metric: _priors(list(alike.values())) for metric, alike in by_metric.items()}


def _priors(alike: list[Compared]) -> Priors:
    # Evaluation sets of a task are scores of the same runs.
    places = (each.pair.after.quantity(each.term) for each in alike)
    arms = len({(task, arm) for task, _, arm in places})
    least = min(each.tolerance for each in alike) / SAFETY  # what machines alone make
    groups = (group for each in alike for group in each.values.groups)
    return Priors(
        differences=prior_spread((each.values.differences for each in alike), arms=arms, least=least),
        seeds=prior_spread(groups, arms=arms, least=least),
    )


def by_tolerance(of: Compared) -> TermChange:
    """A term whose runs are the same on both sides, so that nothing but machines makes noise."""
    limits = Interval(value=of.change, low=of.change - of.tolerance, high=of.change + of.tolerance)
    return of.record(limits, by="tolerance", p=None)


def tested(of: Compared, priors: Priors) -> tuple[TermChange, str]:
    """A term that moved, with its p as yet unadjusted, and why nothing can be concluded, if so."""
    change, error = of.change, error_over_seeds(of.values, priors)
    over_patients = _over_patients(of)
    if over_patients is None and of.drifted:
        return by_tolerance(of), ""
    if over_patients is None:
        p = two_sided_p(change, error)
        return of.record(_interval(change, error), by="seeds", p=p), "" if error else _ONE_SEED
    reason = over_patients.reason or ("" if error else _ONE_SEED)
    bias, whole = over_patients.bias, Error((over_patients.part, *(error.parts if error else ())))
    p = 1.0 if reason else two_sided_p(change, whole, bias=bias)
    return of.record(_interval(change, whole, bias), by="patients", p=p), reason


_ONE_SEED = "one seed a side says nothing of the noise between seeds"


def _interval(change: float, error: Error | None, bias: float = 0.0) -> Interval:
    low, high = limits(change, error) if error else (change, change)
    return Interval(value=change, low=low - bias, high=high + bias)


@dataclass(frozen=True)
class _OverPatients:
    """What the choice of patients adds.

    Attributes:
      part: variance of the change, and its degrees of freedom.
      bias: the most by which noise may have moved it.
      reason: why so few patients allow no conclusion, else empty.
    """

    part: tuple[float, float]
    bias: float
    reason: str


def _over_patients(of: Compared) -> _OverPatients | None:
    """As claims are judged, with what was before as baseline and what is now as treatment.

    None where predictions are not at hand on both sides, are not of the same examples, or where the metric
    is known of a run as a whole.
    """
    before, after = of.pair.before.predicted, of.pair.after.predicted
    if before is None or after is None:
        return None
    scored = {
        name: {seed: sample for seed in seeds if (sample := side.sample(of.term, seed)) is not None}
        for name, side, seeds in zip(_NAMES, (before, after), (of.seeds_before, of.seeds_after), strict=True)
    }
    if [*map(len, scored.values())] != [len(of.seeds_before), len(of.seeds_after)]:
        return None
    metric, cluster = after.metric, after.cluster
    samples = [sample for by_seed in scored.values() for sample in by_seed.values()]
    if any(samples[0].predictions.difference(each.predictions) for each in samples[1:]):
        return None
    inner = metric.inner.spec if metric.inner else None
    patients = min(resting_on(metric.spec, sample, inner) for sample in samples)
    if patients < 2:
        return _OverPatients((0.0, 1.0), 0.0, f"one {cluster} alone shows a class")
    values = {
        side: dict(zip(by_seed, known, strict=True))
        for (side, by_seed), known in zip(scored.items(), (of.values.before, of.values.after), strict=True)
    }
    found = of_sum(Evidence(of.pair.after.id, metric, _SIDES, scored, values, patients))
    if found.facts.get("interval") == "seeds":
        return None
    reason = found.undefined or why_too_few_patients(
        patients,
        behind=found.behind,
        resampled=found.facts["interval"] == "bootstrap",
        cluster=cluster,
    )
    return _OverPatients((found.variance, patients - 1.0), found.floor, reason)


_NAMES = ("before", "after")
_SIDES = tuple(
    Term(arm=side, evaluation_set="compared", weight=weight, name=side)
    for side, weight in zip(_NAMES, (-1.0, 1.0), strict=True)
)
