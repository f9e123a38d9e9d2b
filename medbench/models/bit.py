"""Big Transfer networks (BiT): pre-activation ResNets with group normalisation and standardized kernels.

A network is a pure function of a parameter tree, named as in the released files. Training does not enter.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax import lax
from jax.typing import DTypeLike

from medbench.errors import MedbenchError
from medbench.models import on_accelerator, on_cpu

Params = Mapping[str, Any]
"""Nested names down to float32 arrays: `params["block1"]["unit01"]["a"]["group_norm"]["gamma"]`."""

KERNEL_EPSILON = 1e-10


@dataclass(frozen=True)
class Program:
    """How a net is computed; what it computes is the same up to rounding.

    Attributes:
      prepared: kernels are standardized already and as products take them: see `prepared`.
      rematerialized: for the gradient every unit keeps its input alone and computes the rest once more.
      platform: what is compiled for, as jax names it (`cpu`, `cuda`, `tpu`); empty for jax's default here.
    """

    prepared: bool = False
    rematerialized: bool = False
    platform: str = ""

    @property
    def parts(self) -> ModuleType:
        """What the net is made of: maps, convolutions and norms in the forms that the platform is fast at."""
        return on_cpu if (self.platform or jax.default_backend()) == "cpu" else on_accelerator


PLAIN = Program()


@jax.custom_vjp
def standardized(kernel: jax.Array) -> jax.Array:
    """A kernel with mean 0 and variance 1 per output channel (weight standardisation, Qiao et al. 2019).

    Args:
      kernel: (height, width, in, out) float32.

    Returns:
      The same shape: (w - mean) / sqrt(var + 1e-10), with the biased variance over all but `out`.
    """
    return _standardized(kernel)[0]


def _standardized(kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    flat = kernel.reshape(-1, kernel.shape[-1])
    centred = flat - jnp.mean(flat, axis=0)
    rate = lax.rsqrt(jnp.mean(jnp.square(centred), axis=0) + KERNEL_EPSILON)
    flat = centred * rate
    return flat.reshape(kernel.shape), (flat, rate)


def _standardized_gradient(kept: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array]:
    """With s the standardized kernel: rate * (g - mean(g) - s * mean(g * s))."""
    flat, rate = kept
    of_flat = g.reshape(flat.shape)
    # Apart: XLA on CPUs is far slower at a sum over rows that it joins with the product.
    along = jnp.mean(lax.optimization_barrier(of_flat * flat), axis=0)
    return ((rate * (of_flat - jnp.mean(of_flat, axis=0) - flat * along)).reshape(g.shape),)


standardized.defvjp(_standardized, _standardized_gradient)


class GroupNormRelu(nn.Module):
    """Group normalisation and ReLU: 32 groups, or the most that divide both 32 and a small net's channels."""

    program: Program = PLAIN

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps a map to the same shape and dtype."""
        parts = self.program.parts
        channels = x.shape[parts.CHANNELS]
        gamma = self.param("gamma", nn.initializers.ones, (channels,))
        beta = self.param("beta", nn.initializers.zeros, (channels,))
        normalised: jax.Array = parts.norm_relu(x, gamma, beta)
        return normalised


class StandardizedConv2D(nn.Module):
    """A square convolution whose kernel is standardized first; padded so that stride 1 keeps the size."""

    channels: int
    size: int = 1
    stride: int = 1
    program: Program = PLAIN

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, height, width, in) to (n, height / stride, width / stride, channels), rounded up."""
        parts = self.program.parts
        shape = (self.size, self.size, x.shape[parts.CHANNELS], self.channels)
        y: jax.Array
        if self.program.prepared:
            as_prepared = jax.eval_shape(
                functools.partial(parts.prepared, stride=self.stride),
                jax.ShapeDtypeStruct(shape, jnp.float32),
            )
            kernel = self.param("kernel", nn.initializers.zeros, as_prepared.shape)
            y = parts.convolve_prepared(x, kernel.astype(x.dtype), self.size, self.stride)
        else:
            kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
            y = parts.convolve(x, standardized(kernel).astype(x.dtype), self.stride)
        return y


