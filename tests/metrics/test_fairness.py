"""Gaps between groups against fairlearn, plain enumeration and simulation, and on degenerate input."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score, roc_curve

from medbench.errors import MedbenchError
from medbench.metrics.discrimination import roc_auc
from medbench.metrics.estimates import Estimates
from medbench.metrics.fairness import (
    Group,
    _variances,
    by_group,
    drawn_together,
    equalized_odds_gap,
    group_gap,
    groups,
    worst_group,
    youden_threshold,
)
from medbench.metrics.sample import Sample
from medbench.predictions import Predictions
from medbench.spec.metrics import EqualizedOddsGap, GroupGap, RocAuc, WorstGroup
from medbench.spec.runs import Target

BINARY = Target(kind="single-label", classes=("benign", "malignant"))
THREE = Target(kind="single-label", classes=("a", "b", "c"))
FINDINGS = Target(kind="multi-label", classes=("nodule", "effusion"))


def predictions(labels, logits, *, target=BINARY, patient=None, **attributes):
    n = len(labels)
    return Predictions(
        evaluation_set="id",
        target=target,
        image=np.array([f"i{i}" for i in range(n)], dtype=np.str_),
        patient=np.array([f"p{i}" for i in range(n)] if patient is None else patient, dtype=np.str_),
        labels=np.asarray(labels, dtype=np.int8).reshape(n, len(target.classes)),
        logits=np.asarray(logits, dtype=np.float32).reshape(n, len(target.classes)),
        attributes={name: np.array(values, dtype=np.str_) for name, values in attributes.items()},
    )


def binary(positive, scores, **others):
    """Of a binary problem, from which examples are positive and the log odds that they are."""
    positive, scores = np.asarray(positive, dtype=int), np.asarray(scores, dtype=float)
    return predictions(np.eye(2)[positive], np.stack([np.zeros(len(scores)), scores], axis=1), **others)


def random_binary(rng, n=120, **attributes):
    """Random scores that know a little; two images to a patient."""
    positive = rng.integers(0, 2, n)
    scores = rng.integers(-4, 5, n) + positive
    return binary(positive, scores, patient=[f"p{i // 2}" for i in range(n)], **attributes)


def accuracy(sample, weights):
    """The share of positive scores among positives and the others: an inner metric that is easy to sum."""
    logits = sample.predictions.logits
    right = (logits[:, 1] > logits[:, 0]) == (sample.predictions.labels[:, 1] == 1)
    total = weights.sum(axis=1)
    defined = total > 0
    values = np.divide(weights @ right, total, out=np.zeros(len(weights)), where=defined)
    return Estimates(values, defined, "" if defined.all() else "no example")


def error(sample, weights):
    """The same the other way round: lower is better."""
    inner = accuracy(sample, weights)
    return Estimates(np.where(inner.defined, 1 - inner.values, 0.0), inner.defined, inner.reason)


auc = partial(roc_auc, RocAuc())


def plain_gap(inner, sample, weights, *, statistic="max-min", higher_is_better=True, smallest=1):
    spec = GroupGap(of="x", attributes=["g"], statistic=statistic, corrected=False, smallest=smallest)
    return group_gap(spec, inner, sample, weights, higher_is_better=higher_is_better)


def ones(sample):
    return np.ones((1, len(sample)))


# Which groups there are.


def test_a_group_is_as_large_as_its_patients_are_many_not_its_images():
    sample = Sample(
        binary(
            [0] * 7,
            [0] * 7,
            patient=["a", "a", "a", "a", "b", "c", "d"],
            g=["x", "x", "x", "x", "y", "y", ""],
        )
    )
    found = groups(sample, ["g"], 2)
    assert [(group.name, group.patients, group.rows.tolist()) for group in found.kept] == [("y", 2, [4, 5])]
    assert [(group.name, group.patients, group.rows.tolist()) for group in found.too_small] == [
        ("x", 1, [0, 1, 2, 3])
    ]
    assert found.unrecorded == 1


def test_several_attributes_form_all_combinations_that_occur():
    sample = Sample(
        binary(
            [0] * 6, [0] * 6, sex=["f", "m", "f", "m", "f", ""], age=["old", "old", "new", "", "new", "old"]
        )
    )
    found = groups(sample, ["sex", "age"], 1)
    assert [(group.name, group.rows.tolist()) for group in found.kept] == [
        ("f & new", [2, 4]),
        ("f & old", [0]),
        ("m & old", [1]),
    ]
    assert found.too_small == ()
    assert found.unrecorded == 2
    assert [group.name for group in groups(sample, ["age", "sex"], 1).kept] == [
        "new & f",
        "old & f",
        "old & m",
    ]


def test_values_that_read_alike_when_joined_stay_apart():
    sample = Sample(binary([0, 1], [0, 0], a=["x & y", "x"], b=["z", "y & z"]))
    assert [group.rows.tolist() for group in groups(sample, ["a", "b"], 1).kept] == [[1], [0]]


def test_no_examples_are_no_groups():
    sample = Sample(predictions(np.zeros((0, 2)), np.zeros((0, 2)), g=[]))
    assert groups(sample, ["g"], 1).kept == ()
    gap = plain_gap(accuracy, sample, np.ones((2, 0)))
    assert not gap.defined.any()
    assert gap.reason == "fewer than two groups by g can be compared: there is none"


def test_an_attribute_that_is_not_there_is_answered_with_the_nearest():
    sample = Sample(binary([0, 1], [0, 0], sex=["f", "m"]))
    with pytest.raises(
        MedbenchError, match=r"^the predictions have no attribute `sexx`\. Did you mean `sex`\?$"
    ):
        groups(sample, ["sexx"], 1)
    with pytest.raises(MedbenchError, match=r"^no attribute is named to form groups by\. Expected `sex`\.$"):
        groups(sample, [], 1)
    gap = plain_gap(accuracy, sample, np.ones((3, 2)))
    assert gap.reason == "the predictions have no attribute `g`. Expected `sex`."
    assert gap.defined.tolist() == [False] * 3
    assert gap.values.tolist() == [0.0] * 3
    bare = Sample(binary([0, 1], [0, 0]))
    assert plain_gap(accuracy, bare, ones(bare)).reason == "the predictions have no attribute `g`."


# The plain gap and the worst group.


@pytest.mark.parametrize("statistic", ["max-min", "to-whole"])
@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_plain_gap_is_what_enumerating_groups_and_replicates_gives(statistic, higher_is_better):
    rng = np.random.default_rng(0)
    group = rng.choice(["a", "b", "c", "tiny", ""], 120, p=[0.3, 0.3, 0.3, 0.05, 0.05])
    inner = accuracy if higher_is_better else error
    sample = Sample(random_binary(rng, g=group))
    weights = rng.integers(0, 3, (5, 120)).astype(float)
    gap = plain_gap(
        inner, sample, weights, statistic=statistic, higher_is_better=higher_is_better, smallest=20
    )
    worst = worst_group(
        WorstGroup(of="x", attributes=["g"], smallest=20),
        inner,
        sample,
        weights,
        higher_is_better=higher_is_better,
    )
    logits, labels = sample.predictions.logits, sample.predictions.labels
    right = (logits[:, 1] > logits[:, 0]) == (labels[:, 1] == 1)
    for i, w in enumerate(weights):
        share = {
            name: sum(w[j] * right[j] for j in range(120) if name in (group[j], "all"))
            / sum(w[j] for j in range(120) if name in (group[j], "all"))
            for name in ("a", "b", "c", "all")
        }
        best, least = max(share[name] for name in "abc"), min(share[name] for name in "abc")
        expected = best - least if statistic == "max-min" else max(0, share["all"] - least)
        assert gap.values[i] == pytest.approx(expected)
        assert worst.values[i] == pytest.approx(least if higher_is_better else 1 - least)
    assert gap.defined.all()
    assert gap.reason == worst.reason == ""


def test_the_gap_to_the_whole_is_zero_where_the_whole_fares_worse_than_every_group():
    # Each group is separated perfectly, at thresholds far apart: the mixture is not.
    sample = Sample(binary([0, 1, 0, 1], [0, 1, 5, 6], g=["a", "a", "b", "b"]))
    assert plain_gap(auc, sample, ones(sample), statistic="to-whole").values.tolist() == [0.0]


def test_a_group_in_which_the_metric_is_undefined_is_left_out_by_name():
    positive = [0, 1, 0, 1, 1, 1]
    sample = Sample(binary(positive, [0, 1, 1, 0, 0, 0], g=["a", "a", "b", "b", "c", "c"]))
    gap = plain_gap(auc, sample, ones(sample))
    assert gap.values.tolist() == [1.0]
    two = Sample(binary(positive[2:], [1, 0, 0, 0], g=["b", "b", "c", "c"]))
    gap = plain_gap(auc, two, np.ones((2, 4)))
    assert gap.defined.tolist() == [False, False]
    assert gap.reason == (
        "fewer than two groups by g can be compared: b can; c: `malignant` has no negative example"
    )


def test_the_reason_names_small_groups_and_counts_examples_without_a_value():
    sample = Sample(
        binary([0, 1, 0, 1, 0], [0] * 5, sex=["f", "f", "m", "", "f"], age=["o", "o", "o", "o", ""])
    )
    spec = GroupGap(of="x", attributes=["sex", "age"], smallest=2)
    reason = (
        "fewer than two groups by sex & age can be compared: f & o can; m & o has 1 of 2 patients; "
        "examples without sex or age: 2"
    )
    assert group_gap(spec, accuracy, sample, ones(sample), higher_is_better=True).reason == reason
    spec = WorstGroup(of="x", attributes=["sex", "age"], smallest=2)
    worst = worst_group(spec, accuracy, sample, ones(sample), higher_is_better=True)
    assert (worst.reason, worst.defined.tolist(), worst.values.tolist()) == (reason, [False], [0.0])


@pytest.mark.parametrize("corrected", [False, True])
def test_a_replicate_in_which_a_kept_group_is_undefined_is_undefined(corrected):
    sample = Sample(binary([0, 1, 0, 1], [0, 1, 1, 0], g=["a", "a", "b", "b"]))
    weights = np.array([[1.0, 1, 1, 1], [1, 1, 0, 1], [0, 0, 0, 0], [2, 1, 1, 1]])
    spec = GroupGap(of="x", attributes=["g"], corrected=corrected, smallest=1)
    gap = group_gap(spec, auc, sample, weights, higher_is_better=True)
    assert gap.defined.tolist() == [True, False, False, True]
    assert gap.values[~gap.defined].tolist() == [0.0, 0.0]
    assert gap.reason == "b: `malignant` has no negative example"
    worst = worst_group(
        WorstGroup(of="x", attributes=["g"], smallest=1), auc, sample, weights[:2], higher_is_better=True
    )
    assert worst.defined.tolist() == [True, False]
    assert worst.reason == "b: `malignant` has no negative example"


def test_the_reason_is_that_of_the_first_undefined_replicate():
    sample = Sample(binary([0, 1, 0, 1], [0, 1, 1, 0], g=["a", "a", "b", "b"]), binary([0, 1], [0, 1]))
    weights = np.array([[1.0, 1, 1, 1], [1, 1, 1, 0], [1, 0, 1, 1]])
    first, second = "b: `malignant` has no positive example", "a: `malignant` has no positive example"
    odds = EqualizedOddsGap(attributes=["g"], smallest=1)
    for statistic in ("max-min", "to-whole"):
        assert plain_gap(auc, sample, weights, statistic=statistic).reason == first
        assert plain_gap(auc, sample, weights[[0, 2, 1]], statistic=statistic).reason == second
    assert equalized_odds_gap(odds, sample, weights).reason == first
    assert equalized_odds_gap(odds, sample, weights[[0, 2, 1]]).reason == second
    without_negatives = np.array([[1.0, 1, 0, 1], [1, 0, 1, 1]])
    assert (
        equalized_odds_gap(odds, sample, without_negatives).reason == "b: `malignant` has no negative example"
    )


def test_the_gap_to_the_whole_is_undefined_where_the_whole_is():
    def picky(sample, weights):
        inner = accuracy(sample, weights)
        if len(sample) < 4:
            return inner
        return Estimates(inner.values, np.array([True, False]), "too many")

    sample = Sample(binary([0, 1, 0, 1], [0, 1, 1, 0], g=["a", "a", "b", "b"]))
    gap = plain_gap(picky, sample, np.ones((2, 4)), statistic="to-whole")
    assert gap.defined.tolist() == [True, False]
    assert gap.reason == "too many"


def test_what_belongs_to_examples_is_cut_down_with_them_and_validation_is_not():
    seen = []

    def spy(sample, weights):
        seen.append(sample)
        return accuracy(sample, weights)

    home = binary([0, 1, 0], [0, 1, 2], g=["a", "b", "a"])
    sample = Sample(home, validation=home, shifted=np.array([True, False, False]))
    plain_gap(spy, sample, ones(sample))
    first = seen[0]
    assert first.predictions.image.tolist() == ["i0", "i2"]
    assert first.predictions.patient.tolist() == ["p0", "p2"]
    assert first.predictions.attributes["g"].tolist() == ["a", "a"]
    assert first.predictions.logits[:, 1].tolist() == [0, 2]
    assert first.predictions.labels[:, 1].tolist() == [0, 0]
    assert first.shifted.tolist() == [True, False]
    assert first.validation is home


def test_the_gap_is_fairlearns():
    fairlearn = pytest.importorskip("fairlearn.metrics")
    rng = np.random.default_rng(1)
    group, other = rng.choice(["a", "b", "c"], 300), rng.choice(["x", "y"], 300)
    sample = Sample(random_binary(rng, 300, g=group, h=other))
    positive = sample.predictions.labels[:, 1]
    scores = sample.predictions.logits[:, 1].astype(float)
    weights = rng.integers(1, 4, (1, 300)).astype(float)
    frame = fairlearn.MetricFrame(
        metrics=roc_auc_score,
        y_true=positive,
        y_pred=scores,
        sensitive_features={"g": group, "h": other},
        sample_params={"sample_weight": weights[0]},
    )
    spec = GroupGap(of="x", attributes=["g", "h"], corrected=False, smallest=1)
    gap = group_gap(spec, auc, sample, weights, higher_is_better=True)
    assert gap.values[0] == pytest.approx(frame.difference(), abs=1e-12)
    spec = WorstGroup(of="x", attributes=["g", "h"], smallest=1)
    worst = worst_group(spec, auc, sample, weights, higher_is_better=True)
    assert worst.values[0] == pytest.approx(frame.group_min(), abs=1e-12)
    assert worst.values[0] / (worst.values[0] + gap.values[0]) == pytest.approx(frame.ratio(), abs=1e-12)


# The correction.


def test_drawing_together_is_the_formula_spelled_out():
    rng = np.random.default_rng(2)
    values, variances = rng.normal(0, 2, (6, 4)), np.array([0.1, 0.5, 1.0, 4.0])
    values[0] = [0.5, 0.52, 0.49, 0.5]
    for row, drawn in zip(values, drawn_together(values, variances), strict=True):
        w = [1 / v for v in variances]
        mean = sum(a * b for a, b in zip(w, row, strict=True)) / sum(w)
        q = sum(a * (b - mean) ** 2 for a, b in zip(w, row, strict=True))
        t = max(0, (q - 3) / (sum(w) - sum(a * a for a in w) / sum(w)))
        w = [1 / (t + v) for v in variances]
        mean = sum(a * b for a, b in zip(w, row, strict=True)) / sum(w)
        expected = [mean + (t / (t + v)) ** 0.5 * (x - mean) for x, v in zip(row, variances, strict=True)]
        np.testing.assert_allclose(drawn, expected, rtol=1e-9)
    assert np.ptp(drawn_together(values, variances)[0]) == 0


def test_without_noise_nothing_is_drawn_together():
    values = np.array([[0.9, 0.5, 0.7]])
    np.testing.assert_array_equal(drawn_together(values, np.zeros(3)), values)
    np.testing.assert_allclose(drawn_together(values, np.full(3, 1e-16)), values, rtol=1e-9)


def test_a_noisy_group_is_drawn_in_and_leaves_precise_ones_apart():
    drawn = drawn_together(np.array([[0.9, 0.8, 0.3]]), np.array([1e-6, 1e-6, 0.04]))[0]
    assert drawn[0] - drawn[1] == pytest.approx(0.1, abs=0.002)
    assert 0.6 < drawn[2] < 0.85


@settings(deadline=None)
@given(
    values=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 3), st.integers(2, 5)), elements=st.floats(-1e38, 1e38)
    ),
    data=st.data(),
)
def test_drawn_together_is_never_further_apart_and_keeps_the_order_of_equally_noisy_groups(values, data):
    variance = data.draw(st.sampled_from([1e-18, 1e-4, 1.0, 1e30]))
    drawn = drawn_together(values, np.full(values.shape[1], variance))
    assert np.isfinite(drawn).all()
    scale = np.abs(values).max()
    assert (np.ptp(drawn, axis=1) <= np.ptp(values, axis=1) + 1e-12 * scale).all()
    in_order = np.take_along_axis(drawn, np.argsort(values, axis=1), axis=1)
    assert (np.diff(in_order, axis=1) >= -1e-12 * scale).all()


@pytest.mark.parametrize(("k", "left"), [(2, 0.43), (4, 0.34), (6, 0.30)])
def test_of_equal_groups_noise_alone_makes_a_gap_and_the_correction_takes_most_of_it(k, left):
    rng, error_of_group = np.random.default_rng(3), 0.02
    values = 0.8 + error_of_group * rng.normal(size=(20_000, k))
    plain = np.ptp(values, axis=1)
    corrected = np.ptp(drawn_together(values, np.full(k, error_of_group**2)), axis=1)
    assert plain.mean() > error_of_group
    assert corrected.mean() == pytest.approx(left * plain.mean(), rel=0.06)
    assert corrected.mean() < 0.8 * error_of_group
    assert np.median(corrected) == 0


@pytest.mark.parametrize("k", [2, 4, 6])
def test_a_true_gap_survives_the_correction(k):
    rng, error_of_group = np.random.default_rng(4), 0.02
    for gap, least, most in [(0.05, 0.76, 1.0), (0.1, 0.9, 1.0)]:
        truth = np.linspace(0.8 - gap / 2, 0.8 + gap / 2, k)
        values = truth + error_of_group * rng.normal(size=(20_000, k))
        corrected = np.ptp(drawn_together(values, np.full(k, error_of_group**2)), axis=1)
        assert least * gap < corrected.mean() < most * gap


def test_a_noisy_group_among_precise_ones_adds_little_after_the_correction():
    rng, errors = np.random.default_rng(5), np.array([0.01, 0.01, 0.08])
    values = 0.8 + errors * rng.normal(size=(20_000, 3))
    assert np.ptp(values, axis=1).mean() > 0.065
    assert np.ptp(drawn_together(values, errors**2), axis=1).mean() < 0.012


def studies(rates, count, patients, seed):
    """Samples of groups that are called right at these rates, two images to a patient that agree."""
    rng = np.random.default_rng(seed)
    group = np.repeat([f"g{i}" for i in range(len(rates))], 2 * patients)
    for _ in range(count):
        right = np.repeat(rng.random(len(group) // 2) < np.repeat(rates, patients), 2)
        patient = [f"p{i // 2}" for i in range(len(group))]
        yield Sample(binary(right, np.ones(len(group)), patient=patient, g=group))


@pytest.mark.parametrize(
    ("rates", "least", "most"),
    [
        pytest.param((0.8,) * 4, 0.0, 0.035, id="equal"),
        pytest.param((0.75, 0.78, 0.82, 0.85), 0.075, 0.105, id="spread"),
        # Of two best and two worst groups the luckier make the gap: not all of that is taken off.
        pytest.param((0.75, 0.85) * 2, 0.09, 0.13, id="ties"),
    ],
)
def test_the_correction_holds_from_samples_of_patients_to_the_gap(rates, least, most):
    spec = GroupGap(of="x", attributes=["g"])
    corrected, plain = [], []
    for sample in studies(rates, 60, 100, seed=6):
        corrected.append(group_gap(spec, accuracy, sample, ones(sample), higher_is_better=True).values[0])
        plain.append(plain_gap(accuracy, sample, ones(sample)).values[0])
    assert least <= np.mean(corrected) < most
    assert np.mean(plain) > np.mean(corrected) + 0.02
    assert (np.array(corrected) <= np.array(plain)).all()


def test_the_noise_of_a_group_is_that_of_its_patients_not_its_images():
    rng = np.random.default_rng(7)
    n = 400
    right = np.repeat(rng.random(n // 4) < 0.7, 4)
    sample = Sample(binary(right, np.ones(n), patient=[f"p{i // 4}" for i in range(n)], g=["a"] * n))
    group = groups(sample, ["g"], 1).kept[0]
    share = right.mean()
    (variance,) = _variances(
        lambda rows, w: Estimates(w @ right[rows] / w.sum(axis=1), np.ones(len(w), dtype=bool)),
        [group],
        sample.predictions.patient,
    )
    assert variance == pytest.approx(share * (1 - share) / 100, rel=0.35)


def test_a_group_without_spread_is_given_the_others_variance_per_patient():
    right = {"a": np.tile([0.0, 1.0], 50), "b": np.ones(25), "c": np.tile([0.0, 1.0], 20)}
    rows = np.split(np.arange(165), [100, 125])
    kept = [Group(name, r, len(r)) for name, r in zip(right, rows, strict=True)]
    values = np.concatenate(list(right.values()))

    def of_rows(rows, w):
        return Estimates(w @ values[rows] / w.sum(axis=1), np.ones(len(w), dtype=bool))

    patients = np.array([f"p{i}" for i in range(165)])
    a, b, c = _variances(of_rows, kept, patients)
    assert (a * 100, c * 40) == (pytest.approx(0.25, rel=0.5), pytest.approx(0.25, rel=0.5))
    assert a * 100 != pytest.approx(c * 40), "each has its own"
    assert b == pytest.approx((a * 100 + c * 40) / 2 / 25)
    assert _variances(of_rows, [kept[1], kept[1]], patients).tolist() == [0.0, 0.0]


def test_replicates_without_a_value_do_not_count_as_spread():
    sample = Sample(binary([1, 0, 0, 1, 0, 0], [0, 1, 2, 2, 1, 0], g=["a"] * 3 + ["b"] * 3))
    found = groups(sample, ["g"], 1).kept

    def half(rows, w):
        defined = w[:, 0] > 0
        return Estimates(np.where(defined, 5 + w[:, 0], 0.0), defined, "none")

    for variance in _variances(half, found, sample.predictions.patient):
        assert 0 < variance < 2
    nowhere = _variances(
        lambda rows, w: Estimates(np.zeros(len(w)), np.zeros(len(w), dtype=bool), "none"),
        found,
        sample.predictions.patient,
    )
    assert nowhere.tolist() == [0.0, 0.0]


def test_the_correction_does_not_depend_on_which_replicates_are_asked_for_together():
    rng = np.random.default_rng(8)
    sample = Sample(random_binary(rng, g=rng.choice(["a", "b", "c"], 120)))
    weights = rng.integers(0, 3, (6, 120)).astype(float)
    spec = GroupGap(of="x", attributes=["g"], smallest=1)
    together = group_gap(spec, auc, sample, weights, higher_is_better=True)
    apart = [group_gap(spec, auc, sample, w[None], higher_is_better=True).values[0] for w in weights]
    np.testing.assert_allclose(together.values, apart, rtol=0, atol=1e-12)
    plain = plain_gap(auc, sample, weights)
    assert (together.values <= plain.values).all()
    assert (together.values < plain.values).any()


# Equalised odds.


def test_the_threshold_is_that_of_the_largest_youden_index():
    rng = np.random.default_rng(9)
    for _ in range(20):
        scores, labels = rng.integers(0, 9, 40).astype(float), rng.integers(-1, 2, 40).astype(np.int8)
        known = labels >= 0
        false, true, thresholds = roc_curve(labels[known], scores[known], drop_intermediate=False)
        # The first threshold that sklearn lists is infinite: nothing is called positive.
        best = np.flatnonzero(np.isclose((true - false)[1:], (true - false)[1:].max()))[0] + 1
        assert youden_threshold(scores, labels) == thresholds[best]


def test_of_equally_good_thresholds_the_highest_is_taken():
    assert youden_threshold(np.array([0.0, 1, 2, 3]), np.array([0, 1, 0, 1], np.int8)) == 3.0
    assert youden_threshold(np.array([1.0, 1.0]), np.array([0, 1], np.int8)) == 1.0


def test_there_is_no_threshold_without_both_outcomes():
    assert youden_threshold(np.array([0.0, 1]), np.array([1, -1], np.int8)) is None
    assert youden_threshold(np.array([0.0, 1]), np.array([-1, 0], np.int8)) is None


def test_equalised_odds_are_what_enumeration_gives():
    rng = np.random.default_rng(10)
    group = rng.choice(["a", "b", "c"], 150)
    sample = Sample(random_binary(rng, 150, g=group), validation=random_binary(rng, 60))
    weights = rng.integers(0, 3, (4, 150)).astype(float)
    gap = equalized_odds_gap(EqualizedOddsGap(attributes=["g"]), sample, weights)
    validation = sample.validation
    threshold = youden_threshold(validation.logits[:, 1].astype(float), validation.labels[:, 1])
    called, positive = sample.predictions.logits[:, 1] >= threshold, sample.predictions.labels[:, 1] == 1
    for value, w in zip(gap.values, weights, strict=True):
        gaps = []
        for outcome in (True, False):
            rates = []
            for name in "abc":
                rows = [i for i in range(150) if group[i] == name and positive[i] == outcome]
                rates.append(sum(w[i] * called[i] for i in rows) / sum(w[i] for i in rows))
            gaps.append(max(rates) - min(rates))
        assert value == pytest.approx(max(gaps))
    assert gap.reason == ""


def test_equalised_odds_are_fairlearns():
    fairlearn = pytest.importorskip("fairlearn.metrics")
    rng = np.random.default_rng(11)
    group = rng.choice(["a", "b", "c"], 200)
    sample = Sample(random_binary(rng, 200, g=group), validation=random_binary(rng, 60))
    weights = rng.integers(1, 4, (1, 200)).astype(float)
    threshold = youden_threshold(sample.validation.logits[:, 1].astype(float), sample.validation.labels[:, 1])
    expected = fairlearn.equalized_odds_difference(
        sample.predictions.labels[:, 1],
        sample.predictions.logits[:, 1] >= threshold,
        sensitive_features=group,
        sample_weight=weights[0],
    )
    gap = equalized_odds_gap(EqualizedOddsGap(attributes=["g"]), sample, weights)
    assert gap.values[0] == pytest.approx(expected, abs=1e-12)


def test_equalised_odds_of_several_labels_are_the_mean_of_theirs():
    rng = np.random.default_rng(12)
    labels = rng.integers(-1, 2, (160, 2))
    logits = rng.normal(size=(160, 2)) + labels
    group = rng.choice(["a", "b"], 160)
    both = predictions(labels, logits, target=FINDINGS, g=group)
    weights = rng.integers(0, 3, (3, 160)).astype(float)
    spec = EqualizedOddsGap(attributes=["g"])
    one = [
        equalized_odds_gap(spec, Sample(p, validation=p), weights).values
        for i in range(2)
        for p in [
            predictions(
                labels[:, i],
                logits[:, i],
                target=Target(kind="multi-label", classes=(FINDINGS.classes[i],)),
                g=group,
            )
        ]
    ]
    gap = equalized_odds_gap(spec, Sample(both, validation=both), weights)
    np.testing.assert_allclose(gap.values, np.mean(one, axis=0))
    assert not np.allclose(one[0], one[1])


def test_more_classes_have_the_mean_of_one_against_the_rest():
    labels, logits = np.eye(3)[[0, 1, 2, 0, 1, 2]], 9 * np.eye(3)[[0, 1, 2, 0, 2, 2]]
    sample = predictions(labels, logits, target=THREE, g=list("xxxyyy"))
    validation = predictions(np.eye(3), 9 * np.eye(3), target=THREE)
    gap = equalized_odds_gap(
        EqualizedOddsGap(attributes=["g"], smallest=1), Sample(sample, validation), np.ones((1, 6))
    )
    # In y, b is missed and called c: gaps of 0, 1 (sensitivity of b) and 1/2 (specificity of c).
    assert gap.values[0] == pytest.approx((0 + 1 + 0.5) / 3)


def test_equalised_odds_leave_out_a_group_without_an_outcome_and_replicates_without_one():
    validation = binary([0, 1], [0, 1])
    spec = EqualizedOddsGap(attributes=["g"], smallest=1)
    home = binary([0, 1, 0, 1, 1], [0, 1, 1, 1, 0], g=["a", "a", "b", "b", "c"])
    weights = np.array([[1.0, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 0, 1, 1, 1]])
    gap = equalized_odds_gap(spec, Sample(home, validation), weights)
    assert gap.values.tolist() == [1.0, 0.0, 0.0]
    assert gap.defined.tolist() == [True, False, False]
    assert gap.reason == "b: `malignant` has no negative example"
    few = binary([0, 1, 1], [0, 1, 1], g=["a", "a", "c"])
    gap = equalized_odds_gap(spec, Sample(few, validation), np.ones((1, 3)))
    assert gap.reason == (
        "fewer than two groups by g can be compared: a can; c: `malignant` has no negative example"
    )


def test_equalised_odds_need_a_validation_set_with_both_outcomes():
    home = binary([0, 1, 0, 1], [0, 1, 1, 0], g=["a", "a", "b", "b"])
    spec, weights = EqualizedOddsGap(attributes=["g"], smallest=1), np.ones((2, 4))
    gap = equalized_odds_gap(spec, Sample(home), weights)
    assert gap.reason == "there are no predictions on the validation set to find the threshold on"
    assert gap.defined.tolist() == [False, False]
    gap = equalized_odds_gap(spec, Sample(home, binary([1, 1], [0, 1])), weights)
    assert gap.reason == "`malignant` has no negative example in the validation set"
    gap = equalized_odds_gap(spec, Sample(home, binary([0, 0], [0, 1])), weights)
    assert gap.reason == "`malignant` has no positive example in the validation set"


def test_logits_that_are_not_finite_leave_equalised_odds_undefined():
    good = binary([0, 1], [0, 1], g=["a", "b"])
    bad = binary([0, 1], [0, np.inf], g=["a", "b"])
    spec = EqualizedOddsGap(attributes=["g"], smallest=1)
    for sample in (Sample(good, bad), Sample(bad, good)):
        gap = equalized_odds_gap(spec, sample, np.ones((1, 2)))
        assert gap.reason == "1 of 2 examples have logits that are not finite"
        assert not gap.defined.any()


# The table.


def test_the_table_has_every_group_with_its_size_and_prevalence():
    sample = Sample(
        binary(
            [0, 1, 0, 1, 1, 1, 0],
            [0, 1, 1, 0, 0, 0, 0],
            patient=["p", "p", "q", "r", "s", "t", "u"],
            g=["b", "b", "b", "a", "c", "c", ""],
        )
    )
    a, b, c = by_group(auc, sample, ["g"], 2)
    assert (b.name, b.value, b.reason, b.n_patients, b.n_images, b.compared) == ("b", 0.75, "", 2, 3, True)
    assert b.prevalence == {"malignant": pytest.approx(1 / 3)}
    assert (a.name, a.value, a.n_patients, a.compared) == ("a", None, 1, False)
    assert a.reason == "`malignant` has no negative example"
    assert (c.name, c.n_patients, c.compared, c.prevalence) == ("c", 2, False, {"malignant": 1.0})
    shown = by_group(accuracy, sample, ["g"], 2)[0]
    assert (shown.value, shown.reason, shown.compared) == (0.0, "", False)


def test_prevalence_is_of_known_labels():
    sample = Sample(
        predictions([[1, -1], [0, -1], [-1, -1]], np.zeros((3, 2)), target=FINDINGS, g=["a", "a", "a"])
    )
    (row,) = by_group(accuracy_of_nothing, sample, ["g"], 1)
    assert row.prevalence == {"nodule": 0.5, "effusion": None}
    sample = Sample(predictions([[0, 1], [0, -1]], np.zeros((2, 2)), target=FINDINGS, g=["a", "a"]))
    (row,) = by_group(accuracy_of_nothing, sample, ["g"], 1)
    assert row.prevalence == {"nodule": 0.0, "effusion": 1.0}
    sample = Sample(predictions(np.eye(3), np.zeros((3, 3)), target=THREE, g=["a", "a", "a"]))
    (row,) = by_group(accuracy_of_nothing, sample, ["g"], 1)
    assert row.prevalence == {name: pytest.approx(1 / 3) for name in "abc"}


def accuracy_of_nothing(sample, weights):
    return Estimates(np.ones(len(weights)), np.ones(len(weights), dtype=bool))


# Degenerate input.


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 12),
    statistic=st.sampled_from(["max-min", "to-whole"]),
    corrected=st.booleans(),
    data=st.data(),
)
def test_whatever_the_input_a_gap_is_in_its_range_or_has_a_reason(n, statistic, corrected, data):
    def draw(values, shape=n):
        dtype = np.float64 if isinstance(values[0], float) else None
        return np.array(
            data.draw(
                st.lists(st.sampled_from(values), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))
            ),
            dtype=dtype,
        ).reshape(shape)

    sample = binary(
        draw([0, 1]),
        draw([-3e38, -1.0, 0.0, 1.0, 3e38]),
        patient=draw(["p", "q", "r"]),
        g=draw(["a", "b", ""]),
    )
    weights = draw([0.0, 1.0, 2.0], (3, n))
    spec = GroupGap(of="x", attributes=["g"], statistic=statistic, corrected=corrected, smallest=1)
    odds = EqualizedOddsGap(attributes=["g"], smallest=1)
    worst = WorstGroup(of="x", attributes=["g"], smallest=1)
    for gap in (
        group_gap(spec, auc, Sample(sample), weights, higher_is_better=True),
        group_gap(spec, error, Sample(sample), weights, higher_is_better=False),
        worst_group(worst, auc, Sample(sample), weights, higher_is_better=True),
        equalized_odds_gap(odds, Sample(sample, validation=sample), weights),
    ):
        assert gap.values.shape == gap.defined.shape == (3,)
        assert ((gap.values >= 0) & (gap.values <= 1 + 1e-12)).all()
        assert (gap.values[~gap.defined] == 0).all()
        assert bool(gap.reason) != gap.defined.all()


def test_thousands_of_patients_and_as_many_groups_are_fine():
    rng = np.random.default_rng(13)
    n = 4000
    sample = Sample(random_binary(rng, n, g=[f"g{i % 40}" for i in range(n)]))
    spec = GroupGap(of="x", attributes=["g"], smallest=1)
    gap = group_gap(spec, accuracy, sample, np.ones((2, n)), higher_is_better=True)
    assert gap.defined.all()
    assert (gap.values < plain_gap(accuracy, sample, np.ones((2, n))).values).all()
