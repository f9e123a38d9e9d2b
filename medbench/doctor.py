"""Looks whether a machine can do what a session needs: findings, each with what to do. Nothing is changed.

Every look has its time and ends in findings, whatever is broken. jax is asked in a process of its own, as a
driver that hangs takes the process with it.
"""

import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Literal

import msgspec
from packaging.requirements import Requirement

from medbench import environment, expect, gpus
from medbench.data.sources import PHANTOMS, PUBLIC, find_declaration, names_source, open_cohort, prepared_in
from medbench.errors import MedbenchError, few, nearest
from medbench.models import lock, weights
from medbench.models.catalogue import released
from medbench.spec.records import Suite
from medbench.spec.suite import load_suite
from medbench.store import LEAST_FREE, is_alive, store_at

State = Literal["ok", "note", "problem"]
"""`note`: something is less than it could be, and a session goes on without it; `problem`: none can."""

PLENTY = 5 << 30
"""Bytes free, of which less is worth a note."""

_ASK_JAX = """
import json, jax
def limit(device):
    try:
        return (device.memory_stats() or {}).get("bytes_limit", 0)
    except Exception:
        return 0
print(json.dumps([[d.platform, d.device_kind, limit(d)] for d in jax.local_devices()]))
"""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found."""

    subject: str
    state: State
    text: str
    """On one line."""
    advice: str = ""
    """What to do; empty where there is nothing to do."""


@dataclass(frozen=True)
class Asked:
    """What a session is to be about.

    Attributes:
      tier: its name.
      suite: the folder of declarations.
      store: its folder or URL.
      cohort: in place of the tier's own, as --cohort has it; empty for those.
      patience: seconds for each look.
    """

    tier: str
    suite: Path
    store: str
    cohort: str
    patience: float

    @property
    def prepared(self) -> Path:
        """Where public cohorts are prepared."""
        return prepared_in(store_at(self.store).home)


def examine(asked: Asked) -> list[Finding]:
    """All findings, in the order in which a session would stumble over them; a cause is told once."""
    found = [finding for subject, look in LOOKS.items() for finding in _within(asked, subject, look)]
    first = {(finding.state, finding.text): finding for finding in reversed(found)}
    return [each for each in found if each is first[each.state, each.text] or each.state == "ok"]


Look = Callable[[Asked], Iterable[Finding]]


def _within(asked: Asked, subject: str, look: Look) -> list[Finding]:
    """What a look finds in its time; that it fails or hangs is a finding too."""
    found: list[Finding] = []

    def work() -> None:
        try:
            found.extend(look(asked))
        except MedbenchError as error:
            found.append(Finding(subject=subject, state="problem", text=str(error)))
        except Exception as error:  # an environment may be broken in any way
            text = f"could not be looked at ({type(error).__name__}: {error})"
            found.append(Finding(subject=subject, state="problem", text=text))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(asked.patience + 10)
    if thread.is_alive():
        text = f"looking at {subject} gave no answer in {asked.patience:.0f} s"
        return [Finding(subject=subject, state="problem", text=text, advice="Is a disk or the network gone?")]
    return found


# Software


def _python(asked: Asked) -> Iterator[Finding]:  # noqa: ARG001  all looks are asked alike
    """Python and the libraries that medbench requires, each within the range that it supports."""
    try:
        required = [Requirement(line) for line in metadata("medbench").get_all("Requires-Dist") or []]
        supported = metadata("medbench")["Requires-Python"]
    except PackageNotFoundError:
        yield Finding(
            subject="python",
            state="note",
            text=f"Python {platform.python_version()}; medbench is not installed, so no range is known",
            advice="pip install -e .",
        )
        return
    here = platform.python_version()
    yield _ranged("python", here, Requirement(f"python{supported or ''}"))
    always = [each for each in required if each.marker is None or each.marker.evaluate({"extra": ""})]
    findings = [_ranged("libraries", _installed(each.name), each) for each in always]
    wrong = [finding for finding in findings if finding.state != "ok"]
    yield from wrong
    if not wrong:
        shown = environment.library_versions()
        listed = ", ".join(f"{name} {number}" for name, number in shown.items() if number)
        yield Finding(subject="libraries", state="ok", text=f"all {len(always)} in range; {listed}")


def _ranged(subject: str, found: str, required: Requirement) -> Finding:
    text = f"{required.name} {found or 'is missing'}"
    if found and required.specifier.contains(found, prereleases=True):
        return Finding(subject=subject, state="ok", text=text)
    wanted = f"{required.name}{required.specifier}"
    advice = f"pip install '{wanted}'" if subject == "libraries" else f"Use {wanted}."
    return Finding(subject=subject, state="problem", text=f"{text}; supported: {wanted}", advice=advice)


def _extras(asked: Asked) -> Iterator[Finding]:
    """Extras that this machine or the tier's cohorts call for."""
    references = [asked.cohort] if asked.cohort else _own_cohorts(asked)
    public = any(reference.startswith(PUBLIC) for reference in references)
    wanted = {"public": "tensorflow-datasets"} if public else {}
    if asked.store.startswith("s3://"):
        wanted["s3fs"] = "s3fs"
    missing = [extra for extra, distribution in wanted.items() if not _installed(distribution)]
    for extra in missing:
        package = extra if extra == "s3fs" else f"medbench[{extra}]"
        yield Finding(
            subject="extras", state="problem", text=f"{extra} is missing", advice=f"pip install '{package}'"
        )
    if not missing:
        there = ", ".join(wanted) or "none are needed"
        yield Finding(subject="extras", state="ok", text=f"for this tier and store: {there}")


