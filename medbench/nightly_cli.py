"""`medbench nightly`: doctor, pytest and summary of a night, one after the other.

Each step is a command of its own, whose output is shown and kept; what they come to together is in `nights`.
"""

import argparse
import fcntl
import os
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import msgspec

from medbench.candidates import CHANGES
from medbench.diff import show
from medbench.diff.reading import load_report
from medbench.difference import Comparison
from medbench.errors import MedbenchError, few, printable
from medbench.nights import (
    PREFIX,
    Night,
    Settings,
    Told,
    begin,
    descriptions,
    is_red,
    is_worse,
    judged_line,
    settings_of,
    since_line,
    unreadable,
)
from medbench.pytest_places import UNFINISHED

GREEN, RED, UNDONE, BUSY = 0, 1, 2, 3
SUMMARY = "GITHUB_STEP_SUMMARY"
"""Variable that names the file which GitHub Actions shows beside a job."""
LOCK = "lock"
"""File in a folder of nights, held by who works there."""
COMMAND = "$ "
"""Before the command that a log is of; a log has all starts."""
MOST_SHOWN = 900_000
"""Characters: GitHub refuses a summary of more than 1 MiB."""

ROAD = """\
A night is a folder in MEDBENCH_OUT: night.json, doctor.txt, pytest.log, junit.xml, report/, candidate/,
diff.md, diff.json and summary.txt. One that came to no end is continued by the same command; a finished one
is never overwritten. docs/nightly.md says what a red night means and what to do.

exit status: 0 green; 1 red by the policy; 2 the night could not be done, and the same command continues it;
3 another night is at work in the folder; 130 interrupted, and the same command continues it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command, which takes its settings from the environment."""
    lines = []
    for field in msgspec.structs.fields(Settings):
        default = f" (default: {field.default})" if field.default else ""
        lines.append(f"  {PREFIX + field.name.upper():<22}{descriptions()[field.name]}{default}")
    parser.description = "Run a night: doctor, pytest with report, diff against the night before, summary."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(["environment variables:", *lines, "", ROAD])


def run(args: argparse.Namespace) -> int:  # noqa: ARG001  all commands take the same
    """Do a night, or what is left of it; returns the exit status.

    Raises:
      MedbenchError: a setting is wrong, or the night cannot be written.
    """
    settings = settings_of(os.environ)
    _further(settings)  # a mistake there is told before anything is made
    out = Path(settings.out)
    with _alone(out) as lock:
        if lock is None:
            print(f"{_who(out)}; nothing was done.", file=sys.stderr)
            return BUSY
        signal.signal(signal.SIGTERM, _interrupt)
        for path in unreadable(out):
            print(f"{path} cannot be read: that night is neither continued nor compared with.", flush=True)
        night = begin(out, settings, _now())
        if night.state.attempts > 1:
            print(f"night {night.folder.name} goes on, start {night.state.attempts}.", flush=True)
        try:
            return _conducted(night, lock)
        except MedbenchError:
            raise
        except OSError as error:
            raise MedbenchError(
                f"{error.filename or night.folder}: the night came to no end ({error.strerror or error}). "
                "Make room; finished runs are kept, and the same command continues the night."
            ) from error
        except KeyboardInterrupt:
            print(f"night {night.folder.name} was interrupted: the same command continues it.")
            raise
        except Exception:  # 1 would say that something is red
            traceback.print_exc()
            print(f"night {night.folder.name} came to no end by a fault of medbench; please report it.")
            return UNDONE


