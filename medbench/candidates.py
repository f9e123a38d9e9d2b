"""The folder of `--candidates`: expectations as they would be if a session were accepted, and what changes.

Layout: `changes.txt`; `expectations/`, a whole copy of the tier's accepted values with the changes made, and
of the reference runs those that are new or differ. What was accepted is only read.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from medbench.errors import MedbenchError
from medbench.expect import INDEX, Change, summary

EXPECTATIONS, CHANGES = "expectations", "changes.txt"


def require_own(folder: Path) -> None:
    """Refuse a folder that holds something else than earlier candidates.

    Raises:
      MedbenchError: it is a file, or a folder that is neither empty nor of earlier candidates.
    """
    if folder.exists() and not folder.is_dir():
        raise MedbenchError(f"{folder}: expected a folder (it is made), found a file.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CHANGES).is_file():
        raise MedbenchError(
            f"{folder}: holds something else than earlier candidates, and would be replaced. Name another "
            "folder."
        )


def begin(folder: Path, accepted_in: Path | None, tier: str) -> Path:
    """Make the folder, in place of earlier candidates, with a copy of what was accepted for a tier.

    Args:
      folder: of the candidates.
      accepted_in: the folder `expectations`, which need not exist; None where nothing was accepted.
      tier: whose values are copied; those of others have no part.

    Returns:
      The copy.

    Raises:
      MedbenchError: the folder holds something else, or cannot be written.
    """
    require_own(folder)
    copy = folder / EXPECTATIONS
    try:
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        (folder / CHANGES).touch()
        if accepted_in is not None:
            _copy_values(accepted_in, copy, tier)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return copy


def end(folder: Path, changes: Sequence[Change]) -> str:
    """Write down what accepting would change; returns that text, whose last line is the sum.

    Raises:
      MedbenchError: the folder cannot be written.
    """
    changed = sum(change.before != change.after for change in changes)
    kept = sum(bool(change.why_kept) for change in changes)
    last = f"{changed} of {len(changes)} items would change"
    last += f", {kept} could not be accepted as they are" if kept else ""
    text = "\n".join(filter(None, (summary(changes), last)))
    try:
        (folder / CHANGES).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise _unwritable(folder, error) from error
    return text


def reason(date: str) -> str:
    """What stands as reason beside a value that nobody has accepted yet."""
    return f"candidate of {date}, not reviewed"


def _copy_values(accepted_in: Path, copy: Path, tier: str) -> None:
    """The files of values, the index and the calibration; not the runs, which are large and unchanged."""
    alone = [accepted_in / "numeric.yaml", accepted_in / tier / INDEX]
    for path in [*filter(Path.is_file, alone), *(accepted_in / tier).glob("*/*.yaml")]:
        target = copy / path.relative_to(accepted_in)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _unwritable(folder: Path, error: OSError) -> MedbenchError:
    return MedbenchError(f"{folder}: candidates cannot be written ({error.strerror}). Name another folder.")
