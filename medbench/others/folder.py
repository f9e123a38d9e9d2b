"""A folder of per-example predictions that other code produced: `predictions.yaml` and one file a set.

DIR/predictions.yaml
DIR/<backbone>/seed-<n>/<evaluation set>.csv      or .parquet; `id`, `validation` and the shifts
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec

from medbench.data.cohort import ID, VALIDATION
from medbench.errors import MedbenchError, nearest
from medbench.others.examples import SUFFIXES, in_words, read_examples
from medbench.others.scales import Position
from medbench.predictions import Predictions
from medbench.spec.declared import Declared
from medbench.spec.loader import Document, load_document, shown
from medbench.spec.runs import Target

DECLARATION = "predictions.yaml"
_SEED = re.compile(r"seed-(0|[1-9][0-9]*)")


class DeclaredTarget(Declared, frozen=True, kw_only=True):
    """What was predicted."""

    kind: Literal["single-label", "multi-label"]
    """single-label: exactly one class is true (softmax); multi-label: each may be (sigmoid)."""
    classes: list[str]
    """As in the columns `label/<class>`. Of two single-label classes the second is positive."""


class ComparedArms(Declared, frozen=True, kw_only=True):
    """Two backbones by name."""

    baseline: str
    treatment: str


class PredictionsFile(Declared, frozen=True, kw_only=True):
    """The file `predictions.yaml`."""

    task: str
    """Your name of the prediction problem; the first part of every item."""
    domain: Literal["chest", "mammography", "dermatology"]
    """Claims about tasks of this domain are judged."""
    target: DeclaredTarget
    backbones: dict[str, Position]
    """By the name of their folder; upstream and architecture as the suite's claims name them."""
    shifts: list[str] = msgspec.field(default_factory=list)
    """Evaluation sets beside `id` whose data were shifted."""
    arms: ComparedArms | None = None
    """Compare these two backbones instead of the claims' own arms."""
    cluster: str = "patient"
    """What the column `patient` holds, if patients are not known: `lesion`, `image`."""


RunKey = tuple[str, int]
"""Backbone and seed."""


@dataclass(frozen=True)
class Folder:
    """What was found, all of it read and checked.

    Attributes:
      root: the folder, as messages name it.
      declared: its `predictions.yaml`.
      runs: by backbone and seed, the predictions by evaluation set.
      warnings: what to know before believing a number.
    """

    root: str
    declared: PredictionsFile
    runs: Mapping[RunKey, Mapping[str, Predictions]]
    warnings: tuple[str, ...]

    @property
    def target(self) -> Target:
        """What was predicted."""
        return _target(self.declared)

    @property
    def attributes(self) -> set[str]:
        """Those that all predictions have."""
        return set.intersection(*(set(p.attributes) for run in self.runs.values() for p in run.values()))

    def seeds(self, backbone: str, evaluation_sets: set[str]) -> list[int]:
        """Seeds of a backbone that were scored on all these sets."""
        return sorted(
            seed
            for (name, seed), files in self.runs.items()
            if name == backbone and evaluation_sets <= set(files)
        )


def open_folder(root: Path) -> Folder:
    """Read everything.

    Raises:
      MedbenchError: the declaration or a file is wrong or missing, or two runs were not scored on the
        same examples; the message has file, and line or row.
    """
    if not root.is_dir():
        raise MedbenchError(f"{shown(root)}: no such folder. Expected one with {DECLARATION}.")
    document = load_document(root / DECLARATION, PredictionsFile)
    _check(document)
    declared = document.value
    runs: dict[RunKey, dict[str, Predictions]] = {}
    moved: Counter[str] = Counter()
    scored: Counter[str] = Counter()
    for key, evaluation_set, path in _files(root, declared):
        predictions, count = read_examples(path, _target(declared), evaluation_set)
        runs.setdefault(key, {})[evaluation_set] = predictions
        moved[evaluation_set] += count
        scored[evaluation_set] += predictions.logits.size
    _require_same_examples(root, runs)
    warnings = [f"{name}: {in_words(moved[name], scored[name])}" for name in moved if moved[name]]
    if declared.cluster != "patient":
        warnings.append(
            f"patients are not known: clustered by `{declared.cluster}`, intervals may be too narrow"
        )
    return Folder(shown(root), declared, runs, tuple(warnings))


