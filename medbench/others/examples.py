"""One file of per-example predictions of any training stack, as medbench's own `Predictions`.

Every row is checked: what a file does not say cannot be made up from others.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from medbench.data.findings import counted, listed, rows_in_words
from medbench.data.table import read_table
from medbench.errors import MedbenchError, nearest
from medbench.others.cells import number
from medbench.predictions import Predictions
from medbench.spec.loader import shown
from medbench.spec.runs import Target

SUFFIXES = (".csv", ".parquet")
_ATTRIBUTE, _LABEL, _LOGIT, _PROBABILITY = "attribute/", "label/", "logit/", "probability/"
_INSIDE = 1e-7
"""How far a probability of exactly 0 or 1 is moved: about what a 32-bit softmax cannot tell from 1."""
_SUM = 0.01
"""How far probabilities of one example may add up to something else than 1: they may have been rounded."""

_FEW = 10
"""Patients of so small a set may well each be of a sub-group of their own, such as a skin type."""


@dataclass(frozen=True)
class _Columns:
    """A file's cells by column, with the number of each row as messages give it."""

    file: str
    rows: list[int]
    cells: dict[str, list[Any]]

    def error(self, rows: NDArray[np.int64] | list[int], message: str) -> MedbenchError:
        """A complaint about the rows at these positions."""
        return MedbenchError(f"{self.file}: {rows_in_words([self.rows[i] for i in rows])}: {message}")

    def text(self, name: str, *, empty: bool = False) -> NDArray[np.str_]:
        """(n,) text; a cell may be empty if so said."""
        values = np.array(["" if cell is None else str(cell) for cell in self.cells[name]], dtype=np.str_)
        if not empty and (values == "").any():
            raise self.error(np.flatnonzero(values == ""), f"column `{name}` is empty.")
        return values

    def numbers(self, prefix: str, classes: tuple[str, ...]) -> NDArray[np.float64]:
        """(n, k) finite numbers, one column a class."""
        return np.stack([self._numbers(prefix + name) for name in classes], axis=1)

    def _numbers(self, name: str) -> NDArray[np.float64]:
        cells = self.cells[name]
        values = np.zeros(len(cells))
        for i, cell in enumerate(cells):
            try:
                values[i] = number(cell) if isinstance(cell, str) else cell
            except (ValueError, TypeError):
                raise self.error([i], f"expected a number in column `{name}`, found `{cell}`.") from None
        if not np.isfinite(values).all():
            broken = np.flatnonzero(~np.isfinite(values))
            raise self.error(
                broken, f"expected finite numbers in column `{name}`, found `{cells[broken[0]]}`."
            )
        return values


def read_examples(path: Path, target: Target, evaluation_set: str) -> tuple[Predictions, int]:
    """Read a CSV or Parquet file of one row an image, in any order.

    Args:
      path: with the columns `image`, `patient`, `label/<class>`, `logit/<class>` or `probability/<class>`
        of every class, and any `attribute/<name>`.
      target: what the classes are.
      evaluation_set: what the file was scored on.

    Returns:
      The predictions, ordered by image, and how many probabilities were exactly 0 or 1.

    Raises:
      MedbenchError: a column or cell is missing or wrong; the message has file and row.
    """
    columns = _read(path)
    scores = _check_columns(columns, target)
    image = columns.text("image")
    order = np.argsort(image, kind="stable")
    _check_once(columns, image, order)
    labels = _labels(columns, target)
    if scores == _LOGIT:
        logits, moved = columns.numbers(_LOGIT, target.classes), 0
    else:
        logits, moved = _logits(columns, target)
    with np.errstate(over="ignore"):
        narrow = logits.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise columns.error(
            np.flatnonzero(~np.isfinite(narrow).all(axis=1)), "logits are too large for 32-bit numbers."
        )
    predictions = Predictions(
        evaluation_set=evaluation_set,
        target=target,
        image=image[order],
        patient=columns.text("patient")[order],
        labels=labels[order],
        logits=narrow[order],
        attributes={name: values[order] for name, values in _attributes(columns).items()},
    )
    return predictions, moved


def _read(path: Path) -> _Columns:
    if path.suffix == ".csv":
        table = read_table(path)
        return _Columns(table.file, table.rows, dict(table.columns))
    try:
        found = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise MedbenchError(f"{shown(path)}: not a Parquet file that can be read ({error}).") from error
    if not len(found):
        raise MedbenchError(f"{shown(path)}: no rows. Expected at least one.")
    cells = {name: column.to_pylist() for name, column in zip(found.column_names, found.columns, strict=True)}
    return _Columns(shown(path), list(range(1, len(found) + 1)), cells)


