"""One fine-tuning from data to predictions, in the order in which it happens.

Nothing is stored here, and nothing asks which claim the run is for.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from flax import traverse_util
from numpy.typing import NDArray

from medbench import metrics
from medbench.data.cohort import ID, TRAIN, VALIDATION, Cohort, Examples
from medbench.data.splits import nested_subset
from medbench.models import backbones, bit, files, npz
from medbench.models.backbones import StageOf
from medbench.predictions import Predictions
from medbench.record import Step, Validation
from medbench.spec.runs import RunSpec, Target
from medbench.training import mesh, streams
from medbench.training.checkpoint import EVERY, Checkpoints
from medbench.training.hyperrule import VALIDATED_AT, learning_rate
from medbench.training.order import batch_order
from medbench.training.progress import Progress, Report, Stage
from medbench.training.scoring import Scorer
from medbench.training.step import Network, Objective, keep_close, random_key, start, train_step

ImageSource = Callable[[str, int], NDArray[np.uint8]]
"""(split, size) -> (n, size, size, 1 or 3): a cohort's images, decoded once per machine."""

PROBE = 128
"""Features are kept of the first so many images of `id`."""
VALIDATION_METRIC = "roc_auc"
_TRACE_POINTS = 50


@dataclass(frozen=True)
class FineTuned:
    """What a finished run leaves, before it is stored.

    Attributes:
      predictions: of `validation` and every evaluation set of the spec.
      features: `start/<stage>` and `end/<stage>` -> (probe, c) float16, before and after training.
      trace: loss and learning rate at some 50 steps, the last one included.
      validation: the metric at some 4 steps; the last is that of `predictions`.
      weight_distance: by stage, |w_end - w_start| / |w_start|; for the head, which starts at zero, |w_end|.
      timings: seconds by stage: `decode`, `compile`, `train`, `evaluate`.
      train_images: trained on.
      train_patients: trained on.
      devices: that shared every batch.
    """

    predictions: dict[str, Predictions]
    features: dict[str, NDArray[np.float16]]
    trace: list[Step]
    validation: list[Validation]
    weight_distance: dict[str, float]
    timings: dict[str, float]
    train_images: int
    train_patients: int
    devices: int


class Notes(msgspec.Struct):
    """What a training has told so far, kept beside its state."""

    losses: list[float]
    validation: list[Validation]
    seconds: dict[str, float]


def fine_tune(  # noqa: PLR0915 (an experiment, which reads from top to bottom)
    spec: RunSpec,
    cohort: Cohort,
    *,
    weights: Path | None,
    images: ImageSource,
    report: Report,
    checkpoints: Path | None = None,
    checkpoint_every: float = EVERY,
    sharded_from: int = mesh.SHARDED_FROM,
) -> FineTuned:
    """Fine-tune a backbone on a cohort and score every evaluation set, on all devices of all processes.

    Several processes call it with the same arguments at the same time, and each gets all that is left.

    Args:
      spec: all that shapes the numbers.
      cohort: the one that `spec` names.
      weights: file of the backbone; None to start at random.
      images: where the cohort's images come from.
      report: told how far training and scoring are.
      checkpoints: folder of this run's checkpoints, the latest of which it goes on from; None for none.
      checkpoint_every: seconds between two of them.
      sharded_from: bytes of parameters from which they are divided among the devices.

    Raises:
      MedbenchError: the weights do not fit the architecture, or several processes cannot share a batch.
    """
    recipe, target = spec.recipe, spec.target
    clock = _Clock()

    # Data: patients of the fraction, images at training size, batches in the order of the seed.
    with clock("decode"):
        everyone = cohort.examples(TRAIN)
        subset = nested_subset(everyone.patient, spec.fraction, streams.sequence(spec.seed, streams.SUBSET))
        train_images = images(TRAIN, recipe.resize)
        sets = {
            name: (cohort.examples(name), images(name, recipe.crop))
            for name in (VALIDATION, *spec.evaluation_sets)
        }
        probe = images(ID, recipe.crop)[:PROBE]
    order = subset[
        batch_order(
            len(subset),
            batch_size=recipe.batch_size,
            steps=recipe.steps,
            generator=streams.generator(spec.seed, streams.ORDER),
        )
    ]

    # Model: the backbone under a head of zeros. Compiling shows in the first step and the first scoring.
    devices = mesh.devices_for(recipe.batch_size)
    network, parts = _network(spec).fitting(recipe, devices=len(devices))
    objective = Objective(
        target.kind, recipe.crop, recipe.horizontal_flip, recipe.mixup_alpha, recipe.momentum
    )
    initial = _initial_params(spec, weights, network)
    layout = mesh.over(devices, initial, sharded_from=sharded_from)
    network = replace(network, over=layout.mesh) if layout.mesh else network
    state = start(layout.params(initial))
    at_once = network.scored_at_once(recipe, devices=len(devices))
    scorer = partial(Scorer, network=network, batch_size=at_once, layout=layout)
    with clock("compile"):
        features_at_start = scorer(state.params).features(probe)

    def scored(name: str, by: Scorer) -> Predictions:
        examples, pixels = sets[name]
        return _predictions(name, target, examples, by.logits(pixels))

    # Training: the host prepares the next batches while the devices work on this one.
    key = random_key(streams.key_seed(spec.seed, streams.AUGMENTATION))
    done = 0
    losses: list[Any] = []
    validation: list[Validation] = []
    validated = {round(share * recipe.steps) for share in VALIDATED_AT} - {0, recipe.steps}

    def tell(text: str) -> None:
        report(Progress("train", done, recipe.steps, text))

    def noted() -> Notes:
        return Notes([float(loss) for loss in losses], validation, clock.seconds)

    with Checkpoints(checkpoints, every=checkpoint_every, tell=tell) as kept:
        if saved := kept.restore(state, Notes):
            done, state, notes = saved
            losses, validation = [*notes.losses], notes.validation
            clock.add(notes.seconds)
        for step in range(done, recipe.steps):
            with clock("train" if step > done else "compile"):
                batch = order[step]
                state, loss = train_step(
                    state,
                    layout.rows(train_images, batch),
                    layout.rows(everyone.labels, batch),
                    learning_rate=np.float32(learning_rate(recipe, step)),
                    key=key,
                    step=step,
                    network=network,
                    objective=objective,
                    parts=parts,
                )
                state = layout.kept(state)
                losses.append(loss)
                keep_close(losses)
            report(Progress("train", step + 1, recipe.steps))
            if step + 1 in validated:
                with clock("evaluate"):
                    validation.append(_validated(step, scored(VALIDATION, scorer(state.params))))
            kept.save_if_due(step + 1, state, noted)

    # Scores.
    predictions: dict[str, Predictions] = {}
    with clock("evaluate"):
        tuned = scorer(state.params)
    for name in sets:
        with clock("evaluate"):
            predictions[name] = scored(name, tuned)
        report(Progress("evaluate", len(predictions), len(sets)))
    validation.append(_validated(recipe.steps - 1, predictions[VALIDATION]))
    with clock("evaluate"):
        features_at_end = tuned.features(probe)

    return FineTuned(
        predictions=predictions,
        features={
            **{f"start/{stage}": values for stage, values in features_at_start.items()},
            **{f"end/{stage}": values for stage, values in features_at_end.items()},
        },
        trace=[
            Step(step=step, loss=float(losses[step]), learning_rate=learning_rate(recipe, step))
            for step in _spread(recipe.steps, _TRACE_POINTS)
        ],
        validation=validation,
        weight_distance=weight_distance(initial, layout.fetched(state.params), _stage_of(spec)),
        timings=clock.seconds,
        train_images=len(subset),
        train_patients=len(np.unique(everyone.patient[subset])),
        devices=len(devices),
    )


