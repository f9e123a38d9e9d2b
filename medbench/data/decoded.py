"""A cohort's images, decoded once a machine and mapped into memory from then on.

Arrays are kept by content (fingerprint, split, size), so that a changed cohort never meets old pixels.
"""

import errno
import hashlib
import math
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from medbench.data.cohort import Cohort
from medbench.data.decoders import versions
from medbench.errors import MedbenchError
from medbench.spec.runs import Aspect

_SOURCES = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py")))
_READER = hashlib.sha256(_SOURCES + "\n".join(versions()).encode()).hexdigest()
"""Identifies the code that reads and resizes, so that arrays on disk are made anew when it changes."""

Report = Callable[[str, int, int], None]
"""Told the split, the images decoded so far, and how many there are."""


@runtime_checkable
class DecodesInPlace(Protocol):
    """A cohort that can decode straight into a given array: for sets larger than memory, with progress."""

    channels: int

    def decode_into(
        self,
        out: NDArray[np.uint8],
        split: str,
        size: int,
        done: Callable[[int], None],
        aspect: Aspect = "squashed",
    ) -> None:
        """Fill `out` (n, size, size, channels), calling `done` with the number of images so far."""


def in_threads(n: int, work: Callable[[int], None], done: Callable[[int], None]) -> None:
    """Call `work` with 0 to n - 1, on all cores, and `done` with how many are; the first error ends it."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for finished, _ in enumerate(pool.map(work, range(n)), start=1):
                done(finished)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _quiet(split: str, done: int, total: int) -> None:
    """Report nothing."""


class DecodedImages:
    """The images of a cohort's splits as read-only arrays, decoded on first use.

    Called with a split and a size in pixels it returns (n, size, size, 1 or 3) uint8, mapped from
    `cache_dir`. `aspect` is what becomes of images that are not square. Several processes may ask at once:
    one decodes, the others wait.
    """

    def __init__(
        self, cohort: Cohort, cache_dir: Path, report: Report = _quiet, aspect: Aspect = "squashed"
    ) -> None:
        self._cohort = cohort
        self._cache_dir = cache_dir
        self._report = report
        self._aspect = aspect

    def __call__(self, split: str, size: int) -> NDArray[np.uint8]:
        """The images of a split at a size.

        Raises:
          MedbenchError: an image cannot be read, or the cache folder cannot be written.
        """
        path = self.path(split, size)
        mapped = _mapped(path)
        if mapped is not None:
            return mapped
        try:
            self._cache_dir.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                mapped = _mapped(path)  # another process may have finished while this one waited
                return mapped if mapped is not None else self._decode(path, split, size)
        except OSError as error:
            raise MedbenchError(
                f"{self._cache_dir}: decoded images cannot be kept there ({error.strerror or error}). "
                "Free some space, or choose another store."
            ) from error

    def path(self, split: str, size: int) -> Path:
        """Where the array of a split at a size is kept."""
        content = f"{_READER}/{self._cohort.fingerprint}/{split}/{size}/{self._aspect}"
        return self._cache_dir / f"{hashlib.sha256(content.encode()).hexdigest()[:20]}-{size}px.npy"

    def _decode(self, path: Path, split: str, size: int) -> NDArray[np.uint8]:
        for left in self._cache_dir.glob(f"{path.stem}.*.partial"):
            left.unlink(missing_ok=True)  # of a process that was killed: whoever is here has the lock
        partial = path.with_suffix(f".{os.getpid()}.partial")
        total = len(self._cohort.examples(split))
        self._report(split, 0, total)
        try:
            if isinstance(self._cohort, DecodesInPlace):
                shape = (total, size, size, self._cohort.channels)
                out = _allocated(partial, shape)
                self._cohort.decode_into(
                    out, split, size, lambda done: self._report(split, done, total), self._aspect
                )
                out.flush()
            else:
                with partial.open("wb") as file:
                    np.save(file, self._cohort.images(split, size), allow_pickle=False)
                    file.flush()
                    os.fsync(file.fileno())  # a power cut must not leave a whole name with empty blocks
                self._report(split, total, total)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return np.load(path, mmap_mode="r", allow_pickle=False)


def _allocated(path: Path, shape: tuple[int, ...]) -> "np.memmap[Any, np.dtype[np.uint8]]":
    """A new array in a file, mapped for writing, all of whose space is taken.

    Written through a map, a file with holes ends the process by SIGBUS where the disk is full.

    Raises:
      OSError: there is too little space.
    """
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.dtype(np.uint8).str, "fortran_order": False, "shape": shape}
        )
        file.flush()
        _reserve(file.fileno(), path.parent, file.tell() + math.prod(shape))
    return np.lib.format.open_memmap(path, mode="r+")


def _reserve(file: int, folder: Path, n: int) -> None:
    """Take `n` bytes for an open file; where the system or file system cannot, see that they are free.

    Raises:
      OSError: there is too little space.
    """
    try:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file, 0, n)
            return
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:  # how a file system says that it cannot
            raise
    if shutil.disk_usage(folder).free < n:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.truncate(file, n)


def _mapped(path: Path) -> NDArray[np.uint8] | None:
    """The array if it is there and whole; a damaged file counts as absent and is made again."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
