"""Makes runs on this machine: reused from the store, loaded from a reference run, or fine-tuned now.

One process trains a run, the others wait for it. jax is imported only when a run is really trained.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.campaign import Campaign
from medbench.data.cohort import Cohort
from medbench.environment import CPU, capture, device_class
from medbench.errors import MedbenchError
from medbench.execute.elsewhere import Elsewhere
from medbench.execute.progress import Event, Sink
from medbench.execute.trainers import Executes, identity_of
from medbench.failures import Failures
from medbench.identity import code_fingerprint, run_id, spec_id, why_new
from medbench.models.weights import sha256
from medbench.record import Environment, RunRecord
from medbench.reference import References
from medbench.spec.runs import RunSpec
from medbench.store import Holder, Store, StoredRun
from medbench.training.progress import Progress, Report

if TYPE_CHECKING:
    from medbench.training.loop import FineTuned

Mode = Literal["auto", "never", "force"]
"""auto: train what is neither stored nor loadable; never: train nothing; force: train everything again."""

Whence = Literal["reused", "loaded", "to-train", "not-run"]
"""How a run would be obtained now."""

ImageSource = Callable[[str, int], NDArray[np.uint8]]


class Train(Protocol):
    """`medbench.training.loop.fine_tune`, or what stands in for it."""

    def __call__(
        self, spec: RunSpec, cohort: Cohort, *, weights: Path | None, images: ImageSource, report: Report
    ) -> "FineTuned":
        """Fine-tune one run."""


def locate(
    spec: RunSpec,
    *,
    store: Store,
    references: References,
    mode: Mode,
    sentinel: bool,
    campaign: Campaign | None = None,
    trainer: Executes | None = None,
) -> Whence:
    """How `obtain` would come by a run, without doing it; the arguments are the same.

    A run that only a remote store has is not fetched.

    Raises:
      MedbenchError: the record of the stored or the reference run is damaged; a remote store cannot be read.
    """
    name = run_id(spec, code_fingerprint(identity_of(trainer)))
    if (mode != "force" or (campaign is not None and name in campaign)) and store.has(name):
        return "reused"
    if mode == "force" or (sentinel and mode == "auto"):
        return "to-train"
    if references.get(spec) is not None:
        return "loaded"
    return "not-run" if mode == "never" else "to-train"


def obtain(
    spec: RunSpec,
    *,
    cohort: Cohort,
    store: Store,
    references: References,
    mode: Mode,
    sentinel: bool,
    weights: Path | None,
    report: Sink,
    campaign: Campaign | None = None,
    failures: Failures | None = None,
    trainer: Executes | None = None,
    train: Train | None = None,
) -> StoredRun | None:
    """The run: from the store, else from its reference run, else trained and stored.

    If another process trains the run already, this one says so once and waits for its result; if
    that process dies, this one trains the run itself.

    Args:
      spec: the run.
      cohort: the cohort that the spec was resolved with.
      store: where runs are kept.
      references: where accepted runs may be loaded from.
      mode: `auto`, `never` or `force`.
      sentinel: always train the run rather than load it (unless `never`).
      weights: the backbone's file; None for random initialisation.
      report: receives events; see `medbench.execute.progress`.
      campaign: with `force`, which runs count as trained again already; without, none do.
      failures: of this session; a run among them is not tried again.
      trainer: executes the run in place of medbench.
      train: in place of `medbench.training.loop.fine_tune`.

    Returns:
      The run, or None if the mode is `never` and there is neither a stored nor a reference run.

    Raises:
      MedbenchError: a record is damaged; the run failed in this session already; the cohort or the weights
        are not what was planned; jax uses another device than planned; training diverged; another trainer
        failed, or did not leave what it should; the store cannot be written.
    """
    by = identity_of(trainer)
    code = code_fingerprint(by)
    find = partial(
        _find,
        spec,
        code,
        store=store,
        references=references,
        mode=mode,
        sentinel=sentinel,
        campaign=campaign,
    )
    found = find()
    if found is not None or mode == "never":
        return found

    def waiting(holder: Holder | None) -> None:
        report(Event(kind="waiting", run=spec.label, text=str(holder or "another process")))

    with store.lock(run_id(spec, code), waiting):
        found = find()
        if found is not None:
            return found
        if failures is not None and (message := failures.get(run_id(spec, code))):
            raise MedbenchError(message)
        why = "all runs are forced" if mode == "force" else why_new(spec, store, by)
        with _followed(spec, code, why, report, failures):
            made = _make(
                spec,
                code,
                cohort=cohort,
                store=store,
                weights=weights,
                report=report,
                tune=Here(train or _fine_tune(store)) if trainer is None else Elsewhere(trainer, store),
            )
            if campaign is not None:
                campaign.add(made.record.run_id)
            return made


@contextmanager
def _followed(spec: RunSpec, code: str, why: str, report: Sink, failures: Failures | None) -> Iterator[None]:
    """Tell how making a run begins and ends, and remember why it failed."""
    report(Event(kind="started", run=spec.label, text=why))
    try:
        yield
    except BaseException as error:
        if failures is not None and isinstance(error, MedbenchError):
            failures.add(run_id(spec, code), str(error).partition("\n")[0])  # a log's end is told once
        kind: Literal["interrupted", "failed"] = (
            "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        )
        report(Event(kind=kind, run=spec.label))
        raise
    report(Event(kind="finished", run=spec.label))


def _find(
    spec: RunSpec,
    code: str,
    *,
    store: Store,
    references: References,
    mode: Mode,
    sentinel: bool,
    campaign: Campaign | None,
) -> StoredRun | None:
    """The run as it may be used without training."""
    name = run_id(spec, code)
    if mode == "force":
        return store.get(name) if campaign is not None and name in campaign else None
    stored = store.get(name)
    if stored is not None or (sentinel and mode == "auto"):
        return stored
    return references.get(spec)


@dataclass(frozen=True)
class Here:
    """Fine-tuning in this process, by jax.

    Attributes:
      train: `medbench.training.loop.fine_tune`, or what stands in for it.
      trainer: none but medbench.
    """

    train: Train
    trainer: None = None

    @contextmanager
    def __call__(
        self, spec: RunSpec, cohort: Cohort, *, weights: Path | None, images: ImageSource, report: Report
    ) -> Iterator[tuple[Environment, "FineTuned"]]:
        """Where the run was made, and what it left.

        Raises:
          MedbenchError: jax uses another device than planned; training diverged.
        """
        environment = capture()
        tuned = self.train(spec, cohort, weights=weights, images=images, report=report)
        _require_finite(spec, tuned)
        yield msgspec.structs.replace(environment, devices=tuned.devices), tuned


def _make(
    spec: RunSpec,
    code: str,
    *,
    cohort: Cohort,
    store: Store,
    weights: Path | None,
    report: Sink,
    tune: Here | Elsewhere,
) -> StoredRun:
    """Fine-tune and store; the run's lock is held."""
    require_as_planned(spec, cohort, weights)
    store.require_space()
    started = _now()
    tuning = tune(
        spec,
        cohort,
        weights=weights,
        images=decoded(spec, cohort, store, report),
        report=lambda progress: report(_staged(spec, progress)),
    )
    with tuning as (environment, tuned):  # until it is stored: what another trainer left is kept so long
        record = RunRecord(
            run_id=run_id(spec, code),
            spec_id=spec_id(spec),
            code=code,
            trainer=identity_of(tune.trainer),
            spec=spec,
            environment=environment,
            started=started,
            finished=_now(),
            timings=tuned.timings,
            train_images=tuned.train_images,
            train_patients=tuned.train_patients,
            trace=tuned.trace,
            validation=tuned.validation,
            weight_distance=tuned.weight_distance,
            feature_reuse=_reuse(tuned.features),
            evaluations=[],
        )
        stored = store.put(record, tuned.predictions, tuned.features)
    shutil.rmtree(store.checkpoints(record.run_id), ignore_errors=True)
    return stored


