import math
import socket
import struct
import subprocess
import sys
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medbench.data import dicom, limits
from medbench.data.check import check
from medbench.data.dicom import decode_dicom, header, tags, windowed
from medbench.data.folder import open_folder
from medbench.data.images import decode, read_header, read_image
from medbench.errors import MedbenchError

from .clinic import Clinic
from .dicoms import (
    J2K,
    J2K_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    JPEG_LS_NEAR,
    RLE,
    UNCOMPRESSED,
    by_gdcm,
    compressed,
    dataset,
    file_of,
    jpeg,
    with_frame,
    written,
)

pydicom = pytest.importorskip("pydicom")

FILM = Path("film.dcm")
Y, X = np.mgrid[0:40, 0:36]
SMOOTH = ((Y * 11 + X * 17) % 4096).astype(np.uint16)
SMOOTH[0, :2] = 0, 4095
COLOUR = np.stack([Y * 6, X * 7, 255 - Y * 2 - X * 4], axis=2).astype(np.uint8)


def standard(x, c, w, function):
    """The pseudo-code of PS3.3 C.11.2.1.2 and C.11.2.1.3 for one pixel and an output of 0 to 255."""
    ymin, ymax = 0, 255
    if function == "LINEAR":
        if x <= c - 0.5 - (w - 1) / 2:
            return ymin
        if x > c - 0.5 + (w - 1) / 2:
            return ymax
        return ((x - (c - 0.5)) / (w - 1) + 0.5) * (ymax - ymin) + ymin
    if function == "LINEAR_EXACT":
        if x <= c - w / 2:
            return ymin
        if x > c + w / 2:
            return ymax
        return ((x - c) / w + 0.5) * (ymax - ymin) + ymin
    return (ymax - ymin) / (1 + math.exp(-4 * (x - c) / w)) + ymin


