"""Claims of several arms, of attributes and of units, and what claims come to together, in whole sessions."""

import pytest

from tests.suites.project import REFUTED, Project

pytest_plugins = ["pytester"]

SYNTHESIS = """\
synthesis: only-at-home
statement: Photographs help at home and not elsewhere.
source: {study: C3, strength: own}
tasks: [chest, mammography]
properties:
  performance: {at_scale: scale-data, small: ood-robustness}
"""
LADDER = """\
claim: trend
statement: Every rung adds.
source: {study: C4, strength: G}
tasks: [chest]
arms:
  embedded:
    none: {upstream: random, architecture: r14x0.5}
    few: {upstream: small, architecture: r14x0.5}
    many: {upstream: large, architecture: r14x0.5}
effect: {kind: slope}
evaluate: id
predicate: superiority
margin: 0
margin_reason: for the tests
relevant_effect: 0.01
family: scale
"""
CURVE = """\
claim: efficiency
statement: Half the patients are enough.
source: {study: C7, strength: 2nd}
tasks: [chest]
arms:
  embedded:
    baseline: {upstream: small, architecture: r14x0.5}
    half: {upstream: large, architecture: r14x0.5, fraction: 0.5}
    all: {upstream: large, architecture: r14x0.5}
effect: {kind: data-saved}
evaluate: id
predicate: superiority
margin: 0.4
margin_reason: for the tests
relevant_effect: 0.5
family: data
"""


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


def claims(report):
    return {claim["id"]: claim for claim in report["claims"]}


def test_a_synthesis_is_judged_from_the_claims_of_the_session(project):
    (project.suite / "syntheses").mkdir()
    (project.suite / "syntheses" / "home.yaml").write_text(SYNTHESIS)
    project.world(gain={"chest/icu": REFUTED})
    report, result = project.report()
    found = {each["task"]: each for each in report["syntheses"]}
    assert (found["chest"]["verdict"], found["mammography"]["verdict"]) == ("supported", "refuted")
    result.stdout.fnmatch_lines(["only-at-home, chest: supported (performance: only at scale)"])


def test_a_synthesis_is_not_shown_where_its_claims_were_not_selected(project):
    (project.suite / "syntheses").mkdir()
    (project.suite / "syntheses" / "home.yaml").write_text(SYNTHESIS)
    report, _ = project.report("-k", "scale-data")
    assert report["syntheses"] == []


def test_two_backbones_are_not_both_ends_of_the_ladder(project):
    (project.suite / "syntheses").mkdir()
    (project.suite / "syntheses" / "home.yaml").write_text(SYNTHESIS)
    report, _ = project.report("-k", "chest", "--backbones=bit-random-r14x0.5,bit-large-r14x0.5")
    assert len(report["claims"]) > 1
    assert report["syntheses"] == []


def test_a_synthesis_of_an_unknown_claim_is_refused_with_its_line(project):
    (project.suite / "syntheses").mkdir()
    text = SYNTHESIS.replace("at_scale: scale-data", "at_scale: scale-dat")
    (project.suite / "syntheses" / "home.yaml").write_text(text)
    result = project.run("benchmarks")
    result.stderr.fnmatch_lines(
        ["*home.yaml:6: unknown claim `scale-dat` in synthesis `only-at-home`*scale-data*"]
    )
    assert result.ret != 0


def test_the_report_counts_what_was_asked_whatever_was_selected(project):
    report, result = project.report("-k", "chest and scale-data")
    result.stdout.fnmatch_lines(
        ["asked: 2 claims on 2 tasks, 3 shifts and 0 attributes: 4 pairs of claim and task, 5 items; 1*"]
    )
    assert {(each["claim"], each["task"]): len(each["items"]) for each in report["asked"]} == {
        ("ood-robustness", "chest"): 1,
        ("ood-robustness", "mammography"): 2,
        ("scale-data", "chest"): 1,
        ("scale-data", "mammography"): 1,
    }


def test_what_has_no_item_is_named_with_the_reason(project):
    project.world(shifts={"chest": []})
    report, result = project.report("-k", "chest")
    result.stdout.fnmatch_lines(["not asked on chest: ood-robustness (the cohort has no shift)"])
    assert [each["why_none"] for each in report["asked"] if not each["items"]] == ["the cohort has no shift"]


def test_a_ladder_is_judged_accepted_and_held_against_what_was_accepted(project):
    (project.suite / "claims" / "trend.yaml").write_text(LADDER)
    project.accept()
    report, result = project.report("-k", "trend")
    item = claims(report)["chest/trend/id"]
    assert list(item["samples"]) == ["none", "few", "many"]
    assert item["effect"]["value"] == pytest.approx(
        sum(w * sum(item["samples"][arm].values()) / 3 for arm, w in (("none", -0.5), ("many", 0.5)))
    )
    assert report["expectations"][0]["status"] == "ok"
    assert result.ret == 0


def test_the_share_of_patients_saved_is_an_item_like_others(project):
    (project.suite / "claims" / "curve.yaml").write_text(CURVE)
    report, _ = project.report("-k", "efficiency")
    item = claims(report)["chest/efficiency/id"]
    assert item["state"] in ("judged", "missing")
    assert item["definition"]["effect"] == "data-saved"
    assert any("50% of patients" in label for label in project.trained())


def test_an_arm_under_a_recipe_of_its_own_is_another_run_than_under_the_tiers(project):
    recipes = project.suite / "recipes.yaml"
    one = recipes.read_text()
    longer = one[one.index("  tiny:") :].replace("  tiny:", "  longer:").replace("steps: ", "steps: 1", 1)
    recipes.write_text(one.rstrip("\n") + "\n" + longer)
    project.edit(
        "claims/scale.yaml",
        "    treatment: {upstream: large, architecture: r14x0.5}\n  private:",
        "    treatment: {upstream: large, architecture: r14x0.5, recipe: longer}\n  private:",
    )
    report, _ = project.report("-k", "chest")
    assert claims(report)["chest/scale-data/id"]["arms"]["treatment"].endswith("+longer")
    assert (
        len(project.trained()) == 9
    )  # three seeds of the baseline, of the treatment, and of it under `longer`
