"""What loading takes of memory, as tracemalloc counts it; docs/weights.md has R152x4 as the system does."""

import tracemalloc

import jax
import numpy as np
import pytest

from medbench.models import bit, files, npz, timm, weights
from tests.models import released

NET = {"blocks": (3, 4, 6, 3), "width": 1}
MOST = 1.3
"""Times the size of the file."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """R50x1 with 1,000 classes, 102 MB, under both namings."""
    folder = tmp_path_factory.mktemp("r50x1")
    released.write(folder / "r50x1.npz", *NET.values(), 1000)
    safetensors = pytest.importorskip("safetensors.numpy", reason="the extra `hub` is not installed")
    paths = jax.tree.leaves_with_path(bit.param_shapes(*NET.values(), 1000))
    shapes = {timm.name_of(tuple(key.key for key in path)): leaf.shape for path, leaf in paths}
    arrays = {
        name: np.ones([shape[axis] for axis in (3, 2, 0, 1)] if len(shape) == 4 else shape, np.float32)
        for name, shape in shapes.items()
    }
    safetensors.save_file(arrays, folder / "r50x1.safetensors")
    return folder


def peak(act):
    """Bytes that were allocated at most while something is done, and kept afterwards; and what it gave."""
    tracemalloc.start()
    try:
        result = act()
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return result, kept, most


@pytest.mark.parametrize("suffix", weights.SUFFIXES)
def test_loading_takes_little_more_memory_than_the_file_is_large(folder, suffix):
    path = folder / f"r50x1{suffix}"
    files.check(path, **NET)  # what is remembered of shapes is not the file's
    params, kept, most = peak(lambda: npz.adapt_head(files.load(path, **NET), 2))
    size = path.stat().st_size
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(params)) > 0.9 * size
    assert 0.9 * size < kept < most < MOST * size


@pytest.mark.parametrize("suffix", weights.SUFFIXES)
def test_looking_at_a_file_takes_next_to_none(folder, suffix):
    path = folder / f"r50x1{suffix}"
    for act in (lambda: files.check(path, **NET), lambda: weights.sha256(path)):
        _, _, most = peak(act)
        assert most < 0.05 * path.stat().st_size
