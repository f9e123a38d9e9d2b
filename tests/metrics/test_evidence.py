"""What a metric rests on, counted by hand."""

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
)
from tests.judging import scored

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


def test_telling_a_shift_from_home_rests_on_the_smaller_of_the_two():
    shifted = np.array([False] * 3 + [True] * 5)
    assert resting_on(OutOfDistributionAuc(), sample(shifted=shifted)) == 2
    assert resting_on(OutOfDistributionAuc(), sample()) == 0
