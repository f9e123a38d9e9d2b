"""Figures of judged values, from a study small enough to know every point."""

from msgspec.structs import replace

from medbench.judgement import Interval
from medbench.metrics.registry import metric_named
from medbench.plots.of_values import ladder, learning_curve, robustness, values_of
from medbench.report.figures import Reference, distinct, slug
from medbench.spec.effects import DataSaved, Robustness, terms
from tests import judging

AUC = metric_named("roc_auc")
IMAGES = {"random": 0, "s": 1_000, "m": 14_000}


def rung(upstream, architecture="r50x1", seed=1, **changes):
    run = judging.run_spec(backbone=f"bit-{upstream}-{architecture}", seed=seed)
    named = replace(run.backbone, upstream=upstream, architecture=architecture)
    return replace(run, backbone=named, **changes)


def planned(arms, *, effect=judging.GAIN, evaluation_set="id", seeds=(1, 2)):
    """An item whose arms are runs of one seed, repeated for every seed."""
    made = judging.planned(effect=effect, evaluation_set=evaluation_set, arms=dict.fromkeys(arms, "b"))
    runs = {arm: {seed: replace(run, seed=seed) for seed in seeds} for arm, run in arms.items()}
    return replace(made, terms=terms(effect, list(arms), evaluation_set), runs=runs)


def judged(item, samples, **changes):
    return judging.judgement(id=item.item.id, samples=samples, effect=None, **changes)


def test_a_ladder_goes_from_fewest_images_to_most_with_the_spread_of_seeds():
    item = planned({"treatment": rung("m"), "baseline": rung("random"), "other": rung("s")})
    samples = {"treatment": {1: 0.9, 2: 0.8}, "baseline": {1: 0.6, 2: 0.7}, "other": {1: 0.75, 2: 0.75}}
    item = replace(item, terms=terms(judging.GAIN, list(samples), "id"))
    values = values_of([item], {item.item.id: judged(item, samples)})
    chart = ladder("chest", values, AUC, IMAGES)
    assert chart.x.names == ["random", "m"]
    [series] = chart.series
    assert [(p.x, round(p.y, 9), p.low, p.high) for p in series.points] == [
        (0, 0.65, 0.6, 0.7),
        (1, 0.85, 0.8, 0.9),
    ]
    assert series.points[0].label == "2 seeds"


def test_a_ladder_leaves_out_parts_of_the_patients_other_recipes_sets_and_metrics():
    arms = {"baseline": rung("s"), "treatment": rung("m", fraction=0.1)}
    item = planned(arms)
    values = values_of([item], {item.item.id: judging.judgement()})
    assert ladder("chest", values, AUC, IMAGES) is None
    item = planned({"baseline": rung("s"), "treatment": rung("m", own_recipe=True)})
    assert ladder("chest", values_of([item], {item.item.id: judging.judgement()}), AUC, IMAGES) is None
    item = planned({"baseline": rung("s"), "treatment": rung("m")})
    values = values_of([item], {item.item.id: judging.judgement()})
    assert ladder("chest", values, AUC, IMAGES) is not None
    assert ladder("chest", values, metric_named("nll"), IMAGES) is None
    assert ladder("chest", [v._replace(evaluation_set="phone") for v in values], AUC, IMAGES) is None


def test_rungs_of_another_architecture_are_another_series():
    item = planned({"baseline": rung("s"), "treatment": rung("m")})
    other = planned({"baseline": rung("s", "r101x1"), "treatment": rung("m", "r101x1")})
    other = replace(other, item=replace(other.item, claim="scale-architecture"))
    judgements = {each.item.id: judging.judgement() for each in (item, other)}
    chart = ladder("chest", values_of([item, other], judgements), AUC, IMAGES)
    assert [series.name for series in chart.series] == ["r101x1", "r50x1"]


def test_an_item_that_was_not_judged_has_no_values():
    item = planned({"baseline": rung("s"), "treatment": rung("m")})
    assert values_of([item], {}) == []


CURVE = {
    "baseline": rung("s"),
    "with-10": rung("m", fraction=0.1),
    "with-40": rung("m", fraction=0.4),
    "with-all": rung("m"),
}


def learned(**changes):
    item = planned(CURVE, effect=DataSaved())
    samples = {
        "with-all": {1: 0.9, 2: 0.92},
        "with-10": {1: 0.7, 2: 0.72},
        "with-40": {1: 0.8, 2: 0.84},
        "baseline": {1: 0.8, 2: 0.8},
    }
    definition = replace(judging.judgement().definition, effect="data-saved")
    made = judged(item, samples, definition=definition, arms={arm: arm for arm in CURVE}, **changes)
    return item, made


def test_a_learning_curve_rises_by_share_beside_what_is_to_be_matched():
    item, made = learned()
    chart = learning_curve(item, replace(made, effect=Interval(value=0.6, low=0.5, high=0.7)), AUC)
    assert [round(point.x, 9) for point in chart.series[0].points] == [0.1, 0.4, 1.0]
    assert chart.series[0].name == "with-all"
    target, matched = chart.references
    assert target == Reference(name="baseline, all", start=(0.1, 0.8), end=(1.0, 0.8))
    assert matched == Reference(name="matched at 40%", start=(0.4, 0.7), end=(0.4, 0.92))


def test_a_curve_that_never_reaches_the_baseline_has_no_matched_share():
    item, made = learned()
    assert len(learning_curve(item, made, AUC).references) == 1


def test_only_claims_about_data_that_is_saved_have_a_learning_curve():
    item, made = learned()
    assert learning_curve(item, judging.judgement(), AUC) is None
    assert learning_curve(item, replace(made, samples={"baseline": made.samples["baseline"]}), AUC) is None
    alone = {arm: made.samples[arm] for arm in ("baseline", "with-all")}
    assert learning_curve(item, replace(made, samples=alone), AUC) is None


def test_on_the_line_of_equal_robustness_a_shift_costs_what_it_costs_the_first():
    effect = Robustness()
    item = planned({"baseline": rung("s"), "treatment": rung("m")}, effect=effect, evaluation_set="phone")
    samples = {
        "baseline": {1: 0.7, 2: 0.72},
        "treatment": {1: 0.8, 2: 0.82},
        "baseline at id": {1: 0.8, 2: 0.84},
        "treatment at id": {1: 0.85, 2: 0.86},
    }
    values = values_of([item], {item.item.id: judged(item, samples)})
    [chart] = robustness("chest", values, AUC)
    assert [series.name for series in chart.series] == ["bit-s-r50x1", "bit-m-r50x1"]
    assert [(p.x, p.y, p.label) for p in chart.series[0].points] == [
        (0.8, 0.7, "seed 1"),
        (0.84, 0.72, "seed 2"),
    ]
    assert not chart.series[0].joined
    [line] = chart.references
    assert [round(start - end, 9) for start, end in (line.start, line.end)] == [0.11, 0.11]
    assert (line.start[0], line.end[0]) == (0.8, 0.86)


def test_a_shift_without_values_at_home_is_not_drawn():
    item = planned({"baseline": rung("s"), "treatment": rung("m")}, evaluation_set="phone")
    values = values_of([item], {item.item.id: judging.judgement()})
    assert robustness("chest", values, AUC) == []


def test_ids_of_figures_are_words_joined_by_hyphens_and_stay_apart():
    assert slug("ladder", "Chest/β (2)") == "ladder-chest-2"
    item, made = learned()
    chart = learning_curve(item, made, AUC)
    assert [each.id for each in distinct([chart, chart, chart])] == [
        chart.id,
        f"{chart.id}-2",
        f"{chart.id}-3",
    ]
