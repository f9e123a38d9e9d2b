"""Unpacks the archives that publishers give out, trusting neither their names nor their sizes.

What lies in them is not looked at; no image and no table is known here.
"""

import glob
import gzip
import hashlib
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from filelock import FileLock

from medbench.errors import MedbenchError, printable

MOST_MEMBERS = 2_000_000
"""Archives with more are refused, since empty files too use up a disk. CheXpert has 224,000."""

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
"""How the names of archives end, longest first."""
_CHUNK = 2**20

Report = Callable[[int, int], None]
"""Told how many bytes of the archive are read, and how many it has."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""


@dataclass(frozen=True)
class _Member:
    """A regular file of an archive: its name and size as it claims them, and how to open it."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def archives_in(folder: Path) -> list[Path]:
    """The archives that lie in a folder, by name.

    Raises:
      MedbenchError: it is no folder.
    """
    if not folder.is_dir():
        raise MedbenchError(f"{folder}: no such folder.")
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES))


def unpacked(archive: Path) -> Path:
    """The folder beside an archive that it is unpacked into: its name without `.zip`, `.tar` or `.tar.gz`."""
    suffix = next(suffix for suffix in SUFFIXES if archive.name.lower().endswith(suffix))
    return archive.with_name(archive.name[: -len(suffix)])


def unpack(archive: Path, into: Path, *, most_bytes: int, report: Report) -> None:
    """Unpack a zip, tar or tar.gz file into a folder of its own, wholly or not at all.

    Members go to a hidden folder beside `into`, which gets its name when all are there. After an interruption
    what is there already is not written again. Nothing is done where `into` exists.

    Args:
      archive: what it is, its first bytes tell and not its name.
      into: the folder to make.
      most_bytes: that may be written in all; real ones are counted.
      report: progress.

    Raises:
      MedbenchError: missing or damaged archive; a member that is no regular file or folder, would lie outside
        of `into`, is encrypted or there twice; too many members or bytes; or the disk does not take it.
    """
    if not archive.is_file():
        raise MedbenchError(f"{archive}: no such archive.")
    with _writing(into):
        into.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(into.with_name(f".{into.name}.lock")):
            if not into.exists():
                _unpack(archive, into, most_bytes, report)


def _unpack(archive: Path, into: Path, most_bytes: int, report: Report) -> None:
    status = archive.stat()
    identity = f"{archive.name}/{status.st_size}/{status.st_mtime_ns}"
    partial = into.with_name(f".{into.name}.{hashlib.sha256(identity.encode()).hexdigest()[:12]}.partial")
    for other in into.parent.glob(f".{glob.escape(into.name)}.{'?' * 12}.partial"):
        if other != partial:  # of another version of the archive
            shutil.rmtree(other)
    (partial / "files").mkdir(parents=True, exist_ok=True)
    try:
        with archive.open("rb") as file, _understood(archive):
            _unpack_members(archive, file, partial, most_bytes, lambda: report(file.tell(), status.st_size))
    except MedbenchError:
        shutil.rmtree(partial)  # no second try would do better with this archive
        raise
    (partial / "files").rename(into)
    shutil.rmtree(partial)
    report(status.st_size, status.st_size)


def _unpack_members(
    archive: Path, file: IO[bytes], partial: Path, most_bytes: int, report: Callable[[], None]
) -> None:
    """Unpack to `files` in `partial`, and let members grow beside it: no name can collide with them there."""
    seen: set[Path] = set()
    left = most_bytes
    for member in _members(archive, file):
        place = partial / "files" / _inside(archive, member.name)
        if place in seen:
            raise _refused(archive, member.name, "is there twice")
        seen.add(place)
        if len(seen) > MOST_MEMBERS:
            raise MedbenchError(f"{archive}: more than {MOST_MEMBERS:,} files; not unpacked.")
        if place.is_file() and place.stat().st_size == member.size:
            left -= member.size
        else:
            left -= _write(member, place, partial / "member", left)
        if left < 0:
            raise MedbenchError(
                f"{archive}: unpacks to more than {most_bytes:,} bytes; not unpacked. Is it the right file?"
            )
        report()


