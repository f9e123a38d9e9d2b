"""From judged worlds to the record of what reacted: what `medbench validate-claims --json` writes.

Shares come with Clopper-Pearson 95 % intervals of the simulation.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from medbench.gate.matrix import Cell, Expected, Matrix
from medbench.gate.reactions import Outcome
from medbench.gate.share import share
from medbench.judgement import Interval
from medbench.spec.runs import Item
from medbench.stats.interval import ROUNDING

LEAST = 0.95
"""Of worlds in which what must react does, or it does not hold: 19 of 20."""


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """A world in which an item did not do as expected."""

    world: int
    before: str
    """Verdict without the plant."""
    after: str
    """And with it."""
    effect: Interval | None
    """With the plant."""


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """An item in all planted worlds."""

    item: str
    claim: str
    task: str
    on: str
    """The attribute of claims by attribute, else the evaluation set."""
    worlds: int
    reacted: int
    """Worlds in which its verdict fell."""
    low: float
    high: float
    """Of the share of worlds in which it reacts."""
    before: dict[str, int]
    """Verdicts without the plant, `undefined` where there is none."""
    after: dict[str, int]
    """And with it."""
    change: float | None
    """Of the effect, the mean over worlds; null where it is undefined in any."""
    most: float | None
    """The largest change of either sign; null likewise."""
    held: bool
    """Whether what was expected came out."""
    missed: list[Miss]
    """Worlds in which it did not."""


class CellReport(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of the matrix, and its items."""

    plant: str
    on: str
    expected: Expected
    within: float
    reason: str
    items: list[Reaction]

    @property
    def held(self) -> bool:
        """Whether it holds for all items."""
        return all(item.held for item in self.items)


class PlantReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was planted, where, and the cells."""

    plant: str
    statement: str
    size: float
    size_reason: str
    at: dict[str, str]
    """By task, in words; empty where it is everywhere."""
    cells: list[CellReport]


class ClaimReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that `medbench validate-claims` found."""

    medbench: str
    commit: str
    date: str
    machine: str
    seconds: float
    first: int
    """The number of the first world; the others follow."""
    worlds: int
    """Of each task."""
    seeds: int
    """Of each arm."""
    tasks: list[str]
    plants: list[PlantReport]
    earlier: str
    """As in the matrix."""
    judged_as: dict[str, str]
    """Claims that differ in nothing from a planted one but their backbones, and that one."""
    not_planted: dict[str, str]
    """Claims, and why no world is simulated for them."""

    @property
    def cells(self) -> list[CellReport]:
        """Of all plants."""
        return [cell for plant in self.plants for cell in plant.cells]

    @property
    def held(self) -> bool:
        """Whether all that must react did, and nothing that must not."""
        return all(cell.held for cell in self.cells)


def report(outcomes: Sequence[Outcome], matrix: Matrix, **facts: object) -> ClaimReport:
    """The record of what reacted; `facts` are those of the machine and the suite.

    Args:
      outcomes: of the same worlds for each item and plant.
      matrix: that was declared.
      facts: the other fields of the record.
    """
    items = {item.id: item for item in matrix.items}
    by_item: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        by_item.setdefault((outcome.planted.plant, outcome.item), []).append(outcome)
    plants = []
    for name, plant in matrix.declared.plants.items():
        cells = [
            CellReport(
                plant=name,
                on=cell.on,
                expected=cell.expected,
                within=cell.within,
                reason=cell.reason,
                items=[
                    reaction(items[item], of_item, cell)
                    for (of, item), of_item in by_item.items()
                    if of == name and matrix.cells[name][item] == place
                ],
            )
            for place, cell in enumerate(plant.cells)
        ]
        plants.append(
            PlantReport(
                plant=name,
                statement=plant.statement,
                size=plant.size,
                size_reason=plant.size_reason,
                at=plant.places,
                cells=[cell for cell in cells if cell.items],
            )
        )
    return ClaimReport(
        plants=plants,
        earlier=matrix.declared.earlier,
        judged_as=matrix.declared.judged_as,
        not_planted=matrix.declared.not_planted,
        tasks=list(dict.fromkeys(items[outcome.item].task for outcome in outcomes)),
        **facts,  # type: ignore[arg-type]
    )


def reaction(item: Item, outcomes: Sequence[Outcome], cell: Cell) -> Reaction:
    """What an item did in the worlds of its cell.

    Args:
      item: of a suite.
      outcomes: its own, one a world, at least one.
      cell: what is expected.
    """
    reacted = sum(outcome.reacts for outcome in outcomes)
    changes = [outcome.change for outcome in outcomes if outcome.change is not None]
    all_known = len(changes) == len(outcomes)
    most = max(changes, key=abs) if all_known else None
    missed = [_miss(outcome) for outcome in outcomes if not _as_expected(outcome, cell)]
    fewest = LEAST if cell.expected == "must" else 1.0
    interval = share(reacted, len(outcomes))
    return Reaction(
        item=item.id,
        claim=item.claim,
        task=item.task,
        on=item.attribute or item.evaluation_set,
        worlds=len(outcomes),
        reacted=reacted,
        low=interval["low"],
        high=interval["high"],
        before=dict(Counter(outcome.before or "undefined" for outcome in outcomes)),
        after=dict(Counter(outcome.after or "undefined" for outcome in outcomes)),
        change=sum(changes) / len(changes) if all_known else None,
        most=most,
        held=(len(outcomes) - len(missed)) / len(outcomes) >= fewest,
        missed=missed,
    )


def summary(result: ClaimReport) -> str:
    """For the terminal: what held, and each item that did not."""
    lines = [
        f"{item.item}, `{cell.plant}`: {cell.expected} react, and did in {item.reacted} of {item.worlds} "
        "worlds"
        + (
            f"; its effect moved by up to {item.most:.2g}"
            if cell.expected == "must-not" and item.most
            else ""
        )
        for cell in result.cells
        for item in cell.items
        if not item.held
    ]
    for expected in ("must", "must-not", "may"):
        of = [item for cell in result.cells if cell.expected == expected for item in cell.items]
        worlds = sum(item.worlds for item in of)
        lines.append(
            f"{expected}: {len(of)} items and plants, reacted in {sum(i.reacted for i in of):,} of "
            f"{worlds:,} worlds; {sum(i.held for i in of)} as declared"
        )
    return "\n".join(lines)


def _as_expected(outcome: Outcome, cell: Cell) -> bool:
    """Whether a world is as the cell has it."""
    match cell.expected:
        case "must":
            return outcome.reacts
        case "must-not":
            return _is_still(outcome, cell.within)
        case "may":
            return True


def _miss(outcome: Outcome) -> Miss:
    before, after = (verdict or "undefined" for verdict in (outcome.before, outcome.after))
    return Miss(world=outcome.world, before=before, after=after, effect=outcome.effect)


def _is_still(outcome: Outcome, within: float) -> bool:
    """Whether the verdict is the same, and the effect but for rounding."""
    if outcome.before != outcome.after:
        return False
    return outcome.before is None or (
        outcome.change is not None and abs(outcome.change) <= max(within, ROUNDING)
    )
