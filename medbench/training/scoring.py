"""Logits and features of many images, every one exactly once, in batches of one fixed shape.

Kernels are standardized once for all batches, and predictions fetched at the end, not between them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medbench.training.mesh import Layout
from medbench.training.step import Network, keep_close, predict_step


class Scorer:
    """A net as it is now, made ready for all images that it will score; without augmentation."""

    def __init__(self, params: Any, *, network: Network, batch_size: int, layout: Layout) -> None:
        """Prepares the kernels.

        Args:
          params: of `network`; not to be donated to another step while this scores.
          network: the architecture.
          batch_size: the last batch is filled up with black images, whose scores are dropped.
          layout: where `params` lie.
        """
        self._params, self._network = network.prepare(params), network.prepared
        self._batch_size, self._layout = batch_size, layout

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Of images (n, size, size, 1 or 3), where n may be 0: (n, classes)."""
        scored: list[Any] = []
        for batch in self._batches(images):
            scored.append(predict_step(self._params, batch, network=self._network)[0])
            keep_close(scored)
        empty = np.zeros((0, self._network.classes), np.float32)
        return np.concatenate([empty, *map(self._layout.fetched, scored)])[: len(images)]

    def features(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float16]]:
        """Pooled features by stage, held to 16 bits.

        Args:
          images: (n, size, size, 1 or 3), n at least 1.

        Returns:
          stage -> (n, c), for `root`, `block1` to `block4` and `pre_logits`, or what another net than BiT
          has.
        """
        batches = [
            self._layout.fetched(predict_step(self._params, batch, network=self._network)[1])
            for batch in self._batches(images)
        ]
        return {
            stage: np.concatenate([batch[stage] for batch in batches])[: len(images)].astype(np.float16)
            for stage in batches[0]
        }

    def _batches(self, images: NDArray[np.uint8]) -> Iterator[Any]:
        for begin in range(0, len(images), self._batch_size):
            yield self._layout.batch(_filled(images[begin : begin + self._batch_size], self._batch_size))


def _filled(batch: NDArray[np.uint8], batch_size: int) -> NDArray[np.uint8]:
    """The batch with zeros behind it: another shape would be compiled anew."""
    missing = batch_size - len(batch)
    return np.pad(batch, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else batch
