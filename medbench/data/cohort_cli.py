"""`medbench cohort list | unpack | prepare | table | check`: public cohorts, and what is in any cohort.

Patients are named by keyed hashes unless their ids are asked for.
"""

import argparse
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from medbench.data.aligned import aligned
from medbench.data.archives import archives_in, unpack, unpacked
from medbench.data.check import CohortCheck, SetCount, check, check_opened, count
from medbench.data.findings import counted
from medbench.data.sources import MEDMNIST, PUBLIC, open_cohort, prepared_in
from medbench.data.tag_table import write_table
from medbench.errors import MedbenchError, printable
from medbench.execute.progress import duration
from medbench.store import Store, store_at

_STORE = Path(".medbench")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `medbench cohort` and its commands."""
    parser.description = (
        "Look after cohorts: docs/cohorts.md says how to declare your own, docs/public-cohorts.md how to "
        "come by public ones."
    )
    commands = parser.add_subparsers(dest="cohort_command", required=True, metavar="COMMAND")
    listing = commands.add_parser(
        "list", help="list the public cohorts, and which are prepared", description="List public cohorts."
    )
    listing.add_argument("name", nargs="?", metavar="NAME", help="tell all of this one")
    preparing = commands.add_parser(
        "prepare",
        help="prepare a public cohort from the files that its publisher gives out",
        description="Read a public cohort's tables and images and write them as one data set. "
        "Interrupted, the same command goes on with what is missing.",
    )
    preparing.add_argument(
        "name", metavar="NAME", help="as `medbench cohort list` has it, or medmnist:NAME@SIZE"
    )
    preparing.add_argument(
        "--from",
        dest="source",
        type=_folder,
        metavar="DIR",
        help="the publisher's files; only read. Without it, a file of MedMNIST is downloaded",
    )
    preparing.add_argument(
        "--into",
        type=_folder,
        metavar="DIR",
        help="where prepared cohorts are kept (default: $MEDBENCH_COHORTS, else `cohorts` in the store)",
    )
    preparing.add_argument(
        "--workers",
        type=_at_least_one,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        metavar="N",
        help="processes that read images (default: one a core, %(default)s)",
    )
    unpacking = commands.add_parser(
        "unpack",
        help="unpack the archives in a folder, trusting neither their names nor their sizes",
        description="Unpack every .zip, .tar and .tar.gz in a folder into a folder beside it. Interrupted, "
        "the same command goes on; what is unpacked is left alone.",
    )
    unpacking.add_argument("folder", type=Path, metavar="DIR", help="where the archives lie")
    tabling = commands.add_parser(
        "table",
        help="write a table of DICOM files from their tags, to begin a cohort.yaml with",
        description="Write one row a DICOM file below a folder: its path, patient, sex, age, machine, side, "
        "view and implant, as its tags have them. Add a column of labels, and name the table in cohort.yaml.",
    )
    tabling.add_argument("folder", type=Path, metavar="DIR", help="where the files lie, at any depth")
    tabling.add_argument(
        "--into", type=Path, required=True, metavar="FILE", help="the CSV file to make; it has patients' ids"
    )
    checking = commands.add_parser(
        "check",
        help="count what is in a cohort and find what is wrong with it",
        description="Read a cohort and every image of it; report counts, warnings and errors.",
    )
    checking.add_argument(
        "cohort",
        metavar="COHORT",
        help="folder with cohort.yaml, or such a file; public:NAME, or NAME alone; medmnist:NAME@SIZE",
    )
    checking.add_argument(
        "--show-ids", action="store_true", help="name patients by their own ids; for the local eye only"
    )
    for command in (listing, preparing, checking):
        command.add_argument(
            "--store",
            default=str(_STORE),
            metavar="DIR",
            help="where cohorts, digests of images and the key of the hashes are kept (default: .medbench); "
            "or the URL of a store that machines share, whose key it is then",
        )


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 1 if a check found errors."""
    if "store" in args:
        args.key_in = store_at(args.store)
        args.store = _STORE if args.key_in.remote else Path(args.store)
    commands = {"list": _list, "unpack": _unpack, "prepare": _prepare, "table": _table, "check": _check}
    return commands[args.cohort_command](args)


