"""From predictions to verdicts: predicates, pairing, states, and how often a verdict is wrong."""

import re
import subprocess
import sys
from dataclasses import replace as replace_dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nct, t, ttest_rel
from sklearn.metrics import roc_auc_score

from medbench import judge as judging
from medbench import over_patients
from medbench.errors import MedbenchError
from medbench.judge import judge
from medbench.judgement import Interval, Judgement, Settle
from medbench.metrics import Metric, metric_named
from medbench.metrics.estimates import Estimates
from medbench.spec.metrics import AveragePrecision, Brier
from medbench.stats.interval import Claimed, Spread, limits, p_value
from medbench.stats.power import NO_DOUBT, detectable, power
from tests.judging import FakeRun, claim, planned, scored, study
from tests.stats.delong import delong

ARMS = ("baseline", "treatment")
BOOTSTRAPPED = AveragePrecision()


@pytest.fixture
def invented(monkeypatch):
    """Items are judged by a metric of the test's own, whatever they name, its interval by the bootstrap."""

    def judge_by(name, values, *, spec=BOOTSTRAPPED):
        metric = Metric(name, spec, spec.higher_is_better, 0.0, 1.0, values)
        monkeypatch.setattr(judging, "metric_named", lambda *_: metric)

    return judge_by


def shown(runs, seeds=(1, 2, 3), **changes):
    return judge(planned(seeds=seeds), claim(**changes), runs)


def test_a_clear_gain_is_supported_and_described():
    runs = study(gain=1.5, n_patients=200)
    result = shown(runs)
    assert result.state == "judged"
    assert result.verdict == "supported"
    assert result.reason == result.note == ""
    assert (result.id, result.task, result.claim, result.evaluation_set) == (
        "mammography/scale-data/id",
        "mammography",
        "scale-data",
        "id",
    )
    assert (result.arms, result.metric) == ({"baseline": "bit-s-r", "treatment": "bit-m-r"}, "roc_auc@1")
    assert (result.statement, result.margin, result.relevant_effect) == ("More data is better.", 0.005, 0.03)
    assert (result.n_images, result.n_patients, result.n_seeds) == (400, 200, 3)
    assert (result.interval, result.replicates, result.undefined_replicates) == ("influence", 0, 0)
    assert (result.family, result.p_holm, result.p_bh) == ("scale", None, None)
    assert 0 < result.p < 0.05
    assert (result.settle, result.generated, result.cluster) == (None, False, "patient")
    assert result.cohort_fingerprint == "f1"
    definition = result.definition
    assert (definition.predicate, definition.margin, definition.metric) == ("superiority", 0.005, "roc_auc@1")
    assert (definition.evaluate, definition.cohort) == ("id", "phantoms:mammography")
    assert definition.labels == "single-label: benign, malignant"
    for arm in ARMS:
        for seed, run in runs[arm].items():
            scores = run.scored.logits[:, 1]
            expected = roc_auc_score(run.scored.labels[:, 1], scores)
            assert result.samples[arm][seed] == pytest.approx(expected)


def test_the_effect_is_the_mean_paired_difference_and_its_interval_adds_patients_and_seeds():
    runs = study(gain=0.3, n_patients=150)
    result = shown(runs)
    differences = [result.samples["treatment"][s] - result.samples["baseline"][s] for s in (1, 2, 3)]
    assert result.effect.value == pytest.approx(np.mean(differences))
    one = runs["baseline"][1].scored
    scores = np.stack([runs[arm][s].scored.logits[:, 1] for arm in ARMS for s in (1, 2, 3)]).astype(float)
    _, covariance = delong(one.labels[:, 1], scores, one.patient)
    contrast = np.array([-1, -1, -1, 1, 1, 1]) / 3
    spread = Spread(
        patients=contrast @ covariance @ contrast,
        seeds=np.var(differences, ddof=1),
        n_patients=50,
        n_seeds=3,
    )
    low, high = limits(result.effect.value, spread)
    # Ours has the factor of the rarest class, 50/49, where DeLong's has that of each class.
    assert (result.effect.low, result.effect.high) == pytest.approx((low, high), abs=0.01 * (high - low))
    claimed = Claimed(low=0.005)
    assert result.p == pytest.approx(p_value(result.effect.value, claimed, spread), rel=0.1)
    assert result.power == pytest.approx(power(0.03, claimed, spread), abs=0.01)
    assert result.detectable == pytest.approx(detectable(claimed, spread), rel=0.01)


