import io
import tracemalloc
import zipfile

import chex
import numpy as np
import pytest
from flax import traverse_util
from hypothesis import given, settings
from hypothesis import strategies as st

from medbench.errors import MedbenchError
from medbench.models import bit, npz

TINY = {"blocks": (1, 2, 1, 1), "width": 1 / 16}
KERNEL = "resnet/block2/unit01/a/proj/standardized_conv2d/kernel"


@pytest.fixture(scope="module")
def params():
    tree = bit.init_params(*TINY.values(), 3, np.random.default_rng(0))
    tree["head"]["conv2d"]["bias"] += 1
    return tree


@pytest.fixture(scope="module")
def stored(params, tmp_path_factory):
    """The bytes of a sound file."""
    path = tmp_path_factory.mktemp("sound") / "bit.npz"
    npz.save(path, params)
    return path.read_bytes()


@pytest.fixture
def rewrite(stored, tmp_path):
    """`(change) -> path`: a file like the sound one, after `change` was made to its dict of arrays."""

    def write(change):
        with np.load(io.BytesIO(stored)) as archive:
            arrays = dict(archive)
        change(arrays)
        path = tmp_path / "BiT-X.npz"
        np.savez(path, **arrays)
        return path

    return write


def refusal(path):
    with pytest.raises(MedbenchError) as caught:
        npz.load(path, **TINY)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_saved_is_loaded(params, tmp_path):
    npz.save(tmp_path / "a.npz", params)
    chex.assert_trees_all_equal(npz.load(tmp_path / "a.npz", **TINY), params)


def test_half_precision_halves_the_file_and_is_read_as_single(params, stored, tmp_path):
    path = tmp_path / "half.npz"
    npz.save(path, params, dtype=np.float16)
    loaded = npz.load(path, **TINY)
    chex.assert_trees_all_close(loaded, params, rtol=2**-11, atol=1e-6)
    assert {leaf.dtype for leaf in traverse_util.flatten_dict(loaded).values()} == {np.dtype(np.float32)}
    assert path.stat().st_size < 0.6 * len(stored)


def test_the_file_carries_the_released_names(stored):
    with np.load(io.BytesIO(stored)) as archive:
        names = set(archive.files)
        shapes = {name: archive[name].shape for name in names}
    unit = "resnet/block2/unit02"
    assert {name for name in names if name.startswith(unit)} == {
        f"{unit}/{layer}/{leaf}"
        for layer in "abc"
        for leaf in ("group_norm/gamma", "group_norm/beta", "standardized_conv2d/kernel")
    }
    assert {name for name in names if "/block" not in name} == {
        "resnet/root_block/standardized_conv2d/kernel",
        "resnet/group_norm/gamma",
        "resnet/group_norm/beta",
        "resnet/head/conv2d/kernel",
        "resnet/head/conv2d/bias",
    }
    assert {name.split("/")[2] for name in names if "proj" in name} == {"unit01"}
    assert shapes["resnet/root_block/standardized_conv2d/kernel"] == (7, 7, 3, 4)
    assert shapes[KERNEL] == (1, 1, 16, 32)
    assert shapes["resnet/head/conv2d/kernel"] == (1, 1, 128, 3)


def test_equal_parameters_give_equal_bytes(params, stored, tmp_path):
    backwards = dict(reversed(params.items()))
    npz.save(tmp_path / "again.npz", backwards)
    assert (tmp_path / "again.npz").read_bytes() == stored


def test_numbered_layers_are_read_under_their_plain_names(params, rewrite):
    def number(arrays):
        for index, name in enumerate(sorted(arrays)):
            arrays[name.replace("standardized_conv2d", f"standardized_conv2d_{index}")] = arrays.pop(name)

    chex.assert_trees_all_equal(npz.load(rewrite(number), **TINY), params)


def test_a_layer_under_both_names_is_refused(rewrite):
    numbered = KERNEL.replace("conv2d", "conv2d_4")
    message = refusal(rewrite(lambda arrays: arrays.update({numbered: arrays[KERNEL]})))
    assert message == f"BiT-X.npz: array `{KERNEL}` stands there twice, once as `{numbered}`"


def test_a_missing_array_is_named(rewrite):
    message = refusal(rewrite(lambda arrays: arrays.pop(KERNEL)))
    assert message == f"BiT-X.npz: lacks array `{KERNEL}`. Is this file for another architecture?"


def test_a_surplus_array_is_named(rewrite):
    message = refusal(rewrite(lambda arrays: arrays.update({"resnet/extra": np.zeros(2)})))
    assert (
        message == "BiT-X.npz: has the unknown array `resnet/extra`. Is this file for another architecture?"
    )


def test_a_file_for_another_depth_is_refused_with_the_first_few_names(params, stored, tmp_path):
    path = tmp_path / "BiT-X.npz"
    path.write_bytes(stored)
    with pytest.raises(MedbenchError) as caught:
        npz.load(path, blocks=(1, 3, 1, 1), width=TINY["width"])
    assert "lacks arrays `resnet/block2/unit03/a/group_norm/beta`, " in str(caught.value)
    assert "and 6 more. Is this" in str(caught.value)


def test_a_misshapen_array_is_named_with_both_shapes(rewrite):
    message = refusal(rewrite(lambda arrays: arrays.update({KERNEL: arrays[KERNEL][..., :5]})))
    assert message == (
        f"BiT-X.npz: array `{KERNEL}` has shape (1, 1, 16, 5), expected (1, 1, 16, 32)."
        " Is this file for another architecture?"
    )


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (np.float64(1), "is float64, expected float16 or float32"),
        (np.int32(1), "is int32, expected float16 or float32"),
        (np.float32("nan"), "not finite"),
        (np.float16("inf"), "not finite"),
    ],
)
def test_an_array_of_other_values_is_named(rewrite, value, part):
    message = refusal(rewrite(lambda arrays: arrays.update({KERNEL: np.full(arrays[KERNEL].shape, value)})))
    assert f"array `{KERNEL}`" in message
    assert part in message


