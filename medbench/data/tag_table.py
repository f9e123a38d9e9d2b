"""A table of a folder of DICOM files, from their tags: what a `cohort.yaml` about them needs to begin with.

Pixels are not read, and labels are not in tags: the table is for its owner to join with what is known.
"""

import csv
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from medbench.data.dicom import has_magic, tags
from medbench.data.digests import Report
from medbench.data.findings import Findings
from medbench.data.images import DICOM_SUFFIXES, read_file
from medbench.errors import MedbenchError

KEYWORDS = (
    *("PatientID", "PatientSex", "PatientAge", "Manufacturer", "ManufacturerModelName"),
    *("ImageLaterality", "Laterality", "ViewPosition", "BreastImplantPresent"),
)
"""Who, by which machine, and what of: DICOM's own keywords (PS3.6)."""


def write_table(
    folder: Path, table: Path, *, keywords: Sequence[str] = KEYWORDS, report: Report
) -> tuple[int, Findings]:
    """Write one row a DICOM file: `file`, relative to the folder, and a column a keyword.

    Args:
      folder: searched at any depth for files that begin as DICOM's do, or end in `.dcm` or `.dicom`.
      table: the CSV file to make.
      keywords: the tags to write; empty where a file has none.
      report: progress in files.

    Returns:
      The number of rows, and files that could not be read as errors.

    Raises:
      MedbenchError: no such folder, no such file in it, or the table is there already or cannot be written.
    """
    if table.exists():
        raise MedbenchError(f"{table}: is there already, and is not written over. Name another.")
    files = _files(folder)
    findings, rows = Findings(), []
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda path: _tags(path, keywords), files)
        for done, (path, told) in enumerate(zip(files, found, strict=True), start=1):
            if isinstance(told, MedbenchError):
                findings.error(str(told))
            else:
                rows.append([path.relative_to(folder).as_posix(), *told])
            report(done, len(files))
    if rows:
        _write(table, [["file", *keywords], *rows])
    return len(rows), findings


def _write(table: Path, rows: Sequence[Sequence[str]]) -> None:
    """The table, whole or not at all, and for its owner alone: it has patients' ids."""
    partial = table.with_name(f".{table.name}.{os.getpid()}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT, 0o600), "w", newline="") as opened:
            csv.writer(opened).writerows(rows)
        partial.replace(table)
    except OSError as error:
        raise MedbenchError(f"{table}: cannot be written ({error.strerror}).") from error
    finally:
        partial.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise MedbenchError(f"{folder}: no such folder.")
    found = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    files = sorted(path for path in found if path.is_file() and _is_dicom(path))
    if not files:
        raise MedbenchError(f"{folder}: there is no DICOM file in it.")
    return files


def _is_dicom(path: Path) -> bool:
    """By its name, or by how it begins: exports of an archive often have no suffix."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return has_magic(file.read(132))
    except OSError:
        return False


def _tags(path: Path, keywords: Sequence[str]) -> list[str] | MedbenchError:
    try:
        data = read_file(path)
        found = tags(data, path, keywords)
    except MedbenchError as error:
        return error
    if not has_magic(data) and not any(found.values()):
        return MedbenchError(f"{path}: none of the tags is in it. Is it a DICOM file?")
    return list(found.values())
