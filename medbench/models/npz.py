"""Weight files in the naming of the released BiT models, read and written without pickle.

Every array is held against the architecture before it is unpacked; nothing is computed on a device.
"""

import functools
import math
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util
from numpy.typing import DTypeLike, NDArray

from medbench.errors import MedbenchError, printable
from medbench.models.bit import Params, param_shapes

PREFIX = "resnet"
HEAD_BIAS = "resnet/head/conv2d/bias"
MOST_CLASSES = 50_000
"""A few bytes can claim a head of any size; the largest that was released has 21,843 classes."""
NAMED = 3


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


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
    if not path.is_file():
        raise MedbenchError(f"{path}: no such weight file")
    with _reading(path):
        archive = zipfile.ZipFile(path)
    with archive:
        members = _members(path, archive)
        classes = _classes(path, archive, members[HEAD_BIAS]) if HEAD_BIAS in members else 1
        shapes = _shapes(tuple(blocks), width, classes)
        _check_names(path, set(members), set(shapes))
        for name, member in members.items():
            _check_header(path, name, _header(path, archive, member), shapes[name])
        arrays = {name: _array(path, archive, name, member) for name, member in members.items()}
    return traverse_util.unflatten_dict({tuple(name.split("/")[1:]): array for name, array in arrays.items()})


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
            np.savez_compressed(file, **stored)
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


@functools.cache  # many runs share few architectures, and jax takes a while to tell
def _shapes(blocks: tuple[int, ...], width: float, classes: int) -> Mapping[str, tuple[int, ...]]:
    """The shape of every array that a file of this architecture has."""
    flat = traverse_util.flatten_dict(param_shapes(blocks, width, classes))
    return {"/".join((PREFIX, *names)): leaf.shape for names, leaf in flat.items()}


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """One clear error for whatever is wrong with the file's bytes."""
    try:
        yield
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for damaged bytes
        # What numpy says of other files is advice to switch pickle on.
        reason = f" ({error})" if isinstance(error, (zipfile.BadZipFile, zlib.error, OSError)) else ""
        raise MedbenchError(
            f"{path}: not a readable .npz file{reason}. Copy or download it again."
        ) from error


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, str]:
    """Members of the archive by the names of their arrays, without the layers' numbers."""
    members: dict[str, str] = {}
    for member in archive.namelist():
        name = member.removesuffix(".npy")
        plain = re.sub(r"/standardized_conv2d_\d+/", "/standardized_conv2d/", name)
        if plain in members:
            raise MedbenchError(
                f"{path.name}: array `{printable(plain)}` stands there twice, once as `{printable(name)}`"
            )
        members[plain] = member
    return members


def _classes(path: Path, archive: zipfile.ZipFile, bias: str) -> int:
    """How many classes the file's own head has: its only size that the architecture leaves open."""
    classes = math.prod(_header(path, archive, bias).shape)
    if not 0 <= classes <= MOST_CLASSES:
        raise MedbenchError(
            f"{path.name}: array `{HEAD_BIAS}` is for {classes:,} classes, expected {MOST_CLASSES:,} at most"
        )
    return classes


def _header(path: Path, archive: zipfile.ZipFile, member: str) -> _Header:
    """What an array says of itself; its data stays packed, as it may claim to be of any size."""
    with _reading(path), archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{version}: for headers longer than 64 KiB, which no array of weights has")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return _Header(shape, dtype)


def _array(path: Path, archive: zipfile.ZipFile, name: str, member: str) -> NDArray[np.float32]:
    """The data of an array whose header was checked."""
    with _reading(path), archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if not np.isfinite(array).all():
        raise MedbenchError(
            f"{path.name}: array `{name}` has values that are not finite. Copy or download it again."
        )
    return array.astype(np.float32)


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
    shown = ", ".join(f"`{printable(name)}`" for name in sorted(names)[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{'array' if len(names) == 1 else 'arrays'} {shown}{more}"


def _check_header(path: Path, name: str, found: _Header, shape: tuple[int, ...]) -> None:
    """Raises if an array cannot be the parameter it is named for."""
    if found.shape != shape:
        raise MedbenchError(
            f"{path.name}: array `{name}` has shape {found.shape}, expected {shape}."
            " Is this file for another architecture?"
        )
    if found.dtype not in (np.float16, np.float32):
        raise MedbenchError(f"{path.name}: array `{name}` is {found.dtype}, expected float16 or float32")