def _list(args: argparse.Namespace) -> int:
    from medbench.data.public import listing  # noqa: PLC0415

    folder = prepared_in(args.store)
    if args.name:
        print(listing.one_in_words(args.name, folder, after=_store_named(args.store, folder)))
    else:
        print(listing.all_in_words(folder))
    return 0


def _unpack(args: argparse.Namespace) -> int:
    progress = _Progress()
    found = archives_in(args.folder)
    for archive in found:
        free = shutil.disk_usage(args.folder).free
        report = partial(progress, f"unpacking {printable(archive.name)}, bytes")
        unpack(archive, unpacked(archive), most_bytes=free, report=report)
    progress.clear()
    print(f"{counted(len(found), 'archive')} in {args.folder} unpacked beside.")
    return 0


def _table(args: argparse.Namespace) -> int:
    progress = _Progress()
    rows, findings = write_table(args.folder, args.into, report=partial(progress, "reading tags"))
    progress.clear()
    said = [f"{args.into}: {counted(rows, 'file')}.", _findings(findings.errors, "error")]
    print("\n".join(filter(None, said)))
    return 1 if findings.errors else 0


def _fetch(args: argparse.Namespace, into: Path) -> int:
    from medbench.data.public.medmnist import fetch  # noqa: PLC0415

    progress = _Progress()
    report = partial(progress, "fetching, bytes")
    try:
        file = fetch(args.name.removeprefix(MEDMNIST), into, source=args.source, report=report)
    finally:
        progress.clear()
    domain = open_cohort(args.name, prepared=into).domain
    following = _pytest(domain, args.name, before=_cohorts_named(args.store, into))
    print(f"{file}: there, and its checksum is right. Next: {following}{_store_named(args.store, into)}")
    return 0


def _prepare(args: argparse.Namespace) -> int:
    from medbench.data.public.catalogue import source_named  # noqa: PLC0415
    from medbench.data.public.prepare import prepare  # noqa: PLC0415
    from medbench.data.public.prepared import how_to  # noqa: PLC0415

    into = args.into or prepared_in(args.store)
    if into == args.store / "cohorts":
        Store(args.store).cache("decoded")  # makes the store, which keeps itself out of git
    if args.name.startswith(MEDMNIST):
        return _fetch(args, into)
    source = source_named(args.name.removeprefix(PUBLIC))
    if args.source is None:
        raise MedbenchError(f"--from DIR is missing: the folder of the publisher's files. {how_to(source)}")
    progress = _Progress()
    try:
        done = prepare(source, args.source, into, processes=args.workers, report=progress)
    except KeyboardInterrupt:
        progress.clear()
        print("What is staged is kept: the same command goes on from there.", file=sys.stderr)
        raise
    finally:
        progress.clear()
    record, reference = done.record, f"{PUBLIC}{source.name}"
    found = count(reference, open_cohort(reference, prepared=into))
    resumed = f", of which {done.found:,} were staged before" if done.found else ""
    before, after = _cohorts_named(args.store, into), _store_named(args.store, into)
    print(
        f"{in_words(found, before=before, after=after)}\n"
        f"Prepared in {duration(done.seconds)}: {counted(sum(record.images.values()), 'image')}{resumed}, "
        f"{record.bytes / 1e6:,.0f} MB in {done.folder}.\n"
        f"Licence: {record.licence.rstrip('.')}. To cite: {record.citation}"
    )
    return 0


def _check(args: argparse.Namespace) -> int:
    store = Store(args.store)
    show = str if args.show_ids else args.key_in.pseudonyms().of
    progress, after = _Progress(lines=False), ""
    reference = _reference(args.cohort)
    if reference.startswith((PUBLIC, MEDMNIST)):
        folder = prepared_in(args.store)
        cohort, after = open_cohort(reference, prepared=folder), _store_named(args.store, folder)
        found = check_opened(reference, cohort, report=progress.images)
    else:
        found = check(Path(reference), show=show, cache=store.cache("digests"), report=progress.images)
    progress.clear()
    print(in_words(found, after=after))
    return 1 if found.errors else 0


