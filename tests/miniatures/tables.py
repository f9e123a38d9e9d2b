"""Tables as text: written cell by cell, since their spelling is what a reader must cope with."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows as CSV with lines that end as on Unix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def read_rows(path: Path) -> list[list[str]]:
    """All rows, the header first."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))
