"""What a weight file is held against, whatever its format: an architecture's names, shapes and types.

Only headers are looked at here, so that a file that claims to be anything is refused before it is unpacked.
"""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util
from numpy.typing import NDArray

from medbench.errors import MedbenchError, printable
from medbench.models.bit import param_shapes

MOST_CLASSES = 50_000
"""A few bytes can claim a head of any size; the largest that was released has 21,843 classes."""
NAMED = 3

ParamPath = tuple[str, ...]
"""The names that lead to a parameter in the tree, as `flax.traverse_util.flatten_dict` gives them."""


class Header(NamedTuple):
    """What an array in a file says of itself."""

    shape: tuple[int, ...]
    dtype: str
    """Such as `float32`."""


@functools.cache  # many runs share few architectures, and jax takes a while to tell
def shapes(blocks: tuple[int, ...], width: float, classes: int) -> Mapping[ParamPath, tuple[int, ...]]:
    """The shape of every parameter of a BiT with so many classes, by its path in the tree."""
    flat = traverse_util.flatten_dict(param_shapes(blocks, width, classes))
    return {path: leaf.shape for path, leaf in flat.items()}


@contextmanager
def reading(path: Path, kind: str, tell: tuple[type[Exception], ...]) -> Iterator[None]:
    """One clear error for whatever is wrong with the file's bytes.

    Args:
      path: the file.
      kind: what it should be, such as `.npz`.
      tell: errors whose own words help; what others say, such as numpy's advice to open pickles, is kept.

    Raises:
      MedbenchError: anything at all went wrong within the block.
    """
    try:
        yield
    except (MedbenchError, MemoryError):
        raise
    except Exception as error:  # readers of archives raise a dozen kinds for damaged bytes
        reason = f" ({printable(str(error))})" if isinstance(error, tell) else ""
        raise MedbenchError(
            f"{path}: not a readable {kind} file{reason}. Copy or download it again."
        ) from error


def require_file(path: Path) -> None:
    """Raises MedbenchError if there is no such file."""
    if not path.is_file():
        raise MedbenchError(f"{path}: no such weight file")


def classes_of(path: Path, name: str, bias: Header) -> int:
    """How many classes the file's own head has: its only size that the architecture leaves open.

    Args:
      path: the file.
      name: of the head's bias in it.
      bias: its header.

    Raises:
      MedbenchError: they are too many to be true.
    """
    classes = math.prod(bias.shape)
    if not 0 <= classes <= MOST_CLASSES:
        raise MedbenchError(
            f"{path.name}: array `{name}` is for {classes:,} classes, expected {MOST_CLASSES:,} at most"
        )
    return classes


def check_names(path: Path, found: set[str], expected: set[str]) -> None:
    """Raises MedbenchError if the names of the arrays are not exactly the architecture's."""
    problems = [
        f"{what} {_listed(names)}"
        for what, names in (("lacks", expected - found), ("has the unknown", found - expected))
        if names
    ]
    if problems:
        raise MedbenchError(f"{path.name}: {' and '.join(problems)}. Is this file for another architecture?")


def check_header(
    path: Path, name: str, found: Header, *, shape: tuple[int, ...], dtypes: Sequence[str]
) -> None:
    """Raises MedbenchError if an array cannot be the parameter it is named for."""
    if found.shape != shape:
        raise MedbenchError(
            f"{path.name}: array `{name}` has shape {found.shape}, expected {shape}."
            " Is this file for another architecture?"
        )
    if found.dtype not in dtypes:
        raise MedbenchError(f"{path.name}: array `{name}` is {found.dtype}, expected {' or '.join(dtypes)}")


def as_float32(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """The array in single precision: the very same one if it is so already.

    Raises:
      MedbenchError: it has values that are not finite.
    """
    single = array.astype(np.float32, copy=False)
    # Both bounds are NaN where any value is; unlike isfinite().all() they need no memory.
    if not np.isfinite([single.min(initial=0), single.max(initial=0)]).all():
        raise MedbenchError(
            f"{path.name}: array `{name}` has values that are not finite. Copy or download it again."
        )
    return single


def _listed(names: set[str]) -> str:
    shown = ", ".join(f"`{printable(name)}`" for name in sorted(names)[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{'array' if len(names) == 1 else 'arrays'} {shown}{more}"
