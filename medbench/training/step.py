"""One step of training and one of prediction, compiled once for every run of equal shapes.

Batches come as 8-bit images; augmentation, scaling and MixUp happen on the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from medbench.models.backbones import backbone
from medbench.models.bit import BiT

LOOK_BACK = 4
"""Dispatched steps that the host may be ahead of the device."""


@dataclass(frozen=True)
class Network:
    """The architecture; equal values share compiled functions.

    Attributes:
      blocks: units in each block of a BiT.
      width: factor on its channels.
      classes: columns of the logits.
      module: entry point of a network that is not BiT; empty for a BiT.
    """

    blocks: tuple[int, ...]
    width: float
    classes: int
    module: str = ""

    def apply(self, params: Any, images: Array) -> tuple[Array, dict[str, Array]]:
        """Logits (n, classes) and pooled features by stage of images (n, h, w, 3) in [-1, 1]."""
        model = (
            backbone(self.module).module(self.classes)
            if self.module
            else BiT(self.blocks, self.width, self.classes)
        )
        return cast("tuple[Array, dict[str, Array]]", model.apply({"params": params}, images))


@dataclass(frozen=True)
class Objective:
    """What a step minimises and how its images are varied; equal values share compiled functions.

    Attributes:
      kind: softmax over the classes, or a sigmoid each.
      crop: pixels of the random square crop.
      horizontal_flip: mirror every other image, at random.
      mixup_alpha: of the Beta distribution that mixes pairs of images; 0 for none.
      momentum: of SGD.
      weight_decay: coupled L2 penalty on kernels, not on gains and biases; 0 in fine-tuning.
    """

    kind: Literal["single-label", "multi-label"]
    crop: int
    horizontal_flip: bool
    mixup_alpha: float
    momentum: float
    weight_decay: float = 0.0


class State(NamedTuple):
    """Parameters and their velocity, trees of the same shapes."""

    params: Any
    velocity: Any


def random_key(seed: int) -> Array:
    """A key of a named generator, so that a change of jax's default changes no run."""
    return jax.random.key(seed, impl="threefry2x32")


def start(params: Any) -> State:
    """The state before the first step: a copy of the parameters on the device, at rest."""
    return State(jax.tree.map(jnp.array, params), jax.tree.map(jnp.zeros_like, params))


@partial(jax.jit, static_argnames=("network", "objective"), donate_argnames="state")
def train_step(
    state: State,
    images: Array,
    labels: Array,
    *,
    learning_rate: Array | float,
    key: Array,
    step: Array | int,
    network: Network,
    objective: Objective,
) -> tuple[State, Array]:
    """SGD with momentum on one batch.

    Args:
      state: given up: its memory becomes the new state's.
      images: (n, size, size, 1 or 3) uint8, `size` at least `objective.crop`.
      labels: (n, classes) of 0, 1, and -1 where unknown (multi-label only).
      learning_rate: of this step.
      key: of the run; the step is folded in, so that a resumed run continues with the same numbers.
      step: 0-based.
      network: static.
      objective: static.

    Returns:
      The new state and the loss, a float32 scalar without the penalty.
    """
    augmentation, mixing = jax.random.split(jax.random.fold_in(key, step))
    inputs = scale(augment(augmentation, images, objective.crop, flip=objective.horizontal_flip))
    if objective.mixup_alpha:
        inputs, share = mix(mixing, inputs, objective.mixup_alpha)

    def mixed_loss(params: Any) -> Array:
        logits, _ = network.apply(params, inputs)
        own = loss(logits, labels, objective.kind)
        if not objective.mixup_alpha:
            return own
        return share * own + (1 - share) * loss(logits, labels[::-1], objective.kind)

    value, gradient = jax.value_and_grad(mixed_loss)(state.params)
    gradient = _penalised(gradient, state.params, objective.weight_decay)
    velocity = jax.tree.map(lambda v, g: objective.momentum * v + g, state.velocity, gradient)
    params = jax.tree.map(lambda p, v: p - learning_rate * v, state.params, velocity)
    return State(params, velocity), value