def _conducted(night: Night, lock: int) -> int:
    """All steps of a night."""
    settings = night.state.settings
    unwell = _step(doctor_command(settings), night.folder / "doctor.txt", lock)
    if unwell and settings.doctor == "stop":
        why = _last(night.folder / "doctor.txt", "problem")
        return _undone(night, f"the doctor found problems, so nothing was trained (doctor.txt){why}")
    written = night.report / "report.json"
    written.unlink(missing_ok=True)  # of an earlier start
    tested = _step(pytest_command(night, _earlier(night)), night.folder / "pytest.log", lock)
    if settings.shard:
        if tested:
            why = _last(night.folder / "pytest.log", "ERROR:")
            return _undone(night, f"part {settings.shard} was not made whole (pytest.log){why}")
        then = f"nothing is judged before all parts are made: then {PREFIX}RUNS=never, without {PREFIX}SHARD"
        return _ended(night, GREEN, [f"part {settings.shard} of the runs is made", then])
    log = night.folder / "pytest.log"
    if tested not in (0, 1) or not written.is_file():
        why = _last(log, "ERROR:") or _last(log, "-k ") or _last(log, "nothing was judged:")
        return _undone(night, f"pytest came to no report, with exit status {tested} (pytest.log){why}")
    if why := _last(log, UNFINISHED):
        return _undone(night, f"what was judged could not be kept whole (pytest.log){why}")
    told = msgspec.json.decode(written.read_bytes(), type=Told)
    if told.since is not None:
        _keep(told.since, night.folder)
    worse = is_worse(night, told.since)
    red = is_red(settings.policy, pytest=tested, worse=worse, unmeasured=told.unmeasured)
    judged = judged_line(told)
    if tested and not told.red and told.counts["judged"]:
        judged += f"; red beside the items (pytest.log){_last(log, 'FAILED ')}"
    return _ended(night, RED if red else GREEN, [judged, since_line(night, told.since)])


def doctor_command(settings: Settings) -> list[str]:
    """Looks at the machine before hours are spent on it."""
    given = ["--tier", settings.tier, "--suite", settings.suite, "--store", settings.store]
    given += ["--cohort", settings.cohort] if settings.cohort else []
    return [*_MEDBENCH, "doctor", *given]


def pytest_command(night: Night, earlier: Path | None) -> list[str]:
    """Makes, judges, reports and compares; a part of several makes alone.

    Args:
      night: that is run.
      earlier: the folder of the report to compare with, if there is one.
    """
    settings, folder = night.state.settings, night.folder
    command = [sys.executable, "-m", "pytest", settings.suite, f"--junitxml={folder / 'junit.xml'}"]
    options = {
        "--tier": settings.tier,
        "--store": settings.store,
        "--runs": settings.runs,
        "--expect": "check",  # whatever addopts say
        "-k": settings.select,
        "--cohort": settings.cohort,
        "--expectations": settings.expectations,
        "-n": settings.workers,
        "--shard": settings.shard,
    }
    if not settings.shard:
        options |= {
            "--report": str(night.report),
            "--candidates": str(folder / "candidate"),
            "--history": settings.history or str(Path(settings.out) / "history"),
            "--against": str(earlier or ""),
        }
    for name, value in options.items():
        command += [name, value] if value else []
    return command + _further(settings)


_MEDBENCH = (sys.executable, "-m", "medbench.cli")
_OWN = {"--tier", "--store", "--runs", "--cohort", "--expectations", "--shard", "--junitxml"}
_OWN |= {"--report", "--candidates", "--history", "--against", "--expect", "--reason"}
"""Options that a night gives by itself, or that are not for a night, as accepting without a person."""


def _further(settings: Settings) -> list[str]:
    """The further options of pytest.

    Raises:
      MedbenchError: they are not quoted as for a shell, or one is the night's own.
    """
    try:
        words = shlex.split(settings.pytest)
    except ValueError as error:
        raise MedbenchError(
            f"{PREFIX}PYTEST: `{settings.pytest}` is not quoted as for a shell ({error})."
        ) from error
    if own := [word for word in words if word.partition("=")[0] in _OWN or word.startswith("-k")]:
        raise MedbenchError(
            f"{PREFIX}PYTEST: {few(own)}: not for a night, which has settings of its own for that, and "
            "accepts nothing. `ci/nightly.sh --help` lists them."
        )
    return words


def _earlier(night: Night) -> Path | None:
    """The report of the night before, unless it cannot be read, as that of another version of medbench."""
    if night.previous is None:
        return None
    try:
        load_report(night.previous)
    except MedbenchError as error:
        print(f"the night before cannot be compared with: {error}", flush=True)
        return None
    return night.previous


def _keep(comparison: Comparison, folder: Path) -> None:
    """What changed since the night before, for people and for programs."""
    (folder / "diff.md").write_text(show.markdown(comparison), encoding="utf-8")
    (folder / "diff.json").write_bytes(msgspec.json.format(msgspec.json.encode(comparison), indent=2) + b"\n")


