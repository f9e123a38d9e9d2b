"""Nights made of the stored runs' predictions, judged in full."""

import numpy as np
import pytest

from medbench.errors import MedbenchError
from medbench.gate import planted
from medbench.metrics import Sample, evaluate, metric_named
from tests.gate.conftest import ROOT
from tests.gate.test_worlds import MIXED


@pytest.fixture(scope="module")
def study(expectations):
    return planted.Study(ROOT, "embedded", expectations)


def test_all_shipped_items_on_the_area_are_made_of_stored_runs(study, expectations):
    assert [item.item for item in study.items] == [e.item for e in expectations.accepted]


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
        areas = [evaluate(metric, Sample(p))[0] for of_night in drawn for p in of_night.values()]
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
    with pytest.raises(MedbenchError, match="no item of roc_auc@1 has reference runs of two seeds"):
        planted.Study(tmp_path, "embedded", MIXED)
