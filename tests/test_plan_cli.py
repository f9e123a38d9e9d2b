"""`medbench plan`: which items are selected, and what a person reads."""

import re
from pathlib import Path

import pytest

from medbench.cli import main
from medbench.forecast import Forecast
from medbench.study import Study

SUITE = str(Path(__file__).parents[1] / "benchmarks")


def plan(capsys, tmp_path, *arguments: str) -> tuple[int, str, str]:
    """Status, output and complaint of `medbench plan` with nothing stored and nothing accepted."""
    (tmp_path / "expectations").mkdir()
    nowhere = ["--store", str(tmp_path / "store"), "--expectations", str(tmp_path / "expectations")]
    status = main(["plan", SUITE, *nowhere, *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_every_run_has_a_line_and_the_sum_says_what_sharing_saves(capsys, tmp_path):
    status, out, _ = plan(capsys, tmp_path, "-k", "Dermatology")
    assert status == 0
    *runs, empty, total = out.splitlines()
    assert empty == ""
    label, _, origin = runs[0].partition("  ")
    assert label == "dermatology · bit-cifar2k-r14x0.5 · all patients · seed 1"
    assert origin.strip() == "to train"
    assert len(set(runs)) == len(runs), "a line tells its run from the others"
    n_runs, n_items, naive = map(int, re.findall(r"\d+", total)[:3])
    assert total == f"{n_runs} runs for {n_items} items ({naive} without sharing): {n_runs} to train"
    assert n_runs == len(runs)
    assert naive > 3 * n_runs


def test_a_line_says_under_which_recipe_and_with_how_many_patients_where_it_is_not_as_usual(capsys, tmp_path):
    _, out, _ = plan(capsys, tmp_path, "-k", "chest and (transfer-gain or data-efficiency)")
    labels = {line.rpartition("  ")[0].strip() for line in out.splitlines()}
    assert "chest · bit-random-r14x0.5 · embedded-long · all patients · seed 5" in labels
    assert "chest · bit-random-r14x0.5 · all patients · seed 5" in labels
    assert "chest · bit-cifar50k-r14x0.5 · 10% of patients · seed 5" in labels


def test_a_single_item_is_one_item(capsys, tmp_path):
    _, out, _ = plan(capsys, tmp_path, "-k", "chest and scale-data")
    assert out.endswith("20 runs for 1 item (20 without sharing): 20 to train\n")


def test_a_run_in_the_store_is_reused_in_the_words_of_the_report(capsys, tmp_path, monkeypatch):
    everything = Forecast(reused=20, loaded=[], to_train=[], not_run=0, seconds=None)
    monkeypatch.setattr(Study, "forecast", lambda study, plan: everything)
    _, out, _ = plan(capsys, tmp_path, "-k", "chest and scale-data")
    *runs, _, total = out.splitlines()
    assert {line.rpartition("  ")[2] for line in runs} == {"reused"}
    assert total == "20 runs for 1 item (20 without sharing): 20 reused"


def test_backbones_of_ones_own_replace_the_arms(capsys, tmp_path):
    _, out, _ = plan(
        capsys, tmp_path, "-k", "chest", "--backbones", "bit-random-r14x0.5, bit-cifar2k-r14x0.5"
    )
    assert "bit-random-r14x0.5" in out
    assert "bit-cifar50k" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["-k", "mamography"],
            "no item matches -k 'mamography'. No name has `mamography`. Did you mean `mammography`?\n",
        ),
        (
            ["-k", "mamography and id"],
            "no item matches -k 'mamography and id'. No name has `mamography`. Did you mean `mammography`?\n",
        ),
        (
            ["-k", "chest id"],
            (
                "-k 'chest id': expected `and` or `or`, found `id`. "
                "Join words by `and`, `or`, `not` and brackets.\n"
            ),
        ),
        (
            ["--backbones", "bit-random-r14x0.5,bit-cifar50k-r14x0.5", "-k", "scale-interaction and chest"],
            (
                "no item matches -k 'scale-interaction and chest'. `scale-interaction` is left out: "
                "two backbones cannot stand in for its arms.\n"
            ),
        ),
        (
            ["--tier", "private"],
            "no task has a cohort for tier `private`. Give your own with --cohort DIR.\n",
        ),
    ],
)
def test_a_plan_of_nothing_says_why(arguments, message, capsys, tmp_path):
    assert plan(capsys, tmp_path, *arguments) == (2, "", message)


def test_a_folder_of_expectations_that_is_not_there_is_refused(capsys, tmp_path):
    status, out, err = plan(capsys, tmp_path, "--expectations", str(tmp_path / "nowhere"))
    assert (status, out) == (2, "")
    default = Path(SUITE).parent / "expectations"
    assert err == f"--expectations {tmp_path}/nowhere: no such folder. The default is {default}.\n"


def test_a_backbone_is_not_compared_with_itself(capsys, tmp_path):
    with pytest.raises(SystemExit):
        plan(capsys, tmp_path, "--backbones", "bit-random-r14x0.5, bit-random-r14x0.5")
    assert "expected two backbones, and both are `bit-random-r14x0.5`" in capsys.readouterr().err


@pytest.mark.parametrize("names", ["one", "one,", "one,two,three"])
def test_backbones_are_two_names(names, capsys, tmp_path):
    with pytest.raises(SystemExit):
        plan(capsys, tmp_path, "--backbones", names)
    assert "expected two names, as in BASELINE,TREATMENT" in capsys.readouterr().err