def test_pickled_objects_are_never_opened(rewrite):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was opened",))

    message = refusal(rewrite(lambda arrays: arrays.update({KERNEL: np.full((1, 1, 16, 32), Trap())})))
    assert message == f"BiT-X.npz: array `{KERNEL}` is object, expected float16 or float32"


@pytest.mark.parametrize("name", ["resnet/extra", KERNEL, "resnet/head/conv2d/bias", "README"])
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_an_array_that_claims_to_be_huge_is_refused_unpacked(rewrite, name, dtype):
    size = 2**26
    path = rewrite(lambda arrays: arrays.pop(name, None))
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{name}.npy", "w") as file,
    ):
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (size,)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(np.dtype(dtype).itemsize):
            file.write(bytes(size))
    tracemalloc.start()
    try:
        message = refusal(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert f"`{name}`" in message
    assert peak < size / 4


def test_a_head_of_more_classes_than_any_is_refused(rewrite):
    bias = "resnet/head/conv2d/bias"
    message = refusal(rewrite(lambda arrays: arrays.update({bias: np.zeros(50_001, np.float16)})))
    assert message == f"BiT-X.npz: array `{bias}` is for 50,001 classes, expected 50,000 at most"


def test_a_header_without_bounds_is_not_read(rewrite):
    path = rewrite(lambda arrays: arrays.pop(KERNEL))
    with zipfile.ZipFile(path, "a") as archive, archive.open(f"{KERNEL}.npy", "w") as file:
        np.lib.format.write_array(file, np.zeros((1, 1, 16, 32), np.float32), version=(2, 0))
    assert "not a readable .npz file" in refusal(path)


def test_nothing_that_a_terminal_obeys_comes_through_from_a_name(rewrite):
    message = refusal(rewrite(lambda arrays: arrays.update({"\x1b[2J": np.zeros(2)})))
    assert message.startswith(r"BiT-X.npz: has the unknown array `\x1b[2J`.")


def test_what_is_no_archive_at_all_is_refused(tmp_path):
    assert "no such weight file" in refusal(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("version https://git-lfs.github.com/spec/v1")
    assert "text.npz: not a readable .npz file" in refusal(tmp_path / "text.npz")
    np.save(tmp_path / "single.npy", np.zeros(3))
    assert "single.npy: not a readable .npz file" in refusal(tmp_path / "single.npy")


def test_nobody_is_advised_to_open_pickles(tmp_path):
    path = tmp_path / "text.npz"
    path.write_text("version https://git-lfs.github.com/spec/v1")
    assert "pickle" not in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("resnet/head/conv2d/bias.npy", "\x80\x04]\x94.")
    assert refusal(path) == f"{path}: not a readable .npz file. Copy or download it again."


def test_what_is_wrong_with_an_archive_is_told(stored, tmp_path):
    path = tmp_path / "cut.npz"
    path.write_bytes(stored[:-40])
    assert refusal(path) == (
        f"{path}: not a readable .npz file (File is not a zip file). Copy or download it again."
    )


def test_a_member_that_is_no_array_is_refused(stored, tmp_path):
    path = tmp_path / "BiT-X.npz"
    path.write_bytes(stored)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README", "hello")
    assert "unknown array `README`" in refusal(path)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_truncated_file_gives_one_clear_error(stored, tmp_path_factory, data):
    length = data.draw(st.integers(0, len(stored) - 1))
    path = tmp_path_factory.mktemp("cut") / "cut.npz"
    path.write_bytes(stored[:length])
    assert "cut.npz: not a readable .npz file" in refusal(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_an_error_or_the_very_same_parameters(stored, params, tmp_path_factory, data):
    headers = [place for place in range(len(stored) - 4) if stored[place : place + 2] in (b"PK", b"\x93N")]
    start = data.draw(st.sampled_from(headers) | st.integers(0, len(stored) - 1))
    place = min(start + data.draw(st.integers(0, 200)), len(stored) - 1)
    damaged = bytearray(stored)
    damaged[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("hit") / "hit.npz"
    path.write_bytes(damaged)
    try:
        loaded = npz.load(path, **TINY)
    except MedbenchError:
        assert "hit.npz: " in refusal(path)
    else:
        chex.assert_trees_all_equal(loaded, params)


def test_a_value_that_half_precision_cannot_hold_is_named_and_nothing_is_written(params, tmp_path):
    flat = traverse_util.flatten_dict(params)
    flat["group_norm", "gamma"] = flat["group_norm", "gamma"] * 1e5
    with pytest.raises(MedbenchError, match=r"`resnet/group_norm/gamma` has values that float16 cannot hold"):
        npz.save(tmp_path / "a.npz", traverse_util.unflatten_dict(flat), dtype=np.float16)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_as_it_was(params, stored, tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    path.write_bytes(stored)

    def fail(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        npz.save(path, params)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
    assert path.read_bytes() == stored


def test_a_new_head_is_zero_and_leaves_the_body_and_the_original_alone(params):
    adapted = npz.adapt_head(params, 7)
    head = adapted["head"]["conv2d"]
    assert head["kernel"].shape == (1, 1, 128, 7)
    assert head["bias"].shape == (7,)
    assert not head["kernel"].any()
    assert not head["bias"].any()
    assert params["head"]["conv2d"]["bias"].shape == (3,)
    body = {name: tree for name, tree in params.items() if name != "head"}
    chex.assert_trees_all_equal({name: adapted[name] for name in body}, body)