def _ended(night: Night, status: int, lines: Sequence[str]) -> int:
    """Finish the night and say what it came to."""
    word = "RED" if status == RED else "green"
    places = [night.report / "report.html", night.folder / "diff.md", night.folder / "candidate" / CHANGES]
    there = [str(place) for place in places if place.is_file()]
    head = f"night {night.folder.name}, {night.state.settings.tier} tier: {word}; {lines[0]}"
    _say(night, [head, *lines[1:], f"report: {' · '.join(there)}" if there else f"in {night.folder}"])
    night.ended(status, _now())
    return status


def _undone(night: Night, why: str) -> int:
    """Say why the night came to no end; it stays unfinished."""
    head = f"night {night.folder.name}, {night.state.settings.tier} tier: NOT DONE; {why}"
    then = "what stands above put right, the same command continues the night; finished runs are kept"
    _say(night, [head, then, f"in {night.folder}"])
    return UNDONE


def _say(night: Night, lines: Sequence[str]) -> None:
    """Three lines on the terminal, in the night's folder and where GitHub Actions shows them."""
    text = "\n".join(lines) + "\n"
    _show(f"\n{text}")
    (night.folder / "summary.txt").write_text(text, encoding="utf-8")
    if shown := os.environ.get(SUMMARY):
        try:
            with Path(shown).open("a", encoding="utf-8") as file:
                file.write(f"```text\n{text}```\n\n{_page(night)}\n")
        except OSError as error:
            _show(f"{SUMMARY}: {shown} cannot be written ({error.strerror}); the night stands.\n")


def _page(night: Night) -> str:
    """The diff as Markdown, or the report where there is none; neither where it is too large to be shown."""
    pages = [night.folder / "diff.md", night.report / "report.md"]
    text = next((page.read_text(encoding="utf-8") for page in pages if page.is_file()), "")
    return text if len(text) < MOST_SHOWN else "The diff is too large to be shown here; see the artifact."


def _last(log: Path, begins: str) -> str:
    """The last line that begins so of what the last start logged, behind a colon; empty where none does."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    started = [i for i, line in enumerate(lines) if line.startswith(COMMAND)]
    lines = lines[started[-1] :] if started else lines
    found = next((line for line in reversed(lines) if line.startswith(begins)), "")
    words = " ".join(found.removeprefix(begins).split())
    return f": {printable(words)}" if found else ""


def _step(command: Sequence[str], log: Path, lock: int) -> int:
    """Run a command; what it says is shown and kept, behind what an earlier start left there."""
    with log.open("a", encoding="utf-8") as kept:
        kept.write(f"{COMMAND}{shlex.join(command)}\n")
        kept.flush()
        with _started(command, lock) as process:
            assert process.stdout is not None
            for line in process.stdout:
                text = line.decode(errors="replace")
                _show(text)
                kept.write(text)
                kept.flush()
    return process.returncode


def _show(text: str) -> None:
    """On the terminal, where somebody reads; a night goes on without."""
    with suppress(OSError):
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def _started(command: Sequence[str], lock: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock too, so that no second night begins while it lives on alone."""
    with subprocess.Popen(  # noqa: S603  it is medbench or pytest
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(lock,)
    ) as process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise


@contextmanager
def _alone(out: Path) -> Iterator[int | None]:
    """The lock of a folder of nights, which the system frees with its last holder; None if it is held."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / LOCK).open("ab", buffering=0)  # else closing writes once more
    except OSError as error:
        raise MedbenchError(
            f"{out}: nights cannot be kept here ({error.strerror}). Name another folder by {PREFIX}OUT."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        except OSError as error:
            raise MedbenchError(
                f"{out / LOCK}: cannot be locked ({error.strerror}). Name a folder of another file system by "
                f"{PREFIX}OUT."
            ) from error
        else:
            with suppress(OSError):  # a full disk: who holds it is then not told
                file.truncate(0)
                file.write(f"process {os.getpid()}, since {_now().isoformat(timespec='seconds')}".encode())
            yield file.fileno()


def _who(out: Path) -> str:
    """Who holds the lock of a folder of nights."""
    holder = (out / LOCK).read_text(encoding="utf-8", errors="replace")
    by = printable(holder) or "it has just begun"
    left = "if that was killed, its pytest still makes the run that it is at"
    return f"another night is at work in {out} ({by}; {left})"


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  as the system calls it
    """A night that is told to end does so as one that a person interrupts."""
    raise KeyboardInterrupt


def _now() -> datetime:
    return datetime.now(UTC)
