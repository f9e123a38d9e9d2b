"""What a public cohort is, as its publisher lays it out: files, labels, splits, licence.

Each source is one module with a `SOURCE`; nothing here decodes or writes an image.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medbench.data.findings import Findings
from medbench.spec.runs import Target

UNKNOWN, UNCERTAIN = -1, -2
"""Label values beside 0 and 1: nobody said; and somebody said that it is not certain (a policy decides)."""

Policy = Literal["ignore", "zeros", "ones"]
"""What becomes of uncertain labels: left out of loss and metric, taken for absent, taken for present."""


@dataclass(frozen=True, kw_only=True)
class SourceRows:
    """The images that a source's tables list, one row each, in the order of the tables.

    Attributes:
      image: (n,) str, a name that is unique and does not change when a folder is moved.
      path: the image files.
      table: (n,) str, the file that lists each image, relative to the folder; for messages.
      row: (n,) int64, its row there as a spreadsheet numbers it: the header is row 1.
      patient: (n,) str, the patient, or the source's `cluster`.
      split: (n,) str, `train`, `validation`, `id` or one of the source's `own_shifts`; empty where the source
        does not divide its patients, who are then dealt out (60, 10 and 30 %, always the same).
      labels: (n, k) int8, columns as the target's classes: 0, 1, `UNKNOWN` or `UNCERTAIN`.
      attributes: name -> (n,) str, all names that the source declares; an empty string where not recorded.
    """

    image: NDArray[np.str_]
    path: list[Path]
    table: NDArray[np.str_]
    row: NDArray[np.int64]
    patient: NDArray[np.str_]
    split: NDArray[np.str_]
    labels: NDArray[np.int8]
    attributes: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A public cohort as it is published.

    Attributes:
      name: as in `public:<name>`, lower case with hyphens.
      title: as its publisher calls it.
      domain: whose claims it serves.
      target: what is predicted; sources that are each other's shift have the same.
      attributes: names of the sub-group attributes.
      images: number of images that the whole set has, as published.
      patients: number of patients (or of clusters) that it has.
      complete: images of them that a complete release leaves after what `read` passes over; 0 for all.
      gigabytes: of the files that its publisher gives out, about.
      licence: its name, and what it forbids.
      citation: authors, title, year, identifier.
      homepage: where it is published.
      obtain: how to come by the files and what to keep of them, in a sentence or two.
      read: reads the tables below a folder; files that are missing, unknown columns and values are errors in
        the findings, with table and row. Images are not opened, save headers where a source has nothing else.
      cluster: `patient`, or what stands in for it.
      own_shifts: sets of this source that are evaluated as shifts, beside `id`.
      shifts_from: other sources whose `id` is a shift here, called by their names.
      policies: of uncertain labels, the usual one first; empty where the source has none.
      reading: `plain`, or `mammogram`: cropped to the breast, and the chest wall always to the left.
      warnings: what a person should know before believing a result, one sentence each.
    """

    name: str
    title: str
    domain: Literal["chest", "mammography", "dermatology"]
    target: Target
    attributes: tuple[str, ...]
    images: int
    patients: int
    gigabytes: float
    licence: str
    citation: str
    homepage: str
    obtain: str
    read: Callable[[Path, Findings], SourceRows]
    cluster: str = "patient"
    own_shifts: tuple[str, ...] = ()
    shifts_from: tuple[str, ...] = ()
    policies: tuple[Policy, ...] = ()
    complete: int = 0
    reading: Literal["plain", "mammogram"] = "plain"
    warnings: tuple[str, ...] = ()
