"""Runs on disk, each there whole or not at all, and the locks that keep two processes off the same run.

Layout: `runs/<run_id>/{record.json, predictions/<evaluation set>.parquet, features.npz}`; `locks/`,
`incoming/` (being written), `jobs/` (of other trainers), `campaigns/`, `cache/`. Patients' ids stay in here,
in clear.
"""

import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import filelock
import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError
from medbench.pseudonym import Pseudonyms
from medbench.record import SCHEMA_VERSION, Evaluation, RunRecord

if TYPE_CHECKING:  # pyarrow takes a third of a second to import, which planning need not wait for
    from medbench.predictions import Predictions

Origin = Literal["trained", "reused", "loaded"]
"""trained: in this session; reused: from the store; loaded: from a committed reference run."""

RECORD, PREDICTIONS, FEATURES = "record.json", "predictions", "features.npz"
LEAST_FREE = 64 * 2**20
"""Bytes that must be free before a run is trained: a run leaves less, so that no trained run is lost."""

_RUN_ID = re.compile(r"[0-9a-f]{20}")
_OLD = ".old"
_OWN = {"runs", "locks", "incoming", "jobs", "campaigns", "cache", "progress", "key", "cohorts", "weights"}
_NOT_WORTH_TELLING = 0.3
"""Seconds; in that time a new holder makes itself known, and one that only looks is gone."""


@dataclass(frozen=True)
class StoredRun:
    """A finished run: its record, and its predictions on demand.

    Attributes:
      record: what is known about the run.
      path: the folder it lies in.
      origin: how this session came by it.
    """

    record: RunRecord
    path: Path
    origin: Origin

    def predictions(self, evaluation_set: str) -> "Predictions":
        """The predictions on `validation`, `id` or a shift, checked against the hash in the record.

        Raises:
          MedbenchError: the run was not scored on that set, or the file is missing or altered.
        """
        from medbench.predictions import Predictions  # noqa: PLC0415

        found = {evaluation.evaluation_set: evaluation for evaluation in self.record.evaluations}
        if evaluation_set not in found:
            raise MedbenchError(
                f"{self.path}: no predictions on `{evaluation_set}`; the run has {', '.join(found)}."
            )
        return Predictions.read(self._intact(found[evaluation_set]))

    def _intact(self, evaluation: Evaluation) -> Path:
        """The file of predictions, which is as it was written."""
        file = self.path / evaluation.file
        if _sha256(file) != evaluation.sha256:
            raise MedbenchError(
                f"{file}: predictions are missing or altered: they do not match the hash in {RECORD}. "
                + _remedy(self.path, self.origin)
            )
        return file

    def digest(self) -> str:
        """Of the record, which has those of the predictions; these are looked at once more.

        Raises:
          MedbenchError: predictions are missing or altered.
        """
        for evaluation in self.record.evaluations:
            self._intact(evaluation)
        return _sha256(self.path / RECORD)

    def features(self) -> dict[str, NDArray[np.float16]]:
        """Pooled features of the probe images, `start/<stage>` and `end/<stage>`: (images, channels) float16.

        Raises:
          MedbenchError: the file cannot be read, or the run is a reference run, which has none.
        """
        try:
            with (self.path / FEATURES).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError) as error:
            raise MedbenchError(f"{self.path / FEATURES}: features cannot be read ({error}).") from error


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who trains a run."""

    pid: int
    host: str
    worker: str
    """Of pytest-xdist, such as `gw1`; empty outside it."""
    since: str
    """UTC, ISO 8601, to the second."""

    def __str__(self) -> str:
        who = f"worker {self.worker}, process {self.pid}" if self.worker else f"process {self.pid}"
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"{who}{where}, since {self.since[11:19]} UTC"


class Campaign:
    """Which runs a forced session trained already: its workers share it, and interrupted it goes on.

    A run counts once it was stored for this campaign; nothing depends on clocks.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def finished(self) -> frozenset[str]:
        """Ids of the runs that were trained in this campaign."""
        if not self._folder.is_dir():
            return frozenset()
        return frozenset(path.name for path in self._folder.iterdir() if _RUN_ID.fullmatch(path.name))

    def add(self, run_id: str) -> None:
        """Count a run as trained."""
        with _writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / run_id).touch()

    def end(self) -> None:
        """Forget the campaign: the next one trains every run again."""
        shutil.rmtree(self._folder, ignore_errors=True)


