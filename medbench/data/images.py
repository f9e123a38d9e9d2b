"""Image files as arrays of bytes: PNG, JPEG and DICOM as scanners, cameras and archives write them.

Nothing here knows cohorts; every failure is one message that names the file.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from medbench.data import dicom
from medbench.data.limits import MAX_BYTES, MAX_PIXELS, damaged, quietly, too_many_bytes, too_many_pixels
from medbench.errors import MedbenchError
from medbench.spec.runs import Aspect

_FORMATS = ("PNG", "JPEG")
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff")
DICOM_SUFFIXES = (".dcm", ".dicom")
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_GREY = ("1", "L", "LA", "La", *_DEEP)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a PNG, JPEG or DICOM file; which of them it is, its content tells and not its name.

    Camera orientation (EXIF) is applied, transparency is laid on black, palettes and CMYK become RGB.
    A 16-bit grey image is scaled by its own range: its darkest pixel to 0, its brightest to 255,
    because 10-, 12- and 14-bit films are stored in 16 bits and would come out black otherwise.
    DICOM files are shown by their own windows, see `medbench.data.dicom.decode_dicom`. Old ones without
    preamble, which nothing tells from noise, are read if they are called `.dcm` or `.dicom`.

    Returns:
      (h, w, 1) for grey files, (h, w, 3) for all others; uint8.

    Raises:
      MedbenchError: missing, no regular file, no image of these formats, damaged, or more than `MAX_PIXELS`
        pixels or `MAX_BYTES` bytes.
    """
    return decode(read_file(path), path)


def decode(data: bytes, path: Path) -> NDArray[np.uint8]:
    """As `read_image`, from the file's bytes; `path` is for messages."""
    if _is_dicom(data, path):
        return dicom.decode_dicom(data, path)
    try:
        with _open(data, path) as image:
            return _to_bytes(ImageOps.exif_transpose(image))
    except MedbenchError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged bytes, SyntaxError included
        raise damaged(path, error) from error


def read_header(data: bytes, path: Path) -> tuple[int, int, int]:
    """Width and height in pixels, and the channels (1 or 3) that `decode` will give; decodes nothing.

    Raises:
      MedbenchError: no image of the known formats, damaged in its header, or more than `MAX_PIXELS` pixels.
    """
    if _is_dicom(data, path):
        return dicom.header(data, path)
    with _open(data, path) as image:
        return image.width, image.height, 1 if image.mode in _GREY else 3


def resize(image: NDArray[np.uint8], size: int, aspect: Aspect = "squashed") -> NDArray[np.uint8]:
    """Scale an (h, w, 1 or 3) image to (size, size, 1 or 3), bilinear with antialiasing.

    Args:
      image: grey or colour.
      size: of the square, in pixels.
      aspect: `squashed` as in BiT's transfers, nothing cut off and nothing padded; `kept` scales the longer
        side to `size` and centres the image on black.
    """
    height, width = image.shape[:2]
    if aspect == "squashed":
        return _scaled(image, size, size)
    longer = max(height, width)
    tall, wide = (max(1, round(side * size / longer)) for side in (height, width))
    square = np.zeros((size, size, image.shape[2]), dtype=np.uint8)
    top, left = (size - tall) // 2, (size - wide) // 2
    square[top : top + tall, left : left + wide] = _scaled(image, tall, wide)
    return square


def _scaled(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    if image.shape[:2] == (height, width):
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    small = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return small.reshape(height, width, image.shape[2])


def read_file(path: Path) -> bytes:
    """The bytes of a regular file; a pipe or a device, which may never end, is not opened.

    Raises:
      MedbenchError: missing, no regular file, more than `MAX_BYTES`, or not to be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise MedbenchError(f"{path}: not a regular file. Put the image itself there.")
        if path.exists() and path.stat().st_size > MAX_BYTES:
            raise too_many_bytes(path)
        return path.read_bytes()
    except OSError as error:
        raise MedbenchError(f"{path}: image cannot be read ({error.strerror}).") from error


def _is_dicom(data: bytes, path: Path) -> bool:
    named = path.suffix.lower() in DICOM_SUFFIXES and not data.startswith(_MAGIC)
    return bool(data) and (dicom.has_magic(data) or named)


def _open(data: bytes, path: Path) -> Image.Image:
    if not data:
        raise MedbenchError(f"{path}: the file is empty. Copy it again from its source.")
    try:
        with quietly():  # of a decompression bomb, which is refused below
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.UnidentifiedImageError as error:
        raise MedbenchError(
            f"{path}: not a PNG, JPEG or DICOM image (or damaged from its first bytes). Convert it to PNG."
        ) from error
    except Image.DecompressionBombError as error:
        raise too_many_pixels(path) from error
    except Exception as error:  # see `decode`
        raise damaged(path, error) from error
    if image.width * image.height > MAX_PIXELS:
        raise too_many_pixels(path)
    return image


def _to_bytes(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in _DEEP:
        return _scale_by_range(np.asarray(image))[..., None]
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image.convert("RGBA")).convert(
            "L" if image.mode in _GREY else "RGB"
        )
    return np.atleast_3d(np.asarray(image.convert("L" if image.mode in _GREY else "RGB")))


def _scale_by_range(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    values = pixels.astype(np.int64)
    low, span = values.min(), max(1, values.max() - values.min())
    return ((values - low) * 255 // span).astype(np.uint8)
