"""Pre-training: the scaled recipe, nested balanced subsets, and the same bytes after SIGKILL."""

import argparse
import hashlib
import re
import signal
import subprocess
import sys
from pathlib import Path

import jax
import msgspec
import numpy as np
import pytest

from medbench.errors import MedbenchError
from medbench.models import npz
from medbench.training import pretrain, pretrain_cli
from medbench.training.card import card
from medbench.training.hyperrule import learning_rate
from medbench.training.pretrain import balanced_subset
from medbench.training.upstream import ARCHITECTURES, Settings, Upstream, upstream_recipe
from tests.training.interrupted import SETTINGS, photographs
from tests.training.test_cifar10 import write_binary


def pretrain_apart(folder: Path, compiled: Path, kill_at: str = "") -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.training.interrupted", folder, compiled, kill_at]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, compiled):
    """The folder and the output of a pre-training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = pretrain_apart(folder, compiled)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_killed_twice_and_started_again_gives_the_same_bytes(undisturbed, compiled, tmp_path):
    folder, _ = undisturbed
    for kill_at in ("step 3 ", "step 7 "):
        assert pretrain_apart(tmp_path, compiled, kill_at).returncode == -signal.SIGKILL
        assert not (tmp_path / "tiny.npz").exists()
    last = pretrain_apart(tmp_path, compiled)
    assert re.match("goes on after step [567], from a checkpoint\n", last.stdout)
    assert (tmp_path / "tiny.npz").read_bytes() == (folder / "tiny.npz").read_bytes()
    assert (tmp_path / "tiny.md").read_bytes() == (folder / "tiny.md").read_bytes()


def test_weights_and_card_stay_and_the_checkpoint_goes(undisturbed):
    folder, _ = undisturbed
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.md", "tiny.npz"]


def test_the_weights_are_16_bit_and_load_with_their_head(undisturbed):
    path = undisturbed[0] / "tiny.npz"
    with np.load(path) as archive:
        assert {archive[name].dtype for name in archive.files} == {np.dtype(np.float16)}
    params = npz.load(path, blocks=SETTINGS.blocks, width=SETTINGS.width)
    assert params["head"]["conv2d"]["bias"].shape == (10,)
    assert np.abs(params["head"]["conv2d"]["kernel"]).max() > 0


def test_the_accuracy_is_that_of_the_written_file_on_every_test_image(undisturbed):
    told, found = undisturbed[1].splitlines()[-1].removeprefix("accuracy ").split(" against ")
    assert float(told) == pytest.approx(float(found))


def test_the_card_pins_the_file_and_says_how_it_was_made(undisturbed):
    folder, _ = undisturbed
    text = (folder / "tiny.md").read_text()
    digest = hashlib.sha256((folder / "tiny.npz").read_bytes()).hexdigest()
    for expected in (
        digest, "40 of its 60", "noise", "none stated", "9 of 8 images", "| seed | 3 |",
        "medbench pretrain --data DIR --architecture r14x0.25 --images 40 --steps 9 --seed 3",
        f"jax {jax.__version__}",
    ):  # fmt: skip
        assert expected in text
    assert str(folder) not in text


def test_the_card_shows_the_accuracy():
    upstream = Upstream(Path("bit-cifar2k-r14x0.5.npz"), "c0ffee", 0.50125)
    text = card(photographs(), Settings(images=2_000), upstream)
    assert text.startswith("# bit-cifar2k-r14x0.5\n")
    assert "50.12% of 13 images" in text


def test_the_recipe_warms_up_and_falls_at_shares_of_the_steps():
    recipe = upstream_recipe(Settings(images=50_000, steps=3_000))
    assert (recipe.steps, recipe.batch_size, recipe.momentum) == (3_000, 128, 0.9)
    assert (recipe.warmup_steps, recipe.decay_steps) == (150, (1_800, 2_400, 2_850))
    peak = 0.1
    for step, expected in ((0, 0), (150, peak), (1_800, peak), (1_801, peak / 10), (2_999, peak / 1000)):
        assert learning_rate(recipe, step) == pytest.approx(expected)


def test_upstreams_differ_in_their_images_alone():
    small, large = (upstream_recipe(Settings(images=images)) for images in (2_000, 50_000))
    assert small == large


def test_subsets_are_balanced_and_nested_and_follow_the_seed():
    labels = np.random.default_rng(0).permutation(np.arange(200) % 10)
    small, large = balanced_subset(labels, 20, 1), balanced_subset(labels, 100, 1)
    assert np.bincount(labels[large]).tolist() == [10] * 10
    assert np.bincount(labels[small]).tolist() == [2] * 10
    assert set(small) < set(large)
    assert set(small) != set(balanced_subset(labels, 20, 2))
    assert sorted(balanced_subset(labels, 200, 1)) == list(range(200))


@pytest.mark.parametrize("images", [0, 5, 25, 210])
def test_a_number_of_images_that_cannot_be_balanced_is_refused(images):
    labels = np.arange(200) % 10
    with pytest.raises(
        MedbenchError, match=f"{images} images of 10 classes: expected a multiple of 10, 10 to 200"
    ):
        balanced_subset(labels, images, 1)


@pytest.mark.parametrize("change", [{"seed": 4}, {"steps": 10}, {"images": 30}, {"width": 0.5}])
def test_every_setting_is_part_of_the_checkpoints_identity(change):
    images, labels = np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.int8)
    changed = msgspec.structs.replace(SETTINGS, **change)
    assert pretrain._identity(SETTINGS, images, labels) != pretrain._identity(changed, images, labels)
    assert pretrain._identity(SETTINGS, images, labels) != pretrain._identity(SETTINGS, images + 1, labels)


def test_the_time_left_follows_from_the_pace():
    assert pretrain._how_far(900, 1000, loss=1.5, pace=0.75) == "step 900 of 1000 · loss 1.500 · 1:15 left"


def test_divergence_ends_pre_training():
    with pytest.raises(MedbenchError, match="diverged: the loss at step 3 is nan"):
        pretrain._how_far(3, 10, loss=float("nan"), pace=1)


@pytest.mark.parametrize(
    ("given", "out", "checkpoints", "images"),
    [
        ([], "bit-cifar50k-r14x0.5.npz", ".", 50_000),
        (["--images", "2000", "--checkpoints", "kept"], "bit-cifar2k-r14x0.5.npz", "kept", 2_000),
        (["--images", "500"], "bit-cifar500-r14x0.5.npz", ".", 500),
        (["--architecture", "r26x0.25"], "bit-cifar50k-r26x0.25.npz", ".", 50_000),
        (["--out", "there/mine.npz"], "there/mine.npz", "there", 50_000),
    ],
)
def test_the_command_names_the_file_for_the_number_of_images(
    given, out, checkpoints, images, tmp_path, monkeypatch
):
    asked = {}
    monkeypatch.setattr(
        pretrain, "pretrain", lambda photographs, settings, **rest: asked.update(rest, of=settings)
    )
    write_binary(tmp_path)
    parser = argparse.ArgumentParser()
    pretrain_cli.add_arguments(parser)
    assert pretrain_cli.run(parser.parse_args(["--data", str(tmp_path), "--seed", "5", *given])) == 0
    assert (asked["out"], asked["checkpoints"]) == (Path(out), Path(checkpoints))
    blocks, width = ((2, 2, 2, 2), 0.25) if "r26x0.25" in given else ((1, 1, 1, 1), 0.5)
    assert asked["of"] == Settings(images=images, seed=5, blocks=blocks, width=width)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_called_by_its_depth_and_width(name):
    blocks, width = ARCHITECTURES[name]
    assert Settings(images=10, blocks=blocks, width=width).architecture == name
    assert Settings(images=10, blocks=(3, 4, 6, 3), width=1).architecture == "r50x1"
