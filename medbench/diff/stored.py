"""A store as a side: the items of a suite, judged from the runs that it holds, whatever code made them.

A session asks for runs of its own code; here two nights are compared, and each keeps its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medbench.diff.sides import MEDBENCH, Facts, ItemValues, Kind, Side, of_judgement, short, spec_facts
from medbench.errors import MedbenchError
from medbench.identity import shapes_of, spec_id
from medbench.judge import sample_of
from medbench.metrics import Metric, Sample, metric_named
from medbench.record import RunRecord
from medbench.spec.runs import PlannedItem, RunSpec
from medbench.store import Store, StoredRun
from medbench.study import Options, Study


def of_store(store: Store, suite: Path, tier: str) -> Side:
    """Judge all items of a suite from a store, and where it lacks a run, from the reference runs.

    Of several runs of one spec, by several versions of the code, that which finished last is taken. Nothing
    is trained; what is judged is cached in the store, as sessions do.

    Args:
      store: of finished runs.
      suite: the folder of declarations.
      tier: whose items are judged.

    Raises:
      MedbenchError: the suite is wrong, the store holds no run of it, or a run is damaged.
    """
    if store.remote is None and not (store.root / "runs").is_dir():
        raise MedbenchError(f"{store.name}: expected a store of finished runs, found no folder `runs` in it.")
    study = Study.open(
        suite,
        Options(
            tier=tier,
            store=store.home,
            remote=store.remote.url if store.remote else "",
            compare=False,
            runs="never",
        ),
    )
    runs = _Runs(store, study)
    items = [item for item_id in study.items if (item := _judged(study, item_id, runs)) is not None]
    if not runs.used:
        raise MedbenchError(
            f"{store.name}: holds no run that the items of {suite} in tier `{tier}` need. --suite and --tier "
            "name others."
        )
    words = f"store {store.name} ({len(runs.used)} runs, the last of {max(runs.used.values())[:10]})"
    by_id = {item.id: [item] for item in items}
    return Side(words=words, tier=tier, items=by_id, asked=frozenset(study.items))


def _judged(study: Study, item_id: str, runs: "_Runs") -> ItemValues | None:
    """An item; None where a run of it, or weights to plan it with, are not there."""
    if item_id in study.unplannable([item_id]):
        return None
    planned = study.plan([item_id]).items[0]
    judgement = study.judge_from(planned, runs.find)
    if judgement.state == "not-run":
        return None
    found = [run for spec in planned.all_runs if (run := runs.find(spec)) is not None]
    made = [run for run in found if run.origin != "loaded"] or found
    predicted = _Predictions(planned, runs, judgement.cluster)
    shapes = shapes_of(planned.all_runs).get(judgement.task, {})
    facts = {**_facts(run.record for run in made), **spec_facts(judgement.arms, shapes)}
    return of_judgement(judgement, facts, predicted)


class _Runs:
    """The runs of a store by what was run.

    Attributes:
      used: when each run of the store that was asked for was finished, by its id.
    """

    def __init__(self, store: Store, study: Study) -> None:
        self._store, self._study = store, study
        self.used: dict[str, str] = {}
        if store.remote is not None:
            store.connect()
            store.fetch(store.remote.ids())
        self._latest: dict[str, RunRecord] = {}
        for record in sorted(store.records(), key=lambda record: record.finished):
            self._latest[record.spec_id] = record

    def find(self, spec: RunSpec) -> StoredRun | None:
        """The run of a spec that finished last, else its reference run.

        Raises:
          MedbenchError: it is damaged.
        """
        record = self._latest.get(spec_id(spec))
        if record is None:
            return self._study.references.get(spec)
        self.used[record.run_id] = record.finished
        return self._store.get(record.run_id)


@dataclass(frozen=True)
class _Predictions:
    """The predictions behind an item's values; see `medbench.diff.sides.Predicted`."""

    planned: PlannedItem
    runs: _Runs
    cluster: str

    @property
    def metric(self) -> Metric:
        """Of the item."""
        return metric_named(self.planned.item.metric, self.planned.metrics)

    def sample(self, term: str, seed: int) -> Sample:
        """What the metric looks at of one run.

        Raises:
          MedbenchError: predictions are missing or altered.
        """
        of = next(each for each in self.planned.terms if each.name == term)
        run = self.runs.find(self.planned.runs[of.arm][seed])
        assert run is not None
        return sample_of(run, self.metric, of.evaluation_set, self.planned.units)


def _facts(records: Iterable[RunRecord]) -> Facts:
    """What runs were made by and on; of what differs among them all values, joined."""
    found: dict[tuple[Kind, str], set[str]] = {}
    for record in records:
        for key, value in _facts_of(record).items():
            found.setdefault(key, set()).add(value)
    return {key: ", ".join(sorted(values)) for key, values in found.items() if values != {""}}


def _facts_of(record: RunRecord) -> Facts:
    environment = record.environment
    return {
        ("trainer", "trainer"): MEDBENCH if record.trainer is None else str(record.trainer),
        ("code", "commit"): short(environment.commit),
        ("code", "sources"): record.code.partition("-")[0],
        ("settings", "XLA_FLAGS"): environment.xla_flags or "none",
        **{("library", name): version for name, version in environment.libraries.items()},
        ("library", "python"): environment.python,
        ("device", "name"): environment.device,
        ("device", "cores"): str(environment.cores),
    }
