"""The rows of a public cohort as sets of patients, and everything that is wrong with them.

Image files are looked for here, never opened.
"""

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medbench.data.archives import archives_in, unpacked
from medbench.data.cohort import ID, TRAIN, VALIDATION, Examples
from medbench.data.findings import Findings, counted, listed
from medbench.data.public.prepared import how_to
from medbench.data.public.source import Source, SourceRows
from medbench.data.public.tables import places
from medbench.data.soundness import Part, require_all_classes
from medbench.data.splits import deal_out_the_rest
from medbench.errors import MedbenchError

SPLITS = (TRAIN, VALIDATION, ID)
SHARES, SEED = {TRAIN: 0.6, VALIDATION: 0.1, ID: 0.3}, 20
"""Of patients whom the source does not divide; as a folder cohort has them by default."""


def read_parts(source: Source, folder: Path, findings: Findings) -> dict[str, Part]:
    """The sets of a source.

    Raises:
      MedbenchError: there is no such folder.
    """
    if not folder.is_dir():
        raise MedbenchError(f"{folder}: no such folder. {how_to(source)}")
    rows = source.read(folder, findings)
    if findings.errors and not len(rows):
        return {}
    _require_files(source, rows, folder, findings)
    placed = rows.split.astype(object)
    _require_one_set_a_patient(rows, findings)
    if deal_out_the_rest(placed, rows.patient, rows.labels, SHARES, SEED):
        findings.warn("The source has no validation set: a part of the training patients is taken.")
    parts = _parts(source, rows, placed, folder)
    if len(rows) < (whole := source.complete or source.images):
        findings.warn(f"A part of {source.title}: {len(rows):,} of the {whole:,} images that were published.")
    if not findings.errors:  # what was not understood would be missed here again
        for name in SPLITS:
            if name not in parts:
                findings.error(f"no image is in `{name}`. Is the table of another release?")
    if not findings.errors:
        require_all_classes(parts, source.target, findings)
    return parts


def _chosen(rows: SourceRows, index: NDArray[np.int64]) -> SourceRows:
    return SourceRows(
        image=rows.image[index],
        path=[rows.path[i] for i in index],
        table=rows.table[index],
        row=rows.row[index],
        patient=rows.patient[index],
        split=rows.split[index],
        labels=rows.labels[index],
        attributes={name: groups[index] for name, groups in rows.attributes.items()},
    )


def _parts(source: Source, rows: SourceRows, placed: NDArray[np.object_], folder: Path) -> dict[str, Part]:
    unknown = set(placed) - {*SPLITS, *source.own_shifts}
    if unknown:
        raise ValueError(f"{source.name}: rows of sets that it does not declare: {sorted(unknown)}")
    if source.target.kind == "single-label" and (rows.labels < 0).any():
        raise ValueError(f"{source.name}: rows whose only label is not known, which it is to leave out")
    parts = {}
    for name in (*SPLITS, *source.own_shifts):
        chosen = _chosen(rows, np.flatnonzero(placed == name))
        if len(chosen):
            groups = {attribute: chosen.attributes[attribute] for attribute in source.attributes}
            examples = Examples(chosen.image, chosen.patient, chosen.labels, groups)
            tables = " and ".join(dict.fromkeys(chosen.table.tolist()))
            parts[name] = Part(examples, chosen.row, chosen.path, folder, tables, chosen.table)
    return parts


def _require_files(source: Source, rows: SourceRows, folder: Path, findings: Findings) -> None:
    # `os.path`, since it says no, where `pathlib` raises, of a name that no file can have.
    missing = np.array([not os.path.isfile(path) for path in rows.path], dtype=bool)  # noqa: PTH113
    if not missing.any():
        return
    packed = [path.name for path in archives_in(folder) if not unpacked(path).exists()]
    hint = (
        f"Not unpacked: {listed(packed)}. First: medbench cohort unpack {shlex.quote(str(folder))}. "
        if packed
        else ""
    )
    hint += _in_other_letters([path for path, absent in zip(rows.path, missing, strict=True) if absent])
    findings.error(
        f"{counted(int(missing.sum()), 'image file')} of {len(rows):,} missing below {folder}: "
        f"{places(rows, np.flatnonzero(missing))}. {hint}{how_to(source)}"
    )


def _in_other_letters(missing: Sequence[Path]) -> str:
    """The sentence for images that are there but for the case of their letters; "" where there are none."""
    there: dict[Path, set[str]] = {}
    for folder in {path.parent for path in missing}:
        with suppress(OSError):
            there[folder] = {path.name for path in folder.iterdir()}
    lowered = {folder: {name.lower() for name in names} for folder, names in there.items()}
    found = sum(
        path.name not in there[path.parent] and path.name.lower() in lowered[path.parent]
        for path in missing
        if path.parent in there
    )
    return f"{found:,} of them are there with other capitals: rename them. " if found else ""


def _require_one_set_a_patient(rows: SourceRows, findings: Findings) -> None:
    sets: dict[str, set[str]] = {}
    for patient, name in zip(rows.patient.tolist(), rows.split.tolist(), strict=True):
        sets.setdefault(patient, set()).add(name)
    for patient, names in sets.items():
        if len(names) > 1:
            words = " and ".join(sorted(name or "rows without a set" for name in names))
            where = places(rows, np.flatnonzero(rows.patient == patient))
            findings.error(
                f"{where}: one patient in several sets ({words}). Take the tables as their publisher gives "
                "them out."
            )
