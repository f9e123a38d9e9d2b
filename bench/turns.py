"""Two sides of a comparison take turns, each in a process of its own, so that their threads never meet.

What they compute is theirs; here are only the order of turns and what is made of the seconds.
"""

import contextlib
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from bench.cases import Case
from bench.table import Row

MODULES = {"ours": "bench.ours", "peer": "bench.peer"}
TURN_SECONDS = 1.0
"""A turn takes about so long, or one step where that takes longer."""
PAUSE_SECONDS = 0.05
"""Until the threads of the side that just finished have ceased to spin."""
HOPELESS = 1.2
"""A variant whose fastest turn takes so many times that of the fastest variant sits out from then on."""
LARGEST_DIFFERENCE = {"train": 0.05, "infer": 1e-3, "matmul": 1e-3, "triad": 1e-3}
"""Of results between the sides, by kind of case. A gradient may differ by more than its terms are rounded:
one ReLU of the small last maps that rounding switches moves it by up to a hundredth of its length."""


class Side(Protocol):
    """One side, which works only while it is asked."""

    def prepare(self, case: Case, folder: Path) -> dict[str, float]:
        """Make a case ready; variants and their differences from the answer that our side left."""

    def run(self, variant: str, steps: int) -> float:
        """Seconds that so many steps take."""


class Worker:
    """A side in another interpreter, asked through pipes; sleeps until it is."""

    def __init__(self, python: str, module: str, env: Mapping[str, str] | None = None) -> None:
        self._name = f"{python} -m {module}"
        self._process = subprocess.Popen(
            [python, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def prepare(self, case: Case, folder: Path) -> dict[str, float]:
        """As of `Side`."""
        found: dict[str, float] = self.ask("prepare", case=case.as_message(), folder=str(folder))
        return found

    def run(self, variant: str, steps: int) -> float:
        """As of `Side`."""
        return float(self.ask("run", variant=variant, steps=steps))

    def ask(self, what: str, **arguments: Any) -> Any:
        """Call a method of the case that is ready there.

        Raises:
          SystemExit: the process ended, having said why.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, "with": arguments}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise SystemExit(f"{self._name} ended; what it said is above")
        return json.loads(answer)

    def close(self) -> None:
        """End the process by ending its input."""
        with contextlib.suppress(BrokenPipeError), self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


@contextlib.contextmanager
def workers(pythons: Mapping[str, str]) -> Iterator[dict[str, Worker]]:
    """Sides by name, `ours` and perhaps `peer`, each in the interpreter given, until the block ends."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(contextlib.closing(Worker(python, MODULES[name])))
            for name, python in pythons.items()
        }


@dataclass(frozen=True)
class Turns:
    """Seconds a step of every turn, by side and variant, in the order in which they were taken.

    Attributes:
      seconds: (side, variant) -> one value a round; fewer where the variant sat out.
    """

    seconds: Mapping[tuple[str, str], Sequence[float]]

    def best(self, side: str) -> str:
        """The side's variant with the lowest median among those that took every turn."""
        found = {variant: turns for (name, variant), turns in self.seconds.items() if name == side}
        rounds = max(map(len, found.values()))
        return min((v for v in found if len(found[v]) == rounds), key=lambda v: median(found[v]))

    def seconds_of(self, side: str) -> Sequence[float]:
        """Turns of the side's best variant."""
        return self.seconds[side, self.best(side)]


def compare(case: Case, sides: Mapping[str, Side], repetitions: int) -> Turns:
    """Rounds in which every variant of every side has one turn.

    Compilation and first steps are left out on every side. Both do the same work from the same parameters,
    which is checked before anything is timed.

    Args:
      case: what is compared.
      sides: `ours` first, which sets the problem.
      repetitions: rounds, at least 1.

    Raises:
      SystemExit: the sides do not agree.
    """
    contenders: list[tuple[str, str]] = []
    most = LARGEST_DIFFERENCE[case.kind]
    with tempfile.TemporaryDirectory(prefix="medbench-bench-") as folder:
        for side, worker in sides.items():
            for variant, difference in worker.prepare(case, Path(folder)).items():
                if not difference <= most:
                    raise SystemExit(
                        f"{case.name}: {side} ({variant}) is {difference:.2g} away from medbench's result, "
                        f"more than {most:g}: nothing is timed that does not do the same."
                    )
                contenders.append((side, variant))
    single = [sides[side].run(variant, 1) for side, variant in contenders]
    steps = max(1, math.ceil(TURN_SECONDS / min(single)))
    seconds: dict[tuple[str, str], list[float]] = {contender: [] for contender in contenders}
    for _ in range(repetitions):
        for side, variant in contenders:
            time.sleep(PAUSE_SECONDS)
            seconds[side, variant].append(sides[side].run(variant, steps) / steps)
        contenders = _hopeful(seconds, contenders)
    return Turns(seconds)


def row_of(case: Case, taken: Turns) -> Row:
    """Medians of what was done in a second, and of the ratios of turns in one round."""
    work, unit = case.work
    ours = [work / seconds for seconds in taken.seconds_of("ours")]
    if not any(side == "peer" for side, _ in taken.seconds):
        return Row(case.name, median(ours), None, None, unit)
    peer = [work / seconds for seconds in taken.seconds_of("peer")]
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    return Row(
        case.name,
        median(ours),
        median(peer),
        median(ratios),
        unit,
        (min(ratios), max(ratios)),
        taken.best("peer"),
    )


def _hopeful(
    seconds: Mapping[tuple[str, str], Sequence[float]], contenders: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Without those that are far behind the best of their own side."""
    fastest = {side: min(min(seconds[one]) for one in contenders if one[0] == side) for side, _ in contenders}
    return [one for one in contenders if min(seconds[one]) <= HOPELESS * fastest[one[0]]]
