"""The order of training images: whole epochs, every image equally often."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medbench.training.order import batch_order


def order(n, batch_size, steps, seed=0):
    return batch_order(n, batch_size=batch_size, steps=steps, generator=np.random.default_rng(seed))


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20))
def test_no_image_is_seen_twice_more_often_than_another(n, batch_size, steps):
    drawn = order(n, batch_size, steps)
    assert drawn.shape == (steps, batch_size)
    assert drawn.min() >= 0
    assert drawn.max() < n
    if n >= batch_size:
        counts = np.bincount(drawn.ravel(), minlength=n)
        assert counts.max() - counts.min() <= 1


def test_every_epoch_holds_every_image_once_in_another_order():
    first, second = order(12, 4, 6).reshape(2, 12)
    assert sorted(first) == sorted(second) == list(range(12))
    assert first.tolist() != second.tolist()


def test_fewer_images_than_places_are_drawn_with_replacement():
    drawn = order(3, 8, 200)
    counts = np.bincount(drawn.ravel())
    np.testing.assert_allclose(counts / drawn.size, 1 / 3, atol=0.05)
    assert any(len(set(np.bincount(batch, minlength=3))) > 2 for batch in drawn)


def test_equal_generators_give_equal_orders():
    np.testing.assert_array_equal(order(50, 7, 9, seed=5), order(50, 7, 9, seed=5))
    assert not np.array_equal(order(50, 7, 9, seed=5), order(50, 7, 9, seed=6))