class Convolution(nn.Module):
    """A convolution alone: the root and the projections."""

    channels: int
    size: int
    stride: int
    program: Program = PLAIN

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, height, width, in) to (n, height / stride, width / stride, channels), rounded up."""
        convolution = StandardizedConv2D(
            self.channels, self.size, self.stride, self.program, name="standardized_conv2d"
        )
        return convolution(x)


class Layer(nn.Module):
    """Group normalisation, ReLU, convolution."""

    channels: int
    size: int = 1
    stride: int = 1
    program: Program = PLAIN

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, height, width, in) to (n, height / stride, width / stride, channels), rounded up."""
        x = GroupNormRelu(self.program, name="group_norm")(x)
        convolution = StandardizedConv2D(
            self.channels, self.size, self.stride, self.program, name="standardized_conv2d"
        )
        return convolution(x)


class ProjectingLayer(nn.Module):
    """The first layer of a block, whose normalised input also feeds the projection on the shortcut."""

    channels: int
    projected: int
    projection_stride: int
    program: Program = PLAIN

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps (n, height, width, in) to the layer's output and to the shortcut."""
        x = GroupNormRelu(self.program, name="group_norm")(x)
        shortcut = Convolution(self.projected, 1, self.projection_stride, self.program, name="proj")(x)
        convolution = StandardizedConv2D(self.channels, program=self.program, name="standardized_conv2d")
        return convolution(x), shortcut


class Unit(nn.Module):
    """A pre-activation bottleneck: 1x1 to `channels`, 3x3 with the stride, 1x1 to four times as many."""

    channels: int
    stride: int
    program: Program = PLAIN

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, height, width, in) to (n, height / stride, width / stride, 4 * channels), rounded up."""
        wide, program = 4 * self.channels, self.program
        if self.stride == 1 and x.shape[program.parts.CHANNELS] == wide:
            shortcut, x = x, Layer(self.channels, program=program, name="a")(x)
        else:
            x, shortcut = ProjectingLayer(self.channels, wide, self.stride, program, name="a")(x)
        x = Layer(self.channels, 3, self.stride, program, name="b")(x)
        return shortcut + Layer(wide, program=program, name="c")(x)


class Block(nn.Module):
    """Units at one resolution; the first one has the stride."""

    units: int
    channels: int
    stride: int
    program: Program = PLAIN

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, height, width, in) to (n, height / stride, width / stride, 4 * channels), rounded up."""
        unit = nn.remat(Unit) if self.program.rematerialized else Unit
        for number in range(1, self.units + 1):
            stride = self.stride if number == 1 else 1
            x = unit(self.channels, stride, self.program, name=f"unit{number:02d}")(x)
        return x


class Linear(nn.Module):
    """The head: a 1x1 convolution on a map of one place, never standardized, zero at the start."""

    classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, c) to (n, classes)."""
        kernel = self.param("kernel", nn.initializers.zeros, (1, 1, x.shape[-1], self.classes))
        bias = self.param("bias", nn.initializers.zeros, (self.classes,))
        return x @ kernel[0, 0] + bias


class Head(nn.Module):
    """Holds the linear layer under the name that the released files give it."""

    classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, c) to (n, classes)."""
        return Linear(self.classes, name="conv2d")(x)


