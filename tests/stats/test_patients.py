"""The variance over patients against textbook forms of a mean over clusters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medbench.stats.patients import influence_by_patient, patients_behind, variance_over_patients


def test_images_are_summed_by_patient_in_the_order_of_names():
    summed = influence_by_patient(np.array([1.0, 2.0, 3.0, 4.0]), np.array(["b", "a", "b", "c"]))
    np.testing.assert_array_equal(summed, [2.0, 4.0, 4.0])


def test_of_a_mean_it_is_the_squared_standard_error():
    values = np.random.default_rng(0).normal(size=17)
    by_patient = (values - values.mean()) / 17
    assert variance_over_patients(by_patient, 17) == pytest.approx(values.var(ddof=1) / 17)


def test_of_a_mean_of_clusters_it_is_cochrans_ratio_estimator():
    draw = np.random.default_rng(1)
    patients = draw.integers(0, 12, 60)
    values = draw.normal(size=60) + patients
    totals = np.array([values[patients == p].sum() for p in range(12)])
    sizes = np.array([(patients == p).sum() for p in range(12)])
    ratio = totals.sum() / sizes.sum()
    expected = 12 / 11 * ((totals - ratio * sizes) ** 2).sum() / sizes.sum() ** 2
    influence = (values - values.mean()) / 60
    by_patient = influence_by_patient(influence, patients.astype(str))
    assert variance_over_patients(by_patient, 12) == pytest.approx(expected)


def test_patients_who_contribute_alike_all_count():
    assert patients_behind(np.array([1.0, -1.0, 1.0, -1.0])) == 4
    assert patients_behind(np.array([2.0, -2.0, 0.0, 0.0, 0.0])) == 2
    assert patients_behind(np.array([1e-200, -1e-200])) == 2
    assert patients_behind(np.zeros(5)) == 0


def test_normal_influences_count_for_a_third():
    by_patient = np.random.default_rng(2).normal(size=20_000)
    assert patients_behind(by_patient) == pytest.approx(20_000 / 3, rel=0.05)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=5))
def test_no_five_patients_whose_influences_cancel_count_for_five(values):
    by_patient = np.round(np.array(values) - np.mean(values), 12)  # equal values leave rounding errors
    assert patients_behind(by_patient) < 5
