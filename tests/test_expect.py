"""Look-up, bands, statuses and the reviewed update of accepted values."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.stats import t

from medbench.errors import MedbenchError
from medbench.expect import (
    NUMERIC,
    PREDICTION,
    Accepted,
    Calibration,
    Change,
    Expectations,
    check,
    load,
    measured,
    require_writable,
    summary,
    update,
    vanished_items,
)
from medbench.judgement import Interval
from medbench.metrics import metric_named
from medbench.spec.metrics import BUILT_IN, EqualizedOddsGap, GroupGap, WorstGroup
from medbench.stats.prediction import prior_spread
from tests.judging import judgement

TODAY = Accepted(date="2026-12-01", commit="1a2b3c4", reason="first acceptance", jax="0.10.2")
ARMS = ("baseline", "treatment")
ARMS_NOW = {"baseline": "bit-random-r", "treatment": "bit-m-r"}


@pytest.fixture(autouse=True)
def at_home(monkeypatch):
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "expectations"


def accept(judgements, root, provenance=TODAY, *, tier="embedded", **options):
    """Update with one provenance for all items."""
    return update(
        judgements,
        root=root,
        tier=tier,
        reason=provenance.reason,
        provenance=lambda item: provenance,
        **options,
    )


def accepted(root, *judgements, calibration=(), tier="embedded"):
    """The expectations after accepting judgements, read back from the files."""
    accept(judgements or [judgement()], root, tier=tier)
    return Expectations(load(root, tier).accepted, tuple(calibration))


def samples(baseline, treatment, /, **changes):
    """A judgement whose seeds, from a first one on, were all trained on a processor."""
    first = changes.pop("first", 1)
    device = changes.pop("device", "cpu")
    seeds = {
        "baseline": range(first, first + len(baseline)),
        "treatment": range(first, first + len(treatment)),
    }
    values = {"baseline": baseline, "treatment": treatment}
    return judgement(
        samples={arm: dict(zip(seeds[arm], values[arm], strict=True)) for arm in ARMS},
        trained={arm: list(seeds[arm]) for arm in ARMS},
        devices={arm: dict.fromkeys(seeds[arm], device) for arm in ARMS},
        environments=[device],
        **changes,
    )


BASE, TREAT = [0.81, 0.80, 0.82], [0.83, 0.82, 0.84]


def calibrated(difference=0.0002, environment="cpu", metric="roc_auc@1"):
    return Calibration(
        variant="AVX2", environment=environment, jax="0.10.2", metric=metric, largest_difference=difference
    )


def test_what_was_accepted_is_unchanged_the_next_night(root):
    result = check(judgement(), accepted(root))
    assert (result.id, result.status, result.detail) == ("mammography/scale-data/id", "ok", "unchanged")
    assert (result.check, result.accepted_verdict) == (NUMERIC, "supported")
    assert result.expected == result.measured


@pytest.mark.parametrize("shift", [-0.0007, 0.0007])
@pytest.mark.parametrize("arm", [0, 1])
def test_the_same_seed_may_move_by_three_times_the_calibrated_difference(root, arm, shift):
    expectations = accepted(root, calibration=[calibrated(0.0002), calibrated(0.0001)])
    values = [list(BASE), list(TREAT)]
    values[arm][1] += shift
    result = check(samples(*values), expectations)
    assert result.status == "drifted"
    assert result.quantity == f"{ARMS[arm]}, seed 2"
    assert result.expected == [0.80, 0.82][arm]
    assert result.measured == values[arm][1]
    assert result.band == pytest.approx((result.expected - 0.0006, result.expected + 0.0006))
    assert result.detail == (
        f"{ARMS[arm]}, seed 2: {result.measured:.5f}, accepted {result.expected:.5f} ± 0.00060; "
        "1 of 6 values are outside"
    )
    values[arm][1] = result.expected + 0.8 * shift
    assert check(samples(*values), expectations).status == "ok"


def test_the_value_shown_is_the_one_furthest_out_for_its_band(root):
    expectations = accepted(root)
    result = check(samples([0.81, 0.8004, 0.8203], [0.8301, 0.8212, 0.8419]), expectations)
    assert (result.quantity, result.expected, result.measured) == ("treatment, seed 3", 0.84, 0.8419)
    assert "2 of 6 values are outside" in result.detail
    inside = check(samples([0.81, 0.8004, 0.82], TREAT), expectations)
    assert (inside.quantity, inside.status) == ("baseline, seed 2", "ok")


def test_all_values_that_left_their_bands_are_told_the_furthest_measured_first(root):
    result = check(samples([0.81, 0.8104, 0.8203], [0.8301, 0.8212, 0.8119]), accepted(root))
    assert result.detail == (
        "treatment, seed 3: 0.81190, accepted 0.84000 ± 0.00100; 3 of 6 values are outside; "
        "also baseline, seed 2 +0.01040, treatment, seed 2 +0.00120"
    )
    both = replace(
        samples([0.81, 0.8104, 0.82], [0.93, 0.82, 0.84]), trained={"baseline": [2], "treatment": []}
    )
    assert check(both, accepted(root)).detail.startswith("baseline, seed 2: 0.81040")


def test_a_loaded_value_outside_its_band_says_that_nothing_was_made_anew(root):
    moved = samples([0.81, 0.80, 0.85], TREAT)
    assert "see git log expectations" not in check(moved, accepted(root)).detail
    loaded = replace(moved, trained={"baseline": [1], "treatment": [1]})
    assert "the accepted value or the reference run that changed: see git log expectations" in (
        check(loaded, accepted(root)).detail
    )


@pytest.mark.parametrize(
    ("rows", "tolerance"),
    [
        ([], 0.001),
        ([calibrated(0.0002, environment="gpu-x")], 0.001),
        ([calibrated(0.0002, metric="ece@1")], 0.001),
        ([calibrated(0.0)], 0.0001),
        ([calibrated(0.00003)], 0.0001),
        ([calibrated(0.0002), calibrated(0.0005), calibrated(0.0001)], 0.0015),
    ],
)
def test_the_numeric_tolerance_is_three_times_the_largest_difference_within_limits(rows, tolerance):
    assert Expectations(calibration=tuple(rows)).tolerance("roc_auc@1", "cpu") == pytest.approx(tolerance)


def test_what_was_calibrated_for_one_attribute_holds_for_all():
    """A corrected gap that is 0 in the few values that were calibrated may be any where it is not."""
    identities = {
        kind: [metric_named("m", {**BUILT_IN, "m": spec(attributes=[name])}).identity for name in "ab"]
        for kind, spec in {
            "gap": partial(GroupGap, of="roc_auc"),
            "odds": EqualizedOddsGap,
            "worst": partial(WorstGroup, of="roc_auc"),
        }.items()
    }
    rows = [replace(calibrated(0.004), metric=of_a) for of_a, _ in identities.values()]
    rows += [replace(calibrated(0.0), metric=of_b) for _, of_b in identities.values()]
    expectations = Expectations(calibration=tuple(rows))
    for of_a, of_b in identities.values():
        assert (
            expectations.tolerance(of_b, "cpu") == expectations.tolerance(of_a, "cpu") == pytest.approx(0.012)
        )
    larger = metric_named("m", {**BUILT_IN, "m": GroupGap(of="roc_auc", attributes=["a"], smallest=30)})
    for other in (larger.identity, "roc_auc@1"):
        assert expectations.tolerance(other, "cpu") == 0.001


def half(group, groups, new, *, arms, family):
    """The band of the mean of some new seeds by its formula."""
    return _half(group, [group, new], groups, len(new), 0.035, arms, family)


def single(group, groups, k, *, arms, family):
    """The band of each of k new seeds by its formula."""
    return _half(group, [group], groups, 1, 0.005, arms, family * k)


def _half(group, seen, groups, k, level, arms, family):
    prior = prior_spread(groups, arms=arms)
    df = prior.degrees_of_freedom + sum(len(values) - 1 for values in seen)
    own = sum(np.var(values) * len(values) for values in seen)
    spread = ((prior.degrees_of_freedom * prior.deviation**2 + own) / df) ** 0.5
    each = 1 - (1 - level) ** (1 / family)
    return t.ppf(1 - each / 2, min(df, 5) if k == 1 else df) * spread * (1 / len(group) + 1 / k) ** 0.5


def test_new_seeds_are_compared_by_their_mean_with_their_arms_own_spread_moderated_by_the_tier(root):
    other = replace(
        samples([0.70, 0.74, 0.72, 0.75], [0.71, 0.73, 0.75, 0.76]), id="mammography/ood-robustness/vendor-b"
    )
    expectations = accepted(root, judgement(), other)
    groups = [list(v.values()) for item in (judgement(), other) for v in item.samples.values()]
    width = half(TREAT, groups, [0.83, 0.84], arms=2, family=4)
    result = check(samples([0.80, 0.812], [0.83, 0.84], first=6), expectations)
    assert result.check == PREDICTION
    assert result.status == "ok"
    assert result.quantity == "mean of treatment"
    assert (result.expected, result.measured) == (pytest.approx(0.83), pytest.approx(0.835))
    assert result.band == pytest.approx((0.83 - width, 0.83 + width))
    moved = [0.83 - 0.005, 0.83 + 0.005]
    for by, status in ((1.01 * width, "drifted"), (0.99 * width, "ok")):
        result = check(samples([0.80, 0.812], [value + by for value in moved], first=6), expectations)
        assert (result.status, result.quantity) == (status, "mean of treatment")


def test_one_new_seed_that_is_broken_cannot_hide_behind_the_spread_it_makes(root):
    tasks = [replace(judgement(), id=f"{name}/scale-data/id") for name in ("chest", "dermatology")]
    expectations = accepted(root, judgement(), *tasks)
    width = single(TREAT, [BASE, TREAT] * 3, 3, arms=6, family=6)
    night = [0.83, 0.83 - 1.01 * width, 0.83]
    result = check(samples([0.81, 0.80, 0.82], night, first=6), expectations)
    assert (result.status, result.quantity) == ("drifted", "treatment, seed 7")
    assert result.band == pytest.approx((0.83 - width, 0.83 + width))
    night[1] = 0.83 - 0.99 * width
    assert check(samples([0.81, 0.80, 0.82], night, first=6), expectations).status == "ok"
    assert "1 of 8 values are outside" in result.detail
    assert half(TREAT, [BASE, TREAT] * 3, night, arms=6, family=6) > width / 3


def test_accepted_and_new_seeds_of_one_night_are_each_compared_by_their_own_rule(root):
    expectations = accepted(root)
    result = check(samples([0.82, 0.81], [0.84, 0.83], first=3), expectations)
    assert result.check == f"{PREDICTION} + {NUMERIC}"
    assert result.status == "ok"
    drifted = check(samples([0.80, 0.81], [0.84, 0.83], first=3), expectations)
    assert (drifted.quantity, drifted.expected, drifted.measured) == ("baseline, seed 3", 0.82, 0.80)


def test_a_loaded_seed_is_still_compared_so_that_a_changed_metric_shows(root):
    expectations = accepted(root)
    loaded = samples([0.81, 0.80, 0.85], TREAT)
    loaded = replace(loaded, trained={"baseline": [1], "treatment": [1]})
    assert check(loaded, expectations).quantity == "baseline, seed 3"
    assert check(loaded, expectations).status == "drifted"


def test_it_is_told_how_many_values_were_measured(root):
    expectations = accepted(root)
    assert measured(judgement()) == (6, 6)
    some = judgement(trained={"baseline": [1], "treatment": [1]})
    assert measured(some) == (2, 6)
    assert check(some, expectations).detail == "unchanged; 2 of 6 values were measured, the rest is loaded"
    none = judgement(trained={"baseline": [], "treatment": []})
    assert measured(none) == (0, 6)
    assert check(none, expectations).detail == "unchanged; all values are loaded, nothing was measured"
    assert measured(judgement(state="not-run", samples={}, trained={})) == (0, 0)


def test_a_loaded_seed_of_another_device_class_is_no_news(root):
    expectations = accepted(root)
    elsewhere = replace(
        samples([0.81, 0.90, 0.90], [0.83, 0.90, 0.90], device="gpu-x"),
        trained={"baseline": [1], "treatment": [1]},
    )
    result = check(elsewhere, expectations)
    assert (result.status, result.check) == ("ok", PREDICTION)
    assert result.measured in (0.81, 0.83)
    nothing = check(replace(elsewhere, trained={"baseline": [], "treatment": []}), expectations)
    assert (nothing.status, nothing.check, nothing.band, nothing.quantity) == ("not-compared", "", None, "")
    assert nothing.detail.endswith("no value could be compared; all values are loaded, nothing was measured")
    assert (nothing.expected, nothing.measured) == (None, None)


def test_another_device_class_is_compared_with_the_nearest_by_the_spread_of_seeds(root):
    result = check(samples([0.812, 0.799, 0.822], TREAT, device="tpu"), accepted(root))
    assert (result.status, result.check) == ("ok", PREDICTION)
    assert result.detail == "nothing was accepted on tpu, so compared with cpu"
    two = replace(judgement(), environments=["gpu-a", "tpu"])
    assert "nothing was accepted on gpu-a, tpu, so" in check(two, accepted(root)).detail


def test_other_images_are_compared_by_the_spread_of_seeds(root):
    result = check(samples([0.812, 0.799, 0.822], TREAT, cohort_fingerprint="f2"), accepted(root))
    assert (result.status, result.check) == ("ok", PREDICTION)
    assert result.detail == "the cohort's images changed"


def test_items_of_the_same_runs_do_not_make_the_prior_surer(root):
    """Six arms in three items of one task are two arms' runs; of three tasks they are six."""
    shifts = [replace(judgement(), id=f"mammography/ood/{name}") for name in ("a", "b")]
    tasks = [replace(judgement(), id=f"{name}/scale-data/id") for name in ("chest", "dermatology")]
    later = samples([0.81, 0.80], TREAT[:2], first=6)
    widths = {}
    for arms, others in ((2, shifts), (6, tasks)):
        folder = root / str(arms)
        low, high = check(later, accepted(folder, judgement(), *others)).band
        widths[arms] = (high - low) / 2
        assert widths[arms] == pytest.approx(half(BASE, [BASE, TREAT] * 3, [0.81, 0.80], arms=arms, family=6))
    assert widths[6] < widths[2]


