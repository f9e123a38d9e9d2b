"""What a `cohort.yaml` may say, as typed records; docs/cohorts.md explains it to its writer.

Read strictly and checked for sense; the table and the images are not looked at here.
"""

import itertools
import re
from collections import Counter
from pathlib import Path
from typing import Literal

import msgspec

from medbench.data.cohort import ID, TRAIN, VALIDATION
from medbench.spec.loader import Document, load_document
from medbench.spec.records import Declared
from medbench.spec.runs import Target

SPLITS = (TRAIN, VALIDATION, ID)
SHIFT_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
AGE_BINS = [40.0, 60.0, 75.0]
"""Years at which an attribute called `age` is cut, unless it says otherwise; the phantoms' bands."""


class ValueColumn(Declared, frozen=True, kw_only=True):
    """A column whose values stand for names."""

    column: str
    values: dict[str, list[str]]
    """Name -> the values of the column that mean it."""


class AttributeColumn(Declared, frozen=True, kw_only=True):
    """A column by which sub-groups are formed."""

    column: str
    bins: list[float] = msgspec.field(default_factory=list)
    """Where numbers are cut, ascending: [40, 60] gives `under 40`, `40-59`, `60 and over`."""
    values: dict[str, list[str]] = msgspec.field(default_factory=dict)
    """Group -> the values of the column that form it; without it every value is a group."""
    missing: list[str] = msgspec.field(default_factory=list)
    """Values that mean "not recorded", as an empty cell always does."""


class Columns(Declared, frozen=True, kw_only=True):
    """Which column of the table holds what."""

    image: str
    """The image's path below `root`; or a pattern of columns, such as `images/{image_id}.jpg`."""
    patient: str | None = None
    cluster: str | None = None
    """Where patients are not known: what holds related images together, such as a lesion."""
    split: str | ValueColumn | None = None
    evaluation_set: str | ValueColumn | None = None
    """`id` or a shift for rows that are there for evaluation only; empty for all others."""
    attributes: dict[str, str | AttributeColumn] = msgspec.field(default_factory=dict)


class Label(Declared, frozen=True, kw_only=True):
    """Something that is present in an image or not."""

    column: str
    positive: list[str] = msgspec.field(default_factory=list)
    """Values that mean present; without it the column holds 0 and 1."""
    negative: list[str] = msgspec.field(default_factory=list)
    """Values that mean absent; without it all others do."""


class Uncertain(Declared, frozen=True, kw_only=True):
    """What to make of label values that are neither yes nor no."""

    values: list[str]
    """Such as `-1`, `unknown`, or `""` for an empty cell."""
    policy: Literal["ignore", "positive", "negative"]
    """ignore: unknown to loss and metric; where a single label is all there is, the row is left out."""


class Splits(Declared, frozen=True, kw_only=True):
    """How patients are dealt out where the table does not say."""

    by: str = "patient"
    train: float = 0.6
    validation: float = 0.1
    id: float = 0.3
    """Shares of the patients; they add up to 1."""
    seed: int = 0


class ColumnShift(Declared, frozen=True, kw_only=True):
    """A shift within the table: the rows with certain values."""

    column: str
    equals: list[str]


class CohortFile(Declared, frozen=True, kw_only=True):
    """The file `cohort.yaml`."""

    domain: Literal["chest", "mammography", "dermatology"]
    root: str = "."
    """Where the images are, relative to this file or absolute."""
    table: str
    """A CSV file with one row per image, beside this file or below `root`."""
    columns: Columns
    labels: dict[str, str | Label] = msgspec.field(default_factory=dict)
    """One label: a yes-or-no question. Several: each may be present (multi-label)."""
    classes: ValueColumn | None = None
    """Several classes of which exactly one is true, in order."""
    uncertain: Uncertain | None = None
    splits: Splits = msgspec.field(default_factory=Splits)
    shifts: dict[str, str | ColumnShift] = msgspec.field(default_factory=dict)
    """Name -> another cohort.yaml, all of whose images are used, or rows of this table."""

    @property
    def target(self) -> Target:
        """What is predicted; a single label becomes the two classes `not <label>` and `<label>`."""
        if self.classes:
            return Target(kind="single-label", classes=tuple(self.classes.values))
        if len(self.labels) == 1:
            (label,) = self.labels
            return Target(kind="single-label", classes=(f"not {label}", label))
        return Target(kind="multi-label", classes=tuple(self.labels))

    @property
    def cluster(self) -> str:
        """`patient`, or the column that stands in for it."""
        return "patient" if self.columns.patient else self.columns.cluster or ""

    def tells_patients(self, column: str) -> bool:
        """Whether the column holds the patients, or what stands in for them."""
        return column in (self.columns.patient, self.columns.cluster)

    @property
    def shift_names(self) -> tuple[str, ...]:
        """Shifts in the order they are declared: by split, by evaluation set, by name."""
        columns = (self.columns.split, self.columns.evaluation_set)
        by_value = [name for c in columns if isinstance(c, ValueColumn) for name in c.values]
        return tuple(dict.fromkeys(name for name in (*by_value, *self.shifts) if name not in SPLITS))