def _write(member: _Member, place: Path, growing: Path, most: int) -> int:
    """Write a member whole or not at all, and return its bytes; after more than `most` it is left undone."""
    place.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    source = member.open()
    assert source is not None, "only regular members are opened"
    with source, growing.open("wb") as target:
        while written <= most and (piece := source.read(_CHUNK)):
            written += len(piece)
            target.write(piece)
    if written > most:
        return written
    if written != member.size:
        raise EOFError(f"`{member.name}` has {written:,} bytes, announced {member.size:,}")
    growing.replace(place)
    return written


def _members(archive: Path, file: IO[bytes]) -> Iterator[_Member]:
    magic = file.read(4)
    file.seek(0)
    if magic[:2] == b"PK":
        yield from _zip_members(archive, file)
    elif magic[:2] == b"\x1f\x8b":
        with gzip.open(file) as inflated:
            yield from _tar_members(archive, inflated)
    else:
        yield from _tar_members(archive, file)


def _zip_members(archive: Path, file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as opened:
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise _refused(archive, info.filename, "is no regular file")
            if info.flag_bits & 1:
                raise _refused(archive, info.filename, "is encrypted")
            if not info.is_dir():
                yield _Member(info.filename, info.file_size, lambda info=info: opened.open(info))  # type: ignore[misc]


def _tar_members(archive: Path, file: _Readable) -> Iterator[_Member]:
    forward = _Forward(file)
    with tarfile.open(fileobj=cast("IO[bytes]", forward), mode="r:") as opened:
        while (info := opened.next()) is not None:
            opened.members.clear()  # type: ignore[attr-defined]  # else each is kept to the end
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise _refused(archive, info.name, "is no regular file")
            yield _Member(info.name, info.size, lambda info=info: opened.extractfile(info))  # type: ignore[misc]
    if forward.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a cut or broken header for the end
        raise EOFError("no end mark")
    forward.drain()


class _Forward:
    """A stream that tarfile may read from, only onwards and never much at once.

    A compressed archive can be read no other way; and a header that claims gigabytes is no header.
    """

    def __init__(self, file: _Readable):
        self._file = file
        self._at = 0
        self.last = b""
        """What the last reading gave."""

    def read(self, size: int) -> bytes:
        if size > _CHUNK:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        self.last = self._file.read(size)
        self._at += len(self.last)
        return self.last

    def tell(self) -> int:
        return self._at

    def seek(self, place: int) -> None:
        if place < self._at:
            raise tarfile.StreamError("archives are read onwards only")
        while self._at < place and self.read(min(_CHUNK, place - self._at)):
            pass

    def drain(self) -> None:
        """Read to the end, where gzip checks its sum."""
        while self.read(_CHUNK):
            pass


def _inside(archive: Path, name: str) -> Path:
    """The member's path below the folder, or an error if it leads out of it."""
    parts = [part for part in re.split(r"[/\\]", name) if part not in {"", "."}]
    if (
        not parts
        or name[0] in "/\\"
        or ".." in parts
        or re.match("[A-Za-z]:", name)
        or not name.isprintable()
    ):
        raise _refused(archive, name, "would not lie in the folder that is unpacked to")
    return Path(*parts)


def _refused(archive: Path, name: str, why: str) -> MedbenchError:
    return MedbenchError(
        f"{archive}: member `{printable(name)}` {why}; not unpacked. Fetch the archive from its publisher."
    )


@contextmanager
def _understood(archive: Path) -> Iterator[None]:
    """Say of what tarfile, zipfile and zlib raise on damaged bytes which archive it is about."""
    try:
        yield
    except (
        *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError),
        *(NotImplementedError, ValueError, RuntimeError, OverflowError),
    ) as error:
        raise MedbenchError(
            f"{archive}: damaged archive ({printable(str(error))}). Fetch it again."
        ) from error


@contextmanager
def _writing(into: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MedbenchError(
            f"{into}: cannot be unpacked there ({error.strerror or error}). Free some space, "
            "or choose another place; what is there already is kept."
        ) from error
