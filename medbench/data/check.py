"""Looks a cohort through before anything is trained on it: what is in it, and what is wrong.

Every image is decoded once here. What is found is data; `medbench cohort check` puts it into words.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from medbench.data.cohort import ID, TRAIN, VALIDATION, Cohort, Examples
from medbench.data.digests import Report, quiet
from medbench.data.findings import ShowPatient, counted, hide
from medbench.data.images import read_image
from medbench.data.public.prepared import PreparedCohort, PreparedSet, digest_of
from medbench.data.reading import Reading, read_folder
from medbench.data.sources import find_declaration
from medbench.errors import MedbenchError, printable
from medbench.spec.runs import Target

DAMAGED_SHOWN = 20
"""Damaged images that get an error each; the rest are counted."""
_SMALL = 16
"""Pixels that are asked for where only reading matters."""


@dataclass(frozen=True)
class SetCount:
    """What one set holds.

    Attributes:
      images: number of images.
      patients: number of patients, or of clusters.
      positive: class -> images with it.
      unknown: class -> images of which it is not known; empty where all are.
    """

    images: int
    patients: int
    positive: Mapping[str, int]
    unknown: Mapping[str, int]


@dataclass(frozen=True)
class CohortCheck:
    """What `check` found.

    Attributes:
      reference: what opens the cohort: its cohort.yaml, or `public:<name>`.
      errors: what keeps the cohort from being used, one message each.
      warnings: what to know before believing a result.
      name: the cohort's name; this and all that follows stays empty if the declaration or the
        table cannot be read.
      domain: as declared.
      cluster: `patient`, or what stands in for it.
      target: what is predicted.
      sets: by name, in the order train, validation, id, shifts.
      groups: attribute -> group -> set -> images; the group is empty where not recorded.
    """

    reference: str
    errors: list[str]
    warnings: list[str]
    name: str = ""
    domain: str = ""
    cluster: str = "patient"
    target: Target | None = None
    sets: Mapping[str, SetCount] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)


def check(
    path: Path, *, show: ShowPatient = hide, cache: Path | None = None, report: Report = quiet
) -> CohortCheck:
    """Check a folder cohort.

    Args:
      path: the folder with cohort.yaml, or such a file.
      show: how patients are named in errors; by default only their rows are.
      cache: folder for digests of image files, so that a second look need not read all bytes.
      report: told the number of images decoded so far, and how many there are.

    Returns:
      Counts, and everything that is wrong. A mistake in the declaration, or a table that is none,
      is the only error then, since nothing after it can be judged.
    """
    try:
        path = find_declaration(path)
        reading = read_folder(path, show=show, cache=cache)
    except MedbenchError as error:
        return CohortCheck(str(path), [str(error)], [])
    errors = reading.findings.errors + _damaged(reading, report)
    return _found(
        reference=str(path),
        errors=errors,
        warnings=reading.findings.warnings,
        name=reading.name,
        domain=reading.declared.domain,
        cluster=reading.cluster,
        target=reading.declared.target,
        attributes=reading.attributes,
        sets={name: part.examples for name, part in reading.parts.items()},
    )


def check_opened(reference: str, cohort: Cohort, *, report: Report = quiet) -> CohortCheck:
    """Check a cohort that is no folder of the user's own: are its files unaltered, its images whole?

    Args:
      reference: what opened it.
      cohort: as it was opened.
      report: told the number of images decoded so far, and how many there are.
    """
    if isinstance(cohort, PreparedCohort):
        errors = _altered(cohort) + _undecodable(cohort, report)
    else:
        errors = _unreadable(cohort, report)
    return replace(count(reference, cohort), errors=errors)


def count(reference: str, cohort: Cohort) -> CohortCheck:
    """Counts and warnings of a cohort as it was opened, without a look at its images."""
    return _found(
        reference=reference,
        errors=[],
        warnings=list(getattr(cohort, "warnings", ())),
        name=cohort.name,
        domain=cohort.domain,
        cluster=cohort.cluster,
        target=cohort.target,
        attributes=cohort.attributes,
        sets={name: cohort.examples(name) for name in _sets(cohort)},
    )


def _sets(cohort: Cohort) -> tuple[str, ...]:
    return (TRAIN, VALIDATION, ID, *cohort.shifts)


def _found(
    *,
    reference: str,
    errors: list[str],
    warnings: list[str],
    name: str,
    domain: str,
    cluster: str,
    target: Target,
    attributes: Sequence[str],
    sets: Mapping[str, Examples],
) -> CohortCheck:
    return CohortCheck(
        reference=reference,
        errors=errors,
        warnings=warnings,
        name=name,
        domain=domain,
        cluster=cluster,
        target=target,
        sets={name: _count(examples, target) for name, examples in sets.items()},
        groups={attribute: _groups(sets, attribute) for attribute in attributes},
    )


def _count(examples: Examples, target: Target) -> SetCount:
    labels = examples.labels
    unknown = {c: int((labels[:, i] < 0).sum()) for i, c in enumerate(target.classes)}
    return SetCount(
        images=len(examples),
        patients=len(set(examples.patient.tolist())),
        positive={c: int((labels[:, i] == 1).sum()) for i, c in enumerate(target.classes)},
        unknown=unknown if any(unknown.values()) else {},
    )


def _groups(sets: Mapping[str, Examples], attribute: str) -> dict[str, dict[str, int]]:
    by_set = {name: Counter(examples.attributes[attribute].tolist()) for name, examples in sets.items()}
    groups = sorted({group for counts in by_set.values() for group in counts}, key=_natural)
    return {group: {name: counts[group] for name, counts in by_set.items()} for group in groups}


def _natural(group: str) -> tuple[bool, bool, float, str]:
    """Bands by their numbers, names by the alphabet, "not recorded" last."""
    number = re.search(r"\d+(\.\d+)?", group)
    return not group, not group.startswith("under "), float(number[0]) if number else 0, group


def _damaged(reading: Reading, report: Report) -> list[str]:
    """Errors for images whose header can be read and whose pixels cannot."""
    files = [
        (name, part, i)
        for name, part in reading.parts.items()
        for i, path in enumerate(part.path)
        if path in reading.digests
    ]
    errors = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = pool.map(_problem, [part.path[i] for _, part, i in files])
        for n, ((name, part, i), problem) in enumerate(zip(files, problems, strict=True), start=1):
            if problem:
                errors.append(printable(part.complaint(name, i, problem, reading.findings.show)))
            report(n, len(files))
    return _first(errors)


def _altered(cohort: PreparedCohort) -> list[str]:
    """Errors for files that are not as they were written."""
    return [
        f"{folder / name}: altered since it was prepared. Prepare it again: medbench cohort prepare "
        f"{record.source} --from DIR."
        for folder, record in cohort.records.items()
        for name, expected in record.files.items()
        if digest_of(folder / name) != expected
    ]


def _undecodable(cohort: PreparedCohort, report: Report) -> list[str]:
    files = [(images, i) for images in cohort.sets.values() for i in range(len(images.examples))]

    def problem(file: tuple[PreparedSet, int]) -> str:
        images, i = file
        try:
            images.image(i)
        except MedbenchError as error:
            return printable(str(error))
        return ""

    errors = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for n, found in enumerate(pool.map(problem, files), start=1):
            errors += [found] if found else []
            report(n, len(files))
    return _first(errors)


def _unreadable(cohort: Cohort, report: Report) -> list[str]:
    """Of a cohort that gives out whole sets only: one error a set."""
    errors = []
    names = _sets(cohort)
    for n, name in enumerate(names, start=1):
        try:
            cohort.images(name, _SMALL)
        except MedbenchError as error:
            errors.append(printable(str(error)))
        report(n, len(names))
    return errors


def _first(errors: list[str]) -> list[str]:
    more = len(errors) - DAMAGED_SHOWN
    return errors[:DAMAGED_SHOWN] + ([f"{counted(more, 'more damaged image')}."] if more > 0 else [])


def _problem(path: Path) -> MedbenchError | None:
    try:
        read_image(path)
    except MedbenchError as error:
        return error
    return None
