"""The share of training patients that is saved, on curves whose crossing is known."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from medbench.metrics import Sample, evaluate, metric_named
from medbench.over_patients import REPLICATES, Evidence
from medbench.saving import saving
from medbench.spec.effects import DataSaved, terms
from medbench.spec.runs import Target
from tests.judging import scored
from tests.metrics.handmade import predictions

FRACTIONS = {"baseline": 1.0, "with-10": 0.1, "with-20": 0.2, "with-40": 0.4, "with-all": 1.0}
CURVE = ("with-10", "with-20", "with-40", "with-all")
SEEDS = (1, 2, 3)


def evidence(samples, metric, *, item="chest/data-efficiency/id"):
    """Of samples by arm and seed."""
    values = {
        arm: {seed: evaluate(metric, sample)[0] for seed, sample in by_seed.items()}
        for arm, by_seed in samples.items()
    }
    patients = len(np.unique(next(iter(samples["baseline"].values())).predictions.patient))
    return Evidence(item, metric, terms(DataSaved(), list(samples), "id"), samples, values, patients)


def with_accuracy(rights, *, patients=100, spread=(0, 0, 0), **more):
    """Arms that are right on the first so many of a hundred patients, `spread` more with each seed."""

    def sample(right):
        return Sample(scored([1] * patients, np.where(np.arange(patients) < right, 1.0, -1.0)))

    samples = {
        arm: {seed: sample(right + extra) for seed, extra in zip(SEEDS, spread, strict=True)}
        for arm, right in rights.items()
    }
    return evidence(samples, metric_named("accuracy"), **more)


def with_nll(values):
    """Arms whose loss is the same on every patient, so that no choice of them matters."""
    odds = {arm: -np.log(np.expm1(value)) for arm, value in values.items()}
    samples = {
        arm: dict.fromkeys(SEEDS, Sample(scored([1] * 30, np.full(30, each)))) for arm, each in odds.items()
    }
    return evidence(samples, metric_named("nll"))


def curve(baseline, *points):
    return {"baseline": baseline, **dict(zip(CURVE, points, strict=True))}


def between(low, high, way):
    """1 less the fraction so far of the way from one to another, on a log scale."""
    return 1 - low * (high / low) ** way


@pytest.mark.parametrize(
    ("baseline", "saved"),
    [
        (60, 0.9),
        (65, between(0.1, 0.2, 0.5)),
        (70, 0.8),
        (75, between(0.2, 0.4, 0.5)),
        (82, between(0.4, 1.0, 0.2)),
        (90, 0.0),
    ],
)
def test_what_is_saved_is_1_less_the_fraction_at_which_the_curve_crosses_the_baseline(baseline, saved):
    found = saving(with_accuracy(curve(baseline, 60, 70, 80, 90)), FRACTIONS)
    assert found.undefined == ""
    assert found.effect.value == pytest.approx(saved)
    assert found.effect.low <= found.effect.value <= found.effect.high


def test_where_lower_is_better_the_curve_falls_to_the_baseline():
    found = saving(with_nll(curve(0.45, 0.6, 0.5, 0.4, 0.3)), FRACTIONS)
    assert found.effect.value == pytest.approx(between(0.2, 0.4, 0.5), abs=1e-5)


def test_without_noise_of_patients_and_seeds_the_limits_are_the_value():
    effect = saving(with_nll(curve(0.45, 0.6, 0.5, 0.4, 0.3)), FRACTIONS).effect
    assert (effect.low, effect.high) == (pytest.approx(effect.value), pytest.approx(effect.value))


def test_the_order_in_which_arms_are_declared_does_not_matter():
    rights = curve(75, 60, 70, 80, 90)
    one = saving(with_accuracy(rights), FRACTIONS)
    other = saving(with_accuracy({arm: rights[arm] for arm in sorted(rights, reverse=True)}), FRACTIONS)
    assert one.effect.value == other.effect.value
    # The draws of the seeds' noise are, so limits agree as they would for another item.
    assert one.effect.low == pytest.approx(other.effect.low, abs=0.03)


def test_a_curve_out_of_order_is_made_to_rise_before_it_is_read():
    # 72 and 68 become 70 and 70, so that 75 lies half way from .4 to 1.
    found = saving(with_accuracy(curve(75, 60, 72, 68, 80)), FRACTIONS)
    assert found.effect.value == pytest.approx(between(0.4, 1.0, 0.5))


def test_a_baseline_that_is_never_reached_leaves_no_effect_but_a_reason():
    found = saving(with_accuracy(curve(95, 60, 70, 80, 90)), FRACTIONS)
    assert found.undefined == "gap: the target is not reached with 1 of the data"
    assert (found.effect, found.replicates) == (None, None)
    assert found.facts["interval"] == "bootstrap"


def test_a_baseline_below_the_smallest_fraction_leaves_no_effect_but_a_reason():
    found = saving(with_accuracy(curve(50, 60, 70, 80, 90)), FRACTIONS)
    assert found.undefined == "gap: above the target with 0.1 of the data already"
    assert (found.effect, found.replicates) == (None, None)


def test_a_curve_that_ends_before_the_baseline_says_how_far_it_went():
    rights = {"baseline": 85, "with-10": 60, "with-20": 70, "with-40": 80}
    found = saving(with_accuracy(rights), FRACTIONS)
    assert found.undefined == "gap: the target is not reached with 0.4 of the data"


def test_where_some_seeds_may_never_reach_the_baseline_the_lower_limit_is_nothing_saved():
    found = saving(with_accuracy(curve(89, 60, 70, 80, 90), spread=(-4, 0, 4)), FRACTIONS)
    assert found.effect.low == 0.0
    assert 0 < found.effect.value < found.effect.high < 0.9


def test_where_some_seeds_may_reach_it_with_the_least_the_upper_limit_is_all_saved():
    found = saving(with_accuracy(curve(61, 60, 70, 80, 90), spread=(-4, 0, 4)), FRACTIONS)
    assert found.effect.high == 1.0
    assert 0 < found.effect.low < found.effect.value < 0.9


def test_a_flat_curve_about_the_baseline_says_nothing():
    found = saving(with_accuracy(curve(74, 73, 74, 75, 76), spread=(-6, 0, 6)), FRACTIONS)
    assert (found.effect.low, found.effect.high) == (0.0, 1.0)


def test_replicates_beyond_the_fractions_are_nothing_or_all():
    found = saving(with_accuracy(curve(74, 73, 74, 75, 76), spread=(-6, 0, 6)), FRACTIONS)
    inside = (found.replicates > 0) & (found.replicates < 1)
    assert found.replicates.shape == (REPLICATES,)
    assert found.replicates[inside].max() <= 0.9
    assert {0.0, 1.0} <= set(found.replicates.tolist())
    assert found.facts == {"interval": "bootstrap", "replicates": REPLICATES, "undefined_replicates": 0}


def by_own_bootstrap(rights, patients=100, draws=4000):
    """90 % limits of what is saved, over patients alone: plain resampling, scikit-learn and numpy."""
    random = np.random.default_rng(5)
    right = {arm: np.arange(patients) < number for arm, number in rights.items()}
    log, saved = np.log([FRACTIONS[arm] for arm in CURVE]), []
    for _ in range(draws):
        drawn = random.integers(0, patients, patients)
        rising = IsotonicRegression().fit_transform(log, [right[arm][drawn].mean() for arm in CURVE])
        target = right["baseline"][drawn].mean()
        at = np.interp(target, rising, log, left=-np.inf, right=np.inf)
        saved.append(1 - np.exp(at))
    low, high = np.quantile(saved, [0.05, 0.95], method="nearest")
    return max(low, 0.0), high


def test_limits_over_patients_are_those_of_plain_resampling():
    rights = curve(75, 60, 70, 80, 90)
    effect = saving(with_accuracy(rights), FRACTIONS).effect
    low, high = by_own_bootstrap(rights)
    assert (effect.low, effect.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_noise_between_seeds_widens_the_limits():
    still = saving(with_accuracy(curve(75, 60, 70, 80, 90)), FRACTIONS).effect
    noisy = saving(with_accuracy(curve(75, 60, 70, 80, 90), spread=(-2, 0, 2)), FRACTIONS).effect
    assert noisy.value == pytest.approx(still.value)
    assert noisy.low < still.low
    assert noisy.high > still.high


def test_the_limits_follow_from_the_item_alone():
    arms = curve(75, 60, 70, 80, 90)
    found = [saving(with_accuracy(arms, spread=(-2, 0, 2), item=item), FRACTIONS) for item in "aab"]
    assert found[0].effect == found[1].effect
    assert found[0].effect != found[2].effect


def test_a_metric_that_is_undefined_in_most_replicates_leaves_no_effect_but_a_reason():
    findings = Target(kind="multi-label", classes=("nodule", "effusion", "pneumonia"))
    labels = np.eye(3, dtype=np.int8)[np.minimum(np.arange(20), 2)] * (np.arange(20) < 3)[:, None]
    sample = Sample(predictions(findings, labels, np.arange(60.0).reshape(20, 3)))
    found = saving(
        evidence({arm: dict.fromkeys(SEEDS, sample) for arm in FRACTIONS}, metric_named("roc_auc")), FRACTIONS
    )
    assert found.undefined.startswith("roc_auc is undefined in most replicates of the patients: `")
    assert found.undefined.endswith("` has no positive example")
    assert found.facts["undefined_replicates"] > REPLICATES / 2
    assert found.effect is None
