"""Which set each row belongs to: as the table says, as shifts say, and for the rest by patient.

A patient is in one set only. What cannot be placed without breaking that is left out, and said so.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import ID, TRAIN, VALIDATION
from medbench.data.declaration import SPLITS, CohortFile, ColumnShift, ValueColumn
from medbench.data.findings import SHOWN, Findings, counted, rows_in_words
from medbench.data.rows import Meanings, Rows, column_of, nearest_value, understand, values_in_words
from medbench.data.splits import NO_SET, deal_out_the_rest
from medbench.data.table import Table
from medbench.errors import nearest
from medbench.spec.loader import Document

LEFT_OUT = "left out"
_OPEN = NO_SET

_Names = NDArray[np.object_]


def place(rows: Rows, document: Document[CohortFile], table: Table, findings: Findings) -> NDArray[np.str_]:
    """The set of each row: `train`, `validation`, `id`, a shift of this table, or `LEFT_OUT`.

    Raises:
      MedbenchError: the declaration names a column that the table has not, or a shift no row is in.
    """
    placement = _Placement(rows, document, table, findings)
    placed = placement.as_the_table_says()
    placement.apply_shifts(placed)
    placement.require_one_set_a_patient(placed)
    placement.deal_out_the_rest(placed)
    return placed.astype(np.str_)


class _Placement:
    """Takes the rows through the rules one after another; each changes `placed` in place."""

    def __init__(self, rows: Rows, document: Document[CohortFile], table: Table, findings: Findings):
        self.rows = rows
        self.document = document
        self.declared = document.value
        self.table = table
        self.findings = findings

    def as_the_table_says(self) -> _Names:
        """What the columns `split` and `evaluation_set` say; open where they say nothing."""
        columns = self.declared.columns
        placed = np.full(len(self.rows), _OPEN, dtype=object)
        if columns.split is not None:
            placed[:] = self._sets("split", columns.split, SPLITS)
        if columns.evaluation_set is not None:
            sets = self._sets("evaluation_set", columns.evaluation_set, (ID,))
            given = sets != _OPEN
            torn = given & np.isin(placed, (TRAIN, VALIDATION))
            if torn.any():
                self._error(
                    f"{self._rows(torn)}: the split says training or validation, yet an evaluation set is "
                    "given too. Empty one of the two cells."
                )
            placed[given] = sets[given]
        return placed

    def apply_shifts(self, placed: _Names) -> None:
        """Take the rows of shifts that a column declares; leave out their patients' other rows."""
        shifts = {n: s for n, s in self.declared.shifts.items() if isinstance(s, ColumnShift)}
        for name, shift in shifts.items():
            matches = self._matching(name, shift)
            for other in sorted(set(placed[matches]) - {_OPEN, LEFT_OUT, *SPLITS}):
                both = matches & (placed == other)
                self._error(
                    f"{self._rows(both)}: in shift `{name}` and in shift `{other}`. A row is in one set only."
                )
            placed[matches] = name
        for name in shifts:
            patients = self.rows.patient[placed == name]
            others = np.isin(self.rows.patient, patients) & np.isin(placed, (_OPEN, *SPLITS))
            if others.any():
                some = counted(len(set(self.rows.patient[others])), "patient")
                self.findings.warn(
                    f"{self.table.file}: {counted(int(others.sum()), 'image')} of {some} left out: these "
                    f"patients have other images in shift `{name}`, and nobody may be in two sets."
                )
            placed[others] = LEFT_OUT

    def require_one_set_a_patient(self, placed: _Names) -> None:
        """Report patients whose images the table or the shifts put into different sets."""
        sets: dict[str, set[str]] = defaultdict(set)
        for patient, name in zip(self.rows.patient.tolist(), placed.tolist(), strict=True):
            if name != LEFT_OUT:
                sets[patient].add(name)
        torn: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for patient, names in sets.items():
            if len(names) > 1:
                torn[tuple(sorted(n or "rows without a set" for n in names))].append(patient)
        for where, patients in torn.items():
            more = "; …" if len(patients) > SHOWN else ""
            self._error(
                f"{counted(len(patients), 'patient is', 'patients are')} in several sets "
                f"({' and '.join(where)}): "
                f"{'; '.join(self._patient(p) for p in patients[:SHOWN])}{more}. "
                "Correct the table, or leave the column out to have the patients split."
            )

    def deal_out_the_rest(self, placed: _Names) -> None:
        """Split the patients who have no set yet among the sets that the table does not give."""
        shares = {name: getattr(self.declared.splits, name) for name in SPLITS}
        seed = self.declared.splits.seed
        if deal_out_the_rest(placed, self.rows.patient, self.rows.labels, shares, seed):
            self.findings.warn(
                f"{self.table.file}: no row is for validation; a part of the training patients is taken."
            )

    def _sets(self, key: str, told: str | ValueColumn, plain: tuple[str, ...]) -> _Names:
        """The sets that a column gives to the rows; LEFT_OUT, with an error, where it gives none.

        The names in `plain` mean themselves unless the declaration says otherwise.
        """
        column = told if isinstance(told, ValueColumn) else ValueColumn(column=told, values={})
        meant = {value for values in column.values.values() for value in values}
        itself = {name: [name] for name in plain if name not in meant}
        meanings = Meanings(
            {
                name: [*column.values.get(name, []), *itself.get(name, [])]
                for name in {**itself, **column.values}
            }
        )
        all_cells = column_of(self.document, self.table, column.column, "columns", key)
        may_be_empty = key == "evaluation_set"
        found, unknown = understand(
            [all_cells[i] for i in self.rows.index],
            self.rows.row.tolist(),
            lambda cell: _OPEN if may_be_empty and not cell else meanings.of(cell),
        )
        if unknown:
            wrong = next((cell for cell in unknown if cell), "")
            other = "validation: [dev]" if key == "split" else "clinic-b: [external]"
            self._error(
                f"column `{column.column}` names sets that are not known: "
                f"{values_in_words(self.declared, column.column, unknown)}. "
                f"{nearest(wrong, meanings.values)} Correct the table, or say what its values mean, such as "
                f"`{key}: {{column: {column.column}, values: {{id: [test], {other}}}}}`."
            )
        return np.array([LEFT_OUT if f is None else f for f in found], dtype=object)

    def _matching(self, name: str, shift: ColumnShift) -> NDArray[np.bool_]:
        cells = column_of(self.document, self.table, shift.column, "shifts", name)
        present = set(cells)
        for value in shift.equals:
            alone = Meanings({name: [value]})
            if not any(alone.of(cell) for cell in present):
                hint = nearest_value(self.declared, shift.column, value, present)
                raise self.document.error(
                    *("shifts", name, "equals"),
                    message=f"the value `{value}` never occurs in column `{shift.column}` of "
                    f"{self.table.file}. {hint}".rstrip(),
                )
        meanings = Meanings({name: shift.equals})
        return np.array([meanings.of(cells[i]) is not None for i in self.rows.index], dtype=bool)

    def _patient(self, patient: str) -> str:
        return f"{self.findings.show(patient)} {self._rows(self.rows.patient == patient)}".strip()

    def _rows(self, chosen: NDArray[np.bool_]) -> str:
        return rows_in_words(self.rows.row[chosen].tolist())

    def _error(self, message: str) -> None:
        self.findings.error(f"{self.table.file}: {message}")
