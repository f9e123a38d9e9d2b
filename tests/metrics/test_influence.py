"""Influence by closed form against the numerical derivative of the metric itself, and against DeLong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medbench.metrics import calibration, discrimination
from medbench.metrics.influence import influence
from medbench.metrics.sample import Sample
from medbench.predictions import Predictions
from medbench.spec.metrics import (
    BUILT_IN,
    BalancedAccuracy,
    Brier,
    NegativeLogLikelihood,
    RocAuc,
    TopK,
)
from medbench.spec.runs import Target
from medbench.stats.bootstrap import patient_weights
from medbench.stats.patients import influence_by_patient, variance_over_patients
from tests.stats.delong import delong

VALUES = {
    RocAuc: discrimination.roc_auc,
    NegativeLogLikelihood: calibration.negative_log_likelihood,
    Brier: calibration.brier,
    TopK: discrimination.top_k,
    BalancedAccuracy: discrimination.balanced_accuracy,
}
TWO = Target(kind="single-label", classes=("benign", "malignant"))
THREE = Target(kind="single-label", classes=("a", "b", "c"))
FOUR = Target(kind="single-label", classes=("a", "b", "c", "d"))
LABELS = Target(kind="multi-label", classes=("edema", "nodules", "mass"))


def predictions(target, *, n=40, rng=0, unknown=0.2, ties=False):
    draw, k = np.random.default_rng(rng), len(target.classes)
    if target.kind == "multi-label":
        labels = (draw.random((n, k)) < 0.4).astype(np.int8)
        logits = 2 * labels - 1 + draw.normal(size=(n, k))
        labels[draw.random((n, k)) < unknown] = -1
    else:
        true = draw.permutation(np.arange(n) % k)
        labels = np.eye(k, dtype=np.int8)[true]
        logits = 1.5 * labels + draw.normal(size=(n, k))
    return Predictions(
        evaluation_set="id",
        target=target,
        image=np.array([f"i{i}" for i in range(n)]),
        patient=np.array([f"p{i}" for i in draw.integers(0, max(2, n // 3), n)]),
        labels=labels,
        logits=(np.round(logits) if ties else logits).astype(np.float32),
        attributes={},
    )


def numerical(spec, sample, step=1e-4):
    """Central differences of the metric by the weight of one example after another."""
    n = len(sample)
    up, down = (
        VALUES[type(spec)](spec, sample, np.ones((n, n)) + sign * step * np.eye(n)) for sign in (1, -1)
    )
    assert up.defined.all()
    assert down.defined.all()
    return (up.values - down.values) / (2 * step)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("spec", "target"),
    [
        (RocAuc(), TWO),
        (RocAuc(), FOUR),
        (RocAuc(), LABELS),
        (RocAuc(label="benign"), TWO),
        (RocAuc(label="malignant"), TWO),
        (RocAuc(label="c"), FOUR),
        (RocAuc(label="mass"), LABELS),
        (NegativeLogLikelihood(), TWO),
        (NegativeLogLikelihood(), THREE),
        (NegativeLogLikelihood(), FOUR),
        (NegativeLogLikelihood(), LABELS),
        (NegativeLogLikelihood(temperature=True), LABELS),
        (NegativeLogLikelihood(temperature=True), FOUR),
        (Brier(), TWO),
        (Brier(), FOUR),
        (Brier(), LABELS),
        (Brier(temperature=True), TWO),
        (TopK(), TWO),
        (TopK(k=2), FOUR),
        (BalancedAccuracy(), TWO),
        (BalancedAccuracy(), FOUR),
        (BalancedAccuracy(), LABELS),
    ],
    ids=str,
)
def test_influence_is_the_derivative_of_the_metric_by_an_examples_weight(spec, target, ties):
    sample = Sample(predictions(target, ties=ties), validation=predictions(target, rng=1))
    values = influence(spec, sample)
    np.testing.assert_allclose(values, numerical(spec, sample), atol=1e-7)
    assert values.dtype == np.float64
    assert values.sum() == pytest.approx(0, abs=1e-12)
    assert np.abs(values).max() > 1e-3


def test_metrics_that_are_not_smooth_have_no_influence():
    sample = Sample(predictions(TWO))
    smooth = {"roc_auc", "nll", "brier", "accuracy", "balanced_accuracy"}
    assert {name for name, spec in BUILT_IN.items() if influence(spec, sample) is not None} == smooth
    for part in ("reliability", "resolution", "uncertainty"):
        assert influence(Brier(part=part), sample) is None


def test_an_example_whose_label_is_unknown_moves_nothing():
    scored = predictions(LABELS, unknown=0.5)
    unknown = (scored.labels < 0).all(axis=1)
    assert unknown.any()
    for spec in (RocAuc(), NegativeLogLikelihood(), Brier(), BalancedAccuracy()):
        assert (influence(spec, Sample(scored))[unknown] == 0).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([-3e38, -1.0, 0.0, 0.0, 2.0, 3e38])), min_size=2))
def test_influence_is_finite_and_adds_up_to_nothing_for_any_scores(rows):
    labels = np.array([label for label, _ in rows])
    if labels.all() or not labels.any():
        return
    scored = Predictions(
        evaluation_set="id",
        target=TWO,
        image=np.arange(len(rows)).astype(str),
        patient=np.arange(len(rows)).astype(str),
        labels=np.eye(2, dtype=np.int8)[labels.astype(int)],
        logits=np.array([[0.0, score] for _, score in rows], dtype=np.float32),
        attributes={},
    )
    for spec in (RocAuc(), Brier(), TopK(), BalancedAccuracy(), NegativeLogLikelihood()):
        values = influence(spec, Sample(scored))
        assert np.isfinite(values).all()
        assert values.sum() == pytest.approx(0, abs=1e-9 * max(1.0, np.abs(values).max()))


def arms(rng, *, n=300, images=1, both=False):
    """Scores of two arms on the same images, labels and patients; with `both`, patients show both classes."""
    draw = np.random.default_rng(rng)
    patients = np.repeat([f"p{i:04}" for i in range(n)], images)
    share = np.repeat(draw.choice([0.2, 0.7], n) if both else draw.integers(0, 2, n), images)
    labels = (draw.random(n * images) < share).astype(np.int8)
    own = np.repeat(draw.normal(size=n), images)
    scores = np.stack([own + s * labels + draw.normal(size=n * images) for s in (0.8, 1.3)])
    return labels, scores, patients


def of_scores(labels, scores, patients):
    """Influence by patient on the difference of the two areas."""

    def one(score):
        logits = np.stack([np.zeros(len(score)), score], axis=1)
        scored = Predictions(
            evaluation_set="id",
            target=TWO,
            image=np.arange(len(score)).astype(str),
            patient=patients,
            labels=np.eye(2, dtype=np.int8)[labels],
            logits=logits,
            attributes={},
        )
        return influence(RocAuc(), Sample(scored))

    return influence_by_patient(one(scores[1]) - one(scores[0]), patients)


CONTRAST = np.array([-1.0, 1.0])


def test_with_one_image_a_patient_the_variance_is_delongs_up_to_its_factors():
    labels, scores, patients = arms(1, n=61)
    _, covariance = delong(labels, scores)
    delongs = CONTRAST @ covariance @ CONTRAST
    by_patient = of_scores(labels, scores, patients)
    classes = [(labels == value).sum() for value in (0, 1)]
    parts = [float(by_patient[labels == value] @ by_patient[labels == value]) for value in (0, 1)]
    assert sum(p * m / (m - 1) for p, m in zip(parts, classes, strict=True)) == pytest.approx(delongs)
    ours = variance_over_patients(by_patient, min(classes))
    assert delongs <= ours <= delongs * min(classes) / (min(classes) - 1)


def test_with_classes_of_one_size_it_equals_delong():
    draw = np.random.default_rng(2)
    labels = np.repeat([0, 1], 25).astype(np.int8)
    scores = draw.normal(size=(2, 50)) + labels
    _, covariance = delong(labels, scores)
    ours = variance_over_patients(of_scores(labels, scores, np.arange(50).astype(str)), 25)
    assert ours == pytest.approx(CONTRAST @ covariance @ CONTRAST, rel=1e-12)


@pytest.mark.parametrize("both", [False, True])
def test_with_clusters_it_is_obuchowskis_and_agrees_with_the_patient_bootstrap(both):
    labels, scores, patients = arms(3, n=400, images=3, both=both)
    _, covariance = delong(labels, scores, patients)
    rarest = min(len(set(patients[labels == value])) for value in (0, 1))
    ours = variance_over_patients(of_scores(labels, scores, patients), rarest)
    assert ours == pytest.approx(CONTRAST @ covariance @ CONTRAST, rel=1 / (rarest - 1))
    replicates = []
    for weights in patient_weights(patients, 2000, np.random.SeedSequence(4)):
        areas = [discrimination.binary_roc_auc(s, labels, weights, name="x").values for s in scores]
        replicates.append(areas[1] - areas[0])
    # 2,000 replicates: the standard error of a variance is 3 %.
    assert ours == pytest.approx(np.var(np.concatenate(replicates)), rel=0.1)


@pytest.mark.parametrize("spec", [NegativeLogLikelihood(), Brier(), BalancedAccuracy(), TopK(), RocAuc()])
@pytest.mark.parametrize("target", [TWO, FOUR])
def test_the_variance_of_any_metric_agrees_with_the_patient_bootstrap(spec, target):
    scored = predictions(target, n=600, rng=5)
    by_patient = influence_by_patient(influence(spec, Sample(scored)), scored.patient)
    replicates = np.concatenate(
        [
            VALUES[type(spec)](spec, Sample(scored), weights).values
            for weights in patient_weights(scored.patient, 2000, np.random.SeedSequence(6))
        ]
    )
    assert variance_over_patients(by_patient, 200) == pytest.approx(np.var(replicates), rel=0.1)