def test_one_accepted_seed_gives_no_band(root):
    of_three = accepted(root).accepted[0]
    of_one = replace(of_three, samples={"baseline": {1: 0.81}, "treatment": {1: 0.83}})
    result = check(samples([0.5], [0.5], first=2), Expectations((of_one,)))
    assert (result.status, result.detail) == ("not-compared", "no value could be compared")


def test_one_seed_is_not_accepted(root):
    changes = accept([samples([0.81], [0.83])], root)
    assert changes[0].after is None
    assert "1 seed an arm says nothing" in summary(changes)
    assert not list(root.rglob("*.yaml"))
    assert accept([samples([0.81, 0.82], [0.83, 0.84])], root)[0].after is not None


def test_an_arm_at_its_ceiling_leaves_the_bands_of_the_others_as_they_are(root):
    others = [replace(judgement(), id=f"{task}/scale-data/id") for task in ("chest", "dermatology")]
    flat = replace(
        samples([1.0, 1.0, 1.0], [1.0, 0.999999, 1.0]),
        id="chest/flat/id",
        arms={"baseline": "flat-small", "treatment": "flat-large"},
    )
    later = samples([0.81, 0.80], TREAT[:2], first=6)
    without = check(later, accepted(root / "without", judgement(), *others))
    beside = check(later, accepted(root / "beside", judgement(), *others, flat))
    widths = [(found.band[1] - found.band[0]) / 2 for found in (without, beside)]
    assert widths[1] == pytest.approx(widths[0], rel=0.12)  # two bands and two arms more


