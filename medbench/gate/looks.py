"""How often a history marks what did not change, and how soon it marks what did, night after night.

`python -m medbench.gate.looks --write docs/history.md` simulates it, and fills the page's table.
"""

import argparse
import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medbench.environment import commit
from medbench.followed import LEVEL
from medbench.gate.command import count, to_terminal, write
from medbench.gate.share import share
from medbench.gate.workers import in_any_order
from medbench.stats.change_points import Changes, changes, normal_scores

Values = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Values]
"""Of values that did not change: lines by nights, of standard deviation 1 or so."""

ITEMS, ARMS, NIGHTS = 170, 2, 200
UNTIL = (3, 5, 10, 50, NIGHTS)
CHANGED, NEAR = 60, 3
"""The night before which changes are planted, and how far from it a jump may be put to be found."""
SD, TOLERANCE = 0.01, 0.001
"""Of a night's mean of new seeds, and the numeric tolerance: about those of an area of the embedded tier."""
FEW_DIGITS, OUTLYING, AS_OFTEN, GROUPS, CEILING = 0.3, 10.0, 0.01, 20, 0.05
NEVER = NIGHTS + 1
_MARKED = re.compile(r"(<!-- measured: looks -->\n).*?(<!-- end -->)", re.DOTALL)


def _normal(stream: np.random.Generator, shape: tuple[int, int]) -> Values:
    return stream.normal(size=shape)


def _heavy(stream: np.random.Generator, shape: tuple[int, int]) -> Values:
    return stream.standard_t(3, size=shape) / np.sqrt(3)


def _shared(stream: np.random.Generator, shape: tuple[int, int]) -> Values:
    of_runs = stream.normal(size=(GROUPS, shape[1]))[np.arange(shape[0]) % GROUPS]
    return np.asarray((of_runs + stream.normal(size=shape)) / np.sqrt(2), dtype=np.float64)


def _outlying(stream: np.random.Generator, shape: tuple[int, int]) -> Values:
    return stream.normal(size=shape) + OUTLYING * (stream.random(shape) < AS_OFTEN)


def _rounded(stream: np.random.Generator, shape: tuple[int, int]) -> Values:
    digits: Values = np.round(stream.normal(size=shape) / FEW_DIGITS)
    return digits * FEW_DIGITS


def _at_the_ceiling(stream: np.random.Generator, shape: tuple[int, int]) -> Values:
    return -(stream.random(shape) < CEILING).astype(np.float64)


def _machines(stream: np.random.Generator, shape: tuple[int, int]) -> Values:
    """As `medbench validate-gate` has it: of 18 values on two machines, a third of the tolerance lies between
    the two that are furthest apart.
    """
    largest = 2.79  # median of the largest of 18 |t| with 5 degrees of freedom
    apart = stream.standard_t(5, size=shape) / largest / 3 * TOLERANCE / SD
    return np.asarray(apart / np.sqrt(2), dtype=np.float64)  # each of the two


def _constant(_: np.random.Generator, shape: tuple[int, int]) -> Values:
    return np.zeros(shape)


@dataclass(frozen=True)
class Noise:
    """Values of nights in which nothing changed.

    Attributes:
      name: for the table.
      draw: the values, in standard deviations.
      noisy: whether they are of new seeds.
    """

    name: str
    draw: Draw
    noisy: bool = True


NOISES = (
    Noise("normal", _normal),
    Noise("heavy tails (t, 3 degrees of freedom)", _heavy),
    Noise("items that share half of their noise", _shared),
    Noise("one night in 100 lies 10 sd off", _outlying),
    Noise("rounded to a third of the sd", _rounded),
    Noise("at a ceiling but for one night in 20", _at_the_ceiling),
    Noise("the same seeds, byte-identical", _constant, noisy=False),
    Noise("the same seeds, another machine each night", _machines, noisy=False),
)
SIZES = {"jump": (1.0, 2.0, 4.0), "slide": (0.1,)}
"""Standard deviations; of a slide, a night."""


@dataclass(frozen=True)
class Unchanged:
    """A suite in which nothing changes: which of `NOISES`, and the streams of its numbers."""

    noise: int
    stream: tuple[int, ...]
    items: int


@dataclass(frozen=True)
class Planted:
    """A line that changes: how, by how much, under which noise, in a suite of how many lines."""

    kind: str
    size: float
    noise: int
    lines: int
    stream: tuple[int, ...]


