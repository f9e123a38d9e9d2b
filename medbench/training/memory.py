"""How many images a device has memory for in one step, by counting the maps of the net beforehand.

Micro-batches and rematerialisation follow: these move rounding alone, and are no part of a run's spec.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from medbench.models import shape
from medbench.spec.runs import Precision

LOOK_BACK = 4
"""Dispatched steps that the host may be ahead of the device; their images wait in its memory."""
SHARE = 0.85
"""Of a device's memory that is planned with; the rest is for what the compiler needs beside the maps."""
FEWEST = 8
"""Images of a device's micro-batch below which units are rather computed twice. An assumption, nothing
measured: on the 15x15 places of the last block at 480 pixels these are 1,800 rows of a matrix product, enough
for an accelerator; fewer leave more of it idle than the third of operations that computing twice adds."""
LARGEST_EVALUATION = 256
"""Images of a batch that is scored; that more are no faster is an assumption, nothing measured."""

_COPIES = 6
"""Of the parameters in float32: themselves, the velocity, the gradient's sum, that of one micro-batch,
standardized kernels, and these in the precision of the products or as the compiler lays them out."""
_COPIES_IN_SCORING = 4
"""Themselves, the velocity, which waits for the next step, and these two of the kernels."""


@dataclass(frozen=True)
class Split:
    """How a step is divided so that it fits.

    Attributes:
      parts: micro-batches; 1 for the whole batch at once.
      rematerialized: whether units are computed once more for the gradient.
    """

    parts: int = 1
    rematerialized: bool = False


@dataclass(frozen=True)
class Footprint:
    """What steps of a BiT ask of a device's memory, without its head, which is small.

    Attributes:
      blocks: units in each block.
      width: factor on the channels.
      source: pixels of a side of the images that come in.
      crop: of those that are computed with.
      precision: of the maps.
    """

    blocks: tuple[int, ...]
    width: float
    source: int
    crop: int
    precision: Precision

    def split(self, batch_size: int, *, memory: int, devices: int = 1, fewest: int = FEWEST) -> Split:
        """The fewest equal micro-batches that fit, each divided equally among all devices.

        The whole batch if it fits. Else the largest micro-batch that fits, if it has `fewest` images a
        device. Else units are computed twice, which keeps a fraction of the maps, and again it is the largest
        that fits; where not even one image does, the compiler must see how it gets on with one.

        Args:
          batch_size: a multiple of `devices`.
          memory: bytes of a device.
          devices: that share the batch; each is taken to hold all parameters.
          fewest: 1 for CPUs, which are as fast with few images, and for which XLA (of jax 0.10) plans as much
            memory whether units are computed twice or not.
        """
        share = batch_size // devices
        left = SHARE * memory - self.fixed(share)
        for rematerialized in (False, True):
            most = left // self.kept(rematerialized=rematerialized)
            images = max((n for n in _divisors(share) if n <= most), default=1)
            if images >= min(share, fewest):
                break
        return Split(share // images, rematerialized)

    def evaluation_batch(self, *, memory: int) -> int:
        """Images that a device scores at once: a power of two, at most `LARGEST_EVALUATION`."""
        left = SHARE * memory - _COPIES_IN_SCORING * 4 * shape.parameters(self.blocks, self.width)
        most = left // (self.alive() + (LOOK_BACK + 1) * self._image(self.source))
        return next((n for n in _halves(LARGEST_EVALUATION) if n <= most), 1)

    def fixed(self, images: int) -> int:
        """Bytes of all that has the parameters' shapes, and of so many images as they come in and wait."""
        waiting = (LOOK_BACK + 1) * self._image(self.source)
        cropped = 4 * self._image(self.crop)  # straight and reversed, as a batch and in parts
        return _COPIES * 4 * shape.parameters(self.blocks, self.width) + images * (waiting + cropped)

    def kept(self, *, rematerialized: bool) -> int:
        """Bytes for an image of the maps that are kept in training until the gradient needs them.

        Of every convolution its input, and what that was before it was normalised. Where units are computed
        twice, what comes into each, and all of the largest one.
        """
        units = self._units()
        if rematerialized:
            within = sum(unit.side**2 * unit.incoming for unit in units) + max(map(_within, units))
        else:
            within = sum(map(_within, units))
        return self._bytes(self._image(self.crop) + self._root() + within + 2 * _given_out(units[-1]))

    def alive(self) -> int:
        """Bytes for an image of the maps that are there at the same time in scoring, at most."""
        return self._bytes(max(self._root(), *(_within(unit) + _given_out(unit) for unit in self._units())))

    def _units(self) -> list[shape.Unit]:
        return [*shape.units(self.blocks, self.width, self.crop)]

    def _root(self) -> int:
        """Of its convolution, and of what is pooled."""
        root = shape.root(self.width, self.crop)
        return 2 * root.side**2 * root.channels

    def _bytes(self, numbers: int) -> int:
        return numbers * (2 if self.precision == "bfloat16" else 4)

    @staticmethod
    def _image(size: int) -> int:
        return 3 * size**2


def _within(unit: shape.Unit) -> int:
    """Numbers in the maps that its three convolutions read, before and after each is normalised."""
    return 2 * (unit.side**2 * (unit.incoming + unit.middle) + unit.out**2 * unit.middle)


def _given_out(unit: shape.Unit) -> int:
    return 4 * unit.out**2 * unit.middle


def _divisors(number: int) -> Iterator[int]:
    return (n for n in range(1, number + 1) if number % n == 0)


def _halves(number: int) -> Iterator[int]:
    while number:
        yield number
        number //= 2


def of_device() -> int:
    """Bytes that jax may take of its first device here; of a CPU all the machine's memory."""
    import jax  # noqa: PLC0415

    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
