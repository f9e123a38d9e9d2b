"""What scheduling costs: simulated runs, which only sleep, through the scheduler that real runs take.

`python -m bench.scheduling` takes 20 minutes and some 6 GiB; no jax here.
"""

import argparse
import heapq
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from medbench.execute.ahead import News, Pool, Ready, Scheduler, Task, in_words
from medbench.execute.progress import Event, Sink
from medbench.execute.ray_cluster import Need, connected

ENTRY = "bench.scheduling:Sleeper"
RUNS, WORKERS = 5000, 64
SHORTEST, LONGEST = 10.0, 20.0
"""Seconds of a run."""
KINDS = 20


class Sleeper:
    """What workers do: sleep, and tell of it as a run tells of its stages."""

    def __init__(self, terms: bytes) -> None:
        del terms

    def __call__(self, content: bytes, report: Sink) -> None:
        """Sleep for so many seconds, and tell at the end how many it was."""
        begin = time.perf_counter()
        seconds = msgspec.json.decode(content, type=float)
        report(Event(kind="started", run=str(seconds)))
        steps = max(1, round(seconds))
        for step in range(steps):
            time.sleep(seconds / steps)
            report(Event(kind="stage", run=str(seconds), stage="train", done=step + 1, total=steps))
        report(Event(kind="finished", run=str(seconds), text=str(time.perf_counter() - begin)))


class Together:
    """A pool whose workers begin together, once the last has started.

    What starting takes depends on how many share a machine, and is told by itself.

    Args:
      pool: the real one.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool, self._ready = pool, 0
        self._held: list[News] = []
        self.submit, self.cancel = pool.submit, pool.cancel

    @property
    def size(self) -> int:
        """How many work or are about to."""
        return self._pool.size

    def wait(self, timeout: float) -> Sequence[News]:
        """What has happened, once all workers have started."""
        while self._ready < self._pool.size:
            self._held += (news := self._pool.wait(timeout))
            self._ready += sum(isinstance(each, Ready) for each in news)
        held, self._held = self._held, []
        return held or self._pool.wait(timeout)


@dataclass
class Clock:
    """When the first run started and the last one ended, by this process's clock; and what runs took."""

    first: float = 0.0
    ends: dict[str, float] = field(default_factory=dict)
    taken: float = 0.0
    events: int = 0

    def report(self, event: Event) -> None:
        """Note an event."""
        self.events += 1
        if event.kind == "started" and not self.first:
            self.first = time.perf_counter()
        if event.kind == "finished":
            self.taken += float(event.text)
            self.ends[event.worker] = time.perf_counter()

    @property
    def wall(self) -> float:
        """Seconds from the first start to the last end."""
        return max(self.ends.values()) - self.first

    @property
    def idle_at_the_end(self) -> float:
        """Seconds that workers had nothing to do while others were at their last run, summed."""
        return sum(max(self.ends.values()) - end for end in self.ends.values())


