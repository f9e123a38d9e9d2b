"""A plan's runs spread over machines: who makes which, and what becomes of those that workers make ahead.

Nothing is trained or judged here, and jax is not imported.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import msgspec

from medbench.campaign import Campaign
from medbench.errors import MedbenchError
from medbench.execute.ahead import Outcome, Pool, Scheduler, Task
from medbench.execute.errand import Errand
from medbench.execute.progress import Sink
from medbench.failures import Failures
from medbench.identity import run_id, spec_id
from medbench.spec.runs import RunSpec
from medbench.store import Store


def part_of(specs: Iterable[RunSpec], number: int, machines: int) -> frozenset[str]:
    """One of several machines' part of runs.

    All machines come to the same parts of the same runs, in whatever order these are. Parts differ by one run
    at most, and of the runs of one net each machine has as many.

    Args:
      specs: of the runs.
      number: of the machine, from 1.
      machines: how many there are.

    Returns:
      Ids of specs.
    """
    by_kind = sorted((_kind(spec), spec_id(spec)) for spec in specs)
    return frozenset(name for _, name in by_kind[number - 1 :: machines])


def task_of(spec: RunSpec, code: str, errand: Errand) -> Task:
    """A run as a worker is given it.

    Args:
      spec: the run.
      code: that is to make it.
      errand: what the worker is told.
    """
    return Task(
        id=run_id(spec, code), label=spec.label, kind=_kind(spec), content=msgspec.json.encode(errand)
    )


def make_ahead(
    tasks: Sequence[Task],
    pool: Pool,
    *,
    store: Store,
    campaign: Campaign | None,
    failures: Failures,
    report: Sink,
    notice: Callable[[str], None],
) -> Outcome:
    """Have the workers of a pool make runs.

    Args:
      tasks: of `task_of`, in the order in which they are wanted.
      pool: of workers, which keep runs in the store.
      store: where the runs are to be found afterwards.
      campaign: which runs count as trained again; what is made is added.
      failures: why runs could not be made; added to.
      report: told how the runs go.
      notice: told what a person should know beside it.

    Raises:
      MedbenchError: no worker is left; what is done stays done.
    """

    def done(run: str) -> None:
        if campaign is not None:
            campaign.add(run)

    outcome = Scheduler(pool, report=report, notice=notice, done=done, failed=failures.add).run(tasks)
    labels = {task.id: task.label for task in tasks}
    for run in outcome.done:
        if not _is_there(run, store):
            failures.add(run, f"{labels[run]}: made on the cluster, and not in the store {store.root}.")
    return outcome


def _is_there(run: str, store: Store) -> bool:
    """Whether the store has a run; a damaged one, too, of which the items tell that need it."""
    with suppress(MedbenchError), store.lock(run):
        return store.has(run)  # asked anew under the lock, where the store is a remote one
    return True


def _kind(spec: RunSpec) -> str:
    """What runs have in common that one process compiles and decodes for once."""
    return f"{spec.task}/{spec.backbone.architecture}/{spec.recipe.name}/{spec.fraction:g}"
