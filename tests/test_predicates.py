"""Predicates: what limits make of a margin, and that no verdict is for want of data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medbench.judge import FEWEST_BEHIND, FEWEST_OF_A_CLASS, judge
from medbench.judgement import Interval
from medbench.predicates import PREDICATES, verdict
from medbench.stats.interval import LEVEL
from tests.judging import FakeRun, claim, planned, scored, study

MARGIN = 0.01
ARMS = ("baseline", "treatment")


def shown(predicate, low, high, margin=MARGIN):
    return verdict(Interval(value=(low + high) / 2, low=low, high=high), PREDICATES[predicate](margin))


@pytest.mark.parametrize(
    ("predicate", "low", "high", "expected"),
    [
        ("superiority", 0.011, 0.02, "supported"),
        ("superiority", 0.010, 0.02, "inconclusive"),
        ("superiority", -0.02, 0.010, "inconclusive"),
        ("superiority", -0.02, 0.009, "refuted"),
        ("superiority", -0.02, 0.02, "inconclusive"),
        ("superiority", 0.001, 0.009, "refuted"),
        ("non-inferiority", -0.009, 0.02, "supported"),
        ("non-inferiority", -0.010, 0.02, "inconclusive"),
        ("non-inferiority", -0.02, -0.010, "inconclusive"),
        ("non-inferiority", -0.02, -0.011, "refuted"),
        ("non-inferiority", 0.5, 0.6, "supported"),
        ("equivalence", -0.009, 0.009, "supported"),
        ("equivalence", -0.010, 0.009, "inconclusive"),
        ("equivalence", -0.009, 0.010, "inconclusive"),
        ("equivalence", -0.02, 0.0, "inconclusive"),
        ("equivalence", -0.02, 0.02, "inconclusive"),
        ("equivalence", 0.010, 0.02, "inconclusive"),
        ("equivalence", 0.011, 0.02, "refuted"),
        ("equivalence", -0.02, -0.011, "refuted"),
    ],
)
def test_verdicts_at_a_margin_of_a_hundredth(predicate, low, high, expected):
    assert shown(predicate, low, high) == expected


limits_of = st.tuples(st.floats(-1, 1), st.floats(0, 1)).map(lambda pair: (pair[0], pair[0] + pair[1]))
ORDER = ["refuted", "inconclusive", "supported"]


@settings(deadline=None)
@given(limits_of, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_margin_asks_more_of_superiority_and_less_of_the_others(limits, margin, more):
    for predicate, sign in (("superiority", -1), ("non-inferiority", 1), ("equivalence", 1)):
        at, beyond = (ORDER.index(shown(predicate, *limits, m)) for m in (margin, margin + more))
        assert sign * (beyond - at) >= 0


@settings(deadline=None)
@given(limits_of, st.floats(0, 1))
def test_superiority_implies_non_inferiority_and_so_does_equivalence(limits, margin):
    for stronger in ("superiority", "equivalence"):
        if shown(stronger, *limits, margin) == "supported":
            assert shown("non-inferiority", *limits, margin) == "supported"


@settings(deadline=None)
@given(limits_of, limits_of, st.floats(0, 1), st.sampled_from(sorted(PREDICATES)))
def test_a_wider_interval_never_concludes_what_a_narrower_one_left_open(inner, outer, margin, predicate):
    low, high = min(inner[0], outer[0]), max(inner[1], outer[1])
    narrow, wide = shown(predicate, *inner, margin), shown(predicate, low, high, margin)
    assert wide in (narrow, "inconclusive")


def judged(predicate, runs, *, margin, metric="roc_auc", seeds=(1, 2, 3)):
    effect = 2 * margin if predicate == "superiority" else 0.0
    return judge(
        planned(seeds=seeds, metric=metric),
        claim(predicate=predicate, margin=margin, relevant_effect=effect),
        runs,
    )


@pytest.mark.parametrize(
    ("predicate", "gain", "margin", "expected"),
    [
        ("non-inferiority", 0.0, 0.05, "supported"),
        ("non-inferiority", -1.0, 0.02, "refuted"),
        ("equivalence", 0.0, 0.05, "supported"),
        ("equivalence", 1.0, 0.02, "refuted"),
        ("equivalence", -1.0, 0.02, "refuted"),
        ("superiority", 1.0, 0.02, "supported"),
    ],
)
def test_a_large_study_concludes(predicate, gain, margin, expected):
    result = judged(predicate, study(n_patients=400, gain=gain), margin=margin)
    assert result.verdict == expected
    assert (result.p < LEVEL) == (expected == "supported")
    assert result.settle is None
    assert result.definition.predicate == predicate
    if predicate == "equivalence":
        assert result.detectable is None or 0 < result.detectable < margin
    assert result.note == ""


def test_equivalence_has_both_one_sided_p_values_in_its_own(monkeypatch):
    monkeypatch.setattr("medbench.judge.most_unseen", lambda *_: 0.01)  # of either arm alike
    runs = study(n_patients=200, gain=0.2)
    swapped = {"baseline": runs["treatment"], "treatment": runs["baseline"]}
    two_sided = judged("equivalence", runs, margin=0.05).p
    one_sided = [judged("non-inferiority", r, margin=0.05).p for r in (runs, swapped)]
    assert two_sided == pytest.approx(max(one_sided))


def test_an_open_equivalence_says_what_would_settle_it():
    result = judged("equivalence", study(n_patients=150, noise=2.0), margin=0.05)
    assert result.verdict == "inconclusive"
    assert result.settle.both > 1
    assert result.detectable is None
    assert 0 <= result.power < 0.5


def runs_of(labels, patients, scores):
    """scores: (2, seeds, n)."""
    return {
        arm: {s + 1: FakeRun(scored(labels, row, patients=patients)) for s, row in enumerate(rows)}
        for arm, rows in zip(ARMS, scores, strict=True)
    }


@settings(deadline=None, max_examples=150)
@given(
    st.data(),
    st.integers(2, 5),
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from(["roc_auc", "nll", "brier", "balanced_accuracy", "accuracy", "average_precision"]),
)
def test_two_to_five_patients_support_nothing_however_many_images_and_seeds(
    data, n_patients, images, n_seeds, metric
):
    n = n_patients * images
    patients = [f"p{i // images}" for i in range(n)]
    labels = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    score = st.lists(st.sampled_from([-3.0, -0.01, 0.0, 0.01, 3.0]), min_size=n, max_size=n)
    scores = [[data.draw(score) for _ in range(n_seeds)] for _ in ARMS]
    runs = runs_of(labels, patients, scores)
    for predicate in PREDICATES:
        for margin in (0.0,) if predicate == "superiority" else (0.01, 0.5):
            result = judged(predicate, runs, margin=margin, metric=metric, seeds=range(1, n_seeds + 1))
            assert result.verdict in (None, "inconclusive")
            assert (result.state, bool(result.reason)) in (("missing", True), ("judged", False))
            assert result.p is None


@pytest.mark.parametrize("predicate", sorted(PREDICATES))
def test_one_seed_supports_nothing_however_many_patients(predicate):
    runs = study(n_patients=400, seeds=(1,), gain=1.0 if predicate == "superiority" else 0.0)
    result = judged(predicate, runs, margin=0.0 if predicate == "superiority" else 0.5, seeds=(1,))
    assert result.verdict == "inconclusive"
    assert result.note.startswith("one seed")
    assert (result.p, result.power, result.detectable) == (None, None, None)


@pytest.mark.parametrize("predicate", ["non-inferiority", "equivalence"])
def test_identical_arms_are_not_equivalent_for_want_of_spread(predicate):
    runs = study(n_patients=400)
    result = judged(predicate, dict.fromkeys(ARMS, runs["baseline"]), margin=0.5)
    assert result.verdict == "inconclusive"
    assert result.note.startswith("the difference is the same for all patients and seeds")


@pytest.mark.parametrize("predicate", ["non-inferiority", "equivalence"])
def test_arms_that_both_separate_the_classes_are_not_equivalent(predicate):
    labels = np.arange(60) % 2
    scores = 10 * labels + np.random.default_rng(0).random((2, 3, 60))
    result = judged(predicate, runs_of(labels, None, scores), margin=0.1)
    assert result.verdict == "inconclusive"
    assert result.note.startswith("the difference is the same for all patients and seeds")


@pytest.mark.parametrize("predicate", ["non-inferiority", "equivalence"])
def test_nor_are_they_if_one_pair_is_ranked_wrongly(predicate):
    labels = np.arange(60) % 2
    scores = 10 * labels + np.random.default_rng(0).random((2, 3, 60))
    scores[1, 0, [0, 1]] = scores[1, 0, [1, 0]]
    result = judged(predicate, runs_of(labels, None, scores), margin=0.1)
    assert -0.1 < result.effect.low < result.effect.high < 0.1
    assert result.verdict == "inconclusive"
    assert result.note == (
        "the difference rests on 2.5 patients, the arms score the others alike, "
        "and nothing is concluded from fewer than 10"
    )
    assert FEWEST_BEHIND == 10


def test_a_class_of_nine_patients_concludes_nothing_and_one_of_ten_may():
    def of(positives):
        labels = np.repeat([1, 0], [positives, 60])
        draw = np.random.default_rng(1)
        baseline, treatment = (
            draw.normal(size=(3, len(labels))),
            3.0 * labels + draw.normal(size=(3, len(labels))),
        )
        return judged("superiority", runs_of(labels, None, [baseline, treatment]), margin=0.0)

    few = of(FEWEST_OF_A_CLASS - 1)
    assert few.effect.low > 0
    assert few.verdict == few.verdict_at_twice_margin == "inconclusive"
    assert few.note == "a class is shown by 9 patients only, and nothing is concluded from fewer than 10"
    assert few.p is None
    assert of(FEWEST_OF_A_CLASS).verdict == "supported"


@pytest.mark.parametrize(("auc_gap", "base"), [(0.02, 2.3), (0.02, 1.5)])
def test_arms_exactly_a_margin_apart_are_seldom_called_non_inferior(auc_gap, base):
    """Binormal areas near .95 and .86 whose true difference is the margin: at most 5 of 100, by design."""
    from scipy.stats import norm

    lower = norm.ppf(norm.cdf(base / 2**0.5) - auc_gap) * 2**0.5
    draw, supported, studies = np.random.default_rng(3), 0, 150
    for _ in range(studies):
        labels = np.arange(120) % 4 == 0
        shared = draw.normal(size=120)
        scores = [
            [shared + 0.5 * draw.normal(size=120) + separation * 1.25**0.5 * labels for _ in range(3)]
            for separation in (base, lower)
        ]
        result = judged("non-inferiority", runs_of(labels.astype(int), None, scores), margin=auc_gap)
        supported += result.verdict == "supported"
    assert supported / studies < LEVEL + 2 * (LEVEL * (1 - LEVEL) / studies) ** 0.5