def _reference(given: str) -> str:
    """What was given, or a public cohort that is called so where no folder is."""
    from medbench.data.public.catalogue import MODULES  # noqa: PLC0415

    return f"{PUBLIC}{given}" if given.partition("@")[0] in MODULES and not Path(given).exists() else given


def _cohorts_named(store: Path, into: Path) -> str:
    """What stands before a command that is to find cohorts elsewhere than it would look."""
    return "" if into == prepared_in(store) else f"MEDBENCH_COHORTS={shlex.quote(str(into))} "


def _store_named(store: Path, folder: Path) -> str:
    """What stands behind a command that is to find cohorts in another store than it would look in."""
    return f" --store {shlex.quote(str(store))}" if folder == store / "cohorts" and store != _STORE else ""


def _pytest(domain: str, reference: str, *, before: str) -> str:
    return f"{before}pytest benchmarks -k {domain} --cohort {shlex.quote(reference)}"


def _folder(given: str) -> Path:
    if not given:  # Path("") is the working folder
        raise argparse.ArgumentTypeError("expected a folder")
    return Path(given)


def _at_least_one(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise argparse.ArgumentTypeError(f"{given!r}: expected a whole number, at least 1")
    return int(given)


def in_words(found: CohortCheck, *, before: str = "", after: str = "") -> str:
    """The whole report as text; `before` and `after` stand around the command that is named at its end."""
    blocks = [
        _heading(found),
        _sets(found),
        _groups(found),
        _findings(found.warnings, "warning"),
        _findings(found.errors, "error"),
        _conclusion(found, before, after),
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
    return aligned([header, *rows], text_columns=1)


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
    return aligned([["attribute", "group", *found.sets], *rows], text_columns=2)


def _findings(messages: Sequence[str], noun: str) -> str:
    if not messages:
        return ""
    return "\n".join([f"{counted(len(messages), noun)}:", *(f"  - {message}" for message in messages)])


def _conclusion(found: CohortCheck, before: str, after: str) -> str:
    if found.errors:
        return "The cohort cannot be used before the errors are put right."
    return f"No errors. Next: {_pytest(found.domain, found.reference, before=before)}{after}"


def _unit(found: CohortCheck) -> str:
    return "patient" if found.cluster == "patient" else "cluster"


class _Progress:
    """How far a command is: a moving line on a terminal; elsewhere a line a tenth, or nothing.

    Args:
      lines: whether lines are printed where there is no terminal.
    """

    def __init__(self, *, lines: bool = True) -> None:
        self._moves, self._lines = sys.stderr.isatty(), lines
        self._stage, self._begun, self._first, self._shown = "", 0.0, 0, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is; what was there before it began counts for nothing in the time left."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._begun, self._first, self._shown = stage, now, done - 1, 0.0
        tenth = done * 10 // total != (done - 1) * 10 // total
        if self._moves and (now - self._shown > _EVERY or done == total):
            self._shown = now
            print(f"\r\033[K{self._line(done, total, now)}", end="", file=sys.stderr, flush=True)
        elif self._lines and not self._moves and tenth:
            print(self._line(done, total, now), file=sys.stderr, flush=True)

    def images(self, done: int, total: int) -> None:
        """Show how many images are read."""
        self("reading images", done, total)

    def clear(self) -> None:
        """Take the line away."""
        if self._moves:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _line(self, done: int, total: int, now: float) -> str:
        left = (now - self._begun) / max(1, done - self._first) * (total - done)
        return f"{self._stage}: {done:,} of {total:,}" + (
            f", about {duration(left)} left" if left >= 1 else ""
        )


_EVERY = 0.2
"""Seconds between two changes of the moving line."""
