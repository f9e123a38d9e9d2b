"""`medbench cohort check`: a cohort's counts, warnings and errors, for a person to read.

Patients are named by keyed hashes unless their ids are asked for.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from medbench.data.check import CohortCheck, SetCount, check
from medbench.data.findings import counted
from medbench.errors import printable
from medbench.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `medbench cohort` and its commands."""
    parser.description = "Look after a cohort of one's own images; docs/cohorts.md says how to declare one."
    commands = parser.add_subparsers(dest="cohort_command", required=True, metavar="COMMAND")
    checking = commands.add_parser(
        "check",
        help="count what is in a cohort and find what is wrong with it",
        description="Read cohort.yaml, its table and every image; report counts, warnings and errors.",
    )
    checking.add_argument("cohort", type=Path, metavar="DIR", help="folder with cohort.yaml, or such a file")
    checking.add_argument(
        "--show-ids", action="store_true", help="name patients by their own ids; for the local eye only"
    )
    checking.add_argument(
        "--store",
        type=Path,
        default=Path(".medbench"),
        metavar="DIR",
        help="where digests of images and the key of the hashes are kept (default: .medbench)",
    )


def run(args: argparse.Namespace) -> int:
    """Check the cohort, print what was found, and return 1 if there are errors."""
    store = Store(args.store)
    show = str if args.show_ids else store.pseudonyms().of
    progress = _Progress()
    found = check(args.cohort, show=show, cache=store.cache("digests"), report=progress)
    progress.clear()
    print(in_words(found))
    return 1 if found.errors else 0


def in_words(found: CohortCheck) -> str:
    """The whole report as text."""
    blocks = [
        _heading(found),
        _sets(found),
        _groups(found),
        _findings(found.warnings, "warning"),
        _findings(found.errors, "error"),
        _conclusion(found),
    ]
    return "\n\n".join(block for block in blocks if block)


def _heading(found: CohortCheck) -> str:
    if found.target is None:
        return ""
    images = sum(count.images for count in found.sets.values())
    patients = sum(count.patients for count in found.sets.values())
    kind = "exactly one of" if found.target.kind == "single-label" else "any of"
    return (
        f"{printable(found.name)} · {found.domain} · {counted(images, 'image')} of "
        f"{counted(patients, _unit(found))}\n"
        f"predicted: {kind} {printable(', '.join(found.target.classes))}"
    )


def _sets(found: CohortCheck) -> str:
    if found.target is None:
        return ""
    header = ["set", "images", _unit(found) + "s", *found.target.classes]
    rows = [
        [name, str(count.images), str(count.patients)]
        + [_with_unknown(count, label) for label in found.target.classes]
        for name, count in found.sets.items()
    ]
    return _aligned([header, *rows], text_columns=1)


def _with_unknown(count: SetCount, label: str) -> str:
    unknown = count.unknown.get(label, 0)
    return f"{count.positive[label]}" + (f" ({unknown} unknown)" if unknown else "")


def _groups(found: CohortCheck) -> str:
    if not found.groups:
        return ""
    rows = [
        [attribute, group or "not recorded", *(str(counts[name]) for name in found.sets)]
        for attribute, groups in found.groups.items()
        for group, counts in groups.items()
    ]
    return _aligned([["attribute", "group", *found.sets], *rows], text_columns=2)


def _findings(messages: Sequence[str], noun: str) -> str:
    if not messages:
        return ""
    return "\n".join([f"{counted(len(messages), noun)}:", *(f"  - {message}" for message in messages)])


def _conclusion(found: CohortCheck) -> str:
    if found.errors:
        return "The cohort cannot be used before the errors are put right."
    return f"No errors. Next: pytest benchmarks -k {found.domain} --cohort {found.path}"


def _unit(found: CohortCheck) -> str:
    return "patient" if found.cluster == "patient" else "cluster"


def _aligned(rows: list[list[str]], *, text_columns: int) -> str:
    """The rows as columns: text to the left, figures to the right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


class _Progress:
    """One line on a terminal that says how far decoding is; nothing where there is none."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        if self._shown and (done % 50 == 0 or done == total):
            print(f"\rreading images: {done:,} of {total:,}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
