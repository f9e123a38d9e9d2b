"""`medbench doctor`: one line a finding, and what to do."""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from medbench.data.findings import counted
from medbench.errors import printable
from medbench.packaged import chosen

if TYPE_CHECKING:
    from medbench.doctor import Finding


LONGEST = 3600.0
"""Seconds that a look may take."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of a session have the same names there."""
    parser.description = "Look whether this machine can do what a session needs. Nothing is changed."
    parser.epilog = (
        "Exit status: 0; 1 if there are problems, with which no session can do its work; 2 for a mistake."
    )
    parser.add_argument("--tier", default="embedded", metavar="NAME", help="default: embedded")
    parser.add_argument(
        "--suite",
        type=Path,
        metavar="SUITE",
        help="folder of declarations (default: benchmarks; without such a folder medbench's own suite)",
    )
    parser.add_argument(
        "--store", default=".medbench", metavar="DIR", help="a folder or a URL (default: .medbench)"
    )
    parser.add_argument(
        "--patience",
        type=_seconds,
        default=90.0,
        metavar="SECONDS",
        help="how long each look may take: jax starts in three seconds on a free machine (default: 90)",
    )
    parser.add_argument("--cohort", default="", metavar="DIR", help="other images than the tier's")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"`{printable(text)}`: expected seconds, up to {LONGEST:.0f}")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Print all findings; returns 1 if there are problems."""
    try:
        import msgspec  # noqa: PLC0415

        from medbench.doctor import Asked, examine  # noqa: PLC0415
    except ImportError as error:  # not even the doctor can be called
        print(f"problem  libraries  {printable(str(error))}\n  → install medbench anew: pip install -e .")
        return 1
    suite = chosen(args.suite)
    findings = examine(
        Asked(tier=args.tier, suite=suite, store=args.store, cohort=args.cohort, patience=args.patience)
    )
    if args.format == "json":
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode() + "\n")
    else:
        print(in_words(findings))
    return 1 if any(finding.state == "problem" for finding in findings) else 0


def in_words(findings: "list[Finding]") -> str:
    """One line a finding, what to do below it, and the sum."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:<7}  {finding.subject:<{width}}  {printable(finding.text)}")
        if finding.advice:
            lines.append(f"{'':{9 + width}}  → {printable(finding.advice)}")
    counts = Counter(finding.state for finding in findings)
    lines.append(
        f"{counted(counts['problem'], 'problem')}, {counted(counts['note'], 'note')}, {counts['ok']} ok"
    )
    return "\n".join(lines)
