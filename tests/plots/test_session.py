"""Reports of sessions have figures of what was judged in them."""

import pytest

from tests.suites.project import Project

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


def kinds(report):
    return {(figure["task"], figure["kind"]) for figure in report["figures"]}


def test_a_report_has_figures_of_each_task_that_was_judged(project):
    report, _ = project.report("-k", "chest")
    found = kinds(report)
    assert {task for task, _ in found} == {"chest"}
    assert {"reliability", "risk-coverage", "loss"} <= {kind for _, kind in found}
    ids = [figure["id"] for figure in report["figures"]]
    assert len(ids) == len(set(ids))


def test_figures_are_the_same_whoever_judged(project):
    alone, _ = project.report()
    together, _ = project.report("-n", "2", "--dist", "loadfile")
    assert together["figures"] == alone["figures"]
    assert {task for task, _ in kinds(alone)} == {"chest", "mammography"}


def test_what_was_not_judged_is_not_drawn_and_nothing_is_trained_for_figures(project):
    report, _ = project.report("--runs=never")
    assert report["figures"] == []
    assert project.trained() == []


def test_a_damaged_run_is_not_drawn(project):
    whole, _ = project.report("-k", "chest and scale-data")
    for file in (project.path / ".medbench/runs").glob("*/predictions/id.parquet"):
        file.write_bytes(b"torn")
    report, result = project.report("-k", "chest and scale-data")
    assert result.ret == 1
    assert report["errors"]
    assert report["figures"] == []
    assert whole["figures"]
