"""Strict YAML in and plain YAML out: typed, with file and line in every complaint.

The only room that touches a YAML library. It knows types, not meaning: references are checked in suite.py.
"""

import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import msgspec
import yaml
from msgspec import inspect as mi
from yaml.composer import ComposerError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from medbench.errors import MedbenchError, nearest, printable

T = TypeVar("T")
Place = tuple[str | int, ...]
"""The keys and positions that lead from the top of a file to a value, as written in the file."""

_TAG = "tag:yaml.org,2002:"
_STR, _INT, _FLOAT, _BOOL, _NULL = (_TAG + kind for kind in ("str", "int", "float", "bool", "null"))
# Section 10.3.2 of the YAML 1.2 specification: `no` is text, `1e-4` a number, `0o17` octal, `017` seventeen.
_CORE_SCHEMA = {
    _NULL: (r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    _BOOL: (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    _INT: (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    _FLOAT: (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}


@dataclass(frozen=True)
class Document(Generic[T]):
    """A loaded file that remembers where each of its values stands."""

    value: T
    file: str
    """As messages name it."""
    lines: Mapping[Place, int]

    def line(self, *place: str | int) -> int:
        """The line, from 1, that gives the value at `place`, or its closest parent if it was left out."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def error(self, *place: str | int, message: str) -> MedbenchError:
        """A complaint about the value at `place`, for the caller to raise."""
        return _complaint(self.file, self.line(*place), message)


def load_yaml(path: Path, type: type[T]) -> T:  # noqa: A002
    """Read a YAML 1.2 file (core schema) into a msgspec type.

    Values are read by the type that is expected of them: text may look like a number, a number must
    be one and finite. Anchors, aliases and tags are refused, so that a file says what it says.

    Args:
      path: a UTF-8 file, with or without byte-order mark.
      type: a msgspec Struct, or a list or dict of such.

    Raises:
      MedbenchError: the file is missing, is not YAML, or has an unknown, duplicate or missing key or a
        value of another type; the message starts with file and line.
    """
    return load_document(path, type).value


def load_document(path: Path, type: type[T]) -> Document[T]:  # noqa: A002
    """Like `load_yaml`, and keeps the lines, for complaints about what the values mean."""
    file = shown(path)
    reader = _Reader(file)
    plain = reader.read(_compose(path, file), mi.type_info(type), (), "", "the file")
    try:
        value = msgspec.convert(plain, type)
    except msgspec.ValidationError as error:
        message, _, steps = str(error).partition(" - at `$")
        raise Document(plain, file, reader.lines).error(*_place(steps), message=f"{message}.") from error
    return Document(value, file, reader.lines)


def dump_yaml(value: Any) -> str:
    """Write structs, lists and dicts as YAML that `load_yaml` reads back and a diff shows line by line.

    A struct of plain values within another stands on one line, `{a: 1, b: 2}`; everything else has
    one line a value.
    """
    return yaml.dump(_for_dump(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)


def refuse_unread(paths: Iterable[Path]) -> None:
    """Complain about the first path that looks like YAML and whose ending is not the one that is read.

    Raises:
      MedbenchError: it ends in `.yml`, or in capitals.
    """
    for path in sorted(paths):
        if path.suffix != ".yaml" and path.suffix.lower() in {".yaml", ".yml"}:
            raise MedbenchError(f"{shown(path)}: would not be read. Rename it to {path.stem}.yaml.")


def shown(path: Path) -> str:
    """The path as messages name it: relative to the working directory where it lies below."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(path)


def concerns(error: MedbenchError, path: Path) -> bool:
    """Whether a complaint is about this file: it begins with the file's name."""
    return str(error).startswith(f"{shown(path)}:")


def _complaint(file: str, line: int, message: str) -> MedbenchError:
    """One line, whatever the values that it quotes."""
    return MedbenchError(f"{file}:{line}: {printable(message)}")


class _Loader(yaml.SafeLoader):
    """Composes nodes with the tags of the core schema."""

    yaml_implicit_resolvers = {}  # noqa: RUF012

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()
        for feature in ("anchor", "tag"):
            if getattr(event, feature, None) is not None:
                problem = "anchors, aliases and tags are not supported; write the value out"
                raise ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    """Quotes what the core schema would not read back as text."""

    yaml_implicit_resolvers = {}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


class _OneLine(dict[str, Any]):
    """A mapping that is written on one line."""


for _tag, (_pattern, _first) in _CORE_SCHEMA.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


def _represent_one_line(dumper: yaml.SafeDumper, value: _OneLine) -> Node:
    return dumper.represent_mapping(_TAG + "map", value, flow_style=True)


def _represent_text(dumper: yaml.SafeDumper, value: str) -> Node:
    """Line breaks and what else cannot be seen is written as escapes, which only double quotes know."""
    return dumper.represent_scalar(_STR, value, style=None if value.isprintable() else '"')


_Dumper.add_representer(_OneLine, _represent_one_line)
_Dumper.add_representer(str, _represent_text)


def _for_dump(value: Any, *, nested: bool = False) -> Any:
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        config = value.__struct_config__
        plain = {
            f.encode_name: _for_dump(getattr(value, f.name), nested=True)
            for f in fields
            if not (config.omit_defaults and getattr(value, f.name) == f.default)
        }
        if config.tag_field is not None:
            plain = {config.tag_field: config.tag, **plain}
        one_line = nested and not any(isinstance(v, dict | list) for v in plain.values())
        return _OneLine(plain) if one_line else plain
    if isinstance(value, Mapping):
        return {key: _for_dump(v, nested=True) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_for_dump(v) for v in value]
    return value


def _compose(path: Path, file: str) -> Node:
    """The file's tree of nodes; every way in which it can fail to be one is a MedbenchError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise MedbenchError(f"{file}:{line}: not UTF-8 text. Save the file as UTF-8.") from error
    except OSError as error:
        beside = [p.name for p in path.parent.glob("*") if p.suffix in {".yaml", ".yml"}]
        hint = "" if path.exists() else nearest(path.name, beside)
        raise MedbenchError(f"{file}: cannot be read ({error.strerror}). {hint}".rstrip()) from error
    try:
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise MedbenchError(f"{file}:{line}: not valid YAML: {error.problem or error.context}.") from error
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise MedbenchError(
            f"{file}:{line}: not valid YAML: the character U+{error.character:04X} is not allowed. Remove it."
        ) from error
    except RecursionError as error:
        raise MedbenchError(f"{file}: nested too deeply to be a declaration.") from error
    if node is None:
        raise MedbenchError(f"{file}:1: the file is empty.")
    return node


def _place(steps: str) -> Place:
    """The place that msgspec's path (`.splits.train`) names, as far as it goes: `[...]` is any key."""
    known = steps.partition("[...]")[0]
    return tuple(int(i) if i else key for key, i in re.findall(r"\.([^.\[`]+)|\[(\d+)\]", known))


_SCALARS: dict[type[mi.Type], tuple[str, frozenset[str]]] = {
    mi.NoneType: ("nothing", frozenset({_NULL})),
    mi.BoolType: ("`true` or `false`", frozenset({_BOOL})),
    mi.IntType: ("a whole number", frozenset({_INT})),
    mi.FloatType: ("a number", frozenset({_INT, _FLOAT})),
    mi.LiteralType: ("a name", frozenset({_STR, _INT, _FLOAT, _BOOL})),
    mi.StrType: ("text", frozenset({_STR, _INT, _FLOAT, _BOOL})),
}
"""What is expected in words, and the tags that meet it, the strictest type first."""
_QUOTED = 60
"""Characters of a value that a message quotes."""

_Mapping = mi.StructType | mi.DictType
_Sequence = mi.ListType | mi.VarTupleType


def _alternatives(expected: mi.Type) -> tuple[mi.Type, ...]:
    """What may stand there: the parts of a union, so that text comes last, or the type itself."""
    if not isinstance(expected, mi.UnionType):
        return (expected,)
    order = list(_SCALARS)
    return tuple(sorted(expected.types, key=lambda t: order.index(type(t)) if type(t) in order else -1))


def _fits(node: Node, expected: mi.Type) -> bool:
    """Whether the node's kind can be what is expected; its content is looked at later."""
    if isinstance(expected, _Mapping):
        return isinstance(node, MappingNode)
    if isinstance(expected, _Sequence):
        return isinstance(node, SequenceNode)
    if isinstance(expected, mi.AnyType):
        return True
    return isinstance(node, ScalarNode) and node.tag in _SCALARS[type(expected)][1]


def _described(expected: mi.Type) -> str:
    if isinstance(expected, _Mapping):
        return "a mapping (`key: value`)"
    if isinstance(expected, _Sequence):
        return "a list"
    return _SCALARS[type(expected)][0]


def _found(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if node.tag == _NULL:
        return "nothing"
    text = node.value if len(node.value) <= _QUOTED else node.value[: _QUOTED - 1] + "…"
    quoted = isinstance(node, ScalarNode) and node.style in {"'", '"'}
    return f"`{text}`" + (" in quotes" if quoted else "")


class _Reader:
    """Turns nodes into plain values of the expected shape, and notes the line of each."""

    def __init__(self, file: str):
        self.file = file
        self.lines: dict[Place, int] = {}

    def read(self, node: Node, expected: mi.Type, place: Place, key: str, where: str) -> Any:
        """The node as plain data.

        Args:
          node: what the file says.
          expected: what should be there.
          place: keys and positions from the top.
          key: the key that led here, which may be the name of the thing.
          where: the place in words, such as "`margin` in claim `ood`".
        """
        self.lines.setdefault(place, node.start_mark.line + 1)
        fitting = [t for t in _alternatives(expected) if _fits(node, t)]
        if not fitting:
            words = " or ".join(dict.fromkeys(_described(t) for t in _alternatives(expected)))
            hint = f" Write `[{node.value}]`." if words == "a list" and isinstance(node, ScalarNode) else ""
            self.refuse(node, f"expected {words} for {where}, found {_found(node)}.{hint}")
        chosen = fitting[0]
        if isinstance(node, SequenceNode):
            entry = chosen.item_type if isinstance(chosen, _Sequence) else chosen
            return [
                self.read(child, entry, (*place, i), "", f"an entry of {where}")
                for i, child in enumerate(node.value)
            ]
        if isinstance(chosen, mi.StructType):
            return self._struct(node, self._tagged(node, fitting, where), place, key)
        if isinstance(node, MappingNode):
            return self._dict(node, chosen, place, where)
        return self._scalar(node, chosen, where)

    def refuse(self, node: Node, message: str) -> NoReturn:
        """Complain about a node."""
        raise _complaint(self.file, node.start_mark.line + 1, message)

    def _tagged(self, node: Node, structs: list[Any], where: str) -> mi.StructType:
        """Of several structs, the one whose tag the mapping gives."""
        tags = {str(struct.tag): struct for struct in structs}
        field = structs[0].tag_field
        if len(tags) == 1:
            return structs[0]
        given = [value for key, value in node.value if key.value == field]
        if not given:
            self.refuse(node, f"{where} lacks the key `{field}`. {nearest('', tags)}")
        kind = self.read(given[0], mi.LiteralType(tuple(tags)), (), "", f"`{field}` in {where}")
        return tags[kind]

    def _struct(self, node: Node, expected: mi.StructType, place: Place, key: str) -> dict[str, Any]:
        fields = {field.encode_name: field for field in expected.fields}
        where = self._named(node, expected, key)
        tag = {expected.tag_field: mi.StrType()} if expected.tag_field else {}
        types = tag | {name: field.type for name, field in fields.items()}
        entries = list(self._entries(node, mi.StrType(), where))
        for name, key_node, _ in entries:
            if name not in types:
                self.refuse(key_node, f"unknown key `{name}` in {where}. {nearest(name, types)}")
        given = {name for name, _, _ in entries}
        for name, field in fields.items():
            if field.required and name not in given:
                self.refuse(node, f"{where} lacks the key `{name}`.")
        return {
            name: self._value(key_node, value, types[name], (*place, name), f"`{name}` in {where}")
            for name, key_node, value in entries
        }

    def _dict(self, node: Node, expected: mi.Type, place: Place, where: str) -> dict[Any, Any]:
        keys, values = (
            (expected.key_type, expected.value_type)
            if isinstance(expected, mi.DictType)
            else (expected, expected)
        )
        short = where.partition(" in ")[0]
        return {
            name: self._value(key_node, value, values, (*place, name), f"`{name}` in {short}")
            for name, key_node, value in self._entries(node, keys, where)
        }

    def _value(self, key: Node, node: Node, expected: mi.Type, place: Place, where: str) -> Any:
        self.lines[place] = key.start_mark.line + 1
        return self.read(node, expected, place, str(place[-1]), where)

    def _entries(self, node: Node, keys: mi.Type, where: str) -> Iterator[tuple[Any, Node, Node]]:
        """Each key, its node and its value's; a key that comes twice is refused."""
        first: dict[Any, int] = {}
        for key_node, value in node.value:
            if not isinstance(key_node, ScalarNode) or not _fits(key_node, keys):
                expected = "text" if isinstance(keys, mi.AnyType) else _described(keys)
                self.refuse(key_node, f"expected {expected} as a key of {where}, found {_found(key_node)}.")
            name = self._scalar(key_node, keys, f"a key of {where}")
            if name in first:
                self.refuse(
                    key_node,
                    f"duplicate key `{name}` in {where}, first given in line {first[name]}. Keep one.",
                )
            first[name] = key_node.start_mark.line + 1
            yield name, key_node, value

    def _named(self, node: Node, expected: mi.StructType, key: str) -> str:
        """The struct in words, with its name if it says one (`claim: ood`) or stands under one."""
        noun = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", expected.cls.__name__).lower()
        named = any(f.encode_name == noun and isinstance(f.type, mi.StrType) for f in expected.fields)
        own = [v.value for k, v in node.value if named and k.value == noun and isinstance(v, ScalarNode)]
        name = own[0] if own else key
        return f"{noun} `{name}`" if name and name != noun else noun

    def _scalar(self, node: Node, expected: mi.Type, where: str) -> Any:
        text = node.value
        if isinstance(expected, mi.LiteralType):
            values = {str(value): value for value in expected.values}
            if text not in values:
                self.refuse(node, f"unknown value `{text}` for {where}. {nearest(text, values)}")
            return values[text]
        if isinstance(expected, mi.StrType) or node.tag == _STR:
            return text
        if node.tag == _NULL:
            return None
        if node.tag == _BOOL:
            return text.lower() == "true"
        number = _number(text, node.tag)
        if not abs(number) <= sys.float_info.max:
            self.refuse(node, f"expected a finite number for {where}, found {_found(node)}.")
        return number


def _number(text: str, tag: str) -> int | float:
    if tag == _FLOAT:
        return float(re.sub(r"\.(?=[a-zA-Z])", "", text))
    try:
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    except ValueError:  # longer than Python converts
        return math.inf
