"""Other trainers, which execute medbench's runs in its place: an installed entry point, or a script.

Both are given a job's folder (`medbench.execute.job`). Nothing of theirs is imported before a run is theirs.
"""

import hashlib
import os
import signal
import subprocess
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol

from medbench.errors import MedbenchError, nearest, printable
from medbench.execute.job import Job
from medbench.record import Trainer

GROUP = "medbench.trainers"
"""Of entry points; each names a function that takes a `Job` and returns nothing."""
LOG = "trainer.log"
"""File in the job's folder for what a script prints, or for the traceback of an entry point."""
_LOOK_EVERY = 0.5
"""Seconds between two looks at a script's progress."""
_GRACE = 10.0
"""Seconds that an interrupted script has to end."""
_LAST_LINES, _WIDEST, _LAST_BYTES = 10, 200, 16_384


class Executes(Protocol):
    """A trainer that was found."""

    @property
    def identity(self) -> Trainer:
        """What its runs are known by."""

    def __call__(self, job: Job) -> None:
        """Train and leave what is asked for in the job's folder.

        Raises:
          MedbenchError: it failed; the message says how.
        """


def identity_of(trainer: Executes | None) -> Trainer | None:
    """What the runs of a trainer are known by; None for medbench itself."""
    return trainer.identity if trainer is not None else None


def find(name: str, here: Path) -> Executes:
    """The trainer that a person names; it is not loaded.

    Args:
      name: of an installed entry point; or the path of a script, which has a `/`.
      here: what a relative path is relative to.

    Raises:
      MedbenchError: the name is empty; there is no such trainer, or two; or the script cannot be executed.
    """
    if not name.strip():
        raise MedbenchError(
            '--trainer "": expected a name or the path of a script. Is a variable of the shell not set?'
        )
    if "/" in name:
        return Script.at(here / Path(name).expanduser())
    installed = entry_points(group=GROUP)
    found = installed.select(name=name)
    if not found:
        if (here / name).is_file():
            hint = f"A script is named with its folder: --trainer ./{name}."
        elif installed:
            hint = nearest(name, installed.names)
        else:
            hint = (
                f"No installed package has an entry point in the group `{GROUP}`; a script is named with its "
                "folder, as in --trainer ./train.sh."
            )
        raise MedbenchError(f"unknown trainer `{printable(name)}`. {hint}")
    packages = sorted({_distribution(entry) for entry in found})
    if len(packages) > 1:
        raise MedbenchError(
            f"trainer `{name}` is an entry point of {' and of '.join(packages)}. Uninstall one of them."
        )
    return Installed(entry=next(iter(found)))


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "no package"


@dataclass(frozen=True)
class Installed:
    """A trainer in an installed package, called in this process.

    Attributes:
      entry: where it is.
    """

    entry: EntryPoint

    @property
    def identity(self) -> Trainer:
        """The entry point's name, and its package with the version."""
        return Trainer(name=self.entry.name, version=_distribution(self.entry))

    def __call__(self, job: Job) -> None:
        """Load the trainer, at its first run, and call it.

        Raises:
          MedbenchError: it cannot be loaded, it raised something, or it called for the end of the process.
        """
        train = self._loaded()
        try:
            train(job)
        except MedbenchError:
            raise
        except (Exception, SystemExit) as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            kept = _kept_traceback(job.folder / LOG)
            raise MedbenchError(f"raised {_said(error)} ({place.filename}:{place.lineno}). {kept}") from error

    def _loaded(self) -> Callable[[Job], None]:
        try:
            train = self.entry.load()
        except (Exception, SystemExit) as error:
            raise MedbenchError(
                f"`{self.entry.value}` cannot be loaded: {_said(error)}. "
                "Install what it lacks, or import it in a Python of your own to see more."
            ) from error
        if not callable(train):
            raise MedbenchError(f"`{self.entry.value}` is no function: expected one that takes a job.")
        found: Callable[[Job], None] = train
        return found


def _kept_traceback(log: Path) -> str:
    """Where the traceback is; a full disk or a folder that is gone must not hide the error itself."""
    try:
        log.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        return f"The traceback could not be written to {log} ({error.strerror or error})."
    return f"The traceback is in {log.name}."


def _said(error: BaseException) -> str:
    """`ValueError: so and so`, the first line of it."""
    text = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {printable(text)}" if text else type(error).__name__


@dataclass(frozen=True)
class Script:
    """An executable file, called with the job's folder as its only argument.

    Attributes:
      path: absolute.
      sha256: of its bytes when it was found.
    """

    path: Path
    sha256: str

    @classmethod
    def at(cls, path: Path) -> "Script":
        """The script at a path.

        Raises:
          MedbenchError: there is no such file, or it may not be executed.
        """
        path = path.absolute()
        if not path.is_file():
            others = path.parent.iterdir() if path.parent.is_dir() else ()
            siblings = [p.name for p in others if p.is_file()]
            raise MedbenchError(f"{path}: no such script. {printable(nearest(path.name, siblings))}".rstrip())
        if not os.access(path, os.X_OK | os.R_OK):
            raise MedbenchError(f"{path}: may not be executed. Allow it: chmod +x {path}")
        return cls(path, _sha256(path))

    @property
    def identity(self) -> Trainer:
        """The file's name and the digest of its bytes; of what it calls, nothing is known."""
        return Trainer(name=self.path.name, version=f"sha256 {self.sha256}")

    def __call__(self, job: Job) -> None:
        """Run the script to its end; what it prints goes into a log in the job's folder.

        Raises:
          MedbenchError: it cannot be started, or ended with a status other than 0; or it is not what it was.
        """
        if not self.path.is_file() or _sha256(self.path) != self.sha256:
            raise MedbenchError(f"{self.path} changed meanwhile. Start again.")
        log = job.folder / LOG
        with log.open("wb") as output:
            try:
                child = subprocess.Popen(  # noqa: S603  a person named it
                    [self.path, job.folder],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            except OSError as error:
                raise MedbenchError(
                    f"{self.path} cannot be started ({error.strerror}). Does it begin with a line such as "
                    "`#!/bin/sh`?"
                ) from error
            status = _followed(child, job)
        if status:
            how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            lines = _last_lines(log)
            said = f"All that it printed is in {LOG}.\n{lines}" if lines else "It printed nothing."
            raise MedbenchError(f"the script ended early ({how}). {said}")


def _followed(child: subprocess.Popen[bytes], job: Job) -> int:
    """Wait for the end and tell of progress; if this process is interrupted, so is the child."""
    told = None
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(_LOOK_EVERY)
            progress = job.progress()
            if progress is not None and progress != told and job.tell is not None:
                job.tell(progress)
                told = progress
    except BaseException:
        _end(child)
        raise


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child, if it does not end by what interrupted this process: they are of one process group."""
    child.terminate()
    try:
        child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _last_lines(log: Path) -> str:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LAST_BYTES))
        text = file.read().decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()][-_LAST_LINES:]
    return "\n".join(f"    {printable(line)[:_WIDEST]}" for line in lines)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
