"""Big Transfer networks (BiT): pre-activation ResNets with group normalisation and standardized kernels.

A network is a pure function of a parameter tree, named as in the released files. Training does not enter.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax import lax
from jax.typing import DTypeLike

from medbench.errors import MedbenchError

Params = Mapping[str, Any]
"""Nested names down to float32 arrays: `params["block1"]["unit01"]["a"]["group_norm"]["gamma"]`."""

GROUPS = 32
NORM_EPSILON = 1e-5
KERNEL_EPSILON = 1e-10
LARGEST_PATCHED_MAP = 4


def standardized(kernel: jax.Array) -> jax.Array:
    """A kernel with mean 0 and variance 1 per output channel (weight standardisation, Qiao et al. 2019).

    Args:
      kernel: (height, width, in, out) float32.

    Returns:
      The same shape: (w - mean) / sqrt(var + 1e-10), with the biased variance over all but `out`.
    """
    centred = kernel - jnp.mean(kernel, axis=(0, 1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=(0, 1, 2), keepdims=True)
    return centred * lax.rsqrt(variance + KERNEL_EPSILON)


def group_norm_coefficients(x: jax.Array, gamma: jax.Array, beta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Scale and shift that normalise each group of channels over its group and space (Wu and He 2018).

    The statistics are taken per channel and then joined over the group, so that the large map is
    reduced without regrouping it and normalised in a single pass: `x * scale + shift`.

    Args:
      x: (n, height, width, c).
      gamma: (c,) gain.
      beta: (c,) offset.

    Returns:
      `(scale, shift)`, each (n, 1, 1, c) float32.
    """
    n, _, _, channels = x.shape
    groups = math.gcd(GROUPS, channels)
    x = x.astype(jnp.float32)
    channel_mean = jnp.mean(x, axis=(1, 2), keepdims=True)
    # The derivative of a variance by its centre is zero, so the centre needs no gradient.
    channel_variance = jnp.mean(jnp.square(x - lax.stop_gradient(channel_mean)), axis=(1, 2))
    channel_mean = channel_mean.reshape(n, groups, -1)
    mean = jnp.mean(channel_mean, axis=2, keepdims=True)
    variance = jnp.mean(
        channel_variance.reshape(n, groups, -1) + jnp.square(channel_mean - mean), axis=2, keepdims=True
    )
    scale = lax.rsqrt(variance + NORM_EPSILON) * gamma.reshape(groups, -1)
    shift = beta.reshape(groups, -1) - mean * scale
    return scale.reshape(n, 1, 1, channels), shift.reshape(n, 1, 1, channels)


def convolve(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """A convolution without bias, written as the matrix product it is wherever XLA on CPUs is slow at it.

    Args:
      x: (n, height, width, in).
      kernel: (k, k, in, out), of the same dtype.
      stride: in both directions.
      padding: zeros on every side.

    Returns:
      (n, out_height, out_width, out).
    """
    size = kernel.shape[0]
    if jax.default_backend() == "cpu":  # measured on CPUs alone; accelerators keep their own convolutions
        if size == 1:
            return _product(x[:, ::stride, ::stride], kernel)
        if max(x.shape[1:3]) <= LARGEST_PATCHED_MAP:
            return _product(_patches(x, size, stride, padding), kernel)
    pads = [(padding, padding)] * 2
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Every place times the kernel's matrix, as *one* product: XLA's gradients of batched ones are slower."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    return (x.reshape(-1, len(matrix)) @ matrix).reshape(*x.shape[:-1], -1)


def _patches(x: jax.Array, size: int, stride: int, padding: int) -> jax.Array:
    """(n, out_height, out_width, size * size * in): what each output sees, in the kernel's order."""
    rows = _windows(_pad(x, padding), size, stride, axis=1)
    return jnp.concatenate([place for row in rows for place in _windows(row, size, stride, axis=2)], axis=3)


def max_pool(x: jax.Array) -> jax.Array:
    """3x3 maximum with stride 2 after padding with one row of *zeros*, as the released weights expect.

    Taken over rows, then over columns: XLA's gradient of a windowed maximum is twenty times slower on CPUs.
    """
    for axis in (1, 2):
        x = functools.reduce(jnp.maximum, _windows(_pad(x, 1, axes=(axis,)), 3, 2, axis))
    return x


def _windows(x: jax.Array, size: int, stride: int, axis: int) -> list[jax.Array]:
    """What a window that slides along an axis sees at each of its `size` places."""
    steps = (x.shape[axis] - size) // stride + 1
    return [
        lax.slice_in_dim(x, place, place + stride * (steps - 1) + 1, stride, axis) for place in range(size)
    ]


def _pad(x: jax.Array, padding: int, axes: tuple[int, ...] = (1, 2)) -> jax.Array:
    return jnp.pad(x, [(padding, padding) if axis in axes else (0, 0) for axis in range(x.ndim)])


class GroupNormRelu(nn.Module):
    """Group normalisation and ReLU: 32 groups, or the most that divide both 32 and a small net's channels."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, height, width, c) to the same shape and dtype."""
        gamma = self.param("gamma", nn.initializers.ones, (x.shape[-1],))
        beta = self.param("beta", nn.initializers.zeros, (x.shape[-1],))
        scale, shift = group_norm_coefficients(x, gamma, beta)
        return nn.relu(x * scale + shift).astype(x.dtype)


class StandardizedConv2D(nn.Module):
    """A square convolution whose kernel is standardized first; padded so that stride 1 keeps the size."""

    channels: int
    size: int = 1
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, height, width, in) to (n, height / stride, width / stride, channels), rounded up."""
        shape = (self.size, self.size, x.shape[-1], self.channels)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        return convolve(x, standardized(kernel).astype(x.dtype), self.stride, self.size // 2)


class Convolution(nn.Module):
    """A convolution alone: the root and the projections."""

    channels: int
    size: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, height, width, in) to (n, height / stride, width / stride, channels), rounded up."""
        return StandardizedConv2D(self.channels, self.size, self.stride, name="standardized_conv2d")(x)