def test_a_clear_loss_is_refuted():
    result = shown(study(gain=-1.0, n_patients=200))
    assert result.verdict == "refuted"
    assert result.effect.high < 0
    assert result.settle is None
    assert result.power is not None


def test_the_verdict_is_given_at_half_and_twice_the_margin_too():
    effect = shown(study(gain=0.8, n_patients=200)).effect
    at = shown(study(gain=0.8, n_patients=200), margin=effect.low * 0.9, relevant_effect=0.9)
    assert (at.verdict_at_half_margin, at.verdict, at.verdict_at_twice_margin) == (
        "supported",
        "supported",
        "refuted",
    )
    at = shown(study(gain=0.8, n_patients=200), margin=effect.low * 2.2, relevant_effect=0.9)
    assert at.verdict_at_half_margin == "inconclusive"
    at = shown(study(gain=0.8, n_patients=200), margin=effect.high * 0.4, relevant_effect=0.9)
    assert at.verdict_at_twice_margin == "inconclusive"
    at = shown(study(gain=0.8, n_patients=200), margin=effect.value, relevant_effect=0.9)
    assert (at.verdict_at_half_margin, at.verdict, at.verdict_at_twice_margin) == (
        "supported",
        "inconclusive",
        "refuted",
    )


def test_an_open_verdict_says_what_would_settle_it():
    result = shown(study(gain=0.1, n_patients=100))
    assert result.verdict == "inconclusive"
    assert result.effect.low < 0
    assert result.note == ""
    assert result.settle.both > 1
    hopeless = shown(study(gain=0.1, n_patients=100), margin=result.effect.value, relevant_effect=0.9).settle
    assert (hopeless.patients, hopeless.seeds, hopeless.both) == (None, None, None)


def test_what_would_settle_it_is_asked_at_the_measured_distance_from_the_margin(monkeypatch):
    asked = []
    for name, answer in [
        ("patients_that_settle", 2.5),
        ("seeds_that_settle", 7),
        ("patients_and_seeds_that_settle", 1.5),
    ]:
        monkeypatch.setattr(judging, name, lambda *args, a=answer: asked.append(args) or a)
    result = shown(study(gain=0.1, n_patients=100))
    assert result.settle == Settle(patients=2.5, seeds=7, both=1.5)
    assert len(asked) == 3
    for effect, claimed, spread, doubt in asked:
        assert (effect, doubt) == (result.effect.value, NO_DOUBT)
        assert claimed == Claimed(low=0.005)
        assert limits(result.effect.value, spread) == (result.effect.low, result.effect.high)


def test_a_clear_gain_with_an_open_margin_says_so():
    result = shown(study(gain=0.5, n_patients=200), margin=0.08, relevant_effect=0.2)
    assert result.effect.low > 0
    assert result.verdict == "inconclusive"
    assert result.note == "there is a gain, but whether of more than 0.08 is open"


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision"])
def test_judging_twice_gives_the_same_record(metric):
    once, again = (judge(planned(metric=metric), claim(), study(gain=0.3)) for _ in range(2))
    assert once == again


@pytest.mark.parametrize(
    ("metric", "interval"),
    [
        ("roc_auc", "influence"),
        ("nll", "influence"),
        ("brier", "influence"),
        ("accuracy", "influence"),
        ("balanced_accuracy", "influence"),
        ("average_precision", "bootstrap"),
    ],
)
def test_the_record_says_how_the_interval_was_made(metric, interval):
    result = judge(planned(metric=metric), claim(), study(gain=0.3))
    assert result.interval == interval
    assert result.replicates == (over_patients.REPLICATES if interval == "bootstrap" else 0)


@pytest.mark.parametrize("metric", ["roc_auc", "nll", "brier", "balanced_accuracy"])
def test_influences_and_replicates_give_the_same_interval(metric, monkeypatch):
    runs = study(gain=0.3, n_patients=300, noise=0.8)
    exact = judge(planned(metric=metric), claim(), runs)
    monkeypatch.setattr(over_patients, "influence", lambda *_: None)
    drawn = judge(planned(metric=metric), claim(), runs)
    assert drawn.interval == "bootstrap"
    width = exact.effect.high - exact.effect.low
    assert (drawn.effect.low, drawn.effect.high) == pytest.approx(
        (exact.effect.low, exact.effect.high), abs=0.06 * width
    )


