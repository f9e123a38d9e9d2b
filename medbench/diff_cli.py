"""`medbench diff`: what differs between two states of a suite, and what may be why.

Nothing is trained; jax is not imported.
"""

import argparse
from pathlib import Path

import msgspec

from medbench.diff import show
from medbench.diff.compare import compare
from medbench.diff.reading import REPORT, TREE, Places, read_both, tolerance_beside
from medbench.difference import Comparison
from medbench.errors import MedbenchError
from medbench.packaged import HERE, suite

WORSE, MISTAKE, INCOMPARABLE = 1, 2, 3
SIDES = f"""\
a side is any of
  report:DIR               a folder with {REPORT}, such as nights/2026-11-23, or that file
  git:REVISION             the expectations as git has them: HEAD, main, v1.2, 1a2b3c4
  expectations:DIR         a folder of expectations; `expectations:` for those beside the suite
  store:DIR                a store, or its URL: items are judged from its runs
without its prefix too, where it is clear which is meant

exit status: 0 if nothing is worse, has vanished or cannot be compared; {WORSE} if something is worse or has
vanished; {MISTAKE} for a mistake; {INCOMPARABLE} if all else is well and definitions changed, so that items \
cannot be compared
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench diff`."""
    parser.description = (
        "Compare two states of a suite, item by item (docs/diff.md). Without sides: the expectations of "
        "git's HEAD and those in the tree; with one: that and those in the tree."
    )
    parser.epilog = SIDES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("before", nargs="?", default="git:HEAD", metavar="A", help="the earlier side")
    parser.add_argument("after", nargs="?", default=TREE, metavar="B", help="the later side")
    parser.add_argument(
        "--tier",
        default="",
        metavar="NAME",
        help="of expectations and stores (default: that of the report on the other side, else embedded)",
    )
    parser.add_argument(
        "--suite",
        type=Path,
        metavar="DIR",
        help="folder of declarations, beside which `expectations` lies (default: benchmarks; without such a "
        "folder medbench's own suite)",
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="the store that has the runs of reports, so that these are paired by patient too",
    )
    parser.add_argument(
        "--format",
        choices=("text", "markdown", "json"),
        default="text",
        help="text for a terminal (default); markdown for a comment on a pull request; json, all of it",
    )
    parser.add_argument("--all", action="store_true", help="show unchanged items too")


def run(args: argparse.Namespace) -> int:
    """Compare, print, and return the exit status.

    Raises:
      MedbenchError: a side is wrong, or the two cannot be compared.
    """
    places = Places(args.suite or (HERE if HERE.exists() else suite()), args.tier, args.store)
    if args.store is not None and not args.store.is_dir():
        raise MedbenchError(f"--store {args.store}: no such folder. Name the store that the reports are of.")
    if not places.suite.is_dir():
        raise MedbenchError(f"--suite {places.suite}: no such folder.")
    before, after = read_both(args.before, args.after, places)
    comparison = compare(before, after, tolerance_beside(places.expectations))
    if args.format == "json":
        print(msgspec.json.format(msgspec.json.encode(comparison), indent=2).decode())
    elif args.format == "markdown":
        print(show.markdown(comparison, all_of_them=args.all), end="")
    else:
        print("\n".join(show.lines(comparison, all_of_them=args.all)))
    return status(comparison)


def status(comparison: Comparison) -> int:
    """The exit status that a comparison comes to."""
    if comparison.counts["worse"] or comparison.counts["vanished"]:
        return WORSE
    return INCOMPARABLE if comparison.counts["not-comparable"] else 0
