"""The parts of BiT as XLA computes them fastest on CPUs: matrix products of long rows (docs/performance.md).

Maps are (channels, height, width, n): whatever is done to an image runs over all images at once, and no map
is ever turned for the gradient of a kernel. What each part computes is said in `on_accelerator`.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from medbench.models.on_accelerator import GROUPS, NORM_EPSILON, max_pool
from medbench.models.products import applied, moved, over_places, padded, turned, windows

__all__ = [
    "CHANNELS",
    "convolve",
    "convolve_prepared",
    "entered",
    "max_pool",
    "norm_relu",
    "prepared",
    "spatial_mean",
]

CHANNELS = 0
"""Axis of a map."""


def entered(images: jax.Array) -> jax.Array:
    """Images (n, height, width, 3) as a map."""
    n, *of_one = images.shape
    # In a call of its own: joined with crops and flips it is far slower.
    return jnp.moveaxis(turned(images.reshape(n, -1)).reshape(*of_one, n), 2, 0)


def spatial_mean(x: jax.Array) -> jax.Array:
    """A map of any float dtype to (n, channels) float32."""
    return jnp.mean(x.astype(jnp.float32), axis=(1, 2)).T


@jax.custom_vjp
def norm_relu(x: jax.Array, gamma: jax.Array, beta: jax.Array) -> jax.Array:
    """Group normalisation in float32, then ReLU; with a gradient of two passes over the map.

    Args:
      x: a map.
      gamma: (channels,) gain.
      beta: (channels,) offset.

    Returns:
      The same shape and dtype.
    """
    return _norm_relu(x, gamma, beta)[0]


_Kept = tuple[jax.Array, ...]
"""What the gradient of a part needs of its forward pass."""


def _norm_relu(x: jax.Array, gamma: jax.Array, beta: jax.Array) -> tuple[jax.Array, _Kept]:
    channels, _, _, n = x.shape
    groups = math.gcd(GROUPS, channels)
    wide = x.astype(jnp.float32)
    channel_mean = jnp.mean(wide, axis=(1, 2), keepdims=True)
    channel_variance = jnp.mean(jnp.square(wide - channel_mean), axis=(1, 2)).reshape(groups, -1, n)
    channel_mean = channel_mean.reshape(groups, -1, n)
    mean = jnp.mean(channel_mean, axis=1, keepdims=True)
    variance = jnp.mean(channel_variance + jnp.square(channel_mean - mean), axis=1, keepdims=True)
    rate = lax.rsqrt(variance + NORM_EPSILON)
    scale = rate * gamma.reshape(groups, -1, 1)
    shift = beta.reshape(groups, -1, 1) - mean * scale
    scale, shift = (part.reshape(channels, 1, 1, n) for part in (scale, shift))
    y = jnp.maximum(x * scale + shift, 0).astype(x.dtype)
    return y, (x, gamma, mean, rate, scale, shift)


def _norm_relu_gradient(kept: _Kept, g: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of the map: rate * (g' - sum(g') / m - x' * sum(g' * x') / m), as `g * scale + x * slope + level`.

    With x' the normalised map, m its places in a group and g' = g * gamma where the ReLU let it pass.
    """
    x, gamma, mean, rate, scale, shift = kept
    channels, height, width, n = x.shape
    groups = len(mean)
    each = channels // groups
    g = jnp.where(x * scale + shift > 0, g, 0).astype(jnp.float32)
    centre = _per_channel(mean, channels)
    total = jnp.sum(g, axis=(1, 2)).reshape(groups, each, n)
    along = jnp.sum(g * (x - centre), axis=(1, 2)).reshape(groups, each, n) * rate
    gain = gamma.reshape(groups, each, 1) / (each * height * width)
    slope = -jnp.square(rate) * jnp.sum(along * gain, axis=1, keepdims=True)
    level = -rate * jnp.sum(total * gain, axis=1, keepdims=True) - slope * mean
    slope, level = lax.optimization_barrier((_per_channel(slope, channels), _per_channel(level, channels)))
    d_x = (g * scale + x * slope + level).astype(x.dtype)
    d_gamma, d_beta = (jnp.sum(part, axis=2).reshape(channels).astype(gamma.dtype) for part in (along, total))
    return d_x, d_gamma, d_beta


