"""A project's own suite laid over the one that travels: what is collected, compared, accepted and refused."""

import pytest
import yaml

from tests import runs
from tests.suites.project import HERE, REFUTED, Project
from tests.test_plugin import ITEMS, collected

pytest_plugins = ["pytester"]

OWN = (HERE / "good/claims/scale.yaml").read_text().replace("claim: scale-data", "claim: own")
OWN_ITEMS = {"chest/own/id", "mammography/own/id"}
SCALE = "chest/scale-data/id"
ARMS = "[bit-small-r14x0.5,bit-large-r14x0.5]"


@pytest.fixture
def project(pytester, monkeypatch):
    """A project that extends a suite of which everything was accepted, on another machine."""
    project = Project(pytester, monkeypatch)
    project.accept()
    project.forget_runs()
    project.extend()
    return project


def package(project):
    """All bytes of what travels."""
    return runs.content(project.path / "package")


def statuses(report):
    return {row["id"]: row["status"] for row in report["expectations"]}


# Collection


def test_inherited_claims_are_collected_beside_own_ones(project):
    project.add("claims/own.yaml", OWN)
    result = project.run("benchmarks", "--collect-only", "-q")
    assert collected(result) == ITEMS | OWN_ITEMS
    lines = [line for line in result.outlines if "::" in line]
    assert {line.partition("::")[0] for line in lines if "/own/" in line} == {"benchmarks/claims/own.yaml"}
    assert {line.partition("::")[0] for line in lines if "/own/" not in line} == {"benchmarks/suite.yaml"}
    assert result.ret == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["benchmarks/suite.yaml"], ITEMS),
        (["benchmarks/claims"], OWN_ITEMS),
        (["benchmarks", "-k", "own"], OWN_ITEMS),
        (["benchmarks", "-k", "chest and id"], {SCALE, "chest/own/id"}),
        ([f"benchmarks/suite.yaml::{SCALE}{ARMS}"], {SCALE}),
        ([f"benchmarks/suite.yaml::{SCALE}"], {SCALE}),
        (["."], ITEMS | OWN_ITEMS),
    ],
)
def test_inherited_items_are_selected_as_any_others(project, arguments, expected):
    project.add("claims/own.yaml", OWN)
    assert collected(project.run("--collect-only", "-q", *arguments)) == expected


def test_what_failed_last_is_selected_again(project):
    project.world({"chest/icu": REFUTED})
    project.run_with_cache("benchmarks", "--runs=force").assert_outcomes(failed=1, passed=4)
    again = project.run_with_cache("benchmarks", "--lf", "--collect-only", "-q")
    assert collected(again) == {"chest/ood-robustness/icu"}


def test_inherited_claims_are_judged_by_several_workers(project):
    project.add("claims/own.yaml", OWN)
    project.run_apart("benchmarks", "-n2").assert_outcomes(passed=7)


# Mistakes


def test_a_mistake_in_an_own_claim_is_one_message_that_names_it(project):
    project.add("claims/own.yaml", OWN.replace("margin: 0.005", "margn: 0.005"))
    result = project.run("benchmarks")
    text = result.stdout.str()
    assert text.replace("\n", " ").count("benchmarks/claims/own.yaml:15: unknown key `margn`") == 1
    assert "Traceback" not in text
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_a_name_that_the_extended_suite_has_is_refused_where_it_stands(project):
    project.add("claims/own.yaml", OWN.replace("claim: own", "claim: scale-data"))
    text = " ".join(project.run("benchmarks").stdout.str().split())
    assert "benchmarks/claims/own.yaml:1: medbench declares the claim `scale-data` already." in text
    assert "`replaces: {claims: [scale-data]}`" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: medbnch\n", "benchmarks/suite.yaml:1: unknown value `medbnch`"),
        (
            "extends: medbench\nreplaces: {claims: [scale]}\n",
            "suite.yaml:2: medbench declares no claim `scale` to replace. Did you mean `scale-data`?",
        ),
    ],
)
def test_a_mistake_in_the_file_that_extends_is_an_error_of_its_collection(project, text, message):
    project.add("suite.yaml", text)
    result = project.run("benchmarks")
    assert message in " ".join(result.stdout.str().split())
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_a_mistake_in_an_own_file_that_is_no_claim_is_a_usage_error_that_names_it(project):
    project.add(
        "tiers.yaml", "tiers:\n  quick: {description: d, recipe: tny, seeds: [1, 2], sentinels: []}\n"
    )
    result = project.run("benchmarks")
    (message,) = [line for line in result.errlines if line]
    assert message.startswith("ERROR: benchmarks/tiers.yaml:2: unknown recipe `tny`")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


# Comparing and accepting


def test_inherited_claims_are_compared_with_what_was_accepted_for_them(project):
    before = len(project.trained())
    report, result = project.report()
    assert set(statuses(report).values()) == {"ok"}
    assert report["runs"] == {"planned": 12, "executed": 4, "reused": 0, "loaded": 8, "naive": 30}
    assert all(label.endswith("seed 1") for label in project.trained()[before:])
    assert result.ret == 0


def test_a_value_that_left_the_band_of_the_extended_suite_is_red(project):
    project.world({"mammography/dense": 0.7})
    report, result = project.report("--runs=force")
    assert statuses(report)["mammography/ood-robustness/dense"] == "drifted"
    assert result.ret == 1


def test_values_that_did_not_change_are_not_accepted_a_second_time(project):
    result = project.run("benchmarks", "--expect=update", "--reason=again", "--runs=force")
    assert result.ret == 0, result.stdout.str()
    assert "nothing changed, so nothing was written" in result.stdout.str()
    assert not (project.path / "expectations").exists()


