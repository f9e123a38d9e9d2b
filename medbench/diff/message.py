"""The message that a commit of newly accepted values begins with: what, why, and what they were before."""

import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path

from medbench.diff import show
from medbench.diff.compare import compare
from medbench.diff.sides import of_expectations
from medbench.diff.terms import Tolerance
from medbench.errors import printable
from medbench.expect import Change, Expectations
from medbench.spec.loader import shown
from medbench.store import MESSAGE
from medbench.writing import write_aside, writing

_WIDTH = 72
"""Of prose in a commit's message; the table keeps its own."""


def keep_message(text: str, store: Path) -> Path:
    """Leave a message in a store, which need not exist, for `git commit -F`; returns the file.

    Raises:
      UnwritableError: it cannot be written.
    """
    with writing(store):
        store.mkdir(parents=True, exist_ok=True)
        write_aside(store / MESSAGE, text.encode())
    return store / MESSAGE


def commit_command(expectations: Path, message: Path) -> str:
    """The commands that commit what was accepted into a folder, with a message that was kept."""
    add, commit = (shlex.quote(shown(path)) for path in (expectations, message))
    return f"git add {add} && git commit -e -F {commit}"


def commit_message(changes: Sequence[Change], *, reason: str, tier: str, tolerance: Tolerance) -> str:
    """A subject, the reason, and the comparison of what was accepted with what is.

    Args:
      changes: of an update; what was left as it was is not told.
      reason: that was given.
      tier: whose values they are.
      tolerance: see `medbench.diff.compare.compare`.
    """
    changed = [change for change in changes if change.before != change.after]
    before, after = (
        of_expectations(Expectations(accepted=tuple(filter(None, of))), words=words, tier=tier)
        for of, words in (
            ([change.before for change in changed], "accepted values"),
            ([change.after for change in changed], "newly accepted values"),
        )
    )
    tasks = sorted({change.item.partition("/")[0] for change in changed})
    things = "1 item" if len(changed) == 1 else f"{len(changed)} items"
    subject = (
        f"Accept {things} of {', '.join(tasks)} ({tier})" if changed else f"Accept reference runs ({tier})"
    )
    table = show.lines(compare(before, after, tolerance)) if changed else []
    return (
        "\n".join(
            [
                textwrap.shorten(subject, _WIDTH, placeholder=" …"),
                "",
                *textwrap.wrap(printable(reason.strip()), _WIDTH),
                "",
                *table,
            ]
        ).rstrip("\n")
        + "\n"
    )
