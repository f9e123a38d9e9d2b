"""Writes a report to a folder, in all its forms, each file whole or not at all."""

import os
from pathlib import Path

from medbench.errors import MedbenchError
from medbench.report import html, markdown, table
from medbench.report.record import Report, to_json


def write(report: Report, folder: Path) -> None:
    """Write `report.json`, `.html`, `.md` and `.csv`, replacing those of an earlier session.

    Raises:
      MedbenchError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / "report.json", to_json(report))
        _replace(folder / "report.html", html.render(report).encode())
        _replace(folder / "report.md", markdown.render(report).encode())
        _replace(folder / "report.csv", table.render(report).encode())
    except OSError as error:
        raise MedbenchError(
            f"{folder}: the report cannot be written ({error.strerror}). Choose another folder with --report."
        ) from error


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)
