"""The command that lists what claims may name."""

import shutil
from pathlib import Path

import pytest

from medbench.cli import main
from medbench.spec.loader import load_yaml
from medbench.spec.metrics import BUILT_IN, Metrics

SUITE = Path(__file__).parents[1] / "benchmarks"
DECLARED = load_yaml(SUITE / "metrics.yaml", Metrics).metrics


@pytest.fixture
def suite(tmp_path):
    copy = tmp_path / "benchmarks"
    shutil.copytree(SUITE, copy)
    with (copy / "metrics.yaml").open("a") as metrics:
        metrics.write("  tempered: {kind: ece, temperature: true}\n")
        metrics.write("  worst: {kind: worst_group, of: tempered, attributes: [sex]}\n")
    return copy


def test_a_line_a_metric_gives_name_direction_range_identity_and_meaning(suite, capsys):
    assert main(["metrics", str(suite)]) == 0
    heading, *lines, empty, more, certified = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "better", "range", "intervals", "identity", "what", "it", "is"]
    assert certified.startswith("Certified: ")
    rows = {line.split()[0]: [cell.strip() for cell in line.split("  ") if cell] for line in lines}
    assert list(rows) == [*BUILT_IN, *DECLARED, "tempered", "worst"]
    assert rows["nll"][1:5] == ["lower", "0 to inf", "certified", "nll@1"]
    assert rows["ece"][3] == "not certified"
    assert rows["roc_auc"][1:] == [
        "higher",
        "0 to 1",
        "certified",
        "roc_auc@1",
        "Area under the ROC curve, ties counted half.",
    ]
    assert rows["worst"][1:5] == [
        "lower",
        "0 to 1",
        "not certified",
        "worst_group/of-ece/equal-width-15-temperature@1-by-sex-from-20@1",
    ]
    assert (empty, more.startswith(f"More may be declared in {suite / 'metrics.yaml'};")) == ("", True)
    starts = {line.index(rows[line.split()[0]][4]) for line in lines}
    assert len(starts) == 1, "columns stand below each other"


def test_a_metric_of_the_tasks_own_is_listed_for_each_that_there_is(suite, capsys):
    chest = suite / "tasks/chest.yaml"
    chest.write_text(chest.read_text().replace("primary: roc_auc", "primary: nll"))
    assert main(["metrics", str(suite)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    gaps = [row for row in rows if row[:1] == ["gap"]]
    assert sorted("of-nll@1-" in identity for _, *cells in gaps for identity in cells if "@" in identity) == [
        False,
        True,
    ]


def test_a_wrong_declaration_is_one_message(suite, capsys):
    path = suite / "metrics.yaml"
    line = len(path.read_text().splitlines())
    path.write_text(path.read_text().replace("of: tempered", "of: tmpered"))
    assert main(["metrics", str(suite)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith(
        f"metrics.yaml:{line}: unknown metric `tmpered` in metric `worst`. Did you mean `tempered`?\n"
    )
