"""Where weight files are looked for, and what they are called.

Planning asks here, so nothing imports jax.
"""

import difflib
import hashlib
import os
from pathlib import Path

from medbench.errors import NotHereError
from medbench.models.catalogue import released

VARIABLE = "MEDBENCH_WEIGHTS"
SUFFIXES = (".npz", ".safetensors")
"""Of files that are read: the released naming, and timm's."""
OWN = Path(".medbench/weights")
"""Where files are put if no other folder is named."""
SHIPPED = Path(__file__).parent / "weights"


def find(name: str, near: Path | None = None) -> Path:
    """The first file of this name in the folders that are searched.

    These are the folders of $MEDBENCH_WEIGHTS, `near`, `.medbench/weights`, and what medbench ships.

    Args:
      name: the file's name, such as `BiT-M-R50x1.npz`.
      near: the folder of the YAML that names it.

    Raises:
      NotHereError: it is in none of them, and the message says where to put it and what is there; or what
        has its name there is no file.
    """
    searched = folders(near)
    for folder in searched:
        if (folder / name).is_file():
            return folder / name
    for folder in searched:
        if other := _what_else(folder / name):
            raise NotHereError(f"{folder / name}: is {other}, expected a weight file.")
    places = ", ".join(map(str, searched))
    if name in released():
        raise NotHereError(f"weights `{name}` not found in {places}. {_how_to_get(name)}")
    there = sorted({file.name for folder in searched for file in there_in(folder)})
    nearest = difflib.get_close_matches(name, there, n=1)
    guess = f" Did you mean `{nearest[0]}`?" if nearest else ""
    raise NotHereError(
        f"weights `{name}` not found in {places}.{guess} {_how_to_get(name)}"
        f" Weight files found: {', '.join(there) or 'none'}."
    )


def folders(near: Path | None = None) -> list[Path]:
    """The folders that are searched, first to last; they need not exist."""
    return [*_named(), *([near] if near else []), OWN, SHIPPED]


def usual_folder() -> Path:
    """Where files are put if nobody says otherwise: the first folder of $MEDBENCH_WEIGHTS, or one's own."""
    return next(iter(_named()), OWN)


def there_in(folder: Path) -> list[Path]:
    """The weight files of a folder, which need not exist."""
    return sorted(file for suffix in SUFFIXES for file in folder.glob(f"*{suffix}"))


def is_shipped(path: Path) -> bool:
    """Whether a file travels with medbench, however its path is written."""
    return path.resolve().parent == SHIPPED.resolve()


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _what_else(path: Path) -> str:
    """What is there in place of a file, in words; empty where nothing is."""
    if path.is_symlink() and not path.exists():
        return f"a link to {path.readlink()}, which is not there"
    if path.is_dir():
        return "a folder"
    return "no regular file" if path.exists() else ""


def _named() -> list[Path]:
    return [Path(entry) for entry in os.environ.get(VARIABLE, "").split(os.pathsep) if entry]


def _how_to_get(name: str) -> str:
    there = f"the file there, or name its folder in ${VARIABLE}."
    if name not in released():
        return f"Put {there}"
    size = released()[name].bytes / 1e6
    return f"`medbench weights get {name}` fetches it (about {size:,.0f} MB); or put {there}"
