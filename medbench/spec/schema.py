"""JSON Schema of the files a person writes, for editors, and of those medbench writes, for programs.

The records are the only source: the texts that editors show are the records' own docstrings.
"""

import argparse
import ast
import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from medbench.data.declaration import CohortFile
from medbench.difference import Comparison
from medbench.errors import MedbenchError
from medbench.history import Entry, Night
from medbench.others.folder import PredictionsFile
from medbench.others.scales import ScalesFile
from medbench.report.record import Report
from medbench.spec.metrics import Metrics
from medbench.spec.records import Backbones, Claim, Recipes, SuiteFile, Synthesis, Task, Tiers

FILES: dict[str, tuple[type[msgspec.Struct], str]] = {
    "suite.schema.json": (SuiteFile, "benchmarks/suite.yaml"),
    "claim.schema.json": (Claim, "benchmarks/claims/*.yaml"),
    "synthesis.schema.json": (Synthesis, "benchmarks/syntheses/*.yaml"),
    "task.schema.json": (Task, "benchmarks/tasks/*.yaml"),
    "backbones.schema.json": (Backbones, "benchmarks/backbones.yaml"),
    "recipes.schema.json": (Recipes, "benchmarks/recipes.yaml"),
    "metrics.schema.json": (Metrics, "benchmarks/metrics.yaml"),
    "tiers.schema.json": (Tiers, "benchmarks/tiers.yaml"),
    "cohort.schema.json": (CohortFile, "**/cohort.yaml"),
    "predictions.schema.json": (PredictionsFile, "**/predictions.yaml"),
    "scales.schema.json": (ScalesFile, "**/scales.yaml"),
}
"""By file name: the record, and the files it is the schema of (`scales.yaml` may be called anything)."""
WRITTEN: dict[str, type[msgspec.Struct]] = {
    "report.schema.json": Report,
    "comparison.schema.json": Comparison,
    "history-night.schema.json": Night,
    "history-entry.schema.json": Entry,
}
"""By file name: the record that medbench writes; of a history's file the first line and each further one."""


def json_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of each kind of file, by file name."""
    read = {name: _as_loaded(_schema(record)) for name, (record, _) in FILES.items()}
    return read | {name: _schema(record) for name, record in WRITTEN.items()}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench schema`."""
    parser.description = (
        "Write JSON Schema for the YAML files of a suite, of cohorts and of other people's results."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("schema"), metavar="DIR", help="folder to write to (default: schema)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the schemas, say how editors find them, and return the exit status."""
    if args.out.exists() and not args.out.is_dir():
        raise MedbenchError(f"{args.out}: not a folder. Name another one by --out.")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for name, schema in json_schemas().items():
            text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
            (args.out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{args.out}: cannot be written ({error.strerror}). Name another folder by --out."
        raise MedbenchError(message) from error
    folder = args.out.absolute().as_posix()
    settings = {"yaml.schemas": {f"{folder}/{name}": files for name, (_, files) in FILES.items()}}
    print(f"{len(FILES) + len(WRITTEN)} schemas written to {args.out}.")
    print("\nVS Code with the YAML extension: add to .vscode/settings.json\n")
    print(json.dumps(settings, indent=2))
    print("\nAny editor with yaml-language-server: begin a file with, for example,\n")
    print(f"# yaml-language-server: $schema={folder}/claim.schema.json")
    return 0


def _schema(record: type[msgspec.Struct]) -> dict[str, Any]:
    schema = msgspec.json.schema(record)
    for struct in _structs(msgspec.inspect.type_info(record)):
        properties = schema["$defs"][struct.__name__]["properties"]
        for name, text in _field_docs(struct).items():
            properties[name]["description"] = text
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _as_loaded(schema: Any) -> Any:
    """The schema, with text as the loader takes it: what looks like a number is text where text is due."""
    if isinstance(schema, list):
        return [_as_loaded(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string":
        return {**schema, "type": ["string", "number", "boolean"]}
    return {key: _as_loaded(part) for key, part in schema.items()}


def _structs(info: msgspec.inspect.Type) -> set[type[msgspec.Struct]]:
    """The structs that a type is made of."""
    match info:
        case msgspec.inspect.StructType(cls=cls, fields=fields):
            return {cls}.union(*(_structs(field.type) for field in fields))
        case msgspec.inspect.UnionType(types=types):
            return set[type[msgspec.Struct]]().union(*map(_structs, types))
        case msgspec.inspect.DictType(value_type=item) | msgspec.inspect.ListType(item_type=item):
            return _structs(item)
    return set()


def _field_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The strings that stand below the fields of a struct, its own and inherited ones, by field."""
    parents = [each for each in struct.__mro__ if issubclass(each, msgspec.Struct)][-2::-1]
    found = {name: text for each in parents for name, text in _texts_below(each).items()}
    return {name: text for name, text in found.items() if name in struct.__struct_fields__}


def _texts_below(struct: type) -> dict[str, str]:
    """The strings that stand below the annotated names in a struct's source."""
    (declared,) = ast.parse(inspect.getsource(struct)).body
    assert isinstance(declared, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(doc.value.value)
        for field, doc in zip(declared.body, declared.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(doc, ast.Expr)
        and isinstance(doc.value, ast.Constant)
        and isinstance(doc.value.value, str)
    }