def test_another_item_draws_other_patients(invented):
    invented("area", metric_named("roc_auc").values)
    runs = study(gain=0.3)
    elsewhere = {
        arm: {
            s: FakeRun(
                scored(
                    r.scored.labels[:, 1],
                    r.scored.logits[:, 1],
                    patients=r.scored.patient,
                    evaluation_set="icu",
                )
            )
            for s, r in runs[arm].items()
        }
        for arm in ARMS
    }
    there = judge(planned(evaluation_set="icu"), claim(), elsewhere)
    assert there.id == "mammography/scale-data/icu"
    assert there.effect.value == pytest.approx(shown(runs).effect.value)
    assert there.effect.low != shown(runs).effect.low


def test_where_lower_is_better_a_lower_treatment_is_a_gain(invented):
    def error(sample, weights):
        area = metric_named("roc_auc").values(sample, weights)
        return Estimates(1 - area.values, area.defined, area.reason)

    invented("area", metric_named("roc_auc").values)
    better = shown(study(gain=1.0, n_patients=150))
    invented("auc_loss", error, spec=Brier(part="uncertainty"))
    result = judge(planned(), claim(), study(gain=1.0, n_patients=150))
    assert result.metric == result.definition.metric == "brier/uncertainty-15@1"
    assert result.samples["treatment"][1] < result.samples["baseline"][1]
    assert result.effect.value == pytest.approx(better.effect.value)
    assert result.effect.low == pytest.approx(better.effect.low)


@pytest.mark.parametrize(("arm", "seed"), [("baseline", 2), ("treatment", 3)])
@pytest.mark.parametrize("how", ["none", "absent"])
def test_an_item_whose_runs_are_not_all_there_was_not_run(arm, seed, how):
    runs = study()
    if how == "none":
        runs[arm][seed] = None
    else:
        del runs[arm][seed]
    result = shown(runs)
    assert result.state == "not-run"
    assert result.reason == f"no run of {arm} seed {seed}; train them with --runs=auto"
    assert (result.verdict, result.effect, result.samples) == (None, None, {})


def test_an_item_without_any_run_names_three_and_counts_the_others():
    def reason(*seeds):
        return judge(planned(seeds=seeds), claim(), {}).reason.removesuffix("; train them with --runs=auto")

    assert reason(1) == "no run of baseline seed 1, treatment seed 1"
    assert reason(2, 1) == "no run of baseline seed 1, baseline seed 2, treatment seed 1 and 1 more"


def test_runs_whose_sub_groups_differ_are_never_paired():
    runs = study()
    scored_with = {"sex": np.array(["f", "m"] * 60)}
    for arm in ARMS:
        for run in runs[arm].values():
            run.scored = replace_dataclass(run.scored, attributes=scored_with)
    runs["treatment"][2].scored = replace_dataclass(
        runs["treatment"][2].scored, attributes={"sex": scored_with["sex"][::-1]}
    )
    with pytest.raises(MedbenchError, match="not scored on the same sub-groups"):
        shown(runs)
    runs["treatment"][2].scored = replace_dataclass(runs["treatment"][2].scored, attributes={})
    with pytest.raises(MedbenchError, match="not scored on the same sub-groups"):
        shown(runs)


@pytest.mark.parametrize("name", ["average_precision", "ece", "calibration_slope_error"])
def test_a_resampled_interval_concludes_nothing_from_fewer_than_twenty_patients_of_a_class(name):
    few = judge(planned(metric=name), claim(predicate="non-inferiority", margin=0.9), study(n_patients=57))
    assert (few.interval, few.certified, few.verdict) == ("bootstrap", False, "inconclusive")
    assert few.note == "a class is shown by 19 patients only, and nothing is concluded from fewer than 20"
    enough = judge(
        planned(metric=name), claim(predicate="non-inferiority", margin=3.0), study(n_patients=60, noise=1.0)
    )
    assert not enough.note.startswith("a class")


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_fewer_than_three_seeds_conclude_nothing_and_the_note_says_how_many_to_add(seeds):
    result = shown(study(gain=3.0, seeds=seeds, n_patients=200), seeds=seeds)
    assert result.effect.low > 0.005
    assert result.verdict == "inconclusive"
    assert (
        result.note
        == {
            1: "one seed: the noise of training is unknown, so nothing is concluded; train 2 more an arm",
            2: "2 seeds: the noise of training is hardly known, so nothing is concluded; train 1 more an arm",
        }[len(seeds)]
    )
    assert shown(study(gain=3.0, n_patients=200)).verdict == "supported"


