"""What many runs cost: nothing is read, counted or kept more often than it must be."""

import gc
import shutil

import pytest

import medbench.obtained
import medbench.plan
import medbench.predictions
import medbench.store
from medbench.identity import why_new
from medbench.store import Store, StoredRun
from tests.runs import all_predictions, features, record, spec
from tests.test_study import open_study, suite, trained

__all__ = ["suite"]

ITEMS = ("mammography/scale-data/id", "mammography/ood-robustness/dense", "mammography/scale-data/id")


@pytest.fixture
def calls(monkeypatch):
    """Counts the calls of a function of a module."""

    def counted(module, name):
        made, real = [], getattr(module, name)

        def counting(*args, **changes):
            made.append(args)
            return real(*args, **changes)

        monkeypatch.setattr(module, name, counting)
        return made

    return counted


def alive(of_type):
    gc.collect()
    return [each for each in gc.get_objects() if type(each) is of_type]


@pytest.fixture
def one_at_hand(monkeypatch):
    monkeypatch.setattr(medbench.obtained, "AT_HAND", 1)


@pytest.mark.usefixtures("one_at_hand")
def test_a_session_keeps_no_more_runs_than_are_to_be_at_hand(suite):
    of_other_tests = alive(StoredRun)
    study = open_study(suite)
    for item in study.items:
        study.result(item)
    assert len([run for run in alive(StoredRun) if not any(run is other for other in of_other_tests)]) == 1


@pytest.mark.usefixtures("one_at_hand")
@pytest.mark.parametrize("runs", ["auto", "force"])
def test_a_run_that_is_no_longer_at_hand_is_read_again_and_stays_trained(suite, runs):
    study = open_study(suite, runs=runs)
    found = [study.result(item) for item in ITEMS]
    assert len(trained(suite)) == 6
    assert {run.origin for result in found for run in result.runs} == {"trained"}
    assert found[0] == found[2]


@pytest.mark.usefixtures("one_at_hand")
def test_a_run_that_is_gone_meanwhile_is_obtained_anew(suite):
    study = open_study(suite)
    before = study.judge(ITEMS[0])
    shutil.rmtree(suite.parent / "store" / "runs")
    assert study.judge(ITEMS[0]) == before
    assert len(trained(suite)) == 2 * 6


def test_what_is_not_to_be_made_is_looked_for_once(suite, calls):
    study = open_study(suite, runs="never")
    looked = calls(medbench.study, "obtain")
    assert [study.judge(item).state for item in ITEMS[:1] * 2] == ["not-run"] * 2
    assert len(looked) == 6


def test_judging_an_item_reads_the_predictions_that_it_looks_at_once(suite, calls):
    open_study(suite).judge(ITEMS[0])
    for kept in Store(suite.parent / "store").cache("judged").iterdir():
        kept.unlink()
    opened = calls(medbench.predictions.pq, "ParquetFile")
    open_study(suite).judge(ITEMS[0])
    assert len(opened) == 6
    open_study(suite).judge(ITEMS[0])  # kept meanwhile
    assert len(opened) == 6


def test_where_nothing_is_to_be_trained_no_record_is_read_for_its_duration(suite, calls):
    study = open_study(suite)
    study.judge(ITEMS[0])
    plan = study.plan(ITEMS[:1])
    read = calls(medbench.store, "read_run")
    assert study.forecast(plan).reused == 6
    assert len(read) <= 6


def test_training_runs_one_after_another_reads_each_stored_record_once_to_explain_them(tmp_path, calls):
    store, stored = Store(tmp_path), [spec(seed=seed) for seed in range(5)]
    for each in stored:
        store.put(record(each), all_predictions(), features())
    read = calls(medbench.store, "read_run")
    why = [why_new(spec(seed=seed), store) for seed in range(100, 110)]
    assert why == [""] * 10
    assert len(read) == 5
    assert "recipe.steps" in why_new(spec(seed=3, recipe={"steps": 4}), store)
    assert len(read) == 6


def test_a_run_that_is_stored_meanwhile_explains_a_later_one(tmp_path):
    store = Store(tmp_path)
    assert why_new(spec(seed=1), store) == ""
    store.put(record(spec(seed=1)), all_predictions(), features())
    assert "recipe.steps" in why_new(spec(seed=1, recipe={"steps": 4}), store)


def test_a_plan_counts_the_training_images_once_for_all_arms(suite, calls):
    counted = calls(medbench.plan, "nested_subset")
    study = open_study(suite)
    tasks, seeds, whole_cohort = 2, 3, 1
    assert len(study.plan(study.items).runs) == 12
    assert len(counted) == tasks * (seeds + whole_cohort)
