"""Training in bfloat16 on an accelerator beside timm's nets, agreement with the CPU, and a retrained tier.

Without an accelerator this says so and ends; what needs none is measured by `python -m bench`.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import table, turns
from bench.cases import AcceleratorCase
from bench.table import Row
from medbench import cost
from medbench.spec.suite import load_suite

NETS = ("r50x1", "r101x3", "r152x4")
SIZE, BATCH, CLASSES = 384, 512, 10
"""The batch is that of the BiT-HyperRule, or the largest half of it that fits."""
STEPS = 10
ROUNDS = 2
MODULES = {"ours": "bench.accelerator_ours", "peer": "bench.accelerator_peer"}
BFLOAT16 = cost.PEAKS["bfloat16"]
"""Tera operations per second."""
AS_JAX_SAYS = {"TPU v5 lite": "TPU v5e"}
MEMORY = {"XLA_PYTHON_CLIENT_MEM_FRACTION": ".92"}
"""Of the device, as each side has it for itself."""
TIER = Path("build/accelerator")


@dataclass(frozen=True)
class Device:
    """What jax trains on.

    Attributes:
      platform: such as `gpu` or `tpu`.
      kind: its name.
    """

    platform: str
    kind: str

    @property
    def peak(self) -> float | None:
        """Operations per second in bfloat16; None where nobody wrote them down."""
        named = AS_JAX_SAYS.get(self.kind, self.kind)
        return next((1e12 * peak for name, peak in BFLOAT16.items() if name in named), None)


def main() -> int:
    """Measure everything, print it and keep it."""
    parser = argparse.ArgumentParser(prog="python -m bench.accelerator", description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("build/bench-accelerator.json"), metavar="FILE")
    parser.add_argument("--peer-python", default=sys.executable, metavar="PATH", help="interpreter with timm")
    parser.add_argument("-n", "--workers", type=int, default=4, help="of the retrained tier (4)")
    args = parser.parse_args()

    device = found()
    if device is None:
        print("No accelerator: jax sees the CPU alone, and nothing was measured.", file=sys.stderr)
        return 1
    pythons = {"ours": sys.executable}
    if device.platform == "tpu":
        print("timm is not compared with on a TPU: ours alone is measured.", file=sys.stderr)
    elif table.has_modules(args.peer_python, "torch", "timm"):
        pythons["peer"] = args.peer_python
    else:
        message = "has no torch and timm: ours alone is measured. Name --peer-python"
        print(f"{args.peer_python} {message}.", file=sys.stderr)
    head = table.environment() | {"device": device.kind}
    rows: list[Row] = []
    for row in measured(device, pythons, args.workers):
        rows.append(row)
        print("  ".join(table.cells(row)), file=sys.stderr, flush=True)
        table.write_json(args.json, rows, head)
    table.show(rows, head)
    return 0


def found() -> Device | None:
    """The accelerator that jax uses, asked in a process that ends, as who holds it keeps its memory."""
    probe = "import jax; d = jax.devices()[0]; print(d.platform); print(d.device_kind)"
    said = subprocess.run([sys.executable, "-c", probe], stdout=subprocess.PIPE, text=True, check=False)
    lines = said.stdout.splitlines()
    return Device(*lines[:2]) if len(lines) >= 2 and lines[0] != "cpu" else None


def measured(device: Device, pythons: Mapping[str, str], workers: int) -> Iterator[Row]:
    """All rows, the short ones first."""
    nets = load_suite(Path("benchmarks")).architectures
    for name in NETS:
        case = AcceleratorCase(
            "accelerator", name, tuple(nets[name].blocks), nets[name].width, SIZE, BATCH, CLASSES
        )
        yield from of_net(case, device, pythons, rounds=ROUNDS, steps=STEPS)
    yield tier(workers)


def of_net(
    case: AcceleratorCase, device: Device, pythons: Mapping[str, str], *, rounds: int, steps: int
) -> Iterator[Row]:
    """Throughput, utilisation, memory and agreement of one net.

    Each side has the device for itself while it is measured, and gives it back before the other's turn.

    Args:
      case: the net.
      device: that jax trains on.
      pythons: interpreter of each side, `ours` and perhaps `peer`.
      rounds: turns of each side.
      steps: in a turn.
    """
    said: dict[str, list[dict[str, Any]]] = {side: [] for side in pythons}
    for number in range(rounds):
        for side, python in pythons.items():
            said[side].append(_turn(case, python, MODULES[side], steps, logits=not number))
    speeds = {side: [one["images_per_second"] for one in ones] for side, ones in said.items()}
    ours, peer = speeds["ours"], speeds.get("peer")
    ratios = [one / other for one, other in zip(ours, peer, strict=True)] if peer else None
    note = "; ".join(f"{side}: {ones[0]['how']}" for side, ones in said.items())

    def row(name: str, unit: str, factor: float) -> Row:
        return Row(
            f"{name}/{case.net}/{case.size}px",
            factor * median(ours),
            factor * median(peer) if peer else None,
            median(ratios) if ratios else None,
            unit,
            (min(ratios), max(ratios)) if ratios else None,
            note=note,
        )

    yield row("train-bfloat16", "images/s", 1.0)
    if device.peak:
        yield row("utilisation", "% of the peak", 100 * operations(case) / device.peak)
    else:
        print(f"No peak is known of {device.kind}: no utilisation.", file=sys.stderr)
    memory = {side: ones[0]["peak_bytes"] / 1e9 for side, ones in said.items()}
    theirs = memory.get("peer")
    yield Row(
        f"peak-memory/{case.net}/{case.size}px",
        memory["ours"],
        theirs,
        theirs / memory["ours"] if theirs else None,
        "GB",
        note=note,
    )
    for precision, difference in said["ours"][0]["logits"].items():
        yield Row(
            f"logits/{case.net}/{precision}",
            difference,
            None,
            None,
            "of the largest logit",
            note="float32 here against float32 on the CPU",
        )


def operations(case: AcceleratorCase) -> float:
    """Of training on one image: forward, and the gradients by activations and by weights."""
    return (1 + cost.BACKWARD) * float(cost.forward_operations(case.blocks, case.width, case.size))


def _turn(case: AcceleratorCase, python: str, module: str, steps: int, *, logits: bool) -> dict[str, Any]:
    """What one side says of itself, in a process that ends."""
    with contextlib.closing(turns.Worker(python, module, os.environ | MEMORY)) as side:
        side.prepare(case, Path())
        said: dict[str, Any] = side.ask("describe", logits=logits)
        seconds = side.run("", steps)
    return said | {"images_per_second": steps * said["batch"] / seconds}


def tier(workers: int) -> Row:
    """The embedded tier trained anew, its seconds, and what became of the accepted values."""
    command = [sys.executable, "-m", "pytest", "benchmarks", "--runs=force", "-n", str(workers)]
    command += ["--store", str(TIER / "store"), "--report", str(TIER)]
    begin = time.perf_counter()
    done = subprocess.run(command, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode > 1:  # 1 is a drift, which is what is to be told
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return Row(f"tier/embedded/{workers} workers", seconds, None, None, "s", note=drift(TIER / "report.json"))


def drift(report: Path) -> str:
    """Such as `155 ok, 12 drifted`."""
    checks = json.loads(report.read_text(encoding="utf-8"))["expectations"]
    statuses = [check["status"] for check in checks]
    return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(sorted(statuses)))


if __name__ == "__main__":
    sys.exit(main())
