"""Running sums of weights against numpy's own, for few replicates and for many."""

import numpy as np
import pytest

from medbench.metrics.running import running_sums


@pytest.mark.parametrize("replicates", [1, 31, 32, 200])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_row_j_is_the_weight_of_the_first_j_examples(replicates, layout):
    rng = np.random.default_rng(replicates)
    weights = np.asarray(rng.integers(0, 4, (replicates, 50)).astype(float), order=layout)
    order = rng.permutation(50)[:20]
    sums = running_sums(weights, order)
    assert not sums[0].any()
    np.testing.assert_array_equal(sums[1:], np.cumsum(weights[:, order], axis=1).T)


def test_of_nothing_there_is_only_the_empty_sum():
    assert running_sums(np.ones((40, 3)), np.array([], dtype=np.intp)).tolist() == [[0.0] * 40]
