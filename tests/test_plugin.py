import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from tests.suites.project import EQUAL, REFUTED, Project

pytest_plugins = ["pytester"]

ARMS = "[bit-small-r14x0.5,bit-large-r14x0.5]"
ITEMS = {
    "chest/ood-robustness/icu",
    "mammography/ood-robustness/vendor-b",
    "mammography/ood-robustness/dense",
    "chest/scale-data/id",
    "mammography/scale-data/id",
}


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


def collected(result):
    """Ids of the items that `--collect-only -q` lists."""
    names = [line.partition("::")[2] for line in result.outlines if "::" in line]
    return {name.partition("[")[0] for name in names}


# Collection


def test_claims_are_collected_by_domain_claim_set_and_backbones(project):
    result = project.run("benchmarks", "--collect-only", "-q")
    assert collected(result) == ITEMS
    result.stdout.fnmatch_lines(
        [f"benchmarks/claims/ood.yaml::chest/ood-robustness/icu{'[[]'}*large-r14x0.5]"]
    )
    assert result.ret == 0
    assert project.trained() == []


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("mammography", {item for item in ITEMS if item.startswith("mammography")}),
        ("ood and not chest", {"mammography/ood-robustness/vendor-b", "mammography/ood-robustness/dense"}),
        ("vendor-b", {"mammography/ood-robustness/vendor-b"}),
        ("scale-data", {"chest/scale-data/id", "mammography/scale-data/id"}),
        ("r14x0.5", ITEMS),
        ("r50x1", set()),
        ("bit-large", ITEMS),
        ("chest and icu", {"chest/ood-robustness/icu"}),
    ],
)
def test_k_selects_by_every_part_of_the_name(project, selection, expected):
    assert collected(project.run("benchmarks", "--collect-only", "-q", "-k", selection)) == expected


@pytest.mark.parametrize(
    "argument",
    [
        f"benchmarks/claims/scale.yaml::chest/scale-data/id{ARMS}",
        "benchmarks/claims/scale.yaml::chest/scale-data/id",
    ],
)
def test_a_node_id_selects_one_item_with_or_without_its_backbones(project, argument):
    assert collected(project.run(argument, "--collect-only", "-q")) == {"chest/scale-data/id"}


