"""Logits and features of many images, every one exactly once, in batches of one fixed shape."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medbench.training.step import Network, keep_close, predict_step


def logits_of(
    params: Any, images: NDArray[np.uint8], *, network: Network, batch_size: int
) -> NDArray[np.float32]:
    """Logits without augmentation.

    Args:
      params: of `network`.
      images: (n, size, size, 1 or 3); n may be 0.
      network: the architecture.
      batch_size: the last batch is filled up with black images, whose logits are dropped.

    Returns:
      (n, classes).
    """
    scored: list[Any] = []
    for begin in range(0, len(images), batch_size):
        batch = _filled(images[begin : begin + batch_size], batch_size)
        scored.append(predict_step(params, batch, network=network)[0])
        keep_close(scored)
    empty = np.zeros((0, network.classes), np.float32)
    return np.concatenate([empty, *scored])[: len(images)]


def features_of(
    params: Any, images: NDArray[np.uint8], *, network: Network, batch_size: int
) -> dict[str, NDArray[np.float16]]:
    """Pooled features by stage, held to 16 bits; arguments as of `logits_of`, with n at least 1.

    Returns:
      stage -> (n, c), for `root`, `block1` to `block4` and `pre_logits`, or what another net than BiT has.
    """
    batches = [
        predict_step(params, _filled(images[begin : begin + batch_size], batch_size), network=network)[1]
        for begin in range(0, len(images), batch_size)
    ]
    return {
        stage: np.concatenate([batch[stage] for batch in batches])[: len(images)].astype(np.float16)
        for stage in batches[0]
    }


def _filled(batch: NDArray[np.uint8], batch_size: int) -> NDArray[np.uint8]:
    """The batch with zeros behind it: another shape would be compiled anew."""
    missing = batch_size - len(batch)
    return np.pad(batch, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else batch
