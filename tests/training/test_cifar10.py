"""CIFAR-10 from both kinds of file, and one clear message for a folder that holds neither."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medbench.errors import MedbenchError
from medbench.training import cifar10
from medbench.training.cifar10 import read_cifar10

REAL = Path(os.environ.get("MEDBENCH_TEST_IMAGES", Path(__file__).parents[3] / "shared" / "data")) / "cifar10"


def pictures(n, seed):
    """Smooth images, which JPEG hardly changes."""
    corners = np.random.default_rng(seed).integers(256, size=(n, 2, 2, 3), dtype=np.uint8)
    resized = [Image.fromarray(c).resize((32, 32), Image.Resampling.BILINEAR) for c in corners]
    return np.stack([np.asarray(image) for image in resized])


IMAGES, LABELS = pictures(11, 0), np.arange(11) % 10


def write_binary(folder: Path):
    """As https://www.cs.toronto.edu/~kriz/cifar.html describes: label, then red, green and blue planes."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [
        bytes([label]) + b"".join(image[:, :, colour].tobytes() for colour in range(3))
        for image, label in zip(IMAGES, LABELS, strict=True)
    ]
    for i in range(5):
        (folder / f"data_batch_{i + 1}.bin").write_bytes(b"".join(records[2 * i : 2 * i + 2]))
    (folder / "test_batch.bin").write_bytes(records[10])


def write_jpeg(path: Path):
    files = []
    for image in IMAGES:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=95)
        files.append(buffer.getvalue())
    arrays = {}
    for split, part in (("train", slice(0, 10)), ("test", slice(10, 11))):
        arrays[f"{split}_jpeg"] = np.frombuffer(b"".join(files[part]), np.uint8)
        arrays[f"{split}_offsets"] = np.cumsum([0, *map(len, files[part])])
        arrays[f"{split}_labels"] = LABELS[part].astype(np.uint8)
    np.savez(path, **arrays)


def test_the_official_binary_files_are_read_to_the_pixel(tmp_path):
    write_binary(tmp_path)
    photographs = read_cifar10(tmp_path)
    np.testing.assert_array_equal(photographs.images, IMAGES[:10])
    np.testing.assert_array_equal(photographs.labels, LABELS[:10])
    np.testing.assert_array_equal(photographs.test_images, IMAGES[10:])
    np.testing.assert_array_equal(photographs.test_labels, LABELS[10:])


def test_the_folder_that_the_official_archive_unpacks_to_is_found(tmp_path):
    write_binary(tmp_path / "cifar-10-batches-bin")
    assert len(read_cifar10(tmp_path).images) == 10


def test_jpeg_copies_show_the_same_pictures(tmp_path):
    write_jpeg(tmp_path / "cifar10_jpeg.npz")
    photographs = read_cifar10(tmp_path)
    assert np.abs(photographs.images.astype(int) - IMAGES[:10]).mean() < 3
    np.testing.assert_array_equal(photographs.labels, LABELS[:10])
    assert photographs.test_images.shape == (1, 32, 32, 3)


def test_a_folder_without_cifar10_says_what_was_expected(tmp_path):
    with pytest.raises(MedbenchError, match=r"no CIFAR-10 here.*data_batch_1\.bin.*cifar10_jpeg\.npz"):
        read_cifar10(tmp_path)


def test_a_missing_batch_is_named(tmp_path):
    write_binary(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(MedbenchError, match=r"data_batch_3\.bin: cannot be read"):
        read_cifar10(tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 3072, 3074, 6145])
def test_a_truncated_batch_is_named_with_its_size(tmp_path, keep):
    write_binary(tmp_path)
    batch = tmp_path / "data_batch_5.bin"
    batch.write_bytes(batch.read_bytes()[:keep])
    with pytest.raises(MedbenchError, match=rf"data_batch_5\.bin: {keep} bytes, expected a multiple of 3073"):
        read_cifar10(tmp_path)


def test_labels_of_another_data_set_are_refused(tmp_path):
    write_binary(tmp_path)
    batch = tmp_path / "data_batch_1.bin"
    batch.write_bytes(bytes([99]) + batch.read_bytes()[1:])
    with pytest.raises(MedbenchError, match=r"data_batch_1\.bin: label 99"):
        read_cifar10(tmp_path)


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_a_damaged_archive_is_named(tmp_path, keep):
    path = tmp_path / "cifar10_jpeg.npz"
    write_jpeg(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MedbenchError, match=r"cifar10_jpeg\.npz: damaged"):
        read_cifar10(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="no folder of real images; MEDBENCH_TEST_IMAGES names one")
def test_the_real_copies_are_complete_and_balanced():
    path = REAL / "cifar10_jpeg.npz"
    with np.load(path) as archive:
        images, labels = cifar10._decode(path, archive, "test")
        assert np.bincount(archive["train_labels"]).tolist() == [5_000] * 10
    assert images.shape == (10_000, 32, 32, 3)
    assert np.bincount(labels).tolist() == [1_000] * 10
