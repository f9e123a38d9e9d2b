import json

import pytest
import yaml

import medbench.candidates
from medbench.errors import MedbenchError
from tests import runs
from tests.suites.project import EQUAL, REFUTED, Project

pytest_plugins = ["pytester"]

DENSE = "mammography/ood-robustness/dense"


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


def rows(report):
    return {row["id"]: row for row in report["expectations"]}


def claims(report):
    return {claim["id"]: claim for claim in report["claims"]}


# Checking


def test_unchanged_values_are_green_and_say_by_which_rule(project):
    project.accept()
    report, result = project.report()
    assert {row["status"] for row in rows(report).values()} == {"ok"}
    assert {row["check"] for row in rows(report).values()} == {"numeric@1"}
    assert result.ret == 0


def test_on_a_fresh_clone_sentinels_are_trained_and_the_rest_is_loaded(project):
    project.accept()
    project.forget_runs()
    before = len(project.trained())
    report, result = project.report()
    assert report["runs"] == {"planned": 12, "executed": 4, "reused": 0, "loaded": 8, "naive": 30}
    assert all(label.endswith("seed 1") for label in project.trained()[before:])
    result.stdout.fnmatch_lines(
        ["plan: 12 runs for 5 items*: 8 loaded (trained *, a processor), 4 to train*"]
    )
    loaded = [run for run in report["provenance"] if run["origin"] == "loaded"]
    assert all(run["device"] and run["finished"] for run in loaded)
    result.stdout.fnmatch_lines(["chest *scale-data *id *unchanged (numeric@1, 2 of 6 measured)"])
    assert result.ret == 0


def test_loaded_values_are_never_shown_as_measured(project):
    project.accept()
    project.forget_runs()
    report, result = project.report("--runs=never")
    assert report["runs"]["loaded"] == 12
    assert all("nothing was measured" in row["detail"] for row in rows(report).values())
    result.stdout.fnmatch_lines(["chest *scale-data *id * loaded, nothing measured"])
    result.stdout.no_fnmatch_line("*unchanged (*")


def test_a_value_outside_its_band_is_red_and_shown_first(project):
    project.accept()
    project.forget_runs()
    project.world({"mammography/dense": 0.7})
    report, result = project.report()
    assert report["claims"][0]["id"] == DENSE
    row = rows(report)[DENSE]
    assert row["status"] == "drifted"
    low, high = row["band"]
    assert low <= row["expected"] <= high
    assert not low <= row["measured"] <= high
    result.assert_outcomes(failed=1, passed=4)
    assert claims(report)[DENSE]["red"]


def test_supported_turned_refuted_is_red(project):
    project.accept()
    project.world({"mammography/dense": REFUTED})
    report, result = project.report("--runs=force")
    assert rows(report)[DENSE]["status"] == "verdict-changed"
    assert rows(report)[DENSE]["accepted_verdict"] == "supported"
    assert result.ret == 1


def test_a_claim_accepted_as_refuted_stays_green_and_is_shown_as_refuted(project):
    project.world({"mammography/dense": REFUTED})
    project.accept()
    report, result = project.report("-v")
    assert claims(report)[DENSE]["verdict"] == "refuted"
    assert not claims(report)[DENSE]["red"]
    result.stdout.fnmatch_lines(
        ["*dense*REFUTED-AS-ACCEPTED*", "*dense *refuted * refuted *unchanged*", "*1 refuted (as accepted)*"]
    )
    assert result.ret == 0


def test_strict_fails_even_what_was_accepted_as_refuted(project):
    project.world({"mammography/dense": REFUTED})
    project.accept()
    project.run("benchmarks", "--claims=strict").assert_outcomes(failed=1, passed=4)


def test_a_move_to_inconclusive_is_shown_and_not_red_by_itself(project):
    project.world({"chest/id": 0.16})
    project.accept()
    _, path = project.expectation("chest", "scale-data")
    text = path.read_text()
    assert "verdict: supported" in text
    project.world({"chest/id": 0.16}, patients=30)
    # Another, smaller cohort of the same name: its seeds are compared by their spread, and power is lost.
    report, result = project.report("-k", "chest and id", "--runs=force")
    claim = claims(report)["chest/scale-data/id"]
    assert (claim["verdict"], claim["red"]) == ("inconclusive", False)
    assert "inconclusive, accepted as supported" in claim["sentence"]
    assert rows(report)["chest/scale-data/id"]["status"] == "ok"
    assert rows(report)["chest/scale-data/id"]["accepted_verdict"] == "supported"
    assert result.ret == 0


