"""Files in timm's naming, without torch: names, layouts, types, and what is refused."""

import json
import sys
from pathlib import Path

import chex
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from hypothesis import given, settings
from hypothesis import strategies as st

from medbench.errors import MedbenchError
from medbench.models import bit, files, timm

safetensors = pytest.importorskip("safetensors.numpy", reason="the extra `hub` is not installed")

TINY = {"blocks": (1, 2, 1, 1), "width": 1 / 16}
KERNEL = "stages.1.blocks.0.downsample.conv.weight"
NAMES = Path(__file__).parent / "timm_names"


def names_and_shapes(model):
    """What the model's state dict has, as timm itself listed it."""
    lines = (NAMES / f"{model}.txt").read_text().splitlines()[1:]
    return {name: tuple(map(int, shape)) for name, *shape in map(str.split, lines)}


@pytest.mark.parametrize(
    ("model", "blocks", "width"),
    [("resnetv2_50x1_bit", (3, 4, 6, 3), 1), ("resnetv2_101x3_bit", (3, 4, 23, 3), 3)],
)
def test_every_name_and_shape_is_that_of_timms_own_state_dict(model, blocks, width):
    ours = traverse_util.flatten_dict(bit.param_shapes(blocks, width, 1000))
    named = {
        timm.name_of(path): tuple(np.transpose(np.empty(leaf.shape, bool), (3, 2, 0, 1)).shape)
        if len(leaf.shape) == 4
        else leaf.shape
        for path, leaf in ours.items()
    }
    assert len(named) == len(ours)
    assert named == names_and_shapes(model)


@pytest.fixture(scope="module")
def params():
    tree = bit.init_params(*TINY.values(), 3, np.random.default_rng(0))
    tree["head"]["conv2d"]["kernel"] += np.arange(3, dtype=np.float32)
    tree["head"]["conv2d"]["bias"] += 1
    return tree


@pytest.fixture(scope="module")
def arrays(params):
    """The same weights under timm's names, in its layout."""
    flat = traverse_util.flatten_dict(params)
    return {
        timm.name_of(path): np.ascontiguousarray(leaf.transpose(3, 2, 0, 1)) if leaf.ndim == 4 else leaf
        for path, leaf in flat.items()
    }


@pytest.fixture
def write(arrays, tmp_path):
    """`(**changes) -> path`: a file like the sound one; an array that is None is left out."""

    def build(changes):
        changed = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
        path = tmp_path / "resnetv2_x.safetensors"
        safetensors.save_file(changed, path)
        return path

    return build


def refusal(path):
    with pytest.raises(MedbenchError) as caught:
        timm.load(path, **TINY)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_same_weights_are_the_same_parameters(params, write):
    loaded = timm.load(write({}), **TINY)
    chex.assert_trees_all_equal(loaded, params)
    assert {leaf.dtype for leaf in traverse_util.flatten_dict(loaded).values()} == {np.dtype(np.float32)}
    assert all(leaf.flags.c_contiguous for leaf in traverse_util.flatten_dict(loaded).values())


def test_a_file_is_read_by_how_its_name_ends(params, write, tmp_path):
    chex.assert_trees_all_equal(files.load(write({}), **TINY), params)
    files.check(write({}), **TINY)
    with pytest.raises(MedbenchError, match=r"a.bin: expected a file that ends in \.npz or \.safetensors"):
        files.load(tmp_path / "a.bin", **TINY)


@pytest.mark.parametrize(("dtype", "error"), [(np.float16, 2**-11), (jnp.bfloat16, 2**-8)])
def test_half_precision_of_either_kind_is_read_as_single(arrays, params, write, dtype, error):
    path = write({name: array.astype(dtype) for name, array in arrays.items()})
    loaded = timm.load(path, **TINY)
    chex.assert_trees_all_close(loaded, params, rtol=error, atol=1e-6)
    assert {leaf.dtype for leaf in traverse_util.flatten_dict(loaded).values()} == {np.dtype(np.float32)}


def test_a_missing_and_a_surplus_array_are_named(write):
    message = refusal(write({KERNEL: None, "norm.running_mean": np.zeros(2, np.float32)}))
    assert message == (
        f"resnetv2_x.safetensors: lacks array `{KERNEL}` and has the unknown array `norm.running_mean`."
        " Is this file for another architecture?"
    )


def test_a_misshapen_array_is_named_with_both_shapes_as_timm_has_them(arrays, write):
    message = refusal(write({KERNEL: arrays[KERNEL][:5]}))
    assert message == (
        f"resnetv2_x.safetensors: array `{KERNEL}` has shape (5, 16, 1, 1), expected (32, 16, 1, 1)."
        " Is this file for another architecture?"
    )


def test_an_array_of_another_type_is_refused(arrays, write):
    message = refusal(write({KERNEL: arrays[KERNEL].astype(np.float64)}))
    assert message == (
        f"resnetv2_x.safetensors: array `{KERNEL}` is float64, expected float16 or bfloat16 or float32"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_by_name(arrays, write, value):
    kernel = arrays[KERNEL].copy()
    kernel[3, 1] = value
    path = write({KERNEL: kernel})
    assert f"array `{KERNEL}` has values that are not finite" in refusal(path)
    timm.check(path, **TINY)  # headers alone do not tell


def test_a_check_reads_headers_and_refuses_as_loading_does(write):
    path = write({KERNEL: None})
    with pytest.raises(MedbenchError) as caught:
        timm.check(path, **TINY)
    assert str(caught.value) == refusal(path)


def test_a_head_of_more_classes_than_any_is_refused(write):
    message = refusal(write({timm.HEAD_BIAS: np.zeros(50_001, np.float16)}))
    assert message == (
        "resnetv2_x.safetensors: array `head.fc.bias` is for 50,001 classes, expected 50,000 at most"
    )


def test_what_is_no_such_file_is_refused(tmp_path):
    assert "no such weight file" in refusal(tmp_path / "absent.safetensors")
    path = tmp_path / "text.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1")
    assert f"{path}: not a readable .safetensors file (" in refusal(path)


def test_nothing_that_a_terminal_obeys_comes_through_from_a_name(write):
    assert r"has the unknown array `\x1b[2J`" in refusal(write({"\x1b[2J": np.zeros(2, np.float32)}))


def test_an_array_that_claims_to_be_large_is_refused_by_its_header(tmp_path):
    header = json.dumps({KERNEL: {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}})
    path = tmp_path / "large.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    assert "large.safetensors: not a readable .safetensors file" in refusal(path)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_truncated_file_gives_one_clear_error(arrays, tmp_path_factory, data):
    stored = safetensors.save(arrays)
    path = tmp_path_factory.mktemp("cut") / "cut.safetensors"
    path.write_bytes(stored[: data.draw(st.integers(0, len(stored) - 1))])
    assert "cut.safetensors: not a readable .safetensors file" in refusal(path)


def test_without_the_package_the_extra_is_named(write, monkeypatch):
    path = write({})
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert "pip install 'medbench[hub]'" in refusal(path)
