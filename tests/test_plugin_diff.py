import json
import subprocess

import pytest

from tests.suites.project import Project

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


def earlier(project, *arguments):
    """Run with a report that a later session is held against."""
    project.run("benchmarks", "--report=earlier", *arguments)


def since(project, *arguments, run=None):
    result = (run or project.run)("benchmarks", "--against=earlier", "--report=out", *arguments)
    return json.loads((project.path / "out/report.json").read_text())["since"], result


def test_a_session_like_the_one_before_is_quiet(project):
    earlier(project)
    found, result = since(project)
    assert found["counts"]["unchanged"] == 5
    assert sum(found["counts"].values()) == 5
    assert found["generated"]
    result.stdout.fnmatch_lines(["since report of * UTC*:", "5 items compared: 5 unchanged"])


def test_a_planted_drop_is_loud_and_names_the_item_and_the_arm(project):
    earlier(project)
    project.world({"mammography/dense": 0.3})
    found, result = since(project, "--runs=force")
    assert found["differences"][0]["id"] == "mammography/ood-robustness/dense"
    assert {each["id"]: each["state"] for each in found["differences"]}[
        "mammography/ood-robustness/dense"
    ] == "worse"
    assert found["counts"]["worse"] == 1
    assert found["counts"]["unchanged"] == 4
    result.stdout.fnmatch_lines(["worse *mammography/ood-robustness/dense *treatment is worse by 0.*"])


def test_a_session_of_a_part_finds_nothing_vanished(project):
    earlier(project)
    found, _ = since(project, "-k", "chest")
    assert found["counts"]["vanished"] == 0
    assert found["not_looked_at"] == 3
    swapped = ("-k", "chest")
    earlier(project, *swapped)
    found, _ = since(project)
    assert (found["counts"]["new"], found["not_looked_at"]) == (0, 3)


def test_an_item_that_the_suite_no_longer_declares_has_vanished(project):
    earlier(project)
    (project.suite / "claims/ood.yaml").unlink()
    found, result = since(project)
    assert found["counts"]["vanished"] == 3
    result.stdout.fnmatch_lines(["vanished *mammography/ood-robustness/dense *the item is gone"])


def test_it_works_under_xdist(project):
    earlier(project)
    found, result = since(project, "-n2", run=project.run_apart)
    assert found["counts"]["unchanged"] == 5
    result.stdout.fnmatch_lines(["5 items compared: 5 unchanged"])


def test_the_report_that_is_held_against_may_be_written_over(project):
    earlier(project)
    project.run("benchmarks", "--against=earlier", "--report=earlier")
    report = json.loads((project.path / "earlier/report.json").read_text())
    assert report["since"]["counts"]["unchanged"] == 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read"),
        ("{", "no report of medbench, or a torn one"),
        ("{}", "no report of medbench, or a torn one"),
        ('{"schema_version": 99, "medbench": "9"}', "written by a later medbench"),
        ('{"schema_version": 1, "medbench": "0"}', "written by an earlier medbench"),
    ],
)
def test_a_report_that_cannot_be_read_is_refused_before_anything_runs(project, content, expected):
    if content is not None:
        (project.path / "report.json").write_text(content)
    result = project.run("benchmarks", "--against=report.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--against report.json: report.json: " in result.stderr.str()
    assert expected in result.stderr.str()
    assert project.trained() == []


def test_a_report_of_another_tier_is_refused(project):
    earlier(project)
    path = project.path / "earlier/report.json"
    path.write_text(path.read_text().replace('"tier": "embedded"', '"tier": "public"'))
    result = project.run("benchmarks", "--against=earlier")
    assert "the report is of tier public, this session of embedded" in result.stderr.str()


# The message of a commit


def test_accepting_leaves_a_message_for_the_commit_that_git_takes(project):
    project.accept()
    project.world({"mammography/dense": 0.3})
    reason = "the night of the 3rd: a recipe that the board prefers, whose loss on dense breasts is known"
    result = project.run("benchmarks", "--runs=force", "--expect=update", f"--reason={reason}")
    result.stdout.fnmatch_lines(
        ["*commit them with: git add expectations && git commit -e -F .medbench/commit-message.txt"]
    )
    message = (project.path / ".medbench/commit-message.txt").read_text()
    subject, blank, *rest = message.splitlines()
    assert subject == "Accept 1 item of mammography (embedded)"
    assert blank == ""
    assert reason in " ".join(rest)
    assert any(line.startswith("worse  mammography/ood-robustness/dense") for line in rest)

    def git(*arguments):
        return subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            cwd=project.path,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    git("init", "--quiet")
    git("add", "expectations")
    git("commit", "--quiet", "-F", ".medbench/commit-message.txt")
    assert git("log", "-1", "--format=%B").strip() == message.strip()


def test_a_first_acceptance_tells_what_is_new(project):
    project.accept()
    message = (project.path / ".medbench/commit-message.txt").read_text()
    assert message.startswith("Accept 5 items of chest, mammography (embedded)\n\nfirst\n")
    assert "5 items compared: 5 new" in message


def test_an_update_that_changes_nothing_leaves_no_message(project):
    project.accept()
    (project.path / ".medbench/commit-message.txt").unlink()
    project.accept()
    assert not (project.path / ".medbench/commit-message.txt").exists()
