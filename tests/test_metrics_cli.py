"""The command that lists what claims may name."""

import shutil
from pathlib import Path

import pytest

from medbench.cli import main
from medbench.spec.metrics import BUILT_IN, GroupGap, WorstGroup
from medbench.spec.suite import load_suite

SUITE = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def suite(tmp_path):
    copy = tmp_path / "benchmarks"
    shutil.copytree(SUITE, copy)
    declared = (copy / "metrics.yaml").read_text()
    (copy / "metrics.yaml").write_text(
        f"{declared.rstrip()}\n"
        "  tempered: {kind: ece, temperature: true}\n"
        "  worst: {kind: worst_group, of: tempered, attributes: [sex]}\n"
    )
    return copy


def listed(suite, capsys):
    """The rows that the command prints, split into cells, each name with all of its own."""
    assert main(["metrics", str(suite)]) == 0
    _, *lines, _, _, _ = capsys.readouterr().out.splitlines()
    rows = {}
    for line in lines:
        name, *cells = [cell.strip() for cell in line.split("  ") if cell]
        rows.setdefault(name, []).append(cells)
    return rows


def test_a_line_a_metric_gives_name_direction_range_identity_and_meaning(suite, capsys):
    assert main(["metrics", str(suite)]) == 0
    heading, *lines, empty, more, certified = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "better", "range", "intervals", "identity", "what", "it", "is"]
    assert certified.startswith("Certified: ")
    rows = {line.split()[0]: [cell.strip() for cell in line.split("  ") if cell] for line in lines}
    assert list(rows) == list(load_suite(suite).metrics)
    assert list(rows)[: len(BUILT_IN)] == list(BUILT_IN)
    assert list(rows)[-2:] == ["tempered", "worst"]
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


def test_a_metric_of_the_tasks_own_is_listed_once_for_each_that_tasks_have(suite, capsys):
    def gap(of):
        identity = f"group_gap/max-min-of-{of}@1-by-each-from-20@1"
        return ["lower", "0 to 1", "not certified", identity, GroupGap.__doc__]

    def worst(of, better):
        identity = f"worst_group/of-{of}@1-by-each-from-20@1"
        return [better, "0 to 1", "not certified", identity, WorstGroup.__doc__]

    rows = listed(suite, capsys)
    assert rows["gap"] == [gap("roc_auc")]
    task = suite / "tasks/chest.yaml"
    task.write_text(task.read_text().replace("primary: roc_auc", "primary: aurc"))
    (suite / "tasks/chest-nih.yaml").unlink()  # asks the same claims of another cohort
    rows = listed(suite, capsys)
    assert rows["gap"] == [gap("aurc"), gap("roc_auc")]
    assert rows["worst_group"] == [worst("aurc", "lower"), worst("roc_auc", "higher")]
    assert {len(found) for name, found in rows.items() if name not in ("gap", "worst_group")} == {1}


def test_a_tasks_own_metric_that_compares_groups_is_not_compared_between_groups(suite, capsys):
    """No claim on sub-groups can be about that task, but those about others can."""
    task = suite / "tasks/chest.yaml"
    task.write_text(task.read_text().replace("primary: roc_auc", "primary: worst"))
    for file in (*(suite / "claims").glob("*fairness*.yaml"), *(suite / "syntheses").glob("*.yaml")):
        file.write_text(file.read_text().replace("[chest, ", "["))
    rows = listed(suite, capsys)
    assert [cells[3] for cells in rows["gap"]] == ["group_gap/max-min-of-roc_auc@1-by-each-from-20@1"]
    assert len(rows["worst"]) == 1


def test_a_wrong_declaration_is_one_message(suite, capsys):
    path = suite / "metrics.yaml"
    path.write_text(path.read_text().replace("of: tempered", "of: tmpered"))
    assert main(["metrics", str(suite)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith(
        "metrics.yaml:8: unknown metric `tmpered` in metric `worst`. Did you mean `tempered`?\n"
    )
