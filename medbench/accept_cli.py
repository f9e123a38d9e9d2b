"""`medbench accept`: take values that a night or a session proposed, after a look at them.

Nothing is trained; jax is not imported.
"""

import argparse
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from medbench import candidates, expect
from medbench.accepting import sharing, told_of_sharing
from medbench.candidates import Candidates
from medbench.diff.message import commit_message
from medbench.errors import MedbenchError
from medbench.expect import Change, Expectation, Expectations
from medbench.packaged import HERE
from medbench.report.terminal import count
from medbench.selection import holds, why_nothing
from medbench.spec.loader import shown
from medbench.spec.suite import load_suite
from medbench.store import MESSAGE
from medbench.writing import write_aside, writing

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
    known = _known(args.suite, root, found.about.tier)
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
        message = _keep_message(to_write, args.reason, found.about.tier, known)
        print(f"{count(len(to_write), 'item')} and {count(taken.runs, 'reference run')} accepted")
        others = sharing(taken.replaced, known.accepted, [each.item for each in changes if not each.why_kept])
        print("".join(f"{line}\n" for line in told_of_sharing(others, found.about.tier)), end="")
        print(f"commit them with: git add {_quoted(root)} && git commit -e -F {_quoted(message)}")
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
    names = {each.item: f"{each.item}[{','.join(each.arms.values())}]" for each in found.items}
    if not names:
        raise MedbenchError(f"{found.root.parent}: nothing is proposed; {candidates.CHANGES} says why.")
    chosen = [each for each in found.items if holds(expression, [names[each.item]])]
    if not chosen:
        why = why_nothing(expression, [(name,) for name in names.values()], [])
        raise MedbenchError(f"no proposed item matches -k {expression!r}. {why}")
    return chosen


def _known(suite: Path, root: Path, tier: str) -> Expectations:
    """What is accepted, with that of the suite which this one extends."""
    own, declared = expect.load(root, tier), load_suite(suite)
    if not declared.base:
        return own
    base = expect.load(expect.beside(Path(declared.base)), tier)
    return own.over(base, replaced=declared.replaces_item)


def _keep_message(changes: Sequence[Change], reason: str, tier: str, known: Expectations) -> Path:
    text = commit_message(changes, reason=reason, tier=tier, tolerance=known.tolerance)
    with writing(STORE):
        STORE.mkdir(exist_ok=True)
        write_aside(STORE / MESSAGE, text.encode())
    return STORE / MESSAGE


def _quoted(path: Path) -> str:
    return shlex.quote(shown(path))
