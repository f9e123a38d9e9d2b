"""Where weight files are looked for, and what they are called.

Planning asks here, so nothing imports jax.
"""

import difflib
import hashlib
import os
from pathlib import Path

from medbench.errors import NotHereError

VARIABLE = "MEDBENCH_WEIGHTS"
SHIPPED = Path(__file__).parent / "weights"


def find(name: str, near: Path | None = None) -> Path:
    """The first file of this name in the folders of $MEDBENCH_WEIGHTS, in `near`, or among the shipped ones.

    Args:
      name: the file's name, such as `BiT-M-R50x1.npz`.
      near: the folder of the YAML that names it.

    Raises:
      NotHereError: it is in none of them; the message says where to put it and what is there.
    """
    folders = _folders(near)
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    there = sorted({file.name for folder in folders if folder.is_dir() for file in folder.glob("*.npz")})
    nearest = difflib.get_close_matches(name, there, n=1)
    guess = f" Did you mean `{nearest[0]}`?" if nearest else ""
    raise NotHereError(
        f"weights `{name}` not found in {', '.join(map(str, folders))}.{guess}"
        f" Put the file there, or name its folder in ${VARIABLE}."
        f" Weight files found: {', '.join(there) or 'none'}."
    )


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folders(near: Path | None) -> list[Path]:
    named = [Path(entry) for entry in os.environ.get(VARIABLE, "").split(os.pathsep) if entry]
    return [*named, *([near] if near else []), SHIPPED]
