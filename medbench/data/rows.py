"""From the cells of a table to images, patients, labels and attributes, as `cohort.yaml` says.

Nothing is dropped silently: a cell that is not understood is an error with its row.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medbench.data.declaration import AGE_BINS, AttributeColumn, CohortFile, Label, ValueColumn
from medbench.data.findings import SHOWN, Findings, counted, rows_in_words
from medbench.data.table import Table
from medbench.errors import nearest
from medbench.spec.loader import Document

MANY_GROUPS = 20
"""A column with more values than this is hardly one to compare by; it may tell patients apart."""

_VALUES_SHOWN = 5


@dataclass(frozen=True)
class Rows:
    """The usable rows of a table.

    Attributes:
      row: (n,) int64, row numbers as a spreadsheet shows them.
      index: (n,) int64, positions in the table.
      image: (n,) str, as the table names it.
      path: the image files.
      patient: (n,) str.
      labels: (n, k) int8 of 0, 1, -1, columns as the target's classes.
      attributes: name -> (n,) str, empty where not recorded.
    """

    row: NDArray[np.int64]
    index: NDArray[np.int64]
    image: NDArray[np.str_]
    path: list[Path]
    patient: NDArray[np.str_]
    labels: NDArray[np.int8]
    attributes: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.row)


class Meanings:
    """Looks up what a cell means; a number is found however it is written (`1`, `1.0`)."""

    def __init__(self, values: Mapping[str, Iterable[str]]):
        self._text = {value: name for name, all_of_it in values.items() for value in all_of_it}
        self._numbers = {float(v): name for v, name in self._text.items() if is_number(v)}
        self._folded = {value.casefold(): value for value in self._text}

    @property
    def values(self) -> list[str]:
        """Every value with a meaning."""
        return list(self._text)

    def of(self, cell: str) -> str | None:
        """The name a cell stands for, or None."""
        if cell in self._text:
            return self._text[cell]
        return self._numbers.get(float(cell)) if is_number(cell) else None

    def almost(self, cell: str) -> str | None:
        """The value that differs from the cell in upper and lower case only, or None."""
        return self._folded.get(cell.casefold())


def is_number(text: str) -> bool:
    """Whether the text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def read_rows(document: Document[CohortFile], table: Table, root: Path, findings: Findings) -> Rows:
    """The rows of the table with what the declaration makes of them.

    Errors and warnings go to `findings`; a row with an error is not among those returned.

    Raises:
      MedbenchError: the declaration names a column that the table has not.
    """
    reader = _Reader(document, table, findings)
    images = reader.images()
    patients = reader.patients()
    labels = reader.labels()
    attributes = reader.attributes()
    index = np.flatnonzero(reader.usable)
    return Rows(
        row=np.array(table.rows, dtype=np.int64)[index],
        index=index,
        image=np.array(images, dtype=np.str_)[index],
        path=[root / images[i] for i in index],
        patient=np.array(patients, dtype=np.str_)[index],
        labels=labels[index],
        attributes={name: np.array(groups, dtype=np.str_)[index] for name, groups in attributes.items()},
    )


def column_of(document: Document[CohortFile], table: Table, name: str, *place: str) -> list[str]:
    """The cells of a column that the declaration names at `place`.

    Raises:
      MedbenchError: there is no such column; the message offers the nearest.
    """
    if name not in table.columns:
        raise document.error(
            *place, message=f"{table.file} has no column `{name}`. {nearest(name, table.columns)}"
        )
    return table.columns[name]


def understand(
    cells: list[str], rows: Iterable[int], meaning: Callable[[str], str | None]
) -> tuple[list[str | None], dict[str, list[int]]]:
    """What each cell means, and the rows of the values that mean nothing."""
    meanings = [meaning(cell) for cell in cells]
    unknown: dict[str, list[int]] = defaultdict(list)
    for cell, row, found in zip(cells, rows, meanings, strict=True):
        if found is None:
            unknown[cell].append(row)
    return meanings, unknown


