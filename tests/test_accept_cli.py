"""`medbench accept`: what a session proposed becomes what is accepted, if a person says so and why."""

import shutil

import pytest
import yaml

from medbench import candidates, cli, packaged
from tests import runs
from tests.suites.project import REFUTED, Project

pytest_plugins = ["pytester"]

DENSE = "mammography/ood-robustness/dense"


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


@pytest.fixture
def proposed(project):
    """A session that measured another value of one item."""
    project.accept()
    project.world({"mammography/dense": REFUTED})
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    return project


def values(project, folder="expectations"):
    return runs.content(project.path / folder)


def test_without_a_reason_it_shows_what_would_change_and_writes_nothing(proposed, capsys):
    before = values(proposed)
    assert cli.main(["accept", "candidate"]) == 0
    said = capsys.readouterr().out
    assert f"{DENSE} [cpu]: supported, effect +" in said
    assert '1 item would change. To accept: medbench accept candidate --reason "' in said
    assert values(proposed) == before


def test_accepting_leaves_what_an_update_would_have_written(proposed, capsys):
    assert cli.main(["accept", "candidate", "--reason", "meant"]) == 0
    said = capsys.readouterr().out
    assert "1 item and " in said
    assert "commit them with: git add expectations && git commit -e -F .medbench/commit-message.txt" in said
    accepted = values(proposed)
    shutil.rmtree(proposed.path / "expectations")
    proposed.world()
    proposed.run("benchmarks", "--runs=force", "--expect=update", "--reason=first")
    proposed.world({"mammography/dense": REFUTED})
    proposed.run("benchmarks", "--runs=force", "--expect=update", "--reason=meant")
    updated = values(proposed)
    assert accepted.keys() == updated.keys()
    yaml_files = [name for name in updated if name.endswith(".yaml")]
    for name in yaml_files:
        assert accepted[name].decode() == updated[name].decode()
    assert b"meant" in accepted["embedded/mammography/ood-robustness.yaml"]


def test_after_accepting_a_session_that_loads_its_runs_is_quiet(proposed):
    assert proposed.run("benchmarks").ret == 1
    cli.main(["accept", "candidate", "--reason", "meant"])
    proposed.forget_runs()
    assert proposed.run("benchmarks").ret == 0


def test_the_message_of_the_commit_has_the_reason_and_the_item(proposed):
    cli.main(["accept", "candidate", "--reason", "a new scanner"])
    message = (proposed.path / ".medbench/commit-message.txt").read_text()
    assert message.startswith("Accept 1 item of mammography (embedded)\n\na new scanner\n")
    assert DENSE in message


def test_only_what_is_selected_is_accepted(project):
    project.accept()
    before = values(project)
    project.world({"default": REFUTED})
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    assert cli.main(["accept", "candidate", "-k", "dense", "--reason", "meant"]) == 0
    after = values(project)
    changed = {name for name in after if after[name] != before.get(name) and "/runs/" not in name}
    assert changed == {"embedded/mammography/ood-robustness.yaml"}
    entries = yaml.safe_load(after["embedded/mammography/ood-robustness.yaml"])
    assert [e["item"] for e in entries if e["accepted"]["reason"] == "meant"] == [DENSE]


def test_runs_of_items_that_were_not_selected_stay_as_they_were(project):
    project.accept()
    before = {name: data for name, data in values(project).items() if "/runs/chest/" in name}
    project.world({"default": REFUTED})
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    cli.main(["accept", "candidate", "-k", "mammography", "--reason", "meant"])
    after = values(project)
    assert before
    assert {name: after[name] for name in before} == before


def test_a_word_that_no_proposed_item_has_is_said(proposed, capsys):
    assert cli.main(["accept", "candidate", "-k", "densse", "--reason", "x"]) == 2
    assert "no proposed item matches -k 'densse'. No name has `densse`. Did you mean `dense`?" in (
        capsys.readouterr().err
    )


def test_what_was_accepted_anew_since_is_left_alone(proposed, capsys):
    path = proposed.path / "expectations/embedded/mammography/ood-robustness.yaml"
    entries = yaml.safe_load(path.read_text())
    for entry in entries:
        entry["accepted"]["date"] = "2999-01-01"
    path.write_text(yaml.safe_dump(entries, sort_keys=False))
    before = values(proposed)
    assert cli.main(["accept", "candidate", "--reason", "meant"]) == 0
    said = capsys.readouterr().out
    assert f"{DENSE}: kept (accepted on 2999-01-01, after these candidates of " in said
    assert "nothing would change" in said
    assert values(proposed) == before


def test_accepting_twice_changes_nothing_more(proposed, capsys):
    cli.main(["accept", "candidate", "--reason", "meant"])
    once = values(proposed)
    assert cli.main(["accept", "candidate", "--reason", "again"]) == 0
    assert "nothing would change" in capsys.readouterr().out
    assert values(proposed) == once