def test_what_was_not_drawn_is_added_to_what_was_and_the_note_says_how_many_times_the_patients():
    """Arms that agree on nearly everything: the interval is narrow, and a kind of patient may be missing."""
    runs = study(n_patients=150, noise=0.05)
    few = judge(planned(), claim(predicate="non-inferiority", margin=0.02, relevant_effect=0.0), runs)
    assert few.effect.low > -0.01
    assert (few.verdict, few.verdict_at_half_margin) == ("inconclusive", "inconclusive")
    assert few.verdict_at_twice_margin == "inconclusive"
    unseen, times = map(float, re.findall(r"may cost (\S+): to exclude them takes (\S+) times", few.note)[0])
    # 50 patients have it; the share of them that one cohort in twenty misses, times the area that they lose.
    assert 0.5 * 0.058 < unseen < 0.058
    assert times == pytest.approx(unseen / (few.effect.low + 0.02), rel=0.06)
    assert few.settle is None
    assert few.p > 0.05
    enough = judge(planned(), claim(predicate="non-inferiority", margin=0.07, relevant_effect=0.0), runs)
    assert (enough.verdict, enough.verdict_at_half_margin) == ("supported", "inconclusive")
    assert enough.p < 0.05
    just = few.effect.low - unseen  # a margin that either of the two alone would leave room for
    both = judge(
        planned(), claim(predicate="non-inferiority", margin=-just * 0.97, relevant_effect=0.0), runs
    )
    assert both.verdict == "inconclusive"
    better = judge(planned(), claim(predicate="superiority", margin=0.0), study(n_patients=150, gain=1.0))
    assert better.verdict == "supported"  # which no unseen patient is needed for


def test_of_equivalence_the_unseen_of_either_arm_count(monkeypatch):
    runs = study(n_patients=150, noise=0.05)
    bad = {id(run.scored) for run in runs["baseline"].values()}
    monkeypatch.setattr(
        judging, "most_unseen", lambda metric, sample, level: 0.2 * (id(sample.predictions) in bad)
    )
    verdicts = [
        judge(planned(), claim(predicate=predicate, margin=0.1, relevant_effect=0.0), runs).verdict
        for predicate in ("non-inferiority", "equivalence")
    ]
    assert verdicts == ["supported", "inconclusive"]


def test_a_clear_loss_is_refuted_whoever_was_not_drawn():
    runs = study(n_patients=45, gain=-3.0)
    result = judge(planned(), claim(predicate="non-inferiority", margin=0.01, relevant_effect=0.0), runs)
    assert result.verdict == "refuted"


@pytest.mark.parametrize("floor", [0.001, 0.02, 3.0])
def test_a_folded_metric_has_limits_further_out_by_the_floor_of_its_noise(monkeypatch, floor):
    monkeypatch.setattr(over_patients, "noise_floor", lambda *_: 0.0)
    without = judge(planned(metric="ece"), claim(), study(n_patients=90))
    monkeypatch.setattr(over_patients, "noise_floor", lambda metric, sample, random: floor)
    within = judge(planned(metric="ece"), claim(), study(n_patients=90))
    assert within.effect.value == without.effect.value
    assert without.effect.low - within.effect.low == pytest.approx(floor)
    assert within.effect.high - without.effect.high == pytest.approx(floor)
    assert within.p > without.p


def test_a_resampled_difference_that_rests_on_few_patients_concludes_nothing():
    labels = np.arange(120) % 2
    scores = 10 * labels + np.random.default_rng(0).random((2, 3, 120))
    scores[1, :, [0, 1]] = scores[1, :, [1, 0]]
    runs = {
        arm: {s: FakeRun(scored(labels, scores[a, s - 1])) for s in (1, 2, 3)} for a, arm in enumerate(ARMS)
    }
    result = judge(planned(metric="average_precision"), claim(predicate="non-inferiority", margin=0.9), runs)
    assert result.effect.low > -0.9
    assert result.verdict == "inconclusive"
    behind = float(re.fullmatch(r"the difference rests on (\S+) patients, .*", result.note)[1])
    assert 0 < behind < 4


