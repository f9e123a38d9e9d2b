"""Measures of discrimination against scikit-learn, against counting, and on degenerate input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    roc_auc_score,
    roc_curve,
    top_k_accuracy_score,
)

from medbench.metrics import Sample, evaluate, metric_named
from medbench.metrics.discrimination import (
    average_precision,
    balanced_accuracy,
    binary_roc_auc,
    roc_auc,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
    top_k,
)
from medbench.predictions import Predictions
from medbench.spec.metrics import (
    AveragePrecision,
    BalancedAccuracy,
    RocAuc,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TopK,
)
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


@pytest.fixture(scope="module")
def screened():
    """200 examples of a binary task with ties, and seven weightings of whole numbers."""
    rng = np.random.default_rng(5)
    classes = rng.integers(0, 2, 200)
    scores = rng.integers(0, 12, 200) + 3 * classes
    logits = np.stack([np.zeros(200), scores], axis=1)
    weights = np.vstack([np.ones(200), rng.integers(0, 4, (6, 200))]).astype(float)
    return sample(BINARY, one_hot(classes, 2), logits), classes, scores, weights


def curve(classes, scores, weights):
    """False-positive and true-positive rates at every threshold, as scikit-learn has them."""
    false, true, _ = roc_curve(classes, scores, sample_weight=weights, drop_intermediate=False)
    return false, true


def test_average_precision_is_sklearns_with_weights_and_ties(screened):
    ours, classes, scores, weights = screened
    found = average_precision(AveragePrecision(), ours, weights)
    expected = [average_precision_score(classes, scores, sample_weight=w) for w in weights]
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    assert (found.defined.all(), found.reason) == (True, "")


@pytest.mark.parametrize("least", [0.05, 0.5, 0.8, 0.9, 0.95, 0.99])
def test_sensitivity_at_a_specificity_is_the_best_point_of_sklearns_curve_and_the_reverse(screened, least):
    ours, classes, scores, weights = screened
    sensitivity = sensitivity_at_specificity(SensitivityAtSpecificity(specificity=least), ours, weights)
    specificity = specificity_at_sensitivity(SpecificityAtSensitivity(sensitivity=least), ours, weights)
    for i, row in enumerate(weights):
        false, true = curve(classes, scores, row)
        assert sensitivity.values[i] == pytest.approx(true[1 - false >= least - 1e-12].max())
        assert specificity.values[i] == pytest.approx((1 - false)[true >= least - 1e-12].max())
    assert sensitivity.defined.all()
    assert specificity.defined.all()


@pytest.mark.parametrize(
    ("n", "least"),
    [(10, 0.1), (10, 0.7), (10, 0.9), (20, 0.55), (20, 0.95), (100, 0.07), (100, 0.29), (100, 0.55)],
)
def test_a_share_that_is_just_reached_counts_as_reached(n, least):
    wrong = round(n * (1 - least))
    # One positive, above all negatives but `wrong` of them.
    scores = np.concatenate([[0.0], np.full(wrong, 1.0), np.full(n - wrong, -1.0)])
    labels = np.array([1] + [0] * n)
    logits = np.stack([np.zeros(n + 1), scores], axis=1)
    ones = np.ones((1, n + 1))
    at = sample(BINARY, one_hot(labels, 2), logits)
    spec = SensitivityAtSpecificity(specificity=least)
    assert sensitivity_at_specificity(spec, at, ones).values[0] == 1
    turned = sample(BINARY, one_hot(1 - labels, 2), -logits)
    reverse = SpecificityAtSensitivity(sensitivity=least)
    assert specificity_at_sensitivity(reverse, turned, ones).values[0] == 1


def test_balanced_accuracy_is_sklearns_for_two_classes_and_more():
    rng = np.random.default_rng(6)
    weights = rng.integers(0, 4, (5, 300)).astype(float)
    for target in (BINARY, THREE):
        k = len(target.classes)
        classes, logits = rng.integers(0, k, 300), rng.integers(0, 5, (300, k))
        found = balanced_accuracy(BalancedAccuracy(), sample(target, one_hot(classes, k), logits), weights)
        called = logits.argmax(axis=1)
        expected = [balanced_accuracy_score(classes, called, sample_weight=w) for w in weights]
        np.testing.assert_allclose(found.values, expected, rtol=1e-12)
        assert (found.defined.all(), found.reason) == (True, "")


def test_balanced_accuracy_of_several_labels_is_the_mean_of_sklearns_over_known_examples():
    rng = np.random.default_rng(7)
    labels, logits = rng.integers(-1, 2, (200, 2)), rng.integers(-2, 3, (200, 2))
    weights = rng.integers(0, 4, (5, 200)).astype(float)
    found = balanced_accuracy(BalancedAccuracy(), sample(FINDINGS, labels, logits), weights)
    for value, row in zip(found.values, weights, strict=True):
        each = [
            balanced_accuracy_score(labels[m, i], logits[m, i] > 0, sample_weight=row[m])
            for i, m in enumerate((labels >= 0).T)
        ]
        assert value == pytest.approx(np.mean(each))


def test_a_balanced_accuracy_without_one_class_is_undefined_and_names_it():
    labels, logits = one_hot([0, 1, 2, 2], 3), np.eye(3)[[0, 1, 1, 2]]
    weights = np.array([[1.0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 2, 0]])
    found = balanced_accuracy(BalancedAccuracy(), sample(THREE, labels, logits), weights)
    np.testing.assert_array_equal(found.defined, [True, False, True])
    np.testing.assert_allclose(found.values, [(1 + 1 + 0.5) / 3, 0, 2 / 3])
    assert found.reason == "`b` has no example"
    several = sample(FINDINGS, [[1, 0], [0, 0]], np.zeros((2, 2)))
    reason = "`effusion` has no positive example"
    assert balanced_accuracy(BalancedAccuracy(), several, np.ones((1, 2))).reason == reason


@pytest.mark.parametrize("k", [1, 2])
def test_top_k_is_sklearns_where_there_are_no_ties(k):
    rng = np.random.default_rng(8)
    classes, logits = rng.integers(0, 3, 100), rng.normal(size=(100, 3))
    weights = rng.integers(0, 3, (4, 100)).astype(float)
    found = top_k(TopK(k=k), sample(THREE, one_hot(classes, 3), logits), weights)
    expected = [top_k_accuracy_score(classes, logits, k=k, sample_weight=w) for w in weights]
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    assert (found.defined.all(), found.reason) == (True, "")


def test_of_equal_logits_the_earlier_class_is_called():
    hits = [value_of("accuracy", predictions(THREE, one_hot([i], 3), [[1, 1, 1]])) for i in range(3)]
    assert hits == [(1, ""), (0, ""), (0, "")]
    two = TopK(k=2)
    ones = np.ones((1, 1))
    hits = [top_k(two, sample(THREE, one_hot([i], 3), [[0, 0, 1]]), ones).values[0] for i in range(3)]
    assert hits == [1, 0, 1]
    called = balanced_accuracy(
        BalancedAccuracy(), sample(BINARY, one_hot([0, 1], 2), np.zeros((2, 2))), np.ones((1, 2))
    )
    assert called.values == 0.5
    several = sample(FINDINGS, [[1, 1], [0, 0], [0, 1]], [[0, 1], [0, -1], [0, 1]])
    assert balanced_accuracy(BalancedAccuracy(), several, np.ones((1, 3))).values == (0.5 + 1) / 2


def test_top_k_is_undefined_where_it_means_nothing():
    three = predictions(THREE, one_hot([0], 3), [[1, 0, 0]])
    ones = np.ones((1, 1))
    reason = "the class is always among the 3 largest of 3 logits"
    assert top_k(TopK(k=3), Sample(three), ones).reason == reason
    several = predictions(FINDINGS, [[1, 0]], [[1, 0]])
    assert value_of("accuracy", several) == (
        None,
        "several labels may be true at once, so that none is the example's class",
    )
    nothing = top_k(TopK(), Sample(three), np.zeros((2, 1)))
    assert (nothing.defined.any(), nothing.reason) == (False, "no example has a known class")
    unknown = predictions(THREE, [[-1, -1, -1], [1, 0, 0]], [[0, 1, 0], [1, 0, 0]])
    assert value_of("accuracy", unknown) == (1.0, "")


OF_A_LABEL = {
    roc_auc: RocAuc,
    average_precision: AveragePrecision,
    sensitivity_at_specificity: SensitivityAtSpecificity,
    specificity_at_sensitivity: SpecificityAtSensitivity,
}
ALL = {**OF_A_LABEL, balanced_accuracy: BalancedAccuracy, top_k: TopK}


@pytest.mark.parametrize(("function", "kind"), OF_A_LABEL.items(), ids=lambda f: f.__name__)
def test_a_metric_of_one_label_is_that_of_the_label_against_the_rest(function, kind):
    rng = np.random.default_rng(9)
    ones = np.ones((1, 90))
    labels, logits = rng.integers(-1, 2, (90, 2)), rng.normal(size=(90, 2))
    of_findings = [
        function(kind(label=name), sample(FINDINGS, labels, logits), ones) for name in FINDINGS.classes
    ]
    mean = function(kind(), sample(FINDINGS, labels, logits), ones)
    assert mean.values == pytest.approx(np.mean([each.values for each in of_findings]))
    assert of_findings[0].values != of_findings[1].values

    classes, logits = rng.integers(0, 2, 90), rng.normal(size=(90, 2))
    two = sample(BINARY, one_hot(classes, 2), logits)
    assert function(kind(label="malignant"), two, ones).values == function(kind(), two, ones).values
    turned = sample(BINARY, one_hot(1 - classes, 2), logits[:, ::-1])
    assert function(kind(label="benign"), two, ones).values == function(kind(), turned, ones).values


@pytest.mark.parametrize(("function", "kind"), OF_A_LABEL.items(), ids=lambda f: f.__name__)
def test_a_label_that_the_target_lacks_leaves_the_metric_undefined_with_the_nearest(function, kind):
    found = function(kind(label="malignan"), sample(BINARY, one_hot([0, 1], 2), np.eye(2)), np.ones((3, 2)))
    assert not found.defined.any()
    assert found.values.shape == (3,)
    assert found.reason == "the target has no label `malignan`. Did you mean `malignant`?"


@pytest.mark.parametrize(("function", "kind"), ALL.items(), ids=lambda f: f.__name__)
def test_logits_that_are_not_finite_leave_every_metric_undefined(function, kind):
    logits = np.zeros((3, 2))
    logits[1, 0] = np.nan
    found = function(kind(), sample(BINARY, one_hot([0, 1, 1], 2), logits), np.ones((2, 3)))
    assert not found.defined.any()
    assert found.reason == "1 of 3 examples have logits that are not finite"


@pytest.mark.parametrize(("function", "kind"), OF_A_LABEL.items(), ids=lambda f: f.__name__)
@pytest.mark.parametrize(("kept", "lacking"), [(1, "negative"), (0, "positive")])
def test_without_one_class_there_is_nothing_to_separate(function, kind, kept, lacking):
    weights = np.array([[1.0, 1, 1], [kept == 0, kept == 1, kept == 1]])
    found = function(kind(), sample(BINARY, one_hot([0, 1, 1], 2), np.eye(2)[[0, 1, 1]]), weights)
    np.testing.assert_array_equal(found.defined, [True, False])
    np.testing.assert_array_equal(found.values, [1, 0])
    assert found.reason == f"`malignant` has no {lacking} example"


@pytest.mark.parametrize(("function", "kind"), OF_A_LABEL.items(), ids=lambda f: f.__name__)
def test_one_positive_above_one_negative_is_all_that_it_takes(function, kind):
    found = function(kind(), sample(BINARY, one_hot([0, 1], 2), np.eye(2)), np.ones((1, 2)))
    assert (found.values[0], found.defined[0], found.reason) == (1, True, "")


DEGENERATE = [-3e38, -1.0, 0.0, 0.5, 0.5000001, 3e38]


@pytest.mark.parametrize(("function", "kind"), ALL.items(), ids=lambda f: f.__name__)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_every_replicate_is_that_of_the_examples_repeated(function, kind, data):
    """Weights are counts: the same value as of the examples written out, whatever the ties and gaps."""
    target = data.draw(st.sampled_from([BINARY, THREE, FINDINGS]))
    n, k = data.draw(st.integers(1, 8)), len(target.classes)
    logits = data.draw(hnp.arrays(np.float32, (n, k), elements=st.sampled_from(np.float32(DEGENERATE))))
    if target is FINDINGS:
        labels = data.draw(hnp.arrays(np.int8, (n, k), elements=st.sampled_from([-1, 0, 1])))
    else:
        labels = one_hot(data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, k - 1))), k)
    weights = data.draw(hnp.arrays(np.int64, (3, n), elements=st.integers(0, 3)))
    found = function(kind(), sample(target, labels, logits), weights.astype(float))
    assert bool(found.reason) != found.defined.all()
    assert np.isfinite(found.values).all()
    assert ((found.values >= 0) & (found.values <= 1)).all()
    for value, defined, counts in zip(found.values, found.defined, weights, strict=True):
        again = sample(target, np.repeat(labels, counts, axis=0), np.repeat(logits, counts, axis=0))
        alone = function(kind(), again, np.ones((1, len(again))))
        assert alone.defined[0] == defined
        assert alone.values[0] == pytest.approx(value)


@pytest.mark.parametrize(("function", "kind"), ALL.items(), ids=lambda f: f.__name__)
def test_no_value_depends_on_the_order_of_the_examples(function, kind):
    rng = np.random.default_rng(10)
    labels, logits = one_hot(rng.integers(0, 3, 60), 3), rng.integers(0, 3, (60, 3))
    weights = rng.integers(0, 3, (2, 60)).astype(float)
    shuffled = rng.permutation(60)
    found = function(kind(), sample(THREE, labels, logits), weights)
    moved = function(kind(), sample(THREE, labels[shuffled], logits[shuffled]), weights[:, shuffled])
    np.testing.assert_allclose(found.values, moved.values, rtol=1e-12)
