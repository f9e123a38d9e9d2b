"""timm's BiT on an NVIDIA GPU: torch.compile, bfloat16 autocast, channels-last; the side of the peer.

Images are bytes that are cropped by their place and mirrored on the device, as ours are.
"""

import gc
import time
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from torch import Tensor
from torch.nn import functional

from bench.cases import LEARNING_RATE, MOMENTUM, AcceleratorCase
from bench.worker import serve

WARM_UP = 3
NAMES = {
    "r50x1": "resnetv2_50x1_bit",
    "r101x3": "resnetv2_101x3_bit",
    "r152x4": "resnetv2_152x4_bit",
}


FEWEST = 8
"""Images in a batch below which activations are rather computed twice."""


def prepare(case: AcceleratorCase, folder: Path) -> "Training":  # noqa: ARG001
    """The largest half of the batch that fits, compiled and warm."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    for checkpointed in (False, True):
        batch = case.batch
        while batch >= (1 if checkpointed else FEWEST):
            # Whether it fits is found out without compiling first, which takes minutes less.
            fits = attempt(case, batch, checkpointed=checkpointed, compiled=False) is not None
            if fits and (found := attempt(case, batch, checkpointed=checkpointed, compiled=True)):
                return found
            batch //= 2
    raise SystemExit(f"{case.net} at {case.size} pixels does not fit into this device's memory")


def attempt(case: AcceleratorCase, batch: int, *, checkpointed: bool, compiled: bool) -> "Training | None":
    """A training that is warm, or None where memory does not suffice for it."""
    gc.collect()  # of the attempt before, which may be held by the error that ended it
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    try:
        training = Training(case, batch, checkpointed=checkpointed, compiled=compiled)
        training.run("", WARM_UP)
    except torch.OutOfMemoryError:
        return None
    return training


class Training:
    """SGD with momentum."""

    def __init__(
        self,
        case: AcceleratorCase,
        batch: int,
        *,
        checkpointed: bool,
        compiled: bool,
        device: Literal["cuda", "cpu"] = "cuda",
    ) -> None:
        self._device, self._size, self._batch = device, case.size, batch
        self._how = f"batch {batch}" + (", activations computed twice" if checkpointed else "")
        net = timm.create_model(NAMES[case.net], pretrained=False, num_classes=case.classes)
        net.set_grad_checkpointing(checkpointed)
        net = net.to(device=device, memory_format=torch.channels_last).train()
        self._optimiser = torch.optim.SGD(net.parameters(), LEARNING_RATE, momentum=MOMENTUM, fused=True)
        self._net = net
        self._apply = torch.compile(self._loss, dynamic=False) if compiled else self._loss
        generator = torch.Generator().manual_seed(0)
        side = case.size * 9 // 8
        self._images = torch.randint(256, (batch, side, side, 3), dtype=torch.uint8, generator=generator)
        self._labels = torch.randint(case.classes, (batch,), generator=generator)
        if device == "cuda":
            self._images, self._labels = self._images.pin_memory(), self._labels.pin_memory()

    def _loss(self, squares: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(self._net((squares.float() - 127.5) / 127.5), labels)

    def variants(self) -> list[str]:
        """One."""
        return [""]

    def difference(self, variant: str) -> float:  # noqa: ARG002
        """Its weights are random and its own: nothing to be held against."""
        return 0.0

    def describe(self, *, logits: bool) -> dict[str, Any]:  # noqa: ARG002
        """Images in a step, how they are computed, and the most memory that was taken."""
        return {
            "batch": self._batch,
            "how": self._how,
            "peak_bytes": torch.cuda.max_memory_allocated(),
            "logits": {},
        }

    def run(self, variant: str, steps: int) -> float:  # noqa: ARG002
        """Seconds that so many steps take."""
        begin = time.perf_counter()
        for _ in range(steps):
            images = self._images.to(self._device, non_blocking=True).permute(0, 3, 1, 2)
            labels = self._labels.to(self._device, non_blocking=True)
            with torch.autocast(self._device, dtype=torch.bfloat16):
                loss = self._apply(augment(images, self._size), labels)
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._optimiser.step()
        loss.item()
        return time.perf_counter() - begin


def augment(images: Tensor, size: int) -> Tensor:
    """A random square of every image, every other one mirrored at random.

    Args:
      images: (n, 3, side, side) uint8 on the device.
      size: pixels of the square.

    Returns:
      (n, 3, size, size) uint8, channels last in memory.
    """
    n, _, side, _ = images.shape
    corner = torch.randint(side - size + 1, (n, 2, 1), device=images.device)
    places = torch.arange(size, device=images.device)
    rows, columns = corner[:, 0] + places, corner[:, 1] + places
    mirrored = torch.rand(n, 1, device=images.device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    number = torch.arange(n, device=images.device)[:, None, None]
    squares = images.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]]
    return squares.permute(0, 3, 1, 2)


if __name__ == "__main__":
    serve(prepare)
