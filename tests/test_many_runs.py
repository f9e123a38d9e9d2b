"""The measurement of many runs measures what it says: so many runs, all in the store, all judged."""

import pytest

from bench import many_runs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(many_runs, "DRAWN", 4)
    many_runs.declare(tmp_path, 100)
    return tmp_path


@pytest.mark.parametrize("runs", [100, 300, 1200])
def test_a_plan_has_exactly_so_many_runs(tmp_path, runs):
    many_runs.declare(tmp_path, runs)
    study = many_runs.study_in(tmp_path)
    plan = study.plan(study.items)
    assert (len(plan.runs), plan.naive, len(plan.items)) == (runs, 3 * runs, 3 * runs // 20)


def test_every_run_is_in_the_store_and_every_item_is_judged(folder):
    study = many_runs.study_in(folder)
    assert len(many_runs.fill(study, folder)) == 4
    found = many_runs.measure(folder, 0)
    assert study.judge("task0/claim0/id").state == "judged"
    assert found["peak_mib"] >= found["planned_mib"] > 0


def test_a_number_of_runs_that_no_claims_make_is_refused(tmp_path):
    with pytest.raises(ValueError, match="multiple of 100"):
        many_runs.declare(tmp_path, 150)


def test_items_of_all_mixed_metrics_are_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(many_runs, "DRAWN", 40)
    many_runs.declare(tmp_path, 100 * len(many_runs.MIXED), many_runs.MIXED)
    study = many_runs.study_in(tmp_path)
    many_runs.fill(study, tmp_path)
    of_task = [f"task0/claim{number}/id" for number in range(len(many_runs.MIXED))]
    judged = [study.judge(item) for item in of_task]
    assert {judgement.state for judgement in judged} == {"judged"}
    assert len({judgement.metric for judgement in judged}) == len(set(many_runs.MIXED))
