"""What noise makes of folded metrics, against the normal approximation and by counting."""

from dataclasses import replace

import numpy as np
import pytest

from medbench.metrics import Sample, evaluate, metric_named
from medbench.metrics import floor as module
from medbench.metrics.floor import noise_floor
from medbench.spec.metrics import (
    BUILT_IN,
    Brier,
    CalibrationError,
    EqualizedOddsGap,
    GroupGap,
    WorstGroup,
)
from tests.metrics.handmade import FINDINGS, THREE, binary, random

FOLDED = 2**0.5 / np.pi**0.5
"""Mean distance from 0 of a standard normal deviate."""


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _many_draws(monkeypatch):
    monkeypatch.setattr(module, "DRAWS", 400)


def floor_of(spec, sample, rng):
    return noise_floor(metric_named("it", {**BUILT_IN, "it": spec}), sample, rng)


def alike(n, log_odds, images=1):
    """n patients whom the model gives one probability, all called wrong: its own labels are not looked at."""
    scored = binary(np.arange(n * images) % 2, np.full(n * images, log_odds))
    return Sample(replace(scored, patient=np.array([f"p{i // images}" for i in range(n * images)])))


@pytest.mark.parametrize("images", [1, 5])
def test_of_a_calibration_error_it_is_the_noise_of_its_bins_by_patients(rng, images):
    p = 1 / (1 + np.exp(-0.8))
    expected = FOLDED * (p * (1 - p) / 200) ** 0.5
    one_bin = CalibrationError(bins=1)
    assert floor_of(one_bin, alike(200, 0.8, images), rng) == pytest.approx(expected, rel=0.1)


def test_of_the_intercept_it_is_the_noise_of_the_log_odds(rng):
    expected = FOLDED / (300 * 0.25) ** 0.5
    assert floor_of(BUILT_IN["calibration_intercept_error"], alike(300, 0.0), rng) == pytest.approx(
        expected, rel=0.1
    )


def test_a_model_that_is_as_calibrated_as_can_be_shows_the_floor_and_one_that_is_not_has_it_too(rng):
    n = 400
    log_odds = rng.normal(size=n)
    honest = [
        evaluate(metric_named("ece"), Sample(binary(rng.random(n) < 1 / (1 + np.exp(-log_odds)), log_odds)))[
            0
        ]
        for _ in range(200)
    ]
    wrong = Sample(binary(rng.random(n) < 0.5, log_odds))
    assert floor_of(BUILT_IN["ece"], wrong, rng) == pytest.approx(np.mean(honest), rel=0.05)


@pytest.mark.parametrize("target", [THREE, FINDINGS])
def test_outcomes_are_drawn_as_the_model_says_and_unknown_ones_stay(rng, target):
    scored = random(target, 20_000, 1, unknown=0.2)
    probabilities = module._probabilities(Sample(scored), scaled=False)
    drawn = module._as_said(Sample(scored), probabilities, rng).predictions.labels
    known = scored.labels >= 0
    assert ((drawn < 0) == ~known).all()
    for i in range(drawn.shape[1]):
        rows = known[:, i]
        assert drawn[rows, i].mean() == pytest.approx(probabilities[rows, i].mean(), abs=0.015)
    if target is THREE:
        assert (drawn.sum(axis=1) == 1).all()


def test_reliability_has_a_floor_and_the_whole_score_none(rng):
    sample = Sample(random(THREE, 200, 1))
    assert floor_of(Brier(part="reliability"), sample, rng) > 0.005
    assert floor_of(Brier(), sample, rng) == 0
    assert floor_of(BUILT_IN["roc_auc"], sample, rng) == 0


def grouped(n, rng):
    """Groups of equal accuracy .7, one image a patient."""
    outcomes = np.arange(n) % 2
    right = rng.random(n) < 0.7
    scored = binary(outcomes, np.where(right == (outcomes == 1), 2.0, -2.0))
    return Sample(replace(scored, attributes={"group": np.repeat(["a", "b"], n // 2)}), validation=scored)


def test_of_a_gap_it_is_the_gap_of_equal_groups(rng):
    sample = grouped(400, rng)
    accuracy = evaluate(metric_named("accuracy"), sample)[0]
    error = (accuracy * (1 - accuracy) / 200) ** 0.5
    for corrected in (False, True):
        gap = GroupGap(of="accuracy", attributes=["group"], corrected=corrected)
        assert floor_of(gap, sample, rng) == pytest.approx(FOLDED * 2**0.5 * error, rel=0.1)
    worst = WorstGroup(of="accuracy", attributes=["group"])
    assert floor_of(worst, sample, rng) == pytest.approx(FOLDED * error / 2**0.5, rel=0.12)
    assert floor_of(EqualizedOddsGap(attributes=["group"]), sample, rng) > FOLDED * 2**0.5 * error


def test_all_images_of_a_patient_are_dealt_to_one_group(rng):
    sample = grouped(400, rng)
    pairs = replace(sample.predictions, patient=np.array([f"p{i // 2}" for i in range(400)]))
    dealt = module._dealt(Sample(pairs), ["group"], rng).predictions.attributes["group"]
    assert (dealt[::2] == dealt[1::2]).all()
    assert sorted(dealt) == sorted(pairs.attributes["group"])


def test_a_metric_that_no_draw_defines_has_no_floor(rng):
    sure = alike(12, 30.0)  # all draws are of one class
    assert floor_of(BUILT_IN["calibration_intercept_error"], sure, rng) == 0
