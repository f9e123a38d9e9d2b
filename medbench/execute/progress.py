"""How a person follows the training of many runs: events, who writes them down and who shows them.

A worker of pytest-xdist has no terminal, so it keeps a journal that the controller follows.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TextIO, cast

import msgspec
from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

BEFORE_EVALUATION = 0.9
"""Share of a run's time that training takes; scoring takes the rest (27 s and 4 s measured)."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a run."""

    kind: Literal["waiting", "started", "stage", "finished", "interrupted", "failed", "lost"]
    """`lost`: with its worker, so that another makes it."""
    run: str
    """The run in words (`RunSpec.label`)."""
    worker: str = ""
    """Of pytest-xdist, such as `gw1`, or of a cluster, such as `node-a/1`; empty in the session's process."""
    text: str = ""
    """Why a run starts, for whom it waits, how it was lost, or what a stage has to say."""
    stage: str = ""
    """`decode …`, `compile`, `train` or `evaluate`."""
    done: int = 0
    total: int = 0
    """Of the stage."""


Sink = Callable[[Event], None]
"""Where events go; returns at once and never fails a run."""


def duration(seconds: float) -> str:
    """Seconds as a person says them: `21 s`, `3 min`, `1 h 5 min`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def side_by_side(seconds: float, runs: int, workers: int) -> float:
    """Seconds that runs take when several train at once, about: no run is shared between workers.

    Args:
      seconds: of all, one after another.
      runs: how many there are.
      workers: how many could train at the same time.
    """
    return seconds / max(1, min(runs, workers))


class Estimate:
    """How long the rest of a plan takes, judged by the runs so far.

    Args:
      total: runs to train in this session.
      workers: how many train at the same time.
      clock: seconds that only grow.
    """

    def __init__(self, total: int, workers: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._workers, self._clock = total, workers, clock
        self._started: dict[str, float] = {}
        self._fraction: dict[str, float] = {}
        self._seconds: list[float] = []

    @property
    def finished(self) -> int:
        """Runs that are done."""
        return len(self._seconds)

    @property
    def begun(self) -> int:
        """Runs that are done or under way."""
        return self.finished + len(self._started)

    def start(self, run: str) -> None:
        """A run begins."""
        self._started[run], self._fraction[run] = self._clock(), 0.0

    def reach(self, run: str, fraction: float) -> None:
        """A run is that far, in [0, 1]."""
        self._fraction[run] = fraction

    def finish(self, run: str) -> float:
        """A run is done; returns its seconds."""
        seconds = self._clock() - self._started.pop(run)
        del self._fraction[run]
        self._seconds.append(seconds)
        return seconds

    def runs(self, run: str) -> bool:
        """Whether a run has begun and not ended."""
        return run in self._started

    def drop(self, run: str, *, again: bool = False) -> None:
        """A run failed or was interrupted, and counts no longer, unless it is to begin again."""
        del self._started[run], self._fraction[run]
        self._total -= not again

    def left(self) -> float | None:
        """Seconds until all runs are done; None while nothing is known."""
        known = self._seconds or [
            (self._clock() - self._started[run]) / fraction
            for run, fraction in self._fraction.items()
            if fraction > 0
        ]
        if not known:
            return None
        not_begun = max(0, self._total - self.finished - len(self._fraction))
        runs_left = not_begun + sum(1 - fraction for fraction in self._fraction.values())
        mean = sum(known) / len(known)
        return side_by_side(runs_left * mean, not_begun + len(self._fraction), self._workers)


class Forgiving:
    """A stream that never fails who writes: it escapes what its encoding lacks, and drops the rest.

    Args:
      stream: which may be closed at its other end.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write what can be written; returns the length of all."""
        with suppress(OSError, ValueError):
            self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Flush, if there is still anybody to read."""
        with suppress(OSError, ValueError):
            self._stream.flush()


