"""Which devices share a batch, how arrays lie on them, and what a step moves: never activations."""

import json
import subprocess

import jax
import numpy as np
import pytest

from medbench.errors import MedbenchError
from medbench.training import mesh
from tests.training.apart import command


def looked_at(folder):
    """What `tests.training.on_devices` sees on eight devices."""
    done = subprocess.run(
        **command(folder, devices=8, module="tests.training.on_devices"), stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    return looked_at(tmp_path_factory.mktemp("seen"))


def test_as_many_devices_share_a_batch_as_divide_it(seen):
    assert seen["devices"] == {"32": 8, "8": 8, "12": 6, "20": 5, "9": 3, "7": 7, "11": 1, "1": 1}


def test_the_longest_axis_that_the_devices_divide_is_divided_from_a_number_of_bytes_on(seen):
    assert seen["divided axes"] == {
        "7,7,3,16": 3,
        "1,1,64,32": 2,
        "3,3,16,16": 2,
        "16": 0,
        "3,5": None,
        "": None,
    }
    assert seen["copied below"] == {"of as many bytes": True, "of a byte less": False}


def test_augmentation_is_the_same_wherever_the_images_lie(seen):
    assert seen["same crops"]


@pytest.mark.parametrize("layout", ["copied", "divided"])
def test_a_step_keeps_the_layout_of_its_state_and_is_compiled_once(seen, layout):
    assert seen[layout]["velocity lies as parameters"]
    assert seen[layout]["kept without moving"]
    assert seen[layout]["compiled"] == 1


def test_a_step_on_copied_parameters_sums_gradients_and_gathers_nothing(seen):
    assert seen["copied"]["train"]["all-reduce"]
    assert seen["copied"]["train"]["all-gather"] == []
    assert seen["copied"]["train"]["all-to-all"] == []
    assert seen["copied"]["predict"] == {name: [] for name in seen["copied"]["predict"]}


def test_a_step_on_divided_parameters_gathers_these_alone(seen):
    for step in ("train", "predict"):
        assert sorted(seen["divided"][step]["all-gather"]) == sorted(seen["shapes of divided"])
        assert seen["divided"][step]["all-to-all"] == []


def test_micro_batches_are_of_all_devices_and_move_no_activations(seen):
    assert seen["copied"]["in parts"]["all-reduce"]
    assert seen["copied"]["in parts"]["all-gather"] == []
    for layout in ("copied", "divided"):
        assert seen[layout]["in parts"]["all-to-all"] == []


def test_on_one_device_arrays_are_left_as_they_are():
    layout = mesh.over(jax.devices()[:1], {"kernel": np.ones(4, np.float32)}, sharded_from=0)
    batch = np.arange(12).reshape(4, 3)
    assert layout.batch(batch) is batch
    np.testing.assert_array_equal(layout.rows(batch, np.array([2, 0])), batch[[2, 0]])
    assert isinstance(layout.rows(batch, np.array([2, 0])), np.ndarray)
    tree = {"kernel": batch}
    assert layout.params(tree) is tree
    assert layout.kept(tree) is tree
    assert layout.mesh is None


def test_a_batch_that_processes_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    with pytest.raises(MedbenchError, match=r"A batch of 32 cannot be divided equally among 3 processes\."):
        mesh.devices_for(32)
