"""`medbench accept`: take values that a night or a session proposed, after a look at them.

Nothing is trained; jax is not imported.
"""

import argparse
import shlex
from datetime import UTC, datetime
from pathlib import Path

from medbench import candidates, expect
from medbench.accepting import conclude
from medbench.candidates import Candidates
from medbench.errors import MedbenchError
from medbench.expect import Expectation
from medbench.packaged import HERE
from medbench.report.terminal import count
from medbench.selection import holds, name_with, why_nothing
from medbench.spec.suite import load_suite

STORE = Path(".medbench")
"""Where the message of a commit is left, as by pytest."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench accept`."""
    parser.description = (
        "Accept values that a night, or `pytest --candidates DIR`, proposed: shows what would change, and "
        "with --reason writes it into the expectations, with the reference runs, for you to commit."
    )
    parser.epilog = (
        "an item that was accepted anew since then is left alone, and so is all that is not selected.\n"
        "exit status: 0; 2 for a mistake, or where nothing is selected"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, metavar="DIR", help="of a night, such as nights/2026-11-23")
    parser.add_argument(
        "-k",
        default="",
        metavar="EXPRESSION",
        help="only items with such names, as in pytest: 'chest and ood'",
    )
    parser.add_argument(
        "--reason", metavar="TEXT", help="why the new values are right; without it nothing is written"
    )
    parser.add_argument(
        "--suite", type=Path, default=HERE, metavar="DIR", help="folder of declarations (default: benchmarks)"
    )
    parser.add_argument(
        "--expectations", type=Path, metavar="DIR", help="default: `expectations` beside the suite"
    )


def run(args: argparse.Namespace) -> int:
    """Show, or accept; returns the exit status.

    Raises:
      MedbenchError: there are no candidates, none is selected, CI is set, or something cannot be written.
    """
    found = candidates.read(args.folder)
    chosen = _selected(found, args.k)
    if args.reason is not None:
        expect.require_reviewed(args.reason)
    if found.about.own and args.expectations is None:
        raise MedbenchError(
            f"{args.folder}: these values are of a cohort, backbones or a trainer of your own, of which the "
            "suite's expectations do not speak. Name a folder for them by --expectations DIR."
        )
    root = args.expectations or expect.beside(args.suite)
    tier = found.about.tier
    known = expect.load_for(load_suite(args.suite), tier, named=args.expectations)
    changes = candidates.changes(
        chosen, known, reason=args.reason or "", date=datetime.now(UTC).date().isoformat()
    )
    print(expect.summary(changes))
    to_write = [change for change in changes if change.before != change.after]
    if not to_write:
        print("nothing would change")
    elif args.reason is None:
        again = f'{_again(args)} --reason "why they are right"'
        print(f"{count(len(to_write), 'item')} would change. To accept: {again}")
    else:
        taken = candidates.take(found, changes, root)
        said = conclude(changes, taken, known=known, root=root, tier=tier, reason=args.reason, store=STORE)
        print("\n".join(said))
    return 0


def _again(args: argparse.Namespace) -> str:
    """The same command."""
    words = ["medbench", "accept", str(args.folder)]
    words += ["-k", args.k] if args.k else []
    words += ["--suite", str(args.suite)] if args.suite != HERE else []
    words += ["--expectations", str(args.expectations)] if args.expectations else []
    return shlex.join(words)


def _selected(found: Candidates, expression: str) -> list[Expectation]:
    """The proposed items that an expression holds for."""
    names = {each.item: name_with(each.item, each.arms) for each in found.items}
    if not names:
        raise MedbenchError(f"{found.root.parent}: nothing is proposed; {candidates.CHANGES} says why.")
    chosen = [each for each in found.items if holds(expression, [names[each.item]])]
    if not chosen:
        why = why_nothing(expression, [(name,) for name in names.values()], [])
        raise MedbenchError(f"no proposed item matches -k {expression!r}. {why}")
    return chosen
