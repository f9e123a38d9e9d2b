"""Somebody else's table of metric values, by backbone, training amount and seed.

Repeated rows are merged and told; rows that contradict each other are refused.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from medbench.data.findings import listed
from medbench.data.table import Table, read_table
from medbench.errors import MedbenchError, nearest
from medbench.metrics import Metric
from medbench.others.cells import number, whole_number
from medbench.others.scales import Scales

ROLES = ("backbone", "fraction", "seed", "value")
"""What `--columns` names a column for."""

LARGEST = 1e100
"""Of a metric's values: their squares are summed."""


@dataclass(frozen=True)
class Results:
    """Metric values of other people's runs.

    Attributes:
      file: as messages name it.
      rows: rows read, before repeated ones were merged.
      amounts: names of the training amounts that occur, from little to all data, with their sizes.
      values: (backbone, name of amount) -> seed -> value.
      notes: what happened on reading that a reader of the verdicts should know.
    """

    file: str
    rows: int
    amounts: dict[str, float]
    values: Mapping[tuple[str, str], Mapping[int, float]]
    notes: tuple[str, ...]

    def of(self, backbone: str, amount: str) -> Mapping[int, float]:
        """Values by seed; empty where there are none."""
        return self.values.get((backbone, amount), {})


def read_results(
    path: Path, columns: Mapping[str, str], scales: Scales, metric: Metric | None = None
) -> Results:
    """Read a CSV file of one row a run.

    Args:
      path: of the file.
      columns: the file's column for each of `ROLES`.
      scales: what the backbones and amounts are.
      metric: what the values are, if medbench knows it: they must be in its range.

    Raises:
      MedbenchError: a column is missing, a cell is empty or means nothing, or two rows give different
        values for one backbone, amount and seed; the message has the row.
    """
    table = read_table(path)
    for role, column in columns.items():
        if column not in table.columns:
            raise MedbenchError(
                f"{table.file}: no column `{column}` (for `{role}`). {nearest(column, table.columns)}"
            )
    runs = [_run(table, i, columns, scales, metric) for i in range(len(table))]
    names = {size: name for name, size in reversed([(run.amount, run.size) for run in runs])}
    values: dict[tuple[str, str], dict[int, float]] = {}
    first: dict[tuple[str, float, int], int] = {}
    repeated: list[tuple[int, int]] = []
    for i, run in enumerate(runs):
        earlier = first.setdefault((run.backbone, run.size, run.seed), i)
        if run.value != runs[earlier].value:
            raise _contradiction(table, runs, earlier, i)
        if earlier != i:
            repeated.append((earlier, i))
        values.setdefault((run.backbone, names[run.size]), {})[run.seed] = run.value
    absent = [name for name in scales.backbones if name not in {run.backbone for run in runs}]
    notes = [_about_repeated(table, columns, repeated)] if repeated else []
    if not scales.amounts and max(names) < 1:
        notes.append(f"the largest fraction, {names[max(names)]}, stands for all data")
    notes += [f"declared but not in the table: {listed(absent)}"] if absent else []
    return Results(
        file=table.file,
        rows=len(table),
        amounts={names[size]: size for size in sorted(names)},
        values=values,
        notes=tuple(notes),
    )


class _Run(NamedTuple):
    """One row."""

    backbone: str
    amount: str
    size: float
    seed: int
    value: float


def _run(table: Table, i: int, columns: Mapping[str, str], scales: Scales, metric: Metric | None) -> _Run:
    place = f"{table.file}: row {table.rows[i]}"
    cells = {role: _filled(table.columns[columns[role]][i], columns[role], place) for role in ROLES}
    backbone = cells["backbone"]
    if backbone not in scales.backbones:
        raise MedbenchError(
            f"{place}: backbone `{backbone}` is not declared in {scales.file}. "
            f"{nearest(backbone, scales.backbones)} Declare it there, or leave its rows out of the table."
        )
    try:
        size = scales.amount(cells["fraction"])
    except MedbenchError as error:
        raise MedbenchError(f"{place}, column `{columns['fraction']}`: {error}") from error
    return _Run(
        backbone,
        cells["fraction"],
        size,
        _seed(cells["seed"], columns["seed"], place),
        _value(cells["value"], columns["value"], place, metric),
    )


def _contradiction(table: Table, runs: Sequence[_Run], one: int, other: int) -> MedbenchError:
    run = runs[one]
    return MedbenchError(
        f"{table.file}: rows {table.rows[one]} and {table.rows[other]} contradict each other: "
        f"{run.backbone}, {run.amount}, seed {run.seed} is {run.value!r} in one and "
        f"{runs[other].value!r} in the other. Keep the right one; if they are different runs, "
        "give them different seeds."
    )


def _filled(cell: str, column: str, place: str) -> str:
    if not cell:
        raise MedbenchError(f"{place}: column `{column}` is empty. Fill it in, or leave the row out.")
    return cell


def _seed(cell: str, column: str, place: str) -> int:
    try:
        return whole_number(cell)
    except ValueError:
        raise MedbenchError(
            f"{place}: expected a whole number in column `{column}`, found `{cell}`."
        ) from None


def _value(cell: str, column: str, place: str, metric: Metric | None) -> float:
    try:
        value = number(cell)
    except ValueError:
        raise MedbenchError(f"{place}: expected a number in column `{column}`, found `{cell}`.") from None
    if not math.isfinite(value):
        raise MedbenchError(
            f"{place}: expected a finite number in column `{column}`, found `{cell}`. "
            "A run without a value is no run: leave the row out."
        )
    if abs(value) > LARGEST:
        raise MedbenchError(
            f"{place}: {cell} in column `{column}` is too large to be squared. Use another unit."
        )
    if metric is not None and not metric.low <= value <= metric.high:
        percent = " Is it in percent? Divide by 100." if metric.high < value <= 100 * metric.high else ""
        raise MedbenchError(
            f"{place}: {metric.name} lies between {metric.low:g} and {metric.high:g}, "
            f"found {cell} in column `{column}`.{percent}"
        )
    return value


def _about_repeated(table: Table, columns: Mapping[str, str], repeated: Sequence[tuple[int, int]]) -> str:
    """How many rows repeat an earlier one, and in which columns they nevertheless differ from it."""
    differing = [
        name
        for name, cells in table.columns.items()
        if name not in columns.values() and any(cells[one] != cells[other] for one, other in repeated)
    ]
    note = (
        f"{len(repeated):,} of {len(table):,} rows repeat the value of an earlier one of the same backbone, "
        "fraction and seed; they do not count"
    )
    return f"{note}; some differ from it in {listed(f'`{n}`' for n in differing)}" if differing else note
