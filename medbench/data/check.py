"""Looks a folder cohort through before anything is trained on it: what is in it, and what is wrong.

Every image is decoded once here. What is found is data; `medbench cohort check` puts it into words.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from medbench.data.digests import Report, quiet
from medbench.data.findings import ShowPatient, counted, hide
from medbench.data.images import read_image
from medbench.data.reading import Reading, read_folder
from medbench.data.soundness import Part
from medbench.data.sources import find_declaration
from medbench.errors import MedbenchError, printable
from medbench.spec.runs import Target

DAMAGED_SHOWN = 20
"""Damaged images that get an error each; the rest are counted."""


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
      path: the cohort.yaml.
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

    path: Path
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
        return CohortCheck(path, [str(error)], [])
    errors = reading.findings.errors + _damaged(reading, report)
    return CohortCheck(
        path=path,
        errors=errors,
        warnings=reading.findings.warnings,
        name=reading.name,
        domain=reading.declared.domain,
        cluster=reading.cluster,
        target=reading.declared.target,
        sets={name: _count(part, reading.declared.target) for name, part in reading.parts.items()},
        groups={name: _groups(reading, name) for name in reading.attributes},
    )


def _count(part: Part, target: Target) -> SetCount:
    labels = part.examples.labels
    unknown = {c: int((labels[:, i] < 0).sum()) for i, c in enumerate(target.classes)}
    return SetCount(
        images=len(part.examples),
        patients=len(set(part.examples.patient.tolist())),
        positive={c: int((labels[:, i] == 1).sum()) for i, c in enumerate(target.classes)},
        unknown=unknown if any(unknown.values()) else {},
    )


def _groups(reading: Reading, attribute: str) -> dict[str, dict[str, int]]:
    by_set = {
        name: Counter(part.examples.attributes[attribute].tolist()) for name, part in reading.parts.items()
    }
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
    more = len(errors) - DAMAGED_SHOWN
    return errors[:DAMAGED_SHOWN] + ([f"{counted(more, 'more damaged image')}."] if more > 0 else [])


def _problem(path: Path) -> MedbenchError | None:
    try:
        read_image(path)
    except MedbenchError as error:
        return error
    return None