def test_a_band_is_never_narrower_than_the_numeric_tolerance(root):
    expectations = accepted(root, samples([0.8, 0.8], [0.9, 0.9]))
    assert check(samples([0.8009], [0.9], first=7), expectations).status == "ok"
    assert check(samples([0.8011], [0.9], first=7), expectations).status == "drifted"
    expectations = Expectations(expectations.accepted, (calibrated(0.001),))
    assert check(samples([0.8029], [0.9], first=7), expectations).status == "ok"


def test_the_spread_of_another_metric_or_device_class_is_not_pooled(root):
    wide = [0.1, 0.5, 0.9]
    ours = samples(BASE, [0.80, 0.83, 0.86])
    metric = replace(
        samples(wide, wide),
        id="mammography/other/id",
        metric="ece@1",
        definition=replace(judgement().definition, metric="ece@1"),
    )
    device = replace(samples(wide, wide, device="gpu-x"), id="mammography/scale-data/vendor-b")
    expectations = accepted(root, ours, metric, device)
    # Four bands on this device class, and two groups of this metric on it.
    groups = [BASE, [0.80, 0.83, 0.86]]
    for baseline, treatment, moved in (([0.84] * 2, [0.83] * 2, 0), ([0.81] * 2, [0.87] * 2, 1)):
        result = check(samples(baseline, treatment, first=5), expectations)
        width = half(groups[moved], groups, [baseline, treatment][moved], arms=2, family=4)
        assert result.band == pytest.approx((result.expected - width, result.expected + width))


@pytest.mark.parametrize(
    ("environments", "accepted_on", "nearest"),
    [
        (["gpu-a"], ["cpu", "gpu-a", "gpu-b", "tpu"], "gpu-a"),
        (["gpu-c-2"], ["cpu", "gpu-b-1", "gpu-a-1", "tpu"], "gpu-a-1"),
        (["gpu-c-2", "cpu"], ["tpu", "gpu-a"], "gpu-a"),
        (["tpu"], ["asic", "gpu-a", "cpu"], "cpu"),
        (["cpu"], ["tpu", "gpu-a"], "gpu-a"),
        (["cpu"], [], None),
        ([], ["tpu", "cpu"], "cpu"),
    ],
)
def test_the_nearest_device_class_is_its_own_then_its_kind_then_a_processor(
    root, environments, accepted_on, nearest
):
    for device in accepted_on:
        accepted(root, samples(BASE, TREAT, device=device))
    found = load(root, "embedded").nearest("mammography/scale-data/id", environments)
    assert (found and found.environment) == nearest
    assert load(root, "embedded").nearest("mammography/scale-data/vendor-b", environments) is None


