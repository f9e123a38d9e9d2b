"""What another trainer left, read with mistrust: every image once, the right classes, finite logits.

Each mistake is one message with the file, what was found there and what was expected. No jax here.
"""

import csv
import difflib
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from medbench.data.table import read_table
from medbench.errors import MedbenchError, few, nearest, printable
from medbench.execute.job import IMAGE, LOGIT, Job
from medbench.record import Step
from medbench.store import FEATURES

ABOUT = "trainer.json"
PROBE = 128
"""Features are kept of the first so many images of `id`, as medbench's own runs do."""

_Platform = Literal["", "cpu", "gpu", "tpu"]
_Seconds = Annotated[float, msgspec.Meta(ge=0)]


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `trainer.json`, all of it optional: what a person will want to know of the run."""

    platform: _Platform = ""
    """What it computed on; empty for what jax would, on the machine that medbench runs on."""
    device: str = ""
    """Name of the processor or accelerator; it tells GPUs apart, by whose class values are compared."""
    libraries: dict[str, str] = {}
    """Versions by name."""
    timings: dict[str, _Seconds] = {}
    """Seconds by stage, such as `train` and `evaluate`; by default the time until the trainer came back."""
    trace: list[Step] = []
    """Loss and learning rate at some steps."""


@dataclass(frozen=True)
class HandedIn:
    """What a trainer left.

    Attributes:
      logits: (n, k) float32 of `validation` and every evaluation set, in the order of the cohort.
      features: `start/<stage>` and `end/<stage>` -> (probe, c) float16; empty where it left none.
      about: of the run.
    """

    logits: Mapping[str, NDArray[np.float32]]
    features: Mapping[str, NDArray[np.float16]]
    about: About


def read(job: Job, names: Mapping[str, NDArray[np.str_]]) -> HandedIn:
    """Read and check all that was left.

    Args:
      job: as it was given out.
      names: (n,) images' names by set, in the order of the cohort; `train` is not among them.

    Raises:
      MedbenchError: something is missing, or is not as it should be.
    """
    files = _predictions_files(job, list(names))
    classes = job.file.spec.target.classes
    return HandedIn(
        logits={name: _logits(file, names[name], classes) for name, file in files.items()},
        features=_features(job.folder / FEATURES, min(PROBE, len(names["id"]))),
        about=_about(job.folder / ABOUT),
    )


def _predictions_files(job: Job, sets: Sequence[str]) -> dict[str, Path]:
    """The file of each set, as CSV or Parquet."""
    files: dict[str, Path] = {}
    missing = []
    for name in sets:
        table = Path(job.file.sets[name].predictions or "")
        there = [path for path in (table, table.with_suffix(".parquet")) if path.is_file()]
        if len(there) > 1:
            raise MedbenchError(
                f"{table}: there is a .parquet file of the same predictions beside it. Leave one of them."
            )
        if there:
            files[name] = there[0]
        else:
            missing.append(table)
    if missing:
        folder = missing[0].parent
        known = {file.name for file in files.values()}
        others = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        others = [printable(name) for name in others if name not in known]
        found = f"; found there: {few(others)}" if others else ""
        raise MedbenchError(
            f"{len(missing)} of {len(sets)} files of predictions are missing: "
            f"{few([path.name for path in missing])} (or .parquet) in {folder}{found}. Write one for "
            "`validation` and for every evaluation set."
        )
    return files


def _logits(file: Path, names: NDArray[np.str_], classes: Sequence[str]) -> NDArray[np.float32]:
    """(n, k), in the order of the names."""
    columns = _parquet(file) if file.suffix == ".parquet" else _csv(file)
    _require_columns(file, list(columns), [IMAGE, *(LOGIT + name for name in classes)])
    found = columns[IMAGE]
    _require_every_image_once(file, found, names)
    logits = [_numbers(file, LOGIT + name, columns[LOGIT + name], found) for name in classes]
    place = {name: i for i, name in enumerate(found)}
    return np.stack(logits, axis=1)[[place[name] for name in names.tolist()]]


def _csv(file: Path) -> dict[str, list[str]]:
    columns = read_table(file).columns
    with file.open(newline="", encoding="utf-8-sig") as text:  # a cohort's table may have equal ones twice
        _require_no_column_twice(file, [name.strip() for name in next(csv.reader(text))])
    return columns


def _parquet(file: Path) -> dict[str, list[Any]]:
    try:
        table = pq.read_table(file, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise MedbenchError(f"{file}: not a Parquet file that can be read ({error}).") from error
    _require_no_column_twice(file, table.column_names)
    return {name: table[name].to_pylist() for name in table.column_names}


def _require_no_column_twice(file: Path, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise MedbenchError(f"{file}: column `{printable(twice[0])}` is there twice. Leave one of them.")


def _require_columns(file: Path, found: Sequence[str], expected: Sequence[str]) -> None:
    missing = [name for name in expected if name not in found]
    surplus = [name for name in found if name not in expected]
    if not missing and not surplus:
        return
    parts = [f"no column `{missing[0]}`"] if missing else []
    parts += [f"a column `{printable(surplus[0])}`, which has no meaning"] if surplus else []
    meant = difflib.get_close_matches(surplus[0], missing, n=1) if surplus else []
    hint = f"Did you mean `{meant[0]}`?" if meant else ""
    raise MedbenchError(
        f"{file}: there is {' and '.join(parts)}. Expected {', '.join(f'`{name}`' for name in expected)}. "
        f"{hint}".rstrip()
    )


def _require_every_image_once(file: Path, found: Sequence[Any], names: NDArray[np.str_]) -> None:
    """In any order."""
    for row, name in enumerate(found, start=1):
        if not isinstance(name, str):
            raise MedbenchError(f"{file}: `{IMAGE}` of row {row} is {name!r}, expected a name.")
    expected, counts = set(names.tolist()), Counter(found)
    wrong = {
        "no row for": sorted(expected - counts.keys()),
        "several rows for": sorted(name for name, count in counts.items() if count > 1),
        "rows for what is none of the set's images:": sorted(counts.keys() - expected),
    }
    said = [f"{what} {printable(few(which))}" for what, which in wrong.items() if which]
    if said:
        raise MedbenchError(
            f"{file}: there are {'; '.join(said)}. Expected one row for each of the {len(names)} images that "
            "the set's table of examples lists, by the same names."
        )


def _numbers(file: Path, column: str, cells: Sequence[Any], images: Sequence[str]) -> NDArray[np.float32]:
    """(n,) finite numbers, still finite as float32."""
    values = np.empty(len(cells), np.float32)
    for i, cell in enumerate(cells):
        values[i] = number = _number(cell)
        if number is None or not np.isfinite(values[i]):
            raise MedbenchError(f"{file}: `{column}` of image {images[i]} {_not_a_number(cell)}")
    return values


def _not_a_number(cell: Any) -> str:
    if cell is None or cell == "":
        return "is empty, expected a finite number."
    found = f"is `{printable(str(cell))}`"
    number = _number(cell)
    if number is None:
        return f"{found}, expected a finite number."
    if np.isfinite(float(cell)):
        return f"{found}, which does not fit 32 bits: expected a finite number of at most 3.4e38 in size."
    return f"{found}, expected a finite number. Has training diverged?"


def _number(cell: Any) -> np.float32 | None:
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return None
    try:
        with np.errstate(over="ignore"):
            return np.float32(cell)
    except (ValueError, OverflowError):
        return None


def _features(file: Path, images: int) -> dict[str, NDArray[np.float16]]:
    """As documented; empty where there is no such file."""
    if not file.exists():
        return {}
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise MedbenchError(f"{file}: not an .npz file that can be read without pickle ({error}).") from error
    stages = {
        moment: {name.removeprefix(f"{moment}/") for name in arrays if name.startswith(f"{moment}/")}
        for moment in ("start", "end")
    }
    if len(stages["start"]) + len(stages["end"]) < len(arrays) or stages["start"] != stages["end"]:
        raise MedbenchError(
            f"{file}: has the arrays {few(sorted(map(printable, arrays)))}; expected `start/<stage>` and "
            "`end/<stage>` of the same stages, and no others."
        )
    return {name: _features_of(file, name, array, images) for name, array in arrays.items()}


def _features_of(file: Path, name: str, array: NDArray[Any], images: int) -> NDArray[np.float16]:
    shape = " x ".join(map(str, array.shape)) or "a single number"
    if array.ndim != 2 or len(array) != images or array.dtype.kind != "f":
        raise MedbenchError(
            f"{file}: `{printable(name)}` is {shape} of {array.dtype}; expected one row of floating-point "
            f"numbers for each of the first {images} images of `id`."
        )
    with np.errstate(over="ignore"):
        kept = array.astype(np.float16)
    if not np.isfinite(kept).all():
        raise MedbenchError(f"{file}: `{printable(name)}` has values that are not finite in 16 bits.")
    return kept


def _about(file: Path) -> About:
    if not file.exists():
        return About()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise MedbenchError(f"{file}: cannot be read ({error.strerror}).") from error
    try:
        return msgspec.json.decode(content, type=About)
    except msgspec.ValidationError as error:
        raise MedbenchError(
            f"{file}: not as documented ({printable(str(error))}). {_expected(str(error))}"
        ) from error
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        constant = re.search(rb"NaN|Infinity", content)
        hint = f" {constant[0].decode()} is none: leave such values out." if constant else ""
        raise MedbenchError(f"{file}: no JSON that can be read ({printable(str(error))}).{hint}") from error


def _expected(mistake: str) -> str:
    """What should stand in the place of `trainer.json` that the mistake names."""
    if mistake.endswith("`$.platform`"):
        known = ", ".join(f"`{name}`" for name in get_args(_Platform) if name)
        return f"Expected one of {known}, or no such field."
    if (unknown := re.fullmatch(r"Object contains unknown field `(.*)`", mistake)) is not None:
        return nearest(unknown[1], About.__struct_fields__)
    return "Correct it or leave it out."
