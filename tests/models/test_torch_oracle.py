"""Weight files of either naming against an independent net in torch (extra `oracle`)."""

import jax
import numpy as np
import pytest

from medbench.models import bit, files
from tests.models import released

torch = pytest.importorskip("torch", reason="the extra `oracle` is not installed")
safetensors = pytest.importorskip("safetensors.torch", reason="the extra `hub` is not installed")

from tests.models import torch_bit  # noqa: E402  (imports torch)
from tests.models.test_timm import names_and_shapes  # noqa: E402

CLASSES = 7
IMAGES = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
NARROW = {name: (blocks, 1 / 4) for name, (blocks, _) in released.RELEASED.items() if name[-1] == "1"}
"""As deep as the released nets, so that every unit has its name; 16 channels at the root."""
ROUNDING = 3e-4
"""Of the largest logit: single precision through a hundred layers of few places, against double."""


def loaded(path, blocks, width, classes=CLASSES):
    params = files.load(path, blocks=blocks, width=width)
    logits, _ = jax.jit(bit.BiT(blocks, width, classes).apply)({"params": params}, IMAGES)
    return params, np.asarray(logits)


@pytest.fixture(params=["r50x1", "r101x1", "r26x0.25"])
def net(request, tmp_path):
    """Both files of one net with the same random weights, and the torch net that has them."""
    shapes = {
        "r50x1": released.RELEASED["r50x1"],
        "r101x1": NARROW["r101x1"],
        "r26x0.25": ((2, 2, 2, 2), 0.25),
    }
    blocks, width = shapes[request.param]
    arrays = dict(released.released_arrays(blocks, width, CLASSES))
    np.savez(tmp_path / "released.npz", **arrays)
    theirs = torch_bit.of_released(blocks, width, CLASSES, arrays.items(), torch.float64)
    state = {name: value.float().contiguous() for name, value in theirs.state_dict().items()}
    safetensors.save_file(state, tmp_path / "timm.safetensors")
    return blocks, width, tmp_path, theirs


def test_both_namings_load_to_the_same_net_and_to_torchs_logits(net):
    blocks, width, folder, theirs = net
    expected = torch_bit.logits(theirs, IMAGES)
    params, logits = loaded(folder / "released.npz", blocks, width)
    of_timm = files.load(folder / "timm.safetensors", blocks=blocks, width=width)
    jax.tree.map(np.testing.assert_array_equal, of_timm, params)
    print(f"largest difference of logits {np.abs(logits - expected).max():.2g}")
    np.testing.assert_allclose(logits, expected, rtol=0, atol=ROUNDING * np.abs(expected).max())


def test_random_weights_under_timms_own_list_of_names_load_to_torchs_logits(tmp_path):
    blocks, width = released.RELEASED["r50x1"]
    random = np.random.default_rng(2)
    state = {
        name: torch.from_numpy(0.1 * random.standard_normal(shape, np.float32))
        for name, shape in names_and_shapes("resnetv2_50x1_bit").items()
    }
    safetensors.save_file(state, tmp_path / "model.safetensors")
    theirs = torch_bit.empty(blocks, width, 1000, torch.float64)
    theirs.load_state_dict(state, strict=True)
    _, logits = loaded(tmp_path / "model.safetensors", blocks, width, 1000)
    expected = torch_bit.logits(theirs, IMAGES)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=ROUNDING * np.abs(expected).max())


@pytest.mark.parametrize("name", released.RELEASED)
def test_a_released_net_in_torch_has_the_names_that_timm_lists(name):
    blocks, width = released.RELEASED[name]
    with torch.device("meta"):
        state = torch_bit.Net(blocks, width, 1000).state_dict()
    listed = {"r50x1": "resnetv2_50x1_bit", "r101x3": "resnetv2_101x3_bit"}
    if name in listed:
        assert {key: tuple(value.shape) for key, value in state.items()} == names_and_shapes(listed[name])
    ours = jax.tree.leaves(bit.param_shapes(blocks, width, 1000))
    assert sorted(value.numel() for value in state.values()) == sorted(leaf.size for leaf in ours)
