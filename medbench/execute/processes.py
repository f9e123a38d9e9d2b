"""Several processes that train every run together: the first leads, the others follow it and do nothing else.

What keeps them in step, and how they end together. What a run is, and how it is trained, does not enter.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import jax
import msgspec
from jax._src import distributed  # the key-value store of a job has no public name in jax 0.10 to 0.12

from medbench.data.cohort import ID, TRAIN, VALIDATION, Cohort
from medbench.errors import MedbenchError
from medbench.execute.local import ImageSource, decoded
from medbench.identity import code_fingerprint, run_id
from medbench.spec.runs import RunSpec
from medbench.store import Store
from medbench.training.cache import enable
from medbench.training.loop import fine_tune
from medbench.training.progress import Progress, Report

if TYPE_CHECKING:
    from medbench.study import Study
    from medbench.training.loop import FineTuned

ADDRESS, COUNT, INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
"""What a person sets who starts processes by hand; the first is jax's own."""
PATIENCE = 300
"""Seconds to wait for all processes at the beginning and at the end."""
GRACE = 10.0
"""Seconds in which a process whose fellow failed may come to an end by itself, before it is ended."""
_LOOK_EVERY = 0.5
_FAILED = "medbench/failed"


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What the first process says to the others, in order."""

    kind: Literal["prepare", "train", "skip", "end"]
    suite: str = ""
    """Folder of the suite that the run is of."""
    run_id: str = ""
    spec: RunSpec | None = None
    checkpoints: bool = False
    """Whether training keeps its state; it needs a store that all processes see."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a follower says to `prepare`."""

    refusal: str = ""
    """Why it cannot take part; empty where it is ready."""
    shares_store: bool = False


class Tune(Protocol):
    """`medbench.training.loop.fine_tune`, or what stands in for it."""

    def __call__(
        self,
        spec: RunSpec,
        cohort: Cohort,
        *,
        weights: Path | None,
        images: ImageSource,
        report: Report,
        checkpoints: Path | None,
    ) -> "FineTuned":
        """Fine-tune one run, in all processes at the same time."""


def _by_hand() -> dict[str, Any]:
    """What a person says in the environment, for jax; nothing where nothing is said."""
    said = {name: os.environ[name] for name in (ADDRESS, COUNT, INDEX) if os.environ.get(name)}
    if not said:
        return {}
    expected = f"expected {ADDRESS} (host:port of the first process), {COUNT}, and {INDEX} (from 0) in each"
    if missing := [name for name in (ADDRESS, COUNT, INDEX) if name not in said]:
        raise MedbenchError(f"--distributed: {' and '.join(missing)} not set: {expected}.")
    address, count, index = said.values()
    host, _, port = address.rpartition(":")
    numbers = count.isdecimal() and index.isdecimal() and int(index) < int(count)
    if not (host and port.isdecimal() and numbers):
        found = " ".join(f"{name}={value}" for name, value in said.items())
        raise MedbenchError(f"--distributed: found {found}: {expected}.")
    return {
        "num_processes": int(count),
        "process_id": int(index),
        "cluster_detection_method": "deactivate",
    }


