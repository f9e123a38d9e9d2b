"""Runs that workers say they have made, and the store in which they are to be."""

from medbench import spread
from medbench.execute.ahead import Done, Ready
from medbench.execute.errand import Errand
from medbench.failures import Failures
from medbench.identity import code_fingerprint
from medbench.store import Store
from tests import runs

SPECS = [runs.spec(seed=seed) for seed in (1, 2)]


class Elsewhere:
    """One worker, which stores the first run and says that it has done all."""

    size = 1

    def __init__(self, store):
        self._store, self._news = store, [Ready("w")]

    def submit(self, worker, task):
        if "seed 1" in task.label:
            put(self._store, task.id)
        self._news = [Done(worker)]

    def wait(self, timeout):
        news, self._news = self._news, []
        return news


def put(store, run):
    store.put(runs.record(run_id=run), runs.all_predictions(), {})


def made(at, session):
    """What the session knows after a worker with a store of its own has made both runs."""
    tasks = [spread.task_of(spec, code_fingerprint(), Errand(spec=spec, cohort="")) for spec in SPECS]
    failures = Failures()
    outcome = spread.make_ahead(
        tasks, Elsewhere(at), store=session, campaign=None, failures=failures,
        report=lambda event: None, notice=lambda line: None,
    )  # fmt: skip
    assert outcome.done == [task.id for task in tasks]
    return [failures.get(task.id) for task in tasks]


def test_a_run_that_was_made_and_is_not_in_the_store_has_failed(tmp_path):
    store = Store(tmp_path)
    assert made(store, store) == [
        None,
        f"{SPECS[1].label}: made on the cluster, and not in the store {tmp_path}.",
    ]


def test_a_run_that_a_worker_brought_to_the_remote_store_meanwhile_is_there(tmp_path):
    url = f"file://{tmp_path}/remote"
    worker, session = Store(tmp_path / "a", url), Store(tmp_path / "b", url)
    for store in (worker, session):
        store.connect()
    first, second = made(worker, session)
    assert first is None
    assert "not in the store" in second
