"""Nights made of the stored runs' predictions, judged in full."""

import numpy as np
import pytest

from medbench.errors import MedbenchError
from medbench.gate import planted
from medbench.metrics import Sample, evaluate, metric_named
from medbench.units import joined
from tests.gate.conftest import ROOT
from tests.gate.test_worlds import MIXED


@pytest.fixture(scope="module")
def study(expectations):
    return planted.Study(ROOT, "embedded", expectations)


def test_the_shipped_gains_in_area_of_ten_seeds_are_made_of_stored_runs(study, expectations):
    assert [item.item for item in study.items] == [
        e.item
        for e in expectations.accepted
        if e.definition.metric == "roc_auc@1"
        and e.definition.effect == "gain"
        and len(e.samples["baseline"]) == 10
    ]
    assert {item.item.partition("/")[0] for item in study.items} == {"chest", "dermatology", "mammography"}


def test_an_arm_with_a_recipe_of_its_own_has_the_runs_by_that_recipe(study):
    recipes = {
        arm: {run.record.spec.recipe.name for run in runs.values()} for arm, runs in study.runs.items()
    }
    assert all(len(names) == 1 for names in recipes.values())
    long = {arm for _, arm in recipes if arm.endswith("+embedded-long")}
    assert all((names == {"embedded-long"}) == (arm in long) for (_, arm), names in recipes.items())
    assert long


def test_runs_are_scored_as_their_items_are(study, expectations):
    """The values of stored predictions are the accepted ones: by image, or joined to breasts and patients."""
    for item in study.items:
        task, _, evaluation_set = item.item.split("/", 2)
        stored = study.stored(task, item.arms["baseline"], evaluation_set)
        units = planted.units_of(item)
        for seed, value in list(item.samples["baseline"].items())[:2]:
            area = evaluate(metric_named("roc_auc"), Sample(joined(stored[seed], units)))[0]
            assert area == pytest.approx(value, abs=2e-6)
    assert {len(planted.units_of(item)) for item in study.items} == {0, 2}


def test_what_is_accepted_is_the_whole_suite_with_the_items_of_the_night_in_place(study, expectations):
    mixed = study.mixtures(np.random.default_rng(0))
    arms = {item.item: study.seeds(item, mixed) for item in study.items}
    accepted = study.accept("brier", arms)
    assert {e.item for e in accepted.accepted} == {e.item for e in expectations.accepted}
    assert {e.definition.metric for e in accepted.accepted if e.item in arms} == {"brier@1"}
    kept = [e for e in accepted.accepted if e.item not in arms]
    assert kept == [e for e in expectations.accepted if e.item not in arms]


def test_the_shortcut_by_values_agrees_with_full_predictions(study):
    counts, items = planted.agreement(study, 3, np.random.default_rng(0))
    assert items == 3 * len(study.items)
    assert counts["same alarm"] == items
    assert counts["same verdict"] >= 0.9 * items


def test_new_runs_are_as_many_as_accepted_and_scatter_as_the_stored_ones_do(study):
    random, metric = np.random.default_rng(0), metric_named("roc_auc")
    nights_drawn = [study.mixtures(random) for _ in range(4)]
    ratios = []
    for item in study.items:
        drawn = [study.seeds(item, mixed)["baseline"] for mixed in nights_drawn]
        assert all(list(of_night) == list(item.samples["baseline"]) for of_night in drawn)
        units = planted.units_of(item)
        scored = [joined(p, units) for of_night in drawn for p in of_night.values()]
        areas = [evaluate(metric, Sample(p))[0] for p in scored]
        stored = list(item.samples["baseline"].values())
        assert np.mean(areas) == pytest.approx(np.mean(stored), abs=0.012)
        ratios.append(np.std(areas, ddof=1) / np.std(stored, ddof=1))
    assert np.exp(np.mean(np.log(ratios))) == pytest.approx(1, abs=0.3)


def test_any_seed_of_the_treatment_may_be_the_broken_one(study):
    item = study.items[0]
    arms = study.seeds(item, study.mixtures(np.random.default_rng(0)))
    broken = set()
    for i in range(100):
        changed = planted.seed_broken(arms, np.random.default_rng(i))
        assert changed["baseline"] is arms["baseline"]
        (one,) = [seed for seed, p in changed["treatment"].items() if p is not arms["treatment"][seed]]
        broken.add(one)
    assert broken == set(arms["treatment"])


def test_without_the_runs_of_any_accepted_item_there_is_nothing_to_make_nights_of(tmp_path):
    with pytest.raises(MedbenchError, match="no gain of roc_auc@1 has reference runs of its accepted seeds"):
        planted.Study(tmp_path, "embedded", MIXED)
