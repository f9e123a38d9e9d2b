"""Measures medbench's speed beside its peers'.

    python -m bench                              # what takes minutes: train, infer, input, many-runs
    python -m bench train/r50x1 infer/r14x0.5    # rows whose names begin so; `*` stands for anything
    python -m bench roofline suite scheduling    # what is measured on demand only; report, too
    python -m bench --peer-python PATH           # torch is in another interpreter

A ratio above 1 means that medbench is ahead. Medians of interleaved repetitions; compilation and first steps
are left out on both sides. Rows that the JSON file has of the same commit and machine are kept.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import steps, suite, table
from bench.table import Row
from medbench.environment import usable_cores

DEFAULT = ("train", "infer", "input", "many-runs")
ON_DEMAND = ("roofline", "suite", "scheduling", "report")
BUSY = 0.5
"""Load for each core above which a measurement is not to be trusted: PyTorch's threads wait for each other at
the end of every operation, and lose far more than jax's where one of them has no core."""
FASTEST = "train/r14x0.25/64px"
"""The step that asks for most images."""


def main() -> int:
    """Measure what was asked for, print it and keep it."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=DEFAULT, help="what to measure")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), metavar="FILE")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="interleaved rounds (5)")
    parser.add_argument(
        "--peer-python", default=sys.executable, metavar="PATH", help="interpreter that has torch"
    )
    args = parser.parse_args()
    if args.repetitions < 1:
        parser.error(f"--repetitions {args.repetitions}: expected 1 or more rounds")
    if unknown := [name for name in args.names if not known(name)]:
        groups = ", ".join((*DEFAULT, *ON_DEMAND))
        parser.error(
            f"{', '.join(unknown)}: no row begins so; expected one of {groups}, or such as {FASTEST}"
        )

    pythons = {"ours": sys.executable}
    if table.has_modules(args.peer_python, "torch"):
        pythons["peer"] = args.peer_python
    else:
        message = "has no torch: ours alone is measured. Install the extra `oracle`, or name --peer-python"
        print(f"{args.peer_python} {message}", file=sys.stderr)
    if (load := os.getloadavg()[0]) > BUSY * usable_cores():
        message = "others compute here, and ratios say little"
        print(f"The load of this machine is {load:.1f}: {message}.", file=sys.stderr)
    head = table.environment()
    rows: list[Row] = []
    for row in measured(args.names, pythons, args.repetitions):
        rows.append(row)
        print("  ".join(table.cells(row)), file=sys.stderr, flush=True)
        table.write_json(args.json, rows, head)
    table.show(rows, head)
    return 0


def known(name: str) -> bool:
    """Whether there is something of that name to measure."""
    return name in (*DEFAULT, *ON_DEMAND) or bool(steps.chosen([name]))


def measured(names: Sequence[str], pythons: Mapping[str, str], repetitions: int) -> Iterator[Row]:
    """The rows that were asked for, as they come.

    Args:
      names: groups, or beginnings of the names of training steps and inference.
      pythons: interpreter of each side, `ours` and perhaps `peer`.
      repetitions: of everything that takes seconds.
    """
    # Imported where they are wanted: most bring jax, which the sides have in processes of their own.
    if cases := steps.chosen(names):
        yield from steps.rows(cases, pythons, repetitions)
    if "input" in names:
        from bench import pipeline  # noqa: PLC0415

        (fastest,) = steps.chosen([FASTEST])
        yield from pipeline.rows(fastest, repetitions)
    if "many-runs" in names:
        from bench import many_runs  # noqa: PLC0415

        yield from (Row(**row) for row in many_runs.rows())
    if "roofline" in names:
        from bench import roofline  # noqa: PLC0415

        yield from roofline.rows(pythons, repetitions)
    if "suite" in names:
        yield from suite.rows(suite.SELECTIONS)
    if "scheduling" in names:
        from bench import scheduling  # noqa: PLC0415

        yield from (Row(**row) for row in scheduling.rows())
    if "report" in names:
        from bench import report  # noqa: PLC0415

        yield from report.rows(repetitions=repetitions)


if __name__ == "__main__":
    sys.exit(main())
