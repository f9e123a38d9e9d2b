"""What is declared of planted worlds before they are judged: which claims must, may and must not react.

`matrix.yaml` beside this file is read here and held against a suite; nothing is simulated.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from medbench.data.cohort import ID, Cohort
from medbench.errors import MedbenchError, nearest
from medbench.gate.claim_worlds import Harm
from medbench.spec.declared import Declared
from medbench.spec.effects import PAIR
from medbench.spec.loader import Document, load_document, shown
from medbench.spec.records import Suite
from medbench.spec.runs import Item

FILE = Path(__file__).with_name("matrix.yaml")
Expected = Literal["must", "may", "must-not"]
_ASKED = ("tasks", "effect", "evaluate", "each_attribute", "metric", "predicate", "margin")
"""What a verdict follows from, beside runs."""


class Cell(Declared, frozen=True, kw_only=True):
    """What is expected of some claims where something is planted."""

    claims: list[str]
    tasks: list[str] = msgspec.field(default_factory=list)
    """None named: all that the claims have."""
    on: Literal["planted", "other", "all"] = "all"
    """Items on what the plant is in, or on the others: of claims by attribute the attribute, else the
    evaluation set. What is planted everywhere has no others."""
    expected: Expected
    within: float = 0.0
    """Of `must-not`, by how much the effect may move beyond rounding."""
    reason: str


class Group(Declared, frozen=True, kw_only=True):
    """A sub-group of a task: a value of one of its attributes."""

    attribute: str
    value: str


class _Plant(Declared, frozen=True, kw_only=True):
    """Something that is planted in the treatment."""

    statement: str
    size: float
    size_reason: str
    cells: list[Cell]


class SubgroupPlant(_Plant, frozen=True, kw_only=True):
    """A sub-group of `id` whose findings the treatment sees less of; `size` is the share that it loses."""

    at: dict[str, Group]
    """By task."""

    @property
    def places(self) -> dict[str, str]:
        """By task, in words."""
        return {task: f"{group.attribute} {group.value}" for task, group in self.at.items()}

    def harm(self, task: str, cohort: Cohort) -> Harm:
        """What is planted in worlds of a task."""
        group = self.at[task]
        return Harm({ID: cohort.examples(ID).attributes[group.attribute] == group.value}, lost=self.size)

    def is_at(self, item: Item) -> bool:
        """Whether an item is about that attribute; or, where it is about none, on `id`."""
        if item.attribute:
            return item.attribute == self.at[item.task].attribute
        return item.evaluation_set == ID


class ShiftPlant(_Plant, frozen=True, kw_only=True):
    """A shift on which the treatment sees less of the findings; `size` is the share that it loses."""

    at: dict[str, str]
    """By task."""

    @property
    def places(self) -> dict[str, str]:
        """By task, in words."""
        return self.at

    def harm(self, task: str, cohort: Cohort) -> Harm:
        """What is planted in worlds of a task."""
        shift = self.at[task]
        return Harm({shift: np.ones(len(cohort.examples(shift)), dtype=bool)}, lost=self.size)

    def is_at(self, item: Item) -> bool:
        """Whether an item is on that shift."""
        return item.evaluation_set == self.at[item.task]


class FactorPlant(_Plant, frozen=True, kw_only=True):
    """Logits of the treatment multiplied by `size`, on all sets, validation too."""

    @property
    def places(self) -> dict[str, str]:
        """None: it is everywhere."""
        return {}

    def harm(self, task: str, cohort: Cohort) -> Harm:  # noqa: ARG002  the same for all
        """What is planted in worlds of a task."""
        return Harm(factor=self.size)

    def is_at(self, item: Item) -> bool:  # noqa: ARG002  it is everywhere
        """Always."""
        return True


Plant = SubgroupPlant | ShiftPlant | FactorPlant


class Declarations(Declared, frozen=True, kw_only=True):
    """The file `matrix.yaml`."""

    subgroup: SubgroupPlant
    shift: ShiftPlant
    miscalibrated: FactorPlant
    earlier: str = ""
    """What came of a matrix that was declared before this one, and what was changed since."""
    judged_as: dict[str, str]
    """Claims that are judged as another is, and differ from it in nothing but the backbones of their arms,
    which no world has; and that other."""
    not_planted: dict[str, str]
    """Claims that no world is simulated for, and why."""

    @property
    def plants(self) -> dict[str, Plant]:
        """By name."""
        return {
            "subgroup": self.subgroup,
            "shift": self.shift,
            "miscalibrated": self.miscalibrated,
        }

    def plants_in(self, claim: str) -> bool:
        """Whether worlds are simulated for a claim."""
        return claim not in self.judged_as and claim not in self.not_planted


@dataclass(frozen=True)
class Matrix:
    """The declarations, held against a suite.

    Attributes:
      declared: as in the file.
      cells: by plant and item's id, the place of its one cell among those of the plant.
      items: that worlds are simulated for.
    """

    declared: Declarations
    cells: Mapping[str, Mapping[str, int]]
    items: tuple[Item, ...]

    def cell(self, plant: str, item: str) -> Cell:
        """What is expected of an item where that is planted."""
        return self.declared.plants[plant].cells[self.cells[plant][item]]


def matrix(suite: Suite, items: Iterable[Item], cohorts: Mapping[str, Cohort], file: Path = FILE) -> Matrix:
    """The matrix of a suite: each item in one cell of each plant, or its claim said to have none.

    Args:
      suite: the declarations of claims.
      items: all of its items in a tier.
      cohorts: by task.
      file: the matrix.

    Raises:
      MedbenchError: an item is in no cell or in two, a name is not known, a cell names a claim that has no
        item there, a group or shift is not there, or a claim has other arms than a baseline and a treatment;
        the message starts with the file.
    """
    document = load_document(file, Declarations)
    _check_names(document, suite)
    _check_alike(document, suite)
    _check_places(document, suite, cohorts)
    simulated = tuple(item for item in items if document.value.plants_in(item.claim))
    _check_arms(document, suite, simulated)
    cells = {plant: _cells(document, plant, suite, simulated) for plant in document.value.plants}
    return Matrix(document.value, cells, simulated)


def _cells(
    document: Document[Declarations], name: str, suite: Suite, items: Collection[Item]
) -> dict[str, int]:
    """The cell of each item."""
    plant = document.value.plants[name]
    found: dict[str, int] = {}
    for item in items:
        fitting = [i for i, cell in enumerate(plant.cells) if _holds(plant, cell, item)]
        if not fitting:
            raise MedbenchError(
                f"{shown(Path(suite.root))}/{suite.claim_files[item.claim]}: nothing is declared of "
                f"{item.id} in worlds with the plant `{name}`. Add it to a cell of `{name}` in "
                f"{document.file}, or claim `{item.claim}` to its `not_planted`, before worlds are judged."
            )
        if len(fitting) > 1:
            lines = " and ".join(str(document.line(name, "cells", i)) for i in fitting)
            raise document.error(
                name,
                "cells",
                fitting[1],
                message=f"{item.id} is in two cells of `{name}`, in lines {lines}. Keep one.",
            )
        found[item.id] = fitting[0]
    held = {(found[item.id], item.claim) for item in items}
    for i, cell in enumerate(plant.cells):
        for j, claim in enumerate(cell.claims):
            if (i, claim) not in held:
                message = f"no item of `{claim}` is in this cell of `{name}`. Remove it."
                raise document.error(name, "cells", i, "claims", j, message=message)
    return found


def _holds(plant: Plant, cell: Cell, item: Item) -> bool:
    if item.claim not in cell.claims or (cell.tasks and item.task not in cell.tasks):
        return False
    return cell.on == "all" or plant.is_at(item) == (cell.on == "planted")


def _check_names(document: Document[Declarations], suite: Suite) -> None:
    """Claims and tasks are those of the suite."""
    for claim in document.value.not_planted:
        _known(document, "claim", claim, suite.claims, "not_planted", claim)
    for claim, other in document.value.judged_as.items():
        _known(document, "claim", claim, suite.claims, "judged_as", claim)
        _known(document, "claim", other, suite.claims, "judged_as", claim)
    for name, plant in document.value.plants.items():
        for i, cell in enumerate(plant.cells):
            for j, claim in enumerate(cell.claims):
                _known(document, "claim", claim, suite.claims, name, "cells", i, "claims", j)
            for j, task in enumerate(cell.tasks):
                _known(document, "task", task, suite.tasks, name, "cells", i, "tasks", j)


def _check_alike(document: Document[Declarations], suite: Suite) -> None:
    """A claim that is judged as another is asks the same, and of the other worlds are simulated."""
    for claim, other in document.value.judged_as.items():
        one, two = suite.claims[claim], suite.claims[other]
        for name in _ASKED:
            if getattr(one, name) != getattr(two, name):
                message = f"`{claim}` is not judged as `{other}` is: their `{name}` differ. Give it cells."
                raise document.error("judged_as", claim, message=message)
        if not document.value.plants_in(other):
            message = f"no world is simulated for `{other}` either. Name a claim that has cells."
            raise document.error("judged_as", claim, message=message)


def _check_places(document: Document[Declarations], suite: Suite, cohorts: Mapping[str, Cohort]) -> None:
    """Each task has a group and a shift to plant in, and they are there."""
    declared = document.value
    for name in ("subgroup", "shift"):
        at = declared.plants[name].at  # type: ignore[union-attr]  # the two that have it
        for task in at:
            _known(document, "task", task, suite.tasks, name, "at", task)
        for task in cohorts:
            if task not in at:
                raise document.error(name, "at", message=f"`at` of `{name}` lacks the task `{task}`.")
    for task, cohort in cohorts.items():
        _known(document, "shift", declared.shift.at[task], cohort.shifts, "shift", "at", task)
        group = declared.subgroup.at[task]
        place = ("subgroup", "at", task)
        _known(document, "attribute", group.attribute, suite.tasks[task].attributes, *place)
        values = cohort.examples(ID).attributes[group.attribute]
        _known(document, group.attribute, group.value, map(str, np.unique(values)), *place)


def _check_arms(document: Document[Declarations], suite: Suite, items: Iterable[Item]) -> None:
    """All items compare two arms: a world has one baseline and one treatment, whatever their backbones."""
    for item in items:
        if tuple(item.arms) != PAIR:
            raise MedbenchError(
                f"{shown(Path(suite.root))}/{suite.claim_files[item.claim]}: a simulated world has a "
                f"{' and a '.join(PAIR)}, and `{item.claim}` has {', '.join(item.arms)}. Add it to "
                f"`not_planted` in {document.file}."
            )


def _known(
    document: Document[Declarations], what: str, name: str, valid: Iterable[str], *place: str | int
) -> None:
    valid = list(valid)
    if name not in valid:
        raise document.error(*place, message=f"unknown {what} `{name}`. {nearest(name, valid)}")
