"""The command: its glance in full, its exit status, and what it refuses before anything is simulated."""

import json
import shutil
from dataclasses import replace

import pytest

from medbench import gate_cli
from medbench.cli import main
from medbench.expect import load
from medbench.gate import coverage, planted
from medbench.gate.parts import QUICK, Sizes, plan, simulate
from medbench.gate.rates import WORLDS
from medbench.stats.prediction import FALSE_ALARMS
from tests.gate.conftest import ROOT
from tests.gate.test_report import findings

GATE = ["validate-gate", "--expectations"]
CLAIMS = ("scale-data", "ood-robustness", "ood-drop", "data-efficiency", "calibration-brier")
"""Of two arms and of more, on sets and between them, of five seeds and of ten, of two metrics."""


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """What was accepted for a few of the claims, so that simulating takes seconds."""
    root = tmp_path_factory.mktemp("few") / "expectations"
    for claim in CLAIMS:
        for file in (ROOT / "embedded").glob(f"*/{claim}.yaml"):
            target = root / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    shutil.copy(ROOT / "embedded" / "items.yaml", root / "embedded")
    shutil.copy(ROOT / "numeric.yaml", root)
    (root / "embedded" / "runs").symlink_to(ROOT / "embedded" / "runs")
    return root


@pytest.fixture(scope="module")
def quick(few, tmp_path_factory):
    """The short version, as a person runs it."""
    folder = tmp_path_factory.mktemp("gate")
    files = ["--json", str(folder / "g.json"), "--write", str(folder / "g.md")]
    status = main([*GATE, str(few), "--quick", *files])
    return status, json.loads((folder / "g.json").read_text()), (folder / "g.md").read_text()


def found(report, **wanted):
    (one,) = [d for d in report["detection"] if all(d[key] == value for key, value in wanted.items())]
    return one


def test_unchanged_nights_do_not_alarm_significantly_more_often_than_designed(quick):
    status, report, _ = quick
    assert status == 0
    alarm = report["false_alarm"]
    assert {"rate", "low", "high", "nights"} <= alarm.keys()
    assert alarm["nights"] == QUICK.nights
    assert alarm["rate"] == max(kind["rate"] for kind in alarm["by"] if kind["counted"])
    assert len(alarm["by"]) == 3 * len(WORLDS)
    assert alarm["low"] <= FALSE_ALARMS


def test_planted_changes_are_caught(quick):
    _, report, _ = quick
    fall = found(report, change="AUC drop", size=0.01, night="same seeds", arms="one arm", worlds="stored")
    assert fall["rate"] == 1
    runs = {"worlds": "stored runs", "night": "same seeds"}
    slight = {("calibration drift (temperature)", 1.5), ("labels flipped", 0.01), ("labels flipped", 0.05)}
    for change, size in planted.CHANGES:
        rates_ = [found(report, **runs, change=change, size=size, metric=m)["rate"] for m in planted.METRICS]
        if change == "calibration drift (temperature)":
            assert rates_[0] < 1  # of seven classes one against the rest, order changes a little
        else:
            assert rates_[0] == (change != planted.NOTHING)
        if (change, size) not in slight:  # Brier and NLL move by more than these from core to core
            assert min(rates_[1:]) >= 0.6 if change != planted.NOTHING else max(rates_[1:]) == 0
    large = found(report, change="AUC drop", size=0.05, night="new seeds", arms="both arms", worlds="stored")
    assert large["rate"] > 0.8


def test_the_record_says_how_wide_intervals_are_and_a_glance_claims_nothing(quick):
    _, report, page = quick
    cells = report["coverage"]
    wanted = {"metric", "certified", "n_patients", "n_seeds", "rate", "low", "high", "width"}
    assert all(wanted <= cell.keys() for cell in cells)
    assert {cell["n_seeds"] for cell in cells} == set(coverage.SEEDS)
    assert all(cell["low"] <= cell["rate"] <= cell["high"] for cell in cells)
    assert report["quick"]
    assert report["bars"] == []
    assert not any(cell["certified"] for cell in cells)
    assert "## What it is held to" not in page
    assert "| seeds | caught (one arm, worlds like the stored runs) |" in page


def test_the_simulated_suite_is_the_accepted_one(quick, few):
    _, report, _ = quick
    accepted = load(few, "embedded")
    assert report["shape"]["items"] == len(accepted.accepted)
    assert report["shape"]["left_out"] == 0
    assert report["shape"]["scores"] == accepted.families["cpu"]
    assert report["shape"]["effects"].keys() == {"gain", "robustness", "data-saved"}
    assert (report["shape"]["fewest_seeds"], report["shape"]["most_seeds"]) == (5, 10)