def test_yaml_elsewhere_is_not_touched(project):
    (project.path / "other/claims").mkdir(parents=True)
    (project.path / "other/claims/a.yaml").write_text("not: [a claim")
    (project.path / "test_plain.py").write_text("def test_plain(): pass\n")
    result = project.run("other", "test_plain.py", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*medbench 0*")


def test_a_project_that_declares_no_suite_loads_nothing_of_medbench(pytester):
    pytester.makepyfile("""
        import sys
        def test_light():
            heavy = {"numpy", "jax", "pyarrow", "scipy", "msgspec", "medbench.pytest_session"}
            assert not heavy & set(sys.modules)
    """)
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:xdist")
    result.assert_outcomes(passed=1)


def test_planning_and_collecting_import_no_jax(project):
    code = (
        "import sys, pytest; status = pytest.main(['benchmarks', '--collect-only', '-q']);"
        "sys.exit(status or 'jax' in sys.modules)"
    )
    (project.path / "conftest.py").unlink()  # the real cohorts and training
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_session_that_asks_for_unit_tests_only_stays_as_it_is(project):
    (project.path / "test_plain.py").write_text("def test_plain(): pass\n")
    result = project.run("test_plain.py")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*judged*")


# Mistakes


def test_a_mistake_in_yaml_is_one_message_without_traceback(project):
    project.edit("claims/ood.yaml", "margin: 0.005", "margn: 0.005")
    result = project.run("benchmarks")
    text = result.stdout.str()
    assert "ood.yaml:15: unknown key `margn`" in text.replace("\n", " ")
    assert "Did you mean `margin`?" in text
    assert text.count("unknown key `margn`") == 1
    assert "Traceback" not in text
    assert "loader.py" not in text
    assert result.ret == pytest.ExitCode.INTERRUPTED


BROKEN = {
    "backbones.yaml": ("classes: 0", "clases: 0"),
    "tasks/chest.yaml": ("primary: roc_auc", "primary: roc_acu"),
    "recipes.yaml": ("resize: 8", "resiz: 8"),
}


@pytest.mark.parametrize("options", [(), ("--collect-only",)])
@pytest.mark.parametrize("file", BROKEN)
def test_a_broken_file_that_is_no_claim_is_one_usage_error_that_names_it(project, file, options):
    project.edit(file, *BROKEN[file])
    result = project.run("benchmarks", *options)
    (message,) = [line for line in result.errlines if line]
    assert message.startswith(f"ERROR: benchmarks/{file}:")
    assert "Did you mean" in message
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "claims" not in result.stdout.str()


def test_a_broken_claim_is_an_error_of_its_own_file(project):
    project.edit("claims/scale.yaml", "margin: 0.005", "margn: 0.005")
    result = project.run("benchmarks")
    result.stdout.fnmatch_lines(["*ERROR collecting benchmarks/claims/scale.yaml*"])
    assert result.stdout.str().count("unknown key `margn`") == 1
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_a_broken_claim_that_was_not_asked_for_is_a_usage_error(project):
    project.edit("claims/scale.yaml", "margin: 0.005", "margn: 0.005")
    result = project.run("benchmarks/claims/ood.yaml")
    result.stderr.fnmatch_lines(["ERROR: benchmarks/claims/scale.yaml:*unknown key `margn`*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_broken_claim_that_is_ignored_is_red_beside_tests_that_pass(project):
    project.edit("claims/scale.yaml", "margin: 0.005", "margn: 0.005")
    (project.path / "test_plain.py").write_text("def test_plain(): pass\n")
    result = project.run(".", "--ignore=benchmarks/claims/scale.yaml")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["benchmarks/claims/scale.yaml:*unknown key `margn`*"])
    assert result.ret == 1


def test_a_broken_suite_does_not_stop_tests_that_do_not_ask_for_it(project):
    project.edit("backbones.yaml", *BROKEN["backbones.yaml"])
    (project.path / "test_plain.py").write_text("def test_plain(): pass\n")
    assert project.run("test_plain.py").ret == 0


def test_a_suite_is_found_through_a_link(project):
    (project.path / "link").symlink_to(project.path, target_is_directory=True)
    result = project.run(project.path / "link/benchmarks", "-k", "chest and id")
    result.stdout.fnmatch_lines(["1 judged: 1 supported*"])
    assert result.ret == 0


def test_expectations_that_are_not_there_are_refused(project):
    result = project.run("benchmarks", "--expectations=nowhere")
    result.stderr.fnmatch_lines(
        [f"ERROR: --expectations nowhere: no such folder. The default is *({project.path}/expectations)."]
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (project.path / "nowhere").write_text("")
    result = project.run("benchmarks", "--expectations=nowhere", "--expect=update", "--reason=x")
    result.stderr.fnmatch_lines(["ERROR: --expectations nowhere: expected a folder, found a file.*"])
    assert not project.trained()


@pytest.mark.parametrize("file", ["expectations", "expectations/embedded"])
def test_a_file_in_place_of_the_accepted_values_is_named(project, file):
    path = project.path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    result = project.run("benchmarks")
    result.stderr.fnmatch_lines([f"ERROR: {path}: expected a folder of accepted values, found a file.*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_expectations_of_ones_own_are_made_when_first_accepted_into(project):
    result = project.run("benchmarks", "-k", "id", "--expectations=own", "--expect=new", "--reason=first")
    assert result.ret == 0
    assert (project.path / "own/embedded/chest/scale-data.yaml").exists()


def test_an_unknown_tier_names_the_nearest(project):
    result = project.run("benchmarks", "--tier=privat")
    result.stderr.fnmatch_lines(["*unknown tier `privat`. Did you mean `private`?"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_items_whose_weights_are_not_here_are_not_run_and_say_what_is_missing_once(project):
    (project.suite / "large.npz").unlink()
    report, result = project.report("-k", "chest")
    assert {claim["state"] for claim in report["claims"]} == {"not-run"}
    assert all("weights `large.npz` not found" in claim["reason"] for claim in report["claims"])
    result.stdout.fnmatch_lines(["*nothing was judged*"])
    assert "Traceback" not in result.stdout.str()
    said = [line for line in result.outlines if line.startswith("not run, 2 items")]
    assert len(said) == 1
    assert result.ret == 1


def test_an_accepted_item_whose_weights_are_gone_fails(project):
    project.run("--expect=new", "--reason=first")
    (project.suite / "large.npz").unlink()
    report, result = project.report("-k", "chest")
    assert {error["id"] for error in report["errors"]} == {"chest/ood-robustness/icu", "chest/scale-data/id"}
    assert all("weights `large.npz` not found" in error["message"] for error in report["errors"])
    assert "Traceback" not in result.stdout.str()
    assert result.ret == 1


def test_missing_weights_leave_a_report_without_an_empty_scope(project):
    (project.suite / "large.npz").unlink()
    report, result = project.report("-k", "chest", "--backbones=bit-random-r14x0.5,bit-large-r14x0.5")
    assert {claim["state"] for claim in report["claims"]} == {"not-run"}
    assert report["scope"] == ""
    result.stdout.no_fnmatch_line("*These verdicts speak of*")


def test_an_error_in_one_run_fails_its_items_and_leaves_the_others(project):
    project.world(crash="chest · bit-large-r14x0.5 · all patients · seed 2")
    report, result = project.report()
    assert {error["id"] for error in report["errors"]} == {"chest/ood-robustness/icu", "chest/scale-data/id"}
    assert len(report["claims"]) == 3
    assert report["counts"]["errors"] == 2
    assert report["runs"] == {"planned": 12, "executed": 10, "reused": 0, "loaded": 0, "naive": 30}
    assert "Traceback" not in result.stdout.str()
    assert result.ret == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--expect=update"], "needs --reason"),
        (["--expect=new", "--reason= "], "needs --reason"),
        (["--backbones=one"], "takes two names"),
        (["--backbones=a,b,c"], "takes two names"),
        (["--backbones=a, a"], "compares two backbones, and both are `a`"),
        (["--expect=update", "--reason=x", "--cohort=mine"], "--expectations"),
    ],
)
def test_contradictory_options_are_refused_before_anything_runs(project, options, message):
    result = project.run("benchmarks", *options)
    assert message in result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert project.trained() == []


def test_an_unknown_backbone_names_the_nearest(project):
    result = project.run("benchmarks", "--backbones=bit-smal-r14x0.5,bit-large-r14x0.5")
    result.stderr.fnmatch_lines(["*unknown backbone `bit-smal-r14x0.5`. Did you mean `bit-small-r14x0.5`?"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


# Outcomes without expectations


def test_supported_passes_refuted_fails_inconclusive_has_its_own_status(project):
    project.world({"mammography/dense": REFUTED, "chest/id": EQUAL})
    report, result = project.report("-v")
    verdicts = {claim["id"]: claim["verdict"] for claim in report["claims"]}
    assert verdicts.pop("mammography/ood-robustness/dense") == "refuted"
    assert verdicts.pop("chest/scale-data/id") == "inconclusive"
    assert set(verdicts.values()) == {"supported"}
    result.stdout.fnmatch_lines(
        [
            "*chest/ood-robustness/icu[[]*PASSED*",
            "*dense[[]*FAILED*",
            "*chest/scale-data/id[[]*INCONCLUSIVE*",
            "5 judged: 3 supported, 1 refuted, 1 inconclusive · 0 drifted",
            "*1 failed, 3 passed, 1 inconclusive in *",
        ]
    )
    assert result.ret == 1


def test_inconclusive_says_what_would_settle_it(project):
    project.world({"chest/id": 0.12}, patients=40)
    result = project.run("benchmarks", "-k", "chest and id")
    result.stdout.fnmatch_lines(["    inconclusive; *would settle it*"])
    assert result.ret == 0


def test_strict_fails_what_is_not_supported(project):
    project.world({"chest/id": EQUAL})
    result = project.run("benchmarks", "--claims=strict", "-k", "chest")
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == 1


def test_an_undefined_metric_is_missing_with_its_reason(project):
    project.world(one_class="icu")
    report, result = project.report("-k", "chest")
    claims = {claim["id"]: claim for claim in report["claims"]}
    missing = claims["chest/ood-robustness/icu"]
    assert (missing["state"], missing["verdict"], missing["effect"]) == ("missing", None, None)
    assert missing["reason"]
    assert report["counts"]["missing"] == 1
    assert missing["reason"] in result.stdout.str()


def test_without_runs_nothing_is_judged_and_that_is_red(project):
    report, result = project.report("--runs=never", "-v")
    assert report["counts"]["not-run"] == 5
    assert {claim["state"] for claim in report["claims"]} == {"not-run"}
    result.stdout.fnmatch_lines(["*NOT-RUN*", "*nothing was judged*"])
    missing = "no run of baseline seed 1, baseline seed 2, baseline seed 3 and 3 more"
    assert {claim["sentence"] for claim in report["claims"]} == {f"{missing}; train them with --runs=auto"}
    assert result.ret == 1
    assert project.trained() == []


def test_a_selection_of_nothing_is_red(project):
    result = project.run("benchmarks", "-k", "nothing-of-the-kind")
    result.stdout.fnmatch_lines(["*nothing was judged*"])
    assert result.ret == 1


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("mamography", "*-k 'mamography': No name has `mamography`. Did you mean `mammography`?"),
        ("odd and chest", "*No name has `odd`. Did you mean `ood`?"),
        ("chest and dense", "*Each of its words is in some name, but no name fits it as a whole."),
        ("nonsensical", "-k 'nonsensical': No name has `nonsensical`."),
        ("test_plian", "*Did you mean `test_plain`?"),
    ],
)
def test_a_selection_of_nothing_names_the_nearest_words(project, expression, hint):
    (project.path / "test_plain.py").write_text("def test_plain(): pass\n")
    result = project.run(".", "-k", expression)
    result.stdout.fnmatch_lines([hint])
    assert result.ret == 1


CONTRAST = """\
claim: interaction
statement: Both together do more than the sum of each.
source: {study: C5, strength: G}
tasks: [chest]
arms:
  embedded:
    many: {upstream: large, architecture: r14x0.5}
    few: {upstream: small, architecture: r14x0.5}
effect: {kind: contrast, weights: {many: 1, few: -1}}
evaluate: id
predicate: superiority
margin: 0
margin_reason: for the tests
relevant_effect: 0.01
family: scale
"""


def fair(project, attribute):
    """A claim about an attribute of a task, which may not be there."""
    project.edit("tasks/chest.yaml", "primary: roc_auc", f"primary: roc_auc\nattributes: [{attribute}]")
    project.add("metrics.yaml", "metrics:\n  any-gap: {kind: group_gap, of: roc_auc}\n")
    text = CONTRAST
    for old, new in (
        ("claim: interaction", "claim: fair"),
        ("    many:", "    treatment:"),
        ("    few:", "    baseline:"),
        ("effect: {kind: contrast, weights: {many: 1, few: -1}}", "each_attribute: true\nmetric: any-gap"),
    ):
        text = text.replace(old, new)
    project.add("claims/fair.yaml", text)


def test_a_selection_that_two_backbones_leave_out_says_so(project):
    project.add("claims/interaction.yaml", CONTRAST)
    backbones = "--backbones=bit-random-r14x0.5,bit-small-r14x0.5"
    result = project.run("benchmarks", backbones, "-k", "interaction and chest")
    result.stdout.fnmatch_lines(
        ["*: `interaction` is left out: two backbones cannot stand in for its arms."],
    )
    assert result.ret == 1


def test_a_selection_of_a_task_without_cohort_says_so(project):
    (project.path / "mine").mkdir()
    (project.path / "mine/domain").write_text("mammography")
    result = project.run("benchmarks", "--cohort=mine", "-k", "chest")
    result.stdout.fnmatch_lines(["-k 'chest': `chest` is left out: no cohort."])
    assert result.ret == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["benchmarks", "-k", "fair"], "-k 'fair': `fair` is left out: the cohort has no attribute sexx."),
        (["benchmarks/claims/fair.yaml"], "Left out: chest/fair (the cohort has no attribute sexx)."),
    ],
)
def test_a_claim_about_a_misspelt_attribute_alone_says_so(project, arguments, message):
    fair(project, "sexx")
    result = project.run(*arguments)
    result.stdout.fnmatch_lines([message])
    assert result.ret == 1


def test_a_suite_none_of_whose_claims_has_an_item_says_why(project):
    fair(project, "sexx")
    for claim in ("ood", "scale"):
        (project.suite / f"claims/{claim}.yaml").unlink()
    result = project.run("benchmarks")
    result.stdout.fnmatch_lines(["no claim of *: the cohort has no attribute sexx."])
    assert result.ret == 1


@pytest.mark.parametrize(("asked", "status"), [(["benchmarks"], 5), (["test_plain.py"], 0)])
def test_a_setting_that_names_no_folder_is_named(project, asked, status):
    (project.path / "test_plain.py").write_text("def test_plain(): pass\n")
    (project.path / "pytest.ini").write_text("[pytest]\nmedbench_suites = benchmark\n")
    result = project.run(*asked, "-q")
    folder = project.path / "benchmark"
    warned = f"*`medbench_suites` in {project.path}/pytest.ini names {folder}: no such folder."
    result.stdout.fnmatch_lines([warned])
    assert result.ret == status
    result = project.run()
    result.stderr.fnmatch_lines([f"ERROR: {warned[1:]}"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_suite_without_claims_for_the_tier_is_red(project):
    result = project.run("benchmarks", "--tier=private")
    result.stdout.fnmatch_lines(
        ["*nothing was judged*", "no task has a cohort for tier `private`. Give your own with --cohort DIR."]
    )
    assert result.ret == 1


def test_judging_nothing_is_said_quietly_too(project):
    assert project.run("benchmarks", "-q", "-k", "nothing-of-the-kind").ret == 1


# Sharing, the store and the plan


def test_each_distinct_run_is_trained_once_and_reused_by_the_next_session(project):
    result = project.run("benchmarks")
    result.stdout.fnmatch_lines(["plan: 12 runs for 5 items (30 without sharing): 12 to train"])
    assert len(project.trained()) == len(set(project.trained())) == 12
    again, result = project.report()
    assert len(project.trained()) == 12
    assert again["runs"] == {"planned": 12, "executed": 0, "reused": 12, "loaded": 0, "naive": 30}
    result.stdout.fnmatch_lines(["plan: 12 runs for 5 items (30 without sharing): 12 reused"])


def test_force_trains_everything_again(project):
    project.run("benchmarks", "-k", "chest")
    project.run("benchmarks", "-k", "chest", "--runs=force")
    assert len(project.trained()) == 12
    project.run("benchmarks", "-k", "chest", "--runs=force")
    assert len(project.trained()) == 18


def test_one_line_a_run_where_there_is_no_terminal(project):
    result = project.run("benchmarks", "-k", "chest")
    result.stdout.fnmatch_lines(
        ["[[]1/6] chest · bit-small-r14x0.5 · all patients · seed 1: trains*", "*seed 1: *s*"]
    )


# One's own cohort and backbones


def test_a_cohort_of_ones_own_replaces_that_of_its_domain_and_leaves_the_others_out(project):
    project.accept()
    (project.path / "mine").mkdir()
    (project.path / "mine/domain").write_text("mammography")
    report, result = project.report("--cohort=mine")
    assert {claim["id"] for claim in report["claims"]} == {i for i in ITEMS if i.startswith("mammography")}
    assert report["runs"]["executed"] == 6
    assert report["generated"] is False
    assert {row["status"] for row in report["expectations"]} == {"no-expectation"}
    scope = "These verdicts speak of bit-small-r14x0.5 and bit-large-r14x0.5 only, on folder:mine"
    assert report["scope"].startswith(scope)
    assert scope in result.stdout.str()
    assert result.ret == 0


def test_what_was_accepted_for_a_cohort_of_another_domain_has_not_vanished(project):
    for domain in ("chest", "mammography"):
        (project.path / domain).mkdir()
        (project.path / domain / "domain").write_text(domain)
        accepted = ("--expectations=own", "--expect=update", "--reason=mine")
        assert project.run("benchmarks", f"--cohort={domain}", *accepted).ret == 0
    report, result = project.report("--cohort=mammography", "--expectations=own")
    assert report["counts"]["vanished"] == 0
    assert report["counts"]["ok"] == 3
    assert result.ret == 0
    project.edit("claims/scale.yaml", "claim: scale-data", "claim: scale-more")
    report, result = project.report("--cohort=mammography", "--expectations=own")
    assert report["counts"]["vanished"] == 1
    assert result.ret == 1


def test_two_backbones_of_ones_own_replace_the_arms(project):
    report, result = project.report("--backbones=bit-random-r14x0.5,bit-small-r14x0.5", "-k", "chest")
    assert {tuple(claim["arms"].values()) for claim in report["claims"]} == {
        ("bit-random-r14x0.5", "bit-small-r14x0.5")
    }
    assert "speak of bit-random-r14x0.5 and bit-small-r14x0.5 only" in result.stdout.str()


def test_a_cohort_that_is_not_there_is_one_message(project):
    result = project.run("benchmarks", "--cohort=nowhere")
    result.stderr.fnmatch_lines(["*nowhere: no such folder.*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_cluster_that_is_not_a_patient_is_said(project):
    project.world(cluster="study")
    result = project.run("benchmarks", "-k", "chest")
    result.stdout.fnmatch_lines(["*clustered by `study`*"])


@pytest.mark.parametrize("options", [(), ("-q",), ("--collect-only",), ("--no-header",)])
def test_a_warning_is_said_once(project, options):
    project.world(shifts={"chest": []})
    result = project.run("benchmarks", "-k", "chest", *options)
    assert result.stdout.str().count("declares no shift") == 1


def test_a_warning_stands_in_the_report_too(project):
    project.world(shifts={"chest": []})
    report, _ = project.report("-k", "chest")
    assert report["warnings"] == [
        "phantoms:chest: declares no shift, so there is nothing to judge for ood-robustness"
    ]
    assert "declares no shift" in (project.path / "out/report.html").read_text()


# What leaves the session


def test_junit_carries_verdict_and_effect_as_properties(project):
    project.run("benchmarks", "--junitxml=junit.xml", "-k", "chest")
    cases = ET.parse(project.path / "junit.xml").getroot().iter("testcase")
    found = [{p.get("name"): p.get("value") for p in case.iter("property")} for case in cases]
    assert {case["item"] for case in found} == {"chest/ood-robustness/icu", "chest/scale-data/id"}
    for case in found:
        assert case["verdict"] == "supported"
        assert case["expectation"] == "no-expectation"
        assert float(case["low"]) < float(case["effect"]) < float(case["high"])
        assert float(case["margin"]) == 0.005
        assert "/".join((case["task"], case["claim"], case["evaluation_set"])) == case["item"]
        assert case["metric"].startswith("roc_auc@")


def test_junit_says_what_was_accepted(project):
    project.accept()
    project.run("benchmarks", "--junitxml=junit.xml", "-k", "icu")
    (case,) = ET.parse(project.path / "junit.xml").getroot().iter("testcase")
    found = {each.get("name"): each.get("value") for each in case.iter("property")}
    assert (found["accepted"], found["expectation"]) == ("supported", "ok")


def test_no_patient_leaves_the_store(project):
    project.world({"chest/id": REFUTED}, one_class="icu")
    result = project.run("benchmarks", "--report=out", "--junitxml=junit.xml", "-v")
    for path in (project.path / "junit.xml", *(project.path / "out").iterdir()):
        assert "SECRET" not in path.read_text(), path.name
    assert "SECRET" not in result.stdout.str() + result.stderr.str()


def test_the_report_holds_what_its_readers_rely_on(project):
    report, result = project.report()
    assert report["tier"] == "embedded"
    assert report["generated"] is True
    assert report["environment"]["device_class"] == "cpu"
    claim = report["claims"][0]
    assert {"id", "task", "claim", "verdict", "effect", "margin", "n_patients", "n_seeds", "power"} <= set(
        claim
    )
    assert set(claim["effect"]) == {"value", "low", "high"}
    row = report["expectations"][0]
    assert {"id", "status", "check", "expected", "measured", "band"} <= set(row)
    assert report["counts"]["judged"] == 5
    assert len(report["provenance"]) == 12
    result.stdout.fnmatch_lines(["report: out/report.html"])


def test_the_report_is_written_when_items_fail_too(project):
    project.world({"default": REFUTED})
    report, result = project.report("-x")
    assert [claim["verdict"] for claim in report["claims"]] == ["refuted"]
    assert (project.path / "out/report.html").exists()
    assert result.ret == 1


def test_a_report_that_cannot_be_written_is_red_and_says_so(project):
    (project.path / "out/report.html").mkdir(parents=True)
    result = project.run("benchmarks", "-k", "chest", "--report=out")
    result.stdout.fnmatch_lines(["*out: the report cannot be written*"])
    assert result.ret == 1


def test_a_report_that_cannot_be_written_costs_nothing_else(project):
    (project.path / "out/report.html").mkdir(parents=True)
    result = project.run("benchmarks", "-k", "id", "--report=out", "--expect=update", "--reason=x")
    result.stdout.fnmatch_lines(["*out: the report cannot be written*", "accepted values, before and after:"])
    assert (project.path / "expectations/embedded/chest/scale-data.yaml").exists()
    assert result.ret == 1
    project.run("benchmarks", "-k", "chest and id", "--runs=force", "--report=out")
    assert not list((project.path / ".medbench/campaigns").glob("*")), "the next force begins anew"


def test_a_file_in_place_of_the_reports_folder_is_refused_before_anything_is_trained(project):
    (project.path / "out").write_text("a file, not a folder")
    for folder in ("out", "out/below"):
        result = project.run("benchmarks", "-k", "chest", f"--report={folder}")
        result.stderr.fnmatch_lines([f"*--report {folder}: expected a folder (it is made), found a file."])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not project.trained()


# The fixture


def test_the_study_fixture_serves_plain_python(project):
    (project.path / "test_mine.py").write_text("""
def test_mine(study):
    run = study.run(task="chest", backbone="bit-large-r14x0.5", seed=1)
    assert run.record.weight_distance == {"root": 0.1}
    shifted = study.predictions(task="chest", backbone="bit-large-r14x0.5", seed=1, evaluation_set="icu")
    assert shifted.logits.shape == (300, 2)
    assert not any("SECRET" in patient for patient in shifted.patient)
    assert len(set(shifted.patient)) == 150
    assert study.judge("chest/ood-robustness/icu").verdict == "supported"
""")
    result = project.run("test_mine.py")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert len(project.trained()) == 6


@pytest.mark.parametrize("arguments", [["test_mine.py"], [".", "-k", "test_mine"]])
def test_a_test_that_asks_for_runs_only_needs_no_judgement(project, arguments):
    (project.path / "test_mine.py").write_text("""
def test_mine(study):
    assert study.run(task="chest", backbone="bit-large-r14x0.5", seed=1).record.trace
""")
    result = project.run(*arguments)
    result.assert_outcomes(passed=1, deselected=0 if len(arguments) == 1 else 5)
    result.stdout.no_fnmatch_line("*nothing was judged*")
    assert result.ret == 0


def test_tests_that_pass_do_not_make_up_for_claims_without_runs(project):
    (project.path / "test_plain.py").write_text("def test_plain(): pass\n")
    result = project.run("benchmarks", "test_plain.py", "--runs=never")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*nothing was judged*"])
    assert result.ret == 1


def test_a_mistake_in_a_test_is_its_line_and_one_message(project):
    (project.path / "test_mine.py").write_text("""
def test_mine(study):
    helper(study)

def helper(study):
    study.run(task="chst", backbone="bit-large-r14x0.5", seed=1)
""")
    result = project.run("test_mine.py")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "test_mine.py:6: task `chst` takes no part here. Did you mean `chest`?" in text
    assert "def " not in text
    assert "study.py" not in text


def test_a_test_of_a_task_that_takes_no_part_is_skipped_with_the_reason(project):
    (project.path / "mine").mkdir()
    (project.path / "mine/domain").write_text("mammography")
    (project.path / "test_mine.py").write_text(
        'def test_mine(study): study.run(task="chest", backbone="bit-large-r14x0.5", seed=1)\n'
    )
    result = project.run("test_mine.py", "--cohort=mine", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*task `chest` takes no part with this tier and cohort*"])


def test_a_reason_without_anything_to_accept_is_refused(project):
    result = project.run("benchmarks", "--reason=better")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--reason is for --expect=new or --expect=update*"])


@pytest.mark.parametrize("name", ["report", "history", "candidates"])
def test_a_folder_that_cannot_be_made_is_refused_at_once(project, name, monkeypatch):
    def full(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    (project.path / "closed").mkdir()
    result = project.run("benchmarks", f"--{name}=closed/out")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--{name} closed/out: *closed cannot be written (Read-only file system)*"])
    assert not project.trained()


@pytest.mark.parametrize("name", ["report", "history", "candidates", "against"])
def test_an_option_that_an_unset_variable_left_empty_is_refused(project, name):
    result = project.run("benchmarks", f"--{name}=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--{name}: expected a folder, found nothing. Is a variable not set?*"])


def test_a_broken_suite_is_one_message_for_a_test_too(project):
    project.edit("backbones.yaml", *BROKEN["backbones.yaml"])
    (project.path / "test_mine.py").write_text("def test_mine(study): pass\n")
    result = project.run("test_mine.py")
    result.assert_outcomes(errors=1)
    text = result.stdout.str()
    assert "benchmarks/backbones.yaml:4: unknown key `clases`" in text
    assert "loader.py" not in text
    assert "pytest_plugin.py" not in text


def test_other_errors_in_a_test_keep_their_frames(project):
    (project.path / "test_mine.py").write_text("def test_mine(study): assert study is None\n")
    assert "def test_mine(study)" in project.run("test_mine.py").stdout.str()


def test_a_failing_assertion_carries_no_id_into_junit(project):
    (project.path / "test_mine.py").write_text("""
def test_mine(study):
    found = study.run(task="chest", backbone="bit-large-r14x0.5", seed=1).predictions("id")
    assert not found.patient.tolist()
""")
    result = project.run("test_mine.py", "--junitxml=junit.xml", "-vv")
    result.assert_outcomes(failed=1)
    assert "SECRET" not in (project.path / "junit.xml").read_text() + result.stdout.str()


@pytest.mark.parametrize(
    "what", ["cohorts", "generated", "options", "items", "suite", "references", "campaign"]
)
def test_what_the_study_shows_of_itself_carries_no_id(project, what):
    (project.path / "test_mine.py").write_text(f"""
def deep(value, depth=3):
    if depth and isinstance(value, dict):
        return [deep(one, depth - 1) for one in value.values()]
    examples = getattr(value, "examples", None)
    return [value, examples("id") if examples else None]

def test_mine(study):
    assert not [deep(study.{what}), study]
""")
    result = project.run("test_mine.py", "-vv", "-l")
    result.assert_outcomes(failed=1)
    assert "SECRET" not in result.stdout.str()


def test_show_ids_gives_the_fixture_ids_in_clear(project):
    (project.path / "test_mine.py").write_text("""
def test_mine(study):
    found = study.predictions(task="chest", backbone="bit-large-r14x0.5", seed=1)
    assert all("SECRET" in patient for patient in found.patient)
""")
    project.run("test_mine.py", "--show-ids").assert_outcomes(passed=1)


def test_help_teaches_the_options(project):
    text = project.run("--help").stdout.str()
    for option in (
        "--tier",
        "--runs",
        "--cohort",
        "--backbones",
        "--report",
        "--expect",
        "--claims",
        "--store",
    ):
        assert option in text
    assert "medbench_suites" in text
    assert json.dumps(text)
