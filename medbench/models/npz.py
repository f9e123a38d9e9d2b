"""Weight files in the naming of the released BiT models, read and written without pickle.

Every array is held against the architecture before it is unpacked; nothing is computed on a device.
"""

import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util
from numpy.typing import DTypeLike, NDArray

from medbench.errors import MedbenchError, printable
from medbench.models import arrays
from medbench.models.arrays import Header
from medbench.models.bit import Params

PREFIX = "resnet"
HEAD_BIAS = "resnet/head/conv2d/bias"
DTYPES = ("float16", "float32")
_TELLING = (zipfile.BadZipFile, zlib.error, OSError)


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
    with _checked(path, tuple(blocks), width) as (archive, members, _):
        tree = {
            tuple(name.split("/")[1:]): _array(path, archive, name, member)
            for name, member in members.items()
        }
    return traverse_util.unflatten_dict(tree)


def check(path: Path, *, blocks: Sequence[int], width: float) -> int:
    """Hold the header of every array against the architecture, reading no array.

    Returns:
      The number of classes of the file's own head.

    Raises:
      MedbenchError: as `load` does, but for values that are not finite and most damage to them.
    """
    with _checked(path, tuple(blocks), width) as (_, _, classes):
        return classes


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
    named = {"/".join((PREFIX, *names)): leaf for names, leaf in traverse_util.flatten_dict(params).items()}
    with np.errstate(over="ignore"):
        stored: dict[str, Any] = {name: np.asarray(named[name]).astype(dtype) for name in sorted(named)}
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


@contextmanager
def _checked(
    path: Path, blocks: tuple[int, ...], width: float
) -> Iterator[tuple[zipfile.ZipFile, Mapping[str, str], int]]:
    """The open archive, its members by array, whose headers are the architecture's, and classes."""
    arrays.require_file(path)
    with _reading(path):
        archive = zipfile.ZipFile(path)
    with archive:
        members = _members(path, archive)
        bias = members.get(HEAD_BIAS)
        classes = arrays.classes_of(path, HEAD_BIAS, _header(path, archive, bias)) if bias else 1
        of_tree = arrays.shapes(blocks, width, classes)
        shapes = {"/".join((PREFIX, *names)): shape for names, shape in of_tree.items()}
        arrays.check_names(path, set(members), set(shapes))
        for name, member in members.items():
            header = _header(path, archive, member)
            arrays.check_header(path, name, header, shape=shapes[name], dtypes=DTYPES)
        yield archive, members, classes


def _reading(path: Path) -> AbstractContextManager[None]:
    return arrays.reading(path, ".npz", _TELLING)


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


def _header(path: Path, archive: zipfile.ZipFile, member: str) -> Header:
    """What an array says of itself; its data stays packed, as it may claim to be of any size."""
    with _reading(path), archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{version}: for headers longer than 64 KiB, which no array of weights has")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return Header(shape, str(dtype))


def _array(path: Path, archive: zipfile.ZipFile, name: str, member: str) -> NDArray[np.float32]:
    """The data of an array whose header was checked."""
    with _reading(path), archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    return arrays.as_float32(path, name, array)