def test_a_changed_definition_is_stale_not_drifted(project):
    project.accept()
    project.edit("claims/scale.yaml", "margin: 0.005", "margin: 0.006")
    report, result = project.report()
    assert rows(report)["chest/scale-data/id"]["status"] == "stale"
    assert report["counts"]["stale"] == 2
    result.stdout.fnmatch_lines(["*stale: the definition changed: margin was 0.005, is 0.006*"])
    assert result.ret == 0


# Vanished items


def test_an_item_that_vanished_from_the_suite_is_red(project):
    project.accept()
    project.world(shifts={"mammography": ["vendor-b"]})
    report, result = project.report()
    assert rows(report)[DENSE]["status"] == "vanished"
    assert DENSE not in claims(report)
    assert f"{DENSE}: vanished" in result.stdout.str()
    result.assert_outcomes(failed=1, passed=4)


def test_a_claim_whose_file_was_removed_is_red(project):
    project.accept()
    (project.suite / "claims/ood.yaml").unlink()
    report, result = project.report()
    assert report["counts"]["vanished"] == 3
    result.assert_outcomes(failed=3, passed=2)


def test_a_deleted_expectation_is_red_until_it_is_accepted_anew(project):
    project.accept()
    _, path = project.expectation("chest", "scale-data")
    before = path.read_text()
    path.unlink()
    report, result = project.report()
    assert rows(report)["chest/scale-data/id"]["status"] == "vanished"
    result.assert_outcomes(failed=1, passed=4)
    project.run("benchmarks", "--expect=new", "--reason=first").assert_outcomes(passed=5)
    assert path.read_text() == before
    project.run("benchmarks").assert_outcomes(passed=5)


def test_a_new_claim_over_accepted_runs_has_no_expectation_and_is_green(project):
    project.accept()
    claim = (project.suite / "claims/scale.yaml").read_text().replace("claim: scale-data", "claim: anew")
    (project.suite / "claims/anew.yaml").write_text(claim)
    report, result = project.report()
    assert report["runs"]["executed"] == 0
    assert {row["status"] for item, row in rows(report).items() if "/anew/" in item} == {"no-expectation"}
    assert result.ret == 0
    project.run("benchmarks", "--expect=new", "--reason=a new claim")
    report, _ = project.report()
    assert {row["status"] for row in rows(report).values()} == {"ok"}


def test_k_selects_among_vanished_items_too(project):
    project.accept()
    (project.suite / "claims/ood.yaml").unlink()
    report, result = project.report("-k", "chest")
    assert report["counts"]["vanished"] == 1
    result.assert_outcomes(failed=1, passed=1)


def test_a_session_that_did_not_look_at_the_whole_suite_finds_nothing_vanished(project):
    project.accept()
    project.world(shifts={"mammography": ["vendor-b"]})
    result = project.run("benchmarks/claims/scale.yaml")
    result.assert_outcomes(passed=2)


def test_a_vanished_item_fails_under_xdist_too(project):
    project.accept()
    project.world(shifts={"mammography": ["vendor-b"]})
    result = project.run_apart("benchmarks", "-n2")
    result.assert_outcomes(failed=1, passed=4)


def test_a_vanished_sub_group_is_red(project):
    project.accept()
    entries, path = project.expectation("chest", "scale-data")
    entries[0]["groups"]["sex"].append("x")
    path.write_text(yaml.safe_dump(entries))
    report, result = project.report("-k", "chest")
    assert rows(report)["chest/scale-data/id"]["status"] == "vanished"
    assert result.ret == 1


# Updating


def test_update_shows_before_and_after_and_records_provenance(project):
    project.accept()
    project.world({"mammography/dense": 0.7})
    result = project.run(
        "benchmarks", "--runs=force", "-k", "dense", "--expect=update", "--reason=a better recipe"
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["accepted values, before and after:", f"  {DENSE} [[]cpu]: supported, effect * -> *, effect *"]
    )
    entries, _ = project.expectation("mammography", "ood-robustness")
    reasons = {entry["item"]: entry["accepted"]["reason"] for entry in entries}
    assert reasons == {DENSE: "a better recipe", "mammography/ood-robustness/vendor-b": "first"}


def test_an_update_that_changes_nothing_says_so(project):
    project.accept()
    again = ("--report=out", "--expect=update", "--reason=again")
    result = project.run("benchmarks", *again)
    result.stdout.fnmatch_lines(
        [f"  {DENSE} [[]cpu]: unchanged: *", "  nothing changed, so nothing was written"]
    )
    sentences = {
        claim["sentence"] for claim in json.loads((project.path / "out/report.json").read_text())["claims"]
    }
    assert sentences == {"supported; as accepted before, so nothing changed"}
    assert "accepted by this session" not in result.stdout.str()
    project.world({"mammography/dense": 0.7})
    result = project.run("benchmarks", "--runs=force", "-k", "dense", *again)
    assert "nothing changed" not in result.stdout.str()


