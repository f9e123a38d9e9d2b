"""The files of a suite, and of medbench's own where it extends that: which must be there, what stands twice.

What the declarations mean is checked in suite.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from medbench import packaged
from medbench.errors import MedbenchError, nearest
from medbench.spec.declared import Declared
from medbench.spec.loader import Document, Place, load_document, refuse_unread, shown
from medbench.spec.metrics import Metrics
from medbench.spec.records import Backbones, Claim, Recipes, Replaces, SuiteFile, Synthesis, Task, Tiers

HEAD = "suite.yaml"
"""The file by which a suite extends medbench's; claims of the latter come in by it."""
KINDS = {
    "claims": "claim",
    "syntheses": "synthesis",
    "tasks": "task",
    "architectures": "architecture",
    "upstreams": "upstream",
    "recipes": "recipe",
    "tiers": "tier",
    "metrics": "metric",
}
"""What is declared by name, and what one of it is called."""
_FOLDERS: dict[str, type[Declared]] = {"claims": Claim, "syntheses": Synthesis, "tasks": Task}
"""Kinds of which each has a file of its own."""
_FILES = ("backbones.yaml", "recipes.yaml", "tiers.yaml")
_METRICS, _SYNTHESES = "metrics.yaml", "syntheses"
_MAKES = (
    f"A suite has {', '.join(_FILES)}, the folders claims and tasks, and perhaps {_METRICS} and the folder "
    f"{_SYNTHESES}; or {HEAD}, and what of these it adds to medbench's own."
)

T = TypeVar("T")


class Entry(NamedTuple):
    """Something that is declared by name."""

    document: Document[Any]
    place: Place
    value: Any


@dataclass(frozen=True)
class Layer:
    """The files of one folder, as far as they are there."""

    root: Path
    head: Document[SuiteFile] | None
    backbones: Document[Backbones] | None
    recipes: Document[Recipes] | None
    tiers: Document[Tiers] | None
    metrics: Document[Metrics] | None
    folders: Mapping[str, Mapping[Path, Document[Any]]]
    """By kind, what is declared in files of its own."""

    @cached_property
    def entries(self) -> dict[str, dict[str, Entry]]:
        """What the files declare, by kind and name; of a name that stands twice the last."""
        found = {
            kind: {_name(kind, each): Entry(each, (KINDS[kind],), each.value) for each in documents.values()}
            for kind, documents in self.folders.items()
        }
        shared: dict[str, Document[Any] | None] = {
            "architectures": self.backbones,
            "upstreams": self.backbones,
            "recipes": self.recipes,
            "tiers": self.tiers,
            "metrics": self.metrics,
        }
        return found | {kind: _entries(document, kind) for kind, document in shared.items()}


def read_layers(root: Path) -> list[Layer]:
    """The suite in a folder: its own files, after those of medbench's suite where it extends that.

    Raises:
      MedbenchError: a file is missing, is not as it should be, would silently not be read, or declares what
        medbench's suite declares too and does not say that it replaces it; the message starts with the file.
    """
    own = _read(root)
    if own.head is None:
        return [own]
    base = _read(packaged.suite())
    _check_replaced(own.head, own.entries, base.entries)
    return [_without(base, own.head.value.replaces), own]


def _read(root: Path) -> Layer:
    _check_folder(root)
    extends = (root / HEAD).is_file()

    def single(name: str, type: type[T]) -> Document[T] | None:  # noqa: A002
        return load_document(root / name, type) if (root / name).is_file() else None

    return Layer(
        root=root,
        head=single(HEAD, SuiteFile),
        backbones=single("backbones.yaml", Backbones),
        recipes=single("recipes.yaml", Recipes),
        tiers=single("tiers.yaml", Tiers),
        metrics=single(_METRICS, Metrics),
        folders={
            kind: _load_all(root / kind, may_be_empty=extends or kind == _SYNTHESES) for kind in _FOLDERS
        },
    )


def _check_folder(root: Path) -> None:
    """The folder is a suite, and holds no file that would silently not be read."""
    if not root.is_dir():
        raise MedbenchError(
            f"{shown(root)}: no such folder. {_MAKES} Run where it is, name it, or make one: `medbench init`."
        )
    for path in sorted(root.glob("*.y*ml")):
        if path.name not in (*_FILES, _METRICS, HEAD):
            raise MedbenchError(f"{shown(path)}: no file of a suite. {_MAKES}")
    for name in () if (root / HEAD).is_file() else _FILES:
        if not (root / name).is_file():
            raise MedbenchError(f"{shown(root / name)}: no such file. {_MAKES}")
    for folder in _FOLDERS:
        refuse_unread((root / folder).rglob("*.*"))


def _load_all(folder: Path, *, may_be_empty: bool) -> dict[Path, Document[Any]]:
    """Every declaration in a folder, by path."""
    paths = sorted(folder.rglob("*.yaml"))
    if not paths and not may_be_empty:
        raise MedbenchError(
            f"{shown(folder)}: nothing declared. Expected one .yaml file a {KINDS[folder.name]}."
        )
    return {path: load_document(path, _FOLDERS[folder.name]) for path in paths}


def _check_replaced(
    head: Document[SuiteFile], own: dict[str, dict[str, Entry]], base: dict[str, dict[str, Entry]]
) -> None:
    """A name is declared in both suites where `replaces` says so, and nowhere else."""
    for kind, noun in KINDS.items():
        replaced: list[str] = getattr(head.value.replaces, kind)
        for name, entry in own[kind].items():
            if name in base[kind] and name not in replaced:
                raise entry.document.error(
                    *entry.place,
                    message=f"medbench declares the {noun} `{name}` already. Give yours another name; or, if "
                    f"it is to take the other's place, say so in {HEAD}: `replaces: {{{kind}: [{name}]}}`.",
                )
        for i, name in enumerate(replaced):
            if name not in base[kind]:
                problem = f"medbench declares no {noun} `{name}` to replace. {nearest(name, base[kind])}"
            elif name not in own[kind]:
                problem = f"nothing here declares the {noun} `{name}` that is to replace medbench's."
            else:
                continue
            raise head.error("replaces", kind, i, message=problem)


def _without(base: Layer, replaced: Replaces) -> Layer:
    """The base as far as it holds: a claim or task that was replaced need not fit the rest."""
    folders = {
        kind: {
            path: each for path, each in documents.items() if _name(kind, each) not in getattr(replaced, kind)
        }
        for kind, documents in base.folders.items()
    }
    return replace(base, folders=folders)


def _entries(document: Document[Any] | None, kind: str) -> dict[str, Entry]:
    """What a file that has several things declares of a kind; nothing where there is no such file."""
    if document is None:
        return {}
    declared = getattr(document.value, kind)
    return {name: Entry(document, (kind, name), value) for name, value in declared.items()}


def _name(kind: str, document: Document[Any]) -> str:
    """The name of what a file in a folder declares."""
    name: str = getattr(document.value, KINDS[kind])
    return name
