import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from medbench import pytest_session
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
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import pytest, sys; sys.exit(pytest.main())",
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


def test_two_workers_take_half_the_time_that_runs_take_one_after_another(project):
    project.run("benchmarks")  # a second a run, say the stand-ins
    result = project.run_apart("benchmarks", "-n2", "--runs=force")
    result.stdout.fnmatch_lines(["plan: 12 runs for 5 items (30 without sharing): 12 to train, about 6 s"])


# Forced sessions


def test_a_forced_session_that_ran_to_its_end_is_over_whatever_failed(project):
    project.world(crash="chest · bit-large-r14x0.5 · all patients · seed 3")
    for trained in (6, 12):
        project.run("benchmarks", "-k", "chest", "--runs=force")
        assert len(project.trained()) == trained, "the failing run once, and no more than the selection needs"
    assert not list((project.path / ".medbench/campaigns").glob("*"))


def test_a_forced_session_that_x_broke_off_goes_on(project):
    project.world(crash="chest · bit-large-r14x0.5 · all patients · seed 2")
    project.run("benchmarks", "-k", "chest", "--runs=force", "-x")
    project.world()
    project.run("benchmarks", "-k", "chest", "--runs=force", "-x")
    assert len(project.trained()) == 5 + 2
    assert not list((project.path / ".medbench/campaigns").glob("*"))


def test_a_forced_session_that_lost_a_worker_goes_on(project):
    project.world(die="chest · bit-large-r14x0.5 · all patients · seed 3")
    project.run_apart("benchmarks", "-k", "chest and id", "--runs=force", "-n1")
    project.world()
    project.run("benchmarks", "-k", "chest and id", "--runs=force")
    assert len(project.trained()) == 6 + 1


PARAMETRIZED = """
import pytest

@pytest.mark.parametrize("i", range(4))
def test_mine(study, i):
    assert study.run(task="chest", backbone="bit-small-r14x0.5", seed=1).record.trace
"""


@pytest.mark.parametrize("place", ["benchmarks/test_mine.py", "test_mine.py"])
def test_workers_with_tests_in_python_alone_force_each_run_once_and_it_is_seen(project, place):
    (project.path / place).write_text(PARAMETRIZED)
    project.world(seconds=0.5)
    for sessions in (1, 2):
        result = project.run_apart(place, "-n2", "--runs=force")
        result.assert_outcomes(passed=4)
        assert len(project.trained()) == sessions
        result.stdout.fnmatch_lines(["[[]1/1] chest · bit-small-r14x0.5 · all patients · seed 1: trains*"])
        assert "judged" not in result.stdout.str()
    assert not list((project.path / ".medbench/campaigns").glob("*"))


def test_an_interrupted_forced_session_of_tests_in_python_goes_on(project):
    (project.path / "test_mine.py").write_text(PARAMETRIZED.replace("seed=1", "seed=i"))
    project.world(interrupt="chest · bit-small-r14x0.5 · all patients · seed 2")
    project.run_apart("test_mine.py", "--runs=force")
    project.world()
    project.run("test_mine.py", "--runs=force").assert_outcomes(passed=4)
    assert len(project.trained()) == 3 + 2


@pytest.mark.parametrize("options", [(), ("-s",), ("--runs=force",), ("--capture=sys",)])
def test_a_test_in_python_shows_the_runs_that_it_waits_for_and_captures_the_rest(project, options):
    (project.path / "test_mine.py").write_text(
        PARAMETRIZED.replace(".record.trace", '.record.trace and print("of the test")')
    )
    result = project.run_apart("test_mine.py", "-k", "2", *options)
    shown = result.stdout.str().partition("= FAILURES =")[0]
    assert "[1/1] chest · bit-small-r14x0.5 · all patients · seed 1: trains" in shown
    assert "seed 1: 0 s" in shown
    assert ("of the test" in shown) == (options == ("-s",))


def test_sessions_of_other_tests_are_left_alone_under_xdist(project):
    (project.path / "test_plain.py").write_text("def test_plain(): pass\n")
    assert (
        project.run_apart("test_plain.py", "-n2", "-k", "nothing").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    )
    result = project.run_apart("test_plain.py", "-n2")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*medbench 0*")
    result.stdout.no_fnmatch_line("*judged*")
    assert not (project.path / ".medbench").exists()


