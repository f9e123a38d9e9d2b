"""`medbench judge`: what a person types, reads and gets back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medbench.cli import main
from tests.others.scored import DECLARED, write_folder
from tests.others.tables import SCALES, published, write

SUITE = str(Path(__file__).parent / "suites" / "good")
COLUMNS = "backbone=model, fraction=part, seed=run, value=auc"


@pytest.fixture
def judge(tmp_path, capsys):
    def judge(rows, *options, scales=SCALES, metric=("--metric", "roc_auc")):
        table, declared = write(tmp_path, rows, scales)
        given = ["--results", str(table), "--columns", COLUMNS, "--backbones", str(declared), *metric]
        status = main(["judge", *given, *options])
        out, err = capsys.readouterr()
        return status, out, err

    return judge


def test_a_table_is_judged_line_by_line_and_says_what_its_intervals_leave_out(judge):
    status, out, err = judge(published())
    head, headings, *rows = out.splitlines()
    assert (status, err) == (0, "")
    assert "results.csv: 36 rows · roc_auc, higher is better · margin 0.005 · share of the data 60%" in head
    assert headings.split() == [
        "claim",
        "data",
        "comparison",
        *("effect,", "90%", "interval"),
        "margin",
        "verdict",
        *("p,", "Holm"),
        "seeds",
    ]
    assert rows[2].split() == [
        *("scale-data", "1.0", "r50:", "small", "→", "large"),
        *("+0.020", "[+0.017,", "+0.023]", "0.005", "supported", "0.008", "3", "paired"),
    ]
    assert "speak of other seeds on this one test set, not of other patients" in out
    assert "drawn at level 0.05 by itself" in out
    assert "adjusted over the claim's rows (Holm)" in out
    assert rows[-1].startswith("20 judged: ")


def test_a_refuted_claim_is_status_1(judge):
    status, out, _ = judge(published(), "--margin", "0.5")
    assert status == 1
    assert "refuted" in out


def test_what_is_missing_is_told_once_with_the_number(judge):
    scales = SCALES + "amounts: {'0.1': 1, '0.5': 5, '1.0': full}\n"
    _, out, _ = judge(published(), scales=scales)
    reason = "the share is not known, because 1.0 has no declared size"
    assert out.count(reason) == 1
    assert f"missing (5): {reason}" in out
    assert out.splitlines()[-1].endswith(" · 5 missing")


def test_notes_on_the_table_are_printed(judge):
    _, out, _ = judge([*published(), published()[0]])
    assert "note: 1 of 37 rows repeat" in out


def test_the_json_file_has_every_number_behind_the_verdicts(judge, tmp_path):
    file = tmp_path / "out.json"
    _, out, _ = judge(published(), "--json", str(file))
    report = json.loads(file.read_text())
    assert report["schema_version"] == 1
    assert (report["metric"], report["margin"], report["level"]) == ("roc_auc", 0.005, 0.05)
    assert report["scope"] in out
    assert sum(report["counts"][word] for word in ("supported", "refuted", "inconclusive")) == 20
    claim = report["claims"][0]
    assert claim["terms"][1]["values"] == {
        str(row["run"]): row["auc"] for row in published() if (row["model"], row["part"]) == ("net-b", "0.1")
    }
    assert claim["effect"]["low"] < claim["effect"]["value"] < claim["effect"]["high"]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ((), "no --metric is given: say --higher-is-better or --lower-is-better."),
        (("--metric", "dice"), "metric `dice` is not known to medbench: say --higher-is-better"),
        (
            ("--metric", "roc_auc", "--lower-is-better"),
            "of `roc_auc`, higher is better: leave the option out, or give the metric another name",
        ),
    ],
)
def test_the_direction_must_be_known_and_not_contradict_the_metric(judge, metric, message):
    status, _, err = judge(published(), metric=metric)
    assert status == 2
    assert message in err


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("roc_uac", "`roc_auc`"),
        ("AUC", "`aurc` or `roc_auc`"),
        ("brier_score", "`brier`"),
        ("accurracy", "`accuracy` or `balanced_accuracy`"),
    ],
)
@pytest.mark.parametrize("direction", [(), ("--higher-is-better",), ("--lower-is-better",)])
def test_a_name_that_is_nearly_a_known_one_is_refused_whatever_the_direction(judge, name, near, direction):
    status, _, err = judge(published(), metric=("--metric", name, *direction))
    assert status == 2
    assert f"metric `{name}` is not known to medbench. Did you mean {near}? If it is one of your own," in err


def test_a_metric_of_ones_own_has_the_direction_that_is_given(judge):
    status, out, _ = judge(published(), metric=("--metric", "my_loss", "--lower-is-better"))
    assert status == 1
    assert "my_loss, lower is better" in out
    assert judge(published(), metric=("--higher-is-better",))[0] == 0


def test_nothing_judged_is_a_mistake_after_the_table_says_why(judge):
    status, out, err = judge([row for row in published() if row["run"] == 1])
    assert status == 2
    assert "has one seed, so the noise of training is unknown" in out
    assert "nothing could be judged, for the reasons above" in err


def test_nothing_to_compare_is_a_mistake(judge):
    status, _, err = judge([row for row in published() if row["model"] == "net-a"])
    assert status == 2
    assert "nothing to compare. No two of its backbones stand on one ladder" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--columns", "backbone=m,fraction=f,seed=s"], "lacks value=…"),
        (["--columns", "model=m"], "unknown role `model` in `model=m`"),
        (["--columns", "backbone"], "expected one column for `backbone`, as in backbone=NAME"),
        (["--columns", "backbone=a,backbone=b"], "expected one column for `backbone`"),
        (["--margin", "-1"], "expected a number at least 0, found `-1`"),
        (["--margin", "1_0"], "expected a number at least 0, found `1_0`"),
        (["--margin", "nan"], "expected a number at least 0, found `nan`"),
        (["--share", "0"], "expected a number above 0 and at most 1, found `0`"),
        (["--share", "60%"], "expected a number above 0 and at most 1, found `60%`"),
        (["--predictions", "."], "not allowed with argument --results"),
    ],
)
def test_a_wrong_option_is_a_usage_error(capsys, options, message):
    with pytest.raises(SystemExit) as end:
        main(["judge", "--results", "r.csv", *options])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_an_option_that_a_table_needs_is_named(capsys):
    assert main(["judge", "--results", "r.csv"]) == 2
    assert capsys.readouterr().err == "--results needs --columns; `medbench judge --help` says what it is.\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--results", "r", "--suite", "s"], "--results has no use for --suite; leave it out.\n"),
        (["--predictions", "p", "--margin", "0"], "--predictions has no use for --margin; leave it out.\n"),
        (
            ["--predictions", "p", "--lower-is-better"],
            "--predictions has no use for --higher-is-better or --lower-is-better; leave it out.\n",
        ),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(capsys, given, message):
    assert main(["judge", *given]) == 2
    assert capsys.readouterr().err == message


def test_judging_imports_no_jax(tmp_path):
    root = write_folder(tmp_path / "theirs", seeds=(1, 2), sets=("id",))
    code = (
        "import sys\n"
        "from medbench.cli import main\n"
        f"status = main(['judge', '--predictions', {str(root)!r}, '--suite', {SUITE!r}])\n"
        "sys.exit(status or 'jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_file_that_cannot_be_written_is_told(judge, tmp_path):
    status, _, err = judge(published(), "--json", str(tmp_path / "no" / "out.json"))
    assert status == 2
    assert "out.json: cannot be written (No such file or directory)." in err


def test_help_states_the_exit_statuses(capsys):
    with pytest.raises(SystemExit):
        main(["judge", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "0 if every verdict is supported or inconclusive, 1 if any is refuted, 2 for a mistake" in text


@pytest.fixture
def judge_folder(tmp_path, capsys):
    def judge(*options, **folder):
        root = write_folder(tmp_path / "theirs", **folder)
        status = main(["judge", "--predictions", str(root), "--suite", SUITE, *options])
        out, err = capsys.readouterr()
        return status, out, err

    return judge


def test_a_folder_of_predictions_is_judged_item_by_item(judge_folder):
    status, out, err = judge_folder()
    _, headings, one, two, alone, closing = out.splitlines()
    assert (status, err) == (0, "")
    assert headings.split()[:3] == ["claim", "evaluation", "comparison"]
    assert one.split()[:5] == ["ood-robustness", "vendor-b", "net-small", "→", "net-large"]
    assert headings.split()[-6:] == ["margin", "verdict", "p,", "Holm", "patients", "seeds"]
    assert two.split()[-5:] == ["0.005", "supported", "<.001", "80", "3"]
    assert alone.endswith("adjusted over the items of its claim's family (Holm).")
    assert closing == "2 judged: 2 supported, 0 refuted, 0 inconclusive"


def test_a_refuted_claim_of_a_folder_is_status_1(judge_folder):
    assert judge_folder(declared=DECLARED + "arms: {baseline: net-large, treatment: net-small}\n")[0] == 1


def test_what_a_folder_does_not_allow_is_printed_and_counted(judge_folder):
    _, out, _ = judge_folder(sets=("id",))
    assert "not judged: ood-robustness on vendor-b: no such evaluation set: " in out
    assert out.endswith("1 judged: 1 supported, 0 refuted, 0 inconclusive · 1 not allowed\n")


def test_a_folder_that_allows_nothing_is_a_mistake(judge_folder):
    status, out, err = judge_folder(seeds=(1,))
    assert status == 2
    assert "one seed (1) in all arms" in out
    assert "theirs: nothing could be judged, for the reasons above." in err


def test_the_json_of_a_folder_has_its_judgements_and_no_patient(judge_folder, tmp_path):
    file = tmp_path / "out.json"
    judge_folder("--json", str(file), sets=("id",))
    report = json.loads(file.read_text())
    assert [claim["id"] for claim in report["claims"]] == ["clinic-a/scale-data/id"]
    assert report["not_allowed"][0]["evaluation_set"] == "vendor-b"
    assert report["claims"][0]["p_holm"] == pytest.approx(report["claims"][0]["p"])
    assert "p001" not in file.read_text()
