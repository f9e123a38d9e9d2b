"""Weight files of BiT nets of any format that is read, told apart by how their names end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medbench.errors import MedbenchError
from medbench.models import npz, timm

_FORMATS = {".npz": npz, ".safetensors": timm}


def load(path: Path, *, blocks: Sequence[int], width: float) -> dict[str, Any]:
    """The parameters in a file, float32, with its own head: see `npz.load` and `timm.load`.

    Raises:
      MedbenchError: the file is absent, damaged, or not of the architecture.
    """
    return _format(path).load(path, blocks=blocks, width=width)


def check(path: Path, *, blocks: Sequence[int], width: float) -> int:
    """Hold the headers of a file's arrays against an architecture, reading none of them.

    Returns:
      The number of classes of the file's own head.

    Raises:
      MedbenchError: the file is absent, damaged, or not of the architecture.
    """
    classes: int = _format(path).check(path, blocks=blocks, width=width)
    return classes


def _format(path: Path) -> Any:
    if path.suffix not in _FORMATS:
        raise MedbenchError(f"{path}: expected a file that ends in {' or '.join(_FORMATS)}")
    return _FORMATS[path.suffix]
