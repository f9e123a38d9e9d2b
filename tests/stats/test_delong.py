"""DeLong against the definition by pairs, against scikit-learn, and against the bootstrap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from medbench.metrics.discrimination import binary_roc_auc
from medbench.stats.bootstrap import patient_weights
from tests.stats.delong import delong


def paired(n, rng, ties=False):
    draw = np.random.default_rng(rng)
    labels = (draw.random(n) < 0.4).astype(np.int8)
    scores = np.stack([draw.normal(size=n) + labels, draw.normal(size=n) + 0.5 * labels])
    scores[1] += 0.7 * scores[0]
    return labels, np.round(scores) if ties else scores


def by_definition(labels, scores):
    """The covariance of DeLong et al. (1988), pair by pair."""
    positive, negative = scores[:, labels == 1], scores[:, labels == 0]
    won = (positive[:, :, None] > negative[:, None]) + 0.5 * (positive[:, :, None] == negative[:, None])
    v10, v01 = won.mean(axis=2), won.mean(axis=1)
    return won.mean(axis=(1, 2)), np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]


@pytest.mark.parametrize("ties", [False, True])
def test_areas_and_covariance_are_those_of_the_definition(ties):
    labels, scores = paired(80, 1, ties)
    areas, covariance = delong(labels, scores)
    expected_areas, expected = by_definition(labels, scores)
    np.testing.assert_allclose(areas, expected_areas)
    np.testing.assert_allclose(covariance, expected)
    np.testing.assert_allclose(areas, [roc_auc_score(labels, s) for s in scores])


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=4, max_size=20))
def test_the_definition_holds_for_any_ties(rows):
    labels = np.array([label for label, _ in rows], dtype=np.int8)
    if min(labels.sum(), (1 - labels).sum()) < 2:
        return
    scores = np.array([[score for _, score in rows], [-score for _, score in rows]], dtype=float)
    areas, covariance = delong(labels, scores)
    expected_areas, expected = by_definition(labels, scores)
    np.testing.assert_allclose(areas, expected_areas, atol=1e-12)
    np.testing.assert_allclose(covariance, expected, atol=1e-12)


def test_patients_with_one_image_each_are_images():
    labels, scores = paired(50, 2)
    _, images = delong(labels, scores)
    _, patients = delong(labels, scores, np.array([f"p{i}" for i in range(50)]))
    np.testing.assert_allclose(patients, images)


def test_copying_every_image_of_a_patient_adds_no_information():
    labels, scores = paired(50, 3)
    _, images = delong(labels, scores)
    twice = np.repeat([f"p{i}" for i in range(50)], 2)
    areas, patients = delong(np.repeat(labels, 2), np.repeat(scores, 2, axis=1), twice)
    np.testing.assert_allclose(patients, images)
    np.testing.assert_allclose(areas, delong(labels, scores)[0])


def of_clusters(labels, scores, patients):
    """The covariance of Obuchowski (1997), patient by patient, with components found pair by pair."""
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    names = sorted(set(patients))
    deviations = np.zeros((2, len(scores), len(names)))
    for m, score in enumerate(scores):
        won = np.array(
            [[(score[i] > score[j]) + 0.5 * (score[i] == score[j]) for j in negative] for i in positive]
        )
        for c, name in enumerate(names):
            for row, i in enumerate(positive):
                deviations[0, m, c] += (won[row].mean() - won.mean()) * (patients[i] == name)
            for column, j in enumerate(negative):
                deviations[1, m, c] += (won[:, column].mean() - won.mean()) * (patients[j] == name)
    in_positive, in_negative = len(set(patients[positive])), len(set(patients[negative]))
    s10 = deviations[0] @ deviations[0].T * in_positive / (in_positive - 1) / len(positive)
    s01 = deviations[1] @ deviations[1].T * in_negative / (in_negative - 1) / len(negative)
    s11 = deviations[0] @ deviations[1].T * len(names) / (len(names) - 1)
    return s10 / len(positive) + s01 / len(negative) + (s11 + s11.T) / (len(positive) * len(negative))


@pytest.mark.parametrize("ties", [False, True])
def test_the_covariance_over_patients_is_that_of_the_definition(ties):
    labels, scores = paired(40, 6, ties)
    patients = np.array([f"p{i}" for i in np.random.default_rng(7).integers(0, 9, 40)])
    areas, covariance = delong(labels, scores, patients)
    np.testing.assert_allclose(covariance, of_clusters(labels, scores, patients))
    np.testing.assert_allclose(areas, [roc_auc_score(labels, s) for s in scores])


def test_a_patient_whose_images_of_both_classes_rise_together_is_its_own_control():
    draw = np.random.default_rng(8)
    patients, labels = np.repeat([f"p{i:03}" for i in range(300)], 2), np.tile([0, 1], 300).astype(np.int8)
    scores = labels + np.repeat(draw.normal(size=300), 2) + 0.5 * draw.normal(size=600)
    _, covariance = delong(labels, scores[None], patients)
    (weights,) = patient_weights(patients, 3000, np.random.SeedSequence(9))
    replicates = binary_roc_auc(scores, labels, weights, name="x").values
    assert covariance[0, 0] == pytest.approx(np.var(replicates), rel=0.1)
    assert covariance[0, 0] < 0.4 * delong(labels, scores[None])[1][0, 0]


def test_with_patients_that_show_both_classes_it_agrees_with_the_patient_bootstrap():
    draw = np.random.default_rng(4)
    patients = np.repeat([f"p{i:03}" for i in range(300)], 3)
    ill = np.repeat(draw.choice([0.05, 0.9], size=300), 3)
    labels = (draw.random(900) < ill).astype(np.int8)
    own = np.repeat(draw.normal(size=300), 3)
    scores = np.stack([labels + own + draw.normal(size=900), 0.6 * labels + own + draw.normal(size=900)])
    _, covariance = delong(labels, scores, patients)
    (weights,) = patient_weights(patients, 2000, np.random.SeedSequence(5))
    replicates = [binary_roc_auc(s, labels, weights, name="x").values for s in scores]
    np.testing.assert_allclose(covariance, np.cov(replicates), rtol=0.12)
    _, wrong = delong(labels, scores)
    assert abs(wrong[0, 0] / np.var(replicates[0]) - 1) > 0.2


@pytest.mark.parametrize("labels", [[1, 1, 0, 0, 0], [0, 0, 1, 1, 1]])
def test_one_patient_of_a_class_gives_no_covariance(labels):
    with pytest.raises(
        ValueError,
        match=r"^DeLong's covariance needs two patients with positive and two with negative images$",
    ):
        delong(np.array(labels, dtype=np.int8), np.zeros((1, 5)), np.array(list("aabcd")))