def load_declaration(path: Path) -> Document[CohortFile]:
    """Read a cohort.yaml and check that it makes sense in itself.

    Raises:
      MedbenchError: at the first mistake, with file and line.
    """
    document = load_document(path, CohortFile)
    _check_target(document)
    _check_patients(document)
    _check_attributes(document)
    _check_splits(document)
    _check_shifts(document)
    return document


def _check_target(document: Document[CohortFile]) -> None:
    declared = document.value
    if bool(declared.labels) == bool(declared.classes):
        found = "both `labels` and `classes`" if declared.labels else "neither `labels` nor `classes`"
        raise document.error(
            "labels",
            message=f"the file gives {found}; give one. `labels` for findings that are present "
            "or not, `classes` for diagnoses of which exactly one is true.",
        )
    uncertain = declared.uncertain
    for name, label in declared.labels.items():
        if isinstance(label, Label):
            told = [("positive", label.positive), ("negative", label.negative)]
            if uncertain:
                told.append(("uncertain", uncertain.values))
            _check_disjoint(document, told, ("labels", name), f"label `{name}`")
            if label.negative and not label.positive:
                raise document.error(
                    "labels", name, message=f"label `{name}` has `negative` values but no `positive` ones."
                )
    if declared.classes:
        if len(declared.classes.values) < 2:
            raise document.error("classes", message="`classes` needs two classes or more.")
        told = list(declared.classes.values.items())
        if uncertain:
            told.append(("uncertain", uncertain.values))
        _check_disjoint(document, told, ("classes", "values"), "`classes`")
    if declared.classes and uncertain and uncertain.policy != "ignore":
        raise document.error(
            "uncertain",
            "policy",
            message=f"policy `{uncertain.policy}` says nothing among several classes; "
            "use `ignore`, or list the values under a class.",
        )


def _check_patients(document: Document[CohortFile]) -> None:
    columns = document.value.columns
    if columns.patient and columns.cluster:
        raise document.error(
            "columns", "cluster", message="`patient` and `cluster` are both given; keep `patient`."
        )
    if not columns.patient and not columns.cluster:
        raise document.error(
            "columns",
            message="columns lack `patient`. Images of one patient must stay together. If patients are not "
            "known, name what is (`cluster: lesion_id`); results then carry a warning.",
        )
    if document.value.splits.by not in {"patient", columns.patient, columns.cluster}:
        expected = columns.patient or columns.cluster
        raise document.error(
            "splits", "by", message=f"expected `patient` or `{expected}`, found `{document.value.splits.by}`."
        )


def _check_attributes(document: Document[CohortFile]) -> None:
    declared = document.value
    for name, attribute in declared.columns.attributes.items():
        place = ("columns", "attributes", name)
        column = attribute if isinstance(attribute, str) else attribute.column
        if declared.tells_patients(column):
            raise document.error(
                *place,
                message=f"attribute `{name}` is the column `{column}` that tells patients apart. Groups are "
                "named in reports, and ids stay in the store: take it out.",
            )
        if isinstance(attribute, str):
            continue
        if attribute.bins and attribute.values:
            raise document.error(
                *place, message=f"attribute `{name}` has both `bins` and `values`; give one."
            )
        if any(a >= b for a, b in itertools.pairwise(attribute.bins)):
            raise document.error(*place, "bins", message=f"`bins` of attribute `{name}` must ascend.")
        told = [*attribute.values.items(), ("missing", attribute.missing)]
        _check_disjoint(document, told, place, f"attribute `{name}`")


def _check_splits(document: Document[CohortFile]) -> None:
    splits = document.value.splits
    for name in SPLITS:
        if getattr(splits, name) <= 0:
            raise document.error("splits", name, message=f"the share of `{name}` must be larger than 0.")
    total = splits.train + splits.validation + splits.id
    if abs(total - 1) > 1e-6:
        raise document.error(
            "splits", message=f"train, validation and id add up to {total:g}; as shares they must give 1."
        )


def _check_shifts(document: Document[CohortFile]) -> None:
    declared = document.value
    for key in ("split", "evaluation_set"):
        column = getattr(declared.columns, key)
        if isinstance(column, ValueColumn):
            _check_disjoint(
                document, list(column.values.items()), ("columns", key, "values"), f"column `{key}`"
            )
            for name in set(column.values) & set(declared.shifts):
                raise document.error("shifts", name, message=f"shift `{name}` is also a value of `{key}`.")
            if key == "evaluation_set":
                for name in {TRAIN, VALIDATION} & set(column.values):
                    raise document.error(
                        *("columns", key, "values", name),
                        message=f"`{name}` is not for evaluation. Expected `id` or the name of a shift.",
                    )
    for name in (*declared.shifts, *declared.shift_names):
        if name in SPLITS or not SHIFT_NAME.fullmatch(name):
            place = ("shifts", name) if name in declared.shifts else ("columns",)
            raise document.error(
                *place,
                message=f"`{name}` cannot name a shift: use lower-case letters, digits and hyphens, "
                f"and not {', '.join(SPLITS)}.",
            )


def _check_disjoint(
    document: Document[CohortFile], told: list[tuple[str, list[str]]], place: tuple[str, ...], what: str
) -> None:
    counts = Counter(value for _, values in told for value in values)
    for value, times in counts.items():
        if times > 1:
            where = " and ".join(f"`{name}`" for name, values in told if value in values)
            raise document.error(*place, message=f"value `{value}` of {what} is listed twice, under {where}.")
