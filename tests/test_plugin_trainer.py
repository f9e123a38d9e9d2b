"""Sessions in which another trainer executes the runs: planned, resumed, judged and accepted like ours."""

import json
import sys

import pytest
import yaml

import medbench.study
from medbench import cli
from tests.execute.elsewhere import package
from tests.suites import stand_ins
from tests.suites.project import Project

pytest_plugins = ["pytester"]

IMAGES = '''

def images(self, split, size):
    """Brighter where the second class is true, so that a trainer has something to find."""
    positive = self.examples(split).labels[:, 1]
    noise = np.random.default_rng(len(split)).normal(128, 30, size=len(positive))
    bright = np.clip(noise + 30 * positive, 0, 255).astype(np.uint8)
    return np.broadcast_to(bright[:, None, None, None], (len(positive), size, size, 1)).copy()


Cohort.images = images
'''

TRAINER = f"""#!{sys.executable}
import csv, json, os, sys
from pathlib import Path
import numpy as np

def train(folder):
    told = json.loads((folder / "job.json").read_text())
    with open(Path(__file__).with_name("elsewhere.log"), "a") as log:
        log.write(told["run"] + "\\n")
    blur = {{"small": 60, "large": 1}}[Path(told["weights"]).read_text()]
    draws = np.random.default_rng(told["spec"]["seed"])
    for name in ("validation", *told["spec"]["evaluation_sets"]):
        each = told["sets"][name]
        images = np.load(each["images"], mmap_mode="r")
        with open(each["examples"]) as file, open(each["predictions"], "w") as out:
            print("image,logit/benign,logit/malignant", file=out)
            for row in csv.DictReader(file):
                seen = images[int(row["row"])].mean() + blur * draws.normal()
                print(row["image"], 0, seen / 50, sep=",", file=out)

"""
SCRIPT = TRAINER + "train(Path(sys.argv[1]))\n"


@pytest.fixture
def project(pytester, monkeypatch):
    project = Project(pytester, monkeypatch)
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + IMAGES)
    write(project, SCRIPT)
    return project


def write(project, text):
    """The script train.py, as it is from now on."""
    path = project.path / "train.py"
    path.write_text(text)
    path.chmod(0o755)


def elsewhere(project):
    """Labels of the runs that the script executed."""
    log = project.path / "elsewhere.log"
    return log.read_text().splitlines() if log.exists() else []


def test_claims_are_judged_on_the_runs_of_another_trainer_and_the_page_says_whose_they_are(project):
    report, result = project.report("--trainer", "./train.py", "-k", "chest")
    assert result.ret == 0, result.stdout.str()
    assert len(elsewhere(project)) == 6
    assert project.trained() == [], "medbench trained nothing"
    assert {claim["verdict"] for claim in report["claims"]} == {"supported"}
    assert report["scope"].startswith("All runs are by trainer `train.py` (sha256 ")
    assert {run["trainer"].partition(" ")[0] for run in report["provenance"]} == {"`train.py`"}
    result.stdout.fnmatch_lines(
        ["medbench *trainer `train.py` (sha256 *", "All runs are by trainer `train.py`*"]
    )
    page = (project.path / "out/report.html").read_text()
    assert "by `train.py` (sha256" in page
    assert "SECRET" not in page


def test_the_runs_are_kept_and_a_changed_script_makes_new_ones(project):
    project.run("benchmarks", "--trainer", "./train.py", "-k", "chest")
    again = project.run("benchmarks", "--trainer", "./train.py", "-k", "chest")
    again.stdout.fnmatch_lines(["plan: 6 runs for 2 items*: 6 reused"])
    assert len(elsewhere(project)) == 6
    write(project, SCRIPT + "# tuned\n")
    changed = project.run("benchmarks", "--trainer", "./train.py", "-k", "chest")
    changed.stdout.fnmatch_lines(["*: trains (changed: the trainer (`train.py` (sha256 *"])
    assert len(elsewhere(project)) == 12


def test_neither_the_runs_nor_the_values_that_medbench_accepted_are_anothers(project):
    project.accept()
    project.forget_runs()
    result = project.run("benchmarks", "--trainer", "./train.py", "-k", "scale-data and chest")
    assert result.ret == 0
    assert len(elsewhere(project)) == 6, "no reference run was loaded"
    result.stdout.fnmatch_lines(["chest*scale-data*supported*no expectation"])
    ours = project.run("benchmarks", "-k", "scale-data and chest")
    ours.stdout.fnmatch_lines(["plan: 6 runs for 1 item*: 4 loaded*, 2 to train*", "chest*unchanged*"])


def test_accepting_needs_a_folder_of_ones_own(project):
    result = project.run("benchmarks", "--trainer", "./train.py", "--expect=new", "--reason=first")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--trainer needs --expectations DIR*"])


