"""The simulation cut into independent parts, each with a random stream of its own, for one core or several.

The figures depend on the seed and the plan alone, not on how many workers there are.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medbench.execute.progress import duration
from medbench.expect import Expectations, load
from medbench.gate import coverage, planted, rates, scarce, tails
from medbench.gate.coverage import Tallies
from medbench.gate.rates import WORLDS, Counts, Night, Worlds
from medbench.gate.workers import in_any_order


@dataclass(frozen=True)
class Sizes:
    """How much is simulated.

    Attributes:
      nights: unchanged nights of each kind and family of worlds.
      changed: nights of each change of values.
      sets: accepted sets whose own rate is measured, over `nights_each`.
      planted_sets: accepted sets of predictions, by metric, each with `planted_nights` nights of each change.
      suites: accepted sets whose tails are compared with those of the stored seeds, by family of worlds.
      agreement: accepted sets on which the shortcut by values is held against full predictions.
      studies: of coverage, by number of patients.
      candidates: of coverage, studies by number of patients.
      scarce: metrics, claims about which are judged on tiny cohorts.
    """

    nights: int = 4000
    changed: int = 2000
    sets: int = 200
    nights_each: int = 60
    planted_sets: int = 12
    planted_nights: int = 10
    suites: int = 2000
    agreement: int = 25
    studies: dict[int, int] = field(
        default_factory=lambda: {50: 1000, 100: 6000, 200: 6000, 1000: 4000, 5000: 1500, 20000: 800}
    )
    candidates: dict[int, int] = field(default_factory=lambda: {100: 200, 500: 200})
    scarce: tuple[str, ...] = tuple(scarce.DECLARED)


QUICK = Sizes(
    nights=100,
    changed=25,
    sets=8,
    nights_each=10,
    planted_sets=1,
    planted_nights=2,
    suites=50,
    agreement=1,
    studies={100: 60},
    candidates={},
    scarce=(),
)
"""A glance at everything but the other metrics: rates, too uncertain to hold to a bar."""
TAILS: tuple[Worlds, ...] = ("stored", "heavy")
"""Families whose seeds are normal, and are not."""
CANDIDATE_SEEDS = 3


@dataclass
class Findings:
    """Counts of all parts together.

    Attributes:
      red: unchanged nights with an alarm, by worlds and night.
      nights: unchanged nights of each kind, by worlds.
      shares: of each accepted set, the share of its nights that alarm, by worlds.
      caught: by planted change, nights in which the item is red.
      tried: the nights.
      kurtosis: of each of some accepted sets, the excess kurtosis of its seeds, by worlds.
      agreed: items whose shortcut agrees with full predictions, by what.
      items: that were compared so.
      tallies: of coverage.
      supported: claims on tiny cohorts that came out as supported although they just do not hold.
      claims: that were judged so.
    """

    red: Counter[tuple[str, Night]] = field(default_factory=Counter)
    nights: Counter[str] = field(default_factory=Counter)
    shares: dict[str, list[float]] = field(default_factory=dict)
    caught: Counts = field(default_factory=Counter)
    tried: Counts = field(default_factory=Counter)
    kurtosis: dict[str, list[float]] = field(default_factory=dict)
    agreed: Counter[str] = field(default_factory=Counter)
    items: int = 0
    tallies: Tallies = field(default_factory=dict)
    supported: Counter[scarce.Cell] = field(default_factory=Counter)
    claims: Counter[scarce.Cell] = field(default_factory=Counter)


class Part(NamedTuple):
    """One part: what it does, with which arguments, and its rough cost in seconds."""

    name: str
    arguments: tuple[Any, ...]
    seconds: float


def plan(sizes: Sizes) -> list[Part]:
    """All parts, the longest first, so that workers end together."""
    parts = []
    for worlds in WORLDS:
        parts += [Part("unchanged", (worlds, n), 0.025 * n) for n in _split(sizes.nights, 500)]
        parts += [Part("changed", (worlds, n), 0.04 * n) for n in _split(sizes.changed, 250)]
        parts += [
            Part("conditional", (worlds, n, sizes.nights_each), 0.004 * n * sizes.nights_each)
            for n in _split(sizes.sets, 50)
        ]
    parts += [Part("seeds", (n,), 0.1 * n) for n in _split(sizes.changed, 500)]
    parts += [Part("tails", (worlds, n), 0.008 * n) for worlds in TAILS for n in _split(sizes.suites, 1000)]
    for metric in planted.METRICS:
        parts += [
            Part("predictions", (metric, n, sizes.planted_nights), 0.7 * n * sizes.planted_nights)
            for n in _split(sizes.planted_sets, 6)
        ]
    parts += [Part("agreement", (n,), 0.8 * n) for n in _split(sizes.agreement, 25)]
    for patients, studies in sizes.studies.items():
        cost = 0.02 + 0.00001 * patients
        parts += [Part("grid", (patients, n), cost * n) for n in _split(studies, int(30 / cost))]
    for patients, studies in sizes.candidates.items():
        parts += [
            Part("candidates", (patients, CANDIDATE_SEEDS, studies, (name,)), 4.0)
            for name in coverage.CANDIDATES
        ]
    parts += [Part("scarce", (kind,), 7.0) for kind in sizes.scarce]
    return sorted(parts, key=lambda part: -part.seconds)


def simulate(
    sizes: Sizes, root: Path, tier: str, *, seed: int, workers: int, say: Callable[[str], None]
) -> Findings:
    """Run all parts and add them up.

    Args:
      sizes: how much.
      root: the folder `expectations`.
      tier: whose accepted values and runs the nights are like.
      seed: of all random streams.
      workers: processes.
      say: takes a line of progress now and then.
    """
    parts = plan(sizes)
    streams = np.random.SeedSequence(seed).spawn(len(parts))
    jobs = [(part, root, tier, stream) for part, stream in zip(parts, streams, strict=True)]
    total, done, started = sum(part.seconds for part in parts), 0.0, time.monotonic()
    found: dict[int, Any] = {}
    for index, result in in_any_order(_run, jobs, workers):
        found[index] = result
        done += parts[index].seconds
        left = (time.monotonic() - started) * (total / done - 1)
        say(f"{len(found)} of {len(parts)} parts simulated, about {duration(left)} left")
    findings = Findings()
    for index, part in enumerate(parts):  # in the order of the plan, so that sums are the same every time
        _add(findings, part, found[index])
    return findings


Job = tuple[Part, Path, str, np.random.SeedSequence]


def _run(job: Job) -> Any:
    part, root, tier, stream = job
    return _DOES[part.name](_Setting(root, tier, np.random.default_rng(stream)), *part.arguments)


@dataclass(frozen=True)
class _Setting:
    """What parts are made from."""

    root: Path
    tier: str
    random: np.random.Generator

    @property
    def expectations(self) -> Expectations:
        return _expectations(self.root, self.tier)

    @property
    def study(self) -> planted.Study:
        return _study(self.root, self.tier)


def _unchanged(of: _Setting, worlds: Worlds, nights: int) -> dict[Night, int]:
    make = rates.maker(worlds, of.expectations)
    return rates.unchanged(make, of.expectations, nights, of.random)


def _conditional(of: _Setting, worlds: Worlds, sets: int, nights: int) -> list[float]:
    make = rates.maker(worlds, of.expectations)
    return rates.conditional(make, of.expectations, sets, nights, of.random)


def _changed(of: _Setting, worlds: Worlds, nights: int) -> tuple[Counts, Counts]:
    make = rates.maker(worlds, of.expectations)
    return rates.planted(make, worlds, of.expectations, nights, of.random)


_DOES: dict[str, Callable[..., Any]] = {
    "unchanged": _unchanged,
    "conditional": _conditional,
    "changed": _changed,
    "scarce": lambda of, kind: scarce.of_kind(kind, of.random),
    "seeds": lambda of, nights: rates.with_other_seeds(
        rates.maker("stored", of.expectations), of.expectations, nights, of.random
    ),
    "tails": lambda of, worlds, suites: tails.simulated(
        rates.maker(worlds, of.expectations), suites, of.random
    ),
    "predictions": lambda of, metric, sets, nights: planted.detections(
        of.study, metric, sets, nights, of.random
    ),
    "agreement": lambda of, sets: planted.agreement(of.study, sets, of.random),
    "grid": lambda of, patients, studies: coverage.grid(patients, studies, of.random),
    "candidates": lambda of, patients, seeds, studies, names: coverage.candidates(
        patients, seeds, studies, of.random, names
    ),
}
"""By a part's name."""


