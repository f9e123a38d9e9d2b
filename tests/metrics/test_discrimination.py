"""ROC AUC against scikit-learn, against counting pairs, and on degenerate input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from medbench.metrics import Sample, evaluate, metric_named
from medbench.metrics.discrimination import binary_roc_auc, roc_auc
from medbench.predictions import Predictions
from medbench.spec.metrics import RocAuc
from medbench.spec.runs import Target

BINARY = Target(kind="single-label", classes=("benign", "malignant"))
THREE = Target(kind="single-label", classes=("a", "b", "c"))
FINDINGS = Target(kind="multi-label", classes=("nodule", "effusion"))


def predictions(target, labels, logits):
    n = len(labels)
    return Predictions(
        evaluation_set="id",
        target=target,
        image=np.array([f"i{i}" for i in range(n)], dtype=np.str_),
        patient=np.array([f"p{i}" for i in range(n)], dtype=np.str_),
        labels=np.asarray(labels, dtype=np.int8).reshape(n, len(target.classes)),
        logits=np.asarray(logits, dtype=np.float32).reshape(n, len(target.classes)),
        attributes={},
    )


def sample(target, labels, logits):
    return Sample(predictions(target, labels, logits))


def value_of(name, scored):
    return evaluate(metric_named(name), Sample(scored))


def one_hot(classes, k):
    return np.eye(k, dtype=np.int8)[classes]


def test_binary_area_is_sklearns_with_weights_and_ties():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 8, 200).astype(float)
    labels = rng.integers(0, 2, 200).astype(np.int8)
    weights = rng.integers(0, 4, (7, 200)).astype(float)
    area = binary_roc_auc(scores, labels, weights, name="x")
    expected = [roc_auc_score(labels, scores, sample_weight=w) for w in weights]
    np.testing.assert_allclose(area.values, expected, rtol=1e-12)
    assert area.defined.all()
    assert area.reason == ""


@settings(deadline=None)
@given(
    scores=hnp.arrays(np.float32, st.integers(1, 12), elements=st.sampled_from([-1.0, 0.0, 0.5, 3e38])),
    data=st.data(),
)
def test_binary_area_is_the_share_of_pairs_won(scores, data):
    n = len(scores)
    labels = data.draw(hnp.arrays(np.int8, n, elements=st.sampled_from([-1, 0, 1])))
    weights = data.draw(hnp.arrays(np.float64, (3, n), elements=st.sampled_from([0.0, 1.0, 2.5])))
    area = binary_roc_auc(scores.astype(float), labels, weights, name="x")
    for value, defined, w in zip(area.values, area.defined, weights, strict=True):
        pairs = [
            (w[i] * w[j], (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
            for i in range(n)
            for j in range(n)
            if labels[i] == 1 and labels[j] == 0
        ]
        total = sum(weight for weight, _ in pairs)
        assert defined == (total > 0)
        expected = sum(weight * won for weight, won in pairs) / total if total else 0.0
        assert value == pytest.approx(expected)
    assert bool(area.reason) != area.defined.all()


def test_two_single_label_classes_are_scored_by_the_difference_of_logits():
    rng = np.random.default_rng(1)
    classes = rng.integers(0, 2, 50)
    logits = rng.normal(size=(50, 2)).astype(np.float32)
    value, reason = value_of("roc_auc", predictions(BINARY, one_hot(classes, 2), logits))
    margin = logits[:, 1].astype(float) - logits[:, 0].astype(float)
    assert value == pytest.approx(roc_auc_score(classes, margin), abs=1e-12)
    assert reason == ""


def test_more_classes_are_scored_one_against_the_rest_by_probability():
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 3, 90)
    logits = rng.normal(size=(90, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    value, _ = value_of("roc_auc", predictions(THREE, one_hot(classes, 3), logits))
    assert value == pytest.approx(roc_auc_score(classes, probabilities, multi_class="ovr"), abs=1e-9)


def test_probabilities_that_would_round_to_one_are_still_ranked():
    logits = [[0, 0, 200], [0, 0, 100], [0, 0, 150]]
    value, _ = value_of("roc_auc", predictions(THREE, one_hot([2, 0, 1], 3), logits))
    # By log odds, b's example is second of three; softmax would give c the probability 1 everywhere.
    assert value == pytest.approx(np.mean([1.0, 0.5, 1.0]))


def test_unknown_labels_are_left_out_label_by_label():
    rng = np.random.default_rng(3)
    labels = rng.integers(-1, 2, (80, 2)).astype(np.int8)
    logits = rng.normal(size=(80, 2)).astype(np.float32)
    value, _ = value_of("roc_auc", predictions(FINDINGS, labels, logits))
    known = [labels[:, i] >= 0 for i in range(2)]
    expected = np.mean([roc_auc_score(labels[m, i], logits[m, i]) for i, m in enumerate(known)])
    assert value == pytest.approx(expected, abs=1e-12)


def test_an_area_of_one_class_is_undefined_and_says_which_label_lacks_what():
    labels = [[1, 0], [0, 0], [1, -1]]
    value, reason = value_of("roc_auc", predictions(FINDINGS, labels, np.zeros((3, 2))))
    assert value is None
    assert reason == "`effusion` has no positive example"
    value, reason = value_of("roc_auc", predictions(BINARY, one_hot([1, 1], 2), np.zeros((2, 2))))
    assert value is None
    assert reason == "`malignant` has no negative example"


def test_an_area_that_is_defined_has_no_reason():
    area = roc_auc(RocAuc(), sample(FINDINGS, [[1, 1], [0, 0]], np.zeros((2, 2))), np.ones((1, 2)))
    assert (area.defined.all(), area.reason) == (True, "")


def test_a_macro_mean_is_undefined_in_the_replicates_where_one_label_is():
    labels = [[1, 1], [0, 0], [1, 0]]
    weights = np.array([[1.0, 1, 1], [0, 1, 1], [1, 1, 0]])
    area = roc_auc(RocAuc(), sample(FINDINGS, labels, [[1, 1], [0, 0], [1, 2]]), weights)
    np.testing.assert_array_equal(area.defined, [True, False, True])
    np.testing.assert_allclose(area.values, [(1 + 0.5) / 2, 0, 1])
    assert area.reason == "`effusion` has no positive example"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_leave_the_area_undefined(bad):
    logits = np.zeros((3, 2))
    logits[1, :] = logits[2, 0] = bad
    area = roc_auc(RocAuc(), sample(BINARY, one_hot([0, 1, 1], 2), logits), np.ones((2, 3)))
    assert not area.defined.any()
    assert area.values.shape == (2,)
    assert area.reason == "2 of 3 examples have logits that are not finite"


def test_all_scores_equal_is_an_area_of_one_half():
    value, _ = value_of("roc_auc", predictions(BINARY, one_hot([0, 1, 1, 0], 2), np.ones((4, 2))))
    assert value == 0.5
