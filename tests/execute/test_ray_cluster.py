"""What is asked of a cluster, and what a worker's process does, without Ray."""

import os
import socket
import subprocess
import sys
import threading
from unittest.mock import Mock

import msgspec
import pytest

from medbench.errors import MedbenchError
from medbench.execute.ahead import Lost, Ready, Task
from medbench.execute.progress import Event
from medbench.execute.ray_cluster import Host, Need, RayPool, _no_room, _require_answer, _why


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("NPROC", "XLA_FLAGS", "JAX_PLATFORMS", "OMP_NUM_THREADS", "JAX_ENABLE_X64"):
        monkeypatch.delenv(name, raising=False)


def test_on_a_cpu_a_run_computes_with_as_many_threads_as_this_process(monkeypatch):
    monkeypatch.setattr("medbench.environment.usable_cores", lambda: 6)
    need = Need.of("cpu")
    assert (need.resources, need.variables["NPROC"], str(need)) == ({"CPU": 6}, "6", "6 cores")
    assert Need.of("cpu", 1).variables["NPROC"] == "1"
    monkeypatch.setenv("NPROC", "3")
    assert Need.of("cpu").resources == {"CPU": 3}


@pytest.mark.parametrize("threads", ["x", "0", "-1", "1.5"])
def test_a_number_of_threads_that_is_none_is_said(monkeypatch, threads):
    monkeypatch.setenv("NPROC", threads)
    with pytest.raises(MedbenchError, match=f"NPROC={threads}: expected a whole number"):
        Need.of("cpu")


def test_nothing_else_on_the_machine_tells_a_worker_how_to_count(monkeypatch):
    assert Need.of("cpu").variables["OMP_NUM_THREADS"] is None, "Ray would set it"
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX2")
    assert (
        Need.of("cpu").variables.items()
        >= {"OMP_NUM_THREADS": "4", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}.items()
    )


def test_a_gpu_is_taken_whole_or_by_its_parts_with_their_part_of_its_memory():
    whole, half = Need.of("gpu-t4"), Need.of("gpu-t4", 0.5)
    assert (whole.resources["GPU"], half.resources["GPU"]) == (1, 0.5)
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in whole.variables
    assert half.variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.45"
    assert (str(whole), str(half)) == ("1 GPU", "0.5 GPU")


def test_a_run_on_a_tpu_takes_all_chips_of_a_machine():
    nodes = [{"CPU": 96.0}, {"CPU": 96.0, "TPU": 4.0}, {"CPU": 96.0, "TPU": 4.0}]
    need = Need.of("tpu").on(nodes)
    assert [need.times_in(node) for node in nodes] == [0, 1, 1]
    assert str(need) == "4 chips"


@pytest.mark.parametrize(("device", "per_run"), [("cpu", 1.5), ("cpu", 0.5), ("gpu-t4", 1.5), ("tpu", 0.5)])
def test_what_cannot_be_cut_is_not(device, per_run):
    with pytest.raises(MedbenchError, match="expected a whole number of"):
        Need.of(device, per_run)


@pytest.mark.parametrize(
    ("need", "node", "times"),
    [
        (Need({"CPU": 2}), {"CPU": 5.0}, 2),
        (Need({"CPU": 2}), {"memory": 1e9}, 0),
        (Need({"CPU": 1, "GPU": 0.1}), {"CPU": 64.0, "GPU": 3.0}, 30),
        (Need({"CPU": 1, "GPU": 0.5}), {"CPU": 3.0, "GPU": 2.0}, 3),
    ],
)
def test_workers_that_fit_on_a_machine(need, node, times):
    assert need.times_in(node) == times


def test_no_room_says_what_there_is():
    message = _no_room(Need({"CPU": 8}), [{"CPU": 4.0}, {"CPU": 2.0}, {"CPU": 4.0}])
    assert "no machine of the cluster has 8 cores for a run; they have 2 CPU; 4 CPU" in message


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_cluster_that_does_not_answer_is_told_at_once(host):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(MedbenchError, match=r"RAY_ADDRESS=.*: no Ray cluster answers there \("):
            _require_answer(f"{host}:{port}")


