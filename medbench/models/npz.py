"""Weight files in the naming of the released BiT models, read and written without pickle.

Every array is held against the architecture before it is used; nothing is computed on a device.
"""

import os
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util
from numpy.typing import DTypeLike, NDArray

from medbench.errors import MedbenchError
from medbench.models.bit import Params, param_shapes

PREFIX = "resnet"
HEAD_BIAS = "resnet/head/conv2d/bias"
NAMED = 3


def load(path: Path, *, blocks: Sequence[int], width: float) -> dict[str, Any]:
    """The parameters in a weight file, with the file's own head.

    Some released files number a layer, `standardized_conv2d_7`; both namings are read.

    Args:
      path: a `.npz` file of 16-bit or 32-bit arrays.
      blocks: units in each block of the architecture that the file should hold.
      width: its factor on the channels.

    Returns:
      The parameter tree with numpy float32 arrays; the number of classes is the length of
      `params["head"]["conv2d"]["bias"]`.

    Raises:
      MedbenchError: the file is absent, damaged, or an array is missing, surplus, misshapen or not
        of finite numbers; the message names the array.
    """
    arrays = _read(path)
    classes = arrays[HEAD_BIAS].size if HEAD_BIAS in arrays else 1
    expected = {
        "/".join((PREFIX, *names)): leaf.shape
        for names, leaf in traverse_util.flatten_dict(param_shapes(blocks, width, classes)).items()
    }
    _check_names(path, set(arrays), set(expected))
    for name, array in arrays.items():
        _check_array(path, name, array, expected[name])
    return traverse_util.unflatten_dict(
        {tuple(name.split("/")[1:]): array.astype(np.float32) for name, array in arrays.items()}
    )


def save(path: Path, params: Params, dtype: DTypeLike = np.float32) -> None:
    """Writes parameters under the released names; equal parameters give equal bytes.

    The file appears whole or not at all.

    Args:
      path: the file to write or replace, `.npz`.
      params: the parameter tree.
      dtype: float32, or float16 for half the size: relative errors up to 2^-11.

    Raises:
      MedbenchError: an array has values that `dtype` cannot hold.
    """
    arrays = {"/".join((PREFIX, *names)): leaf for names, leaf in traverse_util.flatten_dict(params).items()}
    with np.errstate(over="ignore"):
        stored: dict[str, Any] = {name: np.asarray(arrays[name]).astype(dtype) for name in sorted(arrays)}
    for name, array in stored.items():
        if not np.isfinite(array).all():
            raise MedbenchError(
                f"{path.name}: array `{name}` has values that {array.dtype} cannot hold; not written"
            )
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, **stored)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def adapt_head(params: Params, classes: int) -> dict[str, Any]:
    """The same body under a new head of zeros, as fine-tuning starts.

    Args:
      params: the parameter tree; it is not changed.
      classes: columns of the new head's logits.
    """
    features = params["group_norm"]["gamma"].shape[0]
    kernel = np.zeros((1, 1, features, classes), np.float32)
    return {**params, "head": {"conv2d": {"kernel": kernel, "bias": np.zeros(classes, np.float32)}}}


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file, under names without the layers' numbers."""
    if not path.is_file():
        raise MedbenchError(f"{path}: no such weight file")
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            stored = {name: np.asarray(archive[name]) for name in archive.files}
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for damaged bytes
        # What numpy says of other files is advice to switch pickle on.
        reason = f" ({error})" if isinstance(error, (zipfile.BadZipFile, zlib.error, OSError)) else ""
        raise MedbenchError(
            f"{path}: not a readable .npz file{reason}. Copy or download it again."
        ) from error
    for name, array in stored.items():
        plain = re.sub(r"/standardized_conv2d_\d+/", "/standardized_conv2d/", name)
        if plain in arrays:
            raise MedbenchError(f"{path.name}: array `{plain}` stands there twice, once as `{name}`")
        arrays[plain] = array
    return arrays


def _check_names(path: Path, found: set[str], expected: set[str]) -> None:
    """Raises if the names are not exactly the architecture's."""
    problems = [
        f"{what} {_listed(names)}"
        for what, names in (("lacks", expected - found), ("has the unknown", found - expected))
        if names
    ]
    if problems:
        raise MedbenchError(f"{path.name}: {' and '.join(problems)}. Is this file for another architecture?")


def _listed(names: set[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in sorted(names)[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{'array' if len(names) == 1 else 'arrays'} {shown}{more}"


def _check_array(path: Path, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Raises if an array cannot be the parameter it is named for."""
    if array.shape != shape:
        raise MedbenchError(
            f"{path.name}: array `{name}` has shape {array.shape}, expected {shape}."
            " Is this file for another architecture?"
        )
    if array.dtype not in (np.float16, np.float32):
        raise MedbenchError(f"{path.name}: array `{name}` is {array.dtype}, expected float16 or float32")
    if not np.isfinite(array).all():
        raise MedbenchError(
            f"{path.name}: array `{name}` has values that are not finite. Copy or download it again."
        )
