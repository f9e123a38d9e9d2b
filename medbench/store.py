"""Runs on disk, each there whole or not at all, and the locks that keep two processes off the same run.

Layout: `runs/<run_id>/{record.json, predictions/<evaluation set>.parquet, features.npz}`; `locks/`,
`incoming/` (being written), `jobs/` (of other trainers), `checkpoints/` (of runs of hours), `campaigns/`,
`cache/`; of a remote store all but the cache below `remote/<its name>`, and `unpushed/`. Patients' ids stay
in here, in clear.
"""

import hashlib
import os
import re
import secrets
import shutil
import socket
import tempfile
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import quote
from zipfile import BadZipFile

import filelock
import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.campaign import Campaign
from medbench.errors import MedbenchError
from medbench.pseudonym import Pseudonyms, keep_key, key_in, new_key
from medbench.record import SCHEMA_VERSION, Evaluation, RunRecord
from medbench.remote import Remote, UnreachableError, is_url
from medbench.spec.runs import RunSpec
from medbench.writing import write_aside, writing

if TYPE_CHECKING:  # pyarrow takes a third of a second to import, which planning need not wait for
    from medbench.predictions import Predictions

Origin = Literal["trained", "reused", "loaded"]
"""trained: in this session; reused: from the store; loaded: from a committed reference run."""

RECORD, PREDICTIONS, FEATURES = "record.json", "predictions", "features.npz"
MESSAGE = "commit-message.txt"
"""What a commit of newly accepted values may begin with."""
LEAST_FREE = 64 * 2**20
"""Bytes that must be free before a run is trained: a run leaves less, so that no trained run is lost."""

_RUN_ID = re.compile(r"[0-9a-f]{20}")
_OLD = ".old"
_OWN = {"runs", "locks", "incoming", "jobs", "checkpoints", "campaigns", "cache", "progress", "key"}
_OWN |= {"cohorts", "weights", "remote", "unpushed", MESSAGE}
_PREDICTIONS_FILE = re.compile(rf"{PREDICTIONS}/[^/\\]+\.parquet")
_AT_ONCE = 8
"""Runs that are fetched side by side: waiting for answers, not computing, is what takes the time."""
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
        evaluation = found[evaluation_set]
        return Predictions.of_file(self._intact(evaluation), self.path / evaluation.file)

    def _intact(self, evaluation: Evaluation) -> bytes:
        """The file of predictions, which is as it was written."""
        file = self.path / evaluation.file
        content = _content(file)
        if hashlib.sha256(content).hexdigest() != evaluation.sha256:
            raise MedbenchError(
                f"{file}: predictions are missing or altered: they do not match the hash in {RECORD}. "
                + _remedy(self.path, self.origin)
            )
        return content

    def digest(self, evaluation_sets: Container[str] | None = None) -> str:
        """Of the record, which has those of all predictions; some of these are looked at once more.

        Args:
          evaluation_sets: which; None for all.

        Raises:
          MedbenchError: predictions are missing or altered.
        """
        for evaluation in self.record.evaluations:
            if evaluation_sets is None or evaluation.evaluation_set in evaluation_sets:
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
        except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            # numpy takes half a file for a pickle and tells how to load one, which nobody should.
            said = str(error) if isinstance(error, OSError) else "damaged, or no .npz of arrays"
            raise MedbenchError(f"{self.path / FEATURES}: features cannot be read ({said}).") from error


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


class Source(Protocol):
    """Where finished runs can be copied from: a store's folder, or a `Remote`."""

    @property
    def name(self) -> str:
        """For messages."""

    def ids(self) -> Iterable[str]:
        """Ids of the runs that are there."""

    def hashes(self, run_id: str) -> dict[str, str]:
        """SHA-256 of a run's predictions by file."""

    def copy(self, run_id: str, into: Path) -> bool:
        """Copy a run's files into a new folder; whether it is there."""