def test_arms_that_score_all_patients_alike_are_said_to():
    labels = np.arange(120) % 2
    scores = np.random.default_rng(0).random((2, 3, 120))
    scores[1] = scores[0] / 2
    runs = {
        arm: {s: FakeRun(scored(labels, scores[a, s - 1])) for s in (1, 2, 3)} for a, arm in enumerate(ARMS)
    }
    result = judge(planned(metric="average_precision"), claim(predicate="non-inferiority", margin=0.9), runs)
    assert result.verdict == "inconclusive"
    assert result.note.startswith(
        ("no patient makes a difference", "the difference is the same for all patients")
    )


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [("image", "other", "images"), ("patient", "p99", "patients"), ("labels", [1, 0], "labels")],
)
def test_runs_scored_on_other_examples_are_never_paired(field, value, what):
    runs = study()
    getattr(runs["treatment"][2].scored, field)[0] = value
    sentence = (
        f"mammography/scale-data/id: treatment seed 1 and treatment seed 2 were not scored on the same {what}"
    )
    with pytest.raises(MedbenchError, match=sentence) as raised:
        shown(runs)
    assert "(120 and 120 examples)" in str(raised.value)
    assert str(raised.value).endswith("cannot be paired. Train them afresh on one cohort with --runs=force.")


def test_runs_with_fewer_examples_are_never_paired():
    runs = study()
    runs["treatment"][1] = study(n_patients=59)["treatment"][1]
    with pytest.raises(
        MedbenchError, match=r"baseline seed 3 and treatment seed 1 .* \(120 and 118 examples\)"
    ):
        shown(runs)


def test_an_undefined_metric_leaves_the_item_missing_with_the_reason():
    labels = np.array([0, 1, 1, 0, 1, 0])
    runs = {arm: {s: FakeRun(scored(labels, labels + 0.1 * s)) for s in (1, 2, 3)} for arm in ARMS}
    runs["baseline"][2].scored.logits[0] = np.nan
    runs["treatment"][1].scored.logits[:] = np.nan
    result = shown(runs)
    assert result.state == "missing"
    assert result.reason == (
        "roc_auc of baseline, seed 2, is undefined: 1 of 6 examples have logits that are not finite"
    )
    assert (list(result.samples["baseline"]), list(result.samples["treatment"])) == ([1, 3], [2, 3])
    assert (result.verdict, result.effect) == (None, None)
    assert result.n_images == 6


def test_telling_a_shift_from_home_is_missing_at_home():
    result = judge(planned(metric="ood_auroc"), claim(), study())
    assert (result.state, result.verdict) == ("missing", None)
    assert result.reason.startswith("ood_auroc tells a shift from `id`")


def test_one_class_alone_leaves_the_item_missing():
    runs = {arm: {s: FakeRun(scored([1, 1, 1], [1.0, 2, 3])) for s in (1, 2, 3)} for arm in ARMS}
    assert shown(runs).reason == (
        "roc_auc of baseline, seed 1, is undefined: `malignant` has no negative example"
    )


@pytest.mark.parametrize("patients", [["a"] * 6, ["a", "a", "a", "b", "b", "b"], list("aaabcd")])
def test_a_class_that_one_patient_alone_shows_has_no_interval(patients):
    labels = [1, 1, 1, 0, 0, 0]
    scores = np.random.default_rng(0).normal(size=(2, 3, 6))
    runs = {
        arm: {s: FakeRun(scored(labels, scores[a, s - 1], patients=patients)) for s in (1, 2, 3)}
        for a, arm in enumerate(ARMS)
    }
    result = judge(planned(), claim(), runs, cluster="clinic")
    assert result.state == "missing"
    assert result.reason == "one clinic alone shows a class: there is no interval over patients"
    assert (result.verdict, result.replicates) == (None, 0)