@partial(jax.jit, static_argnames="network")
def predict_step(params: Any, images: Array, *, network: Network) -> tuple[Array, dict[str, Array]]:
    """Logits and features of one batch, without augmentation.

    Args:
      params: of `network`.
      images: (n, size, size, 1 or 3) uint8.
      network: static.

    Returns:
      Logits (n, classes) float32 and, by stage, pooled features (n, c) float32.
    """
    return network.apply(params, scale(images))


def augment(key: Array, images: Array, crop: int, *, flip: bool) -> Array:
    """A random square of every image, mirrored with probability one half if `flip`.

    Args:
      key: equal keys, equal squares.
      images: (n, size, size, channels).
      crop: pixels of the square, at most `size`.
      flip: whether to mirror.

    Returns:
      (n, crop, crop, channels), of the same dtype.
    """
    place, side = jax.random.split(key)
    n, height, width, channels = images.shape
    limits = jnp.array([height - crop + 1, width - crop + 1])
    corners = jax.random.randint(place, (n, 2), 0, limits)

    def cut(image: Array, corner: Array) -> Array:
        return lax.dynamic_slice(image, (corner[0], corner[1], 0), (crop, crop, channels))

    squares = jax.vmap(cut)(images, corners)
    if not flip:
        return squares
    mirrored = jax.random.bernoulli(side, shape=(n, 1, 1, 1))
    return jnp.where(mirrored, squares[:, :, ::-1], squares)


def mix(key: Array, inputs: Array, alpha: float) -> tuple[Array, Array]:
    """MixUp (Zhang et al. 2018): every image with its counterpart in the reversed batch.

    One share serves the whole batch, as in the released BiT code; the batch is in random order.

    Args:
      key: equal keys, equal shares.
      inputs: (n, ...) float32.
      alpha: the share is drawn from Beta(alpha, alpha).

    Returns:
      The mixed inputs, and the own image's share in them, a scalar in [0, 1].
    """
    share = jax.random.beta(key, alpha, alpha, dtype=jnp.float32)
    return share * inputs + (1 - share) * inputs[::-1], share


def scale(images: Array) -> Array:
    """8-bit images (n, h, w, 1 or 3) as the network's input (n, h, w, 3) float32 in [-1, 1]."""
    grey_or_colour = (images.astype(jnp.float32) - 127.5) / 127.5
    return jnp.broadcast_to(grey_or_colour, (*images.shape[:3], 3))


def loss(logits: Array, labels: Array, kind: Literal["single-label", "multi-label"]) -> Array:
    """Cross-entropy: softmax for single-label, the sum of the known labels' sigmoids for multi-label.

    The HyperRule covers softmax only. Labels are summed, not averaged, so that each is learned at
    the pace it would have alone; an unknown one contributes nothing.

    Args:
      logits: (n, k) float32.
      labels: (n, k) of 0, 1, and -1 where unknown (multi-label only).
      kind: of the target.

    Returns:
      The mean over the batch, a scalar.
    """
    targets = labels.astype(jnp.float32)
    if kind == "single-label":
        return optax.softmax_cross_entropy(logits, targets).mean()
    known = labels >= 0
    each = optax.sigmoid_binary_cross_entropy(logits, jnp.where(known, targets, 0))
    return jnp.where(known, each, 0).sum(axis=1).mean()


def _penalised(gradient: Any, params: Any, weight_decay: float) -> Any:
    """The gradient with that of `weight_decay / 2 * |kernels|^2` added."""
    if not weight_decay:
        return gradient

    def add(path: tuple[Any, ...], g: Array, p: Array) -> Array:
        return g + weight_decay * p if path[-1].key == "kernel" else g

    return jax.tree_util.tree_map_with_path(add, gradient, params)


def keep_close(results: Sequence[Any]) -> None:
    """Wait until the device has only the last few of these results left to compute.

    Called after every dispatch: the device always has work waiting, and the queue stays bounded.
    """
    if len(results) > LOOK_BACK:
        jax.block_until_ready(results[-1 - LOOK_BACK])