class Layer(nn.Module):
    """Group normalisation, ReLU, convolution."""

    channels: int
    size: int = 1
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, height, width, in) to (n, height / stride, width / stride, channels), rounded up."""
        x = GroupNormRelu(name="group_norm")(x)
        return StandardizedConv2D(self.channels, self.size, self.stride, name="standardized_conv2d")(x)


class ProjectingLayer(nn.Module):
    """The first layer of a block, whose normalised input also feeds the projection on the shortcut."""

    channels: int
    projected: int
    projection_stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps (n, height, width, in) to the layer's output and to the shortcut."""
        x = GroupNormRelu(name="group_norm")(x)
        shortcut = Convolution(self.projected, 1, self.projection_stride, name="proj")(x)
        return StandardizedConv2D(self.channels, name="standardized_conv2d")(x), shortcut


class Unit(nn.Module):
    """A pre-activation bottleneck: 1x1 to `channels`, 3x3 with the stride, 1x1 to four times as many."""

    channels: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, height, width, in) to (n, height / stride, width / stride, 4 * channels), rounded up."""
        wide = 4 * self.channels
        if self.stride == 1 and x.shape[-1] == wide:
            shortcut, x = x, Layer(self.channels, name="a")(x)
        else:
            x, shortcut = ProjectingLayer(self.channels, wide, self.stride, name="a")(x)
        x = Layer(self.channels, 3, self.stride, name="b")(x)
        return shortcut + Layer(wide, name="c")(x)


class Block(nn.Module):
    """Units at one resolution; the first one has the stride."""

    units: int
    channels: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, height, width, in) to (n, height / stride, width / stride, 4 * channels), rounded up."""
        for number in range(1, self.units + 1):
            x = Unit(self.channels, self.stride if number == 1 else 1, name=f"unit{number:02d}")(x)
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
    """

    blocks: tuple[int, ...]
    width: float
    classes: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Logits of a batch, and its features along the way.

        Args:
          images: (n, height, width, 3), scaled to [-1, 1].

        Returns:
          Logits (n, classes) float32; and the spatial means (n, c) float32 of what `root`, `block1`
          to `block4` give out and of the last, normalised map, `pre_logits`, that the head reads.
        """
        channels = root_channels(self.width)
        x = Convolution(channels, 7, 2, name="root_block")(images.astype(self.dtype))
        x = max_pool(x)
        stages = {"root": spatial_mean(x)}
        for index, units in enumerate(self.blocks):
            name = f"block{index + 1}"
            x = Block(units, channels * 2**index, 1 if index == 0 else 2, name=name)(x)
            stages[name] = spatial_mean(x)
        stages["pre_logits"] = spatial_mean(GroupNormRelu(name="group_norm")(x))
        return Head(self.classes, name="head")(stages["pre_logits"]), stages


def spatial_mean(x: jax.Array) -> jax.Array:
    """(n, height, width, c) of any float dtype to (n, c) float32."""
    return jnp.mean(x.astype(jnp.float32), axis=(1, 2))


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


def param_shapes(blocks: Sequence[int], width: float, classes: int) -> dict[str, Any]:
    """The parameter tree as shapes (`jax.ShapeDtypeStruct`), without computing or allocating anything."""
    model = BiT(tuple(blocks), width, classes)
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
