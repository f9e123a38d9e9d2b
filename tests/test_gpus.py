"""What workers may use and share, from the texts of drivers and settings."""

import pytest

from medbench import environment, gpus

WHOLE = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-6d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a78)
"""
CUT = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.40gb     Device  0: (UUID: MIG-11aa)
  MIG 1g.10gb     Device  1: (UUID: MIG-22bb)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-6d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a78)
"""


@pytest.mark.parametrize(
    ("visible", "listed", "devices"),
    [
        (None, WHOLE, ["0", "1"]),
        (None, CUT, ["MIG-11aa", "MIG-22bb", "1"]),
        (None, "", []),
        (None, "No devices were found", []),
        ("4,7", WHOLE, ["4", "7"]),
        ("1", WHOLE, ["1"]),
        (" 4, 7 ", "", ["4", "7"]),
        ("GPU-5d5b,GPU-6d5b", "", ["GPU-5d5b", "GPU-6d5b"]),
        ("MIG-11aa,MIG-22bb", CUT, ["MIG-11aa", "MIG-22bb"]),
        ("MIG-GPU-5d5b/1/0", "", ["MIG-GPU-5d5b/1/0"]),
        ("2,-1,3", WHOLE, ["2"]),
        ("", WHOLE, []),
        ("-1", WHOLE, []),
        ("NoDevFiles", WHOLE, []),
    ],
)
def test_usable_is_what_was_made_visible_or_else_all_that_is_listed(visible, listed, devices):
    assert gpus.usable(visible, listed) == devices


@pytest.mark.parametrize("workers", range(1, 9))
@pytest.mark.parametrize("devices", [["0"], ["4", "7"], ["MIG-11aa", "MIG-22bb", "1"]])
def test_no_device_is_promised_more_memory_than_it_has_and_none_is_idle(devices, workers):
    shares = [gpus.share(devices, worker, workers) for worker in range(workers)]
    promised = {device: sum(part for own, part in shares if own == device) for device in devices}
    assert all(total == pytest.approx(0.9) or total == 0 for total in promised.values())
    assert sum(total > 0 for total in promised.values()) == min(workers, len(devices))


def test_a_slice_has_the_name_that_cuda_gives_it(monkeypatch):
    monkeypatch.setattr(gpus, "listing", lambda: CUT)
    monkeypatch.setattr(environment, "_version", lambda distribution: "1")
    monkeypatch.setattr(environment, "_tpu_nodes", lambda: False)
    for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", environment.PLANNED):
        monkeypatch.delenv(name, raising=False)
    environment._nvidia_name.cache_clear()
    assert environment.device_class() == "gpu-nvidia-h100-80gb-hbm3-mig-3g-40gb", "the first that jax takes"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-22bb")
    assert environment.device_class() == "gpu-nvidia-h100-80gb-hbm3-mig-1g-10gb"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-none")
    assert environment.device_class() == "cpu"
    environment._nvidia_name.cache_clear()
