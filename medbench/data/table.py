"""A cohort's table: a CSV file as columns of text, with the row numbers that messages need.

Cells are text and nothing is guessed; white space around them is dropped.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from medbench.data.findings import listed
from medbench.errors import MedbenchError, nearest, printable
from medbench.spec.loader import shown


@dataclass(frozen=True)
class Table:
    """The rows of a CSV file.

    Attributes:
      file: as messages name it.
      rows: row numbers as a spreadsheet shows them; the header is row 1.
      columns: name -> cells, one per row.
    """

    file: str
    rows: list[int]
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.rows)


def read_table(path: Path) -> Table:
    """Read a CSV file: UTF-8 (a byte-order mark is tolerated), comma-separated, one header line.

    A column that is there twice with the same cells counts once.

    Raises:
      MedbenchError: the file is missing, is no such CSV, has rows of another length than its header, or
        different columns with the same name.
    """
    file = printable(shown(path))
    header, *records = _records(_text(path, file), file)
    names = [name.strip() for name in header]
    _check_header(names, file)
    filled = [(row, cells) for row, cells in enumerate(records, start=2) if cells]
    for row, cells in filled:
        if len(cells) != len(names):
            raise MedbenchError(
                f"{file}: row {row} has {len(cells)} cells, the header {len(names)}. "
                "Quote cells that contain a comma, and fill up short rows."
            )
    if not filled:
        raise MedbenchError(f"{file}: the table has a header but no rows. Expected at least one.")
    columns: dict[str, list[str]] = {}
    twice = []
    for i, name in enumerate(names):
        cells = [record[i].strip() for _, record in filled]
        if columns.setdefault(name, cells) != cells:
            twice.append(f"`{printable(name)}`")
    if twice:
        raise MedbenchError(f"{file}: columns with the same name: {listed(twice)}. Rename all but one.")
    return Table(file, [row for row, _ in filled], columns)


def _text(path: Path, file: str) -> str:
    if path.exists() and not path.is_file():  # a pipe may never end
        raise MedbenchError(f"{file}: not a regular file. Expected a table as CSV.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise MedbenchError(f"{file}:{line}: not UTF-8 text. Save the table as CSV in UTF-8.") from error
    except OSError as error:
        near = printable(nearest(path.name, [p.name for p in path.parent.glob("*.csv")]))
        raise MedbenchError(
            f"{file}: the table cannot be read ({error.strerror}). {near}".rstrip()
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise MedbenchError(f"{file}:{line}: a NUL character, so not text. Save the table as CSV in UTF-8.")
    return text


def _records(text: str, file: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        records = list(reader)
    except csv.Error as error:
        raise MedbenchError(f"{file}:{reader.line_num}: not a CSV table ({error}).") from error
    if not records or not any(cell.strip() for cell in records[0]):
        raise MedbenchError(f"{file}: the first line is empty. Expected the names of the columns.")
    return records


def _check_header(names: list[str], file: str) -> None:
    if len(names) == 1:
        for separator, word in ((";", "semicolons"), ("\t", "tabs")):
            if separator in names[0]:
                raise MedbenchError(f"{file}: cells are separated by {word}. Save the table with commas.")
