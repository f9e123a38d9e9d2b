"""Pre-training of the embedded tier's upstreams: BiT's recipe, scaled down to CIFAR-10 and minutes.

Fine-tuning does not enter. Interrupt at any time: the same call goes on from the last checkpoint.
"""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError
from medbench.models import bit, npz, weights
from medbench.training import streams
from medbench.training.card import card
from medbench.training.checkpoint import Checkpoints
from medbench.training.cifar10 import CLASSES, Photographs
from medbench.training.hyperrule import learning_rate
from medbench.training.order import batch_order
from medbench.training.step import (
    Network,
    Objective,
    keep_close,
    predict_step,
    random_key,
    start,
    train_step,
)
from medbench.training.upstream import BORDER, WEIGHT_DECAY, Settings, Upstream, upstream_recipe

CHECKPOINT_EVERY = 30.0
"""Seconds between two checkpoints."""
REPORT_EVERY = 100
_SCORING_BATCH = 250


def pretrain(
    photographs: Photographs,
    settings: Settings,
    *,
    out: Path,
    checkpoints: Path,
    report: Callable[[str], None],
) -> Upstream:
    """Pre-train a BiT; write its weights, 16-bit under the released names, and a card (`.md`) beside them.

    Every random number follows from `settings.seed` and the step, so that on one machine the bytes
    do not depend on interruptions. Checkpoints are deleted once weights and card are written.

    Args:
      photographs: training and test images.
      settings: the rest.
      out: the `.npz` file to write.
      checkpoints: folder in which a pre-training of these settings and images keeps its checkpoints.
      report: called with a line now and then.

    Raises:
      MedbenchError: more images are asked for than there are, or training diverged.
    """
    recipe = upstream_recipe(settings)
    network = Network(settings.blocks, settings.width, CLASSES)
    objective = Objective(
        "single-label", recipe.crop, recipe.horizontal_flip, recipe.mixup_alpha, recipe.momentum, WEIGHT_DECAY
    )
    for folder in (out.parent, checkpoints):
        folder.mkdir(parents=True, exist_ok=True)

    # Data.
    chosen = balanced_subset(photographs.labels, settings.images, settings.seed)
    border = [(0, 0), (BORDER, BORDER), (BORDER, BORDER), (0, 0)]
    images = np.pad(photographs.images[chosen], border, mode="reflect")
    labels = np.eye(CLASSES, dtype=np.int8)[photographs.labels[chosen]]
    order = batch_order(
        len(chosen),
        batch_size=recipe.batch_size,
        steps=recipe.steps,
        generator=streams.generator(settings.seed, streams.ORDER),
    )

    # Model.
    fresh = bit.init_params(
        settings.blocks, settings.width, CLASSES, streams.generator(settings.seed, streams.INIT)
    )
    done, state = 0, start(fresh)

    # Training, from the last checkpoint if there is one.
    key = random_key(streams.key_seed(settings.seed, streams.AUGMENTATION))
    losses: list[Any] = []
    started = time.monotonic()
    own = checkpoints / f"{out.stem}-{_identity(settings, images, labels)[:12]}.checkpoints"
    with Checkpoints(own, every=CHECKPOINT_EVERY, tell=report) as kept:
        if saved := kept.restore(state, dict):
            done, state = saved.step, saved.state
        for step in range(done, recipe.steps):
            batch = order[step]
            state, loss = train_step(
                state,
                images[batch],
                labels[batch],
                learning_rate=np.float32(learning_rate(recipe, step)),
                key=key,
                step=step,
                network=network,
                objective=objective,
            )
            losses.append(loss)
            keep_close(losses)
            kept.save_if_due(step + 1, state, dict)
            if (step + 1) % REPORT_EVERY == 0 or step + 1 == recipe.steps:
                pace = (time.monotonic() - started) / len(losses)
                report(_how_far(step + 1, recipe.steps, loss=float(loss), pace=pace))

    # Weights.
    npz.save(out, jax.device_get(state.params), dtype=np.float16)
    stored = npz.load(out, blocks=settings.blocks, width=settings.width)
    accuracy = _accuracy(stored, photographs.test_images, photographs.test_labels, network)
    report(f"{out}: test accuracy {accuracy:.2%}")
    upstream = Upstream(out, weights.sha256(out), accuracy)
    out.with_suffix(".md").write_text(card(photographs, settings, upstream), encoding="utf-8")
    kept.delete()
    return upstream


def balanced_subset(labels: NDArray[np.int64], images: int, seed: int) -> NDArray[np.int64]:
    """A random subset with the same number of each class; a smaller one lies within a larger one.

    Args:
      labels: (n,) classes from 0 up.
      images: size of the subset; a multiple of the number of classes.
      seed: of the choice.

    Returns:
      (images,) indices, ascending.

    Raises:
      MedbenchError: a class has too few images, or `images` cannot be divided equally.
    """
    classes = int(labels.max()) + 1
    smallest = int(np.bincount(labels).min())
    if images < classes or images % classes or images > smallest * classes:
        raise MedbenchError(
            f"{images} images of {classes} classes: expected a multiple of {classes}, "
            f"{classes} to {smallest * classes}, for equally many of each class."
        )
    shuffled = streams.generator(seed, streams.SUBSET).permutation(len(labels))
    return np.sort(
        np.concatenate([shuffled[labels[shuffled] == c][: images // classes] for c in range(classes)])
    )


def _identity(settings: Settings, images: NDArray[np.uint8], labels: NDArray[np.int8]) -> str:
    """Hex digest of all that determines the weights."""
    digest = hashlib.sha256(msgspec.json.encode(settings))
    digest.update(images.tobytes())
    digest.update(labels.tobytes())
    return digest.hexdigest()


def _how_far(done: int, steps: int, *, loss: float, pace: float) -> str:
    """One line with the time left at `pace` seconds a step.

    Raises:
      MedbenchError: the loss is not a finite number.
    """
    if not np.isfinite(loss):
        raise MedbenchError(f"pre-training diverged: the loss at step {done} is {loss}.")
    left = round((steps - done) * pace)
    return f"step {done} of {steps} · loss {loss:.3f} · {left // 60}:{left % 60:02d} left"


def _accuracy(params: Any, images: NDArray[np.uint8], labels: NDArray[np.int64], network: Network) -> float:
    """Share of images whose largest logit is their class's, each scored once."""
    logits: list[Any] = []
    for begin in range(0, len(images), _SCORING_BATCH):
        logits.append(predict_step(params, images[begin : begin + _SCORING_BATCH], network=network)[0])
        keep_close(logits)
    return float(np.mean(np.concatenate(logits).argmax(axis=1) == labels))