def test_replicates_without_a_class_are_counted(invented):
    invented("area", metric_named("roc_auc").values)
    labels = np.array([1, 1, 0, 0, 0])
    draw = np.random.default_rng(0)
    runs = {arm: {s: FakeRun(scored(labels, draw.normal(size=5))) for s in (1, 2, 3)} for arm in ARMS}
    result = shown(runs)
    # Of five drawn, none of the two positives, or none of the three negatives: (3/5)^5 + (2/5)^5.
    assert result.undefined_replicates == pytest.approx(1000 * (0.6**5 + 0.4**5), abs=3 * 9)
    assert result.state == "judged"
    assert result.replicates == 1000


def test_a_metric_that_most_replicates_leave_undefined_is_missing(invented):
    def picky(sample, weights):
        defined = weights[:, 0] == 1
        return Estimates(np.where(defined, 0.5, 0.0), defined, "" if defined.all() else "the first is shy")

    invented("picky", picky)
    result = judge(planned(), claim(), study())
    assert result.state == "missing"
    assert result.reason == "picky is undefined in most replicates of the patients: the first is shy"
    assert result.undefined_replicates > 500
    assert (result.verdict, result.effect) == (None, None)


def test_a_replicate_that_one_run_leaves_undefined_is_left_out_whole(invented):
    def touchy(sample, weights):
        area = metric_named("roc_auc").values(sample, weights)
        shy = sample.predictions.logits[0, 1] == 99
        defined = area.defined & ((weights[:, 0] < 3) | ~shy)
        return Estimates(np.where(defined, area.values, -50.0), defined, "" if defined.all() else "touchy")

    invented("touchy", touchy)
    runs = study(gain=0.3)
    runs["treatment"][1].scored.logits[0, 1] = 99
    result = judge(planned(), claim(), runs)
    # A patient is drawn three times or more in 8 of 100 replicates (Poisson, mean 1).
    assert result.undefined_replicates == pytest.approx(80, abs=27)
    assert result.effect.high - result.effect.low < 0.5


@pytest.mark.parametrize("arm", ARMS)
def test_a_replicates_reason_may_come_from_any_run(invented, arm):
    def shy(sample, weights):
        defined = (weights[:, 0] == 1) | (sample.predictions.logits[0, 1] != 99)
        return Estimates(np.full(len(weights), 0.5), defined, "" if defined.all() else "the first is shy")

    invented("shy", shy)
    runs = study()
    runs[arm][2].scored.logits[0, 1] = 99
    reason = "shy is undefined in most replicates of the patients: the first is shy"
    assert judge(planned(), claim(), runs).reason == reason


@pytest.mark.parametrize("n", [3, 4, 6])
def test_where_patients_do_not_matter_the_interval_is_a_paired_t_test_of_the_seeds(invented, monkeypatch, n):
    monkeypatch.setattr(judging, "FEWEST_BEHIND", 0)

    def first_logit(sample, weights):
        return Estimates(
            np.full(len(weights), float(sample.predictions.logits[0, 1])), np.ones(len(weights), bool)
        )

    invented("first", first_logit)
    seeds, draw = range(1, n + 1), np.random.default_rng(n)
    runs = study(seeds=seeds, n_patients=180)
    values = draw.normal(size=(2, n)).astype(np.float32)
    for arm, row in zip(ARMS, values, strict=True):
        for seed, value in zip(seeds, row, strict=True):
            runs[arm][seed].scored.logits[0, 1] = value
    result = judge(planned(seeds=seeds), claim(margin=0.5, relevant_effect=2.0), runs)
    test = ttest_rel(values[1], values[0])
    expected = test.confidence_interval(0.9)
    assert (result.effect.low, result.effect.high) == pytest.approx((expected.low, expected.high), rel=1e-5)
    error = np.std(values[1] - values[0], ddof=1) / n**0.5
    assert result.power == pytest.approx(nct.sf(t.isf(0.05, n - 1), n - 1, 1.5 / error), rel=1e-4)


def test_one_seed_concludes_nothing_whatever_the_gain():
    result = shown(study(gain=3.0, seeds=(1,), n_patients=200), seeds=(1,))
    assert result.state == "judged"
    assert result.effect.low > 0.005
    assert result.verdict == result.verdict_at_half_margin == result.verdict_at_twice_margin == "inconclusive"
    assert result.note.startswith("one seed:")
    assert (result.power, result.detectable, result.settle) == (None, None, None)


