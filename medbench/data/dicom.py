"""DICOM files as arrays of bytes, as a radiologist's screen would show them; and their plain tags.

Everything that knows DICOM is here, pydicom included; no cohort, no resizing, no other format.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medbench.data.limits import MAX_BYTES, MAX_PIXELS, damaged, quietly, too_many_bytes, too_many_pixels
from medbench.errors import MedbenchError

if TYPE_CHECKING:
    from pydicom import Dataset

_NATIVE: dict[
    tuple[bool | None, bool | None], str
] = {  # (implicit VR, little endian) -> transfer syntax, for files that do not name theirs
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): "1.2.840.10008.1.2.2",
}
_DEFLATED = "1.2.840.10008.1.2.1.99"
_PIECE = 2**14
"""Deflated bytes at a time; a piece unfolds to some 17 MB at most, 1,032 to 1 (https://zlib.net/zlib_tech.html)."""
_RLE = "1.2.840.10008.1.2.5"
_EXTENDED = "1.2.840.10008.1.2.4.51"
_DECODERS = {
    **dict.fromkeys((*_NATIVE.values(), _DEFLATED), ""),
    "1.2.840.10008.1.2.4.50": "pillow",  # JPEG baseline
    _EXTENDED: "pillow",  # of 8 bits; 12 are read as the lossless kinds are
    "1.2.840.10008.1.2.4.57": "imagecodecs",  # JPEG lossless; no plugin, see `_by_libjpeg_turbo`
    "1.2.840.10008.1.2.4.70": "imagecodecs",
    "1.2.840.10008.1.2.4.80": "pyjpegls",  # JPEG-LS
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",  # JPEG 2000, by its openjpeg plugin
    "1.2.840.10008.1.2.4.91": "pylibjpeg",
    _RLE: "pydicom",
}
"""Transfer syntax -> pydicom's plugin for it, always the same one: else what happens to be installed would
decide on the pixels of lossy files. pyproject.toml says why these."""

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_PALETTE = "PALETTE COLOR"
_SHAPE_TAGS = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)


def has_magic(data: bytes) -> bool:
    """Whether the bytes begin as a DICOM file does: 128 bytes of anything, then `DICM` (PS3.10 7.1)."""
    return data[128:132] == b"DICM"


def decode_dicom(data: bytes, path: Path) -> NDArray[np.uint8]:
    """The one image of a DICOM file, as it is meant to be shown.

    Grey pixels go the way of DICOM PS3.3: rescaled (or through the modality LUT, C.11.1), then through the
    first VOI LUT if there is one, else the first window with its function (C.11.2.1.2), else by the range
    of the pixels: the darkest is 0, the brightest 255, as for 16-bit PNG files. MONOCHROME1 is inverted at
    the end, which is also what a presentation LUT shape of INVERSE asks for. Pixels that only pad the
    picture (C.7.5.1.1.2) are black and count for no range. Only the last step has 8 bits. Windows without
    a width above 0 (for LINEAR at least 1) count as none. Overlays and ICC profiles are not applied, nor
    windows that stand only in functional groups.

    Args:
      data: the whole file. Without a preamble it is read all the same (`images.decode` decides on that).
      path: of the file, for messages.

    Returns:
      (h, w, 1) for grey images, (h, w, 3) for RGB, YBR and palettes; uint8.

    Raises:
      MedbenchError: the `dicom` extra is missing; no image, more than one frame, more than `MAX_PIXELS`
        pixels, more than 16 bits, a transfer syntax of films or none; or damaged.
    """
    with _explained(path), quietly():
        ds = _read(data, path)
        _require_one_image(ds, path)
        pixels = _pixels(ds, path)
        if ds.PhotometricInterpretation not in _GREY:
            return pixels
        lowest, shades = _shades(pixels, ds, path)
    return _painted(pixels, lowest, shades)[..., None]


def header(data: bytes, path: Path) -> tuple[int, int, int]:
    """Width and height in pixels, and the channels (1 or 3) that `decode_dicom` will give; decodes nothing.

    Raises:
      MedbenchError: as `decode_dicom`, as far as the tags before the pixels tell.
    """
    with _explained(path), quietly():
        ds = _read(data, path, stop_before_pixels=True, specific_tags=list(_SHAPE_TAGS))
        _require_one_image(ds, path)
        return ds.Columns, ds.Rows, 1 if ds.PhotometricInterpretation in _GREY else 3


