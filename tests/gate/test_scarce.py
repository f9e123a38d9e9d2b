"""Tiny cohorts: the short measurement, and its pieces against closed forms."""

from typing import get_args

import numpy as np
import pytest
from scipy.stats import norm

from medbench import over_patients
from medbench.data.cohort import ID
from medbench.gate import scarce as module
from medbench.gate.scarce import (
    DECLARED,
    SMOOTH,
    THREE_LABELS,
    WORLDS,
    Arm,
    Cell,
    Counts,
    World,
    cells,
    draw,
    of_kind,
    one,
    rows,
    scarce,
    table,
    true_effect,
)
from medbench.metrics import Sample, metric_named
from medbench.metrics.influence import influence
from medbench.spec.metrics import KINDS, OF_RUN, MetricSpec
from tests.metrics.handmade import BINARY


@pytest.fixture(autouse=True)
def _fewer(monkeypatch):
    """Seconds instead of minutes."""
    monkeypatch.setattr(over_patients, "REPLICATES", 200)
    monkeypatch.setattr(module, "_POPULATION", 6_000)
    for cached in (true_effect, module._everybody):
        cached.cache_clear()
    yield
    for cached in (true_effect, module._everybody):
        cached.cache_clear()


@pytest.mark.parametrize(
    "kind", ["roc_auc", "nll", "brier", THREE_LABELS, "average_precision", "ece", "ood_auroc"]
)
@pytest.mark.parametrize("patients", [4, 30])
def test_a_tiny_cohort_does_not_support_what_just_does_not_hold(kind, patients):
    cell = Cell(kind, "non-inferiority", patients, 3)
    assert scarce(cell, 8, np.random.default_rng(1)) <= 2  # 5 of 100 would exceed it in 1 of 170


@pytest.mark.parametrize("predicate", ["non-inferiority", "equivalence"])
@pytest.mark.parametrize("patients", [30, 60])
def test_arms_that_agree_on_all_patients_drawn_are_not_called_equal(predicate, patients):
    random = np.random.default_rng(2)
    judged = [
        one(Cell("brier", predicate, patients, 3), "alike but for a few", random, gains=bool(i % 2))
        for i in range(40)
    ]
    assert not [j for j in judged if j.verdict == "supported"]
    seen_nothing = [j for j in judged if j.effect and j.effect.low > -0.005 and j.effect.high < 0.005]
    assert seen_nothing  # intervals that would have supported it
    assert all(j.margin > 0.015 for j in seen_nothing)


def test_the_measured_effect_is_the_true_one():
    random, cell = np.random.default_rng(3), Cell("brier", "superiority", 120, 3)
    found = [one(cell, "apart", random, gains=True).effect.value for _ in range(20)]
    assert np.mean(found) == pytest.approx(abs(true_effect("brier", "apart")), rel=0.2)


@pytest.mark.parametrize(
    ("predicate", "gains", "sign"),
    [("non-inferiority", False, -1), ("superiority", True, 1), ("equivalence", True, 1)],
)
@pytest.mark.parametrize("kind", ["roc_auc", "nll"])
def test_the_true_effect_lies_on_the_margin_outside_the_claim(kind, predicate, gains, sign):
    random = np.random.default_rng(4)
    judged = [one(Cell(kind, predicate, 120, 3), "apart", random, gains=gains) for _ in range(8)]
    margins = {j.margin for j in judged}
    assert margins == {abs(true_effect(kind, "apart"))}
    assert sign * np.mean([j.effect.value for j in judged]) > 0


def test_the_true_area_is_that_of_the_binormal_model(monkeypatch):
    world = World((Arm(1.5, second=1.0), Arm(1.0, second=1.0)), between_seeds=0.0)
    monkeypatch.setitem(WORLDS, "apart", world)
    monkeypatch.setattr(module, "_POPULATION", 40_000)
    first, second = (norm.cdf(separation / 2**0.5) for separation in (1.5, 1.0))
    assert true_effect("roc_auc", "apart") == pytest.approx(second - first, abs=0.01)
    assert true_effect(THREE_LABELS, "apart") == pytest.approx(second - first, abs=0.01)


