"""What patients who were not drawn may cost, against closed forms for one image a patient."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medbench.metrics import Sample, evaluate, metric_named, pooled
from medbench.metrics.unseen import most_unseen
from medbench.spec.metrics import BUILT_IN, EqualizedOddsGap, GroupGap, WorstGroup
from tests.metrics.handmade import FINDINGS, THREE, binary, random

SMALL = 1e-6
# A slope saturates: past some share of examples turned round, more of them hardly lower it further.
LEAST_FALL = {"calibration_slope_error": 2}
LEVEL = 0.05


def share(patients):
    """The largest share that so many miss with a probability of one in twenty."""
    return 1 - LEVEL ** (1 / patients)


def grouped(predictions, group):
    return replace(predictions, attributes={"group": np.asarray(group)})


def test_a_share_that_one_cohort_in_twenty_misses_is_about_three_in_n():
    assert share(100) == pytest.approx(3 / 100, rel=0.02)


@pytest.mark.parametrize(("positive", "negative"), [(20, 30), (30, 20), (12, 200), (700, 900)])
def test_of_the_accuracy_it_is_the_missed_share_of_the_class_that_matters_more(positive, negative):
    outcomes = np.repeat([1, 0], [positive, negative])
    sample = Sample(binary(outcomes, np.where(outcomes == 1, 2.0, -2.0)))
    lost = [share(n) * n / len(outcomes) for n in (positive, negative)]
    assert most_unseen(metric_named("accuracy"), sample, LEVEL) == pytest.approx(max(lost))


@pytest.mark.parametrize(("positive", "negative"), [(20, 30), (300, 12)])
def test_of_an_area_it_is_the_missed_share_of_the_rarer_class(positive, negative):
    outcomes = np.repeat([1, 0], [positive, negative])
    sample = Sample(binary(outcomes, np.linspace(3, -3, len(outcomes))))  # separated, without ties
    rarer, other = sorted((positive, negative))
    # Those planted tie with the one example of the other class that lies furthest out.
    lost = share(rarer) * (1 - 0.5 / other)
    assert most_unseen(metric_named("roc_auc"), sample, LEVEL) == pytest.approx(lost)


def test_patients_count_and_not_images():
    outcomes = np.repeat([1, 0], [40, 60])
    scored = binary(outcomes, np.where(outcomes == 1, 2.0, -2.0))
    pairs = replace(scored, patient=np.array([f"p{i // 2}" for i in range(100)]))
    assert most_unseen(metric_named("accuracy"), Sample(pairs), LEVEL) == pytest.approx(share(30) * 0.6)


def test_unknown_labels_are_in_no_cell():
    outcomes = np.repeat([1, 0], [40, 60])
    scored = binary(outcomes, np.where(outcomes == 1, 2.0, -2.0))
    unknown = scored.labels.copy()
    unknown[40:80] = -1  # leaves 20 patients without the finding
    sample = Sample(replace(scored, labels=unknown))
    # As negative as any: in the midst of those without the finding, so that half their pairs are lost.
    assert most_unseen(metric_named("roc_auc"), sample, LEVEL) == pytest.approx(share(20) / 2)


def test_of_a_gap_and_of_the_worst_group_it_is_what_the_smallest_group_may_lose():
    declared = {
        **BUILT_IN,
        "gap": GroupGap(of="accuracy", attributes=["group"]),
        "worst": WorstGroup(of="accuracy", attributes=["group"]),
    }
    outcomes = np.arange(90) % 2
    group = np.repeat(["a", "b", "few"], [50, 30, 10])
    sample = Sample(grouped(binary(outcomes, np.where(outcomes == 1, 2.0, -2.0)), group))
    for name in ("gap", "worst"):
        assert most_unseen(metric_named(name, declared), sample, LEVEL) == pytest.approx(share(15) / 2)


def test_of_equalised_odds_it_is_what_one_class_of_one_group_may_lose():
    outcomes = np.arange(100) % 2
    scored = binary(outcomes, np.where(outcomes == 1, 2.0, -2.0))
    sample = Sample(grouped(scored, np.repeat(["a", "b"], [60, 40])), validation=scored)
    metric = metric_named("odds", {"odds": EqualizedOddsGap(attributes=["group"])})
    assert most_unseen(metric, sample, LEVEL) == pytest.approx(share(20))


def test_of_telling_a_shift_it_is_images_that_look_as_if_from_the_other_set():
    home, shift = (binary(np.arange(n) % 2, np.full(n, size)) for n, size in ((60, 5.0), (30, 0.1)))
    sample = pooled(home, replace(shift, patient=np.array([f"q{i}" for i in range(30)])))
    assert evaluate(metric_named("ood_auroc"), sample)[0] == 1
    # All of one set look alike, so that those planted tie with the whole of the other.
    assert most_unseen(metric_named("ood_auroc"), sample, LEVEL) == pytest.approx(share(30) / 2)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(sorted(set(BUILT_IN) - {"ood_auroc"})),
    st.integers(20, 60),
    st.integers(0, 9),
    st.sampled_from([FINDINGS, THREE]),
)
def test_it_is_finite_and_falls_with_more_patients(name, n, seed, target):
    metric = metric_named(name)
    few, many = (Sample(random(target, size, seed)) for size in (n, 40 * n))
    if evaluate(metric, few)[0] is None or evaluate(metric, many)[0] is None:
        return
    of_few, of_many = (most_unseen(metric, sample, LEVEL) for sample in (few, many))
    assert 0 <= of_many < np.inf
    assert 0 <= of_few < np.inf
    assert of_many <= of_few / LEAST_FALL.get(name, 5) or of_few < SMALL
