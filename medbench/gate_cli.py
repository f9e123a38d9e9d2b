"""`medbench validate-gate`: how often the gate alarms for nothing, what it catches, do intervals hold.

Nights are simulated; nothing is trained.
"""

import argparse
import os
import platform
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from medbench import __version__, packaged
from medbench.environment import commit
from medbench.errors import MedbenchError
from medbench.expect import beside, load
from medbench.gate.bars import HIGHEST_RATE
from medbench.gate.command import check_files, count, to_terminal, write
from medbench.gate.measured import GateReport
from medbench.gate.page import page
from medbench.gate.parts import QUICK, Sizes, simulate
from medbench.gate.report import report, summary
from medbench.gate.worlds import DEVICE, Suite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench validate-gate`."""
    parser.description = (
        "Simulate nights in which nothing changed and nights with planted changes, and studies of known "
        "truth: false alarms, detections, and coverage of intervals, by medbench's own judging and checking. "
        "The simulated suite has the shape of what was accepted: its items, runs and seeds."
    )
    parser.epilog = (
        "Exit status: 0 if every bar is met, 1 if one is not (false alarms, detections or coverage), 2 if "
        "nothing could be measured. With --quick, which is held to no bar, 1 if false alarms are surely "
        "above 5 % and else 0. Several workers on few cores are fastest with OMP_NUM_THREADS=1 in the "
        "environment."
    )
    parser.add_argument(
        "--nights", type=count, metavar="N", help="unchanged nights of each kind (default: 4000)"
    )
    parser.add_argument("--seed", type=count, default=1, help="of all random streams (default: 1)")
    parser.add_argument("--workers", type=count, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a glance, in a minute or two: rates, no bars")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the page of docs/ here")
    parser.add_argument("--tier", default="embedded", metavar="NAME", help="default: embedded")
    parser.add_argument(
        "--expectations",
        type=Path,
        default=Path("expectations"),
        metavar="DIR",
        help="holds the accepted values and reference runs that nights are made of (default: expectations)",
    )


def run(args: argparse.Namespace) -> int:
    """Simulate, print and write.

    Returns:
      0 if every bar is met, else 1; of a glance, 1 if false alarms are surely above their bar.

    Raises:
      MedbenchError: nothing was accepted that nights could be like, or a file cannot be written.
    """
    if not (args.expectations / args.tier).is_dir():
        raise MedbenchError(
            f"{args.expectations / args.tier}: no accepted values, which simulated nights are like. "
            f"Name another folder with --expectations; medbench's own is {beside(packaged.suite())}."
        )
    expectations = load(args.expectations, args.tier)
    Suite.of(expectations)  # refuses what a simulation cannot take, before it starts
    if not any(row.environment == DEVICE for row in expectations.calibration):
        raise MedbenchError(
            f"{args.expectations / 'numeric.yaml'}: no row for {DEVICE}, which nights with the same seeds "
            "are like. Measure it by ci/calibrate.sh."
        )
    check_files(args.json, args.write)
    sizes = QUICK if args.quick else Sizes()
    if args.nights:
        sizes = replace(sizes, nights=args.nights)
    started = time.monotonic()
    findings = simulate(
        sizes, args.expectations, args.tier, seed=args.seed, workers=args.workers, say=to_terminal
    )
    to_terminal("")
    result = report(
        findings,
        expectations,
        quick=args.quick,
        nights_each=sizes.nights_each,
        medbench=__version__,
        commit=commit(),
        date=datetime.now(UTC).date().isoformat(),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, {args.workers} used",
        seed=args.seed,
        nights=sizes.nights,
        seconds=round(time.monotonic() - started, 1),
    )
    print(summary(result))
    if args.json:
        write(args.json, msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")
    if args.write:
        write(args.write, page(result))
    return _status(result)


def _status(result: GateReport) -> int:
    if result.quick:
        return int(result.false_alarm.low > HIGHEST_RATE)
    return int(not all(bar.met for bar in result.bars))
