import pytest
import yaml

from medbench import candidates
from medbench.errors import MedbenchError
from tests import runs
from tests.suites.project import REFUTED, Project

pytest_plugins = ["pytester"]

DENSE = "mammography/ood-robustness/dense"


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


def changes(project):
    return (project.path / "candidate/changes.txt").read_text()


def test_candidates_are_what_an_update_would_have_written(project):
    project.accept()
    project.world({"mammography/dense": REFUTED})
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    proposed = runs.content(project.path / "candidate/expectations")
    project.run("benchmarks", "--expect=update", "--reason=meant")
    accepted = runs.content(project.path / "expectations")

    def values(content):
        """All but why they were accepted, which nobody has said of candidates."""
        entries = [
            entry
            for name in sorted(content)
            if name.endswith(".yaml") and not name.endswith("items.yaml")
            for entry in yaml.safe_load(content[name])
        ]
        return [entry | {"accepted": entry["accepted"] | {"reason": ""}} for entry in entries]

    assert values(proposed) == values(accepted)
    assert proposed["embedded/items.yaml"] == accepted["embedded/items.yaml"]
    new_runs = {name: data for name, data in proposed.items() if name.startswith("embedded/runs/")}
    assert new_runs, "the runs that differ were left out"
    assert new_runs.items() <= accepted.items()


def test_what_was_accepted_is_not_touched_and_a_changed_item_is_named(project):
    project.accept()
    before = runs.content(project.path / "expectations")
    project.world({"mammography/dense": REFUTED})
    result = project.run("benchmarks", "--runs=force", "--candidates=candidate")
    assert result.ret == 1, "candidates make nothing green"
    assert runs.content(project.path / "expectations") == before
    assert f"{DENSE} [cpu]: supported, effect" in changes(project)
    assert changes(project).endswith("1 of 5 items would change\n")
    result.stdout.fnmatch_lines(["candidates: 1 of 5 items would change: candidate"])


def test_candidates_are_written_in_continuous_integration_where_accepting_is_refused(project, monkeypatch):
    project.accept()
    monkeypatch.setenv("CI", "true")
    assert project.run("benchmarks", "--candidates=candidate").ret == 0
    assert changes(project).endswith("0 of 5 items would change\n")
    refused = project.run("benchmarks", "--expect=update", "--reason=why")
    refused.stderr.fnmatch_lines(["*--expect=update is refused where CI is set*"])


def test_where_nothing_changed_candidates_are_what_was_accepted_to_the_byte(project):
    project.accept()
    project.run("benchmarks", "--candidates=candidate")
    accepted = runs.content(project.path / "expectations")
    values = {name: data for name, data in accepted.items() if "/runs/" not in name}
    assert runs.content(project.path / "candidate/expectations") == values


def test_a_new_item_says_that_nobody_has_reviewed_it(project):
    project.run("benchmarks", "--candidates=candidate")
    path = project.path / "candidate/expectations/embedded/chest/scale-data.yaml"
    assert yaml.safe_load(path.read_text())[0]["accepted"]["reason"].endswith("not reviewed")
    assert not (project.path / "expectations").exists()


def test_an_item_whose_runs_are_of_two_codes_is_left_as_it_was_and_the_reason_said(project, monkeypatch):
    project.accept()
    project.forget_runs()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX2")  # which changes the fingerprint of the code
    assert project.run("benchmarks", "--candidates=candidate").ret == 0
    accepted = runs.content(project.path / "expectations")
    proposed = runs.content(project.path / "candidate/expectations")
    assert proposed.items() <= accepted.items()
    assert "chest/scale-data/id: kept (4 of its 6 runs are reference runs that other code" in changes(project)
    assert changes(project).endswith(
        "0 of 5 items would change; of 5 nothing is proposed (changes.txt says why)\n"
    )


def test_earlier_candidates_are_replaced_whole(project):
    project.accept()
    project.world({"mammography/dense": REFUTED})
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    project.world()
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    assert not list((project.path / "candidate").rglob("record.json"))
    assert changes(project).endswith("0 of 5 items would change\n")


@pytest.mark.parametrize("given", [".", "benchmarks", "pytest.ini"])
def test_a_folder_of_something_else_is_refused_before_anything_runs(project, given):
    before = runs.content(project.path / "benchmarks")
    result = project.run("benchmarks", f"--candidates={given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--candidates: *"])
    assert not project.trained()
    assert runs.content(project.path / "benchmarks") == before


def test_a_part_of_several_machines_has_no_candidates(project):
    result = project.run("benchmarks", "--shard=1/2", "--candidates=candidate")
    result.stderr.fnmatch_lines(["*--shard judges nothing, so there is nothing for --candidates*"])


def test_workers_leave_candidates_to_their_controller(project):
    project.accept()
    assert project.run_apart("benchmarks", "-n2", "--candidates=candidate").ret == 0
    assert changes(project).endswith("0 of 5 items would change\n")


def test_a_cohort_of_ones_own_begins_with_nothing_accepted(project):
    project.accept()
    folder = project.path / "mine"
    folder.mkdir()
    (folder / "domain").write_text("chest")
    project.run("benchmarks", "--cohort=mine", "--candidates=candidate")
    assert "new: supported" in changes(project)
    copied = runs.content(project.path / "candidate/expectations")
    assert not any("mammography" in name or "/runs/" in name for name in copied)


def test_a_full_disk_is_one_message(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(MedbenchError, match="candidates cannot be written"):
        candidates.begin(tmp_path / "candidate", None, "embedded")
