import subprocess
import sys
from types import SimpleNamespace

import pytest

from medbench import environment
from medbench.environment import capture, commit, device_class
from medbench.errors import MedbenchError


@pytest.fixture
def machine(monkeypatch):
    """A machine without accelerator, on which tests install what they need."""
    for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", environment.PLANNED):
        monkeypatch.delenv(name, raising=False)
    installed, gpus = {}, {}
    monkeypatch.setattr(
        environment.gpus, "listing", lambda: "".join(f"GPU {n}: {name}\n" for n, name in gpus.items())
    )
    monkeypatch.setattr(environment, "_version", lambda name: installed.get(name, ""))
    monkeypatch.setattr(environment, "_nvidia_name", lambda device: gpus.get(device, ""))
    monkeypatch.setattr(environment, "_tpu_nodes", lambda: False)
    return SimpleNamespace(installed=installed, gpus=gpus, set=monkeypatch.setenv, patch=monkeypatch.setattr)


def test_a_machine_without_accelerator_is_a_cpu(machine):
    assert device_class() == "cpu"


def test_a_gpu_counts_if_jax_can_use_it(machine):
    machine.gpus["0"] = "NVIDIA H100 80GB HBM3"
    assert device_class() == "cpu"
    machine.installed["jax-cuda13-plugin"] = "0.10.2"
    assert device_class() == "gpu-nvidia-h100-80gb-hbm3"


def test_a_plugin_without_a_gpu_is_a_cpu(machine):
    machine.installed["jax-cuda12-plugin"] = "0.10.2"
    assert device_class() == "cpu"


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_gpu_that_is_hidden_does_not_count(machine, hidden):
    machine.installed["jax-cuda13-plugin"] = "0.10.2"
    machine.gpus["0"] = "NVIDIA H100 80GB HBM3"
    machine.set("CUDA_VISIBLE_DEVICES", hidden)
    assert device_class() == "cpu"


def test_the_first_visible_gpu_counts(machine):
    machine.installed["jax-cuda13-plugin"] = "0.10.2"
    machine.gpus |= {"0": "NVIDIA T4", "2": "NVIDIA L4"}
    machine.set("CUDA_VISIBLE_DEVICES", "2,0")
    assert device_class() == "gpu-nvidia-l4"


def test_a_tpu_needs_its_library_and_its_device(machine):
    machine.installed["libtpu"] = "0.0.20"
    assert device_class() == "cpu"
    machine.patch(environment, "_tpu_nodes", lambda: True)
    assert device_class() == "tpu"


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [("cpu", "cpu"), ("cuda,cpu", "gpu-nvidia-l4"), ("gpu", "gpu-nvidia-l4"), ("tpu", "tpu")],
)
def test_what_is_asked_for_decides(machine, platforms, expected):
    machine.gpus["0"] = "NVIDIA L4"
    machine.installed["jax-cuda13-plugin"] = "0.10.2"
    machine.set("JAX_PLATFORMS", platforms)
    assert device_class() == expected


def test_what_the_session_planned_with_decides_over_what_this_process_sees(machine):
    machine.set("JAX_PLATFORMS", "cuda")
    machine.set(environment.PLANNED, "gpu-nvidia-l4")
    assert device_class() == "gpu-nvidia-l4"


def test_jax_is_not_imported_to_know_the_device():
    code = "import sys; from medbench.environment import *; device_class(); print('jax' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_the_environment_is_what_jax_sees():
    found = capture()
    assert found.device_class == device_class()
    assert found.cores == environment.usable_cores() >= 1
    assert set(found.libraries) == {"jax", "jaxlib", "flax", "optax", "numpy", "pillow", "scikit-learn"}
    assert all(found.libraries.values())
    assert found.device


def test_falling_back_to_the_cpu_in_silence_is_an_error():
    with pytest.raises(
        MedbenchError, match=r"planned for `gpu-nvidia-l4`, but jax uses `cpu`.*medbench\[cuda13\]"
    ):
        environment._require_platform(planned="gpu-nvidia-l4", seen="cpu")


def test_an_environment_that_was_not_planned_for_is_not_captured(monkeypatch):
    monkeypatch.setattr(environment, "device_class", lambda: "abacus")
    with pytest.raises(MedbenchError, match="planned for `abacus`, but jax uses"):
        capture()


@pytest.mark.parametrize(
    ("error", "why"), [(AssertionError(), "not installed"), (RuntimeError("no\nx"), "no")]
)
def test_an_accelerator_that_jax_does_not_find_is_one_message(monkeypatch, error, why):
    def devices():
        raise error

    monkeypatch.setattr("jax.devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(MedbenchError, match=rf"no device .* JAX_PLATFORMS=cuda \(.*{why}\)\. Install jax"):
        capture()


def test_another_device_than_planned_is_an_error_either_way():
    with pytest.raises(MedbenchError, match=r"planned for `cpu`, but jax uses `tpu`\. Set JAX_PLATFORMS=cpu"):
        environment._require_platform(planned="cpu", seen="tpu")


def test_a_gpu_by_a_slightly_different_name_is_no_error():
    environment._require_platform(planned="gpu-nvidia-h100", seen="gpu-nvidia-h100-mig-1g-10gb")


def git(folder, *arguments):
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    return subprocess.check_output(["git", "-C", folder, *identity, *arguments], text=True).strip()


@pytest.fixture
def checkout(tmp_path):
    package = tmp_path / "checkout" / "medbench"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-qm", "first")
    return package


def test_the_commit_is_the_checkouts_with_a_plus_if_it_has_changes(checkout):
    head = git(checkout, "rev-parse", "HEAD")
    assert commit(checkout) == head
    (checkout / "__init__.py").write_text("changed = True")
    assert commit(checkout) == head + "+"


def test_the_checkout_of_another_project_is_not_ours(checkout):
    installed = checkout.parent / ".venv" / "medbench"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert commit(installed) == ""


def test_without_git_there_is_no_commit(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit(checkout) == ""
