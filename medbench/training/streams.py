"""The random streams of a run, one per purpose, so that arms of one seed differ in nothing but the arm.

Everything random in training descends from here; nothing here imports jax.
"""

import numpy as np

INIT, ORDER, AUGMENTATION, SUBSET = range(4)
"""Fresh parameters; the order of training images; flips, crops and MixUp; the choice of patients."""


def sequence(seed: int, stream: int) -> np.random.SeedSequence:
    """The seed sequence of one stream: equal arguments, equal numbers; streams are independent.

    Args:
      seed: the run's seed, at least 0.
      stream: `INIT`, `ORDER`, `AUGMENTATION` or `SUBSET`.
    """
    return np.random.SeedSequence([seed, stream])


def generator(seed: int, stream: int) -> np.random.Generator:
    """A numpy generator at the start of a stream."""
    return np.random.default_rng(sequence(seed, stream))


def key_seed(seed: int, stream: int) -> int:
    """A 32-bit number for `jax.random.key`, from the same stream."""
    return int(sequence(seed, stream).generate_state(1, np.uint32)[0])
