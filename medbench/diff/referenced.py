"""Predictions behind values that lie apart from them: of reference runs, and of a report's runs in a store.

A suite is planned, and a run read, once a value moved; nothing is judged or written here.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from medbench.diff.sides import ItemValues, Side
from medbench.errors import MedbenchError
from medbench.expect import ROUNDED
from medbench.identity import spec_id
from medbench.judge import sample_of
from medbench.metrics import Metric, Sample, evaluate, metric_named
from medbench.reference import References
from medbench.report.record import Report
from medbench.spec.runs import PlannedItem, RunSpec
from medbench.store import Store, StoredRun
from medbench.study import Options, Study

Find = Callable[[RunSpec], StoredRun | None]


def with_predictions(side: Side, find: Find, suite: Path) -> Side:
    """The same values, with the predictions of runs that give them.

    Args:
      side: of accepted values, or a report.
      find: gives the run of a spec, or None.
      suite: the folder of declarations, from which it follows what an item's runs are.
    """
    plans = _Plans(suite, side.tier)
    items = {
        item_id: [replace(item, predicted=_Referenced(item, plans, find)) for item in items]
        for item_id, items in side.items.items()
    }
    return replace(side, items=items)


def runs_of_report(report: Report, store: Store, references: References) -> Find:
    """The runs that a report names, by what was run.

    Args:
      report: names them by their ids.
      store: where they are, if they are still there.
      references: for those that were loaded.
    """
    ids = {run.spec_id: run.run_id for run in report.provenance}

    def find(spec: RunSpec) -> StoredRun | None:
        run_id = ids.get(spec_id(spec))
        return (store.get(run_id) if run_id else None) or references.get(spec)

    return find


@dataclass(frozen=True)
class _Plans:
    """What the items of a suite are made of."""

    suite: Path
    tier: str

    @cached_property
    def _study(self) -> Study | None:
        """None where there is no suite to speak of, so that nothing is known but the accepted values."""
        with tempfile.TemporaryDirectory() as nowhere:  # planning needs no store
            options = Options(tier=self.tier, store=Path(nowhere), compare=False, runs="never")
            try:
                return Study.open(self.suite, options)
            except MedbenchError:
                return None

    def of(self, item_id: str) -> PlannedItem | None:
        """An item; None where the suite lacks it, or something to plan it with."""
        study = self._study
        if study is None or item_id not in study.items or study.unplannable([item_id]):
            return None
        return study.plan([item_id]).items[0]


@dataclass(frozen=True)
class _Referenced:
    """The predictions behind an item's values; see `medbench.diff.sides.Predicted`."""

    item: ItemValues
    plans: _Plans
    find: Find
    cluster: str = "patient"
    """In the words of a reason: what stands for one is known to cohorts, which are not opened."""

    @cached_property
    def _planned(self) -> PlannedItem | None:
        return self.plans.of(self.item.id)

    @property
    def metric(self) -> Metric:
        """Of the item; there is one where there is a sample."""
        assert self._planned is not None
        return metric_named(self._planned.item.metric, self._planned.metrics)

    def sample(self, term: str, seed: int) -> Sample | None:
        """What the metric looks at of a run; None where it does not give the value.

        So it is where the value is of another device class, or by another metric or plan, or where the run
        was made again since.

        Raises:
          MedbenchError: a run is damaged.
        """
        planned = self._planned
        if planned is None:
            return None
        of = next((each for each in planned.terms if each.name == term), None)
        spec = planned.runs.get(of.arm, {}).get(seed) if of else None
        run = self.find(spec) if spec else None
        if of is None or run is None:
            return None
        sample = sample_of(run, self.metric, of.evaluation_set, planned.units)
        value, _ = evaluate(self.metric, sample)
        stored = self.item.samples[term][seed]
        return sample if value is not None and abs(value - stored) <= ROUNDED else None