# What was left behind, is missing or damaged


def with_a_claim_whose_weights_are_missing(project):
    line = "weights: {r14x0.5: large.npz}}"
    more = "huge: {description: more, images: 9, classes: 2, weights: {r14x0.5: huge.npz}}"
    project.edit("backbones.yaml", line, f"{line}\n  {more}")
    claim = (project.suite / "claims/scale.yaml").read_text().replace("claim: scale-data", "claim: huge-data")
    claim = claim.replace("treatment: {upstream: large", "treatment: {upstream: huge")
    (project.suite / "claims/huge.yaml").write_text(claim)


def test_items_whose_weights_are_missing_leave_the_plan_of_the_others(project):
    with_a_claim_whose_weights_are_missing(project)
    report, result = project.report("--expect=update", "--reason=first")
    result.stdout.fnmatch_lines(
        [
            "plan: 12 runs for 5 items (30 without sharing): 12 to train",
            "plan: without 2 items: weights `huge.npz` not found*",
            "[[]12/12] *: trains*",
            "runs: 12 trained, 0 reused, 0 loaded; without sharing*",
            "accepted values, before and after:",
            "*12 reference runs accepted*",
        ]
    )
    assert report["runs"] == {"planned": 12, "executed": 12, "reused": 0, "loaded": 0, "naive": 30}
    assert report["counts"]["not-run"] == 2
    result.stdout.fnmatch_lines(["not run, 2 items (*): weights `huge.npz` not found*"])
    assert project.expectation("chest", "scale-data")[0]
    assert result.ret == 0


def test_items_whose_weights_are_missing_leave_the_others_their_campaign(project):
    with_a_claim_whose_weights_are_missing(project)
    project.world(seconds=0.1)
    project.run_apart("benchmarks", "-n2", "--runs=force")
    assert len(project.trained()) == len(set(project.trained())) == 12


def test_what_could_not_be_judged_is_not_accepted_and_that_is_said(project):
    (project.suite / "large.npz").unlink()
    result = project.run("benchmarks", "--expect=update", "--reason=first")
    result.stdout.fnmatch_lines(["nothing was accepted: no selected item was judged."])
    assert not (project.path / "expectations").exists()


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_a_failing_run_is_tried_once_a_session_and_told_to_all_who_need_it(project, workers):
    failing = "mammography · bit-small-r14x0.5 · all patients · seed 1"
    project.world(crash=failing)
    result = project.run_apart("benchmarks", "-k", "mammography", *workers)
    result.assert_outcomes(failed=3)
    assert project.trained().count(failing) == 1
    assert result.stdout.str().count("training diverged") >= 3
    project.world()
    assert project.run("benchmarks", "-k", "mammography").ret == 0


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_a_console_that_lacks_a_character_costs_nothing_else(project, monkeypatch, workers):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    result = project.run_apart("benchmarks", "-k", "chest and id", "--report=out", *workers)
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    result.stdout.fnmatch_lines([r"[[]1/6] chest \xb7 bit-*: trains*", "1 judged: 1 supported*"])
    assert (project.path / "out/report.json").exists()
    assert result.ret == 0


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


def test_items_that_never_started_as_all_workers_had_died_are_errors_too(project):
    project.world(die="chest · bit-small-r14x0.5 · all patients · seed 1")
    result = project.run_apart("benchmarks", "-n1", "--max-worker-restart=0", "--report=out")
    report = json.loads((project.path / "out/report.json").read_text())
    assert len(report["errors"]) + len(report["claims"]) == 5
    assert sum("never started" in error["message"] for error in report["errors"]) == 4
    assert result.ret == 1


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_items_that_x_left_out_are_no_errors(project, workers):
    project.world({"default": REFUTED})
    result = project.run_apart("benchmarks", "-x", "--report=out", *workers)
    assert "never started" not in result.stdout.str()
    assert json.loads((project.path / "out/report.json").read_text())["errors"] == []


def test_a_damaged_run_is_no_internal_error_under_xdist(project):
    project.run("benchmarks")
    damage_a_run(project, "chest")
    result = project.run_apart("benchmarks", "-n2")
    assert "INTERNALERROR" not in result.stdout.str()
    result.assert_outcomes(failed=2, passed=3)


