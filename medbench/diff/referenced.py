"""Predictions behind accepted values: those of the reference runs beside them, in a folder or at a revision.

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
from medbench.judge import sample_of
from medbench.metrics import Metric, Sample, evaluate, metric_named
from medbench.spec.runs import PlannedItem, RunSpec
from medbench.store import StoredRun
from medbench.study import Options, Study

Find = Callable[[RunSpec], StoredRun | None]


def with_references(side: Side, find: Find, suite: Path) -> Side:
    """The same accepted values, with the predictions of reference runs where these give them.

    Args:
      side: of accepted values.
      find: gives the reference run of a spec, or None.
      suite: the folder of declarations, from which it follows what an item's runs are.
    """
    plans = _Plans(suite, side.tier)
    items = {
        item_id: [replace(item, predicted=_Referenced(item, plans, find)) for item in items]
        for item_id, items in side.items.items()
    }
    return replace(side, items=items)


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
    """The predictions behind an item's accepted values; see `medbench.diff.sides.Predicted`."""

    item: ItemValues
    plans: _Plans
    find: Find
    cluster: str = "patient"
    """As in all generated cohorts; runs of others are never reference runs."""

    @cached_property
    def _planned(self) -> PlannedItem | None:
        return self.plans.of(self.item.id)

    @property
    def metric(self) -> Metric:
        """Of the item; there is one where there is a sample."""
        assert self._planned is not None
        return metric_named(self._planned.item.metric, self._planned.metrics)

    def sample(self, term: str, seed: int) -> Sample | None:
        """What the metric looks at of a reference run; None where it does not give the accepted value.

        So it is where the value was accepted on another device class, or by another metric or plan.

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
        accepted = self.item.samples[term][seed]
        return sample if value is not None and abs(value - accepted) <= ROUNDED else None
