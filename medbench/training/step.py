"""One step of training and one of prediction, compiled once for every run of equal shapes.

Batches come as 8-bit images; augmentation, scaling and MixUp happen on the device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from medbench.models.backbones import backbone
from medbench.models.bit import PLAIN, BiT, Program, prepared
from medbench.spec.runs import Precision, ResolvedRecipe
from medbench.training import memory

SCORED_ON_CPU = 32
"""Images at once: of 16, 32, 64 and 128 the fastest or as fast for the embedded nets on two cores."""

_prepared = jax.jit(prepared, static_argnames="program")


@dataclass(frozen=True)
class Network:
    """The architecture; equal values share compiled functions.

    Attributes:
      blocks: units in each block of a BiT.
      width: factor on its channels.
      classes: columns of the logits.
      module: entry point of a network that is not BiT; empty for a BiT.
      precision: in which a BiT computes activations and products; another network has its own.
      program: how a BiT is computed, which is no part of a run's spec.
      over: the devices that divide a batch, where there are several. Each computes on its own images: left to
        itself, XLA gathers the maps of all where a product joins images with places.
    """

    blocks: tuple[int, ...]
    width: float
    classes: int
    module: str = ""
    precision: Precision = "float32"
    program: Program = PLAIN
    over: Mesh | None = None

    def apply(self, params: Any, images: Array) -> tuple[Array, dict[str, Array]]:
        """Logits (n, classes) and pooled features by stage of images (n, h, w, 3) in [-1, 1]."""
        model = (
            backbone(self.module).module(self.classes)
            if self.module
            else BiT(self.blocks, self.width, self.classes, jnp.dtype(self.precision), self.program)
        )

        def forward(params: Any, images: Array) -> tuple[Array, dict[str, Array]]:
            return cast("tuple[Array, dict[str, Array]]", model.apply({"params": params}, images))

        if self.over is None:
            return forward(params, images)
        everywhere, divided = PartitionSpec(), PartitionSpec(*self.over.axis_names)
        each = jax.shard_map(
            forward, mesh=self.over, in_specs=(everywhere, divided), out_specs=divided, check_vma=False
        )
        return each(params, images)

    def gathered(self, params: Any) -> Any:
        """The same parameters, whole on each device."""
        if self.over is None:
            return params
        return lax.with_sharding_constraint(params, NamedSharding(self.over, PartitionSpec()))

    def prepare(self, params: Any) -> Any:
        """What `prepared` takes in place of `params`: whatever is the same for all batches is done here."""
        return params if self.module else _prepared(params, self.program)

    @property
    def prepared(self) -> "Network":
        """The same network for parameters that `prepare` gave."""
        return replace(self, program=replace(self.program, prepared=not self.module))

    def fitting(self, recipe: ResolvedRecipe, *, devices: int = 1) -> tuple["Network", int]:
        """The network as it fits the memory of the device, and the micro-batches that a step takes.

        What another network than BiT keeps is not known: it gets its batch whole.
        """
        if self.module:
            return self, 1
        fewest = 1 if jax.default_backend() == "cpu" else memory.FEWEST
        split = self._footprint(recipe).split(
            recipe.batch_size, memory=memory.of_device(), devices=devices, fewest=fewest
        )
        return replace(self, program=replace(self.program, rematerialized=split.rematerialized)), split.parts

    def scored_at_once(self, recipe: ResolvedRecipe, *, devices: int = 1) -> int:
        """Images in a batch that is scored, on all devices together."""
        if self.module:
            return recipe.batch_size
        if jax.default_backend() == "cpu":
            return devices * max(SCORED_ON_CPU // devices, 1)
        return devices * self._footprint(recipe).evaluation_batch(memory=memory.of_device())

    def _footprint(self, recipe: ResolvedRecipe) -> memory.Footprint:
        return memory.Footprint(self.blocks, self.width, recipe.resize, recipe.crop, self.precision)


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


class Batch(NamedTuple):
    """Images (n, crop, crop, 1 or 3) uint8 and labels (n, classes)."""

    images: Array
    labels: Array


@partial(jax.jit, static_argnames=("network", "objective", "parts"), donate_argnames="state")
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
    parts: int = 1,
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
      parts: static; micro-batches that the gradient is summed over, which divide the batch. The result
        is that of the whole batch up to rounding: nothing in the network looks across images.

    Returns:
      The new state and the loss, a float32 scalar without the penalty.
    """
    augmentation, mixing = jax.random.split(jax.random.fold_in(key, step))
    crops = augment(augmentation, images, objective.crop, flip=objective.horizontal_flip)
    own, other = Batch(crops, labels), None
    share: Array | float = 1.0
    if objective.mixup_alpha:
        other = jax.tree.map(lambda leaf: leaf[::-1], own)
        share = mixup_share(mixing, objective.mixup_alpha)
    mean_loss = partial(_mean_loss, share=share, kind=objective.kind)
    if parts == 1:
        value, gradient = jax.value_and_grad(mean_loss)(state.params, own, other, network=network)
    else:
        value, gradient = _accumulated(mean_loss, state.params, (own, other), network=network, parts=parts)
    gradient = _penalised(gradient, state.params, objective.weight_decay)
    velocity = jax.tree.map(lambda v, g: objective.momentum * v + g, state.velocity, gradient)
    params = jax.tree.map(lambda p, v: p - learning_rate * v, state.params, velocity)
    return State(params, velocity), value


