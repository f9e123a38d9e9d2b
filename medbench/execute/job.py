"""The folder in which another trainer finds a run: what to train, on which images, and where to write.

A contract that later versions keep (docs/own-trainer.md). Patients and images are named by keyed hashes, and
what evaluation sets show is not told. No jax here.
"""

import csv
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import TRAIN, VALIDATION, Examples
from medbench.errors import MedbenchError
from medbench.spec.runs import RunSpec
from medbench.training.progress import Progress, Report, Stage

SCHEMA_VERSION = 1
JOB, PROGRESS, PREDICTIONS = "job.json", "progress", "predictions"
ROW, IMAGE, PATIENT = "row", "image", "patient"
LABEL, LOGIT, ATTRIBUTE = "label/", "logit/", "attribute/"

_PROGRESS = re.compile(rf"({'|'.join(get_args(Stage))}) (\d{{1,12}}) (\d{{1,12}})")


class JobSet(msgspec.Struct, frozen=True, kw_only=True):
    """The images of a set, and what is known of them."""

    images: str
    """Absolute path of a `.npy` file: (n, size, size, 1 or 3) uint8."""
    examples: str
    """Absolute path of a CSV table, one row an image to be used."""
    predictions: str | None
    """Absolute path of the CSV table to write; `.parquet` instead of `.csv` will do. Null for `train`."""


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file `job.json`."""

    schema_version: int = SCHEMA_VERSION
    run: str
    """The run in words."""
    spec: RunSpec
    """All that is to shape the numbers."""
    weights: str | None
    """Absolute path of the backbone's file; null for a random start."""
    sets: dict[str, JobSet]
    """`train`, `validation` and every evaluation set."""


@dataclass(frozen=True)
class Job:
    """One run for another trainer.

    Attributes:
      folder: where the trainer writes.
      file: what `job.json` says.
      tell: where progress goes; None to write it into the file `progress`.
    """

    folder: Path
    file: JobFile
    tell: Report | None = None

    @classmethod
    def read(cls, folder: Path | str) -> "Job":
        """The job in a folder, in whatever process.

        Raises:
          MedbenchError: `job.json` cannot be read, or is of a later version.
        """
        path = Path(folder).absolute() / JOB
        try:
            content = path.read_bytes()
            if msgspec.json.decode(content)["schema_version"] > SCHEMA_VERSION:
                raise MedbenchError(f"{path}: written by a later medbench. Install that one here too.")
            return cls(path.parent, msgspec.json.decode(content, type=JobFile))
        except (OSError, UnicodeDecodeError, msgspec.DecodeError, KeyError, TypeError) as error:
            raise MedbenchError(
                f"{path}: not a job that can be read ({error}). Give the folder that medbench made."
            ) from error

    def report(self, stage: Stage, done: int, total: int) -> None:
        """Say how far a stage is: `train` in steps, `evaluate` in sets or images. Never fails a run.

        Args:
          stage: `decode`, `compile`, `train` or `evaluate`.
          done: of `total`.
          total: at least 1.
        """
        line = f"{stage} {done} {total}"
        if self.tell is not None:
            if (progress := _progress(line)) is not None:
                self.tell(progress)
            return
        with suppress(OSError):
            (self.folder / PROGRESS).write_text(line + "\n", encoding="utf-8")

    def progress(self) -> Progress | None:
        """What another process last wrote into the file `progress`; None where that is nothing of use."""
        try:
            lines = (self.folder / PROGRESS).read_bytes()[-200:].decode("utf-8", "replace").split("\n")
        except OSError:
            return None
        return _progress(next((line for line in reversed(lines) if line.strip()), ""))


def _progress(line: str) -> Progress | None:
    found = _PROGRESS.fullmatch(line.strip())
    if found is None:
        return None
    stage, done, total = found.groups()
    return Progress(stage, min(int(done), int(total)), int(total))  # type: ignore[arg-type]  # of the pattern


def write_job(
    folder: Path,
    spec: RunSpec,
    *,
    weights: Path | None,
    examples: Mapping[str, Examples],
    images: Mapping[str, Path],
    subset: NDArray[np.int64],
) -> JobFile:
    """Write all that a trainer is told, into an empty folder.

    Args:
      folder: of the job.
      spec: the run.
      weights: file of the backbone; None for a random start.
      examples: of every set, patients and images named by keyed hashes.
      images: file of each set's images.
      subset: (m,) the training images to be used.
    """
    (folder / PREDICTIONS).mkdir()
    (folder / "examples").mkdir()
    sets = {}
    for name, known in examples.items():
        file = quote(name, safe="") + ".csv"
        rows = subset if name == TRAIN else np.arange(len(known))
        table = folder / "examples" / file
        _write_examples(table, known, rows, spec.target.classes if name in (TRAIN, VALIDATION) else ())
        sets[name] = JobSet(
            images=str(images[name].absolute()),
            examples=str(table),
            predictions=None if name == TRAIN else str(folder / PREDICTIONS / file),
        )
    job = JobFile(
        run=spec.label,
        spec=spec,
        weights=None if weights is None else str(weights.absolute()),
        sets=sets,
    )
    (folder / JOB).write_bytes(msgspec.json.format(msgspec.json.encode(job), indent=1) + b"\n")
    return job


def _write_examples(
    path: Path, examples: Examples, rows: NDArray[np.int64], classes: tuple[str, ...]
) -> None:
    """One row an image: where it stands in the array of images, its name, patient, labels and attributes."""
    columns = {
        ROW: rows,
        IMAGE: examples.image[rows],
        PATIENT: examples.patient[rows],
        **{LABEL + name: examples.labels[rows, i] for i, name in enumerate(classes)},
        **{ATTRIBUTE + name: values[rows] for name, values in examples.attributes.items()},
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
