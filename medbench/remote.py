"""Finished runs where several machines reach them: an object store, or any other place that fsspec knows.

Files are carried and checked here; what a run is, and what is done with it, `store.py` knows.
"""

import errno
import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from medbench.errors import MedbenchError, nearest
from medbench.pseudonym import KEY_BYTES

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

FORMAT = 1
"""Of marks: raise it when what lies at a URL is to be read in another way."""

_RUN_ID = re.compile(r"[0-9a-f]{20}")
_FILE = re.compile(r"record\.json|features\.npz|predictions/[^/\\]+\.parquet")
"""What a run consists of; a mark that names anything else is not followed out of the folder."""
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs",
    "abfss": "adlfs", "adl": "adlfs", "oci": "ocifs", "oss": "ossfs", "hf": "huggingface_hub",
    "sftp": "paramiko", "ssh": "paramiko", "smb": "smbprotocol", "webdav": "webdav4",
}  # fmt: skip
_FLAT = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss")
"""Without folders: making one there would be no more than making a bucket, which nobody asked for."""
_LOCAL = ("file", "local")
_UNTIL_WHOLE = (0.0, 0.1, 0.4, 1.5)
"""Seconds before each look at a key that another machine may be writing just now."""


class UnreachableError(MedbenchError):
    """The place cannot be read or written now; the message says why as far as the back end does."""


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What a version of a run consists of; written last, it is what the run is there by."""

    format: int = FORMAT
    files: dict[str, str]
    """SHA-256 by name, relative to the version's folder."""


