"""What the controller of pytest-xdist decides for its workers, and what a worker does with it.

Decided once and in one place: a worker that sees but its own device would plan with another class of device.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from medbench import environment, gpus

KEY = "medbench"
"""Where xdist's `workerinput` has the instructions."""


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told; plain values, as xdist sends them."""

    number: int
    """Of the worker, from 0; one that takes over from a dead one gets its number."""
    workers: int
    folder: str
    """Of the session, where workers leave their journals and which runs failed."""
    device_class: str
    """What all workers plan with."""
    device: str
    """The worker's own, as CUDA_VISIBLE_DEVICES names it; empty where there is nothing to share out."""
    memory: float
    """The part of the device's memory that the worker may take."""
    refusal: str
    """Why the workers cannot share the devices; empty where they can."""

    @classmethod
    def given_to(cls, config: pytest.Config) -> "Instructions | None":
        """Those of this process; None if it is no worker."""
        worker = getattr(config, "workerinput", None)
        return None if worker is None else msgspec.convert(worker[KEY], cls)

    def follow(self) -> None:
        """Set up this process, before it imports jax.

        By jax's own settings a first process takes three quarters of a GPU's memory, and a second fails.
        """
        os.environ[environment.PLANNED] = self.device_class
        if self.device:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.device
            os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{self.memory:.2f}")


class Workers:
    """The workers of a controller.

    Attributes:
      count: how many work at the same time; 1 without pytest-xdist.
      folder: of the session, for what workers tell their controller and each other; begins empty.
      refusal: why they cannot share the devices; empty where they can.
      died: whether any died.
    """

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        distributed = config.pluginmanager.has_plugin("dsession")
        self.count = _count(config) if distributed else 1
        self.folder = folder
        self.died = False
        self.clear()
        self._class = environment.device_class()
        self._devices = gpus.own() if distributed and self._class.startswith("gpu") else []
        self.refusal = _refusal(self._devices[: self.count])
        self._numbers: dict[Any, int] = {}

    def instruct(self, node: Any) -> None:
        """Tell a worker that is about to start."""
        taken = set(self._numbers.values())
        number = self._numbers[node] = next(n for n in range(len(taken) + 1) if n not in taken)
        device, memory = gpus.share(self._devices, number, self.count) if self._devices else ("", 0.0)
        node.workerinput[KEY] = msgspec.to_builtins(
            Instructions(
                number=number,
                workers=self.count,
                folder=str(self.folder),
                device_class=self._class,
                device=device,
                memory=memory,
                refusal=self.refusal,
            )
        )

    def release(self, node: Any, *, died: bool) -> None:
        """A worker is down, and its number and device are free."""
        self._numbers.pop(node, None)
        self.died = self.died or died

    def clear(self) -> None:
        """Remove what workers left in the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _count(config: pytest.Config) -> int:
    from xdist.workermanage import parse_tx_spec_config  # noqa: PLC0415

    return len(parse_tx_spec_config(config))


def _refusal(devices: Sequence[str]) -> str:
    """Runs of several classes of devices are several runs, of which each worker would make its own."""
    classes = {device: environment.gpu_class(device) for device in devices}
    if len(set(classes.values())) < 2:
        return ""
    listed = ", ".join(f"{device} is `{name}`" for device, name in classes.items())
    alike = [device for device, name in classes.items() if name == classes[devices[0]]]
    return (
        "workers cannot share devices of different classes, whose runs are not the same: "
        f"{listed}. Name those of one class, as in CUDA_VISIBLE_DEVICES={','.join(alike)}, or use one worker."
    )
