"""The examples of docs/other-results.md do what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from medbench.cli import main
from medbench.spec.loader import load_yaml
from medbench.spec.schema import json_schemas
from tests.others.scored import examples, write_rows
from tests.spec.test_schema import accepts

PAGE = (Path(__file__).parents[2] / "docs" / "other-results.md").read_text(encoding="utf-8")
SUITE = Path(__file__).parents[2] / "benchmarks"


def block(first_line):
    """The YAML block that begins with that comment."""
    return re.search(rf"```yaml\n({re.escape(first_line)}\n.*?)```", PAGE, re.DOTALL)[1]


def test_the_table_of_the_page_is_judged_with_its_declaration(tmp_path, capsys):
    (tmp_path / "scales.yaml").write_text(block("# scales.yaml"))
    gains = {"rn50-in1k": 0, "rn50-in21k": 0.02, "rn152-in1k": 0.03, "rn152-in21k": 0.06}
    noise = {1: 0.001, 2: -0.001, 3: 0.0005}
    rows = [
        {"model": name, "part": part, "run": seed, "auc": round(0.7 + gain + part / 20 + noise[seed] * i, 5)}
        for i, (name, gain) in enumerate(gains.items(), 1)
        for part in (0.1, 1.0)
        for seed in noise
    ]
    table = write_rows(tmp_path / "results.csv", rows)
    columns = re.search(r"--columns (backbone=model\S*)", PAGE)[1]
    given = ["--results", str(table), "--columns", columns, "--backbones", str(tmp_path / "scales.yaml")]
    assert main(["judge", *given, "--metric", "roc_auc"]) in (0, 1)
    assert "rn50-in1k → rn152-in21k" in capsys.readouterr().out


def test_the_folder_of_the_page_is_judged_by_the_claims_of_the_suite(tmp_path, capsys):
    (tmp_path / "predictions.yaml").write_text(block("# predictions.yaml"))
    for name, gain in (("net-s", 0.0), ("net-m", 1.5)):
        for seed in (1, 2, 3):
            for evaluation_set in ("id", "vendor-b"):
                path = tmp_path / name / f"seed-{seed}" / f"{evaluation_set}.csv"
                write_rows(path, examples(gain, seed))
    assert main(["judge", "--predictions", str(tmp_path), "--suite", str(SUITE)]) in (0, 1)
    out = capsys.readouterr().out
    assert re.search(r"scale-data +id +net-s → net-m .* supported", out)


@pytest.mark.parametrize("kind", ["scales", "predictions"])
def test_editors_know_the_files_of_the_page(tmp_path, kind):
    (tmp_path / "file.yaml").write_text(block(f"# {kind}.yaml"))
    schema = json_schemas()[f"{kind}.schema.json"]
    declared = load_yaml(tmp_path / "file.yaml", Any)
    assert accepts(schema, declared, schema["$defs"])
    assert not accepts(schema, {**declared, "backbone": {}}, schema["$defs"])


@pytest.mark.parametrize("option", re.findall(r"`(--[a-z-]+)", PAGE))
def test_every_option_of_the_page_is_one(option, capsys):
    with pytest.raises(SystemExit):
        main(["judge", "--help"])
    assert option in capsys.readouterr().out