def _target(declared: PredictionsFile) -> Target:
    return Target(kind=declared.target.kind, classes=tuple(declared.target.classes))


def _check(document: Document[PredictionsFile]) -> None:
    declared = document.value
    classes, least = declared.target.classes, 2 if declared.target.kind == "single-label" else 1
    if len(classes) < least or len(set(classes)) < len(classes):
        message = (
            f"expected {least} or more different names for `classes`, found {', '.join(classes) or 'none'}."
        )
        raise document.error("target", "classes", message=message)
    if not declared.backbones:
        raise document.error("backbones", message="no backbones. Expected at least two.")
    for i, shift in enumerate(declared.shifts):
        if shift in (ID, VALIDATION, *declared.shifts[:i]):
            raise document.error("shifts", i, message=f"`{shift}` cannot name a shift (again). Rename it.")
    for role in ("baseline", "treatment") if declared.arms else ():
        name = getattr(declared.arms, role)
        if name not in declared.backbones:
            message = f"unknown backbone `{name}`. {nearest(name, declared.backbones)}"
            raise document.error("arms", role, message=message)
    if declared.arms and declared.arms.baseline == declared.arms.treatment:
        raise document.error("arms", "treatment", message="both arms are the same backbone.")


def _files(root: Path, declared: PredictionsFile) -> Iterator[tuple[RunKey, str, Path]]:
    """Every predictions file; whatever else lies in the folder is refused, lest it be left out unnoticed."""
    sets = (ID, VALIDATION, *declared.shifts)
    for folder in _inside(root, besides=DECLARATION):
        if folder.name not in declared.backbones or not folder.is_dir():
            raise MedbenchError(
                f"{shown(folder)}: not the folder of a backbone in {DECLARATION}. "
                f"{nearest(folder.name, declared.backbones)}"
            )
        for run in _inside(folder):
            match = _SEED.fullmatch(run.name)
            if not match or not run.is_dir():
                raise MedbenchError(f"{shown(run)}: expected folders named `seed-1`, `seed-2`, …")
            stems = []
            for path in _inside(run):
                if path.stem not in sets or path.suffix not in SUFFIXES:
                    raise MedbenchError(
                        f"{shown(path)}: expected .csv or .parquet files named for evaluation sets. "
                        f"{nearest(path.stem, sets)}"
                    )
                if path.stem in stems:
                    raise MedbenchError(f"{shown(path)}: `{path.stem}` is there twice. Keep one file.")
                stems.append(path.stem)
                yield (folder.name, int(match[1])), path.stem, path
    absent = [name for name in declared.backbones if not (root / name).is_dir()]
    if absent:
        raise MedbenchError(f"{shown(root / absent[0])}: no such folder, though {DECLARATION} declares it.")


def _inside(folder: Path, besides: str = "") -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.name != besides and not p.name.startswith("."))


def _require_same_examples(root: Path, runs: Mapping[RunKey, Mapping[str, Predictions]]) -> None:
    """Runs are compared on the same images: of every set, all must have what goes with these alike."""
    for evaluation_set in sorted({name for files in runs.values() for name in files}):
        scored = [(key, files[evaluation_set]) for key, files in runs.items() if evaluation_set in files]
        for (one, a), (other, b) in pairwise(scored):
            different = a.difference(b)
            if different:
                places = [shown(root / name / f"seed-{seed}") for name, seed in (one, other)]
                raise MedbenchError(
                    f"{places[0]} and {places[1]}: `{evaluation_set}` was not scored on the same "
                    f"{different} ({len(a):,} and {len(b):,} examples). Score every run on the same examples."
                )
