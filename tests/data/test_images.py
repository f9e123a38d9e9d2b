import io
import os
import struct
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medbench.data.images import MAX_BYTES, MAX_PIXELS, decode, read_header, read_image, resize
from medbench.errors import MedbenchError

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(image: Image.Image, kind: str = "PNG", **options) -> np.ndarray:
    data = encoded(image, kind, **options)
    pixels = decode(data, Path("film.png"))
    assert read_header(data, Path("film.png"))[2] == pixels.shape[2], "header and pixels disagree on channels"
    assert pixels.dtype == np.uint8
    return pixels


def png(width: int, height: int) -> bytes:
    """A PNG file by hand that claims a size and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def test_a_grey_png_keeps_its_values_and_has_one_channel():
    assert (read(Image.fromarray(GREY))[..., 0] == GREY).all()


def test_a_colour_png_keeps_its_values():
    assert (read(Image.fromarray(COLOUR)) == COLOUR).all()


def test_a_jpeg_is_read_nearly_as_it_was():
    smooth = np.linspace(0, 255, 64, dtype=np.uint8)[None, :].repeat(64, axis=0)
    pixels = read(Image.fromarray(smooth), "JPEG", quality=95)
    assert pixels.shape == (64, 64, 1)
    assert np.abs(pixels[..., 0].astype(int) - smooth).max() <= 4


def test_sixteen_bits_are_scaled_by_the_range_that_is_used():
    twelve_bit = np.array([[100, 1123], [2147, 4195]], dtype=np.uint16)
    expected = np.floor((twelve_bit - 100.0) / 4095 * 255)
    assert read(Image.fromarray(twelve_bit))[..., 0].tolist() == expected.tolist()


@pytest.mark.parametrize("value", [0, 40_000, 65_535])
def test_a_sixteen_bit_image_of_one_value_is_black(value):
    assert not read(Image.fromarray(np.full((4, 4), value, dtype=np.uint16))).any()


def test_a_palette_becomes_colour():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putdata([0, 1])
    assert read(image).tolist() == [[[10, 20, 30], [200, 100, 0]]]


def test_what_is_transparent_is_black():
    rgba = np.dstack([COLOUR, np.where(GREY > 100, 255, 0).astype(np.uint8)])
    expected = COLOUR * (GREY > 100)[..., None]
    assert (read(Image.fromarray(rgba)) == expected).all()


def test_a_grey_image_with_transparency_stays_grey():
    grey_alpha = np.dstack([GREY, np.where(GREY > 100, 255, 0).astype(np.uint8)])
    assert (read(Image.fromarray(grey_alpha))[..., 0] == GREY * (GREY > 100)).all()


def test_a_transparent_palette_entry_is_black():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putdata([0, 1])
    assert read(image, transparency=1).tolist() == [[[10, 20, 30], [0, 0, 0]]]


def test_one_bit_becomes_black_and_white():
    assert read(Image.fromarray(GREY > 100))[..., 0].tolist() == np.where(GREY > 100, 255, 0).tolist()


def test_cmyk_becomes_colour():
    white = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    assert read(white, "JPEG").min() >= 250
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(read(red, "JPEG").astype(int).mean((0, 1)) - [255, 0, 0]).max() < 10


def test_cmyk_as_photoshop_writes_it_is_not_taken_for_its_negative():
    ink = np.zeros((8, 8, 4), dtype=np.uint8)
    ink[..., :] = 0, 255, 255, 0  # red
    data = encoded(Image.fromarray(ink, "CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data, "the mark of inverted inks"
    assert np.abs(decode(data, Path("skin.jpg")).astype(int) - [255, 0, 0]).max() <= 6


def test_cmyk_in_ycck_is_read_by_the_formula_of_jfif():
    # Adobe's mark says 2: the first three inks are stored as YCbCr, of which JFIF gives the inverse
    stored = np.array([180, 90, 160, 230], dtype=np.uint8)  # Y, Cb, Cr and inverted black
    data = encoded(
        Image.fromarray(np.broadcast_to(255 - stored, (8, 8, 4)).copy(), "CMYK"), "JPEG", quality=100
    )
    mark = data.index(b"Adobe") + 11
    assert data[mark] == 0
    y, cb, cr, k = stored.astype(float)
    rgb = y + np.array(
        [1.402 * (cr - 128), -0.344136 * (cb - 128) - 0.714136 * (cr - 128), 1.772 * (cb - 128)]
    )
    cmyk_data = data[:mark] + b"\2" + data[mark + 1 :]
    found = decode(cmyk_data, Path("skin.jpg"))[0, 0].astype(float)
    # libjpeg's CMYK of YCCK is 255 - RGB; inverted inks, so each colour is (255 - ink) * (255 - black) / 255
    assert np.abs(found - (255 - rgb) * k / 255).max() <= 3


def test_an_interlaced_png_is_read():
    assert (decode(interlaced(GREY), Path("film.png"))[..., 0] == GREY).all()


def interlaced(grey: np.ndarray) -> bytes:
    """An Adam7 PNG by hand, as PNG (Third Edition) 8.2 describes its seven passes."""
    rows = b""
    for top, left, down, right in (
        *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
        *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
    ):
        for row in grey[top::down, left::right]:
            rows += b"\0" + row.tobytes() if len(row) else b""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 1)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_a_file_of_too_many_bytes_is_not_read(tmp_path):
    with (tmp_path / "film.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(MedbenchError, match="more than 1,073,741,824 bytes"):
        read_image(tmp_path / "film.png")


def test_the_orientation_that_a_camera_noted_is_applied():
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned by a quarter
    assert (read(Image.fromarray(COLOUR), exif=exif) == np.rot90(COLOUR, -1)).all()


def test_the_header_tells_the_size():
    assert read_header(encoded(Image.fromarray(COLOUR)), Path("a.png")) == (8, 6, 3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"hello, I am no image", "not a PNG, JPEG or DICOM image"),
        (encoded(Image.fromarray(GREY), "BMP"), "not a PNG, JPEG or DICOM image"),
        (encoded(Image.fromarray(GREY), "GIF"), "not a PNG, JPEG or DICOM image"),
        (encoded(Image.fromarray(COLOUR))[:-40], "damaged image"),
        (encoded(Image.fromarray(COLOUR.repeat(20, axis=0)), "JPEG")[:-200], "damaged"),
        (png(20_000, 10_000), "more than 80,000,000 pixels"),
        (png(9_000, 9_000), "more than 80,000,000 pixels"),
        (png(9_800, 9_800), "more than 80,000,000 pixels"),
    ],
    ids=["empty", "text", "bmp", "gif", "cut png", "cut jpeg", "bomb", "just over", "where PIL only warns"],
)
def test_a_file_that_is_no_whole_image_is_named_with_the_reason(tmp_path, data, words):
    path = tmp_path / "film.png"
    path.write_bytes(data)
    with pytest.raises(MedbenchError, match=words) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MedbenchError, match=r"gone\.png: image cannot be read \(No such file"):
        read_image(tmp_path / "gone.png")


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path):
    path = tmp_path / "film.png"
    os.mkfifo(path)
    with pytest.raises(MedbenchError, match=r"film\.png: not a regular file"):
        read_image(path)


@pytest.mark.parametrize("place", ["/dev/zero", "/"])
def test_a_link_to_a_device_or_a_folder_is_not_read(tmp_path, place):
    path = tmp_path / "film.png"
    path.symlink_to(place)
    with pytest.raises(MedbenchError, match=r"film\.png: not a regular file"):
        read_image(path)


def test_a_link_to_an_image_is_read(tmp_path):
    (tmp_path / "store.png").write_bytes(encoded(Image.fromarray(GREY)))
    (tmp_path / "film.png").symlink_to(tmp_path / "store.png")
    assert (read_image(tmp_path / "film.png")[..., 0] == GREY).all()


def test_of_an_image_that_is_too_large_nothing_but_our_message_is_told():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(MedbenchError, match="more than 80,000,000 pixels"):
            decode(png(9_800, 9_800), Path("film.png"))
    assert not told


def test_the_limit_leaves_room_for_a_full_field_mammogram():
    assert 3_328 * 4_096 < 4_915 * 5_892 < MAX_PIXELS


WHOLE = {
    kind: encoded(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 9, 3), dtype=np.uint8)), kind
    )
    for kind in ("PNG", "JPEG")
}


@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_damaged_bytes_give_an_image_or_a_medbench_error_and_nothing_else(kind, data):
    damaged = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    with suppress(MedbenchError):
        pixels = decode(bytes(damaged), Path("film.png"))
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] in {1, 3}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(7, 31), (64, 64), (100, 20), (1, 1)])
def test_resizing_squashes_to_a_square_and_keeps_the_channels(channels, shape):
    flat = np.full((*shape, channels), 77, dtype=np.uint8)
    assert (resize(flat, 16) == np.full((16, 16, channels), 77)).all()


def test_resizing_keeps_the_mean_because_it_is_antialiased():
    checkers = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None]
    small = resize(checkers, 16)[2:-2, 2:-2]
    assert np.abs(small.astype(int) - 127).max() <= 8


def test_an_image_of_the_right_size_is_left_alone():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert (resize(image, 16) == image).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("shape", "where"), [((20, 40), (4, 12, 0, 16)), ((40, 20), (0, 16, 4, 12)), ((9, 9), (0, 16, 0, 16))]
)
def test_with_its_aspect_kept_an_image_is_centred_on_black(channels, shape, where):
    small = resize(np.full((*shape, channels), 77, dtype=np.uint8), 16, "kept")
    top, bottom, left, right = where
    expected = np.zeros((16, 16, channels))
    expected[top:bottom, left:right] = 77
    assert (small == expected).all()


def test_with_its_aspect_kept_a_circle_stays_a_circle():
    y, x = np.mgrid[0:300, 0:500]
    circle = ((((y - 150) ** 2 + (x - 250) ** 2) < 100**2) * 255).astype(np.uint8)[..., None]
    small = resize(circle, 64, "kept")[..., 0] > 127
    tall, wide = small.any(axis=1).sum(), small.any(axis=0).sum()
    assert tall == wide == round(200 * 64 / 500)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.sampled_from([1, 3]))
def test_any_shape_becomes_a_square_with_its_aspect_kept(height, width, size, channels):
    assert resize(np.ones((height, width, channels), dtype=np.uint8), size, "kept").shape == (
        size,
        size,
        channels,
    )