def test_values_are_accepted_into_a_folder_of_ones_own_with_the_trainer_and_held_to_it(project):
    own = ("--trainer", "./train.py", "--expectations", "accepted", "-k", "chest and scale-data")
    result = project.run("benchmarks", *own, "--expect=new", "--reason=first")
    assert result.ret == 0, result.stdout.str()
    file = project.path / "accepted/embedded/chest/scale-data.yaml"
    (entry,) = yaml.safe_load(file.read_text())
    assert entry["accepted"]["trainer"].startswith("`train.py` (sha256 ")
    references = sorted((project.path / "accepted/embedded").glob("runs-of-train.py/chest/*/record.json"))
    assert len(references) == 6
    assert json.loads(references[0].read_text())["trainer"]["name"] == "train.py"

    project.forget_runs()
    loaded = project.run("benchmarks", *own)
    loaded.stdout.fnmatch_lines(["plan: 6 runs for 1 item*: 4 loaded*, 2 to train*"])
    loaded.stdout.fnmatch_lines(["chest*unchanged (numeric@1, 2 of 6 measured)"])
    assert len(elsewhere(project)) == 8, "the sentinels"

    write(project, SCRIPT.replace('"large": 1', '"large": 200'))
    worse = project.run("benchmarks", *own, "--runs=force")
    assert worse.ret == 1
    worse.stdout.fnmatch_lines(["chest*refuted*supported*verdict-changed"])

    medbench = project.run("benchmarks", *own[2:], "--runs=never")
    medbench.stdout.fnmatch_lines(["plan: 6 runs for 1 item*: 6 not to be made"])


def test_medbenchs_own_entries_do_not_speak_of_trainers(project):
    project.accept()
    entries, path = project.expectation("chest", "scale-data")
    assert "trainer" not in path.read_text()
    assert list(entries[0]["accepted"]) == ["date", "commit", "reason", "jax"]


def test_a_script_that_fails_makes_its_items_errors_with_its_last_words(project):
    write(project, f"#!{sys.executable}\nimport sys; print('no GPU left'); sys.exit(3)\n")
    result = project.run("benchmarks", "--trainer", "./train.py", "-k", "chest and scale-data")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*seed 1: trainer `train.py`: the script ended early (status 3)*", "*no GPU left*"]
    )
    assert "Traceback" not in result.stdout.str()
    assert result.stdout.str().count("no GPU left") == 1, "the log's end is told once"
    assert not (project.path / ".medbench/runs").exists()


def test_a_forced_session_of_another_trainer_is_a_campaign_of_its_own(project):
    for expected in (6, 12):
        project.run("benchmarks", "--trainer", "./train.py", "-k", "chest", "--runs=force")
        assert len(elsewhere(project)) == expected


def test_workers_share_the_runs_of_a_trainer(project, monkeypatch):
    result = project.run_apart("benchmarks", "--trainer", "./train.py", "-k", "chest", "-n", "2")
    assert result.ret == 0, result.stdout.str()
    assert sorted(elsewhere(project)) == sorted(set(elsewhere(project)))
    assert len(elsewhere(project)) == 6


def test_an_installed_trainer_is_named_by_its_entry_point(project, monkeypatch):
    body = TRAINER + "def job(job):\n    train(job.folder)\n    job.report('train', 1, 1)\n"
    package(project.path, body, entry="fast = stack:job")
    monkeypatch.syspath_prepend(project.path)
    report, result = project.report("--trainer=fast", "-k", "chest and scale-data")
    sys.modules.pop("stack", None)
    assert result.ret == 0, result.stdout.str()
    assert report["scope"] == "All runs are by trainer `fast` (stack 1.0), not by medbench."
    empty = project.run("benchmarks", "--trainer=")
    assert empty.ret == pytest.ExitCode.USAGE_ERROR
    empty.stderr.fnmatch_lines(['*--trainer "": expected a name*'])
    misspelt = project.run("benchmarks", "--trainer=fest")
    assert misspelt.ret == pytest.ExitCode.USAGE_ERROR
    misspelt.stderr.fnmatch_lines(["*unknown trainer `fest`. Did you mean `fast`?"])


def test_the_plan_knows_the_trainers_runs(project, monkeypatch, capsys):
    project.run("benchmarks", "--trainer", "./train.py", "-k", "chest")
    monkeypatch.chdir(project.path)
    monkeypatch.setattr(stand_ins, "HERE", project.path)
    monkeypatch.setattr(medbench.study, "open_cohort", stand_ins.open_cohort)
    for arguments, expected in {
        (): ": 12 to train",
        ("--trainer", "./train.py"): ": 6 to train, 6 reused",
    }.items():
        capsys.readouterr()
        assert cli.main(["plan", "benchmarks", *arguments]) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        assert expected in last
        assert ("by trainer `train.py` (sha256 " in last) == bool(arguments)
    assert cli.main(["plan", "benchmarks", "--trainer", ""]) == 2
    assert 'trainer "": expected a name' in capsys.readouterr().err
    assert cli.main(["plan", "benchmarks", "--trainer", "./trian.py"]) != 0
    assert "no such script. Did you mean `train.py`?" in capsys.readouterr().err


def test_a_test_in_python_asks_for_runs_of_the_trainer(project):
    (project.suite / "test_own.py").write_text(
        "def test_whose(study):\n"
        "    run = study.run(task='chest', backbone='bit-small-r14x0.5', seed=1)\n"
        "    assert run.record.trainer.name == 'train.py'\n"
        "    assert len(run.predictions('icu')) == 300\n"
    )
    result = project.run("benchmarks/test_own.py", "--trainer", "./train.py")
    result.assert_outcomes(passed=1)