def _reuse(features: Mapping[str, NDArray[np.float16]]) -> dict[str, float | None]:
    """By stage, how alike features at the start and at the end are."""
    from medbench.metrics.representation import at, cka_by_stage  # noqa: PLC0415 (pulls in pyarrow)

    by_stage = cka_by_stage(at(features, "start"), at(features, "end"))
    return {stage: value for stage, (value, _) in by_stage.items()}


def _fine_tune(store: Store) -> Train:
    """The real thing, which imports jax."""
    from medbench.training import heap  # noqa: PLC0415

    if device_class() == CPU:
        heap.keep()
    from medbench.training.cache import enable  # noqa: PLC0415
    from medbench.training.loop import fine_tune  # noqa: PLC0415

    enable(store.cache("xla"))

    def train(
        spec: RunSpec, cohort: Cohort, *, weights: Path | None, images: ImageSource, report: Report
    ) -> "FineTuned":
        checkpoints = store.checkpoints(run_id(spec, code_fingerprint()))
        return fine_tune(spec, cohort, weights=weights, images=images, report=report, checkpoints=checkpoints)

    return train


def decoded(spec: RunSpec, cohort: Cohort, store: Store, report: Sink) -> ImageSource:
    """A cohort's images as a run needs them, kept in the store's cache; decoding them is reported."""
    from medbench.data.decoded import DecodedImages  # noqa: PLC0415

    def decoding(split: str, done: int, total: int) -> None:
        report(Event(kind="stage", run=spec.label, stage=f"decode {split}", done=done, total=total))

    return DecodedImages(cohort, store.cache("decoded"), decoding, spec.recipe.aspect)


def _staged(spec: RunSpec, progress: Progress) -> Event:
    return Event(
        kind="stage",
        run=spec.label,
        stage=progress.stage,
        done=progress.done,
        total=progress.total,
        text=progress.text,
    )


def require_as_planned(spec: RunSpec, cohort: Cohort, weights: Path | None) -> None:
    """What the run's id stands for must be what is trained.

    Raises:
      MedbenchError: the cohort or the weights are others.
    """
    if cohort.fingerprint != spec.cohort_fingerprint:
        raise MedbenchError(
            f"{spec.label}: cohort `{cohort.name}` is not the one that was planned with. Did its files "
            "change meanwhile? Start again."
        )
    pinned = spec.backbone.weights_sha256
    if (weights is None) != (not pinned):
        given = f"`{weights}` was given" if weights is not None else "no file was given"
        wanted = f"sha256 {pinned[:12]}… was planned" if pinned else "a random start was planned"
        raise MedbenchError(f"{spec.backbone.weights or spec.backbone.name}: {given}, but {wanted}.")
    if weights is not None and (found := sha256(weights)) != pinned:
        raise MedbenchError(
            f"{weights}: sha256 is {found[:12]}…, planned was {pinned[:12]}…. Did the file change meanwhile? "
            "Start again."
        )


def _require_finite(spec: RunSpec, tuned: "FineTuned") -> None:
    """A run that diverged is no run: its numbers could neither be judged nor written down."""
    step = next((step.step for step in tuned.trace if not np.isfinite(step.loss)), None)
    if step is None and all(np.isfinite(found.logits).all() for found in tuned.predictions.values()):
        return
    when = "" if step is None else f" at or before step {step}"
    raise MedbenchError(
        f"{spec.label}: training diverged{when}: the loss or the logits are no longer finite. Lower "
        f"`base_learning_rate` of recipe `{spec.recipe.name}`, or look at the images."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
