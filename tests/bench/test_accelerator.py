"""What can be tested without an accelerator: tiny nets, and what is made of the figures."""

import json
import sys
from dataclasses import replace

import pytest

from bench import accelerator
from bench.accelerator import Device
from bench.cases import AcceleratorCase
from medbench import cost

TINY = AcceleratorCase("accelerator", "r50x1", (1, 1, 1, 1), 0.25, 32, 4, 3)
TINIEST = replace(TINY, blocks=(1,))
H100 = Device("gpu", "NVIDIA H100 80GB HBM3")


def test_without_an_accelerator_one_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench.accelerator"])
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert accelerator.main() == 1
    assert capsys.readouterr().err == "No accelerator: jax sees the CPU alone, and nothing was measured.\n"


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        (H100, 989.4e12),
        (Device("gpu", "NVIDIA A100-SXM4-40GB"), 312e12),
        (Device("tpu", "TPU v5 lite"), 197e12),
        (Device("gpu", "NVIDIA GeForce GTX 1080"), None),
    ],
)
def test_the_peak_in_bfloat16_is_known_by_the_devices_name(device, peak):
    assert device.peak == (pytest.approx(peak) if peak else None)


@pytest.fixture
def told(monkeypatch):
    """Sides that say what they would on a device; ours is twice as fast, in half the memory."""
    speeds = {"bench.accelerator_ours": [400.0, 420.0], "bench.accelerator_peer": [200.0, 210.0]}

    def turn(case, python, module, steps, *, logits):
        ours = module == "bench.accelerator_ours"
        return {
            "batch": 4,
            "how": "batch 4",
            "peak_bytes": 1e9 if ours else 2e9,
            "logits": {"default": 1e-3, "highest": 1e-5} if ours and logits else {},
            "images_per_second": speeds[module].pop(0),
        }

    monkeypatch.setattr(accelerator, "_turn", turn)


@pytest.mark.usefixtures("told")
def test_a_net_has_rows_for_speed_utilisation_memory_and_logits():
    pythons = {"ours": "python", "peer": "python"}
    rows = {row.name: row for row in accelerator.of_net(TINY, H100, pythons, rounds=2, steps=1)}
    assert rows["train-bfloat16/r50x1/32px"].ours == 410.0
    assert rows["train-bfloat16/r50x1/32px"].ratio == 2.0
    operations = 3 * cost.forward_operations((1, 1, 1, 1), 0.25, 32)
    assert rows["utilisation/r50x1/32px"].ours == pytest.approx(100 * 410.0 * operations / 989.4e12)
    assert rows["peak-memory/r50x1/32px"].ratio == 2.0
    assert rows["logits/r50x1/highest"].ours == 1e-5


@pytest.mark.usefixtures("told")
def test_without_timm_there_is_no_ratio_and_without_a_known_peak_no_utilisation(capsys):
    unknown = Device("gpu", "a GPU")
    rows = {row.name: row for row in accelerator.of_net(TINY, unknown, {"ours": "p"}, rounds=2, steps=1)}
    assert rows["train-bfloat16/r50x1/32px"].ratio is None
    assert rows["peak-memory/r50x1/32px"].peer is None
    assert "utilisation/r50x1/32px" not in rows
    assert "No peak is known of a GPU" in capsys.readouterr().err


def test_the_drift_of_a_retrained_tier_is_counted_by_status(tmp_path):
    report = tmp_path / "report.json"
    report.write_text(
        json.dumps({"expectations": [{"status": "ok"}, {"status": "drifted"}, {"status": "ok"}]})
    )
    assert accelerator.drift(report) == "1 drifted, 2 ok"


def test_our_side_halves_a_batch_that_does_not_fit_and_lets_other_errors_pass(tmp_path, monkeypatch):
    pytest.importorskip("medbench.training.memory")
    from jax.errors import JaxRuntimeError

    from bench import accelerator_ours

    class Small:
        def __init__(self, case, batch):
            self.batch = batch

        def run(self, variant, steps):
            if self.batch > 2:
                raise JaxRuntimeError(message)

    monkeypatch.setattr(accelerator_ours.cache, "enable", lambda folder: None)
    monkeypatch.setattr(accelerator_ours, "Training", Small)
    message = "RESOURCE_EXHAUSTED: Out of memory"
    assert accelerator_ours.prepare(TINY, tmp_path).batch == 2
    message = "INTERNAL: something else"
    with pytest.raises(JaxRuntimeError, match="something else"):
        accelerator_ours.prepare(TINY, tmp_path)


def test_our_side_takes_steps_in_bfloat16_and_compares_logits_with_the_cpu(tmp_path, monkeypatch):
    pytest.importorskip("medbench.training.memory")
    from bench import accelerator_ours

    monkeypatch.setattr(accelerator_ours.cache, "enable", lambda folder: None)
    training = accelerator_ours.prepare(TINIEST, tmp_path)
    assert training.run("", 1) > 0
    said = training.describe(logits=True)
    assert said["batch"] == 4
    assert said["logits"] == {"default": pytest.approx(0, abs=1e-4), "highest": pytest.approx(0, abs=1e-4)}
    json.dumps(said)


@pytest.fixture
def peer():
    pytest.importorskip("torch", reason="the extra `oracle` is not installed")
    pytest.importorskip("timm", reason="timm is not installed")
    from bench import accelerator_peer

    return accelerator_peer


def test_the_peer_takes_steps_with_and_without_computing_twice(peer):
    for checkpointed in (False, True):
        training = peer.Training(TINY, 2, checkpointed=checkpointed, compiled=False, device="cpu")
        assert training.run("", 1) > 0


def test_the_peer_crops_and_mirrors_every_image_by_its_own_place(peer):
    import torch

    column = torch.arange(9, dtype=torch.uint8)
    images = (column[:, None] * 9 + column).expand(64, 3, 9, 9)
    squares = peer.augment(images, 8).long()
    seen = set()
    for square in squares[:, 0]:
        y, x = divmod(int(square.min()), 9)
        mirrored = bool(square[0, 0] > square[0, 1])
        seen.add((y, x, mirrored))
        expected = images[0, 0, y : y + 8, x : x + 8].long()
        assert torch.equal(square, expected.flip(1) if mirrored else expected)
    assert len(seen) == 8