class Company:
    """The processes of a job, seen from one of them.

    Attributes:
      index: of this process, from 0; the first one leads.
      count: how many there are.
      parted_for: who failed and why, once that ended the company.
    """

    def __init__(self) -> None:
        self.index, self.count = jax.process_index(), jax.process_count()
        self.parted_for = ""
        self._words = 0
        self._leaving = threading.Lock()

    @classmethod
    def join(cls) -> "Company":
        """Meet the other processes, before jax is used for anything else.

        Where they are jax finds out by itself under Slurm, Open MPI, on TPU pods and in Kubernetes; else the
        variables `ADDRESS`, `COUNT` and `INDEX` of the environment say it.

        Raises:
          MedbenchError: nothing says where they are, what says it is wrong, or they do not all come.
        """
        numbers = _by_hand()
        try:
            jax.distributed.initialize(
                initialization_timeout=PATIENCE, shutdown_timeout_seconds=PATIENCE, **numbers
            )
        except (ValueError, RuntimeError) as error:
            raise MedbenchError(
                f"--distributed: the processes did not meet ({str(error).partition(chr(10))[0]}). Start "
                f"the same command on every host by Slurm, Open MPI or on a TPU pod, or set {ADDRESS} "
                f"(host:port of the first process), {COUNT} and {INDEX} (from 0) for each."
            ) from error
        return cls()

    def __str__(self) -> str:
        return f"process {self.index} of {self.count} ({socket.gethostname()})"

    # Words and answers.

    def say(self, word: Word) -> None:
        """Tell all followers."""
        self._words += 1
        self._client.key_value_set_bytes(f"medbench/{self._words}", msgspec.json.encode(word))

    def hear(self) -> Word:
        """The first process's next word, however long that takes; if it dies, jax ends this process."""
        self._words += 1
        return msgspec.json.decode(self._wait(f"medbench/{self._words}"), type=Word)

    def answer(self, answer: Answer) -> None:
        """Answer the last word."""
        self._client.key_value_set_bytes(f"medbench/{self._words}/{self.index}", msgspec.json.encode(answer))

    def answers(self) -> dict[int, Answer]:
        """Of every follower to the last word."""
        keys = {index: f"medbench/{self._words}/{index}" for index in range(1, self.count)}
        return {index: msgspec.json.decode(self._wait(key), type=Answer) for index, key in keys.items()}

    def _wait(self, key: str) -> bytes:
        while True:
            with suppress(jax.errors.JaxRuntimeError):  # not there yet
                found: bytes = self._client.blocking_key_value_get_bytes(key, int(1000 * _LOOK_EVERY))
                return found

    @property
    def _client(self) -> Any:
        return distributed.global_state.client

    # Failing and ending.

    @contextmanager
    def together(self) -> Iterator[None]:
        """What all processes do at the same time: the failure of one is the failure of all.

        A process that waits for a device of one that failed cannot be woken, and is ended after `GRACE`.

        Raises:
          MedbenchError: another process failed; the message is that one's.
        """
        over = threading.Event()
        threading.Thread(target=self._watch, args=(over,), daemon=True).start()
        try:
            yield
        except BaseException as error:
            over.set()
            own = self.fail(_in_words(error))
            self.parted_for = self.failure()
            self.leave()
            if own or isinstance(error, KeyboardInterrupt):
                raise
            raise MedbenchError(self.parted_for) from error
        finally:
            over.set()

    def fail(self, why: str) -> bool:
        """Tell all processes that this one failed; False where another one said so before."""
        try:
            self._client.key_value_set(_FAILED, f"{self}: {why}")
        except jax.errors.JaxRuntimeError:
            return False
        return True

    def failure(self) -> str:
        """Who failed and why; empty where nobody did."""
        try:
            found: str = self._client.key_value_try_get(_FAILED)
        except jax.errors.JaxRuntimeError:
            return ""
        return found

    def end(self) -> None:
        """Send the followers home, at whatever end of the first process's work."""
        if not self.parted_for:
            self.say(Word(kind="end"))
            self.leave()

    def leave(self) -> None:
        """Part from the others: each waits until all want to, and none is missed afterwards."""
        with self._leaving, suppress(jax.errors.JaxRuntimeError):
            jax.distributed.shutdown()  # which a second time does nothing

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(_LOOK_EVERY):
            if why := self.failure():
                if not over.wait(GRACE):
                    self.leave()
                    sys.stderr.write(f"medbench: {self} is ended, for {why}\n")
                    sys.stderr.flush()
                    os._exit(1)
                return


