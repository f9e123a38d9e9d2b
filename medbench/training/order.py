"""Which images are in which batch: drawn before training starts, so that a step needs nothing of the past."""

import numpy as np
from numpy.typing import NDArray


def batch_order(n: int, *, batch_size: int, steps: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """The images of every batch.

    Epochs are shuffled one by one and laid end to end, so that no image is seen twice more often
    than another. With fewer images than a batch has places, images are drawn with replacement, as
    the released BiT code does.

    Args:
      n: number of training images, at least 1.
      batch_size: places in a batch.
      steps: number of batches.
      generator: consumed from where it stands.

    Returns:
      (steps, batch_size) indices in [0, n).
    """
    places = steps * batch_size
    if n < batch_size:
        return generator.integers(n, size=(steps, batch_size))
    epochs = [generator.permutation(n) for _ in range(-(-places // n))]
    return np.concatenate(epochs)[:places].reshape(steps, batch_size)