def test_continuous_integration_accepts_nothing(proposed, monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    before = values(proposed)
    assert cli.main(["accept", "candidate", "--reason", "meant"]) == 2
    assert "not updated in continuous integration" in capsys.readouterr().err
    assert values(proposed) == before


def test_an_empty_reason_is_none(proposed, capsys):
    assert cli.main(["accept", "candidate", "--reason", " "]) == 2
    assert "needs --reason" in capsys.readouterr().err


def test_a_sub_group_that_would_be_lost_stands_in_the_table(proposed, capsys):
    path = proposed.path / "expectations/embedded/mammography/ood-robustness.yaml"
    entries = yaml.safe_load(path.read_text())
    for entry in entries:
        entry["groups"]["sex"] = ["unknown"]
    path.write_text(yaml.safe_dump(entries, sort_keys=False))
    cli.main(["accept", "candidate"])
    assert "; WITHOUT sex unknown" in capsys.readouterr().out


def test_values_of_a_cohort_of_ones_own_need_a_folder_of_their_own(project, capsys):
    project.accept()
    folder = project.path / "mine"
    folder.mkdir()
    (folder / "domain").write_text("chest")
    project.run("benchmarks", "--cohort=mine", "--candidates=candidate")
    before = values(project)
    assert cli.main(["accept", "candidate", "--reason", "mine"]) == 2
    assert "Name a folder for them by --expectations DIR" in capsys.readouterr().err
    assert values(project) == before
    capsys.readouterr()
    assert cli.main(["accept", "candidate", "--expectations", "of-mine"]) == 0
    assert "To accept: medbench accept candidate --expectations of-mine --reason" in capsys.readouterr().out
    assert cli.main(["accept", "candidate", "--reason", "mine", "--expectations", "of-mine"]) == 0
    assert any(name.startswith("embedded/chest/") for name in values(project, "of-mine"))
    compared = project.run("benchmarks", "--cohort=mine", "--expectations=of-mine")
    assert compared.ret == 0


def test_where_a_suite_extends_another_only_what_changed_is_written_to_its_own(project, monkeypatch, capsys):
    project.accept()
    package = project.extend()
    monkeypatch.setattr(packaged, "suite", lambda: package / "benchmarks")
    project.world({"mammography/dense": REFUTED})
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    of_package = runs.content(package / "expectations")
    capsys.readouterr()
    assert cli.main(["accept", "candidate", "--reason", "meant"]) == 0
    assert f"{DENSE} [cpu]: supported, effect +" in capsys.readouterr().out
    assert runs.content(package / "expectations") == of_package
    own = {name for name in values(project) if "/runs/" not in name}
    assert own == {"embedded/items.yaml", "embedded/mammography/ood-robustness.yaml"}


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (shutil.rmtree, "no candidates here. Expected the folder of a night"),
        (lambda folder: (folder / "candidates.json").unlink(), "no candidates here"),
        (lambda folder: (folder / "candidates.json").write_text('{"tier": 3}'), "candidates.json: damaged"),
        (lambda folder: (folder / "candidates.json").write_bytes(b"\xff\xfe"), "candidates.json: damaged"),
        (
            lambda folder: shutil.rmtree(folder / "expectations"),
            f"{DENSE} of candidates.json not found; the copy was altered. Run the night again.",
        ),
        (
            lambda folder: (folder / "expectations/embedded/items.yaml").unlink(),
            "is not listed for cpu in embedded/items.yaml",
        ),
    ],
)
def test_damaged_candidates_are_one_message_and_change_nothing(proposed, capsys, break_it, message):
    before = values(proposed)
    break_it(proposed.path / "candidate")
    assert cli.main(["accept", "candidate", "--reason", "meant"]) == 2
    assert message in capsys.readouterr().err
    assert values(proposed) == before


def test_a_session_that_is_killed_while_it_proposes_proposes_nothing(proposed, monkeypatch, capsys):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as at_the_first_step:
        at_the_first_step.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            candidates.begin(proposed.path / "candidate", proposed.path / "expectations", "embedded")
    assert cli.main(["accept", "candidate", "--reason", "meant"]) == 2
    assert "no candidates here" in capsys.readouterr().err


def test_an_accepted_value_whose_reason_reads_like_a_candidates_is_not_proposed(project, capsys):
    project.accept()
    project.world({"mammography/dense": REFUTED})
    project.run("benchmarks", "--runs=force", "--expect=update", "--reason=candidate of a better loss")
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    assert cli.main(["accept", "candidate"]) == 2
    assert "nothing is proposed" in capsys.readouterr().err


def test_expectations_that_are_named_stand_for_themselves_as_in_the_session(project, monkeypatch, capsys):
    project.accept()
    package = project.extend()
    monkeypatch.setattr(packaged, "suite", lambda: package / "benchmarks")
    (project.path / "mine").mkdir()
    project.run("benchmarks", "--runs=force", "--expectations=mine", "--candidates=candidate")
    capsys.readouterr()
    assert cli.main(["accept", "candidate", "--expectations", "mine", "--reason", "ours"]) == 0
    assert "5 items and " in capsys.readouterr().out


def test_a_suite_that_is_not_there_is_one_message(proposed, capsys):
    assert cli.main(["accept", "candidate", "--reason", "meant", "--suite", "elsewhere"]) == 2
    assert "elsewhere" in capsys.readouterr().err


def test_items_that_share_a_replaced_run_are_named_with_what_shows_them(project, capsys):
    project.accept()
    project.world({"mammography/dense": REFUTED})
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    cli.main(["accept", "candidate", "--reason", "meant"])
    said = capsys.readouterr().out
    assert (
        "these runs are also those of 2 items that were not accepted anew: "
        "mammography/ood-robustness/vendor-b, mammography/scale-data/id. See whether they still hold, else "
        "accept them too: pytest benchmarks -k 'mammography/ood-robustness or mammography/scale-data' "
        "--runs=never"
    ) in said


def test_pytest_names_them_too_when_it_accepts(project):
    project.accept()
    project.world({"mammography/dense": REFUTED})
    told = project.run("benchmarks", "-k", "dense", "--runs=force", "--expect=update", "--reason=meant")
    told.stdout.fnmatch_lines(["*these runs are also those of 2 items that were not accepted anew: mammo*"])
    whole = project.run("benchmarks", "--runs=force", "--expect=update", "--reason=again")
    whole.stdout.no_fnmatch_line("*these runs are also those of*")