def values_in_words(declared: CohortFile, column: str, unknown: Mapping[str, list[int]]) -> str:
    """Values of a column that were not understood, each with its rows; rows only if it may tell patients."""
    if not _quotable(declared, column, unknown):
        return f"{counted(len(unknown), 'value')} in {rows_in_words(sorted(chain(*unknown.values())))}"
    told = [
        f"{f'`{value}`' if value else 'an empty cell'} in {rows_in_words(rows)}"
        for value, rows in unknown.items()
    ]
    more = f"; … ({len(told)} values in all)" if len(told) > _VALUES_SHOWN else ""
    return "; ".join(told[:_VALUES_SHOWN]) + more


def nearest_value(declared: CohortFile, column: str, value: str, cells: Iterable[str]) -> str:
    """The sentence that helps after a value that a column does not hold; none if it may tell patients."""
    present = {*cells} - {""}
    return nearest(value, present) if _quotable(declared, column, present) else ""


def _quotable(declared: CohortFile, column: str, values: Collection[str]) -> bool:
    """Whether messages may quote a column: neither ids nor what is as manifold, such as dates of birth."""
    return not declared.tells_patients(column) and len(values) <= MANY_GROUPS


@dataclass(frozen=True)
class _Column:
    """A column as the declaration names it.

    Attributes:
      what: what it is for, such as "label `malignant`".
      name: its name in the table.
      cells: one per row.
    """

    what: str
    name: str
    cells: list[str]


