"""Staged nights through ci/nightly.sh, on the small suite with stand-ins for training."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import medbench
import medbench.study
from medbench import cli
from tests import runs
from tests.suites import stand_ins
from tests.suites.project import SUPPORTED, Project

pytest_plugins = ["pytester"]

ROOT = Path(medbench.__file__).parents[1]
ITEM = "chest/scale-data/id"
GREEN, RED, UNDONE, BUSY = 0, 1, 2, 3


class Nights(Project):
    """A project whose nights are run by the script, each in a process of its own."""

    def __init__(self, pytester, monkeypatch):
        super().__init__(pytester, monkeypatch)
        for name in [name for name in os.environ if name.startswith("MEDBENCH_")]:
            monkeypatch.delenv(name)
        monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
        (self.path / "ci").mkdir()
        shutil.copy(ROOT / "ci/nightly.sh", self.path / "ci/nightly.sh")

    def start(self, **settings):
        environment = os.environ | {
            "MEDBENCH_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "MEDBENCH_PYTEST": "-p no:cacheprovider -p no:hypothesispytest -p no:timeout",
        }
        environment |= {f"MEDBENCH_{name.upper()}": value for name, value in settings.items()}
        return subprocess.Popen(
            [self.path / "ci/nightly.sh"],
            env=environment,
            cwd="/",  # as cron may
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def night(self, **settings):
        """A whole night; the exit status, the three lines of its summary, and all that was printed."""
        with self.start(**settings) as process:
            said, _ = process.communicate(timeout=300)
        return process.returncode, said.splitlines()[-3:], said

    def folder(self, number=1):
        """Of the night of that number of those that there are."""
        return sorted(
            (path for path in (self.path / "nights").glob("2*")), key=lambda p: (len(p.name), p.name)
        )[number - 1]

    def state(self, number=1):
        return json.loads((self.folder(number) / "night.json").read_text())

    def difference(self, number):
        found = json.loads((self.folder(number) / "diff.json").read_text())
        return found, {each["id"]: each for each in found["differences"]}


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setattr(stand_ins, "HERE", pytester.path)
    monkeypatch.setattr(medbench.study, "open_cohort", stand_ins.open_cohort)  # for commands run in here
    return Nights(pytester, monkeypatch)


def test_a_first_night_leaves_all_that_a_morning_needs(project):
    project.accept()
    status, lines, said = project.night()
    assert status == GREEN, said
    name = project.folder().name
    assert lines[0].startswith(f"night {name}, embedded tier: green; 5 judged: ")
    assert lines[0].endswith("· generated images")
    assert lines[1] == "no earlier night of this selection to compare with"
    assert lines[2].startswith(f"report: nights/{name}/report/report.html")
    there = {path.name for path in project.folder().iterdir()}
    assert there >= {
        "night.json",
        "doctor.txt",
        "pytest.log",
        "junit.xml",
        "report",
        "candidate",
        "summary.txt",
    }
    assert (project.folder() / "summary.txt").read_text().splitlines() == lines
    assert "0 of 5 items would change" in (project.folder() / "candidate/changes.txt").read_text()


def test_an_unchanged_night_is_quiet(project):
    project.accept()
    project.night(runs="force")
    status, lines, said = project.night(runs="force", policy="worse")
    assert status == GREEN, said
    assert lines[1].startswith(f"since {project.folder(1).name}: 5 unchanged")
    assert not {"worse", "vanished"} & set(lines[1].split())
    assert (project.folder(2) / "diff.md").is_file()


def test_another_version_of_a_library_with_the_same_numbers_is_quiet_and_listed(project):
    project.accept()
    project.night(runs="force")
    project.world(jax="0.11.0")
    status, lines, said = project.night(runs="force", policy="worse")
    assert status == GREEN, said
    assert "5 unchanged" in lines[1]
    assert "jax 0.10.2 → 0.11.0" in lines[1]


def test_a_planted_drop_is_loud_with_the_right_item_and_the_right_suspect(project):
    project.accept()
    project.night(runs="force")
    project.world({"chest/id": 0.5}, jax="0.11.0")
    status, lines, said = project.night(runs="force")
    assert status == RED, said
    assert f"1 red: {ITEM} (drifted" in lines[0]
    assert f"1 worse, 4 unchanged; {ITEM}" in lines[1]
    assert "jax 0.10.2 → 0.11.0" in lines[1]
    comparison, items = project.difference(2)
    assert items[ITEM]["state"] == "worse"
    assert [suspect["name"] for suspect in comparison["suspects"]] == ["jax"]
    assert f"{ITEM} [cpu]: supported" in (project.folder(2) / "candidate/changes.txt").read_text()


def test_a_vanished_sub_group_is_loud_with_its_name(project):
    project.accept()
    project.night(runs="force")
    project.world(sexes=["f"])
    status, lines, said = project.night(runs="force")
    assert status == RED, said
    assert "sub-groups are gone: sex m" in lines[0]
    _, items = project.difference(2)
    assert {each["state"] for each in items.values()} == {"vanished"}
    assert "m" in items[ITEM]["sentence"]


def test_a_night_before_whose_report_cannot_be_read_is_told_and_not_in_the_way(project):
    project.accept()
    project.night()
    (project.folder(1) / "report/report.json").write_text('{"schema_version": 1, "medbench": "0.0.1"}')
    status, lines, said = project.night()
    assert status == GREEN, said
    assert "the night before cannot be compared with: " in said
    assert "written by an earlier medbench" in said
    assert lines[1].endswith(": its report cannot be read, so the two nights could not be compared")
    assert not (project.folder(2) / "diff.md").exists()
    assert project.night(policy="worse")[0] == GREEN, "the one between can be compared with"


def test_a_drop_is_red_with_its_name_also_on_the_first_night(project):
    project.accept()
    project.world({"chest/id": 0.5})
    status, lines, said = project.night(runs="force")
    assert status == RED, said
    assert f"1 red: {ITEM} (drifted" in lines[0]
    assert project.state()["status"] == RED
    assert f"{ITEM} [cpu]: supported" in (project.folder() / "candidate/changes.txt").read_text()


def test_a_night_that_is_only_to_report_is_green_whatever_it_found(project):
    project.accept()
    project.world({"chest/id": 0.5})
    status, lines, _ = project.night(runs="force", policy="report-only")
    assert status == GREEN
    assert "1 red: " in lines[0]


def killed_in_the_middle(project):
    """Start a night and kill all of it with the fourth run begun; returns what was trained until then."""
    project.world(seconds=0.5)
    process = project.start(runs="force")
    before = time.monotonic()
    while len(project.trained()) < 4 and process.poll() is None and time.monotonic() - before < 200:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    said, _ = process.communicate()
    trained = project.trained()
    assert 4 <= len(trained) < 12, said
    return trained


def test_a_night_that_was_killed_goes_on_and_loses_nothing(project):
    killed = killed_in_the_middle(project)
    kept = runs.content(project.path / ".medbench/runs")
    assert kept
    assert project.state()["finished"] == ""
    project.world()
    status, _, said = project.night(runs="force")
    assert status == GREEN, said
    assert "goes on, start 2" in said
    assert len(list((project.path / "nights").glob("2*"))) == 1
    assert project.state()["attempts"] == 2
    again = project.trained()[len(killed) :]
    assert not set(again) & set(killed[:-1]), "a finished run was trained again"
    assert len({*again, *killed}) == 12
    assert kept.items() <= runs.content(project.path / ".medbench/runs").items()


def test_a_night_whose_pytest_dies_is_not_done_and_goes_on(project):
    project.world(die="chest · bit-large-r14x0.5 · all patients · seed 2")
    status, lines, _ = project.night()
    assert status == UNDONE
    assert "NOT DONE; pytest came to no report, with exit status -9" in lines[0]
    project.world()
    assert project.night()[0] == GREEN
    assert project.state()["attempts"] == 2


def test_a_second_night_does_not_start_beside_a_first_one_nor_beside_what_is_left_of_it(project):
    project.world(seconds=10)  # a run, so that the first lasts two minutes if it is let
    process = project.start()
    while not project.trained() and process.poll() is None:
        time.sleep(0.05)
    status, _, said = project.night()
    assert status == BUSY
    assert "another night is at work in nights (process " in said
    assert "if that was killed, its pytest still makes the run that it is at); nothing was done" in said
    os.kill(process.pid, signal.SIGKILL)  # the script is that process; its pytest lives on
    process.wait()
    assert project.night()[0] == BUSY, "pytest of the killed night is still at work"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    project.world()
    assert project.night()[0] == GREEN


def test_a_night_that_is_told_to_end_ends_with_its_pytest_and_goes_on(project):
    project.world(seconds=1)
    process = project.start()
    while not project.trained() and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "was interrupted: the same command continues it." in said
    project.world()
    assert project.night()[0] == GREEN
    assert project.state()["attempts"] == 2


def test_a_mistake_in_the_selection_is_named_by_the_night_itself(project):
    status, lines, _ = project.night(select="chest and and")
    assert status == UNDONE
    assert "pytest came to no report, with exit status 4 (pytest.log): " in lines[0]
    assert "chest and and" in lines[0]
    assert lines[1].startswith("what stands above put right, the same command continues the night")


def test_what_the_doctor_found_is_named_by_the_night_itself(project):
    status, lines, _ = project.night(tier="nosuch")
    assert status == UNDONE
    assert "(doctor.txt): " in lines[0]
    assert "nosuch" in lines[0]


def test_a_night_whose_state_is_damaged_is_told(project):
    project.accept()
    project.night()
    state = project.folder() / "night.json"
    state.write_text("{")
    status, _, said = project.night()
    assert status == GREEN
    assert "2-" not in project.folder().name[:2]
    assert f"nights/{project.folder().name}/night.json cannot be read: that night is neither" in said
    assert state.read_text() == "{"


def test_a_folder_that_takes_no_more_is_one_message_and_no_red_night(project, monkeypatch, capsys):
    project.accept()
    real = Path.open

    def full(path, *args, **kwargs):
        if path.name == "pytest.log":
            raise OSError(28, "No space left on device", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("MEDBENCH_DOCTOR", "go-on")
    assert cli.main(["nightly"]) == UNDONE
    said = capsys.readouterr().err
    assert "pytest.log: the night came to no end (No space left on device). Make room;" in said


def test_what_a_forced_night_measured_is_accepted_and_the_next_night_is_green(project, monkeypatch):
    project.accept()
    project.world({"chest/id": SUPPORTED / 2})
    assert project.night(runs="force")[0] == RED
    night = f"nights/{project.folder().name}"
    assert cli.main(["accept", night, "-k", "scale-data and chest"]) == 0
    assert project.night(runs="force")[0] == RED, "without a reason nothing was accepted"
    assert cli.main(["accept", night, "-k", "scale-data and chest", "--reason", "a new augmentation"]) == 0
    status, lines, _ = project.night(runs="force")
    assert status == GREEN
    assert f"since {project.folder(2).name}: " in lines[1]


def test_a_finished_night_is_kept_and_another_one_is_numbered(project):
    project.night()
    first = runs.content(project.folder(1))
    project.night()
    assert project.folder(2).name == f"{project.folder(1).name}-2"
    assert runs.content(project.folder(1)) == first


def test_where_the_doctor_finds_a_problem_nothing_is_trained_unless_that_is_asked_for(project):
    (project.suite / "claims/scale.yaml").write_text("claim: [\n")
    status, lines, _ = project.night()
    assert status == UNDONE
    assert "the doctor found problems, so nothing was trained (doctor.txt): " in lines[0]
    assert "  " not in lines[0]
    assert "claims/scale.yaml" in (project.folder() / "doctor.txt").read_text()
    status, lines, _ = project.night(doctor="go-on")
    assert status == UNDONE
    assert "pytest came to no report" in lines[0]
    assert not project.trained()


def test_machines_make_a_part_each_and_a_later_night_judges(project):
    for part in ("1/2", "2/2"):
        status, lines, said = project.night(shard=part)
        assert status == GREEN, said
        assert f"part {part} of the runs is made" in lines[0]
    assert len(project.trained()) == 12
    assert project.night(runs="never")[0] == GREEN
    assert len(project.trained()) == 12


def test_github_gets_the_summary_as_text_that_nothing_in_it_can_break_out_of(project, monkeypatch):
    shown = project.path / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(shown))
    monkeypatch.setenv("CI", "true")
    assert project.night()[0] == GREEN
    lines = (project.folder() / "summary.txt").read_text()
    assert shown.read_text().startswith(f"```text\n{lines}```\n")
    assert (project.folder() / "candidate/expectations/embedded/chest/scale-data.yaml").is_file()


def test_a_wrong_setting_is_one_message_and_no_night(project):
    status, _, said = project.night(policy="loud")
    assert status == UNDONE
    assert said.startswith("MEDBENCH_POLICY: `loud` is not as expected: ")
    assert not (project.path / "nights").exists()


def test_help_lists_every_setting():
    done = subprocess.run(
        [ROOT / "ci/nightly.sh", "--help"],
        env=os.environ | {"MEDBENCH_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    from medbench.nights import Settings

    for name in Settings.__struct_fields__:
        assert f"MEDBENCH_{name.upper()} " in done.stdout


@pytest.mark.parametrize(
    ("interpreter", "why"), [("bare", "No module named 'msgspec'"), ("absent", "absent")]
)
def test_a_night_that_has_no_medbench_was_not_done_rather_than_red(tmp_path, interpreter, why):
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    done = subprocess.run(
        [ROOT / "ci/nightly.sh"],
        env={**os.environ, "MEDBENCH_PYTHON": str(tmp_path / interpreter), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert "or name its interpreter by MEDBENCH_PYTHON" in done.stderr


def test_report_only_does_not_pass_over_what_was_not_measured(project):
    project.world(crash="chest · bit-large-r14x0.5 · all patients · seed 1")
    status, lines, said = project.night(policy="report-only")
    assert status == RED, said
    assert "training diverged" in lines[0]


def test_a_history_that_cannot_be_written_leaves_the_night_undone(project):
    (project.path / "kept").mkdir()
    (project.path / "kept/embedded").write_text("a file")
    status, lines, said = project.night(history="kept", policy="report-only")
    assert status == UNDONE, said
    assert "what was judged could not be kept whole (pytest.log): " in lines[0]
    assert "kept" in lines[0].partition("pytest.log")[2]
    (project.path / "kept/embedded").unlink()
    assert project.night(history="kept")[0] == GREEN


def test_a_test_in_python_that_fails_is_named(project):
    (project.suite / "test_mine.py").write_text("def test_mine():\n    assert False\n")
    status, lines, said = project.night()
    assert status == RED, said
    assert "red beside the items (pytest.log): benchmarks/test_mine.py::test_mine" in lines[0]


def test_a_selection_of_nothing_is_said_with_pytests_reason(project):
    status, lines, said = project.night(select="chets")
    assert status == UNDONE, said
    assert "Did you mean `chest`?" in lines[0]


def test_the_reason_is_that_of_the_last_start(project):
    project.night(select="chest and")
    (project.path / "conftest.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    _, lines, _ = project.night(select="chest and")
    assert "exit status -9 (pytest.log)" in lines[0]
    assert "Wrong expression" not in lines[0]


def test_options_from_elsewhere_make_no_night_accept(project, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--expect=update --reason=x")
    project.night()
    assert not (project.path / "expectations").exists()


def test_a_night_that_judged_nothing_does_not_hide_what_was_lost_since_the_one_before(project):
    assert project.night(policy="worse", runs="force")[0] == GREEN
    weights = project.suite / "large.npz"
    weights.rename(project.path / "away")
    assert project.night(policy="worse", runs="force", doctor="go-on")[0] == RED
    (project.path / "away").rename(weights)
    project.world({"default": 0.3})
    status, lines, said = project.night(policy="worse", runs="force")
    assert status == RED, said
    assert lines[1].startswith(f"since {project.folder(1).name}: 5 worse")


@pytest.mark.parametrize("left", ["full", "gone"])
def test_where_nobody_can_be_told_the_night_is_done_all_the_same(project, monkeypatch, left):
    if left == "gone":
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/nowhere/summary")
        assert project.night()[0] == GREEN
        return
    with project.start() as process:
        process.stdout.readline()
        process.stdout.close()
        process.wait(timeout=300)
    assert project.state()["status"] == GREEN


def test_a_full_disk_is_no_red_night(project):
    command = f"ulimit -f 0; {sys.executable} -m medbench.cli nightly 2>&1 | cat; exit ${{PIPESTATUS[0]}}"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        ["bash", "-c", command],
        env=environment,
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == UNDONE, told.stdout
    assert "Traceback" not in told.stdout
