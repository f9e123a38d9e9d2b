"""Where numbers are made: the class of device that is planned for, and what a record keeps of the machine.

Only `capture`, which the executor calls when it trains anyway, imports jax.
"""

import functools
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from medbench import gpus
from medbench.errors import MedbenchError
from medbench.record import Environment

SHAPING_LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy", "pillow")
"""Distributions whose version may move a run's numbers."""

SHAPING_SETTINGS = ("XLA_FLAGS", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_ENABLE_X64", "NVIDIA_TF32_OVERRIDE")
"""Environment variables that may move a run's numbers."""

CPU = "cpu"
"""The class of a machine without accelerator."""

PLANNED = "MEDBENCH_DEVICE_CLASS"
"""Environment variable by which a session tells its processes what class of device it plans with: one that
sees but its own slice of a GPU must not plan with another."""

_CUDA_PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin")
_GPU_PLATFORMS = ("cuda", "gpu", "rocm")


def library_versions(names: tuple[str, ...] = SHAPING_LIBRARIES) -> dict[str, str]:
    """Installed versions by distribution name, without importing them; empty where not installed."""
    return {name: _version(name) for name in names}


def settings() -> dict[str, str]:
    """The `SHAPING_SETTINGS` that are set; XLA's flags sorted, as their order means nothing."""
    found = {name: os.environ.get(name, "") for name in SHAPING_SETTINGS}
    found["XLA_FLAGS"] = " ".join(sorted(found["XLA_FLAGS"].split()))
    return {name: value for name, value in found.items() if value}


def device_class() -> str:
    """The class of device that jax will use: `cpu`, `tpu`, or `gpu-` and its model; jax is not imported.

    `PLANNED` decides where it is set, then `JAX_PLATFORMS`. Else a TPU needs libtpu and a device node, an
    NVIDIA GPU jax's CUDA plugin and a device that `nvidia-smi` lists; anything else is the CPU. `capture`
    checks the answer against jax's own.
    """
    if planned := os.environ.get(PLANNED):
        return planned
    wanted = os.environ.get("JAX_PLATFORMS", "").split(",")[0].strip().lower()
    if wanted in _GPU_PLATFORMS:
        return _class_named(_first_gpu() or "unknown")
    if wanted:
        return wanted
    if _version("libtpu") and _tpu_nodes():
        return "tpu"
    if any(_version(plugin) for plugin in _CUDA_PLUGINS) and (name := _first_gpu()):
        return _class_named(name)
    return CPU


def gpu_class(device: str) -> str:
    """The class of an NVIDIA GPU or slice, `gpu-unknown` where the driver does not know it.

    Args:
      device: as CUDA_VISIBLE_DEVICES names it.
    """
    return _class_named(_nvidia_name(device) or "unknown")


def capture() -> Environment:
    """The environment of this process, as jax sees it.

    Raises:
      MedbenchError: jax uses another kind of device than `device_class` planned with, above all
        when it falls back to the CPU because a driver or plugin does not load.
    """
    import jax  # noqa: PLC0415

    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:  # of plugins that are not there or do not load
        wanted = os.environ.get("JAX_PLATFORMS", "")
        where = f" with JAX_PLATFORMS={wanted}" if wanted else ""
        why = (str(error).splitlines() or ["its plugin is not installed"])[0]
        raise MedbenchError(f"jax has no device to train on{where} ({why}). {_NO_ACCELERATOR}") from error
    seen = class_of(devices[0].platform, devices[0].device_kind)
    _require_platform(planned=device_class(), seen=seen)
    return Environment(
        device_class=seen,
        device=processor() if seen == "cpu" else devices[0].device_kind,
        devices=len(devices),
        cores=usable_cores(),
        platform=platform.platform(),
        python=platform.python_version(),
        libraries=library_versions((*SHAPING_LIBRARIES, "scikit-learn")),
        xla_flags=os.environ.get("XLA_FLAGS", ""),
        commit=commit(),
    )


def usable_cores() -> int:
    """Processor cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def commit(package: Path = Path(__file__).parent) -> str:
    """Revision of the checkout that holds `package`, with `+` if it has changes.

    Empty without git, and where the package lies in a checkout that is not its own, such as an
    environment inside another project.
    """
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return ""
    revision = _git(package, "rev-parse", "HEAD")
    if not revision:
        return ""
    return revision + ("+" if _git(package, "status", "--porcelain") else "")


_NO_ACCELERATOR = (
    "Install jax for this accelerator (`pip install 'medbench[cuda13]'`, `[cuda12]` or `[tpu]`) and "
    "check its driver, or set JAX_PLATFORMS=cpu to train on the CPU."
)


def _require_platform(*, planned: str, seen: str) -> None:
    platform_planned, platform_seen = planned.partition("-")[0], seen.partition("-")[0]
    if platform_planned == platform_seen:
        return
    if seen == "cpu":
        advice = _NO_ACCELERATOR
    else:
        advice = f"Set JAX_PLATFORMS={platform_planned} to keep to the plan, or to the other to train there."
    raise MedbenchError(f"The runs were planned for `{planned}`, but jax uses `{seen}`. {advice}")


def class_of(jax_platform: str, kind: str) -> str:
    """The class of a device.

    Args:
      jax_platform: as jax names it, such as `cpu`, `gpu`, `cuda` or `tpu`.
      kind: name of the device, which tells GPUs apart.
    """
    return _class_named(kind) if jax_platform in _GPU_PLATFORMS else jax_platform


def _class_named(name: str) -> str:
    return "gpu-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


@functools.cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _tpu_nodes() -> bool:
    return any(Path("/dev").glob("accel*")) or any(Path("/dev/vfio").glob("[0-9]*"))


def _first_gpu() -> str:
    """Name of the GPU that this process takes; empty if there is none."""
    devices = gpus.own()
    return _nvidia_name(devices[0]) if devices else ""


@functools.cache
def _nvidia_name(device: str) -> str:
    """Name of the model; empty where the driver knows no such device."""
    if device.startswith("MIG-"):  # which nvidia-smi does not look up
        return gpus.slice_name(gpus.listing(), device)
    lines = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "-i", device)
    return lines.splitlines()[0].strip() if lines else ""


def processor() -> str:
    """Name of this machine's processor."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str | None:
    return _output("git", "-C", str(folder), *arguments)


def _output(*command: str) -> str | None:
    """What the command prints, stripped; None if it is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