def first_marks(values: Values, level: float, *, noisy: bool) -> NDArray[np.int_]:
    """The number of nights at which each line is marked first, looked at after every night.

    Args:
      values: (lines, nights).
      level: of a line.
      noisy: whether they are of new seeds.

    Returns:
      (lines,), `NEVER` where a line is not marked.
    """
    first = np.full(len(values), NEVER)
    trend = np.zeros(len(values))
    for n in range(2, values.shape[1] + 1):
        seen = values[:, :n]
        trend += np.sign(seen[:, -1:] - seen[:, :-1]).sum(1)
        may = _may_slide(trend, n, level)
        may |= _may_jump(seen, level) if noisy else np.abs(seen[:, -1] - seen[:, -2]) > TOLERANCE
        for line in np.flatnonzero(may & (first == NEVER)):
            if _changes(seen[line], level, noisy=noisy) != Changes():
                first[line] = n
    return first


def _changes(values: Values, level: float, *, noisy: bool) -> Changes:
    return changes(values.tolist(), tolerance=TOLERANCE, level=level, noisy=noisy)


def _may_slide(trend: Values, n: int, level: float) -> NDArray[np.bool_]:
    """Whether Kendall's test can find a trend, generously: ties narrow its spread."""
    from scipy.special import ndtri  # noqa: PLC0415 (slow to import)

    if n < 3:
        return np.zeros(len(trend), bool)
    spread = np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    limit = -ndtri(level / 2 / 2 * 3 / (n * (n + 1)))
    return np.asarray(np.abs(trend) / spread > 0.6 * limit)


def _may_jump(values: Values, level: float) -> NDArray[np.bool_]:
    """Whether some nights in a row differ from all others, for all lines at once."""
    from scipy.special import binom, stdtrit  # noqa: PLC0415 (slow to import)

    lines, n = values.shape
    if n < 3:
        return np.zeros(lines, bool)
    allowed = level / 4 / (n - 1) * 3 / (n * (n + 1)) * 1.001
    scores = normal_scores(values)
    total = (scores**2).sum(1)
    sums = np.cumsum(scores, axis=1)[:, :-1]
    t = -stdtrit(n - 2, allowed / 2)
    least = t**2 / (t**2 + n - 2)  # of the squares that a step must explain
    may = np.zeros(lines, bool)
    for size in range(1, n):
        if 2 / binom(n, size) > allowed:
            continue
        split = sums[:, size - 1] ** 2
        arcs = (sums[:, size:] - sums[:, :-size]) ** 2
        furthest = np.maximum(split, arcs.max(1)) if arcs.shape[1] else split
        may |= furthest * n / (size * (n - size)) >= least * total
    return may


def looked_at(unchanged: Unchanged) -> NDArray[np.int_]:
    """When the items of a suite in which nothing changes are marked first: (items,)."""
    noise = NOISES[unchanged.noise]
    lines = unchanged.items * ARMS
    values = SD * noise.draw(np.random.default_rng(unchanged.stream), (lines, NIGHTS))
    first = first_marks(values, LEVEL / lines, noisy=noise.noisy)
    return first.reshape(unchanged.items, ARMS).min(1)


def found_after(planted: Planted) -> int:
    """How many nights of a change it takes until it is marked, `NEVER` if within `NIGHTS` it is not."""
    nights = np.arange(NIGHTS) - CHANGED
    shape = np.maximum(nights + 1, 0) if planted.kind == "slide" else nights >= 0
    noise = NOISES[planted.noise].draw(np.random.default_rng(planted.stream), (1, NIGHTS))[0]
    values = SD * (noise - planted.size * shape)
    for n in range(CHANGED + 1, NIGHTS + 1):
        seen = _changes(values[:n], LEVEL / planted.lines, noisy=True)
        near = any(abs(jump.at - CHANGED) <= NEAR for jump in seen.jumps)
        if near or (planted.kind == "slide" and seen != Changes()):
            return n - CHANGED
    return NEVER