@pytest.mark.parametrize(
    ("quick", "counts", "status"),
    [
        ([], findings(), 0),
        ([], findings(caught=1899), 1),
        ([], findings(kurtosis=-9), 1),  # heavy tails count, and alarm too often
        (["--quick"], findings(caught=0), 0),
        (["--quick"], findings(kurtosis=-9), 1),
    ],
)
def test_the_exit_status_says_whether_every_bar_is_met(monkeypatch, few, quick, counts, status):
    monkeypatch.setattr(gate_cli, "simulate", lambda *args, **kwargs: counts)
    assert main([*GATE, str(few), *quick]) == status


def test_a_metric_that_is_not_certified_is_a_bar_not_met(monkeypatch, few):
    counts = findings()
    counts.tallies["brier", 100, 5].hits[coverage.NOMINAL] = 3700
    monkeypatch.setattr(gate_cli, "simulate", lambda *args, **kwargs: counts)
    assert main([*GATE, str(few)]) == 1


def test_the_help_says_what_the_exit_status_means(capsys):
    with pytest.raises(SystemExit):
        main(["validate-gate", "--help"])
    assert "Exit status: 0 if every bar is met, 1 if one is not" in " ".join(capsys.readouterr().out.split())


def test_figures_follow_from_the_seed_whatever_the_workers(few):
    sizes = Sizes(
        nights=2,
        changed=1,
        sets=1,
        nights_each=1,
        planted_sets=0,
        suites=1,
        agreement=0,
        studies={100: 3},
        candidates={},
        scarce=(),
    )
    one, again, two, other = (
        simulate(sizes, few, "embedded", seed=seed, workers=workers, say=lambda line: None)
        for seed, workers in ((1, 1), (1, 1), (1, 2), (2, 1))
    )
    assert one == again == two
    assert one != other


def test_every_night_and_study_of_the_plan_is_in_some_part():
    parts = plan(Sizes())
    for worlds in WORLDS:
        for name, count in (("unchanged", 4000), ("changed", 2000), ("conditional", 200)):
            assert sum(p.arguments[1] for p in parts if p.name == name and p.arguments[0] == worlds) == count
    for patients, studies in Sizes().studies.items():
        of_size = [p.arguments[1] for p in parts if p.name == "grid" and p.arguments[0] == patients]
        assert sum(of_size) == studies
    assert [p.seconds for p in parts] == sorted((p.seconds for p in parts), reverse=True)


def test_the_plan_has_enough_nights_for_its_bars():
    assert Sizes().nights >= 2000
    assert min(studies for patients, studies in Sizes().studies.items() if 100 <= patients <= 1000) >= 4000
    assert plan(replace(Sizes(), nights=1))


def test_a_folder_without_accepted_values_is_named(tmp_path, capsys):
    assert main(["validate-gate", "--expectations", str(tmp_path)]) == 2
    assert f"{tmp_path}/embedded: no accepted values" in capsys.readouterr().err


def test_a_number_of_nights_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["validate-gate", "--nights", "few"])
    assert "expected a whole number of at least 1, not `few`" in capsys.readouterr().err


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(ROOT, tmp_path / "expectations", ignore=shutil.ignore_patterns("runs"))
    return tmp_path / "expectations"


def test_a_suite_that_a_simulation_cannot_take_is_refused_before_anything_is_simulated(copied, capsys):
    for file in (copied / "embedded").glob("*/*.yaml"):
        file.unlink()
    assert main(["validate-gate", "--quick", "--expectations", str(copied)]) == 2
    assert "need an accepted gain of roc_auc@1 on cpu with two seeds or more; of 0" in capsys.readouterr().err


def test_without_calibration_there_are_no_nights_on_another_machine(copied, capsys):
    (copied / "numeric.yaml").write_text("[]\n")
    assert main(["validate-gate", "--quick", "--expectations", str(copied)]) == 2
    assert "numeric.yaml: no row for cpu" in capsys.readouterr().err


def test_a_file_that_could_not_be_written_is_refused_before_anything_is_simulated(few, tmp_path, capsys):
    place = str(tmp_path / "gone" / "g.json")
    assert main([*GATE, str(few), "--json", place]) == 2
    assert "is no folder" in capsys.readouterr().err
