"""What workers of pytest-xdist are told, without starting any."""

import os
from types import SimpleNamespace

import msgspec
import pytest

from medbench import environment, gpus
from medbench.pytest_workers import KEY, Instructions, Workers
from tests.test_gpus import CUT, WHOLE

MIXED = "GPU 0: NVIDIA T4\nGPU 1: NVIDIA L4\nGPU 2: NVIDIA T4\n"
SLICES = CUT.partition("GPU 1")[0].replace("3g.40gb", "1g.10gb")


@pytest.fixture
def machine(monkeypatch):
    """Say which GPUs are there and visible."""
    names = {}

    def become(listed, visible=None):
        for name in (environment.PLANNED, "CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_MEM_FRACTION"):
            monkeypatch.setenv(name, "")  # so that it is put back
            monkeypatch.delenv(name)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        monkeypatch.setenv("JAX_PLATFORMS", "cuda" if listed else "cpu")
        monkeypatch.setattr(gpus, "listing", lambda: listed)
        names.update((gpu.number, gpu.name) for gpu in gpus.parse(listed))
        monkeypatch.setattr(
            environment,
            "_nvidia_name",
            lambda device: gpus.slice_name(listed, device) or names.get(device, ""),
        )

    return become


def workers(folder, count):
    config = SimpleNamespace(
        pluginmanager=SimpleNamespace(has_plugin=lambda name: name == "dsession"),
        getvalue=lambda name: [f"{count}*popen"],
    )
    return Workers(config, folder / "session")


class Node:
    """A worker as its controller sees it."""

    def __init__(self):
        self.workerinput = {}

    @property
    def told(self):
        return msgspec.convert(self.workerinput[KEY], Instructions)


def told(controller):
    """What as many workers as there are to be are told."""
    nodes = [Node() for _ in range(controller.count)]
    for node in nodes:
        controller.instruct(node)
    return [node.told for node in nodes]


@pytest.mark.parametrize(
    ("visible", "count", "expected"),
    [
        (None, 2, [("0", 0.9), ("1", 0.9)]),
        (None, 4, [("0", 0.45), ("1", 0.45), ("0", 0.45), ("1", 0.45)]),
        ("1,0", 3, [("1", 0.45), ("0", 0.9), ("1", 0.45)]),
        (" 1 , 0", 2, [("1", 0.9), ("0", 0.9)]),
        ("1", 1, [("1", 0.9)]),
    ],
)
def test_workers_share_out_the_gpus_and_their_memory(machine, tmp_path, visible, count, expected):
    machine(WHOLE, visible)
    shares = [(one.device, one.memory) for one in told(workers(tmp_path, count))]
    assert shares == [(device, pytest.approx(memory)) for device, memory in expected]


@pytest.mark.parametrize(("listed", "count"), [(WHOLE, 2), (SLICES, 2), (SLICES, 5)])
def test_controller_and_workers_plan_with_the_same_class_of_device(machine, tmp_path, listed, count):
    machine(listed)
    planned = environment.device_class()
    for one in told(workers(tmp_path, count)):
        machine(listed)
        one.follow()
        assert environment.device_class() == planned
        assert os.environ["CUDA_VISIBLE_DEVICES"] == one.device
        assert float(os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"]) == pytest.approx(one.memory, abs=0.01)
        assert environment.gpu_class(one.device) == planned, "and it is what the worker really has"


@pytest.mark.parametrize(
    ("listed", "count", "advice"),
    [(MIXED, 2, "CUDA_VISIBLE_DEVICES=0,"), (MIXED, 3, "CUDA_VISIBLE_DEVICES=0,2,"), (CUT, 3, "=MIG-11aa,")],
)
def test_devices_of_different_classes_are_not_shared_out(machine, tmp_path, listed, count, advice):
    machine(listed)
    (refusal,) = {one.refusal for one in told(workers(tmp_path, count))}
    assert "different classes" in refusal
    assert advice in refusal


@pytest.mark.parametrize(("visible", "count"), [(None, 1), ("0,2", 2), ("0,2,1", 2)])
def test_devices_that_no_worker_gets_may_be_of_any_class(machine, tmp_path, visible, count):
    machine(MIXED, visible)
    assert workers(tmp_path, count).refusal == ""


@pytest.mark.parametrize(("listed", "visible"), [("", None), ("", "0"), (WHOLE, ""), (WHOLE, "-1")])
def test_without_a_gpu_or_where_all_are_hidden_nothing_is_set(machine, tmp_path, listed, visible):
    machine(listed, visible)
    for one in told(workers(tmp_path, 2)):
        one.follow()
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ


def test_a_worker_takes_over_the_number_and_the_device_of_a_dead_one(machine, tmp_path):
    machine(WHOLE)
    controller = workers(tmp_path, 2)
    first, second, third, fourth = (Node() for _ in range(4))
    controller.instruct(first)
    controller.instruct(second)
    for dead, next_ in ((second, third), (third, fourth)):
        controller.release(dead, died=True)
        controller.release(dead, died=True)  # xdist says it twice at times
        controller.instruct(next_)
    assert first.told.device == "0"
    assert second.told == third.told == fourth.told
    assert controller.died


def test_what_a_killed_session_of_the_same_number_left_is_gone(machine, tmp_path):
    machine("")
    (tmp_path / "session").mkdir()
    (tmp_path / "session/gw0.jsonl").write_text("{}")
    controller = workers(tmp_path, 1)
    assert not (tmp_path / "session").exists()
    node = Node()
    controller.instruct(node)
    (tmp_path / "session").mkdir()
    controller.release(node, died=True)
    controller.instruct(Node())
    assert (tmp_path / "session").exists(), "what this session left stays when its last worker is replaced"


def test_a_process_that_is_no_worker_is_told_nothing():
    assert Instructions.given_to(SimpleNamespace()) is None
