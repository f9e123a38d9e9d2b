"""A run by another trainer, from the job it is given to predictions that are as good as medbench's own.

What is left is joined with labels and patients here, which the trainer was not told. No jax here.
"""

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medbench import environment
from medbench.data.cohort import TRAIN, VALIDATION, Cohort, Examples
from medbench.data.splits import nested_subset
from medbench.errors import MedbenchError
from medbench.execute.job import Job, write_job
from medbench.execute.trainers import Executes
from medbench.identity import code_fingerprint, run_id
from medbench.record import Environment, Step, Trainer, Validation
from medbench.spec.runs import RunSpec
from medbench.store import Store
from medbench.training import streams
from medbench.training.progress import Report

if TYPE_CHECKING:
    from medbench.execute.handed_in import About, HandedIn
    from medbench.predictions import Predictions


@dataclass(frozen=True, kw_only=True)
class TunedElsewhere:
    """What a run of another trainer leaves, with the names of `medbench.training.loop.FineTuned`.

    Attributes:
      predictions: of `validation` and every evaluation set.
      features: `start/<stage>` and `end/<stage>`, where the trainer left any.
      trace: loss and learning rate, where it told them.
      timings: seconds by stage.
      train_images: of the fraction.
      train_patients: of the fraction.
      validation: empty: scores along the way are not asked for.
      weight_distance: empty: weights stay with the trainer.
    """

    predictions: "dict[str, Predictions]"
    features: dict[str, NDArray[np.float16]]
    trace: list[Step]
    timings: dict[str, float]
    train_images: int
    train_patients: int
    validation: list[Validation] = field(default_factory=list)
    weight_distance: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Elsewhere:
    """Fine-tuning by another trainer.

    Attributes:
      trainer: which one.
      store: where jobs are kept; the run's lock is held.
    """

    trainer: Executes
    store: Store

    @contextmanager
    def __call__(
        self,
        spec: RunSpec,
        cohort: Cohort,
        *,
        weights: Path | None,
        images: Callable[[str, int], NDArray[np.uint8]],
        report: Report,
    ) -> Iterator[tuple[Environment, TunedElsewhere]]:
        """Where the run was made, as far as the trainer says, and what it left.

        The job's folder is removed where the context ends well: by then the run is to be stored.

        Args:
          spec: all that is to shape the numbers.
          cohort: the one that `spec` names.
          weights: file of the backbone; None to start at random.
          images: arrays that are mapped from files.
          report: told how far the trainer is.

        Raises:
          MedbenchError: the trainer failed, did not leave what it should, or what it left could not be
            stored; its folder is kept then.
        """
        begin = time.perf_counter()
        known = {name: cohort.examples(name) for name in (TRAIN, VALIDATION, *spec.evaluation_sets)}
        files = {name: _file_of(images(name, _size(spec, name))) for name in known}
        subset = nested_subset(
            known[TRAIN].patient, spec.fraction, streams.sequence(spec.seed, streams.SUBSET)
        )
        told = self._nameless(known)
        by = self.trainer.identity
        of_any_version = run_id(spec, code_fingerprint(Trainer(name=by.name, version="")))
        folder = self.store.new_job(run_id(spec, code_fingerprint(by)), of_any_version[:8])
        file = write_job(folder, spec, weights=weights, examples=told, images=files, subset=subset)
        decode = time.perf_counter() - begin
        left, train = self._executed(Job(folder, file, report), told)
        tuned = TunedElsewhere(
            predictions={
                name: _predictions(name, spec, known[name], logits) for name, logits in left.logits.items()
            },
            features=dict(left.features),
            trace=left.about.trace,
            timings={"decode": decode, **(left.about.timings or {"train": train})},
            train_images=len(subset),
            train_patients=len(np.unique(known[TRAIN].patient[subset])),
        )
        try:
            yield _environment(left.about), tuned
        except MedbenchError as error:
            raise MedbenchError(
                f"{error} What trainer `{self.trainer.identity.name}` left is kept in {folder} until the run "
                "is tried again: copy it away first if you need it."
            ) from error
        shutil.rmtree(folder, ignore_errors=True)

    def _executed(self, job: Job, told: Mapping[str, Examples]) -> tuple["HandedIn", float]:
        """What the trainer left, and the seconds until it came back."""
        from medbench.execute.handed_in import read  # noqa: PLC0415 (pulls in pyarrow)

        begin = time.perf_counter()
        try:
            self.trainer(job)
            seconds = time.perf_counter() - begin
            names = {name: examples.image for name, examples in told.items() if name != TRAIN}
            return read(job, names), seconds
        except MedbenchError as error:
            what, line_break, tail = str(error).partition("\n")
            raise MedbenchError(
                f"{job.file.run}: trainer `{self.trainer.identity.name}`: {what} Its folder is kept until "
                f"the run is tried again: {job.folder}{line_break}{tail}"
            ) from error

    def _nameless(self, known: dict[str, Examples]) -> dict[str, Examples]:
        """As a trainer may see them: a file's name can hold a patient's id, so images are nameless too."""
        each = self.store.pseudonyms().each
        return {
            name: replace(examples, image=each(examples.image), patient=each(examples.patient))
            for name, examples in known.items()
        }


def _size(spec: RunSpec, name: str) -> int:
    return spec.recipe.resize if name == TRAIN else spec.recipe.crop


def _file_of(images: NDArray[np.uint8]) -> Path:
    """Where decoded images are mapped from."""
    assert isinstance(images, np.memmap), "decoded images are kept in files"
    return Path(str(images.filename))


def _predictions(name: str, spec: RunSpec, examples: Examples, logits: NDArray[np.float32]) -> "Predictions":
    from medbench.predictions import Predictions  # noqa: PLC0415

    return Predictions(
        evaluation_set=name,
        target=spec.target,
        image=examples.image,
        patient=examples.patient,
        labels=examples.labels,
        logits=logits,
        attributes=examples.attributes,
    )


def _environment(about: "About") -> Environment:
    """What the trainer says of where it computed, and for the rest this machine."""
    return Environment(
        device_class=(
            environment.class_of(about.platform, about.device or "unknown")
            if about.platform
            else environment.device_class()
        ),
        device=about.device or environment.processor(),
        devices=1,
        cores=environment.usable_cores(),
        platform=platform.platform(),
        python=platform.python_version(),
        libraries=about.libraries,
        xla_flags=os.environ.get("XLA_FLAGS", ""),
        commit=environment.commit(),
    )