def _code(asked: Asked) -> Iterator[Finding]:
    """Which revision would make the numbers."""
    for subject, revision in (("medbench", environment.commit()), ("suite", _revision(asked.suite))):
        if not revision:
            yield Finding(subject="code", state="ok", text=f"{subject}: not in a git checkout")
        elif revision.endswith("+"):
            yield Finding(
                subject="code",
                state="note",
                text=f"{subject}: commit {revision[:12]} with changes that are not committed",
                advice="Commit or undo them, else nobody can tell later what made the numbers.",
            )
        else:
            yield Finding(subject="code", state="ok", text=f"{subject}: commit {revision[:12]}")


def _revision(folder: Path) -> str:
    """Of the checkout that a folder is in, with `+` if anything below the folder is changed."""
    revision = _printed("git", "-C", str(folder), "rev-parse", "HEAD")
    return revision + (
        "+" if revision and _printed("git", "-C", str(folder), "status", "--porcelain", ".") else ""
    )


# Machine


def _devices(asked: Asked) -> Iterator[Finding]:
    """The devices that jax has, and whether they are those that a session would plan with."""
    planned = environment.device_class()
    try:
        devices = _ask_jax(asked.patience)
    except TimeoutError:
        yield Finding(
            subject="devices",
            state="problem",
            text=f"jax did not find its devices in {asked.patience:.0f} s: a driver hangs",
            advice="Restart the machine or its driver; with JAX_PLATFORMS=cpu a session needs none.",
        )
        return
    except MedbenchError as error:
        yield Finding(subject="devices", state="problem", text=str(error), advice=_HOW_TO_ACCELERATE)
        return
    kinds = dict.fromkeys(_in_words(*device) for device in devices)
    text = f"{planned}; {len(devices)} for jax: {', '.join(kinds)}"
    seen = environment.class_of(devices[0][0], devices[0][1])
    if planned.partition("-")[0] != seen.partition("-")[0]:
        text = f"a session would plan for `{planned}`, and jax uses `{seen}`"
        yield Finding(subject="devices", state="problem", text=text, advice=_HOW_TO_ACCELERATE)
    elif seen == environment.CPU and not os.environ.get("JAX_PLATFORMS") and gpus.listing():
        text = (
            f"{len(gpus.parse(gpus.listing()))} NVIDIA GPUs that jax does not use: it has no plugin for them"
        )
        yield Finding(subject="devices", state="note", text=text, advice="pip install 'medbench[cuda12]'")
    else:
        yield Finding(subject="devices", state="ok", text=text)


_HOW_TO_ACCELERATE = (
    "pip install 'medbench[cuda12]', '[cuda13]' or '[tpu]' and check the driver, or set JAX_PLATFORMS=cpu."
)


