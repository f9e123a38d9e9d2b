"""What makes a cohort fit for use: its files are there, no set or class is empty, no image comes twice.

Findings name rows and files; patients only as the findings' `show` allows.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import TRAIN, VALIDATION, Examples
from medbench.data.declaration import SPLITS, CohortFile
from medbench.data.digests import Digest, Report, digest_files
from medbench.data.findings import Findings, ShowPatient, counted, listed
from medbench.errors import MedbenchError, nearest
from medbench.spec.runs import Target


@dataclass(frozen=True)
class Part:
    """The images of one set, in the order of their table.

    Attributes:
      examples: what the models and metrics see.
      row: (n,) int64, row numbers in the table.
      path: the image files.
      root: the folder that the table's names are relative to.
      table: the table's file, for messages.
      tables: (n,) str, the table of each image where several list a set's; by default `table`.
    """

    examples: Examples
    row: NDArray[np.int64]
    path: list[Path]
    root: Path
    table: str
    tables: NDArray[np.str_] | None = None

    def table_of(self, i: int) -> str:
        """The table that lists the i-th image."""
        return self.table if self.tables is None else str(self.tables[i])

    def complaint(self, set_name: str, i: int, problem: MedbenchError, show: ShowPatient) -> str:
        """What is wrong with the i-th image, with its row, and its file as `show` allows."""
        mask = Mask(set_name, str(self.examples.patient[i]), show)
        masked = self.root / mask(os.path.relpath(self.path[i], self.root))
        told = str(problem).replace(str(self.path[i]), str(masked))
        return f"{self.table_of(i)}: row {self.row[i]}: {told}"


def digest_parts(
    parts: Mapping[str, Part], findings: Findings, *, cache: Path | None, report: Report
) -> dict[Path, Digest]:
    """Digests of all image files; missing and unreadable ones are errors with rows and names."""
    files = [(name, part, i) for name, part in parts.items() for i in range(len(part.path))]
    paths = [part.path[i] for _, part, i in files]
    results = digest_files(paths, cache=cache, report=report)
    missing: dict[tuple[str, Path], list[_Missing]] = defaultdict(list)
    for (name, part, i), path, result in zip(files, paths, results, strict=True):
        if isinstance(result, Digest):
            continue
        if os.path.exists(path):  # noqa: PTH110  (False, not an error, for a name that no file can have)
            findings.error(part.complaint(name, i, result, findings.show))
        else:
            mask = Mask(name, str(part.examples.patient[i]), findings.show)
            gone = _Missing(int(part.row[i]), os.path.relpath(path, part.root), mask)
            missing[part.table, part.root].append(gone)
    for (table, root), all_gone in missing.items():
        total = sum(part.table == table for _, part, _ in files)
        findings.error(_missing(table, root, sorted(all_gone, key=lambda file: file[:2]), total))
    return {path: result for path, result in zip(paths, results, strict=True) if isinstance(result, Digest)}


@dataclass(frozen=True)
class Mask:
    """Takes the patient's id out of a file's name, unless ids are to be shown.

    Attributes:
      set_name: of the row's set.
      patient: of the row; that of a shift from elsewhere is qualified by the set's name.
      show: as the findings'.
    """

    set_name: str
    patient: str
    show: ShowPatient

    def __call__(self, name: str) -> str:
        """The name with what may be shown of the patient in place of the id, in capitals or not."""
        shown, id_ = self.show(self.patient), self.patient.removeprefix(f"{self.set_name}/")
        if shown == self.patient or not id_:
            return name
        return re.sub(re.escape(id_), lambda _: shown or "…", name, flags=re.IGNORECASE)


class _Missing(NamedTuple):
    row: int
    name: str
    """Below the root."""
    mask: Mask


def _missing(table: str, root: Path, gone: list[_Missing], total: int) -> str:
    """One error for all files that a table names and that are not there."""
    first, mask = root / gone[0].name, gone[0].mask
    siblings = [p.name for p in first.parent.iterdir()] if first.parent.is_dir() else []
    with_suffix = [name for name in siblings if Path(name).stem == first.name]
    if with_suffix:
        pattern = f'`image: "{{column}}{Path(with_suffix[0]).suffix}"`'
        hint = f"There is {mask(with_suffix[0])}: name the images by a pattern, such as {pattern}."
    elif len(gone) == total:
        hint = "Not one image is there: is `root` right, and does the column hold paths below it?"
    else:
        # Where names hold patients' ids, the nearest may hold another patient's.
        near = nearest(first.name, siblings) if mask(first.name) == first.name else ""
        hint = near if near.startswith("Did") else "Copy them there, or take the rows out."
    named = listed(f"{mask(name)} (row {row})" for row, name, mask in gone)
    files = counted(len(gone), "image file is", "image files are")
    return f"{table}: {files} missing below {root}: {named}. {hint}"


def require_all_sets(parts: Mapping[str, Part], declared: CohortFile, table: str, findings: Findings) -> None:
    """Train, validation, id and every declared shift must have images."""
    for name in (*SPLITS, *declared.shift_names):
        if name not in parts or not len(parts[name].examples):
            findings.error(
                f"{table}: no usable row is in `{name}`. Put some there, or leave the columns of "
                "sets out to have the patients split."
            )


def require_all_classes(parts: Mapping[str, Part], target: Target, findings: Findings) -> None:
    """Every class must have images with it and without it in every set, or no metric is defined there."""
    cases = {1: "with", 0: "without"} if target.kind == "multi-label" else {1: "with"}
    for name, part in parts.items():
        labels = part.examples.labels
        for i, label in enumerate(target.classes):
            for value, words in cases.items():
                here = len(set(part.examples.patient[labels[:, i] == value].tolist()))
                if here == 1 and name not in (TRAIN, VALIDATION):
                    findings.warn(
                        f"{part.table}: images {words} `{label}` in `{name}` are of one patient alone, so "
                        "that no interval and no verdict is possible there. Enlarge the set."
                    )
                if len(labels) and not here:
                    patients = _patients_with(parts, i, value)
                    findings.error(
                        f"{part.table}: no image {words} `{label}` is in `{name}`, so that nothing can be "
                        f"measured there; the cohort has {counted(patients, 'such patient')} in all. "
                        "Enlarge the set, join rare labels, or leave the label or the set out."
                    )


def _patients_with(parts: Mapping[str, Part], column: int, value: int) -> int:
    return len(
        {
            p
            for part in parts.values()
            for p in part.examples.patient[part.examples.labels[:, column] == value]
        }
    )


class _Copy(NamedTuple):
    table: str
    row: int
    name: str
    set_name: str
    mask: Mask

    def in_words(self, masks: Iterable[Mask], table: str) -> str:
        """Its row, file and set; a misplaced file may be called after any of the patients.

        The table is named where it is another than `table`.
        """
        name = reduce(lambda name, mask: mask(name), masks, self.name)
        where = "" if self.table == table else f"{self.table} "
        return f"{where}row {self.row} {name} ({self.set_name})"


def require_distinct_images(
    parts: Mapping[str, Part], sha256: Mapping[Path, str], findings: Findings
) -> None:
    """The same bytes under two patients are an error; within a patient, who is in one set, a warning."""
    copies: dict[str, list[_Copy]] = defaultdict(list)
    for name, part in parts.items():
        for i, (patient, path) in enumerate(zip(part.examples.patient.tolist(), part.path, strict=True)):
            if path in sha256:
                mask = Mask(name, patient, findings.show)
                copies[sha256[path]].append(_Copy(part.table_of(i), int(part.row[i]), path.name, name, mask))
    repeats = 0
    for same in copies.values():
        masks = {copy.mask.patient: copy.mask for copy in same}
        if len(masks) == 1:
            repeats += len(same) - 1
            continue
        shown = listed(filter(None, map(findings.show, masks)))
        findings.error(
            f"{same[0].table}: the same image under different patients{f' ({shown})' if shown else ''}: "
            f"{listed(copy.in_words(masks.values(), same[0].table) for copy in same)}. "
            "Keep one of them, or give them the same patient."
        )
    if repeats:
        findings.warn(
            f"{counted(repeats, 'image repeats', 'images repeat')} another of the same patient byte for byte."
        )