@dataclass(frozen=True)
class Leader:
    """Trains runs together with all followers, in place of `fine_tune`.

    Attributes:
      company: of all.
      suite: folder of the suite that the runs are of.
      store: of this process.
      tune: trains, in every process.
    """

    company: Company
    suite: Path
    store: Store
    tune: Tune = fine_tune

    def __call__(
        self, spec: RunSpec, cohort: Cohort, *, weights: Path | None, images: ImageSource, report: Report
    ) -> "FineTuned":
        """Fine-tune one run, once all processes have its images and weights.

        Raises:
          MedbenchError: a process has not what the run needs, the run failed, or an earlier failure has
            ended the company.
        """
        if self.company.parted_for:
            raise MedbenchError(
                f"{spec.label}: not trained, as the processes have parted: {self.company.parted_for}"
            )
        enable(self.store.cache("xla"))
        name = run_id(spec, code_fingerprint())
        shared = self._prepared(Word(kind="prepare", suite=str(self.suite), run_id=name, spec=spec), images)
        if not shared:
            text = "goes on without checkpoints: not every process sees this store"
            report(Progress("train", 0, spec.recipe.steps, text))
        self.company.say(Word(kind="train", checkpoints=shared))
        with self.company.together():
            return self.tune(
                spec,
                cohort,
                weights=weights,
                images=images,
                report=report,
                checkpoints=self.store.checkpoints(name) if shared else None,
            )

    def _prepared(self, word: Word, images: ImageSource) -> bool:
        """Have all processes prepare a run; returns whether all see the store."""
        assert word.spec is not None
        sign = _sign(self.store, word.run_id)
        sign.parent.mkdir(parents=True, exist_ok=True)
        sign.touch()
        self.company.say(word)
        try:
            _decode(word.spec, images)
            answers = self.company.answers()
            for index, answer in answers.items():
                if answer.refusal:
                    raise MedbenchError(f"{word.spec.label}: process {index}: {answer.refusal}")
        except BaseException:
            self.company.say(Word(kind="skip"))
            raise
        finally:
            sign.unlink(missing_ok=True)
        return all(answer.shares_store for answer in answers.values())


@dataclass(frozen=True)
class Follower:
    """Does what the first process says, until that says the end.

    Attributes:
      company: of all.
      study: opens the suite in a folder. Of its store, decoded images, compiled programs and checkpoints are
        this process's concern; runs are not.
      tune: trains, in every process.
    """

    company: Company
    study: "Callable[[Path], Study]"
    tune: Tune = fine_tune

    def follow(self) -> str:
        """Work until the end; returns why it came early, or nothing where it came as it should."""
        train: Callable[[bool], object] = _nothing_prepared
        while (word := self.company.hear()).kind != "end":
            if word.kind == "prepare":
                train, answer = self._prepared(word)
                self.company.answer(answer)
            elif word.kind == "train":
                try:
                    with self.company.together():
                        train(word.checkpoints)
                except (Exception, KeyboardInterrupt):
                    return self.company.parted_for
        self.company.leave()
        return ""

    def _prepared(self, word: Word) -> tuple[Callable[[bool], object], Answer]:
        """How to train a run, and whether that can be done here."""
        assert word.spec is not None
        try:
            _require_same_code(word.spec, word.run_id)
            study = self.study(Path(word.suite))
            store = Store(study.options.store, study.options.remote)
            cohort, weights = study.ingredients(word.spec)
            images = decoded(word.spec, cohort, store, lambda _: None)
            _decode(word.spec, images)
            enable(store.cache("xla"))
        except Exception as error:
            return _nothing_prepared, Answer(refusal=_in_words(error))
        checkpoints = store.checkpoints(word.run_id)
        tune = partial(self.tune, word.spec, cohort, weights=weights, images=images, report=lambda _: None)
        return (
            lambda kept: tune(checkpoints=checkpoints if kept else None),
            Answer(shares_store=_sign(store, word.run_id).exists()),
        )


def _nothing_prepared(_: bool) -> None:
    raise MedbenchError("nothing was prepared that could be trained")


def _require_same_code(spec: RunSpec, name: str) -> None:
    if run_id(spec, code_fingerprint()) != name:
        raise MedbenchError(
            "its code, libraries, device or settings of jax are not those of the first process. Install "
            "the same on every host."
        )


def _decode(spec: RunSpec, images: ImageSource) -> None:
    """Have all images on this machine before the run begins, so that nobody waits for who cannot read one."""
    images(TRAIN, spec.recipe.resize)
    for name in {VALIDATION, ID, *spec.evaluation_sets}:
        images(name, spec.recipe.crop)


def _sign(store: Store, name: str) -> Path:
    """A file by which processes see that they share a store."""
    return store.checkpoints(name).with_suffix(".shared")


def _in_words(error: BaseException) -> str:
    if isinstance(error, MedbenchError):
        return str(error)
    return f"{type(error).__name__}: {error}".partition("\n")[0]
