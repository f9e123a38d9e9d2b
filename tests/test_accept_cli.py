"""`medbench accept`: what a session proposed becomes what is accepted, if a person says so and why."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

import medbench.study
from medbench import candidates, cli, expect, packaged
from medbench.errors import MedbenchError
from medbench.expect import Change
from medbench.reference import References
from tests import runs
from tests.suites import stand_ins
from tests.suites.project import EQUAL, REFUTED, Project

pytest_plugins = ["pytester"]

DENSE = "mammography/ood-robustness/dense"


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setattr(stand_ins, "HERE", pytester.path)
    monkeypatch.setattr(medbench.study, "open_cohort", stand_ins.open_cohort)
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
    assert cli.main(["accept", "candidate", "--reason", "meant"]) == 2
    said = capsys.readouterr().out
    assert f"{DENSE}: kept (accepted on 2999-01-01, otherwise than when these candidates were made" in said
    assert "nothing can be accepted, for the reasons above" in said
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


def test_a_sub_group_that_would_be_lost_stands_in_the_table(project, capsys):
    project.accept()
    entries, path = project.expectation("mammography", "ood-robustness")
    for entry in entries:
        entry["groups"]["sex"] = ["unknown"]
    path.write_text(yaml.safe_dump(entries, sort_keys=False))
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    capsys.readouterr()
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


def a_run(folder):
    return min(folder.rglob("record.json")).parent


def of_tier(folder, tier):
    """Candidates that say they are of another tier, for which there are values."""
    about = json.loads((folder / "candidates.json").read_text())
    shutil.copytree(folder / "expectations/embedded", folder / "expectations" / tier)
    (folder / "candidates.json").write_text(json.dumps(about | {"tier": tier}))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (shutil.rmtree, "no candidates here. Expected the folder of a night"),
        (lambda folder: (folder / "candidates.json").unlink(), "no candidates here"),
        (lambda folder: (folder / "candidates.json").write_text('{"tier": 3}'), "candidates.json: damaged"),
        (lambda folder: (folder / "candidates.json").write_bytes(b"\xff\xfe"), "candidates.json: damaged"),
        (
            lambda folder: shutil.rmtree(folder / "expectations"),
            f"{DENSE} of candidates.json not found; the copy was altered. Fetch the folder again",
        ),
        (
            lambda folder: (folder / "expectations/embedded/items.yaml").unlink(),
            "is not listed for cpu in embedded/items.yaml",
        ),
        (
            lambda folder: shutil.rmtree(a_run(folder)),
            "candidates.json not found: it is not whole. Fetch the",
        ),
        (lambda folder: (a_run(folder) / "record.json").write_text("{"), "the proposed run is damaged"),
        (lambda folder: next(a_run(folder).rglob("*.parquet")).write_bytes(b"x"), "run is damaged"),
        (lambda folder: of_tier(folder, "../outside"), "`../outside` is no name of a tier"),
        (lambda folder: of_tier(folder, "other"), "unknown tier `other`"),
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


def test_what_was_accepted_later_on_the_same_day_is_left_alone(proposed, capsys):
    proposed.world({"mammography/dense": EQUAL})
    proposed.run("benchmarks", "--runs=force", "--expect=update", "--reason=later and right")
    before = values(proposed)
    assert cli.main(["accept", "candidate", "--reason", "old"]) == 2
    assert values(proposed) == before


def full(self, run):
    """In place of `References.accept`."""
    raise MedbenchError("the reference run cannot be written")


def test_cut_off_half_way_the_same_command_goes_on(proposed, monkeypatch, capsys):
    before = values(proposed)
    with monkeypatch.context() as at_the_runs:
        at_the_runs.setattr(References, "accept", full)
        assert cli.main(["accept", "candidate", "--reason", "meant"]) == 2
    assert values(proposed) == before
    assert cli.main(["accept", "candidate", "--reason", "meant"]) == 0
    proposed.forget_runs()
    assert proposed.run("benchmarks").ret == 0


def test_new_items_whose_runs_could_not_be_accepted_are_new_again(project, monkeypatch):
    with monkeypatch.context() as at_the_runs:
        at_the_runs.setattr(References, "accept", full)
        assert project.run("benchmarks", "--runs=force", "--expect=new", "--reason=x").ret == 1
    again = project.run("benchmarks", "--expect=new", "--reason=x")
    again.stdout.fnmatch_lines(["*5 items and * reference runs accepted"])


def test_items_accepted_one_after_the_other_are_no_others(project, capsys):
    project.accept()
    project.world({"default": REFUTED})
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    assert cli.main(["accept", "candidate", "-k", "dense", "--reason", "a"]) == 0
    assert "not accepted anew" in capsys.readouterr().out
    assert cli.main(["accept", "candidate", "-k", "not dense", "--reason", "b"]) == 0
    assert "not accepted anew: mammography/ood-robustness/dense" not in capsys.readouterr().out


def test_an_item_that_the_suite_has_no_more_is_not_accepted(proposed, capsys):
    (proposed.suite / "claims/ood.yaml").unlink()
    before = values(proposed)
    assert cli.main(["accept", "candidate", "--reason", "x"]) == 2
    assert f"{DENSE}: kept (the suite does not ask for it any more)" in capsys.readouterr().out
    assert values(proposed) == before


def test_an_item_that_was_defined_anew_since_is_not_accepted(proposed, capsys):
    proposed.edit("claims/ood.yaml", "margin: 0.005", "margin: 0.01")
    before = values(proposed)
    assert cli.main(["accept", "candidate", "--reason", "x"]) == 2
    assert "the definition changed since (margin was 0.005, is 0.01)" in capsys.readouterr().out
    assert values(proposed) == before


def test_a_changed_definition_stands_in_the_table(project, capsys):
    project.accept()
    project.edit("claims/ood.yaml", "margin: 0.005", "margin: 0.01")
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    capsys.readouterr()
    assert cli.main(["accept", "candidate"]) == 0
    assert "; DEFINITION margin 0.005 -> 0.01" in capsys.readouterr().out


def test_values_held_against_other_expectations_are_not_written_into_the_suites_own(project, capsys):
    project.accept()
    shutil.copytree(project.path / "expectations", project.path / "mine")
    project.world({"mammography/dense": REFUTED})
    project.run("benchmarks", "--runs=force", "--expectations=mine", "--candidates=candidate")
    before = values(project)
    assert cli.main(["accept", "candidate", "--reason", "x"]) == 2
    assert "of a session with other expectations" in capsys.readouterr().err
    assert values(project) == before
    assert cli.main(["accept", "candidate", "--expectations", "mine", "--reason", "x"]) == 0


def test_k_sees_the_names_of_folders_and_files_as_in_pytest(proposed, capsys):
    assert cli.main(["accept", "candidate", "-k", "not benchmarks"]) == 2
    assert cli.main(["accept", "candidate", "-k", "ood.yaml"]) == 0


def test_where_no_message_can_be_left_the_values_are_accepted_all_the_same(proposed, capsys):
    proposed.forget_runs()
    (proposed.path / ".medbench").write_text("")
    assert cli.main(["accept", "candidate", "--reason", "meant"]) == 0
    said = capsys.readouterr().out
    assert "1 item and " in said
    assert "commit expectations by yourself; no message could be left for it" in said


def test_the_message_lies_beside_the_suite_and_the_look_is_at_it(proposed, monkeypatch, capsys):
    (proposed.path / "sub").mkdir()
    monkeypatch.chdir(proposed.path / "sub")
    assert cli.main(["accept", "../candidate", "--suite", "../benchmarks", "--reason", "x"]) == 0
    assert not Path(".medbench").exists()
    assert (proposed.path / ".medbench/commit-message.txt").is_file()
    assert "pytest ../benchmarks -k" in capsys.readouterr().out


def test_nothing_from_candidates_reaches_the_terminal_unescaped(proposed, capsys):
    folder = proposed.path / "candidate"
    for file in ("expectations/embedded/mammography/ood-robustness.yaml", "expectations/embedded/items.yaml"):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace(DENSE, json.dumps(f"{DENSE}\x1b[2J")))
    about = (folder / "candidates.json").read_text()
    (folder / "candidates.json").write_text(about.replace(DENSE, f"{DENSE}\\u001b[2J"))
    cli.main(["accept", "candidate"])
    told = capsys.readouterr()
    assert DENSE in told.out + told.err
    assert "\x1b" not in told.out + told.err


def test_a_run_over_one_of_the_extended_suite_is_told_to_be_shared(project, monkeypatch, capsys):
    project.accept()
    package = project.extend()
    monkeypatch.setattr(packaged, "suite", lambda: package / "benchmarks")
    project.world({"mammography/dense": REFUTED})
    project.run("benchmarks", "--runs=force", "--candidates=candidate")
    capsys.readouterr()
    cli.main(["accept", "candidate", "--reason", "meant"])
    assert "these runs are also those of 2 items" in capsys.readouterr().out


def test_a_disk_that_was_full_when_candidates_were_begun_does_not_make_the_folder_anothers(
    project, monkeypatch
):
    project.accept()
    accepted, folder = project.path / "expectations", project.path / "candidate"
    with monkeypatch.context() as on_a_full_disk:

        def full_disk(*arguments):
            raise OSError(28, "No space left on device")

        on_a_full_disk.setattr(shutil, "copyfile", full_disk)
        with pytest.raises(MedbenchError, match="No space left"):
            candidates.begin(folder, accepted, "embedded")
    candidates.begin(folder, accepted, "embedded")


def test_who_accepts_after_another_loses_nothing_of_the_others(project, tmp_path):
    project.accept()
    first, second = expect.load(project.path / "expectations", "embedded").accepted[:2]
    new = tmp_path / "new"
    for each in (first, second):  # both were made before either was written
        expect.put([Change(each.item, None, each)], new, "embedded")
    assert {each.item for each in expect.load(new, "embedded").accepted} == {first.item, second.item}