@pytest.fixture
def other_code(project, monkeypatch):
    """As on another machine after a change of the code: the references are all of the old one."""
    project.accept()
    project.forget_runs()
    for place in ("medbench.study", "medbench.execute.local"):
        monkeypatch.setattr(f"{place}.code_fingerprint", lambda trainer=None: "new")


@pytest.mark.usefixtures("other_code")
def test_values_of_two_versions_of_the_code_are_never_accepted_together(project):
    before, before_training = contents(project.path / "expectations"), project.trained()
    result = project.run("benchmarks", "--expect=update", "--reason=new code")
    told = " ".join(result.stderr.str().split())
    assert "4 of its 6 runs are reference runs that other code" in told
    assert "--runs=force" in told
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert project.trained() == before_training, "known before training"
    assert contents(project.path / "expectations") == before


@pytest.mark.usefixtures("other_code")
def test_values_of_new_code_alone_are_accepted(project):
    project.world({"mammography/dense": 0.7})
    result = project.run("benchmarks", "--runs=force", "--expect=update", "--reason=new code")
    assert result.ret == 0, result.stdout.str()
    entries, _ = project.expectation("mammography", "ood-robustness")
    assert "new code" in {entry["accepted"]["reason"] for entry in entries}


@pytest.mark.usefixtures("other_code")
def test_new_items_are_not_asked_for_what_was_accepted_already(project):
    before = contents(project.path / "expectations")
    project.run("benchmarks", "--expect=new", "--reason=x", "-k", "scale")
    assert contents(project.path / "expectations") == before


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_provenance_comes_from_the_runs_not_from_who_accepts_them(project):
    project.run("benchmarks")
    project.accept()
    entries, _ = project.expectation("chest", "scale-data")
    assert entries[0]["accepted"]["jax"] == "0.10.2"  # as the stand-ins' records say
    assert not entries[0]["accepted"]["commit"]


def test_new_accepts_only_what_has_no_expectation(project):
    project.run("benchmarks", "-k", "chest", "--expect=update", "--reason=first")
    _, path = project.expectation("chest", "scale-data")
    before = path.read_text()
    result = project.run("benchmarks", "--expect=new", "--reason=the rest")
    assert result.ret == 0
    assert path.read_text() == before
    entries, _ = project.expectation("mammography", "scale-data")
    assert entries[0]["accepted"]["reason"] == "the rest"


def test_new_leaves_drift_red(project):
    project.accept()
    project.world({"mammography/dense": 0.7})
    result = project.run("benchmarks", "--runs=force", "--expect=new", "--reason=x")
    result.assert_outcomes(failed=1, passed=4)


def test_a_refuted_claim_may_be_accepted(project):
    project.world({"default": REFUTED, "chest/id": EQUAL})
    result = project.run("benchmarks", "--expect=update", "--reason=as measured")
    assert result.ret == 0


def test_update_is_refused_under_ci(project, monkeypatch):
    monkeypatch.setenv("CI", "true")
    result = project.run("benchmarks", "--expect=update", "--reason=x")
    assert "refused where CI is set" in result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not (project.path / "expectations").exists()


def test_a_damaged_expectation_is_one_message(project):
    project.accept()
    _, path = project.expectation("chest", "scale-data")
    path.write_text(path.read_text().replace("verdict: supported", "verdict: suported"))
    result = project.run("benchmarks")
    assert "suported" in result.stdout.str() + result.stderr.str()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert result.ret != 0


def test_an_interrupted_session_accepts_nothing(project):
    project.accept()
    before = runs.content(project.path / "expectations")
    project.world({"default": REFUTED}, interrupt="mammography · bit-large-r14x0.5 · all patients · seed 1")
    told = project.run_interrupted("benchmarks", "--runs=force", "--expect=update", "--reason=x")
    told.stdout.fnmatch_lines(["nothing was accepted: the session was interrupted."])
    assert runs.content(project.path / "expectations") == before


def test_what_cannot_be_written_is_red_and_keeps_nothing_else_from_being_written(project, monkeypatch):
    def unwritable(*arguments, **options):
        raise MedbenchError("candidate: cannot be written")

    monkeypatch.setattr(medbench.candidates, "end", unwritable)
    told = project.run("benchmarks", "--candidates=candidate", "--history=kept")
    told.stdout.fnmatch_lines(["not done: candidate: cannot be written", "history: kept/*"])
    assert told.ret == 1
    assert list((project.path / "kept").rglob("*.jsonl"))