class BiT(nn.Module):
    """A ResNet-v2 as in "Big Transfer" (Kolesnikov et al. 2020, arXiv 1912.11370).

    `BiT((3, 4, 6, 3), 1.0, 10).apply({"params": params}, images)` is R50x1 with ten classes.

    Attributes:
      blocks: units in each of the four blocks; R50 (3, 4, 6, 3), R101 (3, 4, 23, 3), R152 (3, 8, 36, 3).
      width: factor on the channels of every layer; 64 x width is a whole number.
      classes: columns of the logits.
      dtype: of activations and products. Parameters, normalisation statistics, pooled features and
        the head are float32 always.
      program: how it is computed.
    """

    blocks: tuple[int, ...]
    width: float
    classes: int
    dtype: DTypeLike = jnp.float32
    program: Program = PLAIN

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Logits of a batch, and its features along the way.

        Args:
          images: (n, height, width, 3), scaled to [-1, 1].

        Returns:
          Logits (n, classes) float32; and the spatial means (n, c) float32 of what `root`, `block1`
          to `block4` give out and of the last, normalised map, `pre_logits`, that the head reads.
        """
        channels, parts = root_channels(self.width), self.program.parts
        x = parts.entered(images.astype(self.dtype))
        x = parts.max_pool(Convolution(channels, 7, 2, self.program, name="root_block")(x))
        stages = {"root": parts.spatial_mean(x)}
        for index, units in enumerate(self.blocks):
            name = f"block{index + 1}"
            x = Block(units, channels * 2**index, 1 if index == 0 else 2, self.program, name=name)(x)
            stages[name] = parts.spatial_mean(x)
        x = GroupNormRelu(self.program, name="group_norm")(x)
        stages["pre_logits"] = parts.spatial_mean(x)
        return Head(self.classes, name="head")(stages["pre_logits"]), stages


def root_channels(width: float) -> int:
    """Channels of the root, 64 x width.

    Raises:
      MedbenchError: the product is not a positive whole number.
    """
    channels = 64 * width
    if channels < 1 or channels != int(channels):
        raise MedbenchError(
            f"width {width:g} gives the root {channels:g} channels; expected a whole number, 1 or more"
        )
    return int(channels)


def prepared(params: Any, program: Program) -> Any:
    """A parameter tree for the same program, `prepared`: what kernels need is done once for many batches.

    Args:
      params: of a BiT.
      program: how the net is computed.

    Returns:
      The same tree; kernels but the head's are standardized, and of the shapes that products take.
    """
    flat = traverse_util.flatten_dict(params)
    for path, kernel in flat.items():
        if path[-2] == "standardized_conv2d":
            flat[path] = program.parts.prepared(standardized(kernel), _stride(path))
    return traverse_util.unflatten_dict(flat)


def _stride(path: Sequence[str]) -> int:
    """Of the convolution that a kernel is for: 2 in the root, and where all but the first block begin."""
    in_first = path[0] != "block1" and path[1] == "unit01"
    return (
        2
        if path[0] == "root_block"
        or (in_first and path[2:4] in (("b", "standardized_conv2d"), ("a", "proj")))
        else 1
    )


def param_shapes(blocks: Sequence[int], width: float, classes: int) -> dict[str, Any]:
    """The parameter tree as shapes (`jax.ShapeDtypeStruct`), without computing or allocating anything."""
    model = BiT(tuple(blocks), width, classes, program=Program(platform="tpu"))  # traced with least effort
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes: dict[str, Any] = jax.eval_shape(model.init, jax.random.key(0), image)["params"]
    return shapes


def init_params(
    blocks: Sequence[int], width: float, classes: int, seed: np.random.Generator
) -> dict[str, Any]:
    """Random parameters, drawn by numpy: nothing to compile, and the same on every device.

    Kernels are normal with variance 1 / (height x width x in), gains 1, offsets 0, and the head is 0.

    Args:
      blocks: units in each block.
      width: factor on the channels.
      classes: columns of the logits.
      seed: consumed in the order of the sorted names.

    Returns:
      The parameter tree with numpy float32 arrays.
    """
    shapes = traverse_util.flatten_dict(param_shapes(blocks, width, classes))
    arrays = {path: _initial(path, shapes[path].shape, seed) for path in sorted(shapes)}
    return traverse_util.unflatten_dict(arrays)


def _initial(path: tuple[str, ...], shape: tuple[int, ...], seed: np.random.Generator) -> np.ndarray:
    if path[-1] == "gamma":
        return np.ones(shape, np.float32)
    if path[-2] == "standardized_conv2d":
        return seed.standard_normal(shape, np.float32) / np.float32(math.sqrt(math.prod(shape[:3])))
    return np.zeros(shape, np.float32)


def stage_of(path: Sequence[str]) -> str:
    """The stage a parameter belongs to: `root`, `block1` to `block4`, `norm` or `head`.

    Args:
      path: the names that lead to it, as `flax.traverse_util.flatten_dict` gives them.
    """
    return {"root_block": "root", "group_norm": "norm"}.get(path[0], path[0])
