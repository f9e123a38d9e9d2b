"""The command that lists what claims may name."""

import shutil
from pathlib import Path

import pytest

from medbench.cli import main
from medbench.spec.metrics import BUILT_IN

SUITE = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def suite(tmp_path):
    copy = tmp_path / "benchmarks"
    shutil.copytree(SUITE, copy)
    (copy / "metrics.yaml").write_text(
        "metrics:\n"
        "  tempered: {kind: ece, temperature: true}\n"
        "  worst: {kind: worst_group, of: tempered, attributes: [sex]}\n"
    )
    return copy


def test_a_line_a_metric_gives_name_direction_range_identity_and_meaning(suite, capsys):
    assert main(["metrics", str(suite)]) == 0
    heading, *lines, empty, more, certified = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "better", "range", "intervals", "identity", "what", "it", "is"]
    assert certified.startswith("Certified: ")
    rows = {line.split()[0]: [cell.strip() for cell in line.split("  ") if cell] for line in lines}
    assert list(rows) == [*BUILT_IN, "tempered", "worst"]
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


def test_a_wrong_declaration_is_one_message(suite, capsys):
    path = suite / "metrics.yaml"
    path.write_text(path.read_text().replace("of: tempered", "of: tmpered"))
    assert main(["metrics", str(suite)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith(
        "metrics.yaml:3: unknown metric `tmpered` in metric `worst`. Did you mean `tempered`?\n"
    )