def test_patients_images_are_correlated_and_both_arms_have_the_same_patients():
    random = np.random.default_rng(5)
    arms = draw(WORLDS["near the ceiling"], 4000, np.zeros((2, 1)), random, target=BINARY, where=ID)
    one_run, other = arms[0][0], arms[1][0]
    assert (one_run.patient == other.patient).all()
    assert (one_run.labels == other.labels).all()
    images = np.unique(one_run.patient, return_counts=True)[1]
    assert sorted(set(images)) == [1, 2, 3]
    noise = one_run.logits[:, 1] / 3.2
    for label in (0, 1):
        for group in ("first", "second"):
            alike = (one_run.labels[:, 1] == label) & (one_run.attributes["group"] == group)
            noise[alike] -= noise[alike].mean()
    same = one_run.patient[1:] == one_run.patient[:-1]
    assert np.mean(noise[1:][same] * noise[:-1][same]) == pytest.approx(0.5, abs=0.06)
    assert noise.var() == pytest.approx(1.0, abs=0.06)


def test_a_few_patients_of_the_second_group_are_failed_and_the_others_agree():
    random = np.random.default_rng(6)
    arms = draw(WORLDS["alike but for a few"], 4000, np.zeros((2, 1)), random, target=BINARY, where=ID)
    difference = arms[1][0].logits[:, 1] - arms[0][0].logits[:, 1]
    failed = np.abs(difference) > 0.3
    assert set(arms[0][0].attributes["group"][failed]) == {"second"}
    assert len(np.unique(arms[0][0].patient[failed])) / 4000 == pytest.approx(0.04, abs=0.015)


def test_every_kind_of_metric_is_studied_with_every_number_of_patients_and_seeds():
    of_predictions = {kind for kind in KINDS if kind not in get_args(OF_RUN)}
    assert {type(spec) for spec in DECLARED.values()} == of_predictions
    planned = [cell for kind in DECLARED for cell in cells(kind)]
    assert {cell.kind for cell in planned} == set(DECLARED)
    assert len(planned) == len(set(planned))
    assert {cell.patients for cell in planned} == {4, 8, 15, 30, 60, 120}
    assert {cell.seeds for cell in planned} == {1, 2, 3, 5, 10}
    assert {cell.predicate for cell in planned} == {"non-inferiority", "equivalence", "superiority"}


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_kinds_are_those_with_influences(name):
    spec: MetricSpec = SMOOTH[name]
    scored = draw(WORLDS["apart"], 40, np.zeros((2, 1)), np.random.default_rng(7), target=BINARY, where=ID)[
        0
    ][0]
    assert influence(spec, Sample(scored, scored)) is not None
    assert metric_named(name, DECLARED).spec is spec


def test_the_table_has_a_row_for_each_claim_and_a_column_for_each_size():
    tried = Counts({Cell("accuracy", "superiority", patients, 3): 4 for patients in (15, 8)})
    found = rows(Counts(), tried)
    assert [(row.n_patients, row.rate, row.cohorts) for row in found] == [(8, 0, 4), (15, 0, 4)]
    assert 0.5 < found[0].high < 0.7
    head, _, line = table(found)
    assert head == "| metric | claim | seeds | 8 patients | 15 patients |"
    assert line == "| accuracy | superiority | 3 | 0.0% [0.0%, 60.2%] | 0.0% [0.0%, 60.2%] |"


def test_all_cells_of_a_kind_are_counted(monkeypatch):
    monkeypatch.setattr(module, "scarce", lambda cell, cohorts, random: cell.patients == 30)
    supported, tried = of_kind("roc_auc", np.random.default_rng(0))
    assert tried == cells("roc_auc")
    assert supported.total() == sum(cell.patients == 30 for cell in tried)
