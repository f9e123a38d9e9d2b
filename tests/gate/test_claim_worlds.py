"""Simulated worlds: what their numbers are like, and that harm moves nothing but what it is planted in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from medbench.data.cohort import ID, VALIDATION
from medbench.data.sources import open_cohort
from medbench.gate import claim_worlds
from medbench.gate.claim_worlds import AT_HOME, NOTHING, ON_SHIFTS, Harm, Setting
from medbench.predictions import Predictions
from medbench.spec.units import Unit
from medbench.units import joined
from tests.judging import run_spec

SEEDS = 3
SCREENING = (Unit(by=["patient", "laterality"], over="mean"), Unit(by=["patient"], over="max"))


@pytest.fixture(scope="module")
def chest():
    return Setting(0, open_cohort("phantoms:chest"), ())


@pytest.fixture(scope="module")
def mammography():
    return Setting(1, open_cohort("phantoms:mammography"), SCREENING)


@pytest.fixture(scope="module")
def dermatology():
    return Setting(2, open_cohort("phantoms:dermatology"), ())


def logits(setting, evaluation_set, worlds=range(1, 25), arm="treatment", harm=NOTHING):
    """(worlds x seeds, n, k) of an arm."""
    return np.concatenate([setting.logits(w, evaluation_set, harm, SEEDS)[arm] for w in worlds])


def line(log_odds, happened):
    """Intercept and slope of outcomes on log odds, by scikit-learn: 0 and 1 where odds are calibrated."""
    fitted = LogisticRegression(C=np.inf, tol=1e-8).fit(log_odds.reshape(-1, 1), happened)
    return fitted.intercept_[0], fitted.coef_[0, 0]


@pytest.mark.parametrize(("evaluation_set", "areas"), [(ID, AT_HOME), ("icu", ON_SHIFTS)])
@pytest.mark.parametrize("arm", ["baseline", "treatment"])
def test_labels_have_the_declared_areas(chest, evaluation_set, areas, arm):
    labels = chest.rows(evaluation_set).labels
    found = [roc_auc_score(labels, of_run) for of_run in logits(chest, evaluation_set, arm=arm)]
    assert np.mean(found) == pytest.approx(areas[arm], abs=0.006)
    assert np.std(found) < 0.03  # seeds and images differ, and none breaks


@pytest.mark.parametrize("evaluation_set", [ID, "hospital-b", "icu"])
def test_log_odds_of_labels_are_calibrated(chest, evaluation_set):
    drawn = logits(chest, evaluation_set)
    labels = np.broadcast_to(chest.rows(evaluation_set).labels, drawn.shape)
    for label in range(labels.shape[2]):
        intercept, slope = line(drawn[..., label], labels[..., label].ravel())
        assert slope == pytest.approx(1, abs=0.08)
        assert intercept == pytest.approx(0, abs=0.08)


def test_unknown_labels_of_validation_lie_between_known_ones(chest):
    labels, drawn = chest.rows(VALIDATION).labels[:, 0], logits(chest, VALIDATION)[..., 0]
    unknown, positive, negative = (drawn[:, labels == value].mean() for value in (-1, 1, 0))
    assert unknown == pytest.approx((positive + negative) / 2, abs=0.15)
    assert positive - negative > 0.8


@pytest.mark.parametrize("evaluation_set", [ID, "phone"])
def test_probabilities_of_seven_classes_are_calibrated(dermatology, evaluation_set):
    drawn = logits(dermatology, evaluation_set).astype(np.float64)
    odds = np.exp(drawn - drawn.max(axis=-1, keepdims=True))
    probabilities = odds / odds.sum(axis=-1, keepdims=True)
    labels = np.broadcast_to(dermatology.rows(evaluation_set).labels, drawn.shape)
    assert probabilities.mean(axis=(0, 1)) == pytest.approx(labels.mean(axis=(0, 1)), abs=0.01)
    called = probabilities.argmax(axis=-1)[..., None]
    confidence = np.take_along_axis(probabilities, called, -1).ravel()
    right = np.take_along_axis(labels, called, -1).ravel()
    for low, high in ((0.2, 0.4), (0.4, 0.6), (0.6, 1.0)):
        within = (confidence >= low) & (confidence < high)
        assert right[within].mean() == pytest.approx(confidence[within].mean(), abs=0.03)


@pytest.mark.parametrize("evaluation_set", [VALIDATION, ID, "dense"])
def test_joined_log_odds_are_calibrated_where_patients_are_scored(mammography, evaluation_set):
    rows, odds, happened = mammography.rows(evaluation_set), [], []
    for of_run in logits(mammography, evaluation_set):
        scored = joined(
            Predictions(
                evaluation_set,
                mammography.cohort.target,
                rows.image,
                rows.patient,
                rows.labels,
                of_run,
                rows.attributes,
            ),
            SCREENING,
        )
        odds.append(scored.logits[:, 1] - scored.logits[:, 0])
        happened.append(scored.labels[:, 1])
    intercept, slope = line(np.concatenate(odds), np.concatenate(happened))
    assert slope == pytest.approx(1, abs=0.15)
    assert intercept == pytest.approx(0, abs=0.15)


def test_noise_is_shared_by_patients_images_and_arms_as_declared(chest):
    noise = {"baseline": [], "treatment": []}
    for world in range(40):
        for arm, parts in chest.parts((9, world), ID, 2).items():
            noise[arm].append(parts.noise / parts.noise.std())
    baseline, treatment = (np.stack(of_arm) for of_arm in noise.values())

    def correlation(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    assert correlation(baseline[:, 0], baseline[:, 1]) == pytest.approx(0.7, abs=0.02)
    assert correlation(baseline[:, 0], treatment[:, 0]) == pytest.approx(0.6, abs=0.02)
    patient = chest.rows(ID).patient
    again = np.flatnonzero(patient[1:] == patient[:-1])
    assert correlation(baseline[:, 0, again], baseline[:, 0, again + 1]) == pytest.approx(0.2, abs=0.03)
    assert correlation(baseline[..., 0], baseline[..., 1]) == pytest.approx(0, abs=0.02)


def test_a_world_follows_from_its_number_task_and_set(chest, mammography):
    again = Setting(0, open_cohort("phantoms:chest"), ())
    assert np.array_equal(logits(chest, ID, [1]), logits(again, ID, [1]))
    assert not np.array_equal(logits(chest, ID, [1]), logits(chest, ID, [2]))
    other_task = Setting(1, open_cohort("phantoms:chest"), ())
    assert not np.array_equal(logits(chest, ID, [1]), logits(other_task, ID, [1]))
    of_sets = [chest.parts((0, 1), name, 1)["baseline"].noise[0, :100] for name in (ID, "icu")]
    assert abs(np.corrcoef(*(of_set.ravel() for of_set in of_sets))[0, 1]) < 0.2


def test_worlds_share_no_random_number_with_what_calibrates_them(mammography):
    world, fit = (mammography.parts((purpose, 1), ID, 1)["baseline"].noise for purpose in (0, 1))
    assert not np.isin(world, fit).any()


def test_harm_to_a_sub_group_moves_its_rows_of_the_treatment_alone(chest):
    rows = chest.rows(ID).attributes["view"] == "AP"
    harm = Harm({ID: rows}, lost=0.5)
    before, after = (chest.logits(3, ID, of, SEEDS) for of in (NOTHING, harm))
    assert np.array_equal(before["baseline"], after["baseline"])
    assert np.array_equal(before["treatment"][:, ~rows], after["treatment"][:, ~rows])
    assert (before["treatment"][:, rows] != after["treatment"][:, rows]).all()
    for other in (VALIDATION, "icu"):
        assert np.array_equal(*(chest.logits(3, other, of, SEEDS)["treatment"] for of in (NOTHING, harm)))


def test_who_loses_all_of_the_signal_knows_nothing(chest):
    rows = np.ones(len(chest.rows("icu")), dtype=bool)
    drawn = logits(chest, "icu", harm=Harm({"icu": rows}, lost=1.0))
    labels = chest.rows("icu").labels
    assert np.mean([roc_auc_score(labels, of_run) for of_run in drawn]) == pytest.approx(0.5, abs=0.01)


def test_a_factor_multiplies_all_logits_of_the_treatment_and_none_of_the_baseline(chest, dermatology):
    for setting in (chest, dermatology):
        for name in (VALIDATION, ID, setting.cohort.shifts[0]):
            before, after = (setting.logits(3, name, of, SEEDS) for of in (NOTHING, Harm(factor=4.0)))
            assert np.array_equal(before["baseline"], after["baseline"])
            assert np.array_equal(4 * before["treatment"], after["treatment"])


@given(lost=st.floats(0, 1), nothing_in=st.sampled_from([{}, {"vendor-b": np.zeros(747, dtype=bool)}]))
@settings(max_examples=5, deadline=None)
def test_harm_to_nobody_is_none(lost, nothing_in):
    setting = Setting(1, open_cohort("phantoms:mammography"), ())
    before, after = (setting.logits(1, "vendor-b", of, 1) for of in (NOTHING, Harm(nothing_in, lost=lost)))
    assert all(np.array_equal(before[arm], after[arm]) for arm in before)


def test_runs_have_the_cohorts_rows_and_the_planned_seeds(mammography):
    specs = {arm: {seed: run_spec(seed=seed) for seed in (4, 7)} for arm in ("baseline", "treatment")}
    runs = mammography.runs(1, NOTHING, specs)
    assert {arm: list(by_seed) for arm, by_seed in runs.items()} == {arm: [4, 7] for arm in runs}
    rows, scored = mammography.rows("dense"), runs["treatment"][7].predictions("dense")
    assert scored.evaluation_set == "dense"
    assert np.array_equal(scored.labels, rows.labels)
    assert np.array_equal(scored.patient, rows.patient)
    assert scored.attributes.keys() == rows.attributes.keys()
    assert runs["treatment"][7].record.spec.seed == 7
    assert not np.array_equal(scored.logits, runs["treatment"][4].predictions("dense").logits)
    assert scored.logits.dtype == np.float32


def test_shares_of_noise_are_all_of_it():
    shares = (claim_worlds.OF_PATIENT, claim_worlds.OF_IMAGE, claim_worlds.OF_ARM, claim_worlds.OF_RUN)
    assert sum(shares) == pytest.approx(1)
