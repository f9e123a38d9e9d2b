"""Which items an expression of words selects: pytest's `-k` for commands that run outside pytest.

pytest's own matcher is private (`_pytest.mark.expression`), so its grammar is read here again; the tests
hold the two against each other.
"""

import difflib
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from medbench.errors import MedbenchError, few
from medbench.report.record import Asked
from medbench.spec.records import Suite
from medbench.spec.runs import Item

_TOKEN = re.compile(r"[()]|[\w:+\-.\[\]\\/]+|[^ \t]")  # as in pytest, no other space parts words
_WORD = re.compile(r"[\w:+\-.\[\]\\/]+")
_JOINTS = ("and", "or", "not")


class LeftOut(NamedTuple):
    """What a claim asks of a task and that has no item."""

    names: tuple[str, ...]
    """As of an item, as far as they are known."""
    why: str


def name_of(item: Item) -> str:
    """The item's name in pytest: its id, then the backbones, so that `-k` finds both."""
    return name_with(item.id, item.arms)


def name_with(item_id: str, arms: Mapping[str, str]) -> str:
    """The same of an item that is known by its id and the labels of its arms alone."""
    return f"{item_id}[{','.join(dict.fromkeys(arms.values()))}]"


def names_of(item: Item, suite: Suite) -> tuple[str, ...]:
    """Every name that `-k` looks at in `pytest benchmarks`: of the folders, of the file and of the item."""
    return (*_folders(item.claim, suite), name_of(item))


def left_out_of(asked: Iterable[Asked], suite: Suite) -> list[LeftOut]:
    """What has no item of all that claims ask, each with the reason."""
    return [
        LeftOut((*_folders(each.claim, suite), f"{each.task}/{each.claim}"), each.why_none)
        for each in asked
        if not each.items
    ]


def _folders(claim: str, suite: Suite) -> tuple[str, ...]:
    """The names of the suite's folder and of all that leads from there to the file of a claim."""
    return (Path(suite.root).absolute().name, *Path(suite.claim_files[claim]).parts)


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


def why_nothing(
    expression: str, selectable: Sequence[Sequence[str]], without_item: Sequence[LeftOut] = ()
) -> str:
    """What is wrong with an expression that selects nothing: words that no name has, or what is left out.

    Args:
      expression: as given.
      selectable: the names of each thing that could have been selected.
      without_item: what could have been, had it an item.
    """
    asked = [token for token in _TOKEN.findall(expression) if token not in _JOINTS and _WORD.match(token)]
    missing = [word for word in dict.fromkeys(asked) if not _has(word, selectable)]
    if missing:
        return " ".join(_why_missing(word, selectable, without_item) for word in missing)
    fitting: dict[str, list[str]] = {}
    for names, why in without_item:
        if holds(expression, names):
            fitting.setdefault(why, []).append(names[-1])
    if fitting:
        return " ".join(f"Left out: {few(names)} ({why})." for why, names in fitting.items())
    return "Each of its words is in some name, but no name fits it as a whole."


def _has(word: str, things: Iterable[Sequence[str]]) -> bool:
    """Whether a name of any of the things contains the word."""
    return any(word.lower() in name.lower() for names in things for name in names)


def _why_missing(word: str, selectable: Iterable[Sequence[str]], without_item: Iterable[LeftOut]) -> str:
    """Why no name has a word: what has it is left out, or it is perhaps misspelt."""
    reasons = dict.fromkeys(each.why for each in without_item if _has(word, [each.names]))
    if reasons:
        return f"`{word}` is left out: {' or '.join(reasons)}."
    words = {part for names in selectable for part in re.split(r"[/\[\],]+", names[-1]) if part}
    return f"No name has `{word}`. {_nearest(word, words)}".rstrip()


def _nearest(word: str, words: set[str]) -> str:
    """The nearest word or part of one (`ood` of `ood-robustness`); empty where none is near."""
    parts = words.union(*(word.split("-") for word in words))
    close = difflib.get_close_matches(word.lower(), sorted(parts), n=1)
    return f"Did you mean `{close[0]}`?" if close else ""


def _shown(token: str) -> str:
    """A token in a message; of space the escape, as it would not be seen."""
    return f"`{token}`" if token.strip() else repr(token)


def _wrong(expression: str, problem: str) -> MedbenchError:
    return MedbenchError(f"-k {expression!r}: {problem}. Join words by `and`, `or`, `not` and brackets.")