class _Reader:
    """Reads column after column and crosses out the rows that cannot be used."""

    def __init__(self, document: Document[CohortFile], table: Table, findings: Findings):
        self.document = document
        self.declared = document.value
        self.table = table
        self.findings = findings
        self.usable = np.ones(len(table), dtype=bool)

    def images(self) -> list[str]:
        """Image names, each once."""
        images = self._image_cells()
        self._require(images, "the image is not named", "Name it, or take the row out.")
        self._require_below_root(images)
        rows_of: dict[str, list[int]] = defaultdict(list)
        for row, image in zip(self.table.rows, images, strict=True):
            rows_of[image].append(row)
        repeated = [rows for image, rows in rows_of.items() if image and len(rows) > 1]
        if repeated:  # by rows only: images may be called after patients
            more = "; …" if len(repeated) > SHOWN else ""
            self._error(
                f"{counted(len(repeated), 'image is', 'images are')} named by several rows: "
                f"{'; '.join(map(rows_in_words, repeated[:SHOWN]))}{more}. Keep one row per image."
            )
            first = {rows[0] for rows in rows_of.values()}
            self.usable &= [row in first for row in self.table.rows]
        return images

    def patients(self) -> list[str]:
        """Patients, or what stands in for them."""
        columns = self.declared.columns
        key = "patient" if columns.patient else "cluster"
        name = columns.patient or columns.cluster or ""
        patients = column_of(self.document, self.table, name, "columns", key)
        self._require(
            patients,
            f"column `{name}` is empty",
            "Images of one patient must stay together: fill in the patient, or take the row out.",
        )
        if key == "cluster":
            self.findings.warn(
                f"{self.table.file}: patients are not known; `{name}` stands in for them. Images of "
                "one patient may be in training and test, and intervals may come out too narrow."
            )
        return patients

    def labels(self) -> NDArray[np.int8]:
        """(n, k) labels; rows of a single-label task without a known label are left out, with a warning."""
        target = self.declared.target
        if self.declared.classes:
            labels = self._classes(self.declared.classes)
        else:
            columns = [self._label(name, label) for name, label in self.declared.labels.items()]
            labels = np.column_stack(columns)
            if target.kind == "single-label":
                labels = np.where(labels < 0, labels, np.hstack([1 - labels, labels])).astype(np.int8)
        if target.kind == "single-label":
            unknown = self.usable & (labels < 0).any(axis=1)
            if unknown.any():
                rows = np.array(self.table.rows)[unknown]
                self.findings.warn(
                    f"{self.table.file}: {counted(len(rows), 'image')} with an uncertain label "
                    f"{'is' if len(rows) == 1 else 'are'} left out ({rows_in_words(rows.tolist())})."
                )
                self.usable &= ~unknown
        self._warn_of_unused_uncertain()
        return labels

    def _warn_of_unused_uncertain(self) -> None:
        """An uncertain value may occur in any of the label columns."""
        declared = self.declared
        told = [label if isinstance(label, str) else label.column for label in declared.labels.values()]
        names = [declared.classes.column] if declared.classes else list(dict.fromkeys(told))
        cells = list(chain.from_iterable(self.table.columns[name] for name in names))
        if declared.uncertain:
            self._warn_of_unused(_Column("`uncertain`", "`, `".join(names), cells), declared.uncertain.values)

    def attributes(self) -> dict[str, list[str]]:
        """Sub-groups by attribute; one with too many is an error, and its groups are shown nowhere."""
        found = {}
        for name, attribute in self.declared.columns.attributes.items():
            groups = self._attribute(name, attribute)
            distinct = len(set(groups) - {""})
            if distinct <= MANY_GROUPS:
                found[name] = groups
            else:
                self._error(
                    f"attribute `{name}` has {distinct:,} groups, and may be at most {MANY_GROUPS}. "
                    "Join them: `bins: [40, 60]` for numbers, `values: {group: [value, …]}` for names."
                )
        return found

    def _image_cells(self) -> list[str]:
        pattern = self.declared.columns.image
        place = ("columns", "image")
        if "{" not in pattern:
            return column_of(self.document, self.table, pattern, *place)
        names = re.findall(r"\{([^{}]*)\}", pattern)
        if "{" in (rest := re.sub(r"\{[^{}]*\}", "", pattern)) or "}" in rest:
            raise self.document.error(
                *place, message=f"a brace without its partner in `{pattern}`. Expected `{{column}}` in pairs."
            )
        cells = {name: column_of(self.document, self.table, name, *place) for name in names}

        def fill(i: int) -> str:
            if not all(cells[name][i] for name in names):
                return ""
            return re.sub(r"\{([^{}]*)\}", lambda match: cells[match[1]][i], pattern)

        return [fill(i) for i in range(len(self.table))]

    def _label(self, name: str, label: str | Label) -> NDArray[np.int8]:
        """(n,) of 0, 1 and -1."""
        told = Label(column=label) if isinstance(label, str) else label
        column = self._column(told.column, f"label `{name}`", "labels", name)
        others = "negative" if told.positive and not told.negative else None
        values = {
            "positive": told.positive or ["1"],
            "negative": told.negative or ([] if told.positive else ["0"]),
        }
        code = {"positive": 1, "negative": 0}
        uncertain = self.declared.uncertain
        if uncertain:
            values["uncertain"] = uncertain.values
            code["uncertain"] = {"positive": 1, "negative": 0, "ignore": -1}[uncertain.policy]
        meanings = Meanings(values)

        def meaning(cell: str) -> str | None:
            found = meanings.of(cell)
            return others if found is None and cell and not meanings.almost(cell) else found

        advice = "list them under `positive`, `negative` or `uncertain`"
        if not told.positive:
            example = f"`{name}: {{column: {told.column}, positive: […], negative: […]}}`"
            advice = f"say which mean what: {example}, or list them under `uncertain`"
        found = self._understood(column, meaning, meanings, advice)
        self._warn_of_unused(column, told.positive)
        return np.array([code[f] if f else -1 for f in found], dtype=np.int8)

    def _classes(self, classes: ValueColumn) -> NDArray[np.int8]:
        """(n, k) with one 1 a row, or all -1."""
        column = self._column(classes.column, "`classes`", "classes")
        uncertain = self.declared.uncertain
        meanings = Meanings(classes.values | ({"": uncertain.values} if uncertain else {}))
        found = self._understood(column, meanings.of, meanings, "list them under a class or `uncertain`")
        self._warn_of_unused(column, chain.from_iterable(classes.values.values()))
        names = list(classes.values)
        one_hot = np.eye(len(names), dtype=np.int8)
        unknown = np.full(len(names), -1, dtype=np.int8)
        return np.stack([one_hot[names.index(f)] if f else unknown for f in found])

    def _attribute(self, name: str, attribute: str | AttributeColumn) -> list[str]:
        told = AttributeColumn(column=attribute) if isinstance(attribute, str) else attribute
        column = self._column(told.column, f"attribute `{name}`", "columns", "attributes", name)
        absent = Meanings({"": ["", *told.missing]})
        bins = told.bins
        if name == "age" and not bins and not told.values and any(is_number(cell) for cell in column.cells):
            bins = AGE_BINS
        if bins:
            return self._binned(column, absent, bins)
        if told.values:
            meanings = Meanings({**told.values, "": ["", *told.missing]})
            found = self._understood(column, meanings.of, meanings, "list them under `values` or `missing`")
            self._warn_of_unused(column, chain.from_iterable(told.values.values()))
            return [f or "" for f in found]
        return [cell if absent.of(cell) is None else "" for cell in column.cells]

    def _binned(self, column: _Column, absent: Meanings, bins: list[float]) -> list[str]:
        def meaning(cell: str) -> str | None:
            found = absent.of(cell)
            return band(float(cell), bins) if found is None and is_number(cell) else found

        found, unknown = understand(column.cells, self.table.rows, meaning)
        if unknown:
            self._error(
                f"{column.what}: column `{column.name}` has values that are no numbers: "
                f"{values_in_words(self.declared, column.name, unknown)}. "
                "Correct them, or list them under `missing`."
            )
            self._cross_out(found)
        return [f or "" for f in found]

    def _column(self, name: str, what: str, *place: str) -> _Column:
        return _Column(what, name, column_of(self.document, self.table, name, *place))

    def _understood(
        self, column: _Column, meaning: Callable[[str], str | None], meanings: Meanings, advice: str
    ) -> list[str | None]:
        """The meaning of every cell of a column; None, with an error, for what has none."""
        found, unknown = understand(column.cells, self.table.rows, meaning)
        if unknown:
            wrong = next((cell for cell in unknown if cell), "")
            near = meanings.almost(wrong)
            hint = f"Did you mean `{near}`?" if near else nearest(wrong, filter(None, meanings.values))
            empty = ' An empty cell is written `""`.' if "" in unknown else ""
            self._error(
                f"{column.what}: column `{column.name}` has values that are not understood: "
                f"{values_in_words(self.declared, column.name, unknown)}. {hint} Correct the table, or in "
                f"{self.document.file} {advice}.{empty}"
            )
            self._cross_out(found)
        return found

    def _warn_of_unused(self, column: _Column, values: Iterable[str]) -> None:
        """Warn of values that are listed and never occur: perhaps they are misspelt."""
        present = set(column.cells)
        for value in values:
            meanings = Meanings({"listed": [value]})
            if not any(meanings.of(cell) for cell in present):
                self.findings.warn(
                    f"{self.table.file}: {column.what}: the value `{value}` never occurs in column "
                    f"`{column.name}`. {nearest_value(self.declared, column.name, value, present)}".rstrip()
                )

    def _require(self, cells: list[str], problem: str, advice: str) -> None:
        empty = [row for row, cell in zip(self.table.rows, cells, strict=True) if not cell]
        if empty:
            self._error(f"{problem} in {rows_in_words(empty)}. {advice}")
            self._cross_out([cell or None for cell in cells])

    def _require_below_root(self, images: list[str]) -> None:
        """Names that could leave the root are errors; links below it may lead anywhere."""
        outside = [Path(image).is_absolute() or ".." in Path(image).parts for image in images]
        if any(outside):
            rows = [row for row, out in zip(self.table.rows, outside, strict=True) if out]
            self._error(
                f"the image is named by an absolute path or with `..` in {rows_in_words(rows)}. "
                "Paths are taken below `root`: name the image by its path from there."
            )
            self.usable &= ~np.array(outside)

    def _cross_out(self, found: list[str | None]) -> None:
        self.usable &= np.array([f is not None for f in found])

    def _error(self, message: str) -> None:
        self.findings.error(f"{self.table.file}: {message}")


def band(value: float, bins: list[float]) -> str:
    """The name of the band that a number falls into; bands include their lower end.

    >>> [band(x, [40, 60]) for x in (39, 40, 60)]
    ['under 40', '40-59', '60 and over']
    """
    if value < bins[0]:
        return f"under {bins[0]:g}"
    if value >= bins[-1]:
        return f"{bins[-1]:g} and over"
    i = next(i for i in range(len(bins) - 1) if value < bins[i + 1])
    low, high = bins[i], bins[i + 1]
    whole = all(edge == int(edge) for edge in bins)
    return f"{low:g}-{high - 1:g}" if whole else f"{low:g} to under {high:g}"
