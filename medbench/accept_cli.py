"""`medbench accept`: take values that a night or a session proposed, after a look at them.

Nothing is trained; jax is not imported.
"""

import argparse
import shlex
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from medbench import candidates, expect
from medbench.accepting import conclude, why_stale
from medbench.candidates import About, Candidates
from medbench.errors import MedbenchError
from medbench.expect import Expectation
from medbench.packaged import HERE
from medbench.report.terminal import count
from medbench.selection import holds, name_with, names_of, why_nothing
from medbench.study import Options, Study

STORE = ".medbench"
"""Folder beside the suite in which the message of a commit is left, as by pytest."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench accept`."""
    parser.description = (
        "Accept values that a night, or `pytest --candidates DIR`, proposed: shows what would change, and "
        "with --reason writes it into the expectations, with the reference runs, for you to commit."
    )
    parser.epilog = (
        "an item that was accepted anew since then is left alone, and so is all that is not selected.\n"
        "exit status: 0; 2 for a mistake, or where nothing is selected or can be accepted"
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
    if args.reason is not None:
        expect.require_reviewed(args.reason)
    found = candidates.read(args.folder)
    study = _study(args, found.about)
    chosen = _selected(found, args.k, study)
    changes = candidates.changes(
        found,
        chosen,
        study.expectations,
        why_not=lambda each: "" if found.about.own else why_stale(study, each),
        reason=args.reason or "",
        date=datetime.now(UTC).date().isoformat(),
    )
    print(expect.summary(changes))
    to_write = [change for change in changes if change.before != change.after]
    if args.reason is None and to_write:
        again = f'{_again(args)} --reason "why they are right"'
        print(f"{count(len(to_write), 'item')} would change. To accept: {again}")
    elif to_write:
        taken = candidates.take(found, changes, study.accepted_in, study.references_in)
        store = args.suite.absolute().parent / STORE
        print("\n".join(conclude(study, changes, taken, reason=args.reason, store=store)))
    elif any(change.why_kept for change in changes):
        print("nothing can be accepted, for the reasons above")
        return 2
    else:
        print("nothing would change")
    return 0


def _again(args: argparse.Namespace) -> str:
    """The same command."""
    words = ["medbench", "accept", str(args.folder)]
    words += ["-k", args.k] if args.k else []
    words += ["--suite", str(args.suite)] if args.suite != HERE else []
    words += ["--expectations", str(args.expectations)] if args.expectations else []
    return shlex.join(words)


def _study(args: argparse.Namespace, about: About) -> Study:
    """The suite with what is accepted; nothing is made or kept.

    Raises:
      MedbenchError: the suite has no such tier, or the values are not for the expectations beside it.
    """
    if (about.own or about.elsewhere) and args.expectations is None:
        why = "a cohort, backbones or a trainer of your own" if about.own else "other expectations"
        raise MedbenchError(
            f"{args.folder}: these values are of a session with {why}, of which the expectations beside the "
            "suite do not speak. Name a folder for them by --expectations DIR."
        )
    with tempfile.TemporaryDirectory() as nowhere:
        options = Options(tier=about.tier, store=Path(nowhere), expectations=args.expectations, runs="never")
        return Study.open(args.suite, options)


def _selected(found: Candidates, expression: str, study: Study) -> list[Expectation]:
    """The proposed items that an expression holds for."""
    names = {each.item: _names(each, study) for each in found.items}
    if not names:
        raise MedbenchError(f"{found.root.parent}: nothing is proposed; {candidates.CHANGES} says why.")
    chosen = [each for each in found.items if holds(expression, names[each.item])]
    if not chosen:
        why = why_nothing(expression, list(names.values()), [])
        raise MedbenchError(f"no proposed item matches -k {expression!r}. {why}")
    return chosen


def _names(candidate: Expectation, study: Study) -> tuple[str, ...]:
    """What `-k` looks at, as in pytest."""
    item = study.items.get(candidate.item)
    return names_of(item, study.suite) if item else (name_with(candidate.item, candidate.arms),)
