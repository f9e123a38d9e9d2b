"""Weight files of the same nets in timm's naming (`resnetv2_50x1_bit`), as safetensors, read without torch.

Names and layouts are from timm's resnetv2.py, which takes them from the released files:
https://github.com/huggingface/pytorch-image-models/blob/008514934cfd86bf22990d265911e2e42d5f0b9c/timm/models/resnetv2.py
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util
from numpy.typing import NDArray

from medbench.errors import MedbenchError
from medbench.models import arrays
from medbench.models.arrays import Header, ParamPath

HEAD_BIAS = "head.fc.bias"
DTYPES = ("float16", "bfloat16", "float32")
_IN_FILE = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
"""The format's names of types: https://github.com/huggingface/safetensors#format."""
_LAYERS = {"a": 1, "b": 2, "c": 3}


def load(path: Path, *, blocks: Sequence[int], width: float) -> dict[str, Any]:
    """The parameters in a weight file, with the file's own head.

    One array is in memory twice while it is turned to our layout, and no more of the file.

    Args:
      path: a `.safetensors` file of float16, bfloat16 or float32 arrays.
      blocks: units in each block of the architecture that the file should hold.
      width: its factor on the channels.

    Returns:
      The parameter tree with numpy float32 arrays, as `medbench.models.npz.load` gives it.

    Raises:
      MedbenchError: the file is absent, damaged, or an array is missing, surplus, misshapen or not of
        finite numbers, and the message names it as the file does; or the package safetensors is absent.
    """
    with _checked(path, tuple(blocks), width) as (file, names, _):
        tree = {names_in_tree: _array(path, file, name) for name, names_in_tree in names.items()}
    return traverse_util.unflatten_dict(tree)


def check(path: Path, *, blocks: Sequence[int], width: float) -> int:
    """Hold the header of every array against the architecture, reading no array.

    Returns:
      The number of classes of the file's own head.

    Raises:
      MedbenchError: as `load` does, but for values that are not finite.
    """
    with _checked(path, tuple(blocks), width) as (_, _, classes):
        return classes


def name_of(path: ParamPath) -> str:
    """What timm calls a parameter of ours.

    Args:
      path: the names that lead to it in the tree, such as `("block1", "unit01", "a", "group_norm", "gamma")`.
    """
    *parents, leaf = path
    kind = "bias" if leaf in ("beta", "bias") else "weight"
    place = re.fullmatch(r"block(\d+)/unit(\d+)/([abc])/(.+)", "/".join(parents))
    if place is None:
        module = {"root_block": "stem.conv", "group_norm": "norm", "head": "head.fc"}[path[0]]
        return f"{module}.{kind}"
    block, unit, layer, rest = place.groups()
    module = {
        "group_norm": f"norm{_LAYERS[layer]}",
        "standardized_conv2d": f"conv{_LAYERS[layer]}",
        "proj/standardized_conv2d": "downsample.conv",
    }[rest]
    return f"stages.{int(block) - 1}.blocks.{int(unit) - 1}.{module}.{kind}"


@contextmanager
def _checked(
    path: Path, blocks: tuple[int, ...], width: float
) -> Iterator[tuple[Any, Mapping[str, ParamPath], int]]:
    """The open file, whose headers are the architecture's, its arrays' paths in our tree, and classes."""
    arrays.require_file(path)
    try:
        from safetensors import SafetensorError, safe_open  # noqa: PLC0415
    except ImportError as error:
        raise MedbenchError(
            f"{path}: safetensors files are read by the package safetensors, which is not installed. "
            "pip install 'medbench[hub]'"
        ) from error
    # A mapped file would count as memory of this process beside the arrays made of it.
    with (
        arrays.reading(path, ".safetensors", (SafetensorError, OSError)),
        safe_open(path, framework="np", backend="pread") as file,
    ):
        headers = {name: _header(file, name) for name in file.keys()}  # noqa: SIM118  it is no dict
        bias = headers.get(HEAD_BIAS)
        classes = arrays.classes_of(path, HEAD_BIAS, bias) if bias else 1
        of_tree = arrays.shapes(blocks, width, classes)
        names = {name_of(in_tree): in_tree for in_tree in of_tree}
        arrays.check_names(path, set(headers), set(names))
        for name, header in headers.items():
            shape = _turned(of_tree[names[name]])
            arrays.check_header(path, name, header, shape=shape, dtypes=DTYPES)
        yield file, names, classes


def _header(file: Any, name: str) -> Header:
    stored = file.get_slice(name)
    return Header(tuple(stored.get_shape()), _IN_FILE.get(stored.get_dtype(), stored.get_dtype()))


def _turned(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that timm's array has: (out, in, height, width) of our (height, width, in, out)."""
    return tuple(shape[axis] for axis in (3, 2, 0, 1)) if len(shape) == 4 else shape


def _array(path: Path, file: Any, name: str) -> NDArray[np.float32]:
    """The array in our layout, in memory of its own."""
    array = arrays.as_float32(path, name, file.get_tensor(name))
    return np.ascontiguousarray(array.transpose(2, 3, 1, 0)) if array.ndim == 4 else array
