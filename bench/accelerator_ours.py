"""Our side on an accelerator: the training step in bfloat16, divided as medbench divides it.

What it is held against is elsewhere; logits are compared with the CPU's here, where both are at hand.
"""

import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.errors import JaxRuntimeError

from bench.cases import LEARNING_RATE, MOMENTUM, AcceleratorCase
from bench.worker import serve
from medbench.models import bit
from medbench.training import cache, memory, step
from medbench.training.step import Network, Objective

WARM_UP = 3
COMPILED = Path("build/accelerator/xla")
SCORED = 8
"""Images on which the accelerator's logits are held against the CPU's."""


def prepare(case: AcceleratorCase, folder: Path) -> "Training":  # noqa: ARG001
    """The largest half of the batch that fits when divided as medbench does, compiled and warm."""
    cache.enable(COMPILED)  # as every turn has a process of its own
    batch = case.batch
    while batch:
        if (found := attempt(case, batch)) is not None:
            return found
        batch //= 2
    raise SystemExit(f"{case.net} at {case.size} pixels does not fit into this device's memory")


def attempt(case: AcceleratorCase, batch: int) -> "Training | None":
    """A training that is warm, or None where memory does not suffice for it."""
    try:
        training = Training(case, batch)
        training.run("", WARM_UP)
    except JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            return None
        raise
    return training


class Training:
    """The step that fine-tuning takes."""

    def __init__(self, case: AcceleratorCase, batch: int) -> None:
        side = case.size * 9 // 8
        footprint = memory.Footprint(case.blocks, case.width, side, case.size, "bfloat16")
        self._split = footprint.split(batch, memory=memory.of_device())
        program = bit.Program(rematerialized=self._split.rematerialized)
        self._case, self._batch = case, batch
        self._network = Network(case.blocks, case.width, case.classes, precision="bfloat16", program=program)
        self._objective = Objective("single-label", case.size, True, 0.0, MOMENTUM)
        random = np.random.default_rng(0)
        self._images = random.integers(256, size=(batch, side, side, 3), dtype=np.uint8)
        self._labels = np.eye(case.classes, dtype=np.int8)[random.integers(case.classes, size=batch)]
        self._params = bit.init_params(case.blocks, case.width, case.classes, random)
        head = self._params["head"]["conv2d"]  # logits of zero would show nothing
        head["kernel"] = 0.05 * random.standard_normal(head["kernel"].shape, np.float32)
        self._state = step.start(self._params)
        self._key, self._step = step.random_key(0), 0

    def variants(self) -> list[str]:
        """One."""
        return [""]

    def difference(self, variant: str) -> float:  # noqa: ARG002
        """The peer's weights are its own: there is nothing to be held against."""
        return 0.0

    def describe(self, *, logits: bool) -> dict[str, Any]:
        """Images in a step, how they are divided, and the most memory that was taken.

        Args:
          logits: whether to compare with the CPU's too: precision -> largest difference, relative to the
            largest logit. `default` is what a run has; `highest` shows what is left without TF32.
        """
        stats = jax.local_devices()[0].memory_stats() or {}
        how = f"batch {self._batch} in {self._split.parts} parts"
        if self._split.rematerialized:
            how += ", units computed twice"
        return {
            "batch": self._batch,
            "how": how,
            "peak_bytes": stats.get("peak_bytes_in_use", 0),
            "logits": self._logit_differences() if logits else {},
        }

    def run(self, variant: str, steps: int) -> float:  # noqa: ARG002
        """Seconds that so many steps take."""
        losses: list[Any] = []
        begin = time.perf_counter()
        for _ in range(steps):
            self._state, loss = step.train_step(
                self._state,
                self._images,
                self._labels,
                learning_rate=np.float32(LEARNING_RATE),
                key=self._key,
                step=self._step,
                network=self._network,
                objective=self._objective,
                parts=self._split.parts,
            )
            losses.append(loss)
            step.keep_close(losses)
            self._step += 1
        jax.block_until_ready(self._state)
        return time.perf_counter() - begin

    def _logit_differences(self) -> dict[str, float]:
        cpu = jax.local_devices(backend="cpu")[0]
        images = self._images[:SCORED, : self._case.size, : self._case.size]

        def logits(device: jax.Device, program: bit.Program) -> Any:
            network = Network(self._case.blocks, self._case.width, self._case.classes, program=program)
            with jax.default_device(device):
                return np.asarray(step.predict_step(self._params, images, network=network)[0])

        expected = logits(cpu, bit.Program(platform="cpu"))
        found = {}
        for precision in ("default", "highest"):
            with jax.default_matmul_precision(precision):
                here = logits(jax.local_devices()[0], bit.PLAIN)
            found[precision] = float(np.abs(here - expected).max() / np.abs(expected).max())
        return found


if __name__ == "__main__":
    serve(prepare)