@pytest.mark.parametrize(("was", "now"), [("supported", "refuted"), ("refuted", "supported")])
def test_a_verdict_that_changed_sides_is_a_status_of_its_own(root, was, now):
    result = check(judgement(verdict=now), accepted(root, judgement(verdict=was)))
    assert (result.status, result.detail) == ("verdict-changed", f"{now}, accepted as {was}")
    drifted = check(samples([0.7, 0.7, 0.7], TREAT, verdict=now), load(root, "embedded"))
    assert drifted.status == "verdict-changed"
    assert drifted.detail.startswith(f"{now}, accepted as {was}; baseline, seed 3")


@pytest.mark.parametrize("verdict", ["supported", "refuted"])
def test_a_move_to_or_from_inconclusive_is_only_told(root, verdict):
    result = check(judgement(verdict="inconclusive"), accepted(root, judgement(verdict=verdict)))
    assert (result.status, result.detail) == ("ok", f"inconclusive, accepted as {verdict}")
    accepted(root, judgement(verdict="inconclusive"))
    result = check(judgement(verdict=verdict), load(root, "embedded"))
    assert (result.status, result.detail) == ("ok", f"{verdict}, accepted as inconclusive")


def test_changed_backbones_are_named_as_suspects_of_a_drift(root):
    expectations = accepted(root)
    drifted = check(samples([0.7, 0.8, 0.82], TREAT, arms=ARMS_NOW), expectations)
    assert drifted.detail.endswith("outside; baseline was bit-s-r, is bit-random-r")
    assert check(judgement(arms=ARMS_NOW), expectations).detail == "unchanged"


@pytest.mark.parametrize("state", ["judged", "missing"])
def test_a_changed_definition_is_stale_and_names_what_changed(root, state):
    changed = replace(judgement().definition, margin=0.01, cohort="phantoms:chest")
    result = check(judgement(definition=changed, state=state), accepted(root))
    assert result.id == "mammography/scale-data/id"
    assert (result.status, result.accepted_verdict, result.check) == ("stale", "supported", "")
    assert result.detail == (
        "the definition changed: margin was 0.005, is 0.01; cohort was phantoms:mammography, "
        "is phantoms:chest; accept it with --expect=update"
    )


def test_a_metric_that_is_undefined_now_has_vanished(root):
    result = check(judgement(state="missing", reason="no positive", verdict=None), accepted(root))
    assert (result.status, result.detail, result.accepted_verdict) == ("vanished", "no positive", "supported")


def test_an_accepted_seed_that_is_no_longer_run_has_vanished_unless_a_new_one_is(root):
    expectations = accepted(root)
    fewer = check(samples(BASE[:1], TREAT[:1], verdict="inconclusive"), expectations)
    assert (fewer.status, fewer.detail) == ("vanished", "accepted seeds are no longer run: 2, 3")
    assert fewer.accepted_verdict == "supported"
    assert check(samples(BASE[1:], TREAT[1:], first=2), expectations).detail.endswith("no longer run: 1")
    others = samples([*BASE[1:], 0.81], [*TREAT[1:], 0.83], first=2)
    assert check(others, expectations).status == "ok"
    more = samples([*BASE, 0.81], [*TREAT, 0.83])
    assert check(more, expectations).status == "ok"


def test_a_sub_group_that_is_gone_has_vanished_and_a_new_one_is_welcome(root):
    expectations = accepted(root, judgement(groups={"sex": ["f", "m"], "age": ["60+"]}))
    result = check(judgement(groups={"sex": ["f"]}), expectations)
    assert (result.status, result.detail) == ("vanished", "sub-groups are gone: sex m, age 60+")
    more = judgement(groups={"sex": ["f", "m", "x"], "age": ["60+"], "view": ["PA"]})
    assert check(more, expectations).status == "ok"


def test_an_item_that_nobody_accepted_has_no_expectation(root):
    result = check(replace(judgement(), id="mammography/scale-data/vendor-b"), accepted(root))
    assert (result.status, result.detail) == ("no-expectation", "nothing was accepted yet")
    assert (result.id, result.accepted_verdict) == ("mammography/scale-data/vendor-b", None)


def test_an_item_that_was_not_run_is_not_compared(root):
    idle = judgement(state="not-run", reason="no run of baseline seed 1", samples={}, environments=[])
    result = check(idle, accepted(root))
    assert (result.status, result.detail) == ("not-run", "no run of baseline seed 1")
    assert (result.id, result.accepted_verdict) == (idle.id, "supported")
    assert check(idle, Expectations()).accepted_verdict is None
    assert check(idle, Expectations()).status == "not-run"


def test_items_that_the_suite_no_longer_declares_have_vanished(root):
    items = ["mammography/scale-data/id", "mammography/scale-data/a", "chest/scale-data/id"]
    expectations = accepted(root, *(replace(judgement(), id=item) for item in items))
    gone = vanished_items(expectations, ["mammography/scale-data/id", "chest/new/id"])
    assert [c.id for c in gone] == ["chest/scale-data/id", "mammography/scale-data/a"]
    assert {c.status for c in gone} == {"vanished"}
    assert gone[0].accepted_verdict == "supported"
    assert gone[0].detail == (
        "accepted, but no longer declared; delete it from its file and items.yaml if that is meant"
    )
    assert vanished_items(expectations, items) == []


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=4))
def test_what_is_accepted_is_unchanged_at_once_for_any_values(tmp_path_factory, pairs):
    item = samples(*map(list, zip(*pairs, strict=True)))
    result = check(item, accepted(tmp_path_factory.mktemp("any"), item))
    assert (result.status, result.detail) == ("ok", "unchanged")