def tags(data: bytes, path: Path, keywords: Sequence[str]) -> dict[str, str]:
    r"""Plain tags by DICOM's keywords, such as `PatientAge`; pixels are not read.

    Args:
      data: the file, or at least its beginning up to the pixels.
      path: of the file, for messages.
      keywords: as in PS3.6.

    Returns:
      Keyword -> the value as text, for every keyword: empty where not recorded, several values joined by `\`
      as DICOM does.

    Raises:
      MedbenchError: the `dicom` extra is missing, or the file is damaged.
    """
    with _explained(path), quietly():
        ds = _read(data, path, stop_before_pixels=True, specific_tags=list(keywords))
        return {keyword: _text(ds.get(keyword)) for keyword in keywords}


def _text(value: Any) -> str:
    if value is None:
        return ""
    many = not isinstance(value, str) and isinstance(value, Sequence)
    return "\\".join(map(str, value)) if many else str(value).strip()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Put whatever pydicom or a decoder raises on damaged bytes, which is nearly anything, into words."""
    try:
        yield
    except MedbenchError:
        raise
    except Exception as error:
        raise damaged(path, error) from error


def _read(data: bytes, path: Path, **options: Any) -> "Dataset":
    try:
        from pydicom import dcmread  # noqa: PLC0415
        from pydicom.uid import UID  # noqa: PLC0415
    except ImportError as error:
        raise _missing(path) from error
    _require_bounded(data, path)
    ds = dcmread(BytesIO(data), force=not has_magic(data), **options)
    if "TransferSyntaxUID" not in ds.file_meta:
        ds.file_meta.TransferSyntaxUID = UID(_NATIVE[ds.original_encoding])
    return ds


def _missing(path: Path) -> MedbenchError:
    return MedbenchError(f"{path}: reading DICOM files takes more: `pip install 'medbench[dicom]'`.")


def _require_bounded(data: bytes, path: Path) -> None:
    """Refuse deflated files that unfold to more than `MAX_BYTES`, which pydicom would do in one piece.

    Where the deflated part begins, pydicom itself is asked, by the steps of its `read_partial`: whatever
    stands before, in forms that PS3.10 7.1 does not allow too, both find the same place.
    """
    from pydicom.filereader import (  # noqa: PLC0415
        _read_command_set_elements,
        _read_file_meta_info,
        read_preamble,
    )

    file = BytesIO(data)
    read_preamble(file, force=not has_magic(data))
    if _read_file_meta_info(file).get("TransferSyntaxUID") != _DEFLATED:
        return
    _read_command_set_elements(file)
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not inflater.eof and (piece := file.read(_PIECE)):
        total += len(inflater.decompress(piece))
        if total > MAX_BYTES:
            raise too_many_bytes(path)


def _require_one_image(ds: "Dataset", path: Path) -> None:
    """Refuse what is no single picture of known layout, before anything is decoded."""
    if "Rows" not in ds or "Columns" not in ds or not ds.Rows or not ds.Columns:
        raise MedbenchError(f"{path}: this DICOM file holds no image. Leave it out of the table.")
    if ds.Rows * ds.Columns > MAX_PIXELS:
        raise too_many_pixels(path)
    frames = int(ds.get("NumberOfFrames") or 1)
    if frames != 1:
        raise MedbenchError(
            f"{path}: {frames} frames, expected 1. Export the frames as files of their own, "
            "or leave it out of the table."
        )
    photometric = ds.get("PhotometricInterpretation")
    samples = 3 if photometric in _COLOUR else 1
    if photometric not in (*_GREY, *_COLOUR, _PALETTE) or ds.SamplesPerPixel != samples:
        raise damaged(
            path, f"photometric interpretation {photometric} of {ds.get('SamplesPerPixel')} samples"
        )
    _require_sound_depth(ds, path)


def _require_sound_depth(ds: "Dataset", path: Path) -> None:
    allocated, stored = ds.BitsAllocated, ds.BitsStored
    if allocated not in (1, 8, 16):
        raise MedbenchError(
            f"{path}: {allocated} bits a pixel, expected up to 16. Export it as an image of 8 to 16 bits."
        )
    high = ds.get("HighBit", stored - 1)
    if not 1 <= stored <= allocated or high != stored - 1:
        raise damaged(
            path,
            f"{stored} bits stored in {allocated}, the highest numbered {high}: they contradict each other",
        )


def _pixels(ds: "Dataset", path: Path) -> NDArray[Any]:
    """Stored values (h, w) of a grey image; (h, w, 3) uint8 of any other."""
    from pydicom.encaps import get_frame  # noqa: PLC0415
    from pydicom.pixels import get_decoder  # noqa: PLC0415

    uid = ds.file_meta.TransferSyntaxUID
    if uid not in _DECODERS:
        raise MedbenchError(f"{path}: transfer syntax {uid.name} is not read. Export it as JPEG 2000 or PNG.")
    if "PixelData" not in ds:
        raise MedbenchError(f"{path}: no pixel data; the file is cut short, or no image. Copy it again.")
    plugin = _DECODERS[uid]
    if uid.is_encapsulated:
        frame = get_frame(ds.PixelData, 0, number_of_frames=1)
        if _require_sound_frame(frame, ds, path) > 8 and uid == _EXTENDED:
            plugin = "imagecodecs"
    else:
        _require_sound_length(ds, path)
    if plugin == "imagecodecs":
        pixels, bits = _by_libjpeg_turbo(frame, ds, path), ds.BitsStored
    else:
        decoder = get_decoder(uid)
        if plugin and plugin not in decoder.available_plugins:
            raise _missing(path)
        pixels, properties = decoder.as_array(ds, index=0, decoding_plugin=plugin)
        bits = int(properties["bits_stored"])
    if ds.PhotometricInterpretation in _GREY:
        return pixels
    if ds.PhotometricInterpretation == _PALETTE:
        return _coloured(pixels, ds)
    return _in_eight_bits(pixels, bits)


def _in_eight_bits(colours: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    return (colours.astype(np.uint32) << 8 >> bits).astype(np.uint8)


def _coloured(pixels: NDArray[Any], ds: "Dataset") -> NDArray[np.uint8]:
    """(h, w, 3) of a palette's (h, w) indices (C.7.6.3.1.5 and .6).

    Plain tables are not left to pydicom, which takes big endian ones for little endian (3.0.2).
    """
    if "RedPaletteColorLookupTableData" not in ds:  # in segments, if at all
        from pydicom.pixels import apply_color_lut  # noqa: PLC0415

        colours = apply_color_lut(pixels, ds)[..., :3]
        return _in_eight_bits(colours, 8 * colours.dtype.itemsize)
    image = np.empty((*pixels.shape, 3), dtype=np.uint8)
    for i, colour in enumerate(("Red", "Green", "Blue")):
        descriptor, data = (ds[f"{colour}PaletteColorLookupTable{part}"] for part in ("Descriptor", "Data"))
        lowest = int(pixels.min())
        indices = np.arange(lowest, int(pixels.max()) + 1)
        entries, bits = _looked_up(indices, descriptor.value, data.value, ds)
        image[..., i] = _painted(pixels, lowest, _in_eight_bits(entries, bits))
    return image


def _require_sound_length(ds: "Dataset", path: Path) -> None:
    """Refuse uncompressed pixels whose length contradicts their number and depth.

    Some devices pad, so that up to a row too many is let pass; a wrong depth doubles the length.
    """
    samples = ds.Rows * ds.Columns * ds.SamplesPerPixel
    if ds.PhotometricInterpretation == "YBR_FULL_422":
        samples = samples * 2 // 3  # two pixels share their colour
    expected = -(-samples * ds.BitsAllocated // 8)
    found = len(ds.PixelData)
    if not expected <= found <= expected + max(1, expected // ds.Rows):
        raise damaged(
            path,
            f"{found:,} bytes of pixels, expected {expected:,} for {ds.Columns} x {ds.Rows} "
            f"with {ds.BitsAllocated} bits",
        )


def _require_sound_frame(frame: bytes, ds: "Dataset", path: Path) -> int:
    """Bits a sample of a compressed image, if its own header agrees with the tags.

    A decoder allocates what the compressed stream claims, whatever the tags say, so both must be looked
    at before. Of the depth only the bytes a sample must agree: archives have files that say 16 bits
    where the stream has 14, and are read rightly all the same (pydicom-data's 693_J2KR.dcm is one).
    """
    if ds.file_meta.TransferSyntaxUID == _RLE:
        return ds.BitsAllocated
    width, height, samples, depth = _claims(frame)
    tagged = (ds.Columns, ds.Rows, ds.SamplesPerPixel)
    if (width, height, samples) != tagged:
        raise damaged(
            path,
            f"the compressed image is {width} x {height} x {samples}, "
            f"its tags say {' x '.join(map(str, tagged))}",
        )
    if depth > ds.BitsAllocated or -(-depth // 8) < -(-ds.BitsStored // 8):
        raise damaged(path, f"the compressed image has {depth} bits, its tags say {ds.BitsStored}")
    if b"\xff\xd9" not in frame[-64:]:  # some decoders fill what is missing with grey and say nothing
        raise damaged(path, "the compressed image has no end")
    return depth


def _claims(frame: bytes) -> tuple[int, int, int, int]:
    """Width, height, samples and bits a sample that a JPEG, JPEG-LS or JPEG 2000 stream begins with.

    Sources: ITU-T T.81 B.2.2 and T.87 C.2.2 (frame header), T.800 A.5.1 (SIZ).
    """
    if frame[:2] == b"\xff\xd8":
        at = 2
        while frame[at : at + 1] == b"\xff":
            marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4], "big")
            if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}):
                height, width = (int.from_bytes(frame[at + i : at + i + 2], "big") for i in (5, 7))
                return width, height, frame[at + 9], frame[at + 4]
            at += 1 if marker == 0xFF else 2 + length
    siz = frame.find(b"\xff\x4f\xff\x51", 0, 2**16)  # bare, or in the boxes of a JP2 file
    if siz >= 0:
        x, y, x0, y0 = (int.from_bytes(frame[siz + i : siz + i + 4], "big") for i in (8, 12, 16, 20))
        return x - x0, y - y0, int.from_bytes(frame[siz + 40 : siz + 42], "big"), (frame[siz + 42] & 127) + 1
    raise ValueError("the compressed image has no header")


def _by_libjpeg_turbo(frame: bytes, ds: "Dataset", path: Path) -> NDArray[Any]:
    """Stored values of lossless JPEG and of extended JPEG with 12 bits; (h, w), or (h, w, 3) in RGB.

    pydicom leaves these to GDCM, which ends the whole process at some damaged files (3.2.6: an exception of
    gdcmJPEGBITSCodec.hxx that nobody catches), and 12 bits to a GPL library alone.
    """
    try:
        from imagecodecs import jpeg8_decode  # noqa: PLC0415
    except ImportError as error:
        raise _missing(path) from error
    if ds.PhotometricInterpretation in _GREY:
        size, unused = ds.BitsAllocated // 8, ds.BitsAllocated - ds.BitsStored
        stored = jpeg8_decode(frame).astype(f"u{size}").view(f"{'ui'[ds.PixelRepresentation]}{size}")
        return stored << unused >> unused  # unused bits are cut off, or filled with the sign
    if ds.PhotometricInterpretation != "RGB":
        raise MedbenchError(
            f"{path}: JPEG of this kind is read in grey and RGB only. Export it as JPEG 2000."
        )
    return jpeg8_decode(frame, colorspace="RGB", outcolorspace="RGB")


def _shades(pixels: NDArray[Any], ds: "Dataset", path: Path) -> tuple[int, NDArray[np.uint8]]:
    """The lowest stored value, and for it and every higher one the shade that is shown.

    A grey pipeline is a function of the stored value, of which there are at most 65,536.
    """
    lowest, highest = int(pixels.min()), int(pixels.max())
    stored = np.arange(lowest, highest + 1)
    padding = _is_padding(stored, ds, pixels.dtype)
    shown = _occurs(pixels, lowest, len(stored)) & ~padding
    if not shown.any():
        return lowest, np.zeros(len(stored), dtype=np.uint8)
    values = _rescaled(stored, ds)
    if ds.get("VOILUTSequence"):
        table = ds.VOILUTSequence[0]
        entries, bits = _looked_up(values, table.LUTDescriptor, table.LUTData, ds)
        shades = _rounded(entries * (255 / (2**bits - 1)))
    elif (window := _window(ds, path)) is not None:
        shades = _rounded(windowed(values, *window))
    else:
        low, high = values[shown].min(), values[shown].max()
        shades = np.clip((values - low) * 255 // max(high - low, 1e-300), 0, 255).astype(np.uint8)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        shades = 255 - shades
    shades[padding] = 0
    return lowest, shades


def _rounded(shades: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.floor(shades + 0.5), 0, 255).astype(np.uint8)


def _is_padding(stored: NDArray[np.int64], ds: "Dataset", dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    """Which stored values only pad the picture: one, or a range whose ends come in either order."""
    padding = ds.get("PixelPaddingValue")
    if padding is None:
        return np.zeros(len(stored), dtype=np.bool_)
    # some files write a signed value as unsigned; the pixels' own type tells what is meant
    ends = np.array([padding, ds.get("PixelPaddingRangeLimit", padding)], dtype=np.int64).astype(dtype)
    return (stored >= ends.min()) & (stored <= ends.max())


def _occurs(pixels: NDArray[Any], lowest: int, n: int) -> NDArray[np.bool_]:
    """(n,) whether `lowest` and each higher stored value occurs; row by row, to need no second image."""
    occurs = np.zeros(n, dtype=np.bool_)
    for row in pixels:
        occurs[row.astype(np.int64) - lowest] = True
    return occurs


def _painted(pixels: NDArray[Any], lowest: int, shades: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image (h, w) with the shade of each stored value."""
    image = np.empty(pixels.shape, dtype=np.uint8)
    for i, row in enumerate(pixels):
        image[i] = shades[row.astype(np.int64) - lowest]
    return image


def _rescaled(stored: NDArray[np.int64], ds: "Dataset") -> NDArray[np.float64]:
    """Stored values in the modality's own units (C.11.1)."""
    if ds.get("ModalityLUTSequence"):
        table = ds.ModalityLUTSequence[0]
        return _looked_up(stored, table.LUTDescriptor, table.LUTData, ds)[0].astype(np.float64)
    slope, intercept = _first(ds, "RescaleSlope"), _first(ds, "RescaleIntercept")
    with np.errstate(over="ignore"):
        values = np.asarray(stored * (1 if slope is None else slope) + (intercept or 0), dtype=np.float64)
    if slope == 0 or not np.isfinite(values).all():
        raise ValueError(f"a rescale slope of {slope:g} leaves nothing of the pixels")
    return values


def _looked_up(
    values: NDArray[Any], descriptor: Sequence[int], data: Any, ds: "Dataset"
) -> tuple[NDArray[Any], int]:
    """What a look-up table makes of values, and its bits (C.11.1.1, C.11.2.1.1).

    Args:
      values: what is looked up; below and above the table they get its first and last entry.
      descriptor: number of entries (0 for 65,536), value of the first, bits of an entry.
      data: entries as numbers, or as bytes of 8 or 16 bits each.
      ds: knows the order of bytes.
    """
    n, first, bits = descriptor
    n = n & 0xFFFF or 65_536
    if isinstance(data, bytes):
        order = "<" if ds.original_encoding[1] else ">"
        entries = np.frombuffer(data, dtype=f"{order}u2" if len(data) >= 2 * n else np.uint8)
    else:
        entries = np.asarray(data)
    if len(entries) < n or not 1 <= bits <= 16:
        raise ValueError(f"a look-up table has {len(entries)} entries of {bits} bits, expected {n}")
    return entries[np.clip(np.floor(values) - first, 0, n - 1).astype(np.int64)], bits


def _window(ds: "Dataset", path: Path) -> tuple[float, float, str] | None:
    """Centre, width and function of the first window, if there is a valid one."""
    centre, width = _first(ds, "WindowCenter"), _first(ds, "WindowWidth")
    function = str(ds.get("VOILUTFunction") or "LINEAR")
    if function not in {"LINEAR", "LINEAR_EXACT", "SIGMOID"}:
        raise damaged(path, f"VOI LUT function {function}, expected LINEAR, LINEAR_EXACT or SIGMOID")
    if centre is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return None
    return centre, width, function


def windowed(values: NDArray[np.float64], centre: float, width: float, function: str) -> NDArray[np.float64]:
    """Values in [0, 255] as a window shows them (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Args:
      values: rescaled pixels.
      centre: of the window, in the same units.
      width: of the window, above 0.
      function: LINEAR, LINEAR_EXACT or SIGMOID.
    """
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # far below the window, exp is infinite and the shade 0
            return np.asarray(255 / (1 + np.exp(-4 * (values - centre) / width)), dtype=np.float64)
    if function == "LINEAR":  # between the centres of the first and the last value, not their outer edges
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return np.where(values > centre, 255.0, 0.0)
    linear: NDArray[np.float64] = np.clip((values - centre) / width + 0.5, 0, 1) * 255
    return linear


def _first(ds: "Dataset", keyword: str) -> float | None:
    """The first value of a tag as a number, if there is one."""
    value = ds.get(keyword)
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = value[0] if value else None
    if value is None or value == "":
        return None
    number = float(value)
    return number if np.isfinite(number) else None
