"""Parameter trees that are random everywhere, so that no gain, offset or head hides a mistake."""

import jax
import numpy as np
import pytest

from medbench.models import bit


@pytest.fixture(scope="session")
def random_params():
    """`(blocks, width, classes, seed) -> params`, with gains, offsets and head away from 1 and 0."""

    def build(blocks, width, classes, seed=0):
        random = np.random.default_rng(seed)
        params = bit.init_params(blocks, width, classes, random)

        def stir(array):
            noise = random.normal(0, 0.2, array.shape).astype(np.float32)
            return array + noise if array.ndim == 1 or not array.any() else array

        return jax.tree.map(stir, params)

    return build
