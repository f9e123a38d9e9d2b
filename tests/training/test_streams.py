"""Streams: independent of each other, equal for equal seeds, and stable over time."""

import numpy as np

from medbench.training import streams


def test_equal_seeds_give_equal_numbers():
    a = streams.generator(3, streams.ORDER).random(5)
    b = streams.generator(3, streams.ORDER).random(5)
    np.testing.assert_array_equal(a, b)


def test_streams_and_seeds_differ_from_each_other():
    firsts = {
        streams.key_seed(seed, stream)
        for seed in range(5)
        for stream in (streams.INIT, streams.ORDER, streams.AUGMENTATION, streams.SUBSET)
    }
    assert len(firsts) == 20


def test_the_streams_are_those_of_the_accepted_runs():
    """Renumbering a stream or changing the generator would silently change every accepted number."""
    assert streams.key_seed(1, streams.AUGMENTATION) == np.random.SeedSequence([1, 2]).generate_state(1)[0]
    assert streams.generator(1, streams.ORDER).integers(1000, size=4).tolist() == [518, 331, 362, 611]
