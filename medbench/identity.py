"""What a run is called, by content: runs share an id if nothing that shapes their numbers differs.

Identity serves reuse only; comparison with what was accepted goes by item, whatever the code was.
"""

import ast
import functools
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from medbench.environment import device_class, library_versions, settings
from medbench.record import RunRecord, Trainer
from medbench.spec.runs import RunSpec

if TYPE_CHECKING:
    from medbench.store import Store

Shapes = Mapping[str, Mapping[str, Mapping[str, str]]]
"""By task and arm, the fields of `shape_of`."""

HASH_SCHEME = 1
"""Raise it when the hashed fields or their encoding change: every id then changes, on purpose."""

NAMES_ONLY = ("tier", "backbone.name", "backbone.upstream", "backbone.architecture", "backbone.weights",
              "recipe.name", "own_recipe")  # fmt: skip
"""Fields of a `RunSpec` that name what other fields pin down (blocks, width and the weights' hash; the
recipe's figures), so that renaming a file, a recipe or a tier trains nothing again."""

_ROOMS = ("data", "models", "training")
_ENTRANCES = (
    "data/sources.py",
    "data/decoded.py",
    "data/phantoms/chest.py",
    "data/phantoms/dermatology.py",
    "data/phantoms/mammography.py",
    "training/loop.py",
)
"""What the executor calls; phantoms are imported by name, so their modules are listed."""
_PREPARATION = (*(file for file in _ENTRANCES if file.startswith("data/")), "training/streams.py")
"""What shapes the images and patients that another trainer is given."""
_PREPARING_LIBRARIES = ("numpy", "pillow")
_PACKAGE = Path(__file__).parent


def spec_id(spec: RunSpec) -> str:
    """20 hex digits for what is run, whatever the code, libraries and device: all but `NAMES_ONLY`.

    A field that has a default came later than the first runs were accepted, and counts only where it
    differs from it: what a run does not make use of does not change what the run is called.
    """
    return _digest({"scheme": HASH_SCHEME, "spec": _hashed_fields(spec)})


def code_fingerprint(trainer: Trainer | None = None) -> str:
    """What shapes a run's numbers beside its spec, as `<sources>-<surroundings>`, 12 hex digits each.

    Sources are the modules of `medbench/data`, `models` and `training` that fine-tuning imports, without
    comments and docstrings (so not pre-training, whose result is pinned as weights); surroundings are the
    versions of `environment.SHAPING_LIBRARIES`, the device class and `environment.SHAPING_SETTINGS`. Of the
    runs of another trainer, sources are the modules that prepare its images, and surroundings the trainer's
    name and version and the libraries that decode: where it computes, nobody knows beforehand.

    Args:
      trainer: None for medbench itself.
    """
    if trainer is not None:
        prepared = {"trainer": trainer, "libraries": library_versions(_PREPARING_LIBRARIES)}
        return f"{_sources_digest(entrances=_PREPARATION)}-{_digest(prepared)[:12]}"
    surroundings = {"libraries": library_versions(), "device": device_class(), "settings": settings()}
    return f"{_sources_digest()}-{_digest(surroundings)[:12]}"


@functools.cache
def judging_fingerprint() -> str:
    """What shapes a judgement beside its runs: the modules that judging imports, numpy and scipy."""
    libraries = {name: version(name) for name in ("numpy", "scipy", "scikit-learn")}
    return f"{_sources_digest(entrances=('judge.py',), rooms=())}-{_digest(libraries)[:12]}"


def run_id(spec: RunSpec, code: str) -> str:
    """20 hex digits for a run: its spec, and the code that `code_fingerprint` names."""
    return _digest({"scheme": HASH_SCHEME, "spec": spec_id(spec), "code": code})


def why_new(spec: RunSpec, store: "Store", trainer: Trainer | None = None) -> str:
    """Why a run that the store seems to have is trained again: what changed since, in words.

    Empty where the store has no run of the same trainer, task, cohort, backbone, fraction and seed.
    """
    known = [record for record in store.alike(spec) if trained_by(record.trainer) == trained_by(trainer)]
    if not known:
        return ""
    nearest = min(known, key=lambda record: len(_spec_changes(record.spec, spec)))
    changes = [*_spec_changes(nearest.spec, spec), *_code_changes(nearest, trainer)]
    return f"changed: {', '.join(changes)}" if changes else "the stored run was damaged or removed"


def trained_by(trainer: Trainer | None) -> str:
    """The trainer's name, whatever its version; empty for medbench itself."""
    return trainer.name if trainer is not None else ""


def shape_of(spec: RunSpec) -> dict[str, str]:
    """Backbone and recipe of a run as text, one dotted name a value; hashes by 12 digits.

    Without names, and without what is empty, such as the weights of a net that starts at random.
    """

    def text(name: str, value: Any) -> str:
        return str(value)[:12] if name.endswith("sha256") else msgspec.json.encode(value).decode().strip('"')

    fields = (_defaults(type(spec)) | _fields(spec)).items()  # where a default is left out, it is meant
    shape = {name: text(name, value) for name, value in fields if name.startswith(("backbone.", "recipe."))}
    return {name: value for name, value in shape.items() if value}


