"""Publishers' tables: found below a folder, read, and complained about in one way by every source.

What a column or a value means is each source's business; no image is opened here.
"""

import filecmp
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medbench.data.declaration import AGE_BINS
from medbench.data.findings import SHOWN, Findings, counted, listed, rows_in_words
from medbench.data.public.source import Source, SourceRows
from medbench.data.rows import MANY_GROUPS, Meanings, band, is_number, understand
from medbench.data.table import Table, read_table
from medbench.errors import MedbenchError, nearest
from medbench.spec.loader import shown

OLDEST = 120
"""Years; an age above is a mistake of the table, and taken for not recorded."""


class Sheet:
    """A publisher's table, and which of its rows can be used.

    Args:
      source: whose table it is; a message about a missing one says where to get it.
      path: the CSV file.
      findings: takes errors and warnings; a row with an error is not among those that `rows` returns.

    Raises:
      MedbenchError: the file is missing or is no such CSV.
    """

    def __init__(self, source: Source, path: Path, findings: Findings):
        if not path.exists():
            raise missing(source, path)
        self.table: Table = read_table(path)
        self.usable: NDArray[np.bool_] = np.ones(len(self.table), dtype=bool)
        self._path = path
        self._findings = findings

    def __contains__(self, column: str) -> bool:
        return column in self.table.columns

    def __getitem__(self, column: str) -> list[str]:
        return self.table.columns[column]

    def require(self, *columns: str) -> None:
        """Make sure of the columns that will be read; others may be there too.

        Raises:
          MedbenchError: some are not there; the message names the nearest to the first.
        """
        absent = [column for column in columns if column not in self]
        if absent:
            raise MedbenchError(
                f"{self.table.file}: no column {listed(f'`{c}`' for c in absent)}. "
                f"{nearest(absent[0], filter(None, self.table.columns))}"
            )

    def names(self, column: str) -> list[str]:
        """The names of files or patients in a column; an empty one, or one that is a path, is an error."""
        cells = self[column]
        self.refuse(
            [not cell or "/" in cell or "\\" in cell for cell in cells],
            f"column `{column}` is empty or holds a path",
            "Expected a name. Correct the table, or fetch it anew.",
        )
        return cells

    def values(self, column: str, values: Mapping[str, Iterable[str]]) -> list[str]:
        """What each cell of a column means; a cell that means nothing is an error, and means "" here.

        Args:
          column: its name.
          values: meaning -> the cells that have it; numbers are found however they are written.
        """
        expected = [value for value in chain.from_iterable(values.values()) if value]
        return self.understood(column, Meanings(values).of, lambda cell: nearest(cell, expected))

    def ages(self, column: str, *, none: Sequence[str] = ("",)) -> list[str]:
        """The band of each age in years; "" where there is none, or none that a person can have.

        Args:
          column: its name.
          none: cells that mean that no age is recorded.
        """
        cells = self[column]
        beyond = [is_number(cell) and not 0 <= float(cell) <= OLDEST for cell in cells]
        if any(beyond):
            self._findings.warn(
                f"{self.table.file}: {counted(sum(beyond), 'age')} in column `{column}` below 0 or above "
                f"{OLDEST} taken for not recorded ({self._rows(beyond)})."
            )

        def meaning(cell: str) -> str | None:
            if cell in none or (is_number(cell) and not 0 <= float(cell) <= OLDEST):
                return ""
            return band(float(cell), AGE_BINS) if is_number(cell) else None

        return self.understood(column, meaning, lambda _: "Expected years.")

    def understood(
        self,
        column: str,
        meaning: Callable[[str], str | None],
        hint: Callable[[str], str],
        *,
        ids: bool = False,
    ) -> list[str]:
        """The meaning of every cell; what has none is an error, and means "" here.

        Args:
          column: its name.
          meaning: of a cell; None where it has none.
          hint: a sentence that helps after a cell without meaning; asked for the first.
          ids: whether the cells are those of patients, or of what stands in for them: rows only are told.
        """
        cells = self[column]
        known = {cell: meaning(cell) for cell in set(cells)}
        found, unknown = understand(cells, self.table.rows, known.get)
        if unknown:
            self._findings.error(
                f"{self.table.file}: column `{column}` has values that are not understood: "
                f"{_in_words(unknown, ids=ids)}. {hint(next(iter(unknown)))} Correct the table, or fetch it "
                "anew."
            )
            self.usable &= np.array([value is not None for value in found])
        return [value or "" for value in found]

    def positions(self, column: str) -> dict[str, int]:
        """Where each cell of a column stands, from 0; a cell that stands there twice is an error."""
        cells = self[column]
        repeated = [rows_in_words([self.table.rows[i] for i in same]) for same in _repeated(cells)]
        if repeated:
            self._findings.error(
                f"{self.table.file}: rows of the same `{column}`: {_first_few(repeated)}. Keep one of each."
            )
        return {cell: i for i, cell in enumerate(cells)}

    def refuse(self, wrong: Sequence[bool] | NDArray[np.bool_], problem: str, advice: str) -> None:
        """Note an error for the rows that are wrong, and cross them out.

        Args:
          wrong: (n,) one a row.
          problem: what is wrong, to be followed by "in row 3".
          advice: what to do, a sentence.
        """
        if any(wrong):
            self._findings.error(f"{self.table.file}: {problem} in {self._rows(wrong)}. {advice}")
            self.usable &= ~np.asarray(wrong, dtype=bool)

    def leave_out(self, which: Sequence[bool] | NDArray[np.bool_], what: str, why: str) -> None:
        """Note a warning for rows that are sound and not wanted, and cross them out.

        Args:
          which: (n,) one a row.
          what: what such a row is, in the singular.
          why: a reason, without full stop.
        """
        if any(which):
            self._findings.warn(f"{self.table.file}: {counted(int(sum(which)), what)} left out: {why}.")
            self.usable &= ~np.asarray(which, dtype=bool)

    def files_below(self, folders: Iterable[Path], suffix: str) -> dict[str, Path]:
        """Name -> path of the files at any depth; each folder is listed once.

        Of two with the same name and content the first counts, in the order of the folders and then of the
        alphabet; two that differ are an error. It names folders only, since files may be called by patients.
        """
        found: dict[str, Path] = {}
        differing: dict[str, int] = defaultdict(int)
        for folder in folders:
            for parent, below, names in os.walk(folder):
                below.sort()
                for name in names:
                    path = Path(parent, name)
                    if name.lower().endswith(suffix) and not _same(found.setdefault(name, path), path):
                        differing[f"{shown(found[name].parent)} and {shown(path.parent)}"] += 1
        for pair, number in differing.items():
            self._findings.error(
                f"{pair}: {counted(number, 'image file')} in both, of the same name and with different "
                "content. Keep the publisher's."
            )
        return found

    def rows(
        self,
        folder: Path,
        *,
        image: Sequence[str],
        path: Callable[[str], Path],
        patient: Sequence[str],
        split: Sequence[str],
        labels: NDArray[np.int8],
        attributes: Mapping[str, Sequence[str]],
    ) -> SourceRows:
        """The usable rows.

        Args:
          folder: what the table is named relative to.
          image: (n,) names; all that follow have one entry a row of the table too.
          path: the file of an image, by its name; asked for usable rows only.
          patient: (n,).
          split: (n,).
          labels: (n, k).
          attributes: name -> (n,).
        """
        index = np.flatnonzero(self.usable)
        names = _text(image)[index]
        return SourceRows(
            image=names,
            path=[path(name) for name in names.tolist()],
            table=np.full(len(index), self._path.relative_to(folder).as_posix()),
            row=np.array(self.table.rows, dtype=np.int64)[index],
            patient=_text(patient)[index],
            split=_text(split)[index],
            labels=labels[index],
            attributes={name: _text(values)[index] for name, values in attributes.items()},
        )

    def _rows(self, which: Sequence[bool] | NDArray[np.bool_]) -> str:
        return rows_in_words([row for row, yes in zip(self.table.rows, which, strict=True) if yes])