def _add(findings: Findings, part: Part, result: Any) -> None:
    if part.name == "unchanged":
        worlds, nights = part.arguments
        findings.red.update({(worlds, night): count for night, count in result.items()})
        findings.nights[worlds] += nights
    elif part.name in {"conditional", "tails"}:
        lists = findings.shares if part.name == "conditional" else findings.kurtosis
        lists.setdefault(part.arguments[0], []).extend(result)
    elif part.name == "agreement":
        findings.agreed.update(result[0])
        findings.items += result[1]
    elif part.name == "scarce":
        findings.supported.update(result[0])
        findings.claims.update(result[1])
    elif part.name in {"grid", "candidates"}:
        for cell, tally in result.items():
            findings.tallies.setdefault(cell, coverage.Tally()).merge(tally)
    else:
        findings.caught.update(result[0])
        findings.tried.update(result[1])


def _split(count: int, most: int) -> Iterable[int]:
    """`count` in pieces of at most `most`."""
    return [min(most, count - start) for start in range(0, count, most)]


@lru_cache(maxsize=1)
def _expectations(root: Path, tier: str) -> Expectations:
    return load(root, tier)


@lru_cache(maxsize=1)
def _study(root: Path, tier: str) -> planted.Study:
    return planted.Study(root, tier, _expectations(root, tier))