def weight_distance(
    before: bit.Params, after: bit.Params, stage_of: StageOf = bit.stage_of
) -> dict[str, float]:
    """How far training moved each stage, in Euclidean norms of all its parameters.

    Args:
      before: the parameter tree at the start.
      after: a tree of the same shapes.
      stage_of: which stage a parameter belongs to.

    Returns:
      stage -> |after - before| / |before|; for the head, which starts at zero, |after|.
    """
    moved: dict[str, float] = {}
    length: dict[str, float] = {}
    ends = traverse_util.flatten_dict(after)
    for path, begin in traverse_util.flatten_dict(before).items():
        stage = stage_of(path)
        first, last = np.asarray(begin, np.float64), np.asarray(ends[path], np.float64)
        moved[stage] = moved.get(stage, 0.0) + float(np.square(last - first).sum())
        length[stage] = length.get(stage, 0.0) + float(np.square(first).sum())
    return {stage: float(np.sqrt(moved[stage] / (length[stage] or 1.0))) for stage in moved}


def _network(spec: RunSpec) -> Network:
    """A BiT by its shape, or another net by its entry point, of the very package that was planned with."""
    backbone = spec.backbone
    if not backbone.module:
        classes = len(spec.target.classes)
        return Network(backbone.blocks, backbone.width, classes, precision=spec.recipe.precision)
    backbones.require(backbone.module, backbone.distribution)
    return Network((), 0.0, len(spec.target.classes), backbone.module)


def _stage_of(spec: RunSpec) -> StageOf:
    return backbones.stage_of(spec.backbone.module) if spec.backbone.module else bit.stage_of


def _initial_params(spec: RunSpec, weights: Path | None, network: Network) -> bit.Params:
    """The backbone with a fresh head: from its file, or random from the seed."""
    if network.module:
        return _initial_params_of_module(spec, weights, network)
    if weights is None:
        return bit.init_params(
            network.blocks, network.width, network.classes, streams.generator(spec.seed, streams.INIT)
        )
    pretrained = files.load(weights, blocks=network.blocks, width=network.width)
    return npz.adapt_head(pretrained, network.classes)


def _initial_params_of_module(spec: RunSpec, weights: Path | None, network: Network) -> bit.Params:
    name, classes, size = network.module, network.classes, spec.recipe.crop
    if weights is None:
        seed = streams.key_seed(spec.seed, streams.INIT)
        return backbones.init_params(name, classes=classes, size=size, seed=seed)
    return backbones.load_params(name, weights, classes=classes, size=size)


def _predictions(name: str, target: Target, examples: Examples, logits: NDArray[np.float32]) -> Predictions:
    return Predictions(
        evaluation_set=name,
        target=target,
        image=examples.image,
        patient=examples.patient,
        labels=examples.labels,
        logits=logits,
        attributes=examples.attributes,
    )


def _validated(step: int, predictions: Predictions) -> Validation:
    value, reason = metrics.evaluate(metrics.metric_named(VALIDATION_METRIC), metrics.Sample(predictions))
    return Validation(step=step, value=value, reason=reason)


def _spread(steps: int, points: int) -> list[int]:
    """Some `points` 0-based steps at equal distances; the last step is one of them."""
    return sorted({-(-steps * point // points) - 1 for point in range(1, points + 1)})


class _Clock:
    """Seconds by stage, added up over every time the stage was entered."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.add({stage: time.perf_counter() - begin})

    def add(self, seconds: Mapping[str, float]) -> None:
        """Count more seconds."""
        for stage, more in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + more
