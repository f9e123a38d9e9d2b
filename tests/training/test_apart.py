"""One run on several devices, divided or copied, killed and gone on with elsewhere: the numbers stay.

Byte-identical on the same devices. On others the order of sums differs: logits of these 30 steps moved by
1e-6 where their largest is .06 (8 virtual devices, two cores, 2026-11), and are allowed a hundred times that.
"""

import shutil
import signal
import subprocess

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.training.apart import COHORT, SPEC, command, trained

LOGITS = 1e-4


def area(found):
    logits = found["logits/id"]
    return roc_auc_score(COHORT.examples("id").labels[:, 1], logits[:, 1] - logits[:, 0])


def assert_agrees(found, reference):
    """Within the tolerance of other devices."""
    assert found.keys() == reference.keys()
    for name in reference:
        if name.startswith(("logits", "losses")):
            np.testing.assert_allclose(found[name], reference[name], rtol=0, atol=LOGITS)
    np.testing.assert_array_equal(found["validation"][:, 0], reference["validation"][:, 0])
    assert area(found) == pytest.approx(area(reference), abs=1e-3)


def load(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("apart")


@pytest.fixture(scope="module")
def reference(folder):
    """On one device, uninterrupted."""
    trained(folder, out="reference.npz")
    found = load(folder / "reference.npz")
    assert found["devices"] == 1
    assert area(found) > 0.55, "nothing was learned that could differ"
    return found


@pytest.fixture(scope="module")
def on_eight(folder):
    """Killed at the 18th of 30 steps, on eight devices that divide the parameters, and then gone on with."""
    options = {"devices": 8, "sharded": True, "checkpoints": "eight"}
    killed(folder, out="never.npz", kill=18, **options)
    shutil.copytree(folder / "eight", folder / "untouched")
    trained(folder, out="eight.npz", **options)
    return folder


def killed(folder, **options):
    process = subprocess.run(**command(folder, **options), stdout=subprocess.PIPE, check=False)
    assert process.returncode == -signal.SIGKILL, process.stdout


@pytest.mark.parametrize("devices", [1, 2])
def test_what_was_kept_on_eight_devices_goes_on_on_fewer(on_eight, reference, devices):
    shutil.copytree(on_eight / "untouched", on_eight / f"on-{devices}")
    told = trained(on_eight, devices=devices, checkpoints=f"on-{devices}", every=600.0, out=f"{devices}.npz")
    assert told.startswith("goes on after step 1")
    found = load(on_eight / f"{devices}.npz")
    assert found["devices"] == devices
    assert_agrees(found, reference)


def test_eight_devices_that_divide_the_parameters_agree_with_one(on_eight, reference):
    found = load(on_eight / "eight.npz")
    assert found["devices"] == 8
    assert_agrees(found, reference)


def test_eight_devices_that_copy_the_parameters_agree_with_one(folder, reference):
    trained(folder, devices=8, out="copied.npz")
    assert_agrees(load(folder / "copied.npz"), reference)


def test_killed_between_checkpoints_and_started_again_it_leaves_the_same_bytes(folder, reference):
    killed(folder, out="never.npz", checkpoints="one", every=0.0, kill=17)
    killed(folder, out="never.npz", checkpoints="one", every=600.0, kill=25)
    told = trained(folder, out="resumed.npz", checkpoints="one", every=600.0)
    assert told.startswith("goes on after step 1")
    found = load(folder / "resumed.npz")
    assert found.keys() == reference.keys()
    for name in reference:
        assert found[name].tobytes() == reference[name].tobytes(), name
    assert len(found["losses"]) == SPEC.recipe.steps


def test_a_damaged_checkpoint_is_told_and_deleted_and_the_run_starts_over(folder, reference):
    killed(folder, out="never.npz", checkpoints="damaged", every=0.0, kill=12)
    for path in (folder / "damaged").rglob("*"):
        if path.is_file() and path.stat().st_size > 100:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    told = trained(folder, out="over.npz", checkpoints="damaged", every=600.0)
    assert "starts over: the checkpoint in" in told
    assert told.count("\n") == 1
    assert not (folder / "damaged").exists()
    assert load(folder / "over.npz")["logits/id"].tobytes() == reference["logits/id"].tobytes()