@pytest.mark.parametrize("treatment", [0.0, 1.0])
def test_perfect_separation_of_a_handful_of_patients_concludes_nothing(treatment):
    labels = np.array([0, 0, 1, 1])
    runs = {
        "baseline": {s: FakeRun(scored(labels, -1.0 * labels)) for s in (1, 2, 3)},
        "treatment": {
            s: FakeRun(scored(labels, treatment * labels - (1 - treatment) * labels)) for s in (1, 2, 3)
        },
    }
    result = shown(runs)
    assert result.verdict == "inconclusive"
    assert result.note.startswith("the difference is the same for all patients and seeds")
    assert (result.power, result.settle) == (None, None)


def test_identical_arms_conclude_nothing():
    runs = study()
    result = shown({"baseline": runs["baseline"], "treatment": runs["baseline"]})
    assert result.effect == Interval(value=0, low=0, high=0)
    assert result.verdict == "inconclusive"
    assert result.note.startswith("the difference is the same for all patients and seeds")


@settings(deadline=None)
@given(st.data())
def test_any_tiny_cohort_is_judged_or_missing_but_never_an_error(data):
    n = data.draw(st.integers(1, 6))
    labels = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    patients = data.draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    score = st.lists(st.sampled_from([-1.0, 0.0, 0.0, 2.0]), min_size=n, max_size=n)
    runs = {
        arm: {s: FakeRun(scored(labels, data.draw(score), patients=patients)) for s in (1, 2)} for arm in ARMS
    }
    result = shown(runs, seeds=(1, 2))
    assert (result.state == "judged") == (result.verdict is not None)
    assert bool(result.reason) == (result.state == "missing")
    if result.effect:
        assert np.isfinite([result.effect.low, result.effect.value, result.effect.high]).all()
        assert result.effect.low <= result.effect.value <= result.effect.high


def test_what_was_trained_and_where_is_told_from_what_was_loaded():
    runs = study()
    runs["baseline"][1].origin, runs["treatment"][1].origin = "trained", "reused"
    for arm in ARMS:
        for seed in (2, 3):
            runs[arm][seed].origin = "loaded"
            runs[arm][seed].device_class = "tpu"
    runs["treatment"][1].device_class = "gpu-x"
    result = shown(runs)
    assert result.trained == {"baseline": [1], "treatment": [1]}
    assert result.devices == {
        "baseline": {1: "cpu", 2: "tpu", 3: "tpu"},
        "treatment": {1: "gpu-x", 2: "tpu", 3: "tpu"},
    }
    assert result.environments == ["cpu", "gpu-x"]
    for arm in ARMS:
        runs[arm][1].origin = "loaded"
    assert shown(runs).environments == ["cpu", "gpu-x", "tpu"]
    assert shown(runs).trained == {"baseline": [], "treatment": []}


def test_the_sub_groups_that_are_there_are_listed_without_the_unrecorded():
    runs = study(n_patients=4, images=1)
    for arm in ARMS:
        for run in runs[arm].values():
            run.scored.attributes["sex"] = np.array(["m", "f", "", "m"])
            run.scored.attributes["view"] = np.array(["PA"] * 4)
    assert shown(runs).groups == {"sex": ["f", "m"], "view": ["PA"]}


def test_generated_cohorts_and_stand_in_clusters_are_marked():
    result = judge(planned(), claim(), study(), generated=True, cluster="lesion")
    assert (result.generated, result.cluster) == (True, "lesion")


def test_a_record_of_plain_values_reads_back_equal():
    result = shown(study(gain=0.3))
    assert msgspec.json.decode(msgspec.json.encode(result), type=Judgement) == result


def test_judging_needs_no_jax():
    code = "import sys, medbench.judge, medbench.expect, medbench.policy; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_verdicts_are_wrong_no_more_often_than_the_level(monkeypatch):
    """Arms that do not differ, at margin 0: each of two wrong verdicts in at most 5 of 100 studies."""
    monkeypatch.setattr(over_patients, "REPLICATES", 100)
    verdicts = [
        judge(planned(), claim(margin=0.0), study(n_patients=60, noise=0.6, rng=rng)).verdict
        for rng in range(150)
    ]
    for wrong in ("supported", "refuted"):
        assert verdicts.count(wrong) / 150 < 0.05 + 2 * (0.05 * 0.95 / 150) ** 0.5
