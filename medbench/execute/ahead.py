"""Makes many runs on many workers before anything is judged: who gets which next, and what becomes of it.

Knows neither Ray nor training: a task is bytes to it, a pool is whatever does tasks. No jax, no numpy here.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from medbench.errors import MedbenchError
from medbench.execute.progress import Event, Sink

ATTEMPTS = 3
"""How often a run is given out whose worker dies each time: by then it is the run that kills them."""
PATIENCE = 60.0
"""Seconds without any worker after which a person is told."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker is to do.

    Attributes:
      id: unique among the tasks.
      label: in words, as in its events.
      kind: tasks of one kind share compiled code and decoded images, so a worker gets more of its own.
      content: what the worker is told.
    """

    id: str
    label: str
    kind: str
    content: bytes


@dataclass(frozen=True)
class Ready:
    """A worker has started."""

    worker: str


@dataclass(frozen=True)
class Told:
    """A worker tells of its task."""

    worker: str
    event: Event


@dataclass(frozen=True)
class Done:
    """A worker has done its task."""

    worker: str


@dataclass(frozen=True)
class Failed:
    """A worker could not do its task, and nobody else need try."""

    worker: str
    message: str


@dataclass(frozen=True)
class Lost:
    """A worker died, and another starts in its place."""

    worker: str
    reason: str


@dataclass(frozen=True)
class Refused:
    """A worker is not fit to work, or cannot start; none comes in its place."""

    message: str


News = Ready | Told | Done | Failed | Lost | Refused


class Pool(Protocol):
    """Workers that do one task at a time each."""

    @property
    def size(self) -> int:
        """How many work or are about to."""

    def submit(self, worker: str, task: Task) -> None:
        """Give a task to a worker that has none."""

    def wait(self, timeout: float) -> Sequence[News]:
        """What has happened, once something has; nothing after `timeout` seconds."""

    def cancel(self) -> None:
        """End all workers at once, whatever they do."""


@dataclass
class Outcome:
    """What became of the tasks.

    Attributes:
      done: ids.
      failed: messages by id.
      lost: how often a worker died over a task.
    """

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lost: int = 0


class Waiting:
    """The tasks that nobody has yet.

    Args:
      tasks: in the order in which they are wanted.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._by_kind: dict[str, deque[Task]] = {}
        for task in tasks:
            self._by_kind.setdefault(task.kind, deque()).append(task)

    def __len__(self) -> int:
        return sum(map(len, self._by_kind.values()))

    def put_back(self, task: Task) -> None:
        """Of a worker that died: it is next of its kind."""
        self._by_kind.setdefault(task.kind, deque()).appendleft(task)

    def take(self, before: str | None, in_work: Counter[str]) -> Task:
        """The next task for a worker: one of the kind it did before, else of that which most needs hands.

        Args:
          before: the kind of the worker's last task; None if it is new.
          in_work: how many other workers are at a task of each kind.
        """
        kind = before if before in self._by_kind else max(self._by_kind, key=self._need(in_work))
        tasks = self._by_kind[kind]
        task = tasks.popleft()
        if not tasks:
            del self._by_kind[kind]
        return task

    def _need(self, in_work: Counter[str]) -> Callable[[str], float]:
        return lambda kind: len(self._by_kind[kind]) / (1 + in_work[kind])


class Scheduler:
    """Gives tasks to the workers of a pool until all are done or have failed.

    A worker has one task at a time and the rest stay here: what a task takes is long beside the way to a
    worker, and a queue at a worker would hold up its tasks at the end, when others are idle.

    Args:
      pool: which is started.
      report: told what workers tell, and of lost ones.
      notice: told what a person should know beside it.
      done: called with the id of each task that is done, as it is.
      failed: called with the id of each that cannot be done, and why.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        report: Sink,
        notice: Callable[[str], None],
        done: Callable[[str], None],
        failed: Callable[[str, str], None],
    ) -> None:
        self._pool, self._report, self._notice = pool, report, notice
        self._done, self._failed = done, failed
        self._idle: dict[str, str | None] = {}
        self._busy: dict[str, Task] = {}
        self._given: Counter[str] = Counter()
        self._refusals: dict[str, None] = {}
        self._outcome = Outcome()

    def run(self, tasks: Iterable[Task]) -> Outcome:
        """Do all tasks; if this process is interrupted, workers are ended and what is done stays done.

        Raises:
          MedbenchError: no worker is left; the message says why the last ones were refused.
        """
        waiting = Waiting(tasks)
        patient = True
        try:
            while waiting or self._busy:
                self._require_workers(len(waiting) + len(self._busy))
                news = self._pool.wait(PATIENCE)
                for each in news:
                    self._hear(each, waiting)
                while waiting and self._idle:
                    self._give_out(waiting)
                if patient and not news and not self._busy:
                    patient = False
                    self._notice("no worker is ready yet: others have the machines, or they are starting")
        except BaseException:
            self._pool.cancel()
            for worker, task in self._busy.items():
                self._report(Event(kind="interrupted", run=task.label, worker=worker))
            raise
        return self._outcome

    def _give_out(self, waiting: Waiting) -> None:
        worker, before = self._idle.popitem()
        task = waiting.take(before, Counter(task.kind for task in self._busy.values()))
        self._given[task.id] += 1
        self._busy[worker] = task
        self._pool.submit(worker, task)

    def _hear(self, news: News, waiting: Waiting) -> None:
        match news:
            case Ready(worker):
                self._idle[worker] = None
            case Told(worker, event):
                self._report(msgspec.structs.replace(event, worker=worker))
            case Done(worker):
                self._outcome.done.append(self._ended(worker).id)
                self._done(self._outcome.done[-1])
            case Failed(worker, message):
                self._fail(self._ended(worker), message)
            case Lost(worker, reason):
                self._lose(worker, reason, waiting)
            case Refused(message):
                if message not in self._refusals:
                    self._notice(message)
                self._refusals[message] = None

    def _ended(self, worker: str) -> Task:
        """The task of a worker that takes the next one."""
        task = self._busy.pop(worker)
        self._idle[worker] = task.kind
        return task

    def _fail(self, task: Task, message: str) -> None:
        self._outcome.failed[task.id] = message
        self._failed(task.id, message)

    def _lose(self, worker: str, reason: str, waiting: Waiting) -> None:
        self._idle.pop(worker, None)
        task = self._busy.pop(worker, None)
        if task is None:
            return
        self._outcome.lost += 1
        if self._given[task.id] < ATTEMPTS:
            self._report(Event(kind="lost", run=task.label, worker=worker, text=reason))
            waiting.put_back(task)
            return
        self._report(Event(kind="failed", run=task.label, worker=worker))
        self._fail(
            task,
            f"{task.label}: lost {ATTEMPTS} times as its worker died, the last time with {worker} "
            f"({reason}). Is there too little memory for it? Run again to try again.",
        )

    def _require_workers(self, left: int) -> None:
        if self._pool.size == 0:
            why = " ".join(self._refusals) or "All have died."
            raise MedbenchError(
                f"no worker is left for {left} runs that are to be made; finished ones are kept. {why}"
            )


def in_words(outcome: Outcome) -> str:
    """`58 runs made, 2 failed, 1 lost with its worker`."""
    made = len(outcome.done)
    parts = [f"{made} run{'' if made == 1 else 's'} made"]
    parts += [f"{len(outcome.failed)} failed"] if outcome.failed else []
    parts += [f"{outcome.lost} lost with its worker"] if outcome.lost else []
    return ", ".join(parts)
