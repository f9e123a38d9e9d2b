"""The maps within a BiT net, by its architecture: operations, parameters and memory follow from them.

Nothing is computed here, and nothing imports jax.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Root(NamedTuple):
    """The 7x7 convolution with stride 2 and the pooling with stride 2.

    Attributes:
      side: pixels of a side of what the convolution gives out.
      channels: that it gives out.
    """

    side: int
    channels: int


class Unit(NamedTuple):
    """A bottleneck of three convolutions.

    Attributes:
      side: pixels of a side of the map that comes in.
      out: of that which goes out.
      incoming: channels that come in.
      middle: channels within; four times as many go out.
      projects: whether the shortcut has a convolution of its own.
    """

    side: int
    out: int
    incoming: int
    middle: int
    projects: bool


def root(width: float, size: int) -> Root:
    """The root of a net of this width for square images of `size` pixels."""
    return Root(_strided(size), int(64 * width))


def units(blocks: Iterable[int], width: float, size: int) -> Iterator[Unit]:
    """Every unit, from the first to the last.

    Args:
      blocks: units in each block.
      width: factor on the channels.
      size: pixels of a side of the image.
    """
    side, channels = root(width, size)
    side = _strided(side)
    incoming = channels
    for index, count in enumerate(blocks):
        middle = channels * 2**index
        for number in range(count):
            first = number == 0
            out = _strided(side) if first and index else side
            yield Unit(side, out, incoming, middle, projects=first)
            side, incoming = out, 4 * middle


def parameters(blocks: Iterable[int], width: float) -> int:
    """Numbers that are learned, without the head's."""
    channels = root(width, 32).channels
    total, last = 7 * 7 * 3 * channels, channels
    for unit in units(blocks, width, 32):
        kernels = unit.incoming * unit.middle + (9 + 4) * unit.middle**2
        projection = 4 * unit.incoming * unit.middle if unit.projects else 0
        gains_and_offsets = 2 * (unit.incoming + 2 * unit.middle)
        total += kernels + projection + gains_and_offsets
        last = 4 * unit.middle
    return total + 2 * last


def _strided(size: int) -> int:
    """Pixels after a step of two with padding: half, rounded up."""
    return -(-size // 2)
