"""Arrays of an .npz archive, read without pickle, and only after what they claim to be was checked.

What the arrays mean is not known here.
"""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError, nearest, printable
from medbench.spec.loader import shown

MOST_BYTES = 1 << 34
"""Of one array uncompressed; a few bytes of an archive can claim any number."""

_Array = NDArray[np.generic]


class Npz:
    """An archive of arrays in C order, as `numpy.savez` and `savez_compressed` write it.

    Every method raises MedbenchError where the array is not there, holds objects, or is larger than
    `MOST_BYTES`, and where the archive is damaged.
    """

    def __init__(self, path: Path):
        self.path = path

    def header(self, array: str) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
        """Shape and type of an array; its data are not read."""
        with self._open(array) as (_, shape, dtype):
            return shape, dtype

    def read(self, array: str) -> _Array:
        """A whole array."""
        with self._open(array) as (file, shape, dtype):
            return _read(file, shape, dtype)

    def blocks(self, array: str, count: int) -> Iterator[_Array]:
        """An array in parts of at most `count` entries along its first axis."""
        with self._open(array) as (file, shape, dtype):
            for start in range(0, shape[0], count):
                yield _read(file, (min(count, shape[0] - start), *shape[1:]), dtype)

    @contextmanager
    def _open(self, array: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[np.generic]]]:
        name = f"{array}.npy"
        try:
            with zipfile.ZipFile(self.path) as archive:
                if name not in archive.namelist():
                    near = printable(nearest(array, [Path(other).stem for other in archive.namelist()]))
                    raise MedbenchError(f"{shown(self.path)}: there is no array `{array}`. {near}".rstrip())
                with archive.open(name) as file:
                    shape, dtype = _header(file)
                    claimed, size = file.tell() + _bytes(shape, dtype), archive.getinfo(name).file_size
                    if claimed != size or size > MOST_BYTES:
                        raise ValueError(f"`{array}` has {size:,} bytes for {dtype} of {shape}")
                    yield file, shape, dtype
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, OSError) as error:
            raise MedbenchError(
                f"{shown(self.path)}: no .npz file that can be read ({printable(str(error))}). Fetch it anew."
            ) from error


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"array format {version}")
    if fortran or dtype.hasobject:
        raise ValueError("an array with objects" if dtype.hasobject else "an array in Fortran's order")
    return shape, dtype


def _read(file: IO[bytes], shape: Sequence[int], dtype: np.dtype[np.generic]) -> _Array:
    size = _bytes(shape, dtype)
    data = file.read(size)
    if len(data) != size:
        raise EOFError("it ends too early")
    return np.frombuffer(data, dtype).reshape(shape)


def _bytes(shape: Sequence[int], dtype: np.dtype[np.generic]) -> int:
    size = dtype.itemsize
    for length in shape:  # Python's integers do not overflow
        size *= length
    return size