def _per_channel(of_group: jax.Array, channels: int) -> jax.Array:
    """(groups, 1, n) to (channels, 1, 1, n)."""
    groups, _, n = of_group.shape
    return jnp.broadcast_to(of_group, (groups, channels // groups, n)).reshape(channels, 1, 1, n)


norm_relu.defvjp(_norm_relu, _norm_relu_gradient)


def convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """A convolution without bias, padded with zeros so that stride 1 keeps the size.

    Args:
      x: a map.
      kernel: (k, k, in, out), of the same dtype; k is odd.
      stride: in both directions.

    Returns:
      A map with `out` channels; height and width are divided by the stride and rounded up.
    """
    size = len(kernel)
    if size == 1:
        return _times(kernel[0, 0], x[:, ::stride, ::stride])
    return _by_shifts(x, kernel) if stride == 1 else _by_patches(x, kernel, stride)


def prepared(kernel: jax.Array, stride: int) -> jax.Array:
    """The kernel as `convolve_prepared` takes it, for many batches.

    Args:
      kernel: (k, k, in, out).
      stride: that it will be used with.

    Returns:
      (k * k * out, in) where the stride is 1, else (out, k * k * in).
    """
    return _by_tap(kernel) if stride == 1 else turned(kernel.reshape(-1, kernel.shape[-1]))


def convolve_prepared(x: jax.Array, kernel: jax.Array, size: int, stride: int) -> jax.Array:
    """As `convolve`, with a kernel that is `prepared`.

    Args:
      x: a map.
      kernel: of the same dtype.
      size: k.
      stride: in both directions.
    """
    if stride == 1:
        return _shifted(_at_every_place(kernel, x), size)
    return _at_every_place(kernel, x[:, ::stride, ::stride] if size == 1 else _patches(x, size, stride))


def _at_every_place(matrix: jax.Array, x: jax.Array) -> jax.Array:
    """(out, in) times a map."""
    return (matrix @ x.reshape(len(x), -1)).reshape(-1, *x.shape[1:])


def _times(matrix: jax.Array, x: jax.Array) -> jax.Array:
    """(in, out) applied at every place of a map."""
    return _product(matrix, x.reshape(len(x), -1)).reshape(-1, *x.shape[1:])


@jax.custom_vjp
def _product(matrix: jax.Array, x: jax.Array) -> jax.Array:
    """(in, out) by (in, places) to (out, places)."""
    return applied(matrix, x)


def _product_forward(matrix: jax.Array, x: jax.Array) -> tuple[jax.Array, _Kept]:
    return applied(matrix, x), (matrix, x)


def _product_gradient(kept: _Kept, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    matrix, x = kept
    g = lax.optimization_barrier(g)
    return over_places(x, g), matrix @ g


_product.defvjp(_product_forward, _product_gradient)


@jax.custom_vjp
def _by_shifts(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """With stride 1: what every tap makes of the whole map, in one product, is moved and added."""
    return _by_shifts_forward(x, kernel)[0]


def _by_shifts_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, _Kept]:
    return _shifted(_at_every_place(_by_tap(kernel), x), len(kernel)), (x, kernel)


def _by_shifts_gradient(kept: _Kept, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = kept
    size, outputs = len(kernel), len(g)
    g = lax.optimization_barrier(g)
    d_x = _shifted(_at_every_place(kernel.reshape(-1, outputs), g), size, back=True)
    seen = _patches(x, size, 1)
    d_kernel = over_places(seen.reshape(len(seen), -1), g.reshape(outputs, -1))
    return d_x, d_kernel.reshape(kernel.shape)


_by_shifts.defvjp(_by_shifts_forward, _by_shifts_gradient)


def _by_tap(kernel: jax.Array) -> jax.Array:
    """(k, k, in, out) to (k * k * out, in)."""
    inputs, outputs = kernel.shape[2:]
    return turned(kernel.reshape(-1, inputs, outputs)).reshape(-1, inputs)


def _shifted(products: jax.Array, size: int, *, back: bool = False) -> jax.Array:
    """The sum over taps of what each of them adds to the places that see it.

    Args:
      products: (size * size * channels, height, width, n), tap by tap.
      size: k.
      back: for the gradient by the map: the other way round.

    Returns:
      A map.
    """
    taps = lax.optimization_barrier(products).reshape(size, size, -1, *products.shape[1:])
    moves = [(place - size // 2) * (1 if back else -1) for place in range(size)]
    parts = [
        moved(moved(taps[i, j], 1, down), 2, right)
        for i, down in enumerate(moves)
        for j, right in enumerate(moves)
    ]
    return functools.reduce(jnp.add, parts)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _by_patches(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """One product of the kernel with what each of its places sees."""
    return _by_patches_forward(x, kernel, stride)[0]


def _by_patches_forward(x: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, _Kept]:
    seen = _patches(x, len(kernel), stride)
    matrix = kernel.reshape(-1, kernel.shape[-1])
    return applied(matrix, seen.reshape(len(matrix), -1)).reshape(-1, *seen.shape[1:]), (x, kernel)


def _by_patches_gradient(stride: int, kept: _Kept, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Patches are made again: they are the largest arrays of all."""
    x, kernel = kept
    seen, spread = jax.vjp(functools.partial(_patches, size=len(kernel), stride=stride), x)
    flat = lax.optimization_barrier(g).reshape(len(g), -1)
    d_kernel = over_places(seen.reshape(-1, flat.shape[1]), flat).reshape(kernel.shape)
    d_seen = kernel.reshape(-1, kernel.shape[-1]) @ flat
    return spread(d_seen.reshape(seen.shape))[0], d_kernel


_by_patches.defvjp(_by_patches_forward, _by_patches_gradient)


def _patches(x: jax.Array, size: int, stride: int) -> jax.Array:
    """(size * size * in, out_height, out_width, n): what each place sees, in the kernel's order."""
    rows = windows(padded(x, size // 2), size, stride, axis=1)
    return jnp.concatenate([place for row in rows for place in windows(row, size, stride, axis=2)])