class Remote:
    """A place for finished runs that several machines share, without locks.

    Below the URL lie `key`; `runs/<run id>/<version>/`, the files of a run as they lie in a store; and
    `finished/<run id>/<version>.json`, their list with hashes. A version is written by one machine, once, and
    its list last: who reads a list finds every file whole. Two machines that train the same run leave two
    versions; the one that finished later is read. Half a list is none: not every back end writes a file
    whole or not at all, but none makes half a list valid.

    Args:
      url: of a folder there, such as `s3://bucket/prefix`; it need not exist, its bucket must.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._known: set[str] | None = None
        self._doubted: set[str] = set()

    @property
    def url(self) -> str:
        """As it was given, with its password if it has one: not for messages."""
        return self._url

    @property
    def name(self) -> str:
        """The URL without a password, for messages."""
        parts = urlsplit(self._url)
        user, at, host = parts.netloc.rpartition("@")
        return self._url.replace(parts.netloc, user.partition(":")[0] + at + host, 1) if at else self._url

    def ids(self) -> frozenset[str]:
        """Ids of the runs that are there, as first asked and as told since.

        Raises:
          UnreachableError: the place cannot be read.
        """
        if self._known is None:
            self._known = {name for name in self._names("finished") if _RUN_ID.fullmatch(name)}
        return frozenset(self._known)

    def has(self, run_id: str) -> bool:
        """Whether the run is there; asked anew only after `look_again`.

        Raises:
          UnreachableError: the place could never be read.
        """
        if self._known is None:
            self.ids()
        elif run_id in self._doubted:
            with suppress(UnreachableError):  # what is trained twice for that harms nobody
                self._note(run_id, bool(self._versions(run_id)))
        self._doubted.discard(run_id)
        return self._known is not None and run_id in self._known

    def look_again(self, run_id: str) -> None:
        """Forget whether the run is there, as time has passed."""
        self._doubted.add(run_id)

    def copy(self, run_id: str, into: Path) -> bool:
        """Copy the files of a run into a new folder, checked against their hashes.

        Returns:
          Whether the run is there.

        Raises:
          UnreachableError: the place cannot be read.
          MedbenchError: a file is missing or altered there, or a later medbench wrote it.
        """
        for version, mark in self._marks(run_id):
            place, listed = f"runs/{run_id}/{version}", f"finished/{run_id}/{version}.json"
            again = "Delete that list to train the run again."
            gone = self._download(place, sorted(mark.files), into)
            if gone:
                raise MedbenchError(f"{self.name}/{place}/{gone}: missing: {listed} has it. {again}")
            for name, sha256 in mark.files.items():
                if _sha256(into / name) != sha256:
                    raise MedbenchError(
                        f"{self.name}/{place}/{name}: altered: it does not match the hash in {listed}. "
                        f"{again}"
                    )
            return True
        return False

    def hashes(self, run_id: str) -> dict[str, str]:
        """SHA-256 of a run's predictions by file; none where it is not there.

        Raises:
          UnreachableError: the place cannot be read.
        """
        for _, mark in self._marks(run_id):
            return {name: sha256 for name, sha256 in mark.files.items() if name.startswith("predictions/")}
        return {}

    def push(self, run_id: str, folder: Path, version: str) -> None:
        """Write a run's files, and when all are there the list of them.

        Pushing the same version again, as after an interruption, is allowed; only its own machine does.

        Args:
          run_id: the run.
          folder: in which its files lie; nothing changes them meanwhile.
          version: of this result of the run; versions are read in the order of their names, the last first.

        Raises:
          UnreachableError: the place cannot be written. The run is then not there.
        """
        names = sorted(
            name for path in folder.rglob("*") if _FILE.fullmatch(name := path.relative_to(folder).as_posix())
        )
        mark = _Mark(files={name: _sha256(folder / name) for name in names})
        if self._mark(run_id, version) != mark:
            self._upload(folder, names, f"runs/{run_id}/{version}")
            self._write(f"finished/{run_id}/{version}.json", msgspec.json.encode(mark))
        self._note(run_id, there=True)

    def key(self, own: Callable[[], bytes]) -> bytes:
        """The key that patients' ids are hashed with on all machines, read anew.

        Args:
          own: gives the key that is to be it, where there is none yet.

        Raises:
          UnreachableError: the place cannot be read, or written where it has no key yet.
          MedbenchError: what lies there is no key.
        """
        key = self._read("key")
        if key is None:
            self._create("key", own())
        for pause in _UNTIL_WHOLE:
            time.sleep(pause)
            key = self._read("key")
            if key is not None and len(key) == KEY_BYTES:
                return key
        raise MedbenchError(
            f"{self.name}/key: expected a key of {KEY_BYTES} bytes, found {len(key or b'')}. Delete it to "
            "have a new one made; pseudonyms in earlier reports then match no longer."
        )

    # Marks.

    def _marks(self, run_id: str) -> Iterator[tuple[str, _Mark]]:
        """The whole versions of a run, the last one first."""
        for version in self._versions(run_id):
            mark = self._mark(run_id, version)
            if mark is not None:
                yield version, mark

    def _versions(self, run_id: str) -> list[str]:
        names = self._names(f"finished/{run_id}")
        return sorted((name.removesuffix(".json") for name in names if name.endswith(".json")), reverse=True)

    def _mark(self, run_id: str, version: str) -> _Mark | None:
        place = f"finished/{run_id}/{version}.json"
        try:
            mark = msgspec.json.decode(self._read(place) or b"", type=_Mark)
        except (UnicodeDecodeError, msgspec.DecodeError):
            return None
        if mark.format > FORMAT or not all(map(_FILE.fullmatch, mark.files)):
            raise MedbenchError(
                f"{self.name}/{place}: not understood; a later medbench may have written it. Install that "
                "one, or name another store."
            )
        return mark

    def _note(self, run_id: str, there: bool) -> None:
        if self._known is not None:
            (self._known.add if there else self._known.discard)(run_id)

    # Files, by their place below the URL.

    @cached_property
    def _opened(self) -> "tuple[AbstractFileSystem, str]":
        """The back end, and the path of the URL in it."""
        protocol, _, place = self._url.partition("://")
        if "::" in self._url:
            raise MedbenchError(
                f"{self.name}: expected one URL, such as s3://bucket/prefix, found a chain of them."
            )
        # fsspec takes what is no URL for a folder, and would put patients' ids there.
        if not place or (protocol in _LOCAL and not place.startswith("/")):
            raise MedbenchError(
                f"{self.name}: expected a URL with a place in it, such as s3://bucket/prefix or "
                "file:///mnt/share/study (three slashes)."
            )
        import fsspec.core  # noqa: PLC0415

        with self._reaching("opened"):
            try:
                found, path = fsspec.core.url_to_fs(self._url)
            except ImportError as error:
                package = _PACKAGES.get(protocol)
                how = f"pip install {package}" if package else str(error)
                raise MedbenchError(
                    f"{self.name}: a package for {protocol}:// is not installed: {how}"
                ) from error
            except ValueError as error:
                if protocol in fsspec.available_protocols():
                    raise
                near = nearest(protocol, (*_PACKAGES, "file", "memory"))
                raise MedbenchError(f"{self.name}: {protocol}:// is not known to fsspec. {near}") from error
        return found, path.rstrip("/")

    @property
    def _fs(self) -> "AbstractFileSystem":
        return self._opened[0]

    def _at(self, place: str) -> str:
        return f"{self._opened[1]}/{place}"

    def _names(self, place: str) -> list[str]:
        """What lies in a folder, as it is now; nothing where there is no such folder."""
        path = self._at(place)
        with self._reaching("read"):
            self._fs.invalidate_cache()
            try:
                return [name.rstrip("/").rpartition("/")[2] for name in self._fs.ls(path, detail=False)]
            except FileNotFoundError:  # or no such bucket, which shows when the key is written
                return []

    def _read(self, place: str) -> bytes | None:
        path = self._at(place)
        with self._reaching("read"):
            try:
                content: bytes = self._fs.cat_file(path)
            except FileNotFoundError:
                return None
        return content

    def _write(self, place: str, content: bytes) -> None:
        path = self._at(place)
        with self._reaching("written"):
            self._make_folders([path])
            self._fs.pipe_file(path, content)

    def _create(self, place: str, content: bytes) -> None:
        """Write a file unless there is one; it is to be read afterwards, as another's may be there.

        Of two machines that do so at once, S3, Google, Azure and a local folder refuse the second. Elsewhere
        fsspec looks and then writes, and the second overwrites: the first goes by its own key until it reads
        the other's, with its next session. That can only happen in the first instant of an empty store.
        """
        from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415

        path = self._at(place)
        with self._reaching("written"), suppress(FileExistsError):
            self._make_folders([path])
            if isinstance(self._fs, LocalFileSystem):
                with self._fs.open(path, "xb") as file:
                    file.write(content)
            else:
                self._fs.pipe_file(path, content, mode="create")

    def _download(self, place: str, names: Sequence[str], into: Path) -> str:
        """Copy files here; returns the name of one that is not there, or nothing."""
        (into / "predictions").mkdir(parents=True)
        there = [self._at(f"{place}/{name}") for name in names]
        with self._reaching("read"):
            try:
                self._fs.get(there, [str(into / name) for name in names])
            except FileNotFoundError:
                gone = [name for name, path in zip(names, there, strict=True) if not self._fs.exists(path)]
                if not gone:
                    raise
                return gone[0]
        return ""

    def _upload(self, folder: Path, names: Iterable[str], place: str) -> None:
        pairs = [(str(folder / name), self._at(f"{place}/{name}")) for name in names]
        with self._reaching("written"):
            self._make_folders(there for _, there in pairs)
            self._fs.put([here for here, _ in pairs], [there for _, there in pairs])

    def _make_folders(self, paths: Iterable[str]) -> None:
        if self._url.partition("://")[0] not in _FLAT:
            for folder in sorted({path.rpartition("/")[0] for path in paths}):
                self._fs.makedirs(folder, exist_ok=True)

    @contextmanager
    def _reaching(self, doing: str) -> Iterator[None]:
        """Turn whatever a back end raises, each in its own way, into one message."""
        try:
            yield
        except MedbenchError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}".rstrip(": ")
            raise UnreachableError(f"{self.name}: cannot be {doing} ({what}). {_advice(error)}") from error


def is_url(given: str) -> bool:
    """Whether a store is named by URL, if perhaps a wrong one such as `s3:/bucket`, and not by its folder."""
    return "://" in given or re.match(r"[a-z][a-z0-9+.-]+:/", given) is not None


def _advice(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "Is the name right? Buckets are not made; make it first."
    if isinstance(error, NotADirectoryError):
        return "Is the name right? Expected a folder there, found a file."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space, and the same command goes on; finished runs are kept."
    if isinstance(error, PermissionError) or "credential" in f"{type(error).__name__} {error}".lower():
        return (
            "Credentials are those that the back end finds, such as $AWS_PROFILE or "
            "$GOOGLE_APPLICATION_CREDENTIALS; they must allow to list, read and write there."
        )
    return "Is the network there? The same command goes on; finished runs are kept."


def _sha256(path: Path) -> str:
    """Of the file's bytes; empty if it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
