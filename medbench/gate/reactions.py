"""Worlds judged: the verdicts of a world without a plant beside those of its planted versions.

By `medbench.judge` from simulated predictions. What was expected of them is in `medbench.gate.matrix`.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from medbench.data.sources import open_cohort
from medbench.execute.progress import duration
from medbench.gate.claim_worlds import NOTHING, Harm, Setting
from medbench.gate.matrix import Expected, Matrix, matrix
from medbench.gate.workers import in_any_order
from medbench.judge import judge
from medbench.judgement import Interval, Judgement, Verdict
from medbench.others.runs import OthersRun
from medbench.plan import Planner, items
from medbench.predictions import Predictions
from medbench.spec.effects import BASELINE
from medbench.spec.records import Suite
from medbench.spec.runs import PlannedItem, RunSpec
from medbench.spec.suite import load_suite

TIER = "embedded"
"""Whose arms and cohorts worlds are like."""
FIRST = 121
"""The first world that the matrix is judged on: those before it were looked at while it was written, or an
earlier one was judged on them."""
SEEDS = 5
"""Of each arm, as many as the claims with the fewest have. Claims with more are judged from the first of
theirs, which makes it harder for them to be supported, and halves what judging takes."""
WORLDS_OF_MAY = 5
"""Nothing is held against what may react, so that it is judged in the first worlds only."""
HELD: tuple[Expected, ...] = ("must", "must-not")
EXPECTED: tuple[Expected, ...] = (*HELD, "may")
_RANK = {"supported": 2, "inconclusive": 1, "refuted": 0}

Runs = dict[str, dict[int, OthersRun]]


class Planted(NamedTuple):
    """What is planted in a world.

    Attributes:
      plant: its name.
      size: as in the matrix.
    """

    plant: str
    size: float


class Outcome(NamedTuple):
    """An item in a planted world and in its twin.

    Attributes:
      world: its number.
      planted: what was.
      item: id.
      before: verdict without it; None where the metric is undefined.
      after: verdict with it.
      change: of the effect by the plant; None where it is undefined.
      effect: with the plant; None where it is undefined.
    """

    world: int
    planted: Planted
    item: str
    before: Verdict | None
    after: Verdict | None
    change: float | None
    effect: Interval | None = None

    @property
    def reacts(self) -> bool:
        """Whether the verdict falls: from supported to another, or from inconclusive to refuted.

        A world and its twin have the same random numbers, so that nothing but the plant makes it fall.
        """
        return self.before is not None and self.after is not None and _RANK[self.after] < _RANK[self.before]


class Bench:
    """A suite as worlds are simulated for it.

    Attributes:
      matrix: what is expected.
      suite: the declarations.
      tasks: those with a simulated item, in the order of the suite.

    Args:
      root: the folder of declarations.

    Raises:
      MedbenchError: a declaration is wrong, or the matrix does not fit the suite.
    """

    def __init__(self, root: Path) -> None:
        self.suite: Suite = load_suite(root)
        cohorts = {
            name: open_cohort(task.cohorts[TIER])
            for name, task in self.suite.tasks.items()
            if TIER in task.cohorts
        }
        self.matrix: Matrix = matrix(self.suite, items(self.suite, tier=TIER, cohorts=cohorts), cohorts)
        plan = Planner(self.suite, tier=TIER, cohorts=cohorts).plan(self.matrix.items)
        self.tasks = tuple(dict.fromkeys(item.task for item in self.matrix.items))
        self._planned = {
            task: [_with_few_seeds(planned) for planned in plan.items if planned.item.task == task]
            for task in self.tasks
        }
        self._settings = {
            task: Setting(number, cohorts[task], self._planned[task][0].units)
            for number, task in enumerate(self.tasks)
        }

    @property
    def planted(self) -> tuple[Planted, ...]:
        """What the matrix declares."""
        return tuple(Planted(name, plant.size) for name, plant in self.matrix.declared.plants.items())

    def harm(self, task: str, planted: Planted) -> Harm:
        """What that is in worlds of a task."""
        plant = replace(self.matrix.declared.plants[planted.plant], size=planted.size)
        return plant.harm(task, self._settings[task].cohort)

    def outcomes(
        self, task: str, world: int, planted: Sequence[Planted], expected: Collection[Expected]
    ) -> list[Outcome]:
        """A world of a task: its items judged without a plant and with each.

        Args:
          task: of the suite.
          world: its number, from which all random numbers follow.
          planted: one after another, never together.
          expected: only items of which one of these is expected with a plant are judged with it.
        """
        before = self._runs(task, world, NOTHING)
        after = {each: self._runs(task, world, self.harm(task, each)) for each in planted}
        found: list[Outcome] = []
        for item in self._planned[task]:
            judged = {
                each: runs
                for each, runs in after.items()
                if self.matrix.cell(each.plant, item.item.id).expected in expected
            }
            if judged:
                found += self._reactions(item, world, before, judged)
        return found

    def _runs(self, task: str, world: int, harm: Harm) -> Runs:
        return self._settings[task].runs(world, harm, self._specs(task))

    def _specs(self, task: str) -> dict[str, dict[int, RunSpec]]:
        """The runs of the item that has the most seeds; the others take the first of them."""
        return max((planned.runs for planned in self._planned[task]), key=lambda runs: len(runs[BASELINE]))

    def _reactions(
        self, item: PlannedItem, world: int, before: Runs, after: Mapping[Planted, Runs]
    ) -> Iterable[Outcome]:
        """An item in each planted version; where all that it looks at is equal, so is the judgement."""
        looked_at: set[str] = set()
        twin = self._judged(item, _noting(before, looked_at))
        for planted, runs in after.items():
            equal = all(_alike(before, runs, evaluation_set) for evaluation_set in looked_at)
            judged = twin if equal else self._judged(item, runs)
            change = None
            if twin.effect is not None and judged.effect is not None:
                change = judged.effect.value - twin.effect.value
            yield Outcome(world, planted, item.item.id, twin.verdict, judged.verdict, change, judged.effect)

    def _judged(self, item: PlannedItem, runs: Mapping[str, Mapping[int, OthersRun]]) -> Judgement:
        return judge(item, self.suite.claims[item.item.claim], runs, generated=True)


def _with_few_seeds(planned: PlannedItem) -> PlannedItem:
    runs = {arm: dict(list(by_seed.items())[:SEEDS]) for arm, by_seed in planned.runs.items()}
    return replace(planned, runs=runs)


def simulate(
    root: Path,
    worlds: Sequence[int],
    *,
    workers: int,
    say: Callable[[str], None],
    tasks: Sequence[str] = (),
) -> list[Outcome]:
    """Judge worlds of every task.

    Args:
      root: the suite's folder.
      worlds: their numbers; what may react is judged in the first `WORLDS_OF_MAY` of them.
      workers: processes.
      say: takes a line of progress now and then.
      tasks: those that are simulated; all of the suite unless given.

    Raises:
      MedbenchError: as of `Bench`.
    """
    jobs = [
        (root, task, world, HELD if place >= WORLDS_OF_MAY else EXPECTED)
        for place, world in enumerate(worlds)
        for task in tasks or bench(root).tasks
    ]
    found: dict[int, list[Outcome]] = {}
    started = time.monotonic()
    for index, result in in_any_order(_world, jobs, workers):
        found[index] = result
        left = (time.monotonic() - started) * (len(jobs) / len(found) - 1)
        say(f"{len(found)} of {len(jobs)} worlds judged, about {duration(left)} left")
    return [outcome for index in range(len(jobs)) for outcome in found[index]]


@lru_cache(maxsize=1)
def bench(root: Path) -> Bench:
    """The suite's, read once in a process."""
    return Bench(root)


def _world(job: tuple[Path, str, int, tuple[Expected, ...]]) -> list[Outcome]:
    root, task, world, expected = job
    of = bench(root)
    return of.outcomes(task, world, of.planted, expected)


@dataclass(frozen=True)
class _Noting(OthersRun):
    """A run that notes which sets are looked at."""

    looked_at: set[str] = field(default_factory=set)

    def predictions(self, evaluation_set: str) -> Predictions:
        self.looked_at.add(evaluation_set)
        return super().predictions(evaluation_set)


def _noting(runs: Runs, looked_at: set[str]) -> dict[str, dict[int, _Noting]]:
    return {
        arm: {seed: _Noting(run.record, run.scored, looked_at=looked_at) for seed, run in by_seed.items()}
        for arm, by_seed in runs.items()
    }


def _alike(before: Runs, after: Runs, evaluation_set: str) -> bool:
    """Whether all runs have the same logits on a set; all else is the same by construction."""
    return all(
        np.array_equal(
            run.predictions(evaluation_set).logits, after[arm][seed].predictions(evaluation_set).logits
        )
        for arm, by_seed in before.items()
        for seed, run in by_seed.items()
    )
