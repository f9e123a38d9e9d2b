"""Products and rearrangements of large arrays in the forms that XLA on CPUs is fast at. No network enters."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

_STRIP = 32


def applied(matrix: jax.Array, x: jax.Array) -> jax.Array:
    """A linear map at every place.

    XLA wants the left factor of a product row by row, so one of the two has to be turned: the smaller one.

    Args:
      matrix: (in, out).
      x: (in, places).

    Returns:
      (out, places).
    """
    inputs, outputs = matrix.shape
    if x.shape[1] * (inputs + outputs) < inputs * outputs:
        return lax.optimization_barrier(turned(x) @ matrix).T
    return turned(matrix) @ x


def over_places(x: jax.Array, g: jax.Array) -> jax.Array:
    """The gradient of `applied` by its matrix.

    Args:
      x: (in, places).
      g: (out, places), by the result.

    Returns:
      (in, out).
    """
    # The factor with more rows is the left one: the other way round is slower.
    return _over_places(x, g) if len(x) >= len(g) else turned(_over_places(g, x))


def _over_places(left: jax.Array, right: jax.Array) -> jax.Array:
    # Apart: XLA on CPUs is far slower at it joined with the sums of weight standardisation's gradient.
    return lax.optimization_barrier(lax.dot_general(left, right, (((1,), (1,)), ((), ()))))


def turned(matrices: jax.Array) -> jax.Array:
    """The last two axes exchanged, of stacks of matrices too."""
    # A call that stays one: joined with the standardisation of a kernel it is far slower.
    with set_xla_metadata(inlineable="false"):
        return _turned(matrices)


@jax.jit
def _turned(matrices: jax.Array) -> jax.Array:
    """Strip by strip: a whole column has as many cache lines as it has rows."""
    *lead, rows, columns = matrices.shape
    strip = math.gcd(rows, _STRIP)
    strips = matrices.reshape(*lead, rows // strip, strip, columns).swapaxes(-1, -2)
    return lax.optimization_barrier(strips).swapaxes(-2, -3).reshape(*lead, columns, rows)


def moved(x: jax.Array, axis: int, by: int) -> jax.Array:
    """Along an axis, with zeros where nothing comes from."""
    pads = [(by, -by, 0) if i == axis else (0, 0, 0) for i in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), pads)


def windows(x: jax.Array, size: int, stride: int, axis: int) -> list[jax.Array]:
    """What a window that slides along an axis sees at each of its `size` places."""
    steps = (x.shape[axis] - size) // stride + 1
    return [
        lax.slice_in_dim(x, place, place + stride * (steps - 1) + 1, stride, axis) for place in range(size)
    ]


def padded(x: jax.Array, padding: int, axes: tuple[int, ...] = (1, 2)) -> jax.Array:
    """Zeros on both sides of some axes."""
    return jnp.pad(x, [(padding, padding) if axis in axes else (0, 0) for axis in range(x.ndim)])
