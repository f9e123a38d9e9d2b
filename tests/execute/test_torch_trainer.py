"""The worked example of docs/own-trainer.md, where torch is installed (extra `oracle`)."""

import importlib.util
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medbench.execute.local import obtain
from medbench.execute.trainers import Script
from medbench.models import bit, npz
from medbench.models.weights import sha256
from medbench.reference import References
from medbench.spec.runs import Target
from medbench.store import Store
from medbench.training.hyperrule import learning_rate
from tests import runs
from tests.execute.elsewhere import InHand
from tests.models import plain

torch = pytest.importorskip("torch", reason="the extra `oracle` is not installed")

EXAMPLE = Path(__file__).parents[2] / "docs/examples/torch_trainer.py"
SIZES = {"train": 120, "validation": 10, "id": 140, "phone": 30}
SPEC = {
    "backbone": {"blocks": (1, 1, 1, 1), "width": 0.25},
    "recipe": {"steps": 80, "batch_size": 16, "base_learning_rate": 0.03, "decay_steps": (60,)},
}
FEW_STEPS = {**SPEC, "recipe": {**SPEC["recipe"], "steps": 4}}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """On a busy machine several threads wait for each other more than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("torch_trainer", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A backbone whose gains and offsets are not 1 and 0, with a head of its own."""
    random = np.random.default_rng(3)
    params = bit.init_params((1, 2, 1, 1), 0.25, 7, random)
    for unit in (params["block2"]["unit02"]["b"], params["block3"]["unit01"]["a"], params):
        norm = unit["group_norm"]
        for name, values in norm.items():
            norm[name] = values + random.normal(0, 0.2, values.shape).astype(np.float32)
    params["head"]["conv2d"]["bias"] += 1
    path = tmp_path_factory.mktemp("weights") / "other.npz"
    npz.save(path, params)
    return path


def run_by(trainer, folder, spec=None, **changes):
    arguments = {
        "cohort": runs.NoiseCohort(sizes=SIZES),
        "store": Store(folder),
        "references": References(folder / "references"),
        "mode": "auto",
        "sentinel": False,
        "weights": None,
        "report": lambda event: None,
        "trainer": trainer,
    }
    return obtain(spec or runs.spec(**SPEC), **arguments | changes)


def test_the_network_of_the_example_is_ours(example, weights):
    images = np.random.default_rng(0).integers(256, size=(3, 32, 32, 3), dtype=np.uint8)
    job = {
        "weights": str(weights),
        "spec": {
            "backbone": {"blocks": [1, 2, 1, 1], "width": 0.25, "module": ""},
            "target": {"classes": ["a", "b"]},
        },
    }
    network = example.BiT(job, None, torch.device("cpu"))
    with torch.no_grad():
        logits, theirs = network(example.inputs(images, torch.device("cpu")))
    _, ours = plain.forward(npz.load(weights, blocks=(1, 2, 1, 1), width=0.25), (images - 127.5) / 127.5)
    assert theirs.keys() == ours.keys()
    for stage, expected in ours.items():
        np.testing.assert_allclose(
            theirs[stage].numpy(), expected, rtol=0, atol=1e-4 * np.abs(expected).max()
        )
    assert not logits.numpy().any(), "the head is new"


@pytest.mark.parametrize("recipe", [{}, {"warmup_steps": 10, "decay_steps": (20, 30), "steps": 40}])
def test_the_schedule_of_the_example_is_ours(example, recipe):
    resolved = runs.spec(recipe=recipe).recipe
    told = msgspec.to_builtins(resolved)
    for step in range(resolved.steps):
        assert example.learning_rate(told, step) == pytest.approx(learning_rate(resolved, step))


def test_the_example_learns_and_leaves_all_that_is_documented(example, tmp_path):
    told = []
    run = run_by(InHand(example.train), tmp_path, report=told.append)
    found = run.predictions("id")
    assert roc_auc_score(found.labels[:, 1], found.logits[:, 1]) > 0.9
    record = run.record
    assert record.trace[-1].loss < record.trace[0].loss
    assert record.environment.libraries["torch"] == torch.__version__
    assert set(record.feature_reuse) == {"root", "block1", "block2", "block3", "block4", "pre_logits"}
    assert all(-1 <= value <= 1 for value in record.feature_reuse.values())
    assert (told[-2].stage, told[-2].done) == ("train", 80)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(example, tmp_path):
    once, again, other = (
        run_by(InHand(example.train), tmp_path / store, runs.spec(seed=seed, **FEW_STEPS)).predictions("id")
        for store, seed in (("a", 1), ("b", 1), ("a", 2))
    )
    np.testing.assert_array_equal(once.logits, again.logits)
    assert not np.array_equal(once.logits, other.logits)


def test_the_example_starts_from_the_weights_of_the_backbone_and_runs_as_a_script(weights, tmp_path):
    spec = runs.spec(
        backbone={
            "blocks": (1, 2, 1, 1),
            "width": 0.25,
            "weights": "other.npz",
            "weights_sha256": sha256(weights),
        },
        recipe={**SPEC["recipe"], "steps": 2, "warmup_steps": 0, "base_learning_rate": 0.0},
    )
    script = tmp_path / "train.sh"
    script.write_text(f'#!/bin/sh\nOMP_NUM_THREADS=1 exec {sys.executable} {EXAMPLE} "$1"\n')
    script.chmod(0o755)
    run = run_by(Script.at(script), tmp_path / "store", spec, weights=weights)
    assert all(value == pytest.approx(1, abs=1e-3) for value in run.record.feature_reuse.values()), (
        "not moved"
    )
    images = runs.NoiseCohort(sizes=SIZES).images("id", 32)[:4]
    _, ours = plain.forward(npz.load(weights, blocks=(1, 2, 1, 1), width=0.25), (images - 127.5) / 127.5)
    np.testing.assert_allclose(run.features()["start/pre_logits"][:4], ours["pre_logits"], atol=5e-3)


def test_several_labels_some_unknown_and_mixup_go_through_the_example(example, tmp_path):
    target = Target(kind="multi-label", classes=("nodule", "effusion"))

    class Findings(runs.NoiseCohort):
        def examples(self, split):
            examples = super().examples(split)
            examples.labels[::3, 0] = -1
            return examples

        def images(self, split, size):
            return super().images(split, size)[..., :1]

    spec = runs.spec(target=target, backbone=SPEC["backbone"], recipe={**SPEC["recipe"], "mixup_alpha": 0.1})
    run = run_by(InHand(example.train), tmp_path, spec, cohort=Findings(sizes=SIZES, target=target))
    found = run.predictions("id")
    assert roc_auc_score(found.labels[:, 1], found.logits[:, 1]) > 0.9
