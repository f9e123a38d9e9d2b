"""What a metric rests on, counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from medbench.metrics.evidence import resting_on
from medbench.metrics.sample import Sample
from medbench.spec.metrics import (
    EqualizedOddsGap,
    GroupGap,
    MisclassificationAuc,
    OutOfDistributionAuc,
    RiskCoverageArea,
    RocAuc,
    WorstGroup,
)
from tests.judging import scored
from tests.metrics.handmade import FINDINGS, predictions

LABELS = np.array([1, 1, 1, 0, 0, 0, 0, 0])
SCORES = np.array([2.0, 1.0, -1.0, -2.0, -1.0, 1.0, -2.0, -1.0])
PATIENTS = ["a", "a", "b", "c", "d", "e", "f", "f"]
SEX = np.array(["f", "f", "m", "m", "m", "f", "f", "m"])


def sample(**changes):
    return Sample(scored(LABELS, SCORES, patients=PATIENTS, attributes={"sex": SEX}), **changes)


@pytest.mark.parametrize(
    ("spec", "patients"),
    [
        (RocAuc(), 2),  # a and b have it
        (MisclassificationAuc(), 2),  # wrong: b and e
        (RiskCoverageArea(), 2),
        (GroupGap(of="roc_auc", attributes=["sex"], smallest=2), 1),  # of those who have it, f: a; m: b
        (EqualizedOddsGap(attributes=["sex"], smallest=2), 1),
        (GroupGap(of="roc_auc", attributes=["sex"], smallest=9), 0),  # no group is large enough
    ],
    ids=lambda value: getattr(value, "identity", None),
)
def test_a_metric_rests_on_the_patients_of_its_smallest_cell(spec, patients):
    assert resting_on(spec, sample()) == patients


@pytest.mark.parametrize("label", ["benign", "malignant"])
def test_either_of_two_classes_rests_on_both(label):
    assert resting_on(RocAuc(label=label), sample()) == 2


SEVERAL = np.array([[1, 1], [1, 0], [1, 0], [1, 0], [0, 0], [0, -1], [0, 0], [0, 0]])
"""Two patients of either sex have a nodule, one of all has an effusion."""


@pytest.mark.parametrize(("label", "whole", "in_groups"), [("nodule", 4, 2), ("effusion", 1, 1), ("", 1, 1)])
def test_a_metric_of_one_label_rests_on_that_label_alone_in_groups_too(label, whole, in_groups):
    findings = predictions(FINDINGS, SEVERAL, np.zeros((8, 2)))
    found = Sample(replace(findings, attributes={"sex": np.array(["f", "m"] * 4)}))
    inner, by_sex = RocAuc(label=label), {"of": "auc", "attributes": ["sex"], "smallest": 2}
    assert resting_on(inner, found) == whole
    assert resting_on(GroupGap(**by_sex), found, inner) == in_groups
    assert resting_on(WorstGroup(**by_sex), found, inner) == in_groups


def test_a_gap_of_what_calls_are_worth_rests_on_the_wrong_and_right_calls_of_each_group():
    found = sample()
    gap = GroupGap(of="misclassification_auroc", attributes=["sex"], smallest=2)
    assert resting_on(gap, found, MisclassificationAuc()) == 1  # wrong among f: e; among m: b


def test_who_shows_no_known_label_is_nobodys_evidence():
    known = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1], [0, 0], [1, -1], [0, -1]])
    logits = np.where(known == 0, -1.0, 1.0)
    logits[[0, 1, 3], 0] *= -1  # wrong calls of three of eight
    logits[[2, 3], 1] *= -1  # and of two of six
    found = Sample(predictions(FINDINGS, known, logits))
    assert resting_on(MisclassificationAuc(), found) == 2
    known[[3, 4, 5], 1] = -1  # one wrong and two right calls are left
    assert resting_on(MisclassificationAuc(), Sample(predictions(FINDINGS, known, logits))) == 1


def test_telling_a_shift_from_home_rests_on_the_smaller_of_the_two():
    shifted = np.array([False] * 3 + [True] * 5)
    assert resting_on(OutOfDistributionAuc(), sample(shifted=shifted)) == 2
    assert resting_on(OutOfDistributionAuc(), sample()) == 0
