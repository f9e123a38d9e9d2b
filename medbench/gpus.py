"""NVIDIA GPUs as their driver lists them: what a process may use, and how several processes share it.

Text in, names out: nothing here imports jax or touches a device.
"""

import functools
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

_GPU = re.compile(r"GPU (\d+): (.*?)(?: \(UUID: .*\))?")
_SLICE = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-\S+)\)")
_USABLE = re.compile(r"\d+|(GPU|MIG)-\S+")
FOR_ALL = 0.9
"""Share of a GPU's memory that the processes on it take together; the driver needs the rest."""


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
      number: the driver's.
      name: of the model.
      slices: profile by UUID, such as `1g.10gb`, where it is cut up (MIG); whole GPUs have none.
    """

    number: str
    name: str
    slices: dict[str, str]


@functools.cache
def listing() -> str:
    """What `nvidia-smi -L` prints, asked once; empty where it is not there, fails or hangs."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)  # noqa: S607
    except (OSError, subprocess.SubprocessError):
        return ""
    return listed.stdout


def parse(listed: str) -> list[Gpu]:
    """The GPUs of a listing, and the slices below each."""
    found: list[Gpu] = []
    for line in listed.splitlines():
        if gpu := _GPU.fullmatch(line.rstrip()):
            found.append(Gpu(gpu[1], gpu[2], {}))
        elif (cut := _SLICE.fullmatch(line.rstrip())) and found:
            found[-1].slices[cut[2]] = cut[1]
    return found


def slice_name(listed: str, uuid: str) -> str:
    """The name that CUDA gives a slice, such as `NVIDIA H100 80GB HBM3 MIG 1g.10gb`; empty if not listed."""
    names = [f"{gpu.name} MIG {gpu.slices[uuid]}" for gpu in parse(listed) if uuid in gpu.slices]
    return names[0] if names else ""


def usable(visible: str | None, listed: str) -> list[str]:
    """The devices that a process may use, as CUDA_VISIBLE_DEVICES names them.

    Args:
      visible: CUDA_VISIBLE_DEVICES; None where it is not set. As in CUDA, the first entry that names no
        device ends the list: `-1` and the empty text hide all.
      listed: the driver's listing, of which all is usable where nothing is set: of a GPU that is cut up,
        its slices, since a process sees one at most.
    """
    if visible is None:
        return [device for gpu in parse(listed) for device in (gpu.slices or [gpu.number])]
    devices = []
    for entry in visible.split(","):
        if not _USABLE.fullmatch(entry.strip()):
            break
        devices.append(entry.strip())
    return devices


def own() -> list[str]:
    """The devices that this process may use, in the order in which it takes them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return usable(visible, listing() if visible is None else "")


def share(devices: Sequence[str], worker: int, workers: int) -> tuple[str, float]:
    """A worker's device, and the part of its memory that the worker may take.

    Args:
      devices: at least one.
      worker: number of this worker, from 0.
      workers: number of all workers.
    """
    mine = worker % len(devices)
    return devices[mine], FOR_ALL / len(range(mine, workers, len(devices)))
