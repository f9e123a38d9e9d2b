"""The JSON Schemas say of the files what the loader says of them."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from medbench.errors import MedbenchError
from medbench.spec.loader import load_yaml
from medbench.spec.schema import FILES, json_schemas, run

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TYPES = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}


def accepts(schema: dict[str, Any], value: Any, definitions: dict[str, Any]) -> bool:
    """A validator of the part of JSON Schema that is used, written from its specification."""
    known = {"$ref", "$defs", "$schema", "anyOf", "discriminator", "enum", "type", "title", "description"} | {
        *("default", "properties", "required", "additionalProperties", "items", "propertyNames")
    }
    assert set(schema) <= known, f"the test does not know {set(schema) - known}"
    if "$ref" in schema:
        return accepts(definitions[schema["$ref"].removeprefix("#/$defs/")], value, definitions)
    if "anyOf" in schema:
        return any(accepts(part, value, definitions) for part in schema["anyOf"])
    if "enum" in schema and value not in schema["enum"]:
        return False
    types = schema.get("type", list(TYPES))
    of_type = [TYPES[t] for t in ([types] if isinstance(types, str) else types)]
    if not any(isinstance(value, t) and not (isinstance(value, bool) and t is not bool) for t in of_type):
        return False
    if isinstance(value, list):
        return all(accepts(schema.get("items", {}), item, definitions) for item in value)
    if isinstance(value, dict):
        properties, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
        if not set(schema.get("required", [])) <= set(value) or (
            rest is False and set(value) - set(properties)
        ):
            return False
        return all(accepts(properties.get(key, rest), item, definitions) for key, item in value.items())
    return True


def kinds() -> list[tuple[str, Path]]:
    """Every file of the project's own suite, with the name of its schema."""
    return [
        (name, path)
        for name, (_, pattern) in FILES.items()
        if pattern.startswith("benchmarks/")
        for path in sorted(BENCHMARKS.glob(pattern.removeprefix("benchmarks/")))
    ]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "s").write_text("")
    with pytest.raises(MedbenchError, match=r"s: not a folder"):
        run(argparse.Namespace(out=tmp_path / "s"))
    with pytest.raises(MedbenchError, match=r"s.below: cannot be written \(Not a directory\)"):
        run(argparse.Namespace(out=tmp_path / "s" / "below"))


def test_every_file_of_the_suite_has_a_schema():
    assert {path for _, path in kinds()} == set(BENCHMARKS.rglob("*.yaml"))


@pytest.mark.parametrize(("name", "path"), kinds(), ids=lambda value: getattr(value, "name", None))
def test_a_schema_accepts_what_the_project_declares(name, path):
    schema = json_schemas()[name]
    assert accepts(schema, load_yaml(path, Any), schema["$defs"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("margin:", "margn:"),
        ("margin: 0.005", "margin: small"),
        ("margin: 0.005\n", ""),
        ("evaluate: each-shift", "evaluate: everywhere"),
        ("tasks: [", "tasks: x # ["),
        ("upstream: cifar2k", "upstream: [cifar2k]"),
    ],
)
def test_a_schema_refuses_what_the_loader_refuses(old, new, tmp_path):
    good = (BENCHMARKS / "claims/ood-robustness.yaml").read_text()
    assert old in good
    path = tmp_path / "claim.yaml"
    path.write_text(good.replace(old, new))
    record, _ = FILES["claim.schema.json"]
    with pytest.raises(MedbenchError):
        load_yaml(path, record)
    schema = json_schemas()["claim.schema.json"]
    assert not accepts(schema, load_yaml(path, Any), schema["$defs"])