def test_the_file_reads_like_a_list_of_accepted_values(root):
    accepted(root)
    assert (
        (root / "embedded/mammography/scale-data.yaml").read_text()
        == """\
- item: mammography/scale-data/id
  verdict: supported
  effect: {value: 0.02, low: 0.01, high: 0.03}
  definition:
    predicate: superiority
    margin: 0.005
    metric: roc_auc@1
    evaluate: id
    cohort: phantoms:mammography
    labels: 'single-label: benign, malignant'
    effect: gain
    weights:
      baseline: -1.0
      treatment: 1.0
    units: image
  rule: {same-seeds: numeric@1, new-seeds: moderated-prediction-familywise@3}
  environment: cpu
  cohort_fingerprint: f1
  arms:
    baseline: bit-s-r
    treatment: bit-m-r
  accepted: {date: 2026-12-01, commit: 1a2b3c4, reason: first acceptance, jax: 0.10.2}
  groups:
    sex:
    - f
    - m
  samples:
    baseline:
      1: 0.81
      2: 0.8
      3: 0.82
    treatment:
      1: 0.83
      2: 0.82
      3: 0.84
"""
    )
    assert sorted(path.name for path in (root / "embedded/mammography").iterdir()) == ["scale-data.yaml"]


def test_values_are_kept_to_six_decimals_and_in_the_order_of_seeds(root):
    values = {"baseline": {12: 2 / 3, 3: 1 / 7}, "treatment": {12: 6 / 7, 3: 13 / 21}}
    effect = Interval(value=1 / 3, low=1 / 7, high=2 / 3)
    (entry,) = accepted(root, judgement(samples=values, effect=effect)).accepted
    assert list(entry.samples["baseline"].items()) == [(3, 0.142857), (12, 0.666667)]
    assert entry.effect == Interval(value=0.333333, low=0.142857, high=0.666667)


def test_an_update_touches_what_was_selected_and_nothing_else(root):
    items = [replace(judgement(), id=f"mammography/{name}") for name in ("scale-data/id", "scale-data/b")]
    accepted(root, *items, replace(judgement(), id="chest/scale-data/id"))
    accepted(root, samples(BASE, TREAT, device="gpu-x"))
    before = load(root, "embedded").accepted
    chest = (root / "embedded/chest/scale-data.yaml").stat().st_mtime_ns
    new = samples([0.9, 0.9, 0.9], TREAT, verdict="refuted")
    later = replace(TODAY, date="2026-12-24", reason="new weights")
    (change,) = accept([new], root, later)
    after = load(root, "embedded").accepted
    assert [(e.item, e.environment) for e in after] == [(e.item, e.environment) for e in before]
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True, True]
    assert change.before == before[1]
    assert change.after == after[1]
    assert after[1].accepted == later
    assert after[1].samples["baseline"] == {1: 0.9, 2: 0.9, 3: 0.9}
    assert (root / "embedded/chest/scale-data.yaml").stat().st_mtime_ns == chest
    assert load(root, "public").accepted == ()


def test_an_item_whose_values_did_not_change_keeps_its_provenance(root):
    accepted(root)
    path = root / "embedded/mammography/scale-data.yaml"
    text, written = path.read_text(), path.stat().st_mtime_ns
    (change,) = accept([judgement()], root, replace(TODAY, reason="again"))
    assert change.before == change.after
    assert change.after.accepted.reason == "first acceptance"
    assert (path.read_text(), path.stat().st_mtime_ns) == (text, written)


def test_accepting_new_items_leaves_accepted_ones_alone(root):
    accepted(root)
    moved, fresh = samples([0.9, 0.9], TREAT), replace(judgement(), id="mammography/scale-data/b")
    kept, added = accept([moved, fresh], root, only_new=True)
    assert kept.before == kept.after
    assert kept.why_kept == "it has accepted values already"
    assert added.before is None
    assert [e.item[-2:] for e in load(root, "embedded").accepted] == ["id", "/b"]
    assert load(root, "embedded").accepted[0].samples["baseline"][1] == 0.81


def test_an_item_that_was_not_judged_is_kept(root):
    accepted(root)
    idle = judgement(state="missing", reason="one class")
    (change,) = accept([idle], root)
    assert change == Change("mammography/scale-data/id", None, None, "missing: one class")
    assert load(root, "embedded").accepted[0].samples["baseline"][1] == 0.81


