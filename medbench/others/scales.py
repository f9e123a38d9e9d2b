"""What the backbones of somebody else's table are: upstream, architecture and the order of scale.

Declared in one YAML file, because names alone do not say which of two upstreams is the larger.
"""

import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal

import msgspec

from medbench.errors import MedbenchError, nearest
from medbench.others.cells import number
from medbench.spec.declared import Declared
from medbench.spec.loader import Document, load_document


class Position(Declared, frozen=True, kw_only=True):
    """Where a backbone stands on the two axes of scale."""

    upstream: str
    architecture: str


class ScalesFile(Declared, frozen=True, kw_only=True):
    """The file that `--backbones` names."""

    upstreams: dict[str, list[str]]
    """Ladders of upstreams, each from small to large; only upstreams of one ladder are compared."""
    architectures: list[str]
    """From small to large."""
    backbones: dict[str, Position]
    """By the name that the table has."""
    amounts: dict[str, float | Literal["full"]] = msgspec.field(default_factory=dict)
    """What the table's names of training amounts stand for, in any one unit (share of the data, images a
    class); `full` is all data, where its size in that unit is not known. Not needed for numbers."""


class Rung(msgspec.Struct, frozen=True):
    """A step on a ladder: two values of one axis, the second the larger."""

    ladder: str
    smaller: str
    larger: str


class Scales(msgspec.Struct, frozen=True, kw_only=True):
    """A checked declaration."""

    file: str
    """As messages name it."""
    upstreams: tuple[Rung, ...]
    """Every pair of a ladder."""
    architectures: tuple[Rung, ...]
    backbones: dict[str, Position]
    amounts: dict[str, float]
    """By the table's name, infinite where the size of all data is not known; empty if none is declared."""

    def backbone(self, upstream: str, architecture: str) -> str | None:
        """The name of the backbone at that position, if there is one."""
        for name, position in self.backbones.items():
            if (position.upstream, position.architecture) == (upstream, architecture):
                return name
        return None

    def amount(self, name: str) -> float:
        """How much training data a name of the table stands for, above 0.

        Raises:
          MedbenchError: it is not declared or, where none is, not a positive number.
        """
        if self.amounts:
            if name not in self.amounts:
                raise MedbenchError(
                    f"`{name}` is not among the `amounts` of {self.file}. {nearest(name, self.amounts)}"
                )
            return self.amounts[name]
        try:
            amount = number(name)
        except ValueError:
            amount = math.nan
        if not (math.isfinite(amount) and amount > 0):
            raise MedbenchError(
                f"expected a positive number, found `{name}`. "
                f"If that is a name, say under `amounts` in {self.file} what it stands for."
            )
        return amount


def load_scales(path: Path) -> Scales:
    """Read and check what `--backbones` names.

    Raises:
      MedbenchError: the file is missing or wrong, or contradicts itself; the message has file and line.
    """
    document = load_document(path, ScalesFile)
    declared = document.value
    for ladder, rungs in declared.upstreams.items():
        _expect_ladder(document, rungs, "upstreams", ladder)
    _check_orders(document)
    _expect_ladder(document, declared.architectures, "architectures")
    _check_backbones(document)
    return Scales(
        file=document.file,
        upstreams=tuple(
            Rung(ladder, *pair)
            for ladder, rungs in declared.upstreams.items()
            for pair in combinations(rungs, 2)
        ),
        architectures=tuple(Rung("", *pair) for pair in combinations(declared.architectures, 2)),
        backbones=declared.backbones,
        amounts=_amounts(document),
    )


def _expect_ladder(document: Document[ScalesFile], rungs: Sequence[str], *place: str) -> None:
    if not rungs:
        raise document.error(*place, message=f"`{place[-1]}` is empty. List names from small to large.")
    for i, rung in enumerate(rungs):
        if rung in rungs[:i]:
            raise document.error(*place, i, message=f"`{rung}` comes twice in `{place[-1]}`. Keep one.")


def _check_orders(document: Document[ScalesFile]) -> None:
    """No ladder has two upstreams the other way round than one before it."""
    larger_in: dict[tuple[str, str], str] = {}
    for ladder, rungs in document.value.upstreams.items():
        for smaller, larger in combinations(rungs, 2):
            other = larger_in.get((larger, smaller))
            if other is not None:
                message = (
                    f"`{larger}` is larger than `{smaller}` in `{ladder}`, and smaller in `{other}`. "
                    "List both from small to large."
                )
                raise document.error("upstreams", ladder, message=message)
            larger_in[smaller, larger] = ladder


def _check_backbones(document: Document[ScalesFile]) -> None:
    """Every backbone stands at a declared position, each at its own."""
    declared = document.value
    upstreams = {upstream for rungs in declared.upstreams.values() for upstream in rungs}
    holders: dict[Position, str] = {}
    for name, position in declared.backbones.items():
        for field, known in (("upstream", upstreams), ("architecture", declared.architectures)):
            value = getattr(position, field)
            if value not in known:
                raise document.error(
                    "backbones",
                    name,
                    field,
                    message=f"unknown {field} `{value}` of backbone `{name}`. {nearest(value, known)}",
                )
        if position in holders:
            raise document.error(
                "backbones",
                name,
                message=f"backbones `{holders[position]}` and `{name}` have the same upstream and "
                "architecture. Give them different ones, or judge them apart.",
            )
        holders[position] = name


def _amounts(document: Document[ScalesFile]) -> dict[str, float]:
    amounts: dict[str, float] = {}
    for name, value in document.value.amounts.items():
        amount = math.inf if value == "full" else float(value)
        if not amount > 0:
            message = f"expected a positive number for `{name}` in `amounts`, found {amount:g}."
            raise document.error("amounts", name, message=message)
        if amount in amounts.values():
            twin = next(other for other, known in amounts.items() if known == amount)
            message = f"`{twin}` and `{name}` in `amounts` stand for the same. Keep one, and rename the rows."
            raise document.error("amounts", name, message=message)
        amounts[name] = amount
    return amounts
