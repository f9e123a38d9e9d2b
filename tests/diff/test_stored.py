import json
import shutil
import subprocess

import pytest

from tests.suites.project import Project

pytest_plugins = ["pytester"]

DENSE = "mammography/ood-robustness/dense"
DIFF = """
import json
from pathlib import Path
from medbench import cli

def test_it(capsys):
    status = cli.main(["diff", {sides}, "--format=json"])
    out, err = capsys.readouterr()
    Path("diff.json").write_text(json.dumps([status, json.loads(out or "null"), err]))
"""


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


def diff(project, *sides):
    """The exit status, the comparison and what is said of a mistake."""
    quoted = ", ".join(f"'{side}'" for side in sides)
    (project.path / "test_diff.py").write_text(DIFF.replace("{sides}", quoted))
    project.run("test_diff.py")
    return json.loads((project.path / "diff.json").read_text())


def night(project, store, **gain):
    project.world(gain)
    project.run("benchmarks", f"--store={store}", "--runs=force")


def test_two_stores_are_paired_by_patients(project):
    night(project, "before")
    night(project, "after", **{"mammography/dense": 0.3})
    status, found, _ = diff(project, "store:before", "after")
    assert status == 1
    states = {each["id"]: each["state"] for each in found["differences"]}
    assert states.pop(DENSE) == "worse"
    assert set(states.values()) == {"unchanged"}
    terms = {term["term"]: term["by"] for term in found["differences"][0]["terms"]}
    assert terms == {"baseline": "tolerance", "treatment": "patients"}
    assert found["before"].startswith("store ")
    assert "12 runs" in found["before"]


def test_runs_of_other_code_are_found_and_are_suspects(project):
    night(project, "before")
    night(project, "after")
    for path in (project.path / "before/runs").glob("*/record.json"):
        record = json.loads(path.read_text())
        old = path.parent.name
        record["run_id"] = new = "f" + old[1:] if old[0] != "f" else "e" + old[1:]
        record["environment"]["libraries"]["jax"] = "0.9.0"
        path.write_text(json.dumps(record))
        path.parent.rename(path.parent.with_name(new))
    shutil.rmtree(project.path / "before/cache")
    status, found, _ = diff(project, "before", "after")
    assert (status, found["counts"]["unchanged"]) == (0, 5)
    assert [(s["name"], s["before"], s["after"]) for s in found["suspects"]] == [("jax", "0.9.0", "0.10.2")]


def test_a_store_is_held_against_the_expectations(project):
    project.accept()
    night(project, "after", **{"mammography/dense": 0.3})
    status, found, _ = diff(project, "expectations", "after")
    assert status == 1
    assert {each["id"]: each["state"] for each in found["differences"]}[DENSE] == "worse"


def test_items_whose_runs_a_store_lacks_were_not_looked_at(project):
    night(project, "before")
    project.run("benchmarks", "--store=after", "-k", "chest")
    status, found, _ = diff(project, "before", "after")
    assert (status, found["counts"]["vanished"], found["not_looked_at"]) == (0, 0, 3)


def test_a_store_without_runs_is_a_mistake(project):
    (project.path / "after/runs").mkdir(parents=True)
    status, _, said = diff(project, "store:after", "store:after")
    assert status == 2
    assert "holds no run that the items of benchmarks" in said
    status, _, said = diff(project, "store:nowhere", "store:after")
    assert "expected a store of finished runs" in said


