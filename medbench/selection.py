"""Which items an expression of words selects: pytest's `-k` for commands that run outside pytest.

pytest's own matcher is private (`_pytest.mark.expression`), so its grammar is read here again; the tests
hold the two against each other.
"""

import difflib
import re
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from medbench.errors import MedbenchError, nearest
from medbench.spec.records import Suite
from medbench.spec.runs import Item

_TOKEN = re.compile(r"[()]|[\w:+\-.\[\]\\/]+|[^ \t]")  # as in pytest, no other space parts words
_WORD = re.compile(r"[\w:+\-.\[\]\\/]+")
_JOINTS = ("and", "or", "not")


def name_of(item: Item) -> str:
    """The item's name in pytest: its id, then the backbones, so that `-k` finds both."""
    return f"{item.id}[{','.join(dict.fromkeys(item.arms.values()))}]"


def names_of(item: Item, suite: Suite) -> tuple[str, ...]:
    """Every name that `-k` looks at in `pytest benchmarks`: of the folders, of the file and of the item."""
    return (Path(suite.root).absolute().name, *Path(suite.claim_files[item.claim]).parts, name_of(item))


def holds(expression: str, names: Iterable[str]) -> bool:
    """Whether an expression holds for something that has these names.

    A word holds if any name contains it, in upper or lower case; words may be joined by `and`, `or`,
    `not` and brackets. The empty expression holds for everything.

    Raises:
      MedbenchError: the expression is none; the message says where.
    """
    lowered = [name.lower() for name in names]
    tokens = deque(_TOKEN.findall(expression.lstrip()))

    def either() -> bool:
        value = both()
        while tokens and tokens[0] == "or":
            tokens.popleft()
            value = both() or value
        return value

    def both() -> bool:
        value = one()
        while tokens and tokens[0] == "and":
            tokens.popleft()
            value = one() and value
        return value

    def one() -> bool:
        token = tokens.popleft() if tokens else ""
        if token == "not":  # noqa: S105  no password
            return not one()
        if token == "(":  # noqa: S105
            value = either()
            if not tokens or tokens.popleft() != ")":
                raise _wrong(expression, "a bracket is not closed")
            return value
        if token in ("and", "or") or not _WORD.fullmatch(token):
            raise _wrong(expression, f"expected a word, found {_shown(token) if token else 'the end'}")
        return any(token.lower() in name for name in lowered)

    if not tokens:
        return True
    value = either()
    if tokens:
        raise _wrong(expression, f"expected `and` or `or`, found {_shown(tokens[0])}")
    return value


def why_nothing(expression: str, selectable: Sequence[Sequence[str]]) -> str:
    """What is wrong with an expression that selects nothing: its words that no name has, and the nearest.

    Args:
      expression: as given.
      selectable: the names of each thing that could have been selected.
    """
    asked = [token for token in _TOKEN.findall(expression) if token not in _JOINTS and _WORD.match(token)]
    known = [name.lower() for names in selectable for name in names]
    missing = [word for word in dict.fromkeys(asked) if not any(word.lower() in name for name in known)]
    words = {word for names in selectable for word in re.split(r"[/\[\],]+", names[-1]) if word}
    if not missing:
        return "Each of its words is in some name, but no name fits it as a whole."
    if len(asked) == 1:
        return _nearest(missing[0], words)
    return " ".join(f"No name has `{word}`. {_nearest(word, words)}" for word in missing)


def _nearest(word: str, words: set[str]) -> str:
    """The nearest word or part of one (`ood` of `ood-robustness`), or else all whole words."""
    parts = words.union(*(word.split("-") for word in words))
    close = difflib.get_close_matches(word.lower(), sorted(parts), n=1)
    return nearest(close[0], parts) if close else nearest(word, words)


def _shown(token: str) -> str:
    """A token in a message; of space the escape, as it would not be seen."""
    return f"`{token}`" if token.strip() else repr(token)


def _wrong(expression: str, problem: str) -> MedbenchError:
    return MedbenchError(f"-k {expression!r}: {problem}. Join words by `and`, `or`, `not` and brackets.")
