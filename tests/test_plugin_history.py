"""Sessions that keep a history, and what is seen of it."""

import json

import pytest

from medbench.cli import main
from medbench.history import read
from tests.suites.project import REFUTED, Project

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


def night(project, *arguments):
    """A session with all runs trained anew."""
    return project.run("benchmarks", "--history=history", "--runs=force", *arguments)


def nights(project):
    return read(project.path / "history", "embedded")


def test_a_session_adds_one_file_with_every_judged_item(project):
    result = night(project)
    ((session, entries),) = nights(project).nights
    assert {entry.id for entry in entries} == {
        "chest/ood-robustness/icu",
        "mammography/ood-robustness/vendor-b",
        "mammography/ood-robustness/dense",
        "chest/scale-data/id",
        "mammography/scale-data/id",
    }
    assert all(len(seeds) == 3 for entry in entries for seeds in entry.values.values())
    assert all(entry.verdict == "supported" and not entry.accepted for entry in entries)
    assert session.generated
    result.stdout.fnmatch_lines(["history: history/embedded/*/*Z-night-*.jsonl"])
    assert "SECRET" not in next(project.path.glob("history/*/*/*.jsonl")).read_text()


def test_a_session_that_judged_nothing_writes_nothing(project):
    project.run("benchmarks", "--history=history", "--runs=never")
    project.run("benchmarks", "--history=history", "--collect-only")
    project.run("benchmarks", "--history=history", "-k", "nothing-of-that-name")
    assert not list(project.path.glob("history/**/*.jsonl"))


def test_with_workers_the_controller_writes_one_file(project):
    result = project.run_apart("benchmarks", "--history=history", "-n2")
    assert result.ret == 0
    ((_, entries),) = nights(project).nights
    assert len(entries) == 5


def test_accepting_marks_what_was_accepted_and_goes_where_a_history_is(project):
    project.accept()
    assert not (project.path / "history").exists()
    (project.path / "history").mkdir()
    project.world({"chest/icu": 2.0})
    project.run("benchmarks", "-k", "icu", "--runs=force", "--expect=update", "--reason=better coils")
    ((session, entries),) = nights(project).nights
    assert session.accepted == "better coils"
    assert [(entry.id, entry.accepted) for entry in entries] == [("chest/ood-robustness/icu", True)]
    assert "-accepted-" in next(project.path.glob("history/*/*/*.jsonl")).name


def test_new_accepts_only_what_is_new_and_the_rest_is_a_night_like_others(project):
    project.run("benchmarks", "-k", "icu", "--expect=new", "--reason=first")
    project.run("benchmarks", "-k", "chest", "--runs=force", "--expect=new", "--reason=more", "--history=h")
    ((_, entries),) = read(project.path / "h", "embedded").nights
    assert {entry.id: entry.accepted for entry in entries} == {
        "chest/ood-robustness/icu": False,
        "chest/scale-data/id": True,
    }


def test_the_night_of_a_planted_loss_is_named_in_terminal_report_and_command(project, capsys):
    project.accept()
    night(project)
    project.world({"chest/icu": REFUTED})
    result = night(project, "--report=out")
    result.stdout.fnmatch_lines(
        ["history: chest/ood-robustness/icu: treatment jumped by -0.* (worse) in the*"]
    )
    record = json.loads((project.path / "out/report.json").read_text())
    (chart,) = [figure for figure in record["figures"] if figure["kind"] == "history"]
    assert chart["title"] == "chest/ood-robustness/icu: treatment by night"
    assert len(chart["series"][0]["points"]) == 2
    assert chart["series"][0]["points"][1]["label"].endswith("jump")
    assert chart["references"][0]["name"] == "accepted"
    capsys.readouterr()
    assert main(["history", "chest/ood-robustness/icu", "--history", str(project.path / "history")]) == 0
    said = capsys.readouterr().out
    assert "RED · treatment jumped by -0." in said
    assert "1 mark\n" in said


def test_a_damaged_file_is_named_and_the_session_goes_on(project):
    night(project)
    (file,) = project.path.glob("history/*/*/*.jsonl")
    file.write_bytes(file.read_bytes()[:-40])
    result = night(project)
    result.stdout.fnmatch_lines([f"history: *{file.name}: damaged*"])
    assert result.ret == 0
    assert len(nights(project).nights) == 1


def test_a_part_of_the_runs_has_no_history(project):
    result = project.run("benchmarks", "--history=h", "--shard=1/2")
    result.stderr.fnmatch_lines(["ERROR: --shard judges nothing, so there is nothing for --history*"])


def test_a_file_in_the_place_of_the_folder_is_refused_before_training(project):
    (project.path / "h").write_text("")
    result = project.run("benchmarks", "--history=h/x")
    result.stderr.fnmatch_lines(["ERROR: --history h/x: expected a folder (it is made), found a file."])
    assert project.trained() == []