def test_the_schema_of_claims_takes_each_effect_with_its_own_parameters(tmp_path):
    text = (BENCHMARKS / "claims/scale-interaction.yaml").read_text()
    path, schema = tmp_path / "claim.yaml", json_schemas()["claim.schema.json"]
    weights = text[text.index("weights: ") : text.index("}}") + 1]
    for effect, fits in [
        (f"contrast, {weights}", True),
        ("slope", True),
        ("data-saved", True),
        ("robustness", True),
        ("gain", True),
        ("contrast", False),
        ("contrast, weights: [1, -1]", False),
        (f"slope, {weights}", False),
        ("sum", False),
    ]:
        assert text.count(f"contrast, {weights}") == 1
        path.write_text(text.replace(f"contrast, {weights}", effect))
        assert accepts(schema, load_yaml(path, Any), schema["$defs"]) is fits, effect


METRICS = """\
metrics:
  screening: {kind: sensitivity_at_specificity, specificity: 0.9, label: malignant}
  worst: {kind: worst_group, of: nll, attributes: [sex, age], smallest: 10}
"""


def test_the_schema_of_metrics_takes_each_kind_with_its_own_parameters(tmp_path):
    path, schema = tmp_path / "metrics.yaml", json_schemas()["metrics.schema.json"]
    path.write_text(METRICS)
    assert accepts(schema, load_yaml(path, Any), schema["$defs"])
    for old, new in [
        ("specificity: 0.9", "specificity: high"),
        (" of: nll,", ""),
        ("attributes: [sex, age]", "attributes: sex"),
        ("smallest: 10", "specificity: 0.9"),
        ("kind: worst_group", "kind: best_group"),
    ]:
        assert METRICS.count(old) == 1
        path.write_text(METRICS.replace(old, new))
        assert not accepts(schema, load_yaml(path, Any), schema["$defs"]), new


def test_an_editor_shows_what_a_kind_of_metric_inherits():
    kinds = json_schemas()["metrics.schema.json"]["$defs"]
    text = kinds["SensitivityAtSpecificity"]["properties"]["label"]["description"]
    assert text.startswith("A class of the target; empty for the mean")
    assert kinds["CalibrationError"]["properties"]["temperature"]["description"].startswith("Whether logits")
    assert set(kinds["TopK"]["properties"]) == {"kind", "k"}


def test_numbers_pass_where_the_loader_takes_them_as_text(tmp_path):
    path = tmp_path / "cohort.yaml"
    path.write_text(
        "domain: chest\ntable: t.csv\ncolumns: {image: i, patient: p}\n"
        "labels: {nodule: {column: n, positive: [1]}}\nuncertain: {values: [-1], policy: ignore}\n"
    )
    record, _ = FILES["cohort.schema.json"]
    assert load_yaml(path, record).uncertain.values == ["-1"]
    schema = json_schemas()["cohort.schema.json"]
    assert accepts(schema, load_yaml(path, Any), schema["$defs"])


def test_an_editor_shows_what_the_records_say_of_a_field():
    claim = json_schemas()["claim.schema.json"]["$defs"]["Claim"]
    assert claim["description"] == "A statement of the study as a predicate over runs (`claims/*.yaml`)."
    assert claim["properties"]["statement"]["description"] == "One sentence that can be true or false."
    assert "description" not in claim["properties"]["predicate"], "a field without a text has none"
    arm = json_schemas()["claim.schema.json"]["$defs"]["Arm"]
    assert set(arm["properties"]) == {"upstream", "architecture", "fraction", "recipe"}
    assert arm["properties"]["recipe"]["description"] == "A recipe of its own; empty for the tier's."


def test_the_command_writes_every_schema_and_says_how_editors_find_them(tmp_path, capsys):
    class Arguments:
        out = tmp_path / "new" / "schema"

    assert run(Arguments) == 0
    written = {path.name: json.loads(path.read_text()) for path in Arguments.out.iterdir()}
    assert written == json_schemas()
    said = capsys.readouterr().out
    settings = json.loads(said[said.index("{") : said.rindex("}") + 1])
    assert settings["yaml.schemas"][f"{Arguments.out}/claim.schema.json"] == "benchmarks/claims/*.yaml"
    assert f"# yaml-language-server: $schema={Arguments.out}/claim.schema.json" in said
