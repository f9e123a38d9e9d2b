"""Which devices a run takes, and how batches, parameters and velocity lie on them.

Steps do not enter: each is a function of whole arrays, which computes the same numbers wherever these lie.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from medbench.errors import MedbenchError

AXIS = "batch"
SHARDED_FROM = 2**30
"""Bytes of parameters from which they, and their velocity, are divided among the devices.

R50x1 has 0.1 GB, which every device can hold; R101x3 1.5 GB and R152x4 3.7 GB.
"""


def devices_for(batch_size: int) -> list[jax.Device]:
    """The devices of all processes, or the most that a batch can be divided among equally.

    Of every process the same number, its first ones.

    Args:
      batch_size: places in a batch.

    Raises:
      MedbenchError: the batch cannot be divided among the processes.
    """
    processes = jax.process_count()
    if batch_size % processes:
        raise MedbenchError(
            f"A batch of {batch_size} cannot be divided equally among {processes} processes. Start as many "
            "as divide it."
        )
    share = batch_size // processes
    each = max(n for n in range(1, jax.local_device_count() + 1) if share % n == 0)
    by_process = (jax.local_devices(process_index) for process_index in range(processes))
    return [device for own in by_process for device in own[:each]]


def over(devices: Sequence[jax.Device], params: Any, *, sharded_from: int = SHARDED_FROM) -> "Layout":
    """The layout of a run on some devices.

    Args:
      devices: of which every process has equally many.
      params: a tree of arrays.
      sharded_from: bytes of `params` from which they are divided among the devices.
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    return Layout(tuple(devices), sharded=size >= sharded_from)


@dataclass(frozen=True)
class Layout:
    """How the arrays of a run lie on its devices.

    On one device nothing is placed: arrays of the host go into a step as they are.

    Attributes:
      devices: in the order in which they divide a batch.
      sharded: whether parameters and velocity are divided, not copied, among the devices.
    """

    devices: tuple[jax.Device, ...]
    sharded: bool

    def rows(self, source: NDArray[Any], rows: NDArray[np.int64]) -> Any:
        """Some rows of an array of the host as a batch; each process reads those of its own devices.

        Args:
          source: (n, ...).
          rows: (batch_size,) positions in it, as many as the devices divide.

        Returns:
          (batch_size, ...), divided by its first axis.
        """
        if self._alone:
            return source[rows]

        def read(place: Any) -> NDArray[Any]:
            chosen: NDArray[Any] = source[rows[place[0]]]
            return chosen

        shape = (len(rows), *source.shape[1:])
        return jax.make_array_from_callback(shape, self._by(PartitionSpec(AXIS)), read)

    def batch(self, array: NDArray[Any]) -> Any:
        """A whole array of the host as a batch; see `rows`."""
        return array if self._alone else self.rows(array, np.arange(len(array)))

    def params(self, tree: Any) -> Any:
        """Parameters of the host on the devices: a copy on each, or each array divided.

        Divided is the largest axis whose length is a multiple of the number of devices; an array that has
        none is copied.

        Args:
          tree: of numpy arrays.
        """
        return tree if self._alone else jax.tree.map(self._placed, tree)

    def kept(self, state: Any) -> Any:
        """What a step gave out, in the layout of `params`; it only moves what XLA laid out otherwise.

        Args:
          state: a tree of global arrays.
        """
        if self._alone:
            return state
        return jax.device_put(state, jax.tree.map(lambda leaf: self._by(self._spec(leaf.shape)), state))

    def fetched(self, tree: Any) -> Any:
        """Whole arrays of the host, in every process.

        Args:
          tree: of global arrays.
        """
        if not self._alone and jax.process_count() > 1:
            tree = _copied_by(self._by(PartitionSpec()))(tree)
        return jax.device_get(tree)

    @property
    def mesh(self) -> Mesh | None:
        """The devices as an axis by which batches are divided; None where there is one device."""
        return None if self._alone else _mesh(self.devices)

    @property
    def _alone(self) -> bool:
        return len(self.devices) == 1

    def _by(self, spec: PartitionSpec) -> NamedSharding:
        return NamedSharding(_mesh(self.devices), spec)

    def _placed(self, array: NDArray[Any]) -> jax.Array:
        return jax.make_array_from_callback(array.shape, self._by(self._spec(array.shape)), array.__getitem__)

    def _spec(self, shape: tuple[int, ...]) -> PartitionSpec:
        """Of a parameter."""
        divisible = [axis for axis, length in enumerate(shape) if length and length % len(self.devices) == 0]
        if not self.sharded or not divisible:
            return PartitionSpec()
        largest = max(divisible, key=lambda axis: shape[axis])
        return PartitionSpec(*(None,) * largest, AXIS)


@lru_cache
def _mesh(devices: tuple[jax.Device, ...]) -> Mesh:
    return Mesh(np.array(devices), (AXIS,))


@lru_cache
def _copied_by(everywhere: NamedSharding) -> Callable[[Any], Any]:
    """A compiled function that copies a tree of arrays to all devices."""
    return jax.jit(lambda tree: tree, out_shardings=everywhere)
