"""SHA-256, size and channels of image files, remembered by path, size and time of change.

So that a cohort's fingerprint costs a reading of all bytes once, and one look at the folder after that.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec

from medbench.data.images import read_file, read_header
from medbench.errors import MedbenchError

Report = Callable[[int, int], None]
"""Told how many files are done, and how many there are."""


class Digest(msgspec.Struct, frozen=True, array_like=True):
    """What is known of an image file without decoding it."""

    bytes: int
    mtime_ns: int
    sha256: str
    """Hex, of the file's bytes."""
    width: int
    height: int
    channels: int
    """1 for a grey file, 3 for any other."""


def quiet(done: int, total: int) -> None:
    """Report nothing."""


def digest_files(
    paths: Sequence[Path], *, cache: Path | None = None, report: Report = quiet
) -> list[Digest | MedbenchError]:
    """Digest image files, reading only those that changed since the last time.

    Args:
      paths: the files.
      cache: folder where digests are kept; none are kept without it.
      report: progress, called often.

    Returns:
      For each path its digest, or the error that says why there is none (missing, no file, not an image).
    """
    folder = os.path.commonpath([p.parent.absolute() for p in paths]) if paths else ""
    kept_in = cache / f"{hashlib.sha256(folder.encode()).hexdigest()[:20]}.json" if cache else None
    known = _read(kept_in)
    results: list[Digest | MedbenchError] = []
    with ThreadPoolExecutor() as pool:
        for result in pool.map(lambda path: _digest(path, known.get(str(path.absolute()))), paths):
            results.append(result)
            report(len(results), len(paths))
    found = {
        str(p.absolute()): r for p, r in zip(paths, results, strict=True) if not isinstance(r, MedbenchError)
    }
    if kept_in and not found.items() <= known.items():
        _write(kept_in, known | found)
    return results


def _digest(path: Path, known: Digest | None) -> Digest | MedbenchError:
    try:
        status = path.stat()
        if known and (known.bytes, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return known
        data = read_file(path)
        width, height, channels = read_header(data, path)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        return MedbenchError(f"{path}: image cannot be read ({error}).")
    except MedbenchError as error:
        return error
    sha256 = hashlib.sha256(data).hexdigest()
    return Digest(status.st_size, status.st_mtime_ns, sha256, width, height, channels)


def _read(path: Path | None) -> dict[str, Digest]:
    """Digests kept earlier; a damaged file is as good as none."""
    if path is None:
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Digest])
    except (OSError, msgspec.MsgspecError):
        return {}


def _write(path: Path, digests: dict[str, Digest]) -> None:
    """Keep digests; where that is not possible, the next start only takes longer."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_bytes(msgspec.json.encode(digests))
        partial.replace(path)
