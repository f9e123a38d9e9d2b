import json
import os
import subprocess

import msgspec
import pytest

from medbench import cli
from medbench.diff.reading import Places, form_of, read_both
from medbench.difference import Comparison
from medbench.errors import MedbenchError
from medbench.expect import Accepted, update
from medbench.report.record import to_json
from tests.judging import judgement
from tests.report.records import report, result

ITEM = "mammography/scale-data/id"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A suite with accepted values, and a report of the same, where the process is."""
    monkeypatch.delenv("CI", raising=False)
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    accept(tmp_path)
    return tmp_path


def accept(path, **changes):
    accepted = Accepted(date="2026-12-01", commit="abc", reason="first", jax="0.10.2")
    made = judgement(**changes)
    update([made], root=path / "expectations", tier="embedded", reason="x", provenance=lambda _: accepted)


def write_report(path, **changes):
    path.mkdir(exist_ok=True)
    fields = {name: getattr(judgement(), name) for name in ("samples", "trained", "devices", "definition")}
    fields |= {
        name: getattr(judgement(), name) for name in ("arms", "groups", "cohort_fingerprint", "effect")
    }
    (path / "report.json").write_bytes(to_json(report(result(ITEM, **(fields | changes)))))


def git(path, *arguments):
    command = ["git", "-C", path, "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(project):
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "first")
    return project


def diff(*arguments):
    return cli.main(["diff", *map(str, arguments)])


MOVED = {"baseline": {1: 0.81, 2: 0.80, 3: 0.82}, "treatment": {1: 0.73, 2: 0.72, 3: 0.741}}
LOSS = {"samples": MOVED, "verdict": "refuted"}


# Git


def test_without_sides_the_tree_is_held_against_head(repository, capsys):
    assert diff() == 0
    assert "1 item compared: 1 unchanged" in capsys.readouterr().out
    accept(repository, **LOSS)
    assert diff() == 1
    out = capsys.readouterr().out
    assert "before: expectations at HEAD (" in out
    assert "worse  mammography/scale-data/id  treatment is worse by 0.0997 in seeds 1, 2, 3; supported" in out


def test_two_revisions_are_compared_and_the_tree_is_left_alone(repository, capsys):
    accept(repository, **LOSS)
    git(repository, "commit", "--quiet", "-am", "second")
    (repository / "expectations/embedded/mammography/scale-data.yaml").write_text("torn")
    before = git(repository, "status", "--porcelain")
    assert diff("HEAD~1", "git:main") == 1
    assert "before: expectations at HEAD~1 (" in capsys.readouterr().out
    assert git(repository, "status", "--porcelain") == before


def test_what_is_wrong_in_a_revision_is_said_with_revision_and_file(repository, capsys):
    path = repository / "expectations/embedded/mammography/scale-data.yaml"
    path.write_text(path.read_text().replace("verdict: supported", "verdict: suported"))
    git(repository, "commit", "--quiet", "-am", "broken")
    assert diff("git:HEAD~1", "git:HEAD") == 2
    assert "HEAD:expectations/embedded/mammography/scale-data.yaml:2: " in capsys.readouterr().err


def test_an_unknown_revision_is_a_mistake(repository, capsys):
    assert diff("git:nowhere") == 2
    assert "git knows no revision `nowhere`" in capsys.readouterr().err
    assert diff("git:--output=x") == 2
    assert not (repository / "x").exists()


def test_a_shallow_clone_is_said_to_be_one(repository, tmp_path_factory, monkeypatch, capsys):
    accept(repository, **LOSS)
    git(repository, "commit", "--quiet", "-am", "second")
    clone = tmp_path_factory.mktemp("clone")
    git(clone, "clone", "--quiet", "--depth=1", repository.as_uri(), "here")
    (clone / "here/benchmarks").mkdir()
    monkeypatch.chdir(clone / "here")
    assert diff("git:HEAD~1") == 2
    assert "The clone is shallow" in capsys.readouterr().err


def test_outside_of_a_repository_is_said_to_be_so(capsys):
    assert diff() == 2
    assert "not in a git repository" in capsys.readouterr().err


def test_a_tier_that_a_revision_lacks_is_said_to_be_lacking(repository, capsys):
    assert diff("git:HEAD", "--tier=public") == 2
    assert "there is nothing in expectations/public" in capsys.readouterr().err


# Reports and expectations


def test_a_report_is_held_against_the_expectations(project, capsys):
    write_report(project / "night", **LOSS)
    assert diff("expectations", "night") == 1
    out = capsys.readouterr().out
    assert "before: expectations in expectations/embedded" in out
    assert "after:  report of 2026-12-01 10:00 UTC, commit abc (night)" in out
    assert diff("night", "expectations:") == 0
    assert "1 better" in capsys.readouterr().out


def test_the_folder_of_a_night_stands_for_its_report(project, capsys):
    (project / "nights/2026-12-01").mkdir(parents=True)
    write_report(project / "nights/2026-12-01/report", **LOSS)
    assert diff("expectations", "nights/2026-12-01") == 1
    assert "1 worse" in capsys.readouterr().out


def test_json_is_the_comparison(project, capsys):
    write_report(project / "night", **LOSS)
    assert diff("expectations", "report:night/report.json", "--format=json") == 1
    found = msgspec.json.decode(capsys.readouterr().out, type=Comparison)
    assert [each.state for each in found.differences] == ["worse"]


def test_only_changed_definitions_have_a_status_of_their_own(project):
    changed = msgspec.structs.replace(judgement().definition, margin=0.01)
    write_report(project / "night", definition=changed)
    assert diff("expectations", "night") == 3


def test_a_lost_sub_group_is_status_1(project, capsys):
    write_report(project / "night", groups={"sex": ["m"]})
    assert diff("expectations", "night") == 1
    assert "sub-groups are gone: sex f" in capsys.readouterr().out


def test_the_tier_of_expectations_is_that_of_the_report(project, capsys):
    write_report(project / "night")
    path = project / "night/report.json"
    path.write_text(path.read_text().replace('"tier": "embedded"', '"tier": "public"'))
    assert diff("expectations:", "night") == 2
    assert "no accepted values of tier `public`; there are tiers: embedded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"schema_version": 3, "medbench": "0.1', "torn"),
        ('{"schema_version": 9, "medbench": "9"}', "a later medbench (reports of version 9"),
        ('{"schema_version": 1, "medbench": "0"}', "an earlier medbench (reports of version 1"),
        ('{"version": 1}', "no report of medbench"),
        ("\udcff", "no report of medbench"),
    ],
)
def test_a_report_that_is_none_is_a_mistake(project, content, expected, capsys):
    (project / "report.json").write_bytes(content.encode(errors="surrogateescape"))
    assert diff("expectations", "report.json") == 2
    said = capsys.readouterr().err
    assert said.startswith("report.json: ")
    assert expected in said


def test_what_is_named_may_be_several_things(repository):
    git(repository, "branch", "night")
    write_report(repository / "night")
    places = Places(repository / "benchmarks")
    with pytest.raises(
        MedbenchError, match=r"is a report and a git revision. Write report:night or git:night"
    ):
        form_of("night", places)
    assert form_of("git:night", places) == ("git", "night")


def test_what_is_named_may_be_nothing(project):
    with pytest.raises(MedbenchError, match="`nowhere` does not exist and names none of"):
        form_of("nowhere", Places(project / "benchmarks"))
    with pytest.raises(MedbenchError, match="`benchmarks` is none of"):
        form_of("benchmarks", Places(project / "benchmarks"))


def test_a_url_is_a_store(project):
    assert form_of("s3://bucket/study", Places(project / "benchmarks")) == ("store", "s3://bucket/study")


def test_values_on_two_device_classes_are_held_against_their_own(project):
    gpu = {term: dict.fromkeys((1, 2, 3), "gpu-x") for term in ("baseline", "treatment")}
    accept(project, devices=gpu, environments=["gpu-x"], **LOSS)
    sides = read_both("expectations:", "expectations:", Places(project / "benchmarks"))
    assert [each.environments for each in sides[0].items[ITEM]] == [["cpu"], ["gpu-x"]]
    assert diff("expectations:", "expectations:") == 0


def test_an_error_of_a_session_is_a_vanished_item(project, capsys):
    write_report(project / "before")
    write_report(project / "after")
    path = project / "after/report.json"
    content = json.loads(path.read_text())
    content["claims"], content["errors"] = [], [{"id": ITEM, "message": "diverged\nlog"}]
    path.write_text(json.dumps(content))
    assert diff("before", "after") == 1
    assert "could not be judged: diverged" in capsys.readouterr().out
