"""Images that come from the cache of decoded ones to the device in a second, beside what a step asks for.

Both are measured in turn, one while the other rests; how long decoding takes the first time does not enter.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from bench import cases
from bench.cases import NetCase
from bench.ours import VARIANT, Training, random_params
from bench.table import Row
from medbench.data.cohort import TRAIN
from medbench.data.decoded import DecodedImages

IMAGES = 4_000
BATCHES = 100
"""In a turn."""


class DrawnCohort:
    """Random images; as much of a `medbench.data.cohort.Cohort` as decoding asks for."""

    fingerprint = "drawn"

    def examples(self, split: str) -> range:  # noqa: ARG002
        """As many as there are images."""
        return range(IMAGES)

    def images(self, split: str, size: int) -> NDArray[np.uint8]:  # noqa: ARG002
        """(n, size, size, 3)."""
        return np.random.default_rng(0).integers(256, size=(IMAGES, size, size, 3), dtype=np.uint8)


def rows(fastest: NetCase, repetitions: int) -> Iterator[Row]:
    """One row: images per second of the pipeline, and those that the fastest net can take.

    Args:
      fastest: the training whose step asks for most images.
      repetitions: turns of each.
    """
    training = Training(fastest, cases.Problem(random_params(fastest), *cases.random_batches(fastest)))
    training.run(VARIANT, cases.BATCHES)
    with tempfile.TemporaryDirectory(prefix="medbench-bench-") as folder:
        cohort: Any = DrawnCohort()
        images = DecodedImages(cohort, Path(folder))(TRAIN, fastest.image_size)
        given, needed = [], []
        for number in range(repetitions):
            given.append(BATCHES * fastest.batch / seconds(images, fastest.batch, number))
            needed.append(BATCHES * fastest.batch / training.run(VARIANT, BATCHES))
    ratios = [one / other for one, other in zip(given, needed, strict=True)]
    yield Row(
        f"input/{fastest.image_size}px",
        median(given),
        median(needed),
        median(ratios),
        "images/s",
        (min(ratios), max(ratios)),
        note=f"beside what {fastest.name} takes in",
    )


def seconds(images: NDArray[np.uint8], batch: int, seed: int) -> float:
    """Of bringing batches in random order from a mapped array to the device, as training does."""
    order = np.random.default_rng(seed).integers(len(images), size=(BATCHES, batch))
    begin = time.perf_counter()
    for rows_ in order:
        jax.block_until_ready(jax.device_put(images[rows_]))
    return time.perf_counter() - begin
