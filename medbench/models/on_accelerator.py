"""The parts of BiT as they are written, for compilers of GPUs and TPUs, which know them by heart.

Maps are (n, height, width, channels). `on_cpu` has the same parts for CPUs.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from medbench.models.products import padded, windows

CHANNELS = -1
"""Axis of a map."""
GROUPS = 32
NORM_EPSILON = 1e-5


def entered(images: jax.Array) -> jax.Array:
    """Images (n, height, width, 3) as a map."""
    return images


def spatial_mean(x: jax.Array) -> jax.Array:
    """A map of any float dtype to (n, channels) float32."""
    return jnp.mean(x.astype(jnp.float32), axis=(1, 2))


def norm_relu(x: jax.Array, gamma: jax.Array, beta: jax.Array) -> jax.Array:
    """Group normalisation (Wu and He 2018) in float32, then ReLU.

    Of 32 groups, or the most that divide both 32 and a small net's channels. Statistics are taken per
    channel and then joined over the group, so that the large map is reduced without regrouping it and
    normalised in a single pass.

    Args:
      x: a map.
      gamma: (channels,) gain.
      beta: (channels,) offset.

    Returns:
      The same shape and dtype.
    """
    n, _, _, channels = x.shape
    groups = math.gcd(GROUPS, channels)
    wide = x.astype(jnp.float32)
    channel_mean = jnp.mean(wide, axis=(1, 2), keepdims=True)
    # The derivative of a variance by its centre is zero, so the centre needs no gradient.
    channel_variance = jnp.mean(jnp.square(wide - lax.stop_gradient(channel_mean)), axis=(1, 2))
    channel_mean = channel_mean.reshape(n, groups, -1)
    mean = jnp.mean(channel_mean, axis=2, keepdims=True)
    variance = jnp.mean(
        channel_variance.reshape(n, groups, -1) + jnp.square(channel_mean - mean), axis=2, keepdims=True
    )
    scale = lax.rsqrt(variance + NORM_EPSILON) * gamma.reshape(groups, -1)
    shift = beta.reshape(groups, -1) - mean * scale
    scale, shift = (part.reshape(n, 1, 1, channels) for part in (scale, shift))
    return jax.nn.relu(x * scale + shift).astype(x.dtype)


def convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """A convolution without bias, padded with zeros so that stride 1 keeps the size.

    Args:
      x: a map.
      kernel: (k, k, in, out), of the same dtype; k is odd.
      stride: in both directions.

    Returns:
      A map with `out` channels; height and width are divided by the stride and rounded up.
    """
    pads = [(kernel.shape[0] // 2,) * 2] * 2
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def prepared(kernel: jax.Array, stride: int) -> jax.Array:  # noqa: ARG001  on a CPU it depends on it
    """The kernel as `convolve_prepared` takes it, for many batches: here as it is."""
    return kernel


def convolve_prepared(x: jax.Array, kernel: jax.Array, size: int, stride: int) -> jax.Array:  # noqa: ARG001
    """As `convolve`, with a kernel that is `prepared`.

    Args:
      x: a map.
      kernel: of the same dtype.
      size: k, which a prepared kernel may not show.
      stride: in both directions.
    """
    return convolve(x, kernel, stride)


def max_pool(x: jax.Array) -> jax.Array:
    """3x3 maximum with stride 2 after padding with one row of *zeros*, as the released weights expect.

    Taken over rows, then over columns: XLA's gradient of a windowed maximum is twenty times slower on CPUs.
    """
    for axis in (1, 2):
        x = functools.reduce(jnp.maximum, windows(padded(x, 1, axes=(axis,)), 3, 2, axis))
    return x