def _mean_loss(
    params: Any,
    own: Batch,
    other: Batch | None,
    *,
    share: Array | float,
    kind: Literal["single-label", "multi-label"],
    network: Network,
) -> Array:
    """Of a batch, or of it mixed with another one; a scalar."""
    inputs = scale(own.images)
    if other is not None:
        inputs = mix(share, inputs, scale(other.images))
    logits, _ = network.apply(params, inputs)
    value = loss(logits, own.labels, kind)
    return value if other is None else mix(share, value, loss(logits, other.labels, kind))


def _accumulated(
    mean_loss: Callable[..., Array],
    params: Any,
    batches: tuple[Batch, Batch | None],
    *,
    network: Network,
    parts: int,
) -> tuple[Array, Any]:
    """A mean loss and its gradient, summed in float32 over one micro-batch after another.

    Every `parts`-th image is of one micro-batch, so that each is spread over all devices as the batch is.
    Parameters are gathered and prepared once for all of them.
    """
    prepared, to_params = jax.vjp(network.prepare, network.gathered(params))
    value_and_gradient = jax.value_and_grad(partial(mean_loss, network=network.prepared))

    def add(total: Any, part: tuple[Batch, Batch | None]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, value_and_gradient(prepared, *part)), None

    in_parts = jax.tree.map(lambda leaf: leaf.reshape(-1, parts, *leaf.shape[1:]).swapaxes(0, 1), batches)
    nothing = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, prepared))
    total, _ = lax.scan(add, nothing, in_parts)
    value, gradient = jax.tree.map(lambda leaf: leaf / parts, total)
    return value, to_params(gradient)[0]


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


def mixup_share(key: Array, alpha: float) -> Array:
    """The own image's share in MixUp (Zhang et al. 2018), a scalar in [0, 1] drawn from Beta(alpha, alpha).

    One share serves the whole batch, as in the released BiT code; the batch is in random order, and every
    image is mixed with its counterpart in the reversed batch.
    """
    return jax.random.beta(key, alpha, alpha, dtype=jnp.float32)


def mix(share: Array | float, own: Array, other: Array) -> Array:
    """Two arrays of equal shapes, the first with this share."""
    return share * own + (1 - share) * other


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
    if len(results) > memory.LOOK_BACK:
        jax.block_until_ready(results[-1 - memory.LOOK_BACK])