def test_an_update_writes_into_the_projects_own_folder_which_then_comes_first(project):
    before = package(project)
    project.world({"chest/id": 0.7})
    result = project.run("benchmarks", "-k", SCALE, "--runs=force", "--expect=update", "--reason=ours")
    assert result.ret == 0, result.stdout.str()
    assert package(project) == before
    entries, path = project.expectation("chest", "scale-data")
    assert [entry["item"] for entry in entries] == [SCALE]
    assert entries[0]["accepted"]["reason"] == "ours"
    assert yaml.safe_load((path.parents[1] / "items.yaml").read_text()) == {"cpu": [SCALE]}
    project.forget_runs()
    report, result = project.report()
    assert set(statuses(report).values()) == {"ok"}
    assert result.ret == 0


def test_reference_runs_of_ones_own_come_before_those_that_travel(project):
    project.world({"chest/id": 0.7})
    project.run("benchmarks", "-k", SCALE, "--runs=force", "--expect=update", "--reason=ours")
    project.forget_runs()
    project.world()
    report, _ = project.report("--runs=never")
    assert report["runs"]["loaded"] == 12
    assert statuses(report)[SCALE] == "ok"
    (claim,) = [claim for claim in report["claims"] if claim["id"] == SCALE]
    entries, _ = project.expectation("chest", "scale-data")
    assert claim["samples"]["treatment"]["1"] == pytest.approx(
        entries[0]["samples"]["treatment"][1], abs=1e-6
    )


def test_new_accepts_what_neither_folder_has(project):
    project.add("claims/own.yaml", OWN)
    before = package(project)
    report, result = project.report()
    assert {item for item, status in statuses(report).items() if status == "no-expectation"} == OWN_ITEMS
    assert result.ret == 0
    result = project.run("benchmarks", "--expect=new", "--reason=a claim of ours", "--runs=force")
    assert result.ret == 0, result.stdout.str()
    assert "kept (it has accepted values already)" in result.stdout.str()
    assert package(project) == before
    listed = yaml.safe_load((project.path / "expectations/embedded/items.yaml").read_text())
    assert set(listed["cpu"]) == OWN_ITEMS
    report, _ = project.report()
    assert set(statuses(report).values()) == {"ok"}


@pytest.fixture
def accepted(project):
    """The same, with an own claim that was accepted."""
    project.add("claims/own.yaml", OWN)
    project.run("benchmarks", "-k", "own", "--expect=new", "--reason=ours", "--runs=force")
    return project


def test_an_own_item_that_vanished_is_red(accepted):
    (accepted.suite / "claims/own.yaml").unlink()
    report, result = accepted.report()
    assert {item for item, status in statuses(report).items() if status == "vanished"} == OWN_ITEMS
    result.assert_outcomes(failed=2, passed=5)


@pytest.mark.parametrize("part", ["benchmarks/suite.yaml", "benchmarks/claims"])
def test_a_session_that_saw_one_of_both_layers_finds_nothing_vanished(accepted, part):
    accepted.world(shifts={"chest": ["icu"], "mammography": ["vendor-b"]})
    accepted.run(part, "--collect-only", "-q").stdout.no_fnmatch_line("*ood-robustness/dense*")
    accepted.run("benchmarks", "--collect-only", "-q").stdout.fnmatch_lines(["*ood-robustness/dense*"])


def test_an_own_entry_that_is_gone_is_missed_although_the_extended_suite_has_the_item(project):
    project.world({"chest/id": 0.7})
    project.run("benchmarks", "-k", SCALE, "--runs=force", "--expect=update", "--reason=ours")
    _, path = project.expectation("chest", "scale-data")
    path.unlink()
    report, result = project.report()
    assert statuses(report)[SCALE] == "vanished"
    assert result.ret == 1


def test_a_folder_that_is_named_stands_for_itself(project):
    (project.path / "elsewhere").mkdir()
    report, _ = project.report("--expectations=elsewhere")
    assert set(statuses(report).values()) == {"no-expectation"}
    assert report["runs"]["loaded"] == 8, "runs are found by what they are"


# Replacing


def test_what_was_accepted_for_a_claim_does_not_hold_for_one_that_replaces_it(project):
    project.add("suite.yaml", "extends: medbench\nreplaces: {claims: [scale-data, ood-robustness]}\n")
    project.add("claims/scale.yaml", OWN.replace("claim: own", "claim: scale-data").replace("0.005", "0.006"))
    only_chest = (HERE / "good/claims/ood.yaml").read_text().replace("[chest, mammography]", "[chest]")
    project.add("claims/ood.yaml", only_chest)
    report, result = project.report()
    assert statuses(report) == dict.fromkeys(
        [SCALE, "mammography/scale-data/id", "chest/ood-robustness/icu"], "no-expectation"
    )
    assert result.ret == 0


def test_a_recipe_that_was_replaced_is_what_values_are_held_against(project):
    project.add("suite.yaml", "extends: medbench\nreplaces: {recipes: [tiny]}\n")
    recipes = (HERE / "good/recipes.yaml").read_text().replace("steps: 2", "steps: 3")
    project.add("recipes.yaml", recipes)
    project.world({"mammography/dense": 0.7})
    report, result = project.report()
    assert report["runs"]["loaded"] == 0, "accepted runs had another recipe"
    assert statuses(report)["mammography/ood-robustness/dense"] == "drifted"
    assert statuses(report)[SCALE] == "ok"
    assert result.ret == 1
