"""The state of an interrupted training on disk: a plain `.npz`, whole or not there at all."""

import os
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from medbench.errors import MedbenchError
from medbench.training.step import State


@dataclass(frozen=True)
class Checkpoint:
    """The place for the state between two steps.

    Attributes:
      path: the file, an `.npz` without pickle.
      identity: of settings and data; a checkpoint of another one is refused.
    """

    path: Path
    identity: str

    def write(self, step: int, state: State) -> None:
        """Replace the checkpoint; `step` steps are done."""
        arrays = traverse_util.flatten_dict(jax.device_get(state._asdict()), sep="/")
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, identity=self.identity, step=step, **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)

    def read(self) -> tuple[int, State] | None:
        """Steps done and the state after them, or None where nothing was written.

        Raises:
          MedbenchError: the file is damaged or belongs to another pre-training.
        """
        if not self.path.exists():
            return None
        try:
            # Opened here, since numpy leaves a file open that it cannot read.
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            identity, step = str(arrays.pop("identity")), int(arrays.pop("step"))
        except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for damaged bytes
            raise MedbenchError(f"{self.path}: damaged ({error}). Delete it to start afresh.") from error
        if identity != self.identity:
            raise MedbenchError(
                f"{self.path}: of a pre-training with other settings or images. Delete it to start afresh, "
                "or name another folder for checkpoints."
            )
        trees = traverse_util.unflatten_dict(arrays, sep="/")
        return step, State(**jax.tree.map(jnp.array, trees))
