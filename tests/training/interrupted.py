"""A tiny pre-training in a process of its own, killed after a given line of its report."""

import os
import signal
import sys
from pathlib import Path

import numpy as np

from medbench.models import npz
from medbench.training import cache, pretrain
from medbench.training.cifar10 import Photographs
from medbench.training.step import Network, predict_step
from medbench.training.upstream import Settings

SETTINGS = Settings(images=40, steps=9, batch_size=8, seed=3, width=1 / 4)


def photographs() -> Photographs:
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(73, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(73) % 10
    return Photographs("noise", images[:60], labels[:60], images[60:], labels[60:])


def main(folder: Path, compiled: Path, kill_at: str) -> None:
    cache.enable(compiled)
    pretrain.CHECKPOINT_EVERY, pretrain.REPORT_EVERY = 0, 1

    def report(line: str) -> None:
        print(line, flush=True)
        if kill_at and line.startswith(kill_at):
            os.kill(os.getpid(), signal.SIGKILL)

    out = folder / "tiny.npz"
    upstream = pretrain.pretrain(photographs(), SETTINGS, out=out, checkpoints=folder, report=report)
    params = npz.load(out, blocks=SETTINGS.blocks, width=SETTINGS.width)
    logits, _ = predict_step(
        params, photographs().test_images, network=Network(SETTINGS.blocks, SETTINGS.width, 10)
    )
    right = np.mean(np.argmax(logits, axis=1) == photographs().test_labels)
    print(f"accuracy {upstream.accuracy} against {float(right)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