def shown(data: bytes) -> np.ndarray:
    pixels = decode_dicom(data, FILM)
    assert pixels.dtype == np.uint8
    assert header(data, FILM) == (pixels.shape[1], pixels.shape[0], pixels.shape[2])
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def by_range(pixels: np.ndarray) -> np.ndarray:
    """What 16-bit PNG files become; an injection of up to 256 values, so equality is of the values."""
    values = pixels.astype(np.int64)
    return ((values - values.min()) * 255 // max(1, values.max() - values.min())).astype(np.uint8)


def real(name: str) -> str:
    path = pydicom.data.get_testdata_file(name, download=False)
    assert path, f"{name} is not in pydicom-data"
    return path


def stored(data: bytes, monkeypatch) -> np.ndarray:
    """The stored values as decoded, before anything is shown."""
    seen = []
    original = dicom._shades
    with monkeypatch.context() as patch:
        patch.setattr(dicom, "_shades", lambda pixels, *rest: seen.append(pixels) or original(pixels, *rest))
        decode_dicom(data, FILM)
    return seen[0]


LAYOUTS = {
    "8 bits": (SMOOTH // 16).astype(np.uint8),
    "12 bits": SMOOTH,
    "14 bits": SMOOTH * np.uint16(4),
    "16 bits": SMOOTH * np.uint16(16),
    "12 bits signed": SMOOTH.astype(np.int16) - 2048,
    "16 bits signed": ((SMOOTH.astype(np.int32) - 2048) * 16).astype(np.int16),
}
layouts = pytest.mark.parametrize(
    ("pixels", "bits"), [(v, int(k.split()[0])) for k, v in LAYOUTS.items()], ids=list(LAYOUTS)
)


@layouts
@pytest.mark.parametrize("uid", UNCOMPRESSED.values(), ids=UNCOMPRESSED)
def test_uncompressed_pixels_keep_their_values(pixels, bits, uid, monkeypatch):
    data = file_of(pixels, bits=bits, uid=uid)
    assert (stored(data, monkeypatch) == pixels).all()
    assert (shown(data) == by_range(pixels)).all()


@layouts
@pytest.mark.parametrize("uid", [RLE, JPEG_LS, J2K_LOSSLESS], ids=["rle", "jpeg-ls", "jpeg 2000"])
def test_lossless_compression_keeps_every_value(pixels, bits, uid, monkeypatch):
    assert (stored(compressed(pixels, uid, bits=bits), monkeypatch) == pixels).all()


@pytest.mark.parametrize("uid", [JPEG_LOSSLESS, JPEG_LOSSLESS_SV1], ids=[".57", ".70"])
@layouts
def test_lossless_jpeg_keeps_every_value(pixels, bits, uid, tmp_path, monkeypatch):
    assert (stored(by_gdcm(pixels, uid, tmp_path, bits=bits), monkeypatch) == pixels).all()


def test_signed_values_in_a_lossless_jpeg_of_as_many_bits_keep_their_sign(monkeypatch):
    from imagecodecs import jpeg8_encode

    signed = SMOOTH.astype(np.int16) - 2048
    frame = jpeg8_encode(signed.view(np.uint16) & 0xFFF, lossless=True, bitspersample=12, predictor=1)
    data = with_frame(dataset(signed, bits=12), JPEG_LOSSLESS_SV1, frame)
    assert (stored(data, monkeypatch) == signed).all()


def test_lossy_jpeg_ls_stays_within_its_bound(monkeypatch):
    data = compressed(SMOOTH, JPEG_LS_NEAR, bits=12, encoder={"jls_error": 3})
    assert 0 < np.abs(stored(data, monkeypatch).astype(int) - SMOOTH).max() <= 3


def test_lossy_jpeg_2000_is_near(monkeypatch):
    data = compressed(SMOOTH, J2K, bits=12, encoder={"j2k_psnr": [70]})
    assert 0 < np.abs(stored(data, monkeypatch).astype(int) - SMOOTH).max() <= 40  # 1 % of the range


@pytest.mark.parametrize("uid", [JPEG_BASELINE, JPEG_EXTENDED], ids=["baseline", "extended, 8 bits"])
def test_jpeg_of_eight_bits_is_near(uid, monkeypatch):
    film = (Y * 3 + X * 3).astype(np.uint8)
    data = with_frame(dataset(film), uid, jpeg(film))
    assert np.abs(stored(data, monkeypatch).astype(int) - film).max() <= 4


def test_extended_jpeg_of_twelve_bits_is_near(monkeypatch):
    from imagecodecs import jpeg8_encode

    film = (Y * 50 + X * 50).astype(np.uint16)
    data = with_frame(dataset(film, bits=12), JPEG_EXTENDED, jpeg8_encode(film, level=95, bitspersample=12))
    assert film.max() > 2**11
    assert np.abs(stored(data, monkeypatch).astype(int) - film).max() <= 20


def test_extended_jpeg_of_twelve_bits_agrees_with_another_decoder():
    # pydicom's own file of 12 bits; the reference is a GPL decoder, which medbench does not ask for
    pytest.importorskip("libjpeg")
    data = Path(real("JPGExtended.dcm")).read_bytes()
    ds = pydicom.dcmread(real("JPGExtended.dcm"))
    ds.pixel_array_options(decoding_plugin="pylibjpeg")
    assert ds.pixel_array.max() > 255, "more than 8 bits"
    assert np.abs(shown(data).astype(int) - by_range(ds.pixel_array)).max() <= 1


def test_twelve_bits_are_decoded_without_a_word(tmp_path, capfd):
    shown(Path(real("JPGExtended.dcm")).read_bytes())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("uid", UNCOMPRESSED.values(), ids=UNCOMPRESSED)
def test_colour_keeps_its_values(uid, planar):
    ds = dataset(COLOUR, uid=uid, PlanarConfiguration=planar)
    if planar:
        ds.PixelData = COLOUR.transpose(2, 0, 1).tobytes()
    assert (shown(written(ds)) == COLOUR).all()


@pytest.mark.parametrize("uid", [RLE, JPEG_LS, J2K_LOSSLESS], ids=["rle", "jpeg-ls", "jpeg 2000"])
def test_colour_survives_lossless_compression(uid):
    assert (shown(compressed(COLOUR, uid)) == COLOUR).all()


@pytest.mark.parametrize("uid", [JPEG_LOSSLESS, JPEG_LOSSLESS_SV1], ids=[".57", ".70"])
def test_colour_survives_lossless_jpeg(uid, tmp_path):
    assert (shown(by_gdcm(COLOUR, uid, tmp_path)) == COLOUR).all()


def test_jpeg_2000_with_its_own_colour_transform_comes_out_as_rgb():
    assert (shown(compressed(COLOUR, J2K_LOSSLESS, PhotometricInterpretation="YBR_RCT")) == COLOUR).all()


@pytest.mark.parametrize("subsampling", [0, 1], ids=["full", "halved"])
def test_jpeg_in_ybr_comes_out_as_rgb(subsampling):
    photometric = "YBR_FULL" if subsampling == 0 else "YBR_FULL_422"
    data = with_frame(
        dataset(COLOUR, PhotometricInterpretation=photometric),
        JPEG_BASELINE,
        jpeg(COLOUR, subsampling=subsampling),
    )
    assert np.abs(shown(data).astype(int) - COLOUR).mean() < 3


def test_uncompressed_ybr_comes_out_as_rgb():
    ybr = np.asarray(Image.fromarray(COLOUR).convert("YCbCr"))
    assert np.abs(shown(file_of(ybr, PhotometricInterpretation="YBR_FULL")).astype(int) - COLOUR).max() <= 3


def test_colour_of_sixteen_bits_keeps_its_upper_eight():
    assert (shown(file_of(COLOUR.astype(np.uint16) * 256 + 77)) == COLOUR).all()


@pytest.mark.parametrize("uid", [UNCOMPRESSED["explicit"], UNCOMPRESSED["big endian"]], ids=["little", "big"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_becomes_colour(uid, bits):
    indices = np.array([[3, 4, 5], [6, 9, 0]], dtype=np.uint8)  # the table begins at 3 and has four entries
    table = np.array([[10, 20, 30], [200, 100, 0], [1, 2, 3], [255, 254, 253]])
    ds = dataset(indices, uid=uid, PhotometricInterpretation="PALETTE COLOR")
    order = ">" if uid == UNCOMPRESSED["big endian"] else "<"
    for i, colour in enumerate(("Red", "Green", "Blue")):
        entries = (table[:, i] << (bits - 8)).astype(f"{order}u2" if bits == 16 else np.uint8)
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [4, 3, bits])
        setattr(ds, f"{colour}PaletteColorLookupTableData", entries.tobytes())
    expected = table[[[0, 1, 2], [3, 3, 0]]]
    assert (shown(written(ds)) == expected).all()


@given(
    st.lists(st.floats(-5000, 5000), min_size=1, max_size=30),
    st.floats(-3000, 3000),
    st.floats(1, 6000),
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows_follow_the_formulas_of_the_standard(values, centre, width, function):
    found = windowed(np.array(values), centre, width, function)
    for x, y in zip(values, found, strict=True):
        try:
            expected = standard(x, centre, width, function)
        except OverflowError:  # of math.exp; numpy says infinity
            expected = 0
        assert y == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("function", ["", "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_is_applied_to_rescaled_pixels(function, photometric):
    data = dataset(
        SMOOTH,
        bits=12,
        PhotometricInterpretation=photometric,
        RescaleSlope="0.5",
        RescaleIntercept="-100",
        WindowCenter=["700", "40"],
        WindowWidth=["801", "400"],
    )
    if function:
        data.VOILUTFunction = function
    expected = [standard(x * 0.5 - 100, 700, 801, function or "LINEAR") for x in SMOOTH.ravel().tolist()]
    expected = np.reshape(expected, SMOOTH.shape)
    if photometric == "MONOCHROME1":
        expected = 255 - expected
    assert np.abs(shown(written(data)) - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_agree_with_pydicom(function):
    from pydicom.pixels import apply_windowing

    ds = dataset(SMOOTH, bits=12, WindowCenter="2000", WindowWidth="1500", VOILUTFunction=function)
    theirs = apply_windowing(SMOOTH, ds) * (255 / 4095)  # pydicom keeps the range of the stored bits
    assert np.abs(shown(written(ds)) - theirs).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("width", ["0", "-5", "0.5", ""])
def test_a_window_without_width_is_none(width):
    data = file_of(SMOOTH, bits=12, WindowCenter="40" if width else "", WindowWidth=width)
    assert (shown(data) == by_range(SMOOTH)).all()


def test_an_unknown_window_function_is_an_error():
    with pytest.raises(MedbenchError, match="function CUBIC, expected LINEAR, LINEAR_EXACT or SIGMOID"):
        shown(file_of(SMOOTH, WindowCenter="40", WindowWidth="400", VOILUTFunction="CUBIC"))


def test_a_negative_slope_turns_light_into_dark():
    assert (
        shown(file_of(SMOOTH, RescaleSlope="-1", RescaleIntercept="0")) == by_range(-SMOOTH.astype(int))
    ).all()


def lut(first: int, entries: list[int], bits: int, vr: str = "US"):
    item = pydicom.Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = entries if vr == "US" else np.array(entries, "<u2").tobytes()
    item["LUTData"].VR = vr
    return pydicom.Sequence([item])


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_a_voi_lut_goes_before_a_window(vr):
    pixels = np.array([[0, 9, 10, 11, 12, 500]], dtype=np.uint16)
    ds = dataset(pixels, WindowCenter="5", WindowWidth="10", VOILUTSequence=lut(10, [0, 1023, 4095], 12, vr))
    assert shown(written(ds)).tolist() == [[0, 0, 0, round(1023 / 4095 * 255), 255, 255]]


def test_a_modality_lut_goes_before_the_window():
    pixels = np.array([[0, 1, 2]], dtype=np.uint16)
    ds = dataset(
        pixels, ModalityLUTSequence=lut(0, [500, 100, 300], 16), WindowCenter="300.5", WindowWidth="401"
    )
    ds.ModalityLUTSequence[0].ModalityLUTType = "US"
    assert shown(written(ds)).tolist() == [[255, 0, 128]]


def test_a_lut_that_is_shorter_than_it_says_is_an_error():
    table = lut(0, [1, 2, 3], 8)
    table[0].LUTDescriptor = [300, 0, 8]
    with pytest.raises(MedbenchError, match="a look-up table has 3 entries of 8 bits, expected 300"):
        shown(file_of(SMOOTH, VOILUTSequence=table))


@pytest.mark.parametrize("name", ["vlut_04.dcm", "mlut_18.dcm"])
def test_look_up_tables_of_real_files_agree_with_pydicom(name):
    ds = pydicom.dcmread(real(name))
    theirs = pydicom.pixels.apply_voi_lut(pydicom.pixels.apply_modality_lut(ds.pixel_array, ds), ds).astype(
        float
    )
    if name == "mlut_18.dcm":  # no VOI LUT: by its range
        theirs = (theirs - theirs.min()) / (theirs.max() - theirs.min()) * 255
    else:
        theirs *= 255 / (2 ** ds.VOILUTSequence[0].LUTDescriptor[2] - 1)
    assert np.abs(shown(Path(real(name)).read_bytes()) - theirs).max() <= 1


def test_padding_is_black_and_no_part_of_the_range():
    pixels = np.array([[-2000, 0, 50], [100, -2000, -2000]], dtype=np.int16)
    assert shown(file_of(pixels, PixelPaddingValue=-2000)).tolist() == [[0, 0, 127], [255, 0, 0]]


def test_padding_that_is_white_in_monochrome1_is_black():
    pixels = np.array([[4095, 0], [1000, 4095]], dtype=np.uint16)
    ds = dataset(pixels, bits=12, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=4095)
    assert shown(written(ds)).tolist() == [[0, 255], [0, 0]]
    ds.WindowCenter, ds.WindowWidth = "500", "1000"
    assert shown(written(ds))[0, 0] == 0


@pytest.mark.parametrize(("value", "limit"), [(10, 20), (20, 10)])
def test_padding_can_be_a_range(value, limit):
    pixels = np.array([[9, 10, 15, 20, 21]], dtype=np.uint16)
    ds = dataset(
        pixels, PixelPaddingValue=value, PixelPaddingRangeLimit=limit, WindowCenter="0", WindowWidth="2"
    )
    assert shown(written(ds)).tolist() == [[255, 0, 0, 0, 255]]


def test_a_signed_padding_value_that_was_written_as_unsigned_is_understood():
    pixels = np.array([[-2000, 0, 100]], dtype=np.int16)
    ds = dataset(pixels, PixelPaddingValue=63536)
    ds["PixelPaddingValue"].VR = "US"
    assert shown(written(ds)).tolist() == [[0, 0, 255]]


def test_an_image_of_nothing_but_padding_is_black():
    assert not shown(file_of(np.full((3, 4), 7, dtype=np.uint16), PixelPaddingValue=7)).any()


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_an_image_of_one_value_is_black(value):
    assert not shown(file_of(np.full((3, 4), value, dtype=np.uint16))).any()


def test_what_stands_in_unused_bits_is_not_seen(monkeypatch):
    data = file_of(SMOOTH | 0xF000, bits=12)  # old files keep overlays there
    assert (stored(data, monkeypatch) == SMOOTH).all()


def test_one_bit_is_black_and_white():
    bits = (Y + X) % 3 == 0
    ds = dataset(bits.astype(np.uint8), BitsAllocated=1, BitsStored=1, HighBit=0)
    ds.PixelData = np.packbits(bits.ravel(), bitorder="little").tobytes()
    assert (shown(written(ds)) == bits * 255).all()


# Real images, from inside the packages pydicom and pydicom-data


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a test went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    ("one", "other"),
    [("RG1_J2KR.dcm", "RG1_UNCR.dcm"), ("RG1_J2KI.dcm", "RG1_UNCI.dcm")],
    ids=["lossless", "lossy"],
)
def test_a_compressed_chest_film_equals_its_uncompressed_partner(one, other, monkeypatch, offline):
    film, partner = (Path(real(name)).read_bytes() for name in (one, other))
    assert (stored(film, monkeypatch) == pydicom.dcmread(real(other)).pixel_array).all()
    assert (shown(film) == shown(partner)).all()


def test_the_lossy_chest_film_is_within_4_of_255_of_the_lossless_one(offline):
    lossy, lossless = (
        shown(Path(real(f"RG1_{name}.dcm")).read_bytes()).astype(int) for name in ("J2KI", "J2KR")
    )
    assert 0 < np.abs(lossy - lossless).max() <= 4


@pytest.mark.parametrize("name", ["693", "MR2", "RG3", "US1"])
@pytest.mark.parametrize("kind", ["R", "I"], ids=["lossless", "lossy"])
def test_other_pairs_of_real_images_are_equal_too(name, kind, offline):
    film, partner = (Path(real(f"{name}_{part}{kind}.dcm")).read_bytes() for part in ("J2K", "UNC"))
    assert (shown(film) == shown(partner)).all()


def test_a_chest_film_in_monochrome1_comes_right_way_up():
    ds = pydicom.dcmread(real("RG1_UNCR.dcm"))
    assert ds.PhotometricInterpretation == "MONOCHROME1"
    film = shown(Path(real("RG1_UNCR.dcm")).read_bytes())
    assert np.corrcoef(film.ravel(), ds.pixel_array.ravel())[0, 1] < -0.9, "stored values are shown inverted"
    ds.PhotometricInterpretation = "MONOCHROME2"
    assert (film == 255 - shown(written(ds))).all() or np.abs(
        film.astype(int) + shown(written(ds)) - 255
    ).max() <= 1
    lungs, mediastinum = film[600:1000, 350:550], film[900:1300, 850:1000]
    assert lungs.mean() < mediastinum.mean(), "air is dark, tissue and bone are light"


PAIRS = {
    "SC_rgb_jpeg.dcm": "SC_rgb_jpeg_dcmd.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm": "SC_rgb_dcmtk_ebcr_dcmd.dcm",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm": "SC_rgb_dcmtk_ebcyn1_dcmd.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm": "SC_rgb_dcmtk_ebcynp_dcmd.dcm",
    "SC_rgb_dcmtk_+eb+cy+s2.dcm": "SC_rgb_dcmtk_ebcys2_dcmd.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm": "SC_rgb_dcmtk_ebcys4_dcmd.dcm",
    "SC_rgb_rle.dcm": "SC_rgb.dcm",
    "SC_rgb_rle_16bit.dcm": "SC_rgb_16bit.dcm",
    "SC_rgb_jpeg_gdcm.dcm": "SC_rgb.dcm",
    "SC_rgb_expb_16bit.dcm": "SC_rgb_16bit.dcm",
    "color-pl.dcm": "color-px.dcm",
    "OBXXXX1A_expb.dcm": "OBXXXX1A.dcm",
    "OBXXXX1A_rle.dcm": "OBXXXX1A.dcm",
    "gdcm-US-ALOKA-16_big.dcm": "gdcm-US-ALOKA-16.dcm",
    "MR_small_RLE.dcm": "MR_small.dcm",
    "MR_small_jp2klossless.dcm": "MR_small.dcm",
    "MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm",
    "MR_small_bigendian.dcm": "MR_small.dcm",
    "MR_small_padded.dcm": "MR_small.dcm",
    "JPEG2000.dcm": "JPEG2000_UNC.dcm",
}


@pytest.mark.parametrize("one", PAIRS)
def test_files_of_other_writers_agree_with_their_partners(one, offline):
    found, expected = (shown(Path(real(name)).read_bytes()).astype(int) for name in (one, PAIRS[one]))
    assert np.abs(found - expected).max() <= 2


# What is refused


def test_too_many_pixels_are_refused_before_anything_is_decoded(monkeypatch):
    monkeypatch.setattr(dicom, "_pixels", lambda *_: pytest.fail("decoded"))
    data = file_of(SMOOTH, Rows=60_000, Columns=60_000)
    for read in (decode_dicom, header):
        with pytest.raises(MedbenchError, match="more than 80,000,000 pixels"):
            read(data, FILM)


@pytest.mark.parametrize("uid", [J2K_LOSSLESS, JPEG_LS, JPEG_LOSSLESS])
def test_a_stream_that_claims_more_than_the_tags_is_refused_before_it_is_decoded(uid, tmp_path, monkeypatch):
    data = by_gdcm(SMOOTH, uid, tmp_path) if uid == JPEG_LOSSLESS else compressed(SMOOTH, uid)
    size = struct.pack(">II", 36, 40) if uid == J2K_LOSSLESS else struct.pack(">HH", 40, 36)
    huge = struct.pack(">II", 60_000, 60_000) if uid == J2K_LOSSLESS else struct.pack(">HH", 60_000, 60_000)
    assert size in data
    monkeypatch.setattr("pydicom.pixels.get_decoder", lambda *_: pytest.fail("decoded"))
    with pytest.raises(
        MedbenchError, match="the compressed image is 60000 x 60000 x 1, its tags say 36 x 40 x 1"
    ):
        decode_dicom(data.replace(size, huge, 1), FILM)


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """A data element with a long length, or with implicit VR where there is none (PS3.5 7.1)."""
    tag = group.to_bytes(2, "little") + number.to_bytes(2, "little")
    return tag + (vr + bytes(2) if vr else b"") + len(value).to_bytes(4, "little") + value


def deflated_in_forms(pixels: np.ndarray) -> dict[str, bytes]:
    """A deflated file, and the same with other things before the deflated part; pydicom reads them all."""
    data = file_of(pixels, uid=UNCOMPRESSED["deflated"])
    begin = 132 + 12 + int.from_bytes(data[140:144], "little")
    start, meta, folded = data[:132], data[132:begin], data[begin:]
    assert len(zlib.decompress(folded, -15)) > pixels.nbytes
    odd = {vr: start + meta + element(2, 0x0102, vr, bytes(8)) + folded for vr in (b"OD", b"UC", b"SV")}
    named = (UNCOMPRESSED["deflated"] + "\0").encode()
    return {
        "as it should be": data,
        "without preamble": meta + folded,
        "without preamble, begun by 200 bytes": element(2, 1, b"OB", bytes(200)) + meta + folded,
        "with an OD": odd[b"OD"],
        "with an UC": odd[b"UC"],
        "with an SV": odd[b"SV"],
        "with a command set": start + meta + element(0, 0, b"", bytes(4)) + folded,
        "with implicit VR": start + element(2, 0x10, b"", named) + folded,
    }


@pytest.mark.parametrize("form", deflated_in_forms(SMOOTH))
def test_a_deflated_file_that_unfolds_to_too_much_is_refused(monkeypatch, form):
    black = np.zeros((200, 200), dtype=np.uint8)
    data = deflated_in_forms(black)[form]
    assert (decode_dicom(data, FILM)[..., 0] == black).all()
    monkeypatch.setattr(limits, "MAX_BYTES", 10_000)
    monkeypatch.setattr(dicom, "MAX_BYTES", 10_000)
    assert len(data) < 10_000
    for read in (decode_dicom, header):
        with pytest.raises(MedbenchError, match="more than 10,000 bytes"):
            read(data, FILM)
    with pytest.raises(MedbenchError, match="more than 10,000 bytes"):
        tags(data, FILM, ["PatientAge"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"NumberOfFrames": "3"}, "3 frames, expected 1"),
        ({"BitsStored": 17, "HighBit": 16}, "17 bits stored in 16"),
        ({"BitsStored": 12}, "12 bits stored in 16, the highest numbered 15"),
        (
            {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
            "2,880 bytes of pixels, expected 1,440 for 36 x 40 with 8",
        ),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "32 bits a pixel, expected up to 16"),
        ({"Rows": 42}, "2,880 bytes of pixels, expected 3,024 for 36 x 42"),
        ({"Rows": 0}, "holds no image"),
        ({"Columns": None}, "holds no image"),
        ({"PhotometricInterpretation": "HSV"}, "photometric interpretation HSV"),
        ({"PhotometricInterpretation": "RGB"}, "photometric interpretation RGB of 1 samples"),
        ({"PixelData": None}, "no pixel data"),
    ],
)
def test_a_file_that_contradicts_itself_is_one_clear_error(changes, words):
    ds = dataset(SMOOTH)
    for keyword, value in changes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    with pytest.raises(MedbenchError, match=words) as caught:
        decode_dicom(written(ds), FILM)
    assert str(caught.value).startswith("film.dcm: ")
    assert "\n" not in str(caught.value)


def test_a_compressed_image_of_fewer_bits_than_its_tags_say_is_refused():
    film = (SMOOTH // 16).astype(np.uint8)
    with pytest.raises(MedbenchError, match="the compressed image has 8 bits, its tags say 12"):
        decode_dicom(with_frame(dataset(SMOOTH, bits=12), JPEG_BASELINE, jpeg(film)), FILM)


def test_a_transfer_syntax_of_films_is_refused():
    with pytest.raises(MedbenchError, match=r"transfer syntax MPEG2 Main Profile .* is not read"):
        decode_dicom(with_frame(dataset(SMOOTH), "1.2.840.10008.1.2.4.100", b"film"), FILM)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("uid", ["explicit", J2K_LOSSLESS, JPEG_LS, RLE])
def test_a_truncated_file_is_an_error(uid, kept):
    noise = np.random.default_rng(0).integers(0, 4096, (64, 64), dtype=np.uint16)
    data = file_of(noise) if uid == "explicit" else compressed(noise, uid)
    with pytest.raises(
        MedbenchError, match=r"film\.dcm: (damaged image|no pixel data|this DICOM file holds no)"
    ):
        decode_dicom(data[: int(len(data) * kept)], FILM)


@pytest.mark.parametrize("uid", [J2K_LOSSLESS, JPEG_LS, RLE, JPEG_LOSSLESS, JPEG_BASELINE])
def test_a_compressed_stream_that_was_cut_inside_a_whole_file_is_an_error(uid, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    if uid == JPEG_BASELINE:
        frame = jpeg(noise)
    else:
        data = by_gdcm(noise, uid, tmp_path) if uid == JPEG_LOSSLESS else compressed(noise, uid)
        ds = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
        frame = pydicom.encaps.get_frame(ds.PixelData, 0, number_of_frames=1)
    cut = frame[: len(frame) // 2]
    with pytest.raises(MedbenchError, match="damaged image"):
        decode_dicom(with_frame(dataset(noise), uid, cut + b"\0" * (len(cut) % 2)), FILM)


SOUND = {
    "explicit": file_of(SMOOTH, bits=12, WindowCenter="2000", WindowWidth="1500"),
    "implicit": file_of(SMOOTH, uid=UNCOMPRESSED["implicit"], PixelPaddingValue=0),
    "deflated": file_of(SMOOTH, uid=UNCOMPRESSED["deflated"]),
    "rle": compressed(SMOOTH, RLE),
    "jpeg 2000": compressed(SMOOTH, J2K_LOSSLESS),
    "jpeg-ls": compressed(SMOOTH, JPEG_LS),
    "colour": file_of(COLOUR),
    "jpeg": with_frame(dataset(COLOUR), JPEG_BASELINE, jpeg(COLOUR)),
    "lossless jpeg": Path(real("SC_rgb_jpeg_gdcm.dcm")).read_bytes(),
    "jpeg of 12 bits": Path(real("JPGExtended.dcm")).read_bytes(),
}


@given(st.sampled_from(sorted(SOUND)), st.data())
def test_damaged_bytes_give_an_image_or_a_medbench_error_and_nothing_else(kind, data):
    damaged = bytearray(SOUND[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(128, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    with suppress(MedbenchError):
        assert decode_dicom(damaged, FILM).shape[2] in {1, 3}


def test_nothing_is_said_but_by_our_messages(capfd):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for name in ("MR_small_padded.dcm", "SC_rgb_jpeg.dcm", "693_J2KR.dcm"):
            shown(Path(real(name)).read_bytes())
    assert not told
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("absent", ["pydicom", "pylibjpeg", "jpeg_ls", "imagecodecs"])
def test_without_the_extra_the_message_says_what_to_install(absent, tmp_path):
    uid = {"pylibjpeg": J2K_LOSSLESS, "jpeg_ls": JPEG_LS, "imagecodecs": JPEG_LOSSLESS}.get(absent, "")
    data = (
        file_of(SMOOTH)
        if not uid
        else by_gdcm(SMOOTH, uid, tmp_path)
        if uid == JPEG_LOSSLESS
        else compressed(SMOOTH, uid)
    )
    (tmp_path / "film.dcm").write_bytes(data)
    program = f"""
import sys
from pathlib import Path
sys.modules["{absent}"] = None
from medbench.data.images import read_image
from medbench.errors import MedbenchError
try:
    read_image(Path("film.dcm"))
except MedbenchError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "film.dcm: reading DICOM files takes more: `pip install 'medbench[dicom]'`.\n"


# Tags, and files among others


def test_tags_are_text_and_empty_where_not_recorded():
    data = file_of(
        SMOOTH,
        PatientAge="061Y",
        Manufacturer="Lorad ",
        ImageType=["DERIVED", "PRIMARY"],
        BreastImplantPresent="NO",
    )
    keywords = ("PatientAge", "Manufacturer", "ImageType", "BreastImplantPresent", "ViewPosition", "Rows")
    assert tags(data, FILM, keywords) == {
        "PatientAge": "061Y",
        "Manufacturer": "Lorad",
        "ImageType": "DERIVED\\PRIMARY",
        "BreastImplantPresent": "NO",
        "ViewPosition": "",
        "Rows": "40",
    }


def test_tags_need_no_pixels():
    data = file_of(SMOOTH, PatientAge="061Y")
    assert tags(data[:-1000], FILM, ["PatientAge"]) == {"PatientAge": "061Y"}


def test_tags_are_read_in_their_character_set():
    data = file_of(SMOOTH, SpecificCharacterSet="ISO_IR 192", ManufacturerModelName="Größe")
    assert tags(data, FILM, ["ManufacturerModelName"]) == {"ManufacturerModelName": "Größe"}


def test_dicom_is_known_by_its_content_and_not_by_its_name(tmp_path):
    (tmp_path / "film").write_bytes(file_of(SMOOTH))
    assert (read_image(tmp_path / "film")[..., 0] == by_range(SMOOTH)).all()
    assert read_header((tmp_path / "film").read_bytes(), tmp_path / "film") == (36, 40, 1)


@pytest.mark.parametrize("kind", ["implicit", "explicit", "big endian"])
def test_without_preamble_a_file_is_read_if_it_is_called_dicom(kind):
    ds = dataset(SMOOTH, uid=UNCOMPRESSED[kind])
    ds.remove_private_tags()
    file = pydicom.filebase.DicomBytesIO()
    little, implicit = kind != "big endian", kind == "implicit"
    pydicom.dcmwrite(file, pydicom.Dataset(ds), little_endian=little, implicit_vr=implicit)
    bare = file.getvalue()
    assert b"DICM" not in bare
    for name in ("film.dcm", "FILM.DCM", "film.dicom"):
        assert (decode(bare, Path(name))[..., 0] == by_range(SMOOTH)).all()
        assert read_header(bare, Path(name)) == (36, 40, 1)
    with pytest.raises(MedbenchError, match="not a PNG, JPEG or DICOM image"):
        decode(bare, Path("film.img"))


def test_a_jpeg_that_is_called_dicom_is_read_as_jpeg():
    assert decode(jpeg(COLOUR), Path("film.dcm")).shape == (40, 36, 3)


def test_a_text_that_is_called_dicom_is_an_error():
    with pytest.raises(MedbenchError, match=r"film\.dcm: (this DICOM file holds no image|damaged)"):
        decode(b"patient,age\n17,61\n" * 30, FILM)


def test_a_folder_of_dicom_files_is_a_cohort_as_one_of_png_files(tmp_path):
    clinic = Clinic(tmp_path)
    for number, row in enumerate(clinic.rows):
        row["file"] = row["file"].replace(".png", ".dcm")
        noise = np.random.default_rng(number).integers(0, 4096, (12, 10), dtype=np.uint16)
        clinic.image(number).parent.mkdir(exist_ok=True)
        clinic.image(number).write_bytes(file_of(noise, bits=12))
    checked = check(clinic.write())
    assert not checked.errors
    cohort = open_folder(clinic.path)
    assert cohort.channels == 1
    images = cohort.images("id", 10)
    assert images.shape == (len(cohort.examples("id")), 10, 10, 1)
    assert images.std() > 20


def test_a_damaged_dicom_file_of_a_cohort_is_named_with_its_row(tmp_path):
    clinic = Clinic(tmp_path)
    clinic.rows[4]["file"] = "cut.dcm"
    clinic.image(4).parent.mkdir(exist_ok=True)
    clinic.image(4).write_bytes(file_of(SMOOTH)[:-100])
    (error,) = check(clinic.write()).errors
    assert "row 6" in error
    assert "cut.dcm: no pixel data" in error or "cut.dcm: damaged image" in error


@pytest.mark.parametrize("slope", ["0", "1e308"])
def test_a_slope_that_leaves_nothing_of_the_pixels_is_an_error(slope):
    film = np.arange(64, dtype=np.uint16).reshape(8, 8)
    with pytest.raises(MedbenchError, match="rescale slope"):
        shown(file_of(film, RescaleSlope=slope, RescaleIntercept="0"))
