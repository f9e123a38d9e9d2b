"""A run as it travels to another machine, and what a worker there does with it.

What travels is text: a spec, a cohort's reference, a weight file's name, which the worker finds and checks
for itself. No Ray here, and no jax before a run is made.
"""

import os
import socket
import sys
import traceback
from pathlib import Path

import msgspec

from medbench import environment
from medbench.data.cohort import Cohort
from medbench.data.sources import open_cohort, prepared_in
from medbench.errors import MedbenchError
from medbench.execute.local import obtain
from medbench.execute.progress import Sink
from medbench.execute.trainers import Executes, Installed, Script, find, identity_of
from medbench.identity import code_fingerprint
from medbench.models import weights
from medbench.record import Trainer
from medbench.reference import References
from medbench.spec.runs import RunSpec
from medbench.store import Store

ENTRY = "medbench.execute.errand:Worker"
"""What a pool starts in each worker's process."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of a session have in common."""

    store: str
    """The same folder for all machines, or where each keeps what it has of a remote store."""
    remote: str
    """URL of a remote store; empty for none."""
    sign: str
    """A file of this session in the folder, by which a machine knows that it sees the same; none is needed
    where the store is a remote one."""
    near: str
    """The suite's folder, where weights are looked for too; a machine need not have it."""
    force: bool
    """Whether to train what the store has already."""
    device_class: str
    """What was planned for."""
    code: str
    """The fingerprint that was planned with (`identity.code_fingerprint`)."""
    libraries: dict[str, str]
    settings: dict[str, str]
    """What the fingerprint is made of, to tell a difference in words."""
    trainer: str = ""
    """Who executes the runs in place of medbench: the name or path that `trainers.find` takes."""
    by: Trainer | None = None
    """What that trainer's runs are known by."""

    @classmethod
    def of(
        cls, *, store: Path, remote: str, sign: Path, near: Path, force: bool, trainer: Executes | None
    ) -> "Terms":
        """Those of this process; the sign is put up.

        Raises:
          MedbenchError: another trainer has no name by which a machine could find it.
        """
        by = identity_of(trainer)
        sign.parent.mkdir(parents=True, exist_ok=True)
        sign.touch()
        return cls(
            store=str(store),
            remote=remote,
            sign=str(sign),
            near=str(near),
            force=force,
            device_class=environment.device_class(),
            code=code_fingerprint(by),
            libraries=environment.library_versions(),
            settings=environment.settings(),
            trainer=_name_of(trainer),
            by=by,
        )


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """One run that is to be made."""

    spec: RunSpec
    cohort: str
    """Its reference, for `open_cohort`."""
    weights: str = ""
    """Path of the backbone's file where the session runs; empty for a start at random."""


class Worker:
    """Makes runs, one after another, in a process of its own: cohorts and compiled code stay at hand.

    Args:
      terms: a `Terms` as JSON.

    Raises:
      MedbenchError: this machine cannot make the runs that were planned.
    """

    def __init__(self, terms: bytes) -> None:
        self._terms = msgspec.json.decode(terms, type=Terms)
        _require_store(self._terms)
        _require_device(self._terms)
        os.environ[environment.PLANNED] = self._terms.device_class
        self._trainer = find(self._terms.trainer, Path.cwd()) if self._terms.trainer else None
        _require_code(self._terms, identity_of(self._trainer))
        self._store = Store(Path(self._terms.store), self._terms.remote)
        self._store.connect()
        self._cohorts: dict[str, Cohort] = {}

    def __call__(self, content: bytes, report: Sink) -> None:
        """Make a run and store it; nothing is done if the store has got it meanwhile.

        Args:
          content: an `Errand` as JSON.
          report: told how it goes.

        Raises:
          MedbenchError: it cannot be made.
        """
        errand = msgspec.json.decode(content, type=Errand)
        try:
            obtain(
                errand.spec,
                cohort=self._cohort(errand.cohort),
                store=self._store,
                references=References(self._store.root / "no-references"),
                mode="force" if self._terms.force else "auto",
                sentinel=True,  # the session has looked for reference runs, and wants this one trained
                weights=self._weights(errand),
                report=report,
                trainer=self._trainer,
            )
            self._store.push()  # what could not be brought to a remote store is told now
        except MedbenchError:
            raise
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            said = str(error).partition("\n")[0]
            raise MedbenchError(
                f"{errand.spec.label}: {type(error).__name__}: {said} (on {socket.gethostname()}; the "
                "traceback is in the worker's log)"
            ) from error

    def _cohort(self, reference: str) -> Cohort:
        if reference not in self._cohorts:
            self._cohorts[reference] = open_cohort(
                reference, cache=self._store.cache("digests"), prepared=prepared_in(self._store.home)
            )
        return self._cohorts[reference]

    def _weights(self, errand: Errand) -> Path | None:
        """Where the session has the file, if that is here, else where this machine has one of its name."""
        if not errand.weights:
            return None
        there = Path(errand.weights)
        return there if there.is_file() else weights.find(there.name, Path(self._terms.near))


def _require_store(terms: Terms) -> None:
    """Else what a machine makes would be nowhere."""
    if not terms.remote and not Path(terms.sign).is_file():
        raise MedbenchError(
            f"{socket.gethostname()} does not see the store {terms.store} of the session. Name one by "
            "--store that all machines share: a folder, or a URL."
        )


def _require_device(terms: Terms) -> None:
    """A run's id names the class of device, so a machine of another class would make another run."""
    planned = os.environ.pop(environment.PLANNED, None)
    try:
        here = environment.device_class()
    finally:
        if planned is not None:
            os.environ[environment.PLANNED] = planned
    if here != terms.device_class and terms.by is None:
        raise MedbenchError(
            f"{socket.gethostname()} has `{here}`, and the runs are planned for `{terms.device_class}`. "
            "Start the session on a machine with what is to train, or plan for it: "
            f"{environment.PLANNED}={here}."
        )


def _require_code(terms: Terms, by: Trainer | None) -> None:
    """What is planned must be what is made, on every machine."""
    if by != terms.by:
        raise MedbenchError(
            f"{socket.gethostname()} has trainer {by}, and the runs are planned for {terms.by}."
        )
    here = code_fingerprint(by)
    if here != terms.code:
        differs = [
            *(["the code of medbench"] if here.partition("-")[0] != terms.code.partition("-")[0] else []),
            *_differences(terms.libraries, environment.library_versions()),
            *_differences(terms.settings, environment.settings()),
        ]
        raise MedbenchError(
            f"{socket.gethostname()} would make other runs than are planned: {', '.join(differs)}. Install "
            "the same there."
        )


def _differences(planned: dict[str, str], here: dict[str, str]) -> list[str]:
    return [
        f"{name} ({planned.get(name) or 'none'} planned, {here.get(name) or 'none'} there)"
        for name in sorted({*planned, *here})
        if planned.get(name) != here.get(name)
    ]


def _name_of(trainer: Executes | None) -> str:
    match trainer:
        case None:
            return ""
        case Installed(entry):
            return entry.name
        case Script(path):
            return str(path)
    raise MedbenchError(f"trainer {trainer.identity} cannot be found by name on another machine.")
