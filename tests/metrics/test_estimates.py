"""The mean over labels, and what it says where one of them is undefined."""

import numpy as np

from medbench.metrics.estimates import Estimates, mean_over


def estimates(values, reason):
    defined = ~np.isnan(values)
    return Estimates(np.where(defined, values, 0.0), defined, "" if defined.all() else reason)


def test_the_mean_over_labels_is_undefined_where_one_is():
    mean = mean_over([estimates([0.5, 1.0, np.nan], "no a"), estimates([0.25, 0.5, 0.5], "no b")])
    np.testing.assert_array_equal(mean.values, [0.375, 0.75, 0.0])
    np.testing.assert_array_equal(mean.defined, [True, True, False])


def test_the_reason_is_that_of_the_first_replicate_that_is_undefined():
    first, second = estimates([0.5, 0.5, np.nan], "no a"), estimates([0.5, np.nan, 0.5], "no b")
    assert mean_over([first, second]).reason == "no b"
    assert mean_over([first, first]).reason == "no a"
    assert mean_over([estimates([0.5], "")] * 2).reason == ""
