"""Reads a `cohort.yaml` with its table and those of its shifts, and collects everything that is wrong.

Image files are digested here, never decoded.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import Examples
from medbench.data.declaration import SPLITS, CohortFile, load_declaration
from medbench.data.digests import Digest, Report, quiet
from medbench.data.findings import Findings, ShowPatient, counted, hide
from medbench.data.placement import LEFT_OUT, place
from medbench.data.rows import Rows, read_rows
from medbench.data.soundness import (
    Part,
    digest_parts,
    require_all_classes,
    require_all_sets,
    require_distinct_images,
)
from medbench.data.sources import find_declaration
from medbench.data.table import Table, read_table
from medbench.errors import MedbenchError, nearest
from medbench.spec.loader import Document, shown


@dataclass(frozen=True)
class Reading:
    """All that a `cohort.yaml` and its table say, with what is wrong about it.

    Attributes:
      declared: the declaration.
      path: its file.
      parts: `train`, `validation`, `id` and the shifts, as far as they have rows.
      attributes: names of this cohort's attributes and those of cohorts that serve as shifts.
      cluster: `patient`, or what stands in for it; a shift with another cluster is named too.
      digests: of the image files that could be read, by path.
      findings: errors and warnings.
    """

    declared: CohortFile
    path: Path
    parts: Mapping[str, Part]
    attributes: tuple[str, ...]
    cluster: str
    digests: Mapping[Path, Digest]
    findings: Findings

    @property
    def name(self) -> str:
        """`folder:` and the name of the folder, or of the file if it is not called cohort.yaml."""
        return f"folder:{self.path.resolve().parent.name if self.path.stem == 'cohort' else self.path.stem}"


def read_folder(
    path: Path, *, show: ShowPatient = hide, cache: Path | None = None, report: Report = quiet
) -> Reading:
    """Read a cohort and collect everything that is wrong with it; images are digested, not decoded.

    Args:
      path: the cohort.yaml.
      show: how patients are named in errors; by default only their rows are.
      cache: folder for digests of image files.
      report: progress of digesting.

    Raises:
      MedbenchError: the declaration cannot be understood, or the table cannot be read as one.
    """
    findings = Findings(show)
    home = _Source.open(path, findings)
    parts = home.parts()
    clusters = [home.declared.cluster]
    tables = {home.table_path.resolve(): "this cohort"}
    for name, other_path in home.declared.shifts.items():
        if not isinstance(other_path, str):
            continue
        try:
            declaration = find_declaration(_relative(path, other_path))
        except MedbenchError as error:
            raise home.document.error("shifts", name, message=str(error)) from error
        other = _Source.open(declaration, findings, document=home.document, shift=name)
        owner = tables.setdefault(other.table_path.resolve(), f"shift `{name}`")
        if owner != f"shift `{name}`":
            raise home.document.error(
                *("shifts", name),
                message=f"{shown(other.path)} reads the same table as {owner}. "
                f"Select rows of one table by `{name}: {{column: …, equals: […]}}`.",
            )
        parts[name] = other.whole(name)
        _warn_of_equal_ids(home.rows, other.rows, name, findings)
        if other.declared.cluster != clusters[0]:
            clusters.append(f"{name}: {other.declared.cluster}")
    ordered = {name: parts[name] for name in (*SPLITS, *home.declared.shift_names) if name in parts}
    attributes = tuple(dict.fromkeys(chain.from_iterable(p.examples.attributes for p in ordered.values())))
    ordered = {
        name: replace(part, examples=part.examples.with_attributes(attributes))
        for name, part in ordered.items()
    }
    if not findings.errors:  # rows with errors are not among them, and would be missed here again
        require_all_sets(ordered, home.declared, home.table.file, findings)
        require_all_classes(ordered, home.declared.target, findings)
    digests = digest_parts(ordered, findings, cache=cache, report=report)
    require_distinct_images(ordered, {path: d.sha256 for path, d in digests.items()}, findings)
    cluster = clusters[0] + (f" ({', '.join(clusters[1:])})" if clusters[1:] else "")
    return Reading(home.declared, path, ordered, attributes, cluster, digests, findings)


@dataclass(frozen=True)
class _Source:
    """One cohort.yaml with its table."""

    path: Path
    document: Document[CohortFile]
    root: Path
    table_path: Path
    table: Table
    rows: Rows
    findings: Findings

    @classmethod
    def open(
        cls,
        path: Path,
        findings: Findings,
        *,
        document: Document[CohortFile] | None = None,
        shift: str = "",
    ) -> "_Source":
        """Read declaration and table; `document` and `shift` say for which shift of which cohort."""
        own = load_declaration(path)
        if document is not None:
            _require_same_task(own, document, shift)
        root = _relative(path, own.value.root)
        if not root.is_dir():
            raise own.error(
                "root", message=f"the folder {root} does not exist. {_nearest_folder(root)}".rstrip()
            )
        beside, below = _relative(path, own.value.table), root / own.value.table
        table_path = beside if beside.is_file() or not below.is_file() else below
        table = read_table(table_path)
        return cls(path, own, root, table_path, table, read_rows(own, table, root, findings), findings)

    @property
    def declared(self) -> CohortFile:
        return self.document.value

    def parts(self) -> dict[str, Part]:
        """The sets of this table."""
        placed = place(self.rows, self.document, self.table, self.findings)
        names = [name for name in dict.fromkeys(placed.tolist()) if name != LEFT_OUT]
        return {name: self._part(np.flatnonzero(placed == name), "") for name in names}

    def whole(self, shift: str) -> Part:
        """All rows as one shift of another cohort; names are qualified, since numberings may coincide."""
        return self._part(np.arange(len(self.rows)), f"{shift}/")

    def _part(self, index: NDArray[np.int64], prefix: str) -> Part:
        rows = self.rows
        examples = Examples(
            image=np.char.add(prefix, rows.image[index]) if len(index) else rows.image[index],
            patient=np.char.add(prefix, rows.patient[index]) if len(index) else rows.patient[index],
            labels=rows.labels[index],
            attributes={name: groups[index] for name, groups in rows.attributes.items()},
        )
        return Part(examples, rows.row[index], [rows.path[i] for i in index], self.root, self.table.file)


def _relative(declaration: Path, place: str) -> Path:
    """A place that a declaration names, relative to its file."""
    return Path(os.path.normpath(declaration.parent / Path(place).expanduser()))


def _nearest_folder(path: Path) -> str:
    if not path.parent.is_dir():
        return "`root` is relative to the folder of cohort.yaml, or absolute."
    return nearest(path.name, (p.name for p in path.parent.iterdir() if p.is_dir()))


def _require_same_task(own: Document[CohortFile], home: Document[CohortFile], shift: str) -> None:
    """A shift from elsewhere must ask the same question."""
    if own.value.domain != home.value.domain:
        raise home.error(
            *("shifts", shift),
            message=f"{own.file} is of domain `{own.value.domain}`, expected `{home.value.domain}`.",
        )
    if own.value.target != home.value.target:
        expected, found = (
            f"{d.target.kind} {', '.join(f'`{c}`' for c in d.target.classes)}"
            for d in (home.value, own.value)
        )
        raise home.error(
            *("shifts", shift),
            message=f"{own.file} predicts {found}; expected {expected}. Declare the same labels, "
            "with the same names and in the same order.",
        )


def _warn_of_equal_ids(home: Rows, other: Rows, shift: str, findings: Findings) -> None:
    common = len(set(home.patient.tolist()) & set(other.patient.tolist()))
    if common:
        findings.warn(
            f"shift `{shift}`: {counted(common, 'patient id is', 'patient ids are')} also in the cohort; "
            "taken for different patients, since every hospital has its own numbers. If they are the same, "
            "join the tables and select the shift by a column."
        )
