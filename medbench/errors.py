"""The one exception a user's mistake raises: a message that says what, where, and what to do next."""

import difflib
from collections.abc import Iterable, Sequence


class MedbenchError(Exception):
    """Something a person can put right; shown without a traceback.

    The message names the file and place, what was found, what was expected and what to do.
    """


def printable(text: str) -> str:
    """The text on one line, line breaks and what else cannot be seen as escapes.

    For messages that quote files and tables, which may hold what a terminal obeys.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """As `printable`, but for line breaks, which stay."""
    return "\n".join(map(printable, text.split("\n")))


class NotHereError(MedbenchError):
    """Data or weights that are asked for and not on this machine; the message says how to come by them."""


class NotPreparedError(NotHereError):
    """A public cohort that was not prepared here; the message says how to come by it."""


class NotInSessionError(MedbenchError):
    """What was asked for is declared, and takes no part with the tier and cohort that were chosen."""


def few(names: Sequence[str]) -> str:
    """`a, b`, and of more than three `a, b, c and 17 more`."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def nearest(name: str, valid: Iterable[str]) -> str:
    """The sentence that helps after a wrong name: the nearest valid one, or else all of them."""
    names = sorted(set(valid))
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"Did you mean `{close[0]}`?"
    return f"Expected {', '.join(f'`{n}`' for n in names)}." if names else ""
