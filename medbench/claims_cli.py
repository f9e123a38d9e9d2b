"""`medbench validate-claims`: do claims react to what is planted in simulated runs, and to nothing else?

Runs are simulated; nothing is trained.
"""

import argparse
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from medbench import __version__
from medbench.environment import commit
from medbench.gate.claim_page import page
from medbench.gate.claim_report import report, summary
from medbench.gate.command import check_files, count, to_terminal, write
from medbench.gate.reactions import FIRST, SEEDS, bench, simulate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench validate-claims`."""
    parser.description = (
        "Judge simulated runs on the rows of the phantoms, with harm planted in the treatment (a sub-group "
        "that is seen worse, a shift that is, logits that are too sure) beside the same runs without it, "
        "and hold what reacts against medbench/gate/matrix.yaml, which was declared beforehand."
    )
    parser.epilog = (
        "Exit status: 0 if all claims that must react do in 19 of 20 worlds and none that must not, 1 if "
        "not, 2 if the matrix does not fit the suite. Several workers on few cores are fastest with "
        "OMP_NUM_THREADS=1 in the environment."
    )
    parser.add_argument(
        "suite",
        type=Path,
        nargs="?",
        default=Path("benchmarks"),
        metavar="SUITE",
        help="folder of declarations (default: benchmarks)",
    )
    parser.add_argument("--worlds", type=count, default=20, metavar="N", help="of each task (default: 20)")
    parser.add_argument("--workers", type=count, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the page of docs/ here")


def run(args: argparse.Namespace) -> int:
    """Simulate, print and write.

    Returns:
      0 if all came out as declared, else 1.

    Raises:
      MedbenchError: a declaration is wrong, the matrix does not fit the suite, or a file cannot be written.
    """
    check_files(args.json, args.write)
    of = bench(args.suite)
    started = time.monotonic()
    worlds = range(FIRST, FIRST + args.worlds)
    outcomes = simulate(args.suite, worlds, workers=args.workers, say=to_terminal)
    to_terminal("")
    result = report(
        outcomes,
        of.matrix,
        medbench=__version__,
        commit=commit(),
        date=datetime.now(UTC).date().isoformat(),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, {args.workers} used",
        seconds=round(time.monotonic() - started, 1),
        first=FIRST,
        worlds=args.worlds,
        seeds=SEEDS,
    )
    print(summary(result))
    if args.json:
        write(args.json, msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")
    if args.write:
        write(args.write, page(result))
    return int(not result.held)
