import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from medbench import environment, gpus
from medbench.pytest_session import share_accelerators
from tests.suites.project import REFUTED, Project

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


# -x and --lf


def test_x_stops_at_the_first_failure(project):
    project.world({"default": REFUTED})
    result = project.run("benchmarks", "-x")
    result.assert_outcomes(failed=1)
    assert len(project.trained()) == 6


def test_lf_runs_what_failed_before(project):
    project.world({"mammography/dense": REFUTED})
    project.run_with_cache("benchmarks")
    result = project.run_with_cache("benchmarks", "--lf")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["1 judged: 0 supported, 1 refuted*"])


# Interruption


def test_an_interrupted_session_says_how_to_go_on_and_keeps_what_is_finished(project):
    project.world(interrupt="chest · bit-small-r14x0.5 · all patients · seed 3")
    result = project.run_apart("benchmarks", "-k", "chest")
    result.stdout.fnmatch_lines(
        ["interrupted: finished runs are kept in .medbench. Continue with: pytest * -k chest"]
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    project.world()
    result = project.run("benchmarks", "-k", "chest")
    result.stdout.fnmatch_lines(["plan: 6 runs for 2 items (12 without sharing): 2 reused, 4 to train*"])
    assert len(project.trained()) == 7  # the interrupted one twice
    assert result.ret == 0


def test_an_interrupted_forced_session_goes_on_with_its_rest(project):
    project.run("benchmarks", "-k", "chest")
    project.world(interrupt="chest · bit-large-r14x0.5 · all patients · seed 1")
    project.run_apart("benchmarks", "-k", "chest", "--runs=force")
    project.world()
    result = project.run("benchmarks", "-k", "chest", "--runs=force")
    result.stdout.fnmatch_lines(["plan: 6 runs for 2 items (12 without sharing): 3 reused, 3 to train*"])
    assert len(project.trained()) == 6 + 4 + 3


def test_ctrl_c_in_the_middle_of_a_run_ends_cleanly(project):
    project.world(seconds=30)
    # A job in the background ignores SIGINT, and its children would inherit that.
    heeding = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{heeding}; import pytest; sys.exit(pytest.main())",
            "benchmarks",
            "-k",
            "chest",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(project.trained, "the first run")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert "seed 1: interrupted\n" in output
    assert "failed" not in output
    assert "interrupted: finished runs are kept in .medbench. Continue with: pytest benchmarks" in output
    assert process.returncode == pytest.ExitCode.INTERRUPTED


# xdist


def test_two_workers_train_each_run_once_and_the_controller_reports_all(project):
    project.world(seconds=0.1)
    result = project.run_apart("benchmarks", "-n2", "--report=out", "--junitxml=junit.xml")
    result.assert_outcomes(passed=5)
    assert len(project.trained()) == len(set(project.trained())) == 12
    report = json.loads((project.path / "out/report.json").read_text())
    assert len(report["claims"]) == 5
    assert report["runs"] == {"planned": 12, "executed": 12, "reused": 0, "loaded": 0, "naive": 30}
    assert 'name="verdict"' in (project.path / "junit.xml").read_text()
    result.stdout.fnmatch_lines(
        ["plan: 12 runs for 5 items (30 without sharing): 12 to train", "5 judged: 5 supported*"]
    )
    started = re.findall(r"^\[\d+/12\] (.*?): trains", result.stdout.str(), re.MULTILINE)
    assert sorted(started) == sorted(project.trained()), "progress of every run reaches the controller"
    assert not list((project.path / ".medbench/progress").glob("*/*.jsonl"))


def test_workers_may_have_names_of_their_own(project):
    result = project.run_apart("benchmarks", "--dist=load", "--tx=popen//id=left", "--tx=popen//id=right")
    assert "INTERNALERROR" not in result.stdout.str()
    result.stdout.fnmatch_lines(["5 judged: 5 supported*"])
    assert len(set(project.trained())) == len(project.trained()) == 12
    assert result.ret == 0


def test_two_workers_force_each_run_once(project):
    project.run("benchmarks")
    result = project.run_apart("benchmarks", "-n2", "--runs=force")
    result.assert_outcomes(passed=5)
    assert len(project.trained()) == 24
    assert set(project.trained()[12:]) == set(project.trained()[:12])
    assert not list((project.path / ".medbench/campaigns").glob("*")), "the next force begins anew"


def test_a_worker_waits_for_a_run_that_another_session_trains_and_says_so(project):
    project.world(seconds=6)
    first = subprocess.Popen(
        [sys.executable, "-m", "pytest", "benchmarks", "-k", "chest and id"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(project.trained, "the first run")
    project.world()
    result = project.run("benchmarks", "-k", "chest and id")
    first.wait(timeout=120)
    result.stdout.fnmatch_lines([f"*seed 1: waits for process {first.pid}*which trains the same run"])
    assert len(project.trained()) == len(set(project.trained())) == 6
    assert result.ret == 0


def test_failures_and_their_own_words_reach_the_controller(project):
    project.world({"mammography/dense": REFUTED, "chest/id": 0.03})
    result = project.run_apart("benchmarks", "-n2", "-v")
    result.stdout.fnmatch_lines(["*INCONCLUSIVE*chest/scale-data/id*"])
    result.stdout.fnmatch_lines(["*FAILED*mammography/ood-robustness/dense*"])
    result.stdout.fnmatch_lines(["*1 failed, 3 passed, 1 inconclusive in *"])
    assert result.ret == 1


def test_two_workers_that_judge_nothing_are_red(project):
    result = project.run_apart("benchmarks", "-n2", "-k", "mamography")
    result.stdout.fnmatch_lines(["*nothing was judged*", "*Did you mean `mammography`?"])
    assert result.ret == 1


def test_a_mistake_in_yaml_is_said_under_xdist_too(project):
    project.edit("claims/ood.yaml", "margin: 0.005", "margn: 0.005")
    result = project.run_apart("benchmarks", "-n2")
    assert "unknown key `margn`" in result.stdout.str()
    assert "Traceback" not in result.stdout.str()
    assert result.ret != 0


def test_a_broken_file_that_is_no_claim_is_one_usage_error_under_xdist_too(project):
    project.edit("backbones.yaml", "classes: 0", "clases: 0")
    result = project.run_apart("benchmarks", "-n2")
    (message,) = [line for line in result.errlines if line]
    assert message.startswith(
        "ERROR: benchmarks/backbones.yaml:4: unknown key `clases` in upstream `random`."
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_what_two_workers_judged_is_accepted_by_the_controller(project):
    result = project.run_apart("benchmarks", "-n2", "--expect=update", "--reason=first")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["accepted values, before and after:", "*12 reference runs accepted*"])
    entries, _ = project.expectation("mammography", "ood-robustness")
    assert {entry["item"].rpartition("/")[2] for entry in entries} == {"vendor-b", "dense"}


# What was left behind or is damaged


def damage_a_run(project, task):
    """Cut off the record of one of the task's runs."""
    for record in (project.path / ".medbench/runs").glob("*/record.json"):
        if json.loads(record.read_text())["spec"]["task"] == task:
            record.write_text("{")
            return
    raise AssertionError(f"no run of {task}")


def test_a_damaged_run_fails_the_items_that_need_it_and_no_others(project):
    project.run("benchmarks")
    damage_a_run(project, "chest")
    result = project.run("benchmarks")
    result.assert_outcomes(failed=2, passed=3)
    result.stdout.fnmatch_lines(["plan: *record.json: the record is damaged*"])


def test_items_whose_worker_died_are_errors_in_the_report(project):
    project.world(die="chest · bit-large-r14x0.5 · all patients · seed 2")
    result = project.run_apart("benchmarks", "-n2", "--report=out")
    report = json.loads((project.path / "out/report.json").read_text())
    died = {error["id"]: error["message"] for error in report["errors"]}
    assert set(died) == {"chest/ood-robustness/icu", "chest/scale-data/id"}
    assert all("crashed" in message for message in died.values())
    assert len(report["claims"]) == 3
    assert result.ret == 1


def test_a_damaged_run_is_no_internal_error_under_xdist(project):
    project.run("benchmarks")
    damage_a_run(project, "chest")
    result = project.run_apart("benchmarks", "-n2")
    assert "INTERNALERROR" not in result.stdout.str()
    result.assert_outcomes(failed=2, passed=3)


def test_progress_that_a_killed_session_of_the_same_number_left_is_not_shown(project):
    left = project.path / ".medbench/progress" / str(os.getpid())  # as every session has it in a container
    left.mkdir(parents=True)
    (left / "gw0.jsonl").write_text('{"kind":"started","run":"an old run"}\n')
    result = project.run("benchmarks", "-n1", "-k", "chest and id")
    result.stdout.fnmatch_lines(["*chest · bit-small-r14x0.5 · all patients · seed 1: trains"])
    assert "an old run" not in result.stdout.str()
    assert result.ret == 0


# Accelerators


@pytest.mark.parametrize(
    ("visible", "worker", "workers", "device", "fraction"),
    [
        (None, 0, 2, "0", "0.90"),
        (None, 1, 2, "1", "0.90"),
        (None, 2, 4, "0", "0.45"),
        ("4,7", 1, 3, "7", "0.90"),
        ("4,7", 2, 3, "4", "0.45"),
        ("3", 1, 4, "3", "0.23"),
        (" 4 , 7", 1, 2, "7", "0.90"),
        ("GPU-1a2b,GPU-3c4d", 1, 2, "GPU-3c4d", "0.90"),
        ("MIG-11aa,MIG-22bb", 1, 2, "MIG-22bb", "0.90"),
        ("MIG-11aa,MIG-22bb", 2, 3, "MIG-11aa", "0.45"),
    ],
)
def test_workers_share_out_the_gpus_and_their_memory(monkeypatch, visible, worker, workers, device, fraction):
    monkeypatch.setattr(environment, "device_class", lambda: "gpu-some")
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="GPU 0: some\nGPU 1: some\n")
    )
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "")
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    share_accelerators(worker, workers)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == device
    assert float(os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"]) == pytest.approx(float(fraction), abs=0.01)


def test_without_a_gpu_nothing_is_set(monkeypatch):
    monkeypatch.setattr(environment, "device_class", lambda: "cpu")
    monkeypatch.setattr(gpus, "listing", lambda: pytest.fail("asked for GPUs"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    share_accelerators(0, 2)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_what_was_hidden_from_all_workers_stays_hidden(monkeypatch, hidden):
    monkeypatch.setattr(environment, "device_class", lambda: "gpu-unknown")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(gpus, "listing", lambda: pytest.fail("asked for GPUs"))
    share_accelerators(0, 2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == hidden