def shapes_of(specs: Iterable[RunSpec]) -> dict[str, dict[str, dict[str, str]]]:
    """What is fine-tuned and how, by task and arm; of several specs of an arm the last."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for spec in specs:
        found.setdefault(spec.task, {})[spec.arm] = shape_of(spec)
    return found


def _spec_changes(stored: RunSpec, wanted: RunSpec) -> list[str]:
    old, new = _fields(stored), _fields(wanted)
    return [f"{name} ({_shown(old[name])} → {_shown(new[name])})" for name in new if old[name] != new[name]]


def _code_changes(stored: RunRecord, trainer: Trainer | None) -> list[str]:
    sources, _, surroundings = stored.code.partition("-")
    now_sources, _, now_surroundings = code_fingerprint(trainer).partition("-")
    changes = ["the code" if trainer is None else "how images are prepared"] if sources != now_sources else []
    if surroundings == now_surroundings:
        return changes
    if trainer is None:
        return changes + (list(_surrounding_changes(stored)) or ["the settings of jax"])
    if stored.trainer == trainer:
        return [*changes, " or ".join(_PREPARING_LIBRARIES)]
    return [*changes, f"the trainer ({stored.trainer} → {trainer})"]


def _surrounding_changes(stored: RunRecord) -> Iterator[str]:
    then = stored.environment
    for name, now in library_versions().items():
        if (before := then.libraries.get(name, "")) != now:
            yield f"{name} ({before or 'none'} → {now or 'none'})"
    if then.device_class != (now := device_class()):
        yield f"device ({then.device_class} → {now})"
    if sorted(then.xla_flags.split()) != (flags := settings().get("XLA_FLAGS", "").split()):
        yield f"XLA_FLAGS ({then.xla_flags or 'none'} → {' '.join(flags) or 'none'})"


def _shown(value: Any) -> str:
    """A value as a message shows it: hashes by their first digits."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 24 else text[:8] + "…"


def _hashed_fields(spec: RunSpec) -> dict[str, Any]:
    """The spec flat, without names and without what is as it was before there was such a field."""
    usual = _defaults(type(spec))
    return {name: value for name, value in _fields(spec).items() if name not in usual or value != usual[name]}


def _fields(spec: RunSpec) -> dict[str, Any]:
    """The spec flat, one dotted name a value, without `NAMES_ONLY`."""
    flat: dict[str, Any] = {}
    for name, value in msgspec.to_builtins(spec).items():
        nested = value if isinstance(value, dict) else {"": value}
        flat.update({f"{name}.{key}".rstrip("."): inner for key, inner in nested.items()})
    return {name: value for name, value in flat.items() if name not in NAMES_ONLY}


@functools.cache
def _defaults(record: type[msgspec.Struct]) -> dict[str, Any]:
    """The values, by dotted name, of those fields of a spec, or of a record in it, that have a default."""
    defaults: dict[str, Any] = {}
    for field in msgspec.structs.fields(record):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            inner = _defaults(field.type)
            defaults.update({f"{field.name}.{name}": value for name, value in inner.items()})
        elif field.default is not msgspec.NODEFAULT:
            defaults[field.name] = msgspec.to_builtins(field.default)
        elif field.default_factory is not msgspec.NODEFAULT:
            defaults[field.name] = msgspec.to_builtins(field.default_factory())
    return defaults


def _digest(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:20]


@functools.cache
def _sources_digest(
    package: Path = _PACKAGE, *, entrances: tuple[str, ...] = _ENTRANCES, rooms: tuple[str, ...] = _ROOMS
) -> str:
    """Of the code as this process first saw it: what is edited while it runs is not what runs.

    It is followed from the entrances through what they import of the rooms, or of all where none is named.
    """
    waiting = list(entrances)
    sources: dict[str, list[str]] = {}
    while waiting:
        file = waiting.pop()
        if file in sources or not (package / file).is_file():
            continue
        source = (package / file).read_text(encoding="utf-8")
        waiting += _imported_files(ast.parse(source), rooms)
        sources[file] = _bare_code(source)
    return _digest(sources)[:12]


def _imported_files(tree: ast.Module, rooms: tuple[str, ...]) -> Iterator[str]:
    """Files in the rooms that a module may import, at its top or within functions; some may not exist."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{name.name}" for name in node.names)]
        elif isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        else:
            continue
        for name in names:
            package, *path = name.split(".")
            if package == "medbench" and path and (not rooms or path[0] in rooms):
                yield "/".join(path) + ".py"
                yield "/".join(path) + "/__init__.py"


def _bare_code(source: str) -> list[str]:
    """The module's tokens without comments, layout, and text that stands alone, such as docstrings.

    Of indents and line ends only that they are there counts. The same under every version of Python: an
    f-string, which came in pieces first in 3.12, is taken whole.
    """
    statements: list[list[str]] = [[]]
    lone_text = True
    for kind, text in _whole_strings(source):
        if kind in (tokenize.INDENT, tokenize.DEDENT):
            statements[-1].append(tokenize.tok_name[kind])
        elif kind == tokenize.NEWLINE:
            if lone_text:  # what it stood between still counts
                statements[-1] = [part for part in statements[-1] if part in _STRUCTURE]
            else:
                statements.append([])
            lone_text = True
        elif kind not in (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER):
            statements[-1].append(text)
            lone_text &= kind == tokenize.STRING
    return [part for statement in statements for part in (*statement, "")]


_STRUCTURE = ("INDENT", "DEDENT")


def _whole_strings(source: str) -> Iterator[tuple[int, str]]:
    """The kind and text of every token; the pieces of an f-string as one string."""
    start, end = getattr(tokenize, "FSTRING_START", None), getattr(tokenize, "FSTRING_END", None)
    lines = source.splitlines(keepends=True)
    opened: list[tuple[int, int]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == start:
            opened.append(token.start)
        elif token.type == end:
            begun = opened.pop()
            if not opened:
                yield tokenize.STRING, _between(lines, begun, token.end)
        elif not opened:
            yield token.type, token.string


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The source from one place to another, as (line from 1, column)."""
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    middle = lines[start[0] : end[0] - 1]
    return "".join((lines[start[0] - 1][start[1] :], *middle, lines[end[0] - 1][: end[1]]))
