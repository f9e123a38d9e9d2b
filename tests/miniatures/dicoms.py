"""Mammograms as DICOM files, in the transfer syntaxes that the public sets use.

pydicom writes them and compresses JPEG 2000; it has no encoder of lossless JPEG, so one stands here.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    generate_uid,
)

MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"
"""SOP class: digital mammography X-ray image, for presentation."""

Grey16 = NDArray[np.uint16]


def mammogram(name: str, tags: dict[str, object]) -> Dataset:
    """The header of a mammogram without its pixels; tags by keyword come last."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = MAMMOGRAM
    header.SOPInstanceUID = generate_uid(entropy_srcs=[name])
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.Modality = "MG"
    for keyword, value in tags.items():
        setattr(header, keyword, value)
    return header


def set_pixels(header: Dataset, grey: NDArray[np.float32], *, bits: int, photometric: str) -> None:
    """Give the header a picture of grey values in [0, 1], where 1 is what shines on the screen."""
    top = 2**bits - 1
    stored = np.round(grey * top).astype(np.uint16)
    if photometric == "MONOCHROME1":
        stored = (top - stored).astype(np.uint16)
    header.Rows, header.Columns = stored.shape
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = photometric
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, bits, bits - 1
    header.PixelRepresentation = 0
    header.PixelData = stored.tobytes()
    header["PixelData"].VR = "OW"


def save(header: Dataset, path: Path, syntax: str) -> None:
    """Write it in a transfer syntax: one of the two plain ones, JPEG 2000 or lossless JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax == JPEG2000Lossless:
        header.compress(JPEG2000Lossless, generate_instance_uid=False)
    elif syntax == JPEGLosslessSV1:
        stored = np.frombuffer(header.PixelData, np.uint16).reshape(header.Rows, header.Columns)
        header.PixelData = encapsulate([lossless_jpeg(stored, header.BitsStored)])
        header["PixelData"].VR, header["PixelData"].is_undefined_length = "OB", True
    elif syntax not in {ExplicitVRLittleEndian, ImplicitVRLittleEndian}:
        raise ValueError(f"no encoder of transfer syntax {syntax}")
    header.file_meta.TransferSyntaxUID = syntax
    header.save_as(path, enforce_file_format=True)


def lossless_jpeg(stored: Grey16, bits: int) -> bytes:
    """A grey picture as lossless JPEG: process 14, selection value 1 (ITU-T T.81, annex H).

    Every pixel is told as its difference from its left neighbour (the first of a row from the one above):
    five bits for the difference's length, all Huffman codes being equally long, then so many bits for itself.

    Args:
      stored: (height, width) values below 2**bits.
      bits: precision, 2 to 16.

    Returns:
      A whole JPEG file.
    """
    left = np.empty(stored.shape, np.int64)
    left[:, 1:] = stored[:, :-1]
    left[1:, 0] = stored[:-1, 0]
    left[0, 0] = 1 << (bits - 1)
    difference = (stored - left + 2**15) % 2**16 - 2**15
    size = np.where(difference == -(2**15), 16, np.frexp(np.abs(difference).astype(float))[1])
    own = np.where(size == 16, 0, size)
    code = (size << own) | ((difference - (difference < 0)) & ((1 << own) - 1))
    height, width = stored.shape
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xC3, [bits, *divmod(height, 256), *divmod(width, 256), 1, 1, 0x11, 0]),
            segment(0xC4, [0, *(17 if length == 5 else 0 for length in range(1, 17)), *range(17)]),
            segment(0xDA, [1, 1, 0, 1, 0, 0]),
            packed(code.ravel(), (5 + own).ravel()),
            b"\xff\xd9",
        ]
    )


def segment(marker: int, content: list[int]) -> bytes:
    """A marker segment with its length."""
    return bytes([0xFF, marker, *divmod(len(content) + 2, 256), *content])


def packed(codes: NDArray[np.int64], lengths: NDArray[np.int64]) -> bytes:
    """Codes of the given lengths one after another, filled up with ones; a zero byte follows each 0xff."""
    place = np.arange(lengths.max())
    back = lengths[:, None] - 1 - place
    bit = (codes[:, None] >> np.maximum(back, 0)) & 1
    stream = bit[back >= 0].astype(np.uint8)
    stream = np.concatenate([stream, np.ones(-len(stream) % 8, np.uint8)])
    return np.packbits(stream).tobytes().replace(b"\xff", b"\xff\x00")