def ideal(seconds: Sequence[float], workers: int) -> float:
    """Wall time of the same runs in the same order, each given to the first free worker at no cost at all."""
    free = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def tasks(seconds: Sequence[float], kinds: int) -> list[Task]:
    """A task a duration; neighbours are of a kind, as in a plan."""
    return [
        Task(id=str(n), label=str(n), kind=str(n * kinds // len(seconds)), content=msgspec.json.encode(each))
        for n, each in enumerate(seconds)
    ]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was measured.

    Attributes:
      runs: that were done.
      workers: that did them.
      starting: seconds until the cluster and all workers had started.
      wall: seconds from the first start to the last end.
      ideal: seconds that an ideal schedule takes.
      overhead: what the workers' time comes to beyond the runs', as a share of these; of it:
      overslept: runs that slept longer than they should, on a busy machine.
      idle: last runs, while other workers have none.
      events: that were told.
    """

    runs: int
    workers: int
    starting: float
    wall: float
    ideal: float
    overhead: float
    overslept: float
    idle: float
    events: int

    @classmethod
    def of(cls, clock: Clock, seconds: Sequence[float], workers: int, starting: float) -> Self:
        """From what a clock saw of runs of so many seconds."""
        work = sum(seconds)
        return cls(
            runs=len(seconds),
            workers=workers,
            starting=starting,
            wall=clock.wall,
            ideal=ideal(seconds, workers),
            overhead=clock.wall * workers / work - 1,
            overslept=clock.taken / work - 1,
            idle=clock.idle_at_the_end / work,
            events=clock.events,
        )


def rows() -> Iterator[dict[str, Any]]:
    """What 5,000 runs on 64 workers cost: `name`, `ours`, `peer`, `ratio`, `unit` and `note`."""
    found = measured(runs=RUNS, workers=WORKERS, shortest=SHORTEST, longest=LONGEST, kinds=KINDS)
    parts = {
        "overhead": (found.overhead, f"{found.wall:.1f} s; an ideal schedule: {found.ideal:.1f} s"),
        "overslept": (found.overslept, "runs that slept longer than they should"),
        "idle": (found.idle, "last runs, while other workers have none"),
        "scheduling": (found.overhead - found.overslept - found.idle, f"{found.events} events"),
    }
    for name, (share, note) in parts.items():
        yield {
            "name": f"scheduling/{found.runs}-runs/{found.workers}-workers/{name}",
            "ours": 100 * share,
            "peer": None,
            "ratio": None,
            "unit": "% of the work",
            "note": note,
        }


def measured(*, runs: int, workers: int, shortest: float, longest: float, kinds: int) -> Found:
    """Send runs that sleep to Ray workers on this machine.

    Args:
      runs: how many.
      workers: that do them.
      shortest: seconds of the shortest run.
      longest: of the longest.
      kinds: how many sorts of runs, as of nets and cohorts.

    Raises:
      SystemExit: a run was lost, so that nothing was measured.
    """
    import ray  # noqa: PLC0415 (which only this measurement needs)

    chance = random.Random(0)
    seconds = [chance.uniform(shortest, longest) for _ in range(runs)]
    clock, begin = Clock(), time.perf_counter()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error"
    )
    try:
        with connected(ENTRY, b"", need=Need({"CPU": 1}), at_most=workers, notice=tell) as pool:
            scheduler = Scheduler(
                Together(pool), report=clock.report, notice=tell, done=lambda _: None, failed=tell
            )
            outcome = scheduler.run(tasks(seconds, kinds))
    finally:
        ray.shutdown()
    if len(outcome.done) < runs or outcome.lost:
        raise SystemExit(f"{in_words(outcome)} of {runs}: nothing was measured")
    return Found.of(clock, seconds, workers, clock.first - begin)


def tell(*words: str) -> None:
    """To whom waits."""
    print(*words, file=sys.stderr)


def main() -> None:
    """Measure, and print what it comes to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--shortest", type=float, default=SHORTEST, help="seconds of the shortest run")
    parser.add_argument("--longest", type=float, default=LONGEST, help="seconds of the longest run")
    parser.add_argument(
        "--kinds", type=int, default=KINDS, help="how many sorts of runs, as of nets and cohorts"
    )
    options = parser.parse_args()
    found = measured(**vars(options))
    print(f"{found.runs} runs of {options.shortest:g}-{options.longest:g} s, {found.workers} workers")
    print(f"until the cluster and all workers had started: {found.starting:.1f} s")
    print(f"from the first start to the last end: {found.wall:.1f} s; an ideal schedule: {found.ideal:.1f} s")
    print(f"overhead: {100 * found.overhead:.2f} %, of it:")
    print(f"  {100 * found.overslept:.2f} % runs that slept longer than they should (a busy machine)")
    print(f"  {100 * found.idle:.2f} % last runs, while other workers have none")
    print(f"  {100 * (found.overhead - found.overslept - found.idle):.2f} % scheduling")
    print(f"{found.events} events")


if __name__ == "__main__":
    main()