class Store:
    """A folder of runs; made when first written to. It may be what a machine has of a remote store.

    A run is written aside, flushed to disk and then renamed, under a lock that the operating system
    releases when its holder dies. The file system must support `flock` (local disks and NFS 4 do).

    With a remote store, runs that are asked for are copied here, and runs that are trained are pushed there;
    where that fails they are kept here and noted. Its runs, key and locks have a folder of their own; what
    is cached serves all stores of `home`.

    Args:
      root: the folder.
      remote: URL of a remote store; see `medbench.remote.Remote`.
    """

    def __init__(self, root: Path, remote: str = "") -> None:
        self.home = root.absolute()
        self.remote = Remote(remote) if remote else None
        self.root = self.home / "remote" / _folder_named(self.remote.name) if self.remote else self.home
        self._agreed_on_key = False
        self._indexed: set[str] = set()
        self._alike: dict[int, list[str]] = {}

    @property
    def name(self) -> str:
        """The URL of the remote store, or else the folder."""
        return self.remote.name if self.remote is not None else str(self.root)

    @property
    def key(self) -> Path:
        """Where the key lies that patients' ids are hashed with."""
        return self.root / "key"

    def connect(self) -> None:
        """Begin a session with a remote store: see what is there, share its key, push what is noted.

        Raises:
          MedbenchError: it cannot be reached, or a noted run was damaged meanwhile.
        """
        if self.remote is not None:
            self.remote.ids()
            self.pseudonyms()
            self.push()

    def pseudonyms(self) -> Pseudonyms:
        """What patients are named by outside the store; the key is made on first use.

        All machines of a remote store name patients alike.

        Raises:
          MedbenchError: the store cannot be written, or the key is damaged.
        """
        self._folder("")
        if self.remote is not None and not self._agreed_on_key:
            self._agree_on_key(self.remote)
        return Pseudonyms(self.key)

    def cache(self, name: Literal["xla", "decoded", "digests", "judged"]) -> Path:
        """A folder whose content can be made again, such as compiled programs and decoded images."""
        return _made(self.home, f"cache/{name}")

    def path(self, run_id: str) -> Path:
        """The folder of a run, whether it exists or not."""
        return self.root / "runs" / run_id

    def checkpoints(self, run_id: str) -> Path:
        """The folder of what training a run keeps until the run is stored, whether it exists or not."""
        return self.root / "checkpoints" / run_id

    def has(self, run_id: str) -> bool:
        """Whether `get` would find the run; nothing is copied here for that.

        Raises:
          MedbenchError: its record here is damaged, of another run, or of a later version of medbench; the
            remote store cannot be read.
        """
        return self._get_here(run_id) is not None or (self.remote is not None and self.remote.has(run_id))

    def get(self, run_id: str) -> StoredRun | None:
        """The run, or None if it was not stored; copied here if only the remote store has it.

        Raises:
          MedbenchError: its record is damaged, of another run, or of a later version of medbench; the remote
            store has it and cannot be read.
        """
        run = self._get_here(run_id)
        if run is None and self.remote is not None and self.remote.has(run_id):
            self._bring(run_id, self.remote)
            run = self._get_here(run_id)
        return run

    def fetch(self, run_ids: Iterable[str]) -> None:
        """Copy runs here that only the remote store has, several at a time; `get` does it one by one.

        Raises:
          MedbenchError: as `get`.
        """
        if (remote := self.remote) is None:
            return
        wanted = [run_id for run_id in run_ids if not self._is_here(run_id) and remote.has(run_id)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(lambda run_id: self._bring(run_id, remote), wanted):
                pass

    def ids(self) -> list[str]:
        """Ids of the runs in this folder; what only the remote store has is not among them."""
        return _ids_in(self.root / "runs")

    def records(self) -> Iterator[RunRecord]:
        """Every readable record in this folder; a damaged one is reported when its run is asked for."""
        return self._readable(self.ids())

    def alike(self, spec: RunSpec) -> Iterator[RunRecord]:
        """Of `records`, those of runs with the label and the cohort of a spec.

        Each record is read once to learn what it is of; after that only those that are asked for.
        """
        for run_id in self.ids():
            for record in self._readable([run_id]) if run_id not in self._indexed else ():
                self._indexed.add(run_id)
                self._alike.setdefault(_of(record.spec), []).append(run_id)
        found = self._readable(self._alike.get(_of(spec), ()))
        return (r for r in found if (r.spec.label, r.spec.cohort) == (spec.label, spec.cohort))

    def hashes(self, run_id: str) -> dict[str, str]:
        """SHA-256 of a run's predictions by file; none where it is not there.

        Raises:
          MedbenchError: as `get`.
        """
        run = self._get_here(run_id)
        if run is None:
            return {} if self.remote is None else self.remote.hashes(run_id)
        return {evaluation.file: evaluation.sha256 for evaluation in run.record.evaluations}

    def copy(self, run_id: str, into: Path) -> bool:
        """Copy the files of a run in this folder into a new one.

        Returns:
          Whether the run is here.

        Raises:
          MedbenchError: its record or its predictions are damaged.
          OSError: the copy cannot be written.
        """
        run = self._get_here(run_id)
        if run is None:
            return False
        (into / PREDICTIONS).mkdir(parents=True)
        files = [evaluation.file for evaluation in run.record.evaluations]
        _require_sound(run.path, run_id)
        for name in (*files, *([FEATURES] if (run.path / FEATURES).exists() else []), RECORD):
            shutil.copyfile(run.path / name, into / name)
        return True

    def add(self, run_id: str, source: Source) -> Literal["added", "there", "other"]:
        """Bring a run in that was made elsewhere; one that is there already is left as it is.

        Returns:
          `added`; `there`: it was, with the same predictions; `other`: it was, with others.

        Raises:
          MedbenchError: the run is damaged; the store cannot be written, or the remote one not reached.
        """
        with self.lock(run_id):
            if self.has(run_id):
                return "there" if self.hashes(run_id) == source.hashes(run_id) else "other"
            self._bring(run_id, source)
            if not self._is_here(run_id):
                raise MedbenchError(f"{source.name}: run {run_id} is not whole: it has no {RECORD}.")
            self._push(run_id)
        return "added"

    def unpushed(self) -> list[str]:
        """Ids of the runs that are here and could not be pushed to the remote store yet."""
        return _ids_in(self.root / "unpushed")

    def push(self) -> int:
        """Push what is noted as not pushed; what another process is at work on is left to it.

        Returns:
          How many runs were pushed.

        Raises:
          MedbenchError: the remote store cannot be written, or a run was damaged meanwhile.
        """
        pushed = 0
        for run_id in self.unpushed():
            with suppress(filelock.Timeout), self._filelock(run_id).acquire(timeout=0):
                pushed += self._push(run_id)
        return pushed

    def put(
        self,
        record: RunRecord,
        predictions: Mapping[str, "Predictions"],
        features: Mapping[str, NDArray[np.float16]],
    ) -> StoredRun:
        """Store a run that was trained, in place of an earlier one of the same id, and push it.

        Where the remote store cannot be reached, the run is noted in `unpushed`.

        Args:
          record: its `evaluations` are filled in from what is written.
          predictions: by evaluation set.
          features: pooled features by stage, for the probe images.

        Raises:
          MedbenchError: the store cannot be written, for want of space or rights. What it held, it holds.
        """
        target = self.path(record.run_id)
        with self.lock(record.run_id), writing(self.root):
            self._clear_leftovers()
            incoming = self._folder("incoming") / record.run_id
            try:
                written = write_run(incoming, record, predictions, features)
                self._note_unpushed(written)
                self._swap_in(incoming, target)
            finally:
                self._clear(record.run_id)
            with suppress(UnreachableError):  # hours of training are not lost for that
                self._push(record.run_id)
        return StoredRun(record=written, path=target, origin="trained")

    @contextmanager
    def lock(self, run_id: str, waiting: Callable[[Holder | None], None] | None = None) -> Iterator[None]:
        """Hold the right to train a run: re-entrant within a thread, freed by the system with its holder.

        Only processes that share this folder keep off each other. Whether a remote store has the run is asked
        anew by then, as another machine may have pushed it.

        Args:
          run_id: the run.
          waiting: called once if another process holds it, with the holder if it has made itself known.
        """
        lock = self._filelock(run_id)
        if lock.is_locked:
            yield
            return
        note = Path(lock.lock_file).with_suffix(".json")
        with writing(self.root):
            try:
                lock.acquire(timeout=_NOT_WORTH_TELLING)
            except filelock.Timeout:
                if waiting is not None:
                    waiting(_read_holder(note))
                lock.acquire()
        try:
            with writing(self.root):
                write_aside(note, msgspec.json.encode(_this_process()))
                self._clear(run_id)
            if self.remote is not None:
                self.remote.look_again(run_id)
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
        with writing(self.root):
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
        with writing(self.root):
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

    def _agree_on_key(self, remote: Remote) -> None:
        try:
            key = remote.key(own=lambda: key_in(self.key) if self.key.exists() else new_key())
        except UnreachableError:
            if not self.key.exists():
                raise
            return  # what is here was agreed on by an earlier session
        with writing(self.root):
            keep_key(self.key, key)
        self._agreed_on_key = True

    def _is_here(self, run_id: str) -> bool:
        return os.path.exists(f"{self.root}/runs/{run_id}/{RECORD}")  # noqa: PTH110 (asked 10,000 times)

    def _get_here(self, run_id: str) -> StoredRun | None:
        run = read_run(self.path(run_id), "reused")
        if run is not None and run.record.run_id != run_id:
            raise MedbenchError(
                f"{run.path / RECORD}: the record is of another run, {run.record.run_id}. "
                f"{_remedy(run.path, 'reused')}"
            )
        return run

    def _readable(self, run_ids: Iterable[str]) -> Iterator[RunRecord]:
        for run_id in run_ids:
            with suppress(MedbenchError):
                if (run := read_run(self.path(run_id), "reused")) is not None:
                    yield run.record

    def _bring(self, run_id: str, source: Source) -> None:
        """Copy a run here, whole or not at all; one that a process here is at work on is left to it."""
        with writing(self.root), suppress(filelock.Timeout), self._filelock(run_id).acquire(timeout=0):
            self._clear(run_id)
            if self._is_here(run_id):
                return
            incoming = self._folder("incoming") / run_id
            try:
                if source.copy(run_id, incoming):
                    record = _require_sound(incoming, run_id)
                    _flush_all(incoming)
                    if source is not self.remote:
                        self._note_unpushed(record)
                    self._swap_in(incoming, self.path(run_id))
            finally:
                self._clear(run_id)

    def _note_unpushed(self, record: RunRecord) -> None:
        """Before the run is here: who is stopped after that must leave the note, which does no harm alone."""
        if self.remote is not None:
            version = f"{re.sub('[^0-9]', '', record.finished)[:14]}-{secrets.token_hex(4)}"
            write_aside(self._folder("unpushed") / record.run_id, version.encode())

    def _push(self, run_id: str) -> bool:
        """Push a run if it is noted; its lock is held. Returns whether it was pushed."""
        note = self.root / "unpushed" / run_id
        if self.remote is None or not note.exists():
            return False
        there = self._is_here(run_id)
        if there:
            _require_sound(self.path(run_id), run_id)
            self.remote.push(run_id, self.path(run_id), note.read_text(encoding="ascii"))
        note.unlink(missing_ok=True)
        return there

    def _folder(self, name: str) -> Path:
        return _made(self.root, name)

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
    _flush_all(folder)
    return written


def store_at(given: str) -> Store:
    """The store that a person names, by its folder or by the URL of a remote one.

    What this machine has of a remote store is kept in `.medbench`, where the process is.

    Args:
      given: folder or URL.

    Raises:
      MedbenchError: nothing is named, as by a variable that is not set.
    """
    if not given:
        raise MedbenchError("--store: expected a folder or a URL, found nothing. Is a variable not set?")
    return Store(Path(".medbench"), given) if is_url(given) else Store(Path(given))


class _Versioned(msgspec.Struct):
    schema_version: int


def _require_sound(folder: Path, run_id: str) -> RunRecord:
    """The record of a run whose files are all there as they were written."""
    run = read_run(folder, "reused")
    if run is None or run.record.run_id != run_id:
        raise MedbenchError(
            f"{folder}: expected run {run_id}, found {run.record.run_id if run else 'no record'}."
        )
    for evaluation in run.record.evaluations:
        if not _PREDICTIONS_FILE.fullmatch(evaluation.file):  # which could lead out of the folder
            raise MedbenchError(
                f"{folder / RECORD}: expected a file `{PREDICTIONS}/….parquet`, found `{evaluation.file}`."
            )
    run.digest()
    if (folder / FEATURES).exists():
        run.features()
    return run.record


def _ids_in(folder: Path) -> list[str]:
    return (
        sorted(path.name for path in folder.iterdir() if _RUN_ID.fullmatch(path.name))
        if folder.is_dir()
        else []
    )


def _of(spec: RunSpec) -> int:
    return hash((spec.label, spec.cohort))


def _folder_named(url: str) -> str:
    """For what a machine has of a remote store: to be recognised by a person, and one for each URL."""
    readable = re.sub("[^a-z0-9]+", "-", url.lower()).strip("-")[:40]
    return f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def _made(root: Path, name: str) -> Path:
    """A folder below a store's, which is made with it."""
    folder = root / name
    with writing(root):
        folder.mkdir(parents=True, exist_ok=True)
        _keep_out_of_git(root)
    return folder


def _keep_out_of_git(root: Path) -> None:
    """Patients' ids must not be committed by accident; a folder of other things as well is left alone."""
    ignored = root / ".gitignore"
    if not ignored.exists() and {path.name for path in root.iterdir()} <= _OWN:
        ignored.write_text("*\n", encoding="utf-8")


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
    return holder if not here or is_alive(holder.pid) else None


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _sha256(path: Path) -> str:
    """Of the file's bytes; that of no bytes if it cannot be read."""
    return hashlib.sha256(_content(path)).hexdigest()


def _content(path: Path) -> bytes:
    """The file's bytes; none if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _flush_all(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        _flush(path)


def _flush(path: Path) -> None:
    """Ask the system to put a file's or a folder's content on the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
