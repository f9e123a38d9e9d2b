import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medbench.data.breast import crop_to_breast


def mammogram(height: int = 400, width: int = 300, reach: float = 0.5, *, soft: bool = True) -> np.ndarray:
    """Half an ellipse at the left edge, from its dense middle fading to its skin, on black."""
    y, x = np.mgrid[0:height, 0:width]
    distance = ((y - 0.55 * height) / (0.35 * height)) ** 2 + (x / (reach * width)) ** 2
    inside = 60 + 120 * np.clip(1 - distance, 0, 1) if soft else np.full((height, width), 120.0)
    return np.where(distance < 1, inside, 0).astype(np.uint8)[..., None]


def bounds(image: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero((image[..., 0] > 20).any(axis=axis)) for axis in (1, 0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


sizes = pytest.mark.parametrize(("height", "width"), [(400, 300), (1537, 1201), (300, 400)])


@sizes
def test_what_is_kept_is_the_breast_and_a_small_margin(height, width):
    image = mammogram(height, width)
    top, bottom, _, right = bounds(image)
    crop = crop_to_breast(image)
    found_top, found_bottom, found_left, found_right = bounds(crop)
    assert (found_bottom - found_top, found_right) == (bottom - top, right), "nothing of the breast is lost"
    assert found_left == 0
    most = 0.03 * max(height, width)
    assert crop.shape[0] - (bottom - top) <= 2 * most
    assert crop.shape[1] - right <= most


@sizes
def test_the_chest_wall_comes_to_the_left(height, width):
    image = mammogram(height, width)
    assert (crop_to_breast(image[:, ::-1]) == crop_to_breast(image)).all()
    crop = crop_to_breast(image)[..., 0].astype(int)
    assert crop[:, 0].sum() > crop[:, -1].sum()


def test_a_crop_keeps_the_values_of_its_pixels():
    image = mammogram()
    crop = crop_to_breast(image)
    top = bounds(image)[0] - bounds(crop)[0]
    assert (crop == image[top : top + crop.shape[0], : crop.shape[1]]).all()


def test_fat_around_the_gland_stays():
    # three levels, of which a threshold between the two largest differences would drop the fat
    y, x = np.mgrid[0:400, 0:300]
    fat = ((y - 200) / 150) ** 2 + (x / 180) ** 2 < 1
    gland = ((y - 200) / 90) ** 2 + ((x - 60) / 60) ** 2 < 1
    image = np.where(gland, 220, np.where(fat, 50, 0)).astype(np.uint8)[..., None]
    assert crop_to_breast(image).shape[1] >= 180
    assert crop_to_breast(image).shape[0] >= 300


@given(
    top=st.booleans(),
    side=st.integers(5, 40),
    value=st.integers(120, 255),
    away=st.integers(0, 10),
    mirrored=st.booleans(),
)
@settings(deadline=None)
def test_a_marker_in_a_corner_does_not_change_the_crop(top, side, value, away, mirrored):
    image = mammogram(500, 400, 0.5)
    with_marker = image.copy()
    rows = slice(away, away + side) if top else slice(500 - away - side, 500 - away)
    with_marker[rows, 400 - away - side : 400 - away] = value
    if mirrored:
        with_marker = with_marker[:, ::-1]
    assert np.array_equal(crop_to_breast(with_marker), crop_to_breast(image))


@pytest.mark.parametrize("thickness", [1, 3, 8])
def test_the_frame_of_a_scanned_film_is_cut_off(thickness):
    image = mammogram(600, 500)
    framed = image.copy()
    for strip in (framed[:thickness], framed[-thickness:], framed[:, :thickness], framed[:, -thickness:]):
        strip[:] = 255
    found, expected = crop_to_breast(framed).shape, crop_to_breast(image).shape
    assert np.abs(np.subtract(found, expected)).max() <= 2, "but for one of the pixels it is looked for at"


def test_a_label_brighter_than_the_breast_does_not_turn_it_away():
    image = (mammogram(400, 300, 0.3) // 3).astype(np.uint8)
    expected = crop_to_breast(image)
    image[10:90, 210:290] = 255
    weight = (image.sum(axis=(0, 2), dtype=np.int64) * (np.arange(300) - 149.5)).sum()
    assert weight > 0, "by brightness alone, the label would be taken for the chest wall"
    assert np.array_equal(crop_to_breast(image), expected)
    assert np.array_equal(crop_to_breast(image[:, ::-1]), expected)


def test_noise_of_the_film_does_not_widen_the_crop():
    image = mammogram(600, 500)
    noisy = (image + np.random.default_rng(0).integers(0, 15, image.shape)).astype(np.uint8)
    crop, clean = crop_to_breast(noisy), crop_to_breast(image)
    assert abs(crop.shape[0] - clean.shape[0]) <= 6
    assert abs(crop.shape[1] - clean.shape[1]) <= 6


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(1))),
)
@settings(deadline=None)
def test_whatever_comes_in_something_comes_out_and_its_mirror_image_gives_the_same(image):
    before = image.copy()
    crop = crop_to_breast(image)
    assert crop.size > 0
    assert crop.dtype == np.uint8
    assert crop.shape[2] == 1
    assert np.array_equal(crop, crop_to_breast(image[:, ::-1]))
    assert (image == before).all(), "the image that came in is left as it was"


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 1), (2, 3, 1), (200, 100, 1)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_image_of_one_value_stays_whole(shape, value):
    image = np.full(shape, value, dtype=np.uint8)
    assert np.array_equal(crop_to_breast(image), image)


def test_a_film_that_was_not_inverted_stays_whole():
    image = 255 - mammogram()
    assert crop_to_breast(image).shape == image.shape


def test_noise_without_a_breast_stays_whole():
    image = np.random.default_rng(0).integers(0, 40, (300, 200, 1), dtype=np.uint8)
    assert crop_to_breast(image).shape == image.shape


def test_a_marker_alone_is_no_breast():
    image = np.zeros((400, 300, 1), dtype=np.uint8)
    image[10:40, 250:290] = 255
    assert crop_to_breast(image).shape == image.shape