def _check_columns(columns: _Columns, target: Target) -> str:
    """All columns are there and none is unknown; whether scores are logits or probabilities."""
    given = [p for p in (_LOGIT, _PROBABILITY) if any(name.startswith(p) for name in columns.cells)]
    if len(given) != 1:
        raise MedbenchError(
            f"{columns.file}: expected either columns `logit/<class>` or `probability/<class>`, "
            f"found {'both' if given else 'neither'}."
        )
    needed = [
        "image",
        "patient",
        *(prefix + name for prefix in (_LABEL, given[0]) for name in target.classes),
    ]
    unknown = [name for name in columns.cells if name not in needed and not name.startswith(_ATTRIBUTE)]
    lacking = [name for name in needed if name not in columns.cells]
    if lacking:
        hint = nearest(lacking[0], unknown) if unknown else ""
        raise MedbenchError(
            f"{columns.file}: no column {listed(f'`{name}`' for name in lacking)}. {hint}".rstrip()
        )
    if unknown:
        raise MedbenchError(
            f"{columns.file}: unknown column `{unknown[0]}`. {nearest(unknown[0], needed)} "
            "Sub-groups are `attribute/<name>`; leave other columns out."
        )
    return given[0]


def _check_once(columns: _Columns, image: NDArray[np.str_], order: NDArray[np.int64]) -> None:
    twice = np.flatnonzero(image[order][1:] == image[order][:-1])
    if len(twice):
        pair = sorted(order[twice[0] : twice[0] + 2])
        raise columns.error(pair, "the same image. Every image of a set is scored exactly once.")


def _attributes(columns: _Columns) -> dict[str, NDArray[np.str_]]:
    """The sub-groups by attribute, (n,) each; reports list them, so what tells people apart is refused."""
    found = {}
    patient = columns.text("patient")
    for column in columns.cells:
        if not column.startswith(_ATTRIBUTE):
            continue
        values = columns.text(column, empty=True)
        alone, of = _alone(values, patient)
        if of and ((values == patient)[values != ""].all() or (of > _FEW and alone > of / 2)):
            raise MedbenchError(
                f"{columns.file}: column `{column}` gives {alone:,} of {of:,} patients a value that nobody "
                "else has, so it says who they are; reports list the values of sub-groups. Leave it out, or "
                "give wider groups, such as the decade of an age."
            )
        found[column.removeprefix(_ATTRIBUTE)] = values
    return found


def _alone(values: NDArray[np.str_], patient: NDArray[np.str_]) -> tuple[int, int]:
    """How many patients have a recorded value that no other has, and how many have one at all."""
    recorded = values != ""
    names, patient_of = np.unique(patient[recorded], return_inverse=True)
    _, value_of = np.unique(values[recorded], return_inverse=True)
    value, holder = np.divmod(np.unique(value_of * len(names) + patient_of), max(1, len(names)))
    return len(np.unique(holder[np.bincount(value)[value] == 1])), len(names)


def _labels(columns: _Columns, target: Target) -> NDArray[np.int8]:
    labels = columns.numbers(_LABEL, target.classes)
    if target.kind == "single-label":
        wrong = ~(np.isin(labels, (0, 1)).all(axis=1) & (labels.sum(axis=1) == 1))
        expected = "exactly one label 1 and the others 0 (the target is single-label)"
    else:
        wrong = ~np.isin(labels, (0, 1, -1)).all(axis=1)
        expected = "labels of 0, 1, or -1 where unknown"
    if wrong.any():
        raise columns.error(np.flatnonzero(wrong), f"expected {expected}.")
    return labels.astype(np.int8)


def _logits(columns: _Columns, target: Target) -> tuple[NDArray[np.float64], int]:
    """Log odds, or log probabilities where classes exclude each other; and how many were moved inside."""
    p = columns.numbers(_PROBABILITY, target.classes)
    outside = ((p < 0) | (p > 1)).any(axis=1)
    if outside.any():
        raise columns.error(np.flatnonzero(outside), "a probability lies outside 0 and 1. Are these logits?")
    if target.kind == "multi-label":
        moved = int(((p == 0) | (p == 1)).sum())
        return np.log(_above_zero(p)) - np.log(_above_zero(1 - p)), moved
    total = p.sum(axis=1)
    if (abs(total - 1) > _SUM).any():
        rows = np.flatnonzero(abs(total - 1) > _SUM)
        raise columns.error(
            rows, f"probabilities add up to {total[rows[0]]:.4g}, not 1 (the target is single-label)."
        )
    return np.log(_above_zero(p)), int(((p == 0) | (p == 1)).sum())


def _above_zero(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities with 0 moved up, but below every other, so that no order changes."""
    smallest = p[p > 0].min(initial=2 * _INSIDE)
    return np.where(p == 0, smallest / 2, p)


def in_words(moved: int, scored: int) -> str:
    """What became of probabilities of exactly 0 or 1."""
    return (
        f"{moved:,} of {counted(scored, 'probability', 'probabilities')} are exactly 0 or 1 and were moved "
        f"inside, by at most {_INSIDE:g}: ranks stay as they were, likelihoods follow from that"
    )
