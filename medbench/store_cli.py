"""`medbench store add | push`: bring finished runs of other machines together in one store.

Whole runs are copied and checked; nothing is trained, and jax is not imported.
"""

import argparse
import sys
from collections import Counter

from medbench.errors import MedbenchError
from medbench.remote import Remote, UnreachableError, is_url
from medbench.store import Source, Store, store_at
from medbench.writing import UnwritableError

ROAD = """\
two ways for several machines to work on one plan:

  they share a store while they work
    pytest benchmarks --store s3://bucket/prefix    on each machine; any URL that fsspec knows
    medbench store push --store s3://bucket/prefix  what could not be pushed when it was made

  each has a store of its own, and they are brought together afterwards
    rsync -a other:study/.medbench/ from-other/     or by whatever copies folders
    medbench store add from-other                   into .medbench here
    pytest benchmarks --runs=never                  judge it all

docs/store.md says what lies in a store, and which way is for whom. Stores hold patients' ids in clear.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `medbench store` and its commands."""
    parser.description = "Bring finished runs of several machines together."
    parser.epilog = ROAD
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="store_command", required=True, metavar="COMMAND")
    adding = commands.add_parser(
        "add",
        help="copy the finished runs of other stores into one",
        description="Copy the finished runs of other stores into one. Each is checked against the hashes in "
        "its record and comes in whole, or not at all. Runs that are there already are left as they are, and "
        "one whose predictions differ from those there is named. Interrupted, the same command goes on.",
        epilog="Exit status: 0; 1 if runs were damaged, which are named and left out; 2 if the store or a "
        "source could not be used.",
    )
    adding.add_argument("sources", nargs="+", metavar="FOLDER", help="another store: its folder, or its URL")
    pushing = commands.add_parser(
        "push",
        help="push the runs that could not be pushed when they were made",
        description="Push the runs to a remote store that could not be pushed when they were made, as when "
        "the network was gone. `pytest benchmarks` with the same --store does so, too, when it starts.",
    )
    for command, required in ((adding, False), (pushing, True)):
        command.add_argument(
            "--store",
            type=store_at,
            default=".medbench",
            required=required,
            metavar="URL" if required else "DIR",
            help="the remote store, such as s3://bucket/prefix"
            if required
            else "into which store: a folder or a URL (default: .medbench)",
        )


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 1 if `add` met damaged runs.

    Raises:
      MedbenchError: a source is no store, or the store cannot be reached or written.
    """
    return _add(args) if args.store_command == "add" else _push(args.store)


def _add(args: argparse.Namespace) -> int:
    sources = [_source(given) for given in args.sources]
    args.store.connect()
    counts: Counter[str] = Counter()
    for source in sources:
        for run_id in sorted(source.ids()):
            counts[_added(args.store, run_id, source)] += 1
    said = ", ".join(f"{counts[what]} {words}" for what, words in _OUTCOMES.items() if counts[what])
    print(f"{args.store.name}: {said or 'no finished runs to add'}.")
    return 1 if counts["damaged"] else 0


_OUTCOMES = {
    "added": "added",
    "there": "there already",
    "other": "there already with other predictions, which are kept",
    "damaged": "damaged, and left out",
}


def _added(store: Store, run_id: str, source: Source) -> str:
    """Add a run, and tell of it if a person should know; returns a key of `_OUTCOMES`."""
    try:
        outcome = store.add(run_id, source)
    except (UnreachableError, UnwritableError):  # not this run's fault
        raise
    except MedbenchError as error:
        print(f"left out: {error}", file=sys.stderr)
        return "damaged"
    if outcome == "other":
        print(
            f"{source.name}: run {run_id} has other predictions than the one in {store.name}, which is kept."
        )
    return outcome


def _source(given: str) -> Source:
    if is_url(given):
        return Remote(given)
    store = store_at(given)
    if not (store.root / "runs").is_dir():
        raise MedbenchError(f"{given}: not a store: expected a folder `runs` in it, as in .medbench.")
    return store


def _push(store: Store) -> int:
    if store.remote is None:
        raise MedbenchError(
            f"--store {store.name}: expected the URL of a remote store, such as s3://bucket/prefix."
        )
    before = len(store.unpushed())
    pushed = store.push()
    left = f", {before - pushed} left to processes that are at work on them" if pushed < before else ""
    print(f"{store.name}: {pushed} of {before} runs pushed{left}.")
    return 0