def _unchanged_rows(found: dict[int, list[NDArray[np.int_]]]) -> Iterator[str]:
    yield (
        "| nothing changed: values of each night | an item, "
        + " | ".join(
            [f"{UNTIL[-1]} nights | a suite, {UNTIL[0]} nights", *(f"{n} nights" for n in UNTIL[1:])]
        )
        + " |"
    )
    yield "| --- " * (2 + len(UNTIL)) + "|"
    for which, suites in sorted(found.items()):
        items = np.concatenate(suites)
        firsts = np.array([of.min() for of in suites])
        rate = share(int((items <= NIGHTS).sum()), len(items))
        cells = [f"{rate['rate']:.3%}", *(f"{(firsts <= n).mean():.0%}" for n in UNTIL[:-1])]
        of_suites = share(int((firsts <= NIGHTS).sum()), len(firsts))
        cells.append(f"{of_suites['rate']:.0%} [{of_suites['low']:.0%}, {of_suites['high']:.0%}]")
        yield f"| {NOISES[which].name} | {' | '.join(cells)} |"


def _planted_rows(found: dict[Planted, list[int]]) -> Iterator[str]:
    yield (
        f"| changed from night {CHANGED + 1} on | noise | history of | nights until half are found "
        f"| nine in ten | within {NIGHTS - CHANGED} |"
    )
    yield "| --- " * 6 + "|"
    for planted, nights in found.items():
        by = f"{planted.size:g} sd" + (" a night" if planted.kind == "slide" else "")
        half, most = (_nights(np.quantile(nights, q, method="higher")) for q in (0.5, 0.9))
        suite = "one item" if planted.lines == ARMS else f"{planted.lines // ARMS} items"
        yield (
            f"| {planted.kind} of {by} | {NOISES[planted.noise].name} | {suite} "
            f"| {half} | {most} | {np.mean(np.array(nights) < NEVER):.0%} |"
        )


def _nights(n: float) -> str:
    return "never" if n == NEVER else f"{n:.0f}"


def measured(suites: int, series: int, seed: int, workers: int) -> str:
    """The tables, as Markdown."""
    unchanged = [
        Unchanged(noise, (seed, noise, i), ITEMS) for noise in range(len(NOISES)) for i in range(suites)
    ]
    first: dict[int, list[NDArray[np.int_]]] = {}
    for done, (i, found) in enumerate(in_any_order(looked_at, unchanged, workers), start=1):
        first.setdefault(unchanged[i].noise, []).append(found)
        to_terminal(f"{done} of {len(unchanged)} suites looked at")
    cells = [
        Planted(kind, size, noise, lines, ())
        for kind, sizes in SIZES.items()
        for size in sizes
        for noise in (0, 1)
        for lines in (ARMS, ITEMS * ARMS)
    ]
    planted = [
        Planted(of.kind, of.size, of.noise, of.lines, (seed, 1000 + cell, i))
        for cell, of in enumerate(cells)
        for i in range(series)
    ]
    after: dict[Planted, list[int]] = {cell: [] for cell in cells}
    for done, (i, nights) in enumerate(in_any_order(found_after, planted, workers), start=1):
        after[cells[i // series]].append(nights)
        to_terminal(f"{done} of {len(planted)} changes looked for")
    to_terminal("")
    about = (
        f"{datetime.now(UTC).date().isoformat()}, commit {commit()[:12]}, {platform.machine()}, "
        f"{os.cpu_count()} cores; seed {seed}; {suites} suites of {ITEMS} items with {ARMS} arms each for "
        f"every noise, {series} series for every change, looked at after each of {NIGHTS} nights. Brackets "
        "are Clopper-Pearson 95 % intervals."
    )
    return "\n".join([about, "", *_unchanged_rows(first), "", *_planted_rows(after)]) + "\n"


def filled(page: str, table: str) -> str:
    """A page with the tables between its marks."""
    return _MARKED.sub(lambda found: f"{found[1]}{table}{found[2]}", page)


def main() -> None:
    """Simulate, then print, or fill the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suites", type=count, default=100, help="of each noise (default: 100)")
    parser.add_argument("--series", type=count, default=100, help="of each change (default: 100)")
    parser.add_argument("--seed", type=count, default=1, help="of all random streams (default: 1)")
    parser.add_argument("--workers", type=count, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="a page with the marks of the table")
    args = parser.parse_args()
    table = measured(args.suites, args.series, args.seed, args.workers)
    if args.write is None:
        print(table, end="")
    else:
        write(args.write, filled(args.write.read_text(encoding="utf-8"), table))


if __name__ == "__main__":
    main()