def _ask_jax(patience: float) -> list[tuple[str, str, int]]:
    """Platform, kind and bytes of memory of each device; 0 bytes where jax does not say.

    Raises:
      TimeoutError: jax does not answer.
      MedbenchError: it has no device.
    """
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", _ASK_JAX],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complained = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired as error:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # one that waits in a driver does not die
            process.communicate(timeout=2)
        raise TimeoutError from error
    lines = said.splitlines()
    if process.returncode or not lines:
        why = (complained.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
        raise MedbenchError(f"jax has no device ({why})")
    return msgspec.json.decode(lines[-1], type=list[tuple[str, str, int]])


def _in_words(kind_of: str, kind: str, memory: int) -> str:
    name = environment.processor() if kind_of == "cpu" else kind
    return f"{name}, {_gib(memory)}" if memory else name


def _memory(asked: Asked) -> Iterator[Finding]:  # noqa: ARG001
    """Memory and cores, as far as this process may have them."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _cgroup("memory.max", "memory/memory.limit_in_bytes")
    memory = min(whole, limit or whole)
    limited = f" (of {_gib(whole)}, by a limit of the container)" if memory < whole else ""
    enough = memory >= 3 << 30
    yield Finding(
        subject="memory",
        state="ok" if enough else "note",
        text=f"{_gib(memory)}{limited}",
        advice="" if enough else "The embedded tier needs 4 GB; use one worker.",
    )
    cores, quota = environment.usable_cores(), _quota()
    few_cores = quota is not None and quota < cores
    yield Finding(
        subject="cores",
        state="note" if few_cores else "ok",
        text=f"{cores} usable"
        + (f", but time of {quota:g} by a limit of the container" if few_cores else ""),
        advice=f"Give the container {cores}, or bind it to fewer (--cpuset-cpus)." if few_cores else "",
    )


def _cgroup(name: str, old: str) -> int:
    """A limit of the control group in bytes; 0 where there is none."""
    for path in (_CGROUP / name, _CGROUP / old):
        with suppress(OSError, ValueError):
            return int(path.read_text(encoding="ascii"))
    return 0


def _quota() -> float | None:
    """Processors' worth of time that the control group gives; None where it does not limit."""
    with suppress(OSError, ValueError):
        quota, period = (_CGROUP / "cpu.max").read_text(encoding="ascii").split()
        return int(quota) / int(period)
    return None


_CGROUP = Path("/sys/fs/cgroup")


def _disk(asked: Asked) -> Iterator[Finding]:
    """Room where runs and cohorts are kept."""
    home = store_at(asked.store).home
    for what, folder in {"store": home, "cohorts": asked.prepared}.items():
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free
        state: State = "problem" if free < LEAST_FREE else "note" if free < PLENTY else "ok"
        advice = "" if state == "ok" else "Free some space; docs/nightly.md says what may be removed."
        text = f"{_gib(free)} free for the {what} ({folder})"
        yield Finding(subject="disk", state=state, text=text, advice=advice)


# Suite


def _declarations(asked: Asked) -> Iterator[Finding]:
    """Whether the suite and what was accepted can be read."""
    suite = _suite(asked)
    if asked.tier not in suite.tiers:
        text = f"unknown tier `{asked.tier}`"
        yield Finding(subject="suite", state="problem", text=text, advice=nearest(asked.tier, suite.tiers))
    else:
        counts = f"{len(suite.claims)} claims, {len(suite.tasks)} tasks"
        yield Finding(subject="suite", state="ok", text=f"{asked.suite}: {counts}")
    accepted = [
        expect.load(expect.beside(Path(root)), asked.tier) for root in (suite.root, suite.base) if root
    ]
    lost = sum(len(each.lost) for each in accepted)
    text = f"{sum(len(each.accepted) for each in accepted)} accepted values for tier {asked.tier}"
    if lost:
        text += f", and {lost} that are listed in {expect.INDEX} and in no file"
    advice = "Restore their files from version control." if lost else ""
    yield Finding(subject="expectations", state="problem" if lost else "ok", text=text, advice=advice)


def _cohorts(asked: Asked) -> list[Finding]:
    """The cohorts of the tier: there, or how to come by them."""
    references = [asked.cohort] if asked.cohort else _own_cohorts(asked)
    found = [_cohort(reference, asked.prepared) for reference in references]
    if not found:
        text = f"tier {asked.tier} has none of its own"
        return [Finding(subject="cohorts", state="note", text=text, advice="Give yours with --cohort DIR.")]
    return _none_is_a_problem(found)


def _own_cohorts(asked: Asked) -> list[str]:
    """References of the cohorts that the tier's tasks name; folders relative to the suite."""
    tasks = _suite(asked).tasks.values()
    named = dict.fromkeys(task.cohorts[asked.tier] for task in tasks if asked.tier in task.cohorts)
    return [each if names_source(each) else str(asked.suite / each) for each in named]


def _cohort(reference: str, prepared: Path) -> Finding:
    try:
        if reference.startswith(PHANTOMS):
            return Finding(subject="cohorts", state="ok", text=f"{reference}: generated here")
        if names_source(reference):
            cohort = open_cohort(reference, prepared=prepared)
            return Finding(subject="cohorts", state="ok", text=f"{cohort.name}: prepared")
        return Finding(subject="cohorts", state="ok", text=str(find_declaration(Path(reference))))
    except MedbenchError as error:
        return Finding(subject="cohorts", state="note", text=f"{reference}: not here", advice=str(error))


def _weights(asked: Asked) -> list[Finding]:
    """The weight files of the tier's arms: there, recorded, or how to get them."""
    suite = _suite(asked)
    if asked.tier not in suite.tiers:  # which is told of the suite
        return []
    arms = [arm for claim in suite.claims.values() for arm in suite.arms(claim, asked.tier).values()]
    files = dict.fromkeys(
        suite.upstreams[arm.upstream].weights[arm.architecture]
        for arm in arms
        if arm.architecture in suite.upstreams[arm.upstream].weights
    )
    found = [_weight_file(file, Path(suite.root)) for file in files]
    if found and all(finding.state == "ok" for finding in found):
        return [Finding(subject="weights", state="ok", text=f"all {len(found)} files are there")]
    return _none_is_a_problem(found)


def _weight_file(file: str, near: Path) -> Finding:
    try:
        path = weights.find(file, near)
    except MedbenchError as error:
        advice = f"medbench weights get {file}" if file in released() else str(error)
        return Finding(subject="weights", state="note", text=f"{file}: missing", advice=advice)
    if weights.is_shipped(path):
        return Finding(subject="weights", state="ok", text=f"{file}: shipped")
    known = lock.recorded(path)
    if known is not None and not known.unchanged(path):
        text = f"{path}: changed since it was recorded on {known.recorded}"
        return Finding(subject="weights", state="note", text=text, advice=f"medbench weights check {file}")
    said = f"recorded {known.recorded}" if known else "not recorded before its first use"
    return Finding(subject="weights", state="ok", text=f"{path}: {said}")


def _none_is_a_problem(found: list[Finding]) -> list[Finding]:
    """Where nothing of what could be there is there, nothing can be judged."""
    if any(finding.state == "ok" for finding in found):
        return found
    return [msgspec.structs.replace(finding, state="problem") for finding in found]


# Store


def _store(asked: Asked) -> Iterator[Finding]:
    """Whether runs can be stored, and what earlier sessions left."""
    store = store_at(asked.store)
    home = next(path for path in (store.home, *store.home.parents) if path.exists())
    if not home.is_dir() or not os.access(home, os.W_OK | os.X_OK):
        text = f"{home}: runs cannot be written here"
        yield Finding(subject="store", state="problem", text=text, advice="Name another store by --store.")
        return
    if store.remote is not None:
        store.remote.ids()
    text = f"{store.name}: {len(store.ids())} runs here"
    yield Finding(subject="store", state="ok", text=text)
    if unpushed := store.unpushed():
        text = f"{len(unpushed)} runs are not in the remote store yet"
        advice = f"medbench store push --store {asked.store}"
        yield Finding(subject="store", state="note", text=text, advice=advice)
    if left := [*_left(store.root / "incoming"), *_dead(store.root / "progress")]:
        text = f"a session that died left {few([path.name for path in left])}"
        advice = "Nothing: the next session clears what it left, and no finished run is lost."
        yield Finding(subject="store", state="note", text=text, advice=advice)


def _left(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _dead(progress: Path) -> list[Path]:
    """Journals of sessions of this host whose process is gone."""
    named = [
        (re.fullmatch(rf"{re.escape(socket.gethostname())}-(\d+)", path.name), path)
        for path in _left(progress)
    ]
    return [path for found, path in named if found and not is_alive(int(found[1]))]


def _suite(asked: Asked) -> Suite:
    if not asked.suite.is_dir():
        raise MedbenchError(f"{asked.suite}: no such folder of declarations. Name it by --suite.")
    return load_suite(asked.suite)


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _printed(*command: str) -> str:
    """What a command prints, stripped; empty if it is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"


LOOKS: dict[str, Look] = {
    "python": _python,
    "suite": _declarations,
    "extras": _extras,
    "devices": _devices,
    "memory": _memory,
    "disk": _disk,
    "store": _store,
    "cohorts": _cohorts,
    "weights": _weights,
    "code": _code,
}
"""By what each is about."""
