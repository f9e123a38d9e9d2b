"""The figures of docs/weights.md: logits of every released net against torch, and memory that loading takes.

    python -m docs.weights memory r152x4      # 3.7 GB on disk, removed afterwards
    python -m docs.weights logits r50x1 …     # needs torch (extra `oracle`); R152x4 takes 15 GB of memory

Weights are random, under the released names and under timm's; files are written to --folder (default: /tmp).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from medbench.models import bit, files, npz, weights
from medbench.training.step import start
from tests.models import released

CLASSES = 1000
SIZE = 32
TIMM = ("r50x1", "r101x3")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("memory", "logits", "step"))
    parser.add_argument("architectures", nargs="+", choices=released.RELEASED)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--until", help=argparse.SUPPRESS)
    args = parser.parse_args()
    for name in args.architectures:
        if args.what == "step":
            step(name, args.file, args.until)
            continue
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            path = Path(folder) / f"{name}.npz"
            released.write(path, *released.RELEASED[name], CLASSES)
            {"memory": memory, "logits": logits}[args.what](name, path)


def memory(name, path):
    """Peak of the resident set above what it is with jax imported, of the file's size, in processes of their own."""
    for until in ("sha256", "check", "load", "adapt_head", "start"):
        command = [sys.executable, "-m", "docs.weights", "step", name, "--file", str(path), "--until", until]
        done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        size = path.stat().st_size
        print(
            f"{name} {until}: {size / 1e9:.2f} GB on disk, peak {done['bytes'] / 1e9:.2f} GB, "
            f"{done['bytes'] / size:.2f} times its size, {done['seconds']:.0f} s",
            flush=True,
        )


def step(name, path, until):
    """Everything up to a step, and the memory that it took."""
    blocks, width = released.RELEASED[name]
    bit.param_shapes(blocks, width, CLASSES)
    jax.block_until_ready(jax.numpy.zeros(1))
    before, begin = _resident("VmRSS"), time.perf_counter()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    kept = []
    if until == "sha256":
        weights.sha256(path)
    elif until == "check":
        files.check(path, blocks=blocks, width=width)
    else:
        kept.append(files.load(path, blocks=blocks, width=width))
    if until in ("adapt_head", "start"):
        kept[0] = npz.adapt_head(kept[0], 2)
    if until == "start":
        kept.append(jax.block_until_ready(start(kept[0])))
    print(json.dumps({"bytes": _resident("VmHWM") - before, "seconds": time.perf_counter() - begin}))


def _resident(field):
    """Bytes of this process in memory: `VmRSS` now, `VmHWM` at most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def logits(name, path):
    """Ours of both files and torch's, of the same random weights."""
    import torch  # noqa: PLC0415  (memory is measured without)
    from safetensors.torch import save_file  # noqa: PLC0415

    from tests.models import torch_bit  # noqa: PLC0415

    blocks, width = released.RELEASED[name]
    images = np.random.default_rng(1).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    forward = jax.jit(bit.BiT(blocks, width, CLASSES).apply)
    ours = {
        "released": np.asarray(forward({"params": files.load(path, blocks=blocks, width=width)}, images)[0])
    }
    jax.clear_caches()
    with np.load(path) as archive:
        net = torch_bit.of_released(
            blocks, width, CLASSES, ((member, archive[member]) for member in archive.files)
        )
    expected = torch_bit.logits(net, images)
    if name in TIMM:
        of_timm = path.with_suffix(".safetensors")
        save_file({key: value.contiguous() for key, value in net.state_dict().items()}, of_timm)
        params = files.load(of_timm, blocks=blocks, width=width)
        ours["timm"] = np.asarray(forward({"params": params}, images)[0])
    for naming, found in ours.items():
        print(
            f"{name} {naming}: logits up to {np.abs(expected).max():.2f}, largest difference from torch "
            f"{torch.__version__} {np.abs(found - expected).max():.1e}",
            flush=True,
        )
    if "timm" in ours:
        print(f"{name}: both namings give the same bytes: {(ours['timm'] == ours['released']).all()}")


if __name__ == "__main__":
    main()
