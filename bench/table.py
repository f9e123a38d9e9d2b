"""The rows that every measurement ends in, shown as one table and kept as JSON."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from medbench.environment import SHAPING_LIBRARIES, commit, library_versions, processor, usable_cores


@dataclass(frozen=True)
class Row:
    """One measured figure, beside the peer's where there is one.

    Attributes:
      name: such as `train/r50x1/64px`.
      ours: the median.
      peer: likewise; None where nothing is compared.
      unit: of both.
      ratio: above 1 where ours is better: the median of the repetitions' ratios.
      ratio_range: the lowest and the highest of them.
      peer_variant: which of the peer's variants was the best.
      note: what else a reader should know.
    """

    name: str
    ours: float
    peer: float | None
    ratio: float | None
    unit: str
    ratio_range: tuple[float, float] | None = None
    peer_variant: str = ""
    note: str = ""


def has_modules(python: str, *names: str) -> bool:
    """Whether an interpreter could import them all."""
    probe = f"import importlib.util as u, sys; sys.exit(any(u.find_spec(n) is None for n in {names}))"
    return subprocess.run([python, "-c", probe], check=False).returncode == 0


def environment() -> dict[str, Any]:
    """Where and when: what stands above the rows."""
    return {
        "machine": f"{processor()}, {usable_cores()} cores",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": commit(),
        "versions": library_versions(SHAPING_LIBRARIES),
    }


def write_json(path: Path, rows: Sequence[Row], head: dict[str, Any]) -> None:
    """The head and under `rows` what was measured, beside other rows that the file has of the same head.

    Args:
      path: of the file; one of another commit, machine or day is replaced.
      rows: of this session so far.
      head: as of `environment`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = {row.name for row in rows}
    kept = [row for row in _kept(path, head) if row["name"] not in measured]
    text = json.dumps({**head, "rows": kept + [asdict(row) for row in rows]}, indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _kept(path: Path, head: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a file with this head; none of a file that is no such thing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows: list[dict[str, Any]] = found.pop("rows")
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return []
    return rows if found == head else []


COLUMNS = ("name", "ours", "peer", "unit", "ratio", "lowest to highest", "note")


def show(rows: Iterable[Row], head: dict[str, Any]) -> None:
    """One table on the terminal."""
    table = Table(title=f"{head['machine']} · {head['date']} · {head['commit'][:9]}")
    for column in COLUMNS:
        is_figure = column in ("ours", "peer", "ratio")
        table.add_column(column, justify="right" if is_figure else "left", no_wrap=column != "note")
    for row in rows:
        table.add_row(*cells(row))
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def cells(row: Row) -> list[str]:
    """What a table shows of a row, by `COLUMNS`."""
    spread = "" if row.ratio_range is None else "{:.2f} to {:.2f}".format(*row.ratio_range)
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    peer = "" if row.peer is None else figure(row.peer)
    note = f"the peer is {row.peer_variant}" if row.peer_variant else row.note
    return [row.name, figure(row.ours), peer, row.unit, ratio, spread, note]


def figure(value: float) -> str:
    """Three digits, without powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
