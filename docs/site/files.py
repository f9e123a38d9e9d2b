"""The reference of the files that people write, and of those that medbench does, from their JSON Schemas: `{files}`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from docs.site.sections import definition, definitions, prose, section
from medbench.spec.schema import FILES, json_schemas

Schema = Mapping[str, Any]
NAMES = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "nothing",
    "string": "text",
}


def setup(app: Sphinx) -> None:
    """Declare the directive."""
    app.add_directive("files", Files)


class Files(SphinxDirective):
    """A section for each kind of file, with a section for each record that it is made of."""

    def run(self) -> list[nodes.Node]:
        """Of all files that have a schema."""
        return [
            self._file(_shown_as(name), name.removesuffix(".schema.json"), schema)
            for name, schema in json_schemas().items()
        ]

    def _file(self, path: str, kind: str, schema: Schema) -> nodes.section:
        top = _name(schema)
        records = dict(schema["$defs"])
        head = _described(records.pop(top), kind)
        parts = (
            section(self.state.document, name, *_described(record, kind), name=_target(kind, name))
            for name, record in records.items()
        )
        return section(self.state.document, f"`{path}`", *head, *parts, name=kind)


def _shown_as(name: str) -> str:
    """Where files of a schema are; of those that medbench writes, their kind."""
    return FILES[name][1] if name in FILES else name.replace(".schema", "")


def _described(record: Schema, kind: str) -> Iterator[nodes.Node]:
    """What a record is, and its fields."""
    yield prose(record["description"])
    required = record.get("required", [])
    fields = [
        definition(name, field.get("description", ""), *_beside(field, name in required, kind))
        for name, field in record["properties"].items()
    ]
    if fields:
        yield definitions(*fields)


def _beside(field: Schema, required: bool, kind: str) -> Iterator[nodes.Node]:
    """Type, and whether the field must be there."""
    yield nodes.Text(": ")
    yield from _type(field, kind)
    if required:
        yield nodes.Text(", ")
        yield nodes.strong("", "required")
    elif field.get("default") not in (None, "", [], {}):
        yield nodes.Text(", otherwise ")
        yield nodes.literal("", json.dumps(field["default"], ensure_ascii=False))


def _type(schema: Schema, kind: str) -> Iterator[nodes.Node]:
    """What a value may be, in words, with links to records."""
    match schema:
        case {"$ref": _}:
            name = _name(schema)
            yield nodes.reference("", name, internal=True, refid=_target(kind, name))
        case {"enum": values}:
            for i, value in enumerate(values):
                yield from [nodes.Text(" or ")] if i else []
                yield nodes.literal("", str(value))
        case {"anyOf": several}:
            for i, each in enumerate(each for each in several if each != {"type": "null"}):
                yield from [nodes.Text(" or ")] if i else []
                yield from _type(each, kind)
        case {"type": "array", "prefixItems": [first, *_] as places}:
            yield nodes.Text(f"list of exactly {len(places)}, each ")
            yield from _type(first, kind)
        case {"type": "array", "items": items}:
            yield nodes.Text("list of ")
            yield from _type(items, kind)
        case {"type": "object", "additionalProperties": values}:
            yield nodes.Text("by name, ")
            yield from _type(values, kind)
        case {"type": [*_]}:  # as text is loaded: see medbench.spec.schema
            yield nodes.Text("text")
        case {"type": name}:
            yield nodes.Text(NAMES[name])
        case _:
            raise ValueError(f"the reference has no words for a field of the schema {dict(schema)}.")


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _target(kind: str, record: str) -> str:
    return nodes.make_id(f"{kind}-{record}")