def test_progress_that_a_killed_session_of_the_same_number_left_is_not_shown(project):
    host = socket.gethostname()
    left = project.path / f".medbench/progress/{host}-{os.getpid()}"  # as every session has it in a container
    left.mkdir(parents=True)
    (left / "gw0.jsonl").write_text('{"kind":"started","run":"an old run"}\n')
    result = project.run("benchmarks", "-n1", "-k", "chest and id")
    result.stdout.fnmatch_lines(["*chest · bit-small-r14x0.5 · all patients · seed 1: trains on gw0"])
    assert "an old run" not in result.stdout.str()
    assert result.ret == 0


def test_sessions_of_the_same_number_on_two_machines_have_a_folder_each_in_the_store(project, monkeypatch):
    """Each clears its own when it starts, and workers on other machines look into it."""
    folders = []

    class Seen(pytest_session.Workers):
        def clear(self):
            folders.append(self.folder)

    monkeypatch.setattr(pytest_session, "Workers", Seen)
    for machine in ("node-a", "node-b"):
        monkeypatch.setattr(socket, "gethostname", lambda machine=machine: machine)
        project.run("benchmarks", "--collect-only")
    assert len(set(folders)) == 2


# Accelerators

SLICES = """
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaa)
  MIG 1g.10gb     Device  0: (UUID: MIG-111)
  MIG 1g.10gb     Device  1: (UUID: MIG-222)
"""


@pytest.fixture
def gpus(project, monkeypatch):
    """Say what `nvidia-smi -L` lists."""

    def become(listed):
        (project.path / "bin").mkdir()
        command = project.path / "bin/nvidia-smi"
        names = re.findall(r"GPU (\d+): ([^(\n]+?)(?: \(|$)", listed, re.MULTILINE)
        cases = "".join(f'  *"-i {number}") echo "{name}";;\n' for number, name in names)
        command.write_text(f'#!/bin/sh\ncase "$*" in\n  -L) cat <<X\n{listed.strip()}\nX\n;;\n{cases}esac\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{project.path}/bin:{os.environ['PATH']}")
        monkeypatch.setenv("JAX_PLATFORMS", "cuda")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return become


def test_what_workers_trained_on_slices_of_a_gpu_the_controller_accepts_and_finds_again(project, gpus):
    gpus(SLICES)
    forced = ("--runs=force", "--expect=update", "--reason=first")
    result = project.run_apart("benchmarks", "-k", "chest", "-n2", *forced)
    result.stdout.fnmatch_lines(["medbench *gpu-nvidia-h100-80gb-hbm3-mig-1g-10gb*", "*6 reference runs*"])
    assert project.expectation("chest", "scale-data")[0][0]["accepted"]["jax"] == "0.10.2"
    assert not list((project.path / ".medbench/campaigns").glob("*"))
    for workers in (("-n2",), ()):
        result = project.run_apart("benchmarks", "-k", "chest", *workers)
        result.stdout.fnmatch_lines(["plan: 6 runs for 2 items (12 without sharing): 6 reused"])
    assert len(project.trained()) == 6


def test_workers_on_gpus_of_different_models_are_refused_with_one_message(project, gpus):
    gpus("GPU 0: NVIDIA L4\nGPU 1: NVIDIA T4\n")
    result = project.run_apart("benchmarks", "-n2")
    (message,) = [line for line in result.errlines if line]
    assert message == (
        "ERROR: workers cannot share devices of different classes, whose runs are not the same: 0 is "
        "`gpu-nvidia-l4`, 1 is `gpu-nvidia-t4`. Name those of one class, as in CUDA_VISIBLE_DEVICES=0, or "
        "use one worker."
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert project.run_apart("benchmarks", "-k", "chest and id", "-n1").ret == 0


def test_a_test_in_python_says_too_that_workers_cannot_share_these_gpus(project, gpus):
    gpus("GPU 0: NVIDIA L4\nGPU 1: NVIDIA T4\n")
    (project.path / "test_mine.py").write_text(PARAMETRIZED)
    result = project.run_apart("test_mine.py", "-n2")
    result.assert_outcomes(errors=4)
    assert "workers cannot share devices of different classes" in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()
