"""What a weight file was when it was first used: recorded beside it, and verified after that if released.

A file of one's own may change: its runs are then others. Planning asks here, so nothing imports jax.
"""

import functools
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from medbench.errors import MedbenchError
from medbench.models import weights
from medbench.models.catalogue import released

LOCK = "weights.lock.json"


class Recorded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a file by its name (`weights.lock.json`)."""

    sha256: str
    """Hex, of the file's bytes."""
    bytes: int
    recorded: str
    """Date of the first use of these bytes."""
    modified_ns: int
    """The file's time of change when it was last read: with the same time and size it is not read again."""

    def unchanged(self, path: Path) -> bool:
        """Whether the file looks as it did when it was last read, without reading it."""
        status = path.stat()
        return (self.bytes, self.modified_ns) == (status.st_size, status.st_mtime_ns)


def digest(path: Path) -> str:
    """SHA-256 of a weight file; one that has not changed since it was last read is not read again.

    What medbench ships is pinned by its version and not recorded.

    Raises:
      MedbenchError: a released file has changed since it was recorded; the message says what it was, when,
        and what to do. Or the record cannot be read.
    """
    status = path.stat()
    if weights.is_shipped(path):
        return _sha256(path, status.st_size, status.st_mtime_ns)
    known = recorded(path)
    return known.sha256 if known and known.unchanged(path) else verify(path)


def verify(path: Path) -> str:
    """SHA-256 of a weight file, all of whose bytes are read, and recorded if they are new.

    Raises:
      MedbenchError: as for `digest`.
    """
    status, known = path.stat(), recorded(path)
    found = _expected(path, known, of=path)
    if not weights.is_shipped(path):
        _record(path, found, status, known)
    return found


def take(incoming: Path, target: Path) -> str:
    """Move a file to where it will be used, if it is what was recorded there; returns its SHA-256.

    Raises:
      MedbenchError: as for `digest`; nothing is moved.
    """
    known = recorded(target)
    found = _expected(incoming, known, of=target)
    incoming.replace(target)
    _record(target, found, target.stat(), known)
    return found


def accept(path: Path) -> str:
    """Record a file as it is now, whatever it was before; returns its SHA-256."""
    status, found = path.stat(), weights.sha256(path)
    _record(path, found, status, None)
    return found


def recorded(path: Path) -> Recorded | None:
    """What is recorded of the file, which need not be there.

    Raises:
      MedbenchError: the record cannot be read.
    """
    for book in _books(path.parent):
        if path.name in (entries := _read(book)):
            return entries[path.name]
    return None


def _expected(path: Path, known: Recorded | None, *, of: Path) -> str:
    """SHA-256 of the file's bytes; those of a released file are what they were, or what is published."""
    found = weights.sha256(path)
    if of.name not in released() or found == (known.sha256 if known else released()[of.name].sha256 or found):
        return found
    before = (
        f"Recorded on {known.recorded}: sha256 {known.sha256[:12]}…, {known.bytes:,} bytes"
        if known
        else f"Published: sha256 {released()[of.name].sha256[:12]}…"
    )
    raise MedbenchError(
        f"{of}: is not the file that it was. {before}; found: sha256 {found[:12]}…, {path.stat().st_size:,} "
        f"bytes. If it is damaged, remove it and get it again. If the change is meant, `medbench weights "
        f"accept {of.name}`; runs that start from it are then trained anew."
    )


def _record(path: Path, sha256: str, status: os.stat_result, known: Recorded | None) -> None:
    """Write it down beside the file, or in a folder of one's own where that one is only read.

    Of two processes that record two files at the same time, one may win; the other file is recorded at its
    next use.
    """
    entry = Recorded(
        sha256=sha256,
        bytes=status.st_size,
        recorded=known.recorded if known and known.sha256 == sha256 else _today(),
        modified_ns=status.st_mtime_ns,
    )
    own, beside = _books(path.parent)
    entries = _read(beside) | _read(own) | {path.name: entry}
    try:
        _write(beside, entries)
        own.unlink(missing_ok=True)
    except OSError:
        own.parent.mkdir(parents=True, exist_ok=True)
        _write(own, entries)


def _books(folder: Path) -> tuple[Path, Path]:
    """Where files of the folder are recorded: in a folder of one's own, and beside them."""
    place = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:12]
    return weights.OWN / f"{place}.{LOCK}", folder / LOCK


def _read(book: Path) -> dict[str, Recorded]:
    try:
        return msgspec.json.decode(book.read_bytes(), type=dict[str, Recorded])
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise MedbenchError(
            f"{book}: cannot be read ({error}). It says what weight files were when they were first used: "
            "restore it, or remove it to have them recorded anew."
        ) from error


def _write(book: Path, entries: dict[str, Recorded]) -> None:
    partial = book.with_name(f"{book.name}.{os.getpid()}.partial")
    try:
        text = msgspec.json.format(msgspec.json.encode(entries, order="sorted"), indent=2)
        partial.write_bytes(text + b"\n")
        partial.replace(book)
    finally:
        partial.unlink(missing_ok=True)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


@functools.cache
def _sha256(path: Path, size: int, modified: int) -> str:  # noqa: ARG001  size and time are part of the key
    return weights.sha256(path)
