"""Sessions and plans on machines that share nothing but a remote store."""

from pathlib import Path

import pytest

from medbench import cli
from medbench.identity import code_fingerprint, run_id
from medbench.store import Store
from medbench.study import Options, Study
from tests import places, runs
from tests.suites.project import Project

pytest_plugins = ["pytester"]

SUITE = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


@pytest.mark.parametrize("protocol", ["memory", "file"])
def test_what_one_machine_trained_no_other_trains(project, protocol):
    at = f"file://{project.path}/there" if protocol == "file" else places.new(protocol)
    first = project.run("benchmarks", "--store", at)
    first.assert_outcomes(passed=5)
    first.stdout.fnmatch_lines([f"medbench *· store {at}", "plan: *: 12 to train"])
    project.forget_runs()
    second = project.run("benchmarks", "--store", at)
    second.assert_outcomes(passed=5)
    second.stdout.fnmatch_lines(["plan: *: 12 reused"])
    assert len(project.trained()) == 12


def test_a_plan_counts_what_a_remote_store_has_and_fetches_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    at, item = places.new(), "chest/scale-data/id"
    study = Study.open(SUITE, Options(tier="embedded", store=Path("plans")))
    made = study.plan([item]).runs[0]
    record = runs.record(run_id=run_id(made, code_fingerprint()), spec=made)
    Store(Path("elsewhere"), at).put(record, runs.all_predictions(), {})
    (tmp_path / "expectations").mkdir()
    with places.Operations() as operations:
        arguments = ["plan", str(SUITE), "-k", "chest and scale-data", "--expectations", "expectations"]
        assert cli.main([*arguments, "--store", at]) == 0
    assert capsys.readouterr().out.endswith(
        "20 runs for 1 item (20 without sharing): 19 to train, 1 reused\n"
    )
    assert [operation for operation, _ in operations.done] == ["ls"]


def test_two_workers_push_what_they_train(project):
    at = f"file://{project.path}/there"
    project.run_apart("benchmarks", "-k", "chest", "-n2", "--store", at).assert_outcomes(passed=2)
    project.forget_runs()
    project.run("benchmarks", "-k", "chest", "--store", at).assert_outcomes(passed=2)
    assert len(project.trained()) == 6


def test_when_the_network_goes_in_the_middle_runs_are_kept_and_the_next_session_pushes_them(project):
    at = places.new()

    def gone():
        if operations.done[-1][0] in ("put_file", "pipe_file"):
            places.unreachable()

    with places.Operations(at=30, do=gone) as operations:
        result = project.run("benchmarks", "-k", "chest", "--store", at)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["* runs could not be pushed: *the network is gone*medbench store push --store *"]
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result = project.run("benchmarks", "-k", "chest", "--store", at)
    assert result.ret == pytest.ExitCode.OK
    project.forget_runs()
    result = project.run("benchmarks", "-k", "chest", "--store", at)
    result.stdout.fnmatch_lines(["plan: *: 6 reused"])
    assert len(project.trained()) == 6


@pytest.mark.parametrize("at", ["nowhere://bucket", "s3://bucket"])
def test_a_store_that_cannot_be_reached_is_told_before_anything_is_trained(project, at, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "s3fs", None)
    result = project.run("benchmarks", "--store", at)
    result.stderr.fnmatch_lines([f"ERROR: {at}: *"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert project.trained() == []


def test_a_patient_is_named_alike_on_all_machines(project):
    at = places.new()
    (project.path / "test_mine.py").write_text("""
def test_mine(study):
    run = study.run(task="chest", backbone="bit-large-r14x0.5", seed=1)
    print("names", *sorted(set(run.predictions("id").patient))[:3])
""")
    shown = []
    for _ in range(2):
        result = project.run("test_mine.py", "-s", "--store", at)
        shown.append(next(line for line in result.outlines if "names" in line).partition("names")[2])
        project.forget_runs()
    assert shown[0] == shown[1]
    assert shown[0].count("#") == 3
