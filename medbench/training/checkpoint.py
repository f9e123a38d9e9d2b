"""The state of a training between two steps on disk, so that hours of it go on after an interruption.

Orbax writes it, in the background; when, and what becomes of it, is decided here. Other numbers do not enter.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import msgspec
import numpy as np
from jax.experimental import multihost_utils

from medbench.training.step import State

if TYPE_CHECKING:
    from orbax.checkpoint import CheckpointManager
    from orbax.checkpoint.args import Composite

EVERY = 600.0
"""Seconds between two checkpoints: at most so much work is lost, and a run of minutes writes none."""
ASKED_EVERY = 10
"""Steps after which several processes ask the first whether it is time: asking waits for all of them."""


class Saved(NamedTuple):
    """What a checkpoint holds.

    Attributes:
      step: steps that are done.
      state: after them.
      notes: what the training noted beside it.
    """

    step: int
    state: State
    notes: Any


class Checkpoints:
    """The checkpoints of one training, of which the latest whole one counts.

    A context manager: at its end, however that comes, a checkpoint that is being written becomes whole. What
    goes wrong with a checkpoint is told, and costs time, never the training. Several processes write into one
    folder, and each does all of this at the same steps.

    Args:
      folder: for nothing else; its name stands for all that determines the training's numbers. None to keep
        nothing.
      every: seconds between two of them.
      tell: called with a line about a checkpoint that was found, or is of no use.
    """

    def __init__(self, folder: Path | None, *, every: float = EVERY, tell: Callable[[str], None]) -> None:
        self._folder = folder and folder.absolute()
        self._every = every
        self._tell = tell
        self._manager: CheckpointManager | None = None
        self._last = time.monotonic()
        self._useless = False

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._try(self._close)

    def restore(self, like: State, notes: type) -> Saved | None:
        """The latest checkpoint, laid out on today's devices, of which there may be more or fewer.

        A damaged one is deleted, as nothing can be had from it.

        Args:
          like: a state of the same shapes, in the layout that is wanted.
          notes: the type of what was noted.

        Returns:
          None where there is no checkpoint.
        """
        step = -1 if self._folder is None else _of_first_process(self._latest(self._folder))
        if step < 0:
            return None
        try:
            found = self._read(step, like, notes)
        except Exception as error:  # of tensorstore, orbax, json and msgspec, for damaged bytes
            found, why = None, str(error).partition("\n")[0]
        else:
            why = "another process could not read it"
        if _in_all_processes(found is not None):
            self._tell(f"goes on after step {step}, from a checkpoint")
            return found
        self._manager = None
        self.delete()
        self._tell(f"starts over: the checkpoint in {self._folder} was damaged and is deleted ({why})")
        return None

    def save_if_due(self, step: int, state: State, notes: Callable[[], Any]) -> None:
        """Begin to write a checkpoint if the last one is old enough, and return as soon as `state` is copied.

        Args:
          step: steps that are done; in several processes only every `ASKED_EVERY`th is looked at.
          state: after them.
          notes: gives what is to be kept beside it, encodable as JSON.
        """
        if self._folder is not None and self._is_due(step):
            self._try(lambda: self._write(step, state, notes()))
            self._last = time.monotonic()

    def delete(self) -> None:
        """Remove all checkpoints."""
        if self._folder is not None and jax.process_index() == 0:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _is_due(self, step: int) -> bool:
        """Whether the first process finds it time, and all can write: who cannot is asked as well."""
        first = jax.process_index() == 0
        due = not self._useless and (not first or time.monotonic() - self._last >= self._every)
        return due if jax.process_count() == 1 else step % ASKED_EVERY == 0 and _in_all_processes(due)

    def _latest(self, folder: Path) -> int:
        """The step of the latest whole checkpoint; -1 where there is none."""
        if not folder.is_dir():
            return -1
        latest = self._opened().latest_step()
        return -1 if latest is None else latest

    def _opened(self) -> "CheckpointManager":
        from orbax.checkpoint import CheckpointManager, CheckpointManagerOptions  # noqa: PLC0415

        if self._manager is None:
            assert self._folder is not None
            self._manager = CheckpointManager(self._folder, options=CheckpointManagerOptions(max_to_keep=1))
        return self._manager

    def _read(self, step: int, like: State, notes: type) -> Saved:
        from orbax.checkpoint import args  # noqa: PLC0415

        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), like
        )
        read = self._opened().restore(
            step, args=args.Composite(state=args.StandardRestore(shapes._asdict()), notes=args.JsonRestore())
        )
        return Saved(step, State(**read["state"]), msgspec.convert(read["notes"], notes))

    def _write(self, step: int, state: State, notes: Any) -> None:
        from orbax.checkpoint import args  # noqa: PLC0415

        kept: Composite = args.Composite(
            state=args.StandardSave(state._asdict()), notes=args.JsonSave(msgspec.to_builtins(notes))
        )
        self._opened().save(step, args=kept)

    def _close(self) -> None:
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def _try(self, work: Callable[[], None]) -> None:
        """Do it, or go on without checkpoints where the disk does not let us."""
        try:
            work()
        except Exception as error:  # of tensorstore and orbax, for a full or read-only disk
            self._useless = True
            reason = str(error).partition("\n")[0]
            self._tell(f"goes on without checkpoints: {self._folder} cannot be written ({reason})")


def _of_first_process(value: int) -> int:
    """What the first process says."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def _in_all_processes(value: bool) -> bool:
    """Whether it is so in every process."""
    if jax.process_count() == 1:
        return value
    return bool(np.all(multihost_utils.process_allgather(np.bool_(value))))
