"""A cohort from a folder of the user's own images, as its `cohort.yaml` declares it.

What keeps it from being used is an error before anything is trained; nothing is dropped silently.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import TRAIN, Examples
from medbench.data.declaration import SPLITS
from medbench.data.decoded import in_threads
from medbench.data.digests import Report, quiet
from medbench.data.findings import counted, hide
from medbench.data.images import read_image, resize
from medbench.data.reading import Part, Reading, read_folder
from medbench.errors import MedbenchError, nearest, printable
from medbench.spec.loader import shown
from medbench.spec.runs import Aspect, Target

FINGERPRINT_SCHEME = 1


@dataclass(eq=False)
class FolderCohort:
    """A cohort of image files; see `medbench.data.cohort.Cohort` for the attributes.

    Attributes:
      warnings: what a person should know about the cohort, one sentence each.
      channels: 1 where every image is grey, else 3; the same for all sets.
    """

    name: str
    domain: str
    target: Target
    fingerprint: str
    shifts: tuple[str, ...]
    attributes: tuple[str, ...]
    cluster: str
    image_area: int
    channels: int
    warnings: tuple[str, ...]
    parts: Mapping[str, Part]
    absent: Mapping[str, str] = field(default_factory=dict)
    generated: bool = False

    def examples(self, split: str) -> Examples:
        """The rows of a split, in the order of the table.

        Raises:
          MedbenchError: there is no such split; the message offers the nearest.
        """
        return self._part(split).examples

    def images(self, split: str, size: int) -> NDArray[np.uint8]:
        """The images of a split, decoded and squashed to (n, size, size, channels) uint8.

        Raises:
          MedbenchError: there is no such split, or an image cannot be read.
        """
        out = np.empty((len(self.examples(split)), size, size, self.channels), dtype=np.uint8)
        self.decode_into(out, split, size, lambda _: None)
        return out

    def decode_into(
        self,
        out: NDArray[np.uint8],
        split: str,
        size: int,
        done: Callable[[int], None],
        aspect: Aspect = "squashed",
    ) -> None:
        """As `images`, into a given array, calling `done` with the number of images so far."""
        part = self._part(split)

        def decode(i: int) -> None:
            try:
                image = read_image(part.path[i])
            except MedbenchError as error:
                raise MedbenchError(printable(part.complaint(split, i, error, hide))) from error
            out[i] = resize(image, size, aspect)  # a grey image fills all three channels

        in_threads(len(part.path), decode, done)

    def _part(self, split: str) -> Part:
        if split not in self.parts:
            raise MedbenchError(f"{self.name} has no split `{split}`. {nearest(split, self.parts)}")
        return self.parts[split]


def open_folder(path: Path, *, cache: Path | None = None, report: Report = quiet) -> FolderCohort:
    """Open the cohort that a `cohort.yaml` declares.

    Args:
      path: the file.
      cache: folder for digests of image files, so that a second start need not read them again.
      report: told the number of image files digested so far, and how many there are.

    Raises:
      MedbenchError: declaration, table or images have errors; the message has the first one.
    """
    reading = read_folder(path, cache=cache, report=report)
    errors = reading.findings.errors
    if errors:
        rest = "" if len(errors) == 1 else f"\n{counted(len(errors) - 1, 'more error')}:"
        raise MedbenchError(
            errors[0] + (f"{rest} `medbench cohort check {shown(path)}` lists all." if rest else "")
        )
    digests = reading.digests
    train = [digests[p] for p in reading.parts[TRAIN].path]
    return FolderCohort(
        name=reading.name,
        domain=reading.declared.domain,
        target=reading.declared.target,
        fingerprint=_fingerprint(reading),
        shifts=tuple(name for name in reading.parts if name not in SPLITS),
        attributes=reading.attributes,
        cluster=reading.cluster,
        image_area=int(np.median([d.width * d.height for d in train])),
        channels=max(d.channels for d in digests.values()),
        warnings=tuple(reading.findings.warnings),
        parts=reading.parts,
    )


def _fingerprint(reading: Reading) -> str:
    """SHA-256 over what the cohort consists of: rows as they are used and the bytes of their images.

    Where the files lie, and columns that are not used, do not enter.
    """
    digest = hashlib.sha256()

    def add(value: object) -> None:
        digest.update(msgspec.json.encode(value) + b"\n")

    add([FINGERPRINT_SCHEME, reading.declared.domain, reading.declared.target, reading.cluster])
    for name, part in reading.parts.items():
        examples = part.examples
        add([name, examples.image.tolist(), examples.patient.tolist(), examples.labels.tolist()])
        add({attribute: groups.tolist() for attribute, groups in examples.attributes.items()})
        add([reading.digests[path].sha256 for path in part.path])
    return digest.hexdigest()