def joined(source: Source, parts: Sequence[SourceRows], findings: Findings) -> SourceRows:
    """The rows of several tables as one; an image that is listed twice is an error with both rows.

    Without parts there are no rows, in arrays of the right shapes.
    """
    parts = [_nothing(source), *parts]
    every = SourceRows(
        image=np.concatenate([part.image for part in parts]),
        path=[path for part in parts for path in part.path],
        table=np.concatenate([part.table for part in parts]),
        row=np.concatenate([part.row for part in parts]),
        patient=np.concatenate([part.patient for part in parts]),
        split=np.concatenate([part.split for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        attributes={
            name: np.concatenate([part.attributes[name] for part in parts]) for name in source.attributes
        },
    )
    _require_distinct(every, findings)
    return every


def missing(source: Source, path: Path) -> MedbenchError:
    """The complaint, for the caller to raise, about a file without which a source cannot be read."""
    beside = [p.name for p in path.parent.glob(f"*{path.suffix}")]
    near = nearest(path.name, beside)
    hint = f"{near} " if near.startswith("Did") else ""
    return MedbenchError(
        f"{shown(path)}: this file of {source.title} is missing. {hint}{source.obtain} "
        f"From {source.homepage}; licence: {source.licence}"
    )


@contextmanager
def noted(findings: Findings) -> Iterator[None]:
    """Note what is raised within as an error, so that the tables that follow are looked at too."""
    try:
        yield
    except MedbenchError as error:
        findings.error(str(error))


def first_there(paths: Sequence[Path]) -> Path:
    """The first of some paths that is there, or else the first of them."""
    return next((path for path in paths if path.exists()), paths[0])


def places(rows: SourceRows, which: Iterable[int]) -> str:
    """Where some of the rows are: `train.csv: rows 3, 9`, or `train.csv: row 3, valid.csv: row 2`."""
    by_table: dict[str, list[int]] = defaultdict(list)
    for i in which:
        by_table[str(rows.table[i])].append(int(rows.row[i]))
    return ", ".join(f"{table}: {rows_in_words(numbers)}" for table, numbers in by_table.items())


def one_hot(classes: Sequence[str], found: Sequence[str]) -> NDArray[np.int8]:
    """(n, k) of 0 and 1: a single 1 a row, or none where the class is "", as in a row crossed out."""
    return (_text(found)[:, None] == _text(classes)).astype(np.int8)


def _nothing(source: Source) -> SourceRows:
    none = np.array([], dtype=np.str_)
    return SourceRows(
        image=none,
        path=[],
        table=none,
        row=np.array([], dtype=np.int64),
        patient=none,
        split=none,
        labels=np.empty((0, len(source.target.classes)), dtype=np.int8),
        attributes=dict.fromkeys(source.attributes, none),
    )


def _require_distinct(rows: SourceRows, findings: Findings) -> None:
    """Images are named by row only, since their names may hold a patient's id."""
    repeated = [places(rows, same) for same in _repeated(rows.image.tolist())]
    if repeated:
        findings.error(
            f"{counted(len(repeated), 'image is', 'images are')} listed more than once: "
            f"{_first_few(repeated)}. Keep one row per image."
        )


def _same(one: Path, other: Path) -> bool:
    """Whether two files are one, or hold the same bytes; no file is read that has no double."""
    try:
        return one == other or filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _repeated(cells: Sequence[str]) -> list[list[int]]:
    """The positions of each cell that is there more than once."""
    places: dict[str, list[int]] = defaultdict(list)
    for i, cell in enumerate(cells):
        places[cell].append(i)
    return [same for same in places.values() if len(same) > 1]


def _in_words(unknown: Mapping[str, list[int]], *, ids: bool) -> str:
    """Values with their rows; rows alone of ids, and of values so many that they may tell patients apart."""
    if ids or len(unknown) > MANY_GROUPS:
        rows = sorted(chain(*unknown.values()))
        return f"{counted(len(unknown), 'value')} in {rows_in_words(rows)}"
    told = [f"{f'`{v}`' if v else 'an empty cell'} in {rows_in_words(rows)}" for v, rows in unknown.items()]
    return _first_few(told)


def _first_few(phrases: Sequence[str]) -> str:
    return "; ".join(phrases[:SHOWN]) + ("; …" if len(phrases) > SHOWN else "")


def _text(cells: Sequence[str]) -> NDArray[np.str_]:
    return np.array(cells, dtype=np.str_)
