"""Workers on a Ray cluster: the only place that knows Ray, which is imported when a session asks for it.

A worker imports this module before its environment is set up, so nothing that counts threads (numpy, jax) may
be imported here.
"""

import importlib
import os
import queue
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import floor
from typing import Any

import msgspec

from medbench import environment, gpus
from medbench.errors import MedbenchError
from medbench.execute.ahead import Done, Failed, Lost, News, Ready, Refused, Task, Told
from medbench.execute.progress import Event, Seldom

STARTS = 3
"""How often a worker is started that dies before it can work."""
_EVERY = 5.0
"""Least seconds between two events of the same stage: they serve an estimate, and each costs a message."""
_THREADS = "NPROC"
"""By which XLA is told how many threads to compute with on a CPU, in place of counting cores."""
_HOST_CORES = 1
"""Cores that are asked for beside an accelerator."""
_ANSWER = 10.0
"""Seconds that a cluster has to answer at its address."""
_MESSAGES = 128 * 2**20
"""Bytes for what workers and session tell each other, in a cluster that is started here: little."""
_PLACES = ("MEDBENCH_WEIGHTS", "MEDBENCH_COHORTS")
"""Variables that name folders; a machine that sets them itself knows better."""


@dataclass(frozen=True)
class Need:
    """What a worker takes of the cluster while the session lasts.

    Attributes:
      resources: amounts, as Ray names them: `CPU`, `GPU`, `TPU`.
      variables: of the worker's environment, set before it imports anything; None for one that is not set.
    """

    resources: Mapping[str, float]
    variables: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, device_class: str, per_run: float | None = None) -> "Need":
        """What a run takes that is planned for a class of device.

        On a CPU that is as many cores, and so threads, as this process has: XLA's sums depend on how they
        are shared out, and with the same number a run has the same bytes. On a GPU it is the whole, on a TPU
        all chips that a machine has.

        Args:
          device_class: as `environment.device_class` has it.
          per_run: cores, GPUs or chips in place of these.

        Raises:
          MedbenchError: cores or chips that are not whole, more of a GPU than some that is not whole, or
            a number of threads in the environment that is none.
        """
        kind = {"cpu": "CPU", "tpu": "TPU"}.get(device_class, "GPU")
        if per_run is not None and per_run != floor(per_run) and (kind != "GPU" or per_run > 1):
            raise MedbenchError(
                f"--per-run {per_run:g}: expected a whole number of "
                f"{'cores' if kind == 'CPU' else 'chips' if kind == 'TPU' else 'GPUs, or less than one'}."
            )
        if kind == "CPU":
            cores = int(per_run or _threads())
            return cls({"CPU": cores}, {"JAX_PLATFORMS": "cpu", _THREADS: str(cores), **_shaping()})
        share = per_run or (1 if kind == "GPU" else 0)
        variables = dict(_shaping())
        if 0 < share < 1:
            variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{gpus.FOR_ALL * share:.2f}"
        if platforms := os.environ.get("JAX_PLATFORMS"):
            variables["JAX_PLATFORMS"] = platforms
        return cls({"CPU": _HOST_CORES, kind: share}, variables)

    def __str__(self) -> str:
        words = {"CPU": "core", "GPU": "GPU", "TPU": "chip"}
        kind, amount = list(self.resources.items())[-1]
        return f"{amount:g} {words.get(kind, kind)}{'' if amount <= 1 else 's'}"

    def on(self, nodes: Sequence[Mapping[str, float]]) -> "Need":
        """With a machine's whole share in place of 0, which stands for all that a machine has."""
        resources = {
            name: amount or min((node[name] for node in nodes if node.get(name)), default=1)
            for name, amount in self.resources.items()
        }
        return Need(resources, self.variables)

    def times_in(self, node: Mapping[str, float]) -> int:
        """How many such workers fit on a machine with these resources."""
        return min(floor(node.get(name, 0) / amount + 1e-9) for name, amount in self.resources.items())


def _threads() -> int:
    """With how many this process computes on a CPU."""
    said = os.environ.get(_THREADS)
    if said and not (said.isdecimal() and int(said)):
        raise MedbenchError(f"{_THREADS}={said}: expected a whole number of threads, 1 or more.")
    return int(said) if said else environment.usable_cores()