def test_an_update_is_refused_in_continuous_integration(root, monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(MedbenchError, match=r"^expectations are not updated in .* variable CI is set"):
        accept([judgement()], root)
    assert not root.exists()


@pytest.mark.parametrize("reason", ["", "  "])
def test_an_update_is_refused_without_a_reason(root, reason):
    with pytest.raises(
        MedbenchError, match=r'^an update of expectations needs --reason "why the new values are right".$'
    ):
        accept([judgement()], root, replace(TODAY, reason=reason))
    assert not root.exists()


def test_values_of_several_device_classes_are_never_accepted_together(root):
    mixed = judgement(devices={"baseline": {1: "cpu", 2: "gpu-x", 3: "cpu"}, "treatment": {}})
    with pytest.raises(
        MedbenchError, match=r"mammography/scale-data/id: its runs come from cpu and gpu-x"
    ) as raised:
        accept([replace(judgement(), id="a/b/c"), mixed], root)
    assert str(raised.value).endswith("can be accepted. Train them all on one with --runs=force.")
    assert not root.exists()


def test_provenance_is_asked_of_each_item_that_is_accepted_and_may_refuse_all(root):
    def provenance(item):
        if item.endswith("bad"):
            raise MedbenchError(f"{item}: mixed")
        return replace(TODAY, commit=item)

    items = [replace(judgement(), id=f"mammography/scale-data/{name}") for name in ("id", "bad")]
    with pytest.raises(MedbenchError, match="bad: mixed"):
        update(items, root=root, tier="embedded", reason="x", provenance=provenance)
    assert not root.exists()
    update(items[:1], root=root, tier="embedded", reason="x", provenance=provenance)
    assert load(root, "embedded").accepted[0].accepted.commit == "mammography/scale-data/id"
    accept(items, root)
    kept = update(items, root=root, tier="embedded", reason="x", provenance=provenance, only_new=True)
    assert all(change.why_kept for change in kept)


def test_an_old_rule_is_refused(root):
    accepted(root)
    path = root / "embedded/mammography/scale-data.yaml"
    path.write_text(path.read_text().replace("moderated-prediction", "pooled-prediction"))
    with pytest.raises(MedbenchError, match=r"scale-data\.yaml:\d+: .*moderated-prediction-familywise@3"):
        load(root, "embedded")


def test_the_summary_shows_before_and_after(root):
    fresh = replace(judgement(), id="mammography/scale-data/b")
    accepted(root)
    changes = accept(
        [
            samples([0.9, 0.9, 0.9], TREAT, verdict="refuted", effect=Interval(value=-0.07, low=-1, high=0)),
            fresh,
            replace(judgement(state="not-run", reason="no run"), id="mammography/scale-data/c"),
        ],
        root,
    )
    assert summary(changes).split("\n") == [
        (
            "mammography/scale-data/id [cpu]: supported, effect +0.0200 (baseline 0.8100, treatment 0.8300) "
            "-> refuted, effect -0.0700 (baseline 0.9000, treatment 0.8300)"
        ),
        "mammography/scale-data/b [cpu]: new: supported, effect +0.0200 (baseline 0.8100, treatment 0.8300)",
        "mammography/scale-data/c: kept (not-run: no run)",
    ]
    again = accept([fresh], root)
    assert summary(again) == (
        "mammography/scale-data/b [cpu]: unchanged: supported, effect +0.0200 "
        "(baseline 0.8100, treatment 0.8300)"
    )
    kept = accept([fresh], root, only_new=True)
    assert summary(kept) == "mammography/scale-data/b: kept (it has accepted values already)"


def test_nothing_is_expected_where_there_is_no_folder(root):
    assert load(root, "embedded") == Expectations()


def test_the_calibration_is_read_from_its_table(root):
    root.mkdir()
    (root / "numeric.yaml").write_text(
        "- {variant: AVX2, environment: cpu, jax: 0.10.2, metric: roc_auc@1, largest_difference: 2e-4}\n"
    )
    assert load(root, "embedded").calibration == (calibrated(0.0002),)


def test_a_negative_difference_is_refused_with_its_line(root):
    root.mkdir()
    (root / "numeric.yaml").write_text(
        "- {variant: AVX2, environment: cpu, jax: 0.10.2, metric: roc_auc@1, largest_difference: -5}\n"
    )
    with pytest.raises(
        MedbenchError, match=r"numeric\.yaml:1: expected a difference of at least 0, found -5"
    ):
        load(root, "embedded")


def test_the_value_told_is_one_that_was_measured_here_if_none_is_outside(root):
    accepted(root)
    here = replace(judgement(), trained={"baseline": [2], "treatment": []})
    assert check(here, load(root, "embedded")).quantity == "baseline, seed 2"


def test_an_item_in_another_items_file_is_refused(root):
    accepted(root)
    path = root / "embedded/mammography/scale-data.yaml"
    path.rename(path.with_name("ood.yaml"))
    with pytest.raises(
        MedbenchError, match=r"ood\.yaml: item `mammography/scale-data/id` does not belong"
    ) as e:
        load(root, "embedded")
    assert "expected `mammography/ood/…`" in str(e.value)


@pytest.mark.parametrize("ending", [".yml", ".YAML"])
def test_a_file_that_would_not_be_read_is_refused(root, ending):
    accepted(root)
    path = root / "embedded/mammography/scale-data.yaml"
    path.rename(path.with_suffix(ending))
    with pytest.raises(MedbenchError, match=rf"{ending}: would not be read. Rename it to scale-data\.yaml"):
        load(root, "embedded")


def test_an_item_that_stands_twice_is_refused(root):
    accepted(root)
    path = root / "embedded/mammography/scale-data.yaml"
    path.write_text(2 * path.read_text())
    with pytest.raises(MedbenchError, match="item `mammography/scale-data/id` stands here twice for cpu"):
        load(root, "embedded")


@pytest.mark.parametrize("change", [("0.81", "high"), ("supported", "true"), ("  verdict", "  verdit")])
def test_a_file_that_is_not_as_it_should_be_is_refused_with_its_line(root, change):
    accepted(root)
    path = root / "embedded/mammography/scale-data.yaml"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(MedbenchError, match=r"scale-data\.yaml:\d+: "):
        load(root, "embedded")


def test_an_arm_without_a_seed_is_refused(root):
    accepted(root)
    path = root / "embedded/mammography/scale-data.yaml"
    path.write_text(
        path.read_text().split("    baseline:\n      1")[0] + "    baseline: {}\n    treatment: {1: 1}\n"
    )
    with pytest.raises(MedbenchError, match=r"scale-data\.yaml:\d+: "):
        load(root, "embedded")


@pytest.mark.parametrize(
    ("was", "becomes", "line", "complaint"),
    [
        ("value: 0.02", "value: 0.020003", 3, r"its effect is \+0\.020003, but its samples give \+0\.020000"),
        ("value: 0.02", "value: -0.02", 3, r"its effect is -0\.020000, but its samples give \+0\.020000"),
        (
            "      2: 0.8\n",
            "      2: 0.7\n",
            3,
            r"its effect is \+0\.020000, but its samples give \+0\.053333",
        ),
        ("      2: 0.8\n", "", 27, r"the arms have different seeds, \[1, 3\] and \[1, 2, 3\]"),
        (": supported", ": refuted", 2, r"is refuted, but an effect of .* at margin 0\.005 is supported"),
        ("low: 0.01,", "low: 0.004,", 2, r"is supported, but an effect of \[\+0\.004000, .* is inconclusive"),
        ("low: 0.01, high: 0.03", "low: 0.001, high: 0.004", 2, r"is supported, but .* is refuted"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused_with_its_line(root, was, becomes, line, complaint):
    accepted(root)
    path = root / "embedded/mammography/scale-data.yaml"
    text = path.read_text()
    assert text.count(was) == 1
    path.write_text(text.replace(was, becomes))
    with pytest.raises(MedbenchError) as raised:
        load(root, "embedded")
    assert re.search(
        rf"scale-data\.yaml:{line}: item `mammography/scale-data/id`: .*{complaint}.* --expect=new\.$",
        str(raised.value),
    )


def test_where_lower_is_better_the_effect_is_the_baselines_excess(root):
    item = judgement(metric="nll@1", definition=replace(judgement().definition, metric="nll@1"))
    accepted(root, replace(item, effect=Interval(value=-0.02, low=0.01, high=0.03)))
    assert load(root, "embedded").accepted[0].effect.value == -0.02
    path = root / "embedded/mammography/scale-data.yaml"
    path.write_text(path.read_text().replace("-0.02", "0.02"))
    with pytest.raises(MedbenchError, match=r"its effect is \+0\.020000, but its samples give -0\.020000"):
        load(root, "embedded")


@pytest.mark.parametrize(
    ("verdict", "low", "high"), [("supported", 0.0050001, 0.03), ("refuted", -0.03, 0.0049999)]
)
def test_a_limit_that_is_rounded_onto_the_margin_keeps_its_verdict(root, verdict, low, high):
    effect = Interval(value=0.02, low=low, high=high)
    assert accepted(root, judgement(verdict=verdict, effect=effect)).accepted[0].verdict == verdict


def test_any_effect_may_be_inconclusive_as_of_few_patients(root):
    clear = Interval(value=0.02, low=0.01, high=0.03)
    few = judgement(verdict="inconclusive", effect=clear)
    assert accepted(root / "few", few).accepted[0].verdict == "inconclusive"


@pytest.mark.parametrize(
    ("predicate", "low", "high", "verdict"),
    [
        ("non-inferiority", -0.004, 0.03, "supported"),
        ("equivalence", -0.004, 0.004, "supported"),
        ("equivalence", 0.006, 0.03, "refuted"),
    ],
)
def test_an_entry_of_any_predicate_is_held_to_its_own_limits(root, predicate, low, high, verdict):
    item = judgement(
        verdict=verdict,
        definition=replace(judgement().definition, predicate=predicate),
        effect=Interval(value=0.02, low=low, high=high),
    )
    assert accepted(root, item).accepted[0].verdict == verdict
    path = root / "embedded/mammography/scale-data.yaml"
    wrong = {"supported": "refuted", "refuted": "supported"}[verdict]
    path.write_text(path.read_text().replace(f": {verdict}", f": {wrong}"))
    with pytest.raises(MedbenchError, match=f"its verdict is {wrong}"):
        load(root, "embedded")


def test_an_item_whose_name_is_no_path_is_refused_like_any_other(root):
    accepted(root)
    path = root / "embedded/mammography/scale-data.yaml"
    path.write_text(path.read_text().replace("item: mammography/scale-data/id", "item: mammography"))
    with pytest.raises(MedbenchError, match="item `mammography` does not belong here"):
        load(root, "embedded")


def test_accepted_items_are_listed_by_device_class(root):
    accepted(root, *(replace(judgement(), id=f"mammography/{item}") for item in ("scale-data/id", "a/b")))
    accepted(root, samples(BASE, TREAT, device="gpu-x"))
    assert (root / "embedded/items.yaml").read_text() == (
        "cpu:\n- mammography/a/b\n- mammography/scale-data/id\ngpu-x:\n- mammography/scale-data/id\n"
    )
    assert load(root, "embedded").lost == frozenset()


@pytest.mark.parametrize("state", ["judged", "missing", "not-run"])
def test_an_item_whose_expectation_was_deleted_has_vanished(root, state):
    accepted(root, judgement(), replace(judgement(), id="mammography/other/id"))
    (root / "embedded/mammography/scale-data.yaml").unlink()
    expectations = load(root, "embedded")
    result = check(judgement(state=state), expectations)
    assert (result.id, result.status, result.accepted_verdict) == (judgement().id, "vanished", None)
    assert result.detail == (
        "values accepted on cpu are gone from mammography/scale-data.yaml; restore them, accept the item "
        "anew there with --expect=new, or take it off items.yaml if that is meant"
    )
    assert check(replace(judgement(), id="mammography/other/id"), expectations).status == "ok"
    assert check(replace(judgement(), id="mammography/new/id"), expectations).status == "no-expectation"


def test_an_entry_deleted_for_one_device_class_alone_has_vanished_too(root):
    accepted(root, samples(BASE, TREAT, device="gpu-x"))
    path = root / "embedded/mammography/scale-data.yaml"
    before = path.read_text()
    accepted(root)
    path.write_text(before)
    result = check(judgement(), load(root, "embedded"))
    assert (result.status, result.accepted_verdict) == ("vanished", "supported")
    assert "accepted on cpu are gone" in result.detail


def test_what_another_device_class_lost_is_told_and_not_red_here(root):
    accepted(root)
    path = root / "embedded/mammography/scale-data.yaml"
    before = path.read_text()
    accepted(root, samples(BASE, TREAT, device="gpu-x"))
    path.write_text(before)
    expectations = load(root, "embedded")
    here = check(judgement(), expectations)
    assert (here.status, here.accepted_verdict) == ("ok", "supported")
    assert "values accepted on gpu-x are gone from mammography/scale-data.yaml" in here.detail
    there = check(samples(BASE, TREAT, device="gpu-x"), expectations)
    assert there.status == "vanished"


def test_an_item_deleted_from_suite_and_expectations_stays_vanished_while_it_is_listed(root):
    accepted(root, judgement(), replace(judgement(), id="mammography/other/id"))
    (root / "embedded/mammography/scale-data.yaml").unlink()
    (gone,) = vanished_items(load(root, "embedded"), iter(["mammography/other/id"]))
    assert (gone.id, gone.status, gone.accepted_verdict) == ("mammography/scale-data/id", "vanished", None)
    listed = root / "embedded/items.yaml"
    listed.write_text(listed.read_text().replace("- mammography/scale-data/id\n", ""))
    assert vanished_items(load(root, "embedded"), ["mammography/other/id"]) == []


@pytest.mark.parametrize("options", [{}, {"only_new": True}])
def test_what_was_lost_is_accepted_anew_and_the_rest_stays_listed(root, options):
    other = replace(judgement(), id="mammography/other/id")
    accepted(root, judgement(), other)
    for name in ("scale-data", "other"):
        (root / f"embedded/mammography/{name}.yaml").unlink()
    (change,) = accept([judgement()], root, **options)
    assert (change.before, change.after.item) == (None, judgement().id)
    expectations = load(root, "embedded")
    assert check(judgement(), expectations).status == "ok"
    assert expectations.lost == {("mammography/other/id", "cpu")}


def test_an_expectation_that_the_list_lacks_is_refused(root):
    accepted(root, judgement(), replace(judgement(), id="mammography/scale-data/b"))
    (root / "embedded/items.yaml").write_text("cpu: [mammography/scale-data/id]\n")
    with pytest.raises(
        MedbenchError,
        match=r"scale-data\.yaml:36: item `mammography/scale-data/b` is not listed for cpu in embedded/items",
    ):
        load(root, "embedded")
    (root / "embedded/items.yaml").unlink()
    with pytest.raises(MedbenchError, match=r"scale-data\.yaml:1: .* Restore that file, or add the item"):
        load(root, "embedded")


@pytest.mark.parametrize("entry", ["mammography", "mammography/own", "../../x/y", "/"])
def test_a_list_that_names_no_item_is_refused(root, entry):
    accepted(root, judgement())
    (root / "embedded/items.yaml").write_text(f"cpu:\n- mammography/scale-data/id\n- {entry}\n")
    with pytest.raises(
        MedbenchError, match=rf"items\.yaml:3: expected an item, .*found `{re.escape(entry)}`"
    ):
        load(root, "embedded")


def test_a_folder_that_takes_nothing_is_refused_with_its_name(root):
    (root / "embedded").mkdir(parents=True)
    (root / "embedded" / "mammography").write_text("")
    with pytest.raises(MedbenchError, match=r"scale-data\.yaml: accepted values cannot be written"):
        accept([judgement()], root)
    file = root / "embedded" / "mammography"
    with pytest.raises(
        MedbenchError, match="mammography: accepted values are to be written here, and it is no"
    ):
        require_writable(file)
    require_writable(root / "yet" / "to be made")


def test_the_committed_expectations_load():
    assert load(Path(__file__).parents[1] / "expectations", "embedded").accepted


# Layers: values of one's own over those of the suite that one extends


def kept(item):
    return False


def layered(root, base, *, replaced=kept):
    """What holds for a suite with these folders: its own, and that of the suite it extends."""
    return load(root, "embedded").over(load(base, "embedded"), replaced=replaced)


@pytest.fixture
def base(tmp_path):
    """What was accepted for the suite that is extended: two items on a processor, one on a GPU as well."""
    folder = tmp_path / "package"
    accept([judgement(), judgement(id="chest/scale-data/id", task="chest")], folder)
    accept([samples(BASE, TREAT, device="gpu-a")], folder)
    return folder


def test_what_a_suite_has_not_accepted_is_taken_from_the_one_it_extends(root, base):
    assert layered(root, base) == load(base, "embedded")
    assert check(judgement(), layered(root, base)).status == "ok"


def test_an_entry_of_ones_own_hides_the_other_on_its_device_class_alone(root, base):
    accept([samples(BASE, [value + 0.01 for value in TREAT])], root)
    both = layered(root, base)
    keys = sorted((e.item, e.environment) for e in both.accepted)
    assert keys == sorted((e.item, e.environment) for e in load(base, "embedded").accepted)
    item = "mammography/scale-data/id"
    assert both.nearest(item, ["cpu"]).samples["treatment"][1] == 0.84
    assert both.nearest(item, ["gpu-a"]).samples["treatment"][1] == 0.83
    assert check(judgement(), both).status == "drifted"


def test_a_lost_entry_of_ones_own_is_missed_and_the_other_does_not_stand_in(root, base):
    accept([judgement()], root)
    (root / "embedded/mammography/scale-data.yaml").unlink()
    assert check(judgement(), layered(root, base)).status == "vanished"


def test_an_accepted_entry_of_ones_own_makes_up_for_a_lost_one(root, base):
    (base / "embedded/chest/scale-data.yaml").unlink()
    assert [each.id for each in vanished_items(layered(root, base), ["mammography/scale-data/id"])] == [
        "chest/scale-data/id"
    ]
    accept([judgement(id="chest/scale-data/id", task="chest")], root)
    assert not layered(root, base).lost


def test_what_was_accepted_for_a_replaced_item_does_not_hold(root, base):
    (base / "embedded/chest/scale-data.yaml").unlink()
    both = layered(root, base, replaced=lambda item: item.startswith("chest/"))
    assert {each.item for each in both.accepted} == {"mammography/scale-data/id"}
    assert not both.lost
    assert not layered(root, base, replaced=lambda item: True).accepted


def test_the_tolerance_allows_for_the_largest_difference_that_either_has_calibrated(root, base):
    own, other = (
        Expectations(calibration=(calibrated(0.0002),)),
        Expectations(calibration=(calibrated(0.0005),)),
    )
    for one, two in ((own, other), (other, own)):
        assert one.over(two, replaced=kept).tolerance("roc_auc@1", "cpu") == pytest.approx(0.0015)


def test_an_update_writes_only_what_the_extended_suite_does_not_have(root, base):
    before = {path: path.read_bytes() for path in base.rglob("*.yaml")}
    moved = samples(BASE, [value + 0.01 for value in TREAT])
    same = judgement(id="chest/scale-data/id", task="chest")
    changes = accept([moved, same], root, known=layered(root, base))
    assert [change.before == change.after for change in changes] == [False, True]
    assert [each.item for each in load(root, "embedded").accepted] == [moved.id]
    assert not (root / "embedded/chest").exists()
    assert {path: path.read_bytes() for path in base.rglob("*.yaml")} == before


def test_new_leaves_alone_what_the_extended_suite_has_on_the_device_class(root, base):
    there = samples(BASE, [value + 0.01 for value in TREAT])
    elsewhere = samples(BASE, TREAT, device="gpu-b")
    changes = accept([there, elsewhere], root, known=layered(root, base), only_new=True)
    assert [bool(change.why_kept) for change in changes] == [True, False]
    assert [each.environment for each in load(root, "embedded").accepted] == ["gpu-b"]


def test_an_update_keeps_what_ones_own_folder_had(root, base):
    other = judgement(id="mammography/scale-data/dense", evaluation_set="dense")
    accept([other], root)
    accept([samples(BASE, [value + 0.01 for value in TREAT])], root, known=layered(root, base))
    assert {each.item for each in load(root, "embedded").accepted} == {other.id, "mammography/scale-data/id"}
