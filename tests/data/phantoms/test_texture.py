import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medbench.data.phantoms.domain import SIZE
from medbench.data.phantoms.texture import (
    X,
    Y,
    blur,
    clouds,
    curve,
    edge,
    lattice,
    noise,
    ramp,
    sample,
    strokes,
    to_bytes,
    walk,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("grain", [(1.0, None), (6.0, None), (3.0, 18.0)])
def test_noise_has_unit_variance_and_single_precision(grain):
    stream = rng()
    fields = np.stack([noise(stream, *grain) for _ in range(40)])
    assert fields.dtype == np.float32
    assert fields.std() == pytest.approx(1, abs=0.05)
    assert fields.mean() == pytest.approx(0, abs=0.05)


def test_clouds_have_unit_variance():
    stream = rng()
    assert np.stack([clouds(stream, 16, 4) for _ in range(60)]).std() == pytest.approx(1, abs=0.06)


def test_noise_neighbours_agree_more_with_a_coarser_grain():
    def neighbours(scale: float) -> float:
        field = noise(rng(), scale)
        return float(np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1])

    assert neighbours(2) < neighbours(6) < neighbours(18)


def test_the_second_grain_is_that_along_y():
    field = noise(rng(), 2, 20)
    assert (field[1:] * field[:-1]).mean() > (field[:, 1:] * field[:, :-1]).mean() + 0.3


def test_blur_keeps_constants_to_the_border_and_equals_scipys_gaussian():
    from scipy.ndimage import gaussian_filter

    assert blur(np.full_like(X, 0.3), 1.2) == pytest.approx(0.3, abs=1e-6)
    field = noise(rng(), 2)
    theirs = gaussian_filter(field, 1.2, mode="nearest", truncate=2.5)
    assert blur(field, 1.2) == pytest.approx(theirs, abs=1e-5)


def test_sample_at_whole_pixels_reads_them_and_wraps_round():
    field = noise(rng(), 3)
    rows, columns = np.indices((SIZE, SIZE), dtype=np.float32)
    assert np.array_equal(sample(field, rows - SIZE, columns + SIZE), field)
    between = sample(field, rows, columns + 0.5)
    assert between[:, :-1] == pytest.approx((field[:, :-1] + field[:, 1:]) / 2, abs=1e-6)


def test_edge_and_ramp_go_from_zero_to_one():
    assert edge(X, 0.01)[:, [0, -1]] == pytest.approx(np.tile([0.0, 1.0], (SIZE, 1)))
    assert ramp(-0.5, 0.5, Y)[[0, -1]] == pytest.approx(np.repeat([[0.0], [1.0]], SIZE, axis=1))


def test_a_curve_is_brightest_along_its_way():
    line = curve(rng(), x=0, y=0, angle=0, length=0.5, bend=0, width=0.02)
    assert line[SIZE // 2, SIZE // 2] > 0.9
    assert line[SIZE // 2, 2] == pytest.approx(0, abs=1e-3)
    assert line[4].max() == pytest.approx(0, abs=1e-3)


def test_a_stroke_is_as_high_as_asked_along_its_points_and_nothing_beside_them():
    way = np.arange(-0.5, 0.5, 1 / SIZE)
    line = strokes(np.stack([way, np.full(len(way), 1 / SIZE)]), 0.8, 1.0)
    assert line.dtype == np.float32
    assert line[SIZE // 2, 40:88] == pytest.approx(0.8, abs=0.02)
    assert line[SIZE // 2 + 1, 64] == pytest.approx(0.8 * np.exp(-0.5), abs=0.02)
    assert line[[50, 78]].max() == pytest.approx(0, abs=1e-3)


def test_strokes_outside_the_picture_are_left_out_and_crossings_are_capped():
    assert strokes(np.array([[-1.5, 0.0, 2.0], [0.0, 3.0, -1.2]]), 1.0, 1.0).max() == 0
    assert strokes(np.zeros((2, 50)), 1.0, 1.0).max() == 1


def test_a_walk_that_does_not_wander_is_straight():
    points = walk(rng(), 0.1, -0.2, angle=np.pi / 2, length=0.5, wander=0.0)
    assert points[0] == pytest.approx(np.full(points.shape[1], 0.1))
    assert np.diff(points[1]) == pytest.approx(np.full(points.shape[1] - 1, 1 / SIZE))
    assert points[1, -1] == pytest.approx(0.3, abs=0.01)


def test_a_walk_bends_the_more_the_further_it_may_wander():
    def turned(wander: float) -> float:
        steps = np.diff(walk(rng(), 0, 0, angle=0.0, length=1.0, wander=wander))
        return float(np.ptp(np.arctan2(steps[1], steps[0])))

    assert 0 < turned(0.1) < turned(0.4)


@pytest.mark.parametrize("pitch", [8.0, 16.0])
def test_a_lattice_without_disorder_has_its_holes_a_pitch_apart(pitch):
    field = lattice(rng(), pitch, 0.0)
    assert (field.min(), field.max()) == pytest.approx((-0.5, 1.0), abs=0.05)
    peaks = [
        (i, j)
        for i in range(1, SIZE - 1)
        for j in range(1, SIZE - 1)
        if field[i, j] == field[i - 1 : i + 2, j - 1 : j + 2].max() and field[i, j] > 0.8
    ]
    assert len(peaks) == pytest.approx(SIZE**2 / (pitch**2 * np.sqrt(3) / 2), rel=0.15)


def test_a_disordered_lattice_is_no_repetition():
    regular, warped = (np.abs(np.fft.rfft2(lattice(rng(), 10, disorder))) for disorder in (0.0, 0.3))
    assert np.sort(warped.ravel())[-6:].sum() < 0.7 * np.sort(regular.ravel())[-6:].sum()


@given(hnp.arrays(np.float32, (4, 4), elements=st.floats(-3, 3, width=32)))
def test_levels_are_clipped_and_rounded_never_wrapped(values):
    levels = to_bytes(values)
    assert levels.shape == (4, 4, 1)
    assert np.abs(levels[:, :, 0] - np.clip(values.astype(float), 0, 1) * 255).max() <= 0.5 + 1e-4