def _shaping() -> dict[str, str | None]:
    """What moves numbers, as in this process; and without Ray's own idea of the number of threads."""
    set_here = {name: os.environ.get(name) for name in environment.SHAPING_SETTINGS if name in os.environ}
    return {**set_here, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")}


class Host:
    """What Ray runs in a worker's process: it loads what does the work, and passes on what that tells.

    Args:
      entry: `module:name` of a class that is made with the terms and called with each task.
      terms: bytes for it.
      variables: of the environment; None for one that is not to be set.
      places: variables that the machine may set otherwise.
    """

    def __init__(
        self, entry: str, terms: bytes, variables: Mapping[str, str | None], places: Mapping[str, str]
    ) -> None:
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for name, value in places.items():
            os.environ.setdefault(name, value)
        self._entry, self._terms = entry, terms
        self._work: Any = None

    def start(self) -> tuple[str, str, str]:
        """Get ready to work; returns the machine's name, Ray's id of it, and why it is not fit or nothing."""
        import ray  # noqa: PLC0415

        node = ray.get_runtime_context().get_node_id()
        module, _, name = self._entry.partition(":")
        try:
            self._work = getattr(importlib.import_module(module), name)(self._terms)
        except MedbenchError as error:
            return socket.gethostname(), node, str(error)
        return socket.gethostname(), node, ""

    def perform(self, content: bytes) -> Iterator[bytes]:
        """Do a task; yields its events as JSON, and at last nothing or why it failed, as text in JSON."""
        told: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        last: list[str] = []
        sink = Seldom(lambda event: told.put(msgspec.json.encode(event)), _EVERY)

        def work() -> None:
            try:
                self._work(content, sink)
                last.append("")
            except MedbenchError as error:
                last.append(str(error))
            except BaseException as error:
                last.append(f"{type(error).__name__}: {error}")
            finally:
                told.put(b"")

        threading.Thread(target=work, name="medbench-run", daemon=True).start()
        while event := told.get():
            yield event
        yield msgspec.json.encode(last[0])


@dataclass
class _Slot:
    """One place for a worker, and who is in it."""

    node: str = ""
    """Ray's id of the machine that the last worker was on, where the next one starts if it can."""
    starts: int = 0
    """Since one of them could work."""
    worker: str = ""
    """Name; empty until it is ready."""
    actor: Any = None
    awaited: Any = None
    """What Ray is to tell next: that it is ready, or how its task goes; None while it has none."""


class RayPool:
    """Workers on a cluster that this process is connected to: see `connected`.

    Args:
      ray: the module.
      entry: what does the work, as `Host` has it.
      terms: for it.
      need: of each worker.
      slots: how many workers.
    """

    def __init__(self, ray: Any, entry: str, terms: bytes, need: Need, slots: int) -> None:
        self._ray, self._need = ray, need
        places = {name: os.environ[name] for name in _PLACES if name in os.environ}
        self._given = (entry, terms, dict(need.variables), places)
        self._actor = ray.remote(max_restarts=0, max_task_retries=0)(Host)
        self._names: Counter[str] = Counter()
        self._slots = [_Slot() for _ in range(slots)]
        for slot in self._slots:
            self._start(slot)

    @property
    def size(self) -> int:
        """How many work or are about to."""
        return len(self._slots)

    def submit(self, worker: str, task: Task) -> None:
        """Give a task to a worker that has none."""
        slot = next(slot for slot in self._slots if slot.worker == worker)
        slot.awaited = slot.actor.perform.remote(task.content)

    def wait(self, timeout: float) -> list[News]:
        """What has happened, once something has; nothing after `timeout` seconds."""
        awaited = {slot.awaited: slot for slot in self._slots if slot.awaited is not None}
        ready, _ = self._ray.wait(list(awaited), num_returns=1, timeout=timeout)
        return [self._hear(awaited[each]) for each in ready]

    def cancel(self) -> None:
        """End all workers at once, whatever they do: compiled code heeds no interruption."""
        for slot in self._slots:
            self._ray.kill(slot.actor, no_restart=True)
        self._slots = []

    def _start(self, slot: _Slot) -> None:
        amounts = dict(self._need.resources)
        options: dict[str, Any] = {"num_cpus": amounts.pop("CPU", 0), "num_gpus": amounts.pop("GPU", 0)}
        options |= {"resources": amounts} if amounts else {}
        if slot.node:
            strategies = importlib.import_module("ray.util.scheduling_strategies")
            options["scheduling_strategy"] = strategies.NodeAffinitySchedulingStrategy(slot.node, soft=True)
        else:
            options["scheduling_strategy"] = "SPREAD"
        slot.worker, slot.starts = "", slot.starts + 1
        slot.actor = self._actor.options(**options).remote(*self._given)
        slot.awaited = slot.actor.start.remote()

    def _hear(self, slot: _Slot) -> News:
        """The next that Ray has of a slot."""
        try:
            if not slot.worker:
                return self._started(slot, *self._ray.get(slot.awaited))
            return self._told(slot, msgspec.json.decode(self._ray.get(next(slot.awaited)), type=Event | str))
        except self._ray.exceptions.RayError as error:
            return self._lost(slot, _why(error))

    def _started(self, slot: _Slot, host: str, node: str, refusal: str) -> News:
        if refusal:
            return self._give_up(slot, refusal)
        self._names[host] += 1
        slot.worker, slot.node = f"{host}/{self._names[host]}", node
        slot.starts, slot.awaited = 0, None
        return Ready(slot.worker)

    def _told(self, slot: _Slot, said: Event | str) -> News:
        if isinstance(said, Event):
            return Told(slot.worker, said)
        slot.awaited = None
        return Failed(slot.worker, said) if said else Done(slot.worker)

    def _lost(self, slot: _Slot, why: str) -> News:
        """Another takes the place of a worker that died, or that Ray cannot tell the fate of.

        The latter is what Ray says when nobody confirms a death within a second, and it may live: it is
        ended, for two may not be in one place.
        """
        worker = slot.worker
        self._ray.kill(slot.actor, no_restart=True)
        if slot.starts >= STARTS:
            return self._give_up(slot, f"A worker died {STARTS} times before it could work: {why}")
        self._start(slot)
        return Lost(worker, why)

    def _give_up(self, slot: _Slot, why: str) -> Refused:
        self._ray.kill(slot.actor, no_restart=True)
        self._slots.remove(slot)
        return Refused(why)


@contextmanager
def connected(
    entry: str, terms: bytes, *, need: Need, at_most: int, notice: Callable[[str], None]
) -> Iterator[RayPool]:
    """As many workers as a cluster has room for, until the end of the context.

    The cluster is the one that `RAY_ADDRESS` names, or one that was started on this machine by `ray start`;
    where there is none, or `RAY_ADDRESS` is `local`, one of this machine alone is started and ended here.

    Args:
      entry: what does the work, as `Host` has it.
      terms: for it.
      need: of each worker.
      at_most: so many workers.
      notice: told what was found.

    Raises:
      MedbenchError: Ray is not installed, the cluster does not answer, or no machine has enough.
    """
    ray = _ray()
    found = ray.is_initialized()
    where = "of this process" if found else _connect(ray, need)
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        need = need.on(nodes)
        rooms = [times for node in nodes if (times := need.times_in(node))]
        if not rooms:
            raise MedbenchError(_no_room(need, nodes))
        slots = min(at_most, sum(rooms))
        workers, machines = _count(slots, "worker"), _count(min(slots, len(rooms)), "machine")
        notice(f"cluster: {workers} of {need} on {machines} (ray {ray.__version__}, {where})")
        pool = RayPool(ray, entry, terms, need, slots)
        try:
            yield pool
        finally:
            pool.cancel()
    finally:
        if not found:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray  # noqa: PLC0415
    except ImportError as error:
        raise MedbenchError("--executor ray: Ray is not installed. pip install 'medbench[ray]'") from error
    return ray


def _connect(ray: Any, need: Need) -> str:
    """Connect this process; returns in words what to.

    Ray is first asked for a cluster of this machine's size, which it refuses where there is one already.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    if address.startswith("ray://"):
        raise MedbenchError(
            f"RAY_ADDRESS={address}: a session must run on a machine of the cluster, not through Ray's "
            "client. Start it there (`ray job submit` does), with the address as `ray status` shows it."
        )
    _require_answer(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of a cluster that is started here
    quietly: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    own = {"num_cpus": max(environment.usable_cores(), need.resources["CPU"]), "include_dashboard": False}
    try:
        try:
            ray.init(**own, object_store_memory=_MESSAGES, **quietly)
        except ValueError:
            context = ray.init(**quietly)
            return f"at {context.address_info['address']}"
    except (ValueError, RuntimeError, OSError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        named = f"RAY_ADDRESS={address}: " if address else ""
        raise MedbenchError(
            f"{named}the Ray cluster cannot be joined ({said}). `ray status` tells whether it runs; "
            "`ray stop` forgets one that has crashed; RAY_ADDRESS=local starts one on this machine alone."
        ) from error
    return "started on this machine" if address else "none was found, so one was started on this machine"


def _require_answer(address: str) -> None:
    """Ray itself tries for minutes."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()
    except OSError as error:
        raise MedbenchError(
            f"RAY_ADDRESS={address}: no Ray cluster answers there ({error.strerror or error}). `ray status` "
            "on a machine of the cluster shows its address; RAY_ADDRESS=local starts one on this machine."
        ) from error


def _no_room(need: Need, nodes: Sequence[Mapping[str, float]]) -> str:
    there = sorted({", ".join(f"{node.get(n, 0):g} {n}" for n in need.resources) for node in nodes})
    return (
        f"no machine of the cluster has {need} for a run; they have {'; '.join(there) or 'nothing'}. "
        "Give a run less by --per-run N, or start the session on a machine like those that are to train."
    )


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _why(error: Exception) -> str:
    """Ray's reason in one line, of the many that it gives."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    known = [line for line in lines if line.startswith(("The actor is dead", "The node", "Task was killed"))]
    return (known or lines[-1:] or [type(error).__name__])[0][:200]