@pytest.mark.parametrize("address", ["", "auto", "local"])
def test_an_address_that_ray_is_to_find_out_is_not_tried(address):
    _require_answer(address)


def test_of_all_that_ray_says_of_a_death_one_line_is_kept():
    said = (
        "The actor died unexpectedly before finishing this task.\n\tpid: 7\nThe actor is dead because of x.\n"
    )
    assert _why(RuntimeError(said)) == "The actor is dead because of x."
    assert _why(RuntimeError("")) == "RuntimeError"


class Cluster:
    """What a pool asks of Ray: workers start at once, and Ray loses sight of each that is given a task."""

    class exceptions:
        class RayError(Exception):
            pass

    def __init__(self):
        self.started, self.killed = [], []

    def remote(self, **_):
        return lambda _: Mock(options=lambda **_: Mock(remote=self.start))

    def start(self, *_):
        self.started.append(Mock())
        self.started[-1].start.remote.side_effect = object
        self.started[-1].perform.remote.side_effect = lambda _: iter(["unavailable"])
        return self.started[-1]

    def wait(self, awaited, **_):
        return awaited[:1], awaited[1:]

    def get(self, awaited):
        if awaited == "unavailable":
            raise self.exceptions.RayError("The actor a is unavailable: Socket closed")
        return "host", "", ""

    def kill(self, actor, *, no_restart):
        assert no_restart
        self.killed.append(actor)


def test_a_worker_that_nobody_can_tell_the_fate_of_is_ended_before_another_takes_its_place():
    cluster = Cluster()
    pool = RayPool(cluster, "module:name", b"terms", Need({"CPU": 1}), 1)
    assert pool.wait(1) == [Ready("host/1")]
    pool.submit("host/1", Task(id="t", label="a run", kind="k", content=b""))
    assert pool.wait(1) == [Lost("host/1", "The actor a is unavailable: Socket closed")]
    assert cluster.killed == cluster.started[:1]
    assert pool.wait(1) == [Ready("host/2")]


class Work:
    """Does what its task names."""

    def __init__(self, terms):
        assert terms == b"terms"

    def __call__(self, content, report):
        report(Event(kind="started", run="r"))
        for step in range(1000):
            report(Event(kind="stage", run="r", stage="train", done=step, total=1000))
        if content == b"wrong":
            raise MedbenchError("so and so")
        if content == b"exit":
            sys.exit(3)
        report(Event(kind="finished", run="r", text=threading.current_thread().name))


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setenv("SET", "before")
    monkeypatch.setenv("PLACE", "of the machine")
    host = Host(f"{__name__}:Work", b"terms", {"SET": None, "NPROC": "2"}, {"PLACE": "of the session"})
    host._work = Work(b"terms")  # which `start` does, with Ray's name of the machine
    return host


def test_a_worker_s_environment_is_the_session_s_but_for_places_of_its_own(host, monkeypatch):
    assert "SET" not in os.environ
    assert (os.environ["NPROC"], os.environ["PLACE"]) == ("2", "of the machine")


def test_few_of_many_steps_are_told_and_the_end_is_last(host):
    *events, end = host.perform(b"well")
    kinds = [msgspec.json.decode(event, type=Event).kind for event in events]
    assert kinds == ["started", "stage", "finished"]
    assert msgspec.json.decode(end) == ""


@pytest.mark.parametrize(("content", "said"), [(b"wrong", "so and so"), (b"exit", "SystemExit: 3")])
def test_why_a_task_failed_is_told_and_the_worker_lives(host, content, said):
    assert msgspec.json.decode(list(host.perform(content))[-1]) == said
    assert msgspec.json.decode(list(host.perform(b"well"))[-1]) == ""


def test_what_a_worker_imports_before_its_environment_is_set_counts_no_threads():
    code = "import sys, medbench.execute.ray_cluster; print({'numpy', 'jax', 'ray'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