class Failures:
    """Why runs could not be made in this session, so that none is tried again for the next who needs it.

    Args:
      folder: by which the processes of a session tell each other; without one, this process tells itself.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: dict[str, str] = {}

    def get(self, run_id: str) -> str | None:
        """The message; None where the run did not fail."""
        if run_id not in self._known and self._folder is not None:
            with suppress(OSError):
                self._known[run_id] = (self._folder / run_id).read_text(encoding="utf-8")
        return self._known.get(run_id)

    def add(self, run_id: str, message: str) -> None:
        """Remember a failure; where it cannot be written, others will see for themselves."""
        self._known[run_id] = message
        if self._folder is not None:
            with suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                write_aside(self._folder / run_id, message.encode(errors="backslashreplace"))


class Store:
    """A folder of runs; made when first written to.

    A run is written aside, flushed to disk and then renamed, under a lock that the operating system
    releases when its holder dies. The file system must support `flock` (local disks and NFS 4 do).
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def key(self) -> Path:
        """Where the key lies that patients' ids are hashed with."""
        return self.root / "key"

    def pseudonyms(self) -> Pseudonyms:
        """What patients are named by outside the store; the key is made on first use.

        Raises:
          MedbenchError: the store cannot be written, or the key is damaged.
        """
        self._folder("")
        return Pseudonyms(self.key)

    def cache(self, name: Literal["xla", "decoded", "digests", "judged"]) -> Path:
        """A folder whose content can be made again, such as compiled programs and decoded images."""
        return self._folder(f"cache/{name}")

    def path(self, run_id: str) -> Path:
        """The folder of a run, whether it exists or not."""
        return self.root / "runs" / run_id

    def get(self, run_id: str) -> StoredRun | None:
        """The run, or None if it was not stored.

        Raises:
          MedbenchError: its record is damaged, of another run, or of a later version of medbench.
        """
        run = read_run(self.path(run_id), "reused")
        if run is not None and run.record.run_id != run_id:
            raise MedbenchError(
                f"{run.path / RECORD}: the record is of another run, {run.record.run_id}. "
                f"{_remedy(run.path, 'reused')}"
            )
        return run

    def records(self) -> Iterator[RunRecord]:
        """Every readable record; a damaged one is reported when its run is asked for."""
        folder = self.root / "runs"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                run = read_run(path, "reused")
            except MedbenchError:
                continue
            if run is not None:
                yield run.record

    def put(
        self,
        record: RunRecord,
        predictions: Mapping[str, "Predictions"],
        features: Mapping[str, NDArray[np.float16]],
    ) -> StoredRun:
        """Store a run that was trained, in place of an earlier one of the same id.

        Args:
          record: its `evaluations` are filled in from what is written.
          predictions: by evaluation set.
          features: pooled features by stage, for the probe images.

        Raises:
          MedbenchError: the store cannot be written, for want of space or rights. What it held, it holds.
        """
        target = self.path(record.run_id)
        with self.lock(record.run_id), _writing(self.root):
            self._clear_leftovers()
            incoming = self._folder("incoming") / record.run_id
            try:
                written = write_run(incoming, record, predictions, features)
                self._swap_in(incoming, target)
            finally:
                self._clear(record.run_id)
        return StoredRun(record=written, path=target, origin="trained")

    @contextmanager
    def lock(self, run_id: str, waiting: Callable[[Holder | None], None] | None = None) -> Iterator[None]:
        """Hold the right to train a run: re-entrant within a thread, freed by the system with its holder.

        Args:
          run_id: the run.
          waiting: called once if another process holds it, with the holder if it has made itself known.
        """
        lock = self._filelock(run_id)
        if lock.is_locked:
            yield
            return
        note = Path(lock.lock_file).with_suffix(".json")
        with _writing(self.root):
            try:
                lock.acquire(timeout=_NOT_WORTH_TELLING)
            except filelock.Timeout:
                if waiting is not None:
                    waiting(_read_holder(note))
                lock.acquire()
        try:
            with _writing(self.root):
                write_aside(note, msgspec.json.encode(_this_process()))
                self._clear(run_id)
            yield
        finally:
            note.unlink(missing_ok=True)
            lock.release()

    def new_job(self, run_id: str, attempt_at: str) -> Path:
        """An empty folder for what another trainer is given and leaves; earlier attempts are removed.

        Each has a name of its own, so that what outlived an interrupted session writes into no other's. The
        run's lock is held; after a failure the folder stays, for a person to look at.

        Args:
          run_id: the run.
          attempt_at: hex digits, the same for all versions of a trainer that make the same run.

        Raises:
          MedbenchError: the store cannot be written.
        """
        with _writing(self.root):
            jobs = self._folder("jobs")
            for earlier in jobs.glob(f"{attempt_at}-*"):
                self._clear_job(earlier, run_id)
            return Path(tempfile.mkdtemp(prefix=f"{attempt_at}-{run_id}-", dir=jobs))

    def _clear_job(self, folder: Path, run_id: str) -> None:
        """Remove a job of the run, whose lock is held, or of another that nobody works on."""
        other = folder.name.split("-")[1]
        if other == run_id:
            shutil.rmtree(folder, ignore_errors=True)
            return
        lock = self._filelock(other)
        if lock.is_locked:
            return
        with suppress(filelock.Timeout), lock.acquire(timeout=0):
            shutil.rmtree(folder, ignore_errors=True)

    def require_space(self) -> None:
        """Refuse to train what could not be stored.

        Raises:
          MedbenchError: less than `LEAST_FREE` bytes are free, or the store cannot be written.
        """
        with _writing(self.root):
            free = shutil.disk_usage(self._folder("incoming")).free
        if free < LEAST_FREE:
            raise MedbenchError(
                f"{self.root}: only {free >> 20} MiB are free, and a run needs up to {LEAST_FREE >> 20}. "
                "Free some space or name another store; finished runs are kept."
            )

    def campaign(self, selection: frozenset[str]) -> Campaign:
        """The campaign for what exactly these names select: a new one, or an interrupted one's rest."""
        digest = hashlib.sha256("\n".join(sorted(selection)).encode()).hexdigest()[:20]
        return Campaign(self.root / "campaigns" / digest)

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        with _writing(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            self._keep_out_of_git()
        return folder

    def _keep_out_of_git(self) -> None:
        """Patients' ids must not be committed by accident; a folder of other things as well is left alone."""
        ignored = self.root / ".gitignore"
        if not ignored.exists() and {path.name for path in self.root.iterdir()} <= _OWN:
            ignored.write_text("*\n", encoding="utf-8")

    def _filelock(self, run_id: str) -> filelock.FileLock:
        return filelock.FileLock(self._folder("locks") / f"{run_id}.lock", is_singleton=True)

    def _swap_in(self, incoming: Path, target: Path) -> None:
        """Rename `incoming` to `target`; an earlier `target` steps aside for a moment (see `_clear`)."""
        if target.exists():
            target.rename(incoming.with_name(incoming.name + _OLD))
        self._folder("runs")
        incoming.rename(target)
        _flush(target.parent)

    def _clear_leftovers(self) -> None:
        """Clear what dead processes were writing: the runs whose lock is free."""
        for run_id in {path.name.removesuffix(_OLD) for path in self._folder("incoming").iterdir()}:
            lock = self._filelock(run_id)
            if lock.is_locked:
                continue
            try:
                with lock.acquire(timeout=0):
                    self._clear(run_id)
            except filelock.Timeout:
                continue

    def _clear(self, run_id: str) -> None:
        """Remove what a writer left, killed or not; the lock is held. A run that stepped aside steps back."""
        incoming = self.root / "incoming" / run_id
        old = incoming.with_name(run_id + _OLD)
        if old.exists() and not self.path(run_id).exists():
            old.rename(self.path(run_id))
        for path in (incoming, old):
            shutil.rmtree(path, ignore_errors=True)


def read_run(folder: Path, origin: Origin) -> StoredRun | None:
    """The run in a folder, or None if there is none.

    Raises:
      MedbenchError: its record is damaged, or of a later version of medbench.
    """
    file = folder / RECORD
    try:
        content = file.read_bytes()
        version = msgspec.json.decode(content, type=_Versioned).schema_version
        if version > SCHEMA_VERSION:
            raise MedbenchError(
                f"{file}: written by a later medbench (records of version {version}; this one reads "
                f"{SCHEMA_VERSION}). Install that one, or name another store."
            )
        return StoredRun(record=msgspec.json.decode(content, type=RunRecord), path=folder, origin=origin)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise MedbenchError(f"{file}: the record is damaged ({error}). {_remedy(folder, origin)}") from error


def write_run(
    folder: Path,
    record: RunRecord,
    predictions: Mapping[str, "Predictions"],
    features: Mapping[str, NDArray[np.float16]],
) -> RunRecord:
    """Write a run's files into a new folder and flush them to disk; equal content gives equal bytes.

    Returns:
      The record, with `evaluations` as written.
    """
    (folder / PREDICTIONS).mkdir(parents=True)
    evaluations = []
    for name, found in predictions.items():
        file = folder / PREDICTIONS / f"{quote(name, safe='')}.parquet"
        found.write(file)
        evaluations.append(
            Evaluation(
                evaluation_set=name,
                file=f"{PREDICTIONS}/{file.name}",
                images=len(found),
                patients=len(np.unique(found.patient)),
                sha256=_sha256(file),
            )
        )
    if features:
        arrays: dict[str, NDArray[np.float16]] = dict(sorted(features.items()))
        np.savez(folder / FEATURES, allow_pickle=False, **arrays)
    written = msgspec.structs.replace(record, evaluations=evaluations)
    (folder / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=1) + b"\n")
    for path in (*folder.rglob("*"), folder):
        _flush(path)
    return written


class _Versioned(msgspec.Struct):
    schema_version: int


def _remedy(folder: Path, origin: Origin) -> str:
    if origin == "loaded":
        return "Restore the reference run from version control, or accept it again."
    return f"Delete {folder} to train the run again."


def _this_process() -> Holder:
    return Holder(
        pid=os.getpid(),
        host=socket.gethostname(),
        worker=os.environ.get("PYTEST_XDIST_WORKER", ""),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _read_holder(note: Path) -> Holder | None:
    """Who left the note, unless it died without taking it away."""
    try:
        holder = msgspec.json.decode(note.read_bytes(), type=Holder)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError):
        return None
    here = holder.host == socket.gethostname()
    return holder if not here or _is_alive(holder.pid) else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def write_aside(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    aside = path.with_suffix(".new")
    aside.write_bytes(content)
    aside.replace(path)


def _sha256(path: Path) -> str:
    """Of the file's bytes; empty if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _flush(path: Path) -> None:
    """Ask the system to put a file's or a folder's content on the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Turn a full, read-only or missing disk into one message."""
    try:
        yield
    except OSError as error:
        raise MedbenchError(
            f"{root}: the store cannot be written ({error.strerror or error}). Free some space or name "
            "another store; finished runs are kept."
        ) from error