def git(project, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(("git", *who, *arguments), cwd=project.path, check=True, capture_output=True)


def moved(found):
    """Each term of the item that lost, by what it was compared."""
    (item,) = (each for each in found["differences"] if each["id"] == DENSE)
    assert item["state"] == "worse"
    return {term["term"]: term["by"] for term in item["terms"]}


PAIRED = {"baseline": "tolerance", "treatment": "patients"}


def test_accepted_values_of_a_revision_are_paired_by_the_patients_of_their_reference_runs(project):
    project.accept()
    git(project, "init", "-q")
    git(project, "add", "-f", "expectations")
    git(project, "commit", "-qm", "accepted")
    project.world({"mammography/dense": 0.3})
    project.run("benchmarks", "--runs=force", "--expect=update", "--reason=worse", "--claims=default")
    before = {path: path.read_bytes() for path in (project.path / "expectations").rglob("*.*")}
    status, found, _ = diff(project, "git:HEAD", "expectations:")
    assert (status, moved(found)) == (1, PAIRED)
    assert {path: path.read_bytes() for path in (project.path / "expectations").rglob("*.*")} == before
    (term,) = (t for d in found["differences"] for t in d["terms"] if t["by"] == "patients")
    assert term["moved"]
    assert term["change"]["low"] < term["change"]["value"] < term["change"]["high"] < 0


def test_accepted_values_are_paired_with_a_store_by_the_patients_of_reference_runs(project):
    project.accept()
    night(project, "after", **{"mammography/dense": 0.3})
    _, found, _ = diff(project, "expectations", "after")
    assert moved(found) == PAIRED
    stores = diff(project, "store:.medbench", "after")[1]
    terms, expected = (
        {(each["id"], term["term"]): term for each in of["differences"] for term in each["terms"]}
        for of in (found, stores)
    )
    assert terms.keys() == expected.keys()
    for key, term in terms.items():
        assert term["change"] == pytest.approx(expected[key]["change"], abs=1e-5)  # stored with six digits
        assert (term["p"] or 1) == pytest.approx(expected[key]["p"] or 1, rel=1e-3)


@pytest.mark.parametrize("lost", ["runs", "values"])
def test_accepted_values_without_predictions_of_theirs_are_compared_without_patients(project, lost):
    """Without reference runs, or where they give other values."""
    project.accept()
    night(project, "after", **{"mammography/dense": 0.3})
    runs = project.path / "expectations/embedded/runs"
    if lost == "runs":
        shutil.rmtree(runs)
    else:
        night(project, ".medbench", **{"mammography/dense": 0.25})
        other = {path.name: path for path in runs.glob("*/*")}
        for record in (project.path / ".medbench/runs").glob("*/record.json"):
            spec = json.loads(record.read_text())["spec_id"]
            shutil.rmtree(other[spec])
            shutil.copytree(record.parent, other[spec])
    _, found, _ = diff(project, "expectations", "after")
    assert moved(found) == {"baseline": "tolerance", "treatment": "tolerance"}


def test_a_report_is_paired_by_patients_where_a_store_has_its_runs(project):
    project.report("--runs=force", "--store=before")
    night(project, "after", **{"mammography/dense": 0.3})
    assert moved(diff(project, "out", "after")[1]) == {"baseline": "tolerance", "treatment": "tolerance"}
    assert moved(diff(project, "out", "after", "--store=before")[1]) == PAIRED
    night(project, "before", **{"mammography/dense": 0.25})
    remade = diff(project, "out", "after", "--store=before")[1]
    assert moved(remade) == {"baseline": "tolerance", "treatment": "tolerance"}


def test_a_store_of_reports_that_is_not_there_is_a_mistake(project):
    status, _, said = diff(project, "out", "after", "--store=nowhere")
    assert status == 2
    assert "--store nowhere: no such folder" in said


def test_a_changed_recipe_is_a_suspect_beside_a_report_and_beside_accepted_values(project):
    project.accept()
    project.report("--runs=force")
    project.edit("recipes.yaml", "base_learning_rate: 0.003", "base_learning_rate: 0.001")
    project.run("benchmarks", "--report=after")
    for before in ("out", "expectations"):
        suspects = diff(project, before, "after")[1]["suspects"]
        wanted = {"kind": "spec", "name": "recipe.base_learning_rate", "before": "0.003", "after": "0.001"}
        assert wanted in suspects