class Console:
    """Shows events to a person: a moving line a run on a terminal, else one line when a run starts and ends.

    Args:
      stream: where to; not captured by pytest. What it cannot show is escaped or lost, not fatal.
      total: runs to train in this session.
      workers: how many train at the same time.
      live: whether lines may move; by default if `stream` is a terminal.
    """

    def __init__(self, stream: TextIO, *, total: int, workers: int = 1, live: bool | None = None) -> None:
        self._estimate = Estimate(total, workers)
        self._total = total
        self._live = stream.isatty() if live is None else live
        self._console = RichConsole(
            file=cast("TextIO", Forgiving(stream)), highlight=False, force_terminal=self._live, soft_wrap=True
        )
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Show one event; of a run whose start was lost, that it was lost with its worker and no other."""
        if event.kind not in {"waiting", "started"} and not self._estimate.runs(event.run):
            if event.kind == "lost":
                self._print(f"{event.run}: {_begins_again(event)}")
            return
        match event.kind:
            case "waiting":
                self._print(f"{event.run}: waits for {event.text}, which trains the same run")
            case "started":
                self._estimate.start(event.run)
                self._show_start(event)
            case "stage":
                if event.text:
                    self._print(f"{event.run}: {event.text}")
                self._show_stage(event)
            case "finished":
                self._show_end(event, f"{duration(self._estimate.finish(event.run))}{self._rest()}")
            case "interrupted" | "failed":
                self._estimate.drop(event.run)
                self._show_end(event, event.kind)
            case "lost":
                self._estimate.drop(event.run, again=True)
                self._show_end(event, _begins_again(event))

    def _show_start(self, event: Event) -> None:
        if not self._live:
            where = f" on {event.worker}" if event.worker else ""
            reason = f" ({event.text})" if event.text else ""
            number = self._estimate.begun
            self._print(f"[{number}/{max(number, self._total)}] {event.run}: trains{where}{reason}")
            return
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=18),
                TaskProgressColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=self._console,
            )
            self._bars.start()
        self._tasks[event.run] = self._bars.add_task(event.run, total=1.0, note="")

    def _show_stage(self, event: Event) -> None:
        fraction = _fraction(event)
        self._estimate.reach(event.run, fraction)
        if self._bars is not None:
            note = f"{event.stage}{self._rest()}"
            self._bars.update(self._tasks[event.run], completed=fraction, note=note)

    def _show_end(self, event: Event, note: str) -> None:
        if self._bars is None:
            self._print(f"{event.run}: {note}")
            return
        task = self._tasks.pop(event.run)
        done = (
            1.0 if event.kind == "finished" else self._bars.tasks[self._bars.task_ids.index(task)].completed
        )
        self._bars.update(task, completed=done, note=note)
        if not self._tasks:  # between runs the terminal is pytest's
            self._bars.stop()
            self._bars = None

    def _rest(self) -> str:
        left = self._estimate.left()
        return f", about {duration(left)} left" if left else ""

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False)


def _begins_again(event: Event) -> str:
    return f"lost with {event.worker}, begins again ({event.text})"


class Seldom:
    """Passes on events, but of one stage no more than a person can follow.

    Args:
      sink: receives the others.
      every: least seconds between two events of the same stage.
    """

    def __init__(self, sink: Sink, every: float = 0.5) -> None:
        self._sink, self._every = sink, every
        self._last: tuple[str, str] = ("", "")
        self._passed = 0.0

    def __call__(self, event: Event) -> None:
        """Pass on one event, unless the same stage was passed on a moment ago and this one says no more."""
        step, bare = (event.run, event.stage), event.kind == "stage" and not event.text
        now = time.monotonic()
        if bare and step == self._last and now - self._passed < self._every:
            return
        self._last, self._passed = step, now
        self._sink(event)


class Journal:
    """Writes a worker's events to a file, one JSON line each; what cannot be written is lost, not fatal.

    Args:
      path: the file; its folder is made.
      worker: put on every event.
      every: least seconds between two events of the same stage.
    """

    def __init__(self, path: Path, worker: str, every: float = 0.5) -> None:
        self._path, self._worker = path, worker
        self._seldom = Seldom(self._write, every)

    def __call__(self, event: Event) -> None:
        """Write one event, unless it says no more than one of a moment ago."""
        self._seldom(event)

    def _write(self, event: Event) -> None:
        line = msgspec.json.encode(msgspec.structs.replace(event, worker=self._worker)) + b"\n"
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as file:
                file.write(line)


class Follower:
    """Passes on what workers write into their journals, until it is stopped.

    Args:
      folder: where the journals `*.jsonl` are.
      sink: receives every event, from one thread.
      every: seconds between two looks.
    """

    def __init__(self, folder: Path, sink: Sink, every: float = 0.2) -> None:
        self._folder, self._sink, self._every = folder, sink, every
        self._read: dict[Path, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="medbench-progress", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Pass on the rest, and return when all is passed on."""
        self._over.set()
        self._thread.join()
        self._pass_on()

    def _follow(self) -> None:
        while not self._over.wait(self._every):
            self._pass_on()

    def _pass_on(self) -> None:
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                lines = file.read().rpartition(b"\n")[0]  # the last line may still be in the writing
            if lines:
                self._read[path] = self._read.get(path, 0) + len(lines) + 1
            for line in lines.split(b"\n"):
                # A worker that was killed leaves half a line.
                with suppress(msgspec.DecodeError, UnicodeDecodeError):
                    self._sink(msgspec.json.decode(line, type=Event))


def this_worker() -> str:
    """The name of this worker of pytest-xdist; empty outside it."""
    return os.environ.get("PYTEST_XDIST_WORKER", "")


def _fraction(event: Event) -> float:
    """How far the run is after this event: preparing counts nothing, training most, scoring the rest."""
    done = event.done / event.total if event.total else 0.0
    if event.stage == "train":
        return BEFORE_EVALUATION * done
    if event.stage == "evaluate":
        return BEFORE_EVALUATION + (1 - BEFORE_EVALUATION) * done
    return 0.0
