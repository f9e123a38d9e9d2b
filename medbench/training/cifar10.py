"""CIFAR-10 from the official binary files, or from an archive of JPEG copies; no other format.

What upstreams of the embedded tier are pre-trained on (Krizhevsky 2009).
"""

import io
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medbench.errors import MedbenchError

CLASSES = 10
SIZE = 32
_BINARY_FOLDER = "cifar-10-batches-bin"
_TRAIN_FILES = [f"data_batch_{i}.bin" for i in range(1, 6)]
_TEST_FILE = "test_batch.bin"
_RECORD_BYTES = 1 + 3 * SIZE * SIZE
_JPEG_FILE = "cifar10_jpeg.npz"


@dataclass(frozen=True)
class Photographs:
    """Labelled photographs with an official test set.

    Attributes:
      source: which copy of the data this is, in words.
      images, test_images: (n, 32, 32, 3) uint8.
      labels, test_labels: (n,) int64 in [0, 10).
    """

    source: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


def read_cifar10(folder: Path) -> Photographs:
    """CIFAR-10 from a folder, in the order of its files.

    The folder holds either the official binary version (`data_batch_1.bin` to `data_batch_5.bin`
    and `test_batch.bin`, directly or in `cifar-10-batches-bin/`), or `cifar10_jpeg.npz` with arrays
    `{train,test}_jpeg` (all files one after the other), `_offsets` (n + 1) and `_labels` (n).

    Raises:
      MedbenchError: neither is there, or a file is damaged; the message names it.
    """
    for place in (folder, folder / _BINARY_FOLDER):
        if (place / _TEST_FILE).is_file():
            return _read_binary(place)
    if (folder / _JPEG_FILE).is_file():
        return _read_jpeg(folder / _JPEG_FILE)
    raise MedbenchError(
        f"{folder}: no CIFAR-10 here. Expected {_TRAIN_FILES[0]} to {_TRAIN_FILES[-1]} and {_TEST_FILE} "
        f"(the official binary version, unpacked), or {_JPEG_FILE}."
    )


def _read_binary(folder: Path) -> Photographs:
    parts = [_read_batch(folder / name) for name in _TRAIN_FILES]
    test_images, test_labels = _read_batch(folder / _TEST_FILE)
    return Photographs(
        source="official binary version",
        images=np.concatenate([images for images, _ in parts]),
        labels=np.concatenate([labels for _, labels in parts]),
        test_images=test_images,
        test_labels=test_labels,
    )


def _read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Records of one label byte and 3,072 pixel bytes, planes of red, green and blue in turn."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise MedbenchError(f"{path}: cannot be read ({error.strerror}). Unpack CIFAR-10 again.") from error
    if data.size == 0 or data.size % _RECORD_BYTES:
        raise MedbenchError(
            f"{path}: {data.size} bytes, expected a multiple of {_RECORD_BYTES}. Unpack CIFAR-10 again."
        )
    records = data.reshape(-1, _RECORD_BYTES)
    planes = records[:, 1:].reshape(-1, 3, SIZE, SIZE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), _checked_labels(path, records[:, 0])


def _read_jpeg(path: Path) -> Photographs:
    try:
        # Opened here, since numpy leaves a file open that it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            images, labels = _decode(path, archive, "train")
            test_images, test_labels = _decode(path, archive, "test")
    except MedbenchError:
        raise
    except Exception as error:  # zipfile, numpy and Pillow raise a dozen kinds for damaged bytes
        raise MedbenchError(
            f"{path}: damaged or not the expected archive ({error}). Copy it again."
        ) from error
    return Photographs("JPEG copies, lossy", images, labels, test_images, test_labels)


def _decode(
    path: Path, archive: Mapping[str, Any], split: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    files, offsets = archive[f"{split}_jpeg"], archive[f"{split}_offsets"]
    images = np.empty((len(offsets) - 1, SIZE, SIZE, 3), np.uint8)
    for i, (begin, end) in enumerate(itertools.pairwise(offsets)):
        with Image.open(io.BytesIO(files[begin:end].tobytes())) as image:
            images[i] = np.asarray(image.convert("RGB"))
    return images, _checked_labels(path, archive[f"{split}_labels"])


def _checked_labels(path: Path, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    if labels.max() >= CLASSES:
        raise MedbenchError(f"{path}: label {labels.max()}, expected 0 to {CLASSES - 1}. Is this CIFAR-10?")
    return labels.astype(np.int64)
