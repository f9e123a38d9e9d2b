"""Image files as arrays of bytes: PNG and JPEG as scanners, cameras and archives write them.

Nothing here knows cohorts; every failure is one message that names the file.
"""

import io
import threading
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from medbench.errors import MedbenchError

MAX_PIXELS = 80_000_000
"""Larger images are refused: a few bytes of PNG can claim gigapixels. A digital mammogram has 25 million."""

_FORMATS = ("PNG", "JPEG")
_FILTERS = threading.Lock()  # warning filters are the process's, and images are opened by many threads
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_GREY = ("1", "L", "LA", "La", *_DEEP)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a PNG or JPEG file.

    Camera orientation (EXIF) is applied, transparency is laid on black, palettes and CMYK become RGB.
    A 16-bit grey image is scaled by its own range: its darkest pixel to 0, its brightest to 255,
    because 10-, 12- and 14-bit films are stored in 16 bits and would come out black otherwise.

    Returns:
      (h, w, 1) for grey files, (h, w, 3) for all others; uint8.

    Raises:
      MedbenchError: missing, no regular file, not PNG or JPEG, damaged, or more than `MAX_PIXELS` pixels.
    """
    return decode(read_file(path), path)


def decode(data: bytes, path: Path) -> NDArray[np.uint8]:
    """As `read_image`, from the file's bytes; `path` is for messages."""
    try:
        with _open(data, path) as image:
            return _to_bytes(ImageOps.exif_transpose(image))
    except MedbenchError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged bytes, SyntaxError included
        raise _damaged(path, error) from error


def read_header(data: bytes, path: Path) -> tuple[int, int, int]:
    """Width and height in pixels, and the channels (1 or 3) that `decode` will give; decodes nothing.

    Raises:
      MedbenchError: not PNG or JPEG, damaged in its header, or more than `MAX_PIXELS` pixels.
    """
    with _open(data, path) as image:
        return image.width, image.height, 1 if image.mode in _GREY else 3


def resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Squash an (h, w, 1 or 3) image to (size, size, 1 or 3), bilinear with antialiasing.

    The aspect ratio is not kept, as in BiT's transfers: nothing is cut off and nothing is padded.
    """
    if image.shape[:2] == (size, size):
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    small = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    return small.reshape(size, size, image.shape[2])


def read_file(path: Path) -> bytes:
    """The bytes of a regular file; a pipe or a device, which may never end, is not opened.

    Raises:
      MedbenchError: missing, no regular file, or not to be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise MedbenchError(f"{path}: not a regular file. Put the image itself there.")
        return path.read_bytes()
    except OSError as error:
        raise MedbenchError(f"{path}: image cannot be read ({error.strerror}).") from error


def _open(data: bytes, path: Path) -> Image.Image:
    if not data:
        raise MedbenchError(f"{path}: the file is empty. Copy it again from its source.")
    too_large = f"{path}: more than {MAX_PIXELS:,} pixels. Export it smaller, or leave it out of the table."
    try:
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.UnidentifiedImageError as error:
        raise MedbenchError(
            f"{path}: not a PNG or JPEG image (or damaged from its first bytes). Convert it to PNG."
        ) from error
    except Image.DecompressionBombError as error:
        raise MedbenchError(too_large) from error
    except Exception as error:  # see `decode`
        raise _damaged(path, error) from error
    if image.width * image.height > MAX_PIXELS:
        raise MedbenchError(too_large)
    return image


def _damaged(path: Path, error: Exception) -> MedbenchError:
    return MedbenchError(f"{path}: damaged image ({error}). Copy it again from its source.")


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
