"""Fields on the pixel grid that all phantoms are made of: noise, soft edges, curves, blur, film.

numpy only, and no matrix products: threads are slow at this size. Nothing branches on a computed
pixel, so that machines differ by a level at most.
"""

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.domain import SIZE

Field = NDArray[np.floating]
"""(SIZE, SIZE) single-precision values; the first axis is y, downwards."""

_AXIS = ((np.arange(SIZE) + 0.5) * 2 / SIZE - 1).astype(np.float32)
X, Y = np.meshgrid(_AXIS, _AXIS)
"""Coordinates of pixel centres in [-1, 1]."""


@lru_cache(maxsize=64)
def _spectrum(scales: tuple[tuple[float, float, float], ...]) -> NDArray[np.float32]:
    """(SIZE, SIZE // 2 + 1) filter from white to unit-variance noise: a sum of Gaussian grains.

    Each grain is (along x, along y, weight); a grain's standard deviation is half its scale, in pixels.
    """
    frequency_y = np.fft.fftfreq(SIZE)[:, None]
    frequency_x = np.fft.rfftfreq(SIZE)[None, :]
    power = np.zeros((SIZE, SIZE // 2 + 1))
    for along_x, along_y, weight in scales:
        squared = (frequency_x * along_x) ** 2 + (frequency_y * along_y) ** 2
        grain = np.exp(-((np.pi * 0.707) ** 2) * squared)
        power += weight * grain / _mean_power(grain)
    return np.sqrt(power / _mean_power(power)).astype(np.float32)


def _mean_power(power: NDArray[np.float64]) -> float:
    """Mean over the whole plane of a power spectrum of which the right half is given."""
    return float((2 * power[:, 1:-1].sum() + power[:, 0].sum() + power[:, -1].sum()) / SIZE**2)


def _filtered(rng: np.random.Generator, spectrum: NDArray[np.float32]) -> Field:
    white = rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    return np.fft.irfft2(np.fft.rfft2(white) * spectrum, s=(SIZE, SIZE))


def noise(rng: np.random.Generator, scale: float, scale_y: float | None = None) -> Field:
    """Smooth Gaussian noise of unit variance and a given grain; it wraps round.

    Args:
      rng: the image's stream.
      scale: grain along x in pixels.
      scale_y: grain along y, if another.
    """
    return _filtered(rng, _spectrum(((scale, scale_y or scale, 1.0),)))


def clouds(rng: np.random.Generator, coarsest: float, octaves: int) -> Field:
    """Noise of unit variance in several octaves with halving grain and amplitude; it wraps round."""
    return _filtered(
        rng, _spectrum(tuple((coarsest / 2**i, coarsest / 2**i, 0.25**i) for i in range(octaves)))
    )


def blur(field: Field, sigma: float) -> Field:
    """Gaussian blur with a standard deviation of `sigma` pixels; the border's values go on outside."""
    reach = max(1, math.ceil(2.5 * sigma))
    weights = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(-reach, reach + 1)]
    for _ in range(2):
        padded = np.pad(field, ((reach, reach), (0, 0)), mode="edge")
        total = np.zeros_like(field)
        for i, weight in enumerate(weights):
            total += (weight / sum(weights)) * padded[i : i + SIZE]
        field = total.T
    return field


def edge(distance: Field, width: float) -> Field:
    """A soft step: 1 where `distance` is well above 0, 0 well below, over about `width` either side."""
    return 0.5 + 0.5 * np.tanh(distance / width)


def ramp(low: float, high: float, value: Field) -> Field:
    """The cubic step from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def blob(x: float, y: float, radius: float, *, hardness: float = 2.0, aspect: float = 1.0) -> Field:
    """A round (or oval) spot of height 1 and half height near `radius`; harder ones have flatter tops."""
    squared = ((X - x) / (radius * aspect)) ** 2 + ((Y - y) / (radius / aspect)) ** 2
    return 1 / (1 + squared**hardness)


def curve(
    rng: np.random.Generator, *, x: float, y: float, angle: float, length: float, bend: float, width: float
) -> Field:
    """A thin parabola of height 1 through (x, y): hairs, wires, tubes, spicules.

    Args:
      rng: draws the bend's size.
      x: middle of the curve.
      y: middle of the curve.
      angle: direction there, in radians.
      length: from the middle to either end.
      bend: standard deviation of the curvature.
      width: standard deviation of the cross-section.
    """
    along = (X - x) * math.cos(angle) + (Y - y) * math.sin(angle)
    aside = (Y - y) * math.cos(angle) - (X - x) * math.sin(angle)
    aside = aside - bend * rng.standard_normal() * along * along
    return np.exp(-0.5 * np.minimum(np.abs(aside / width), 6) ** 2) * edge(length - np.abs(along), 0.05)


def strokes(points: NDArray[np.float64], height: float, width: float) -> Field:
    """Thin lines through points half a pixel apart; where they cross, height 1 at most.

    Cheaper than `curve` where there are several, and they bend at will: hairs, vessels, streaks, marks.

    Args:
      points: (2, n) x and y; those outside the picture are left out.
      height: of a line; a lone point makes a spot a fifth as high, over its width.
      width: standard deviation of the cross-section in pixels.
    """
    column, row = (points + 1) * (SIZE / 2) - 0.5
    i, j = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    down, right = row - i, column - j
    total = np.zeros(SIZE * SIZE)
    for di, dj, share in (
        (0, 0, (1 - down) * (1 - right)),
        (0, 1, (1 - down) * right),
        (1, 0, down * (1 - right)),
        (1, 1, down * right),
    ):
        seen = (i + di >= 0) & (i + di < SIZE) & (j + dj >= 0) & (j + dj < SIZE)
        total += np.bincount(((i + di) * SIZE + j + dj)[seen], share[seen], SIZE * SIZE)
    crest = height * 0.5 * width * math.sqrt(2 * math.pi)
    return np.minimum(crest * blur(total.reshape(SIZE, SIZE).astype(np.float32), width), 1)


def walk(
    rng: np.random.Generator, x: float, y: float, *, angle: float, length: float, wander: float
) -> NDArray[np.float64]:
    """(2, n) points of a winding line, half a pixel apart, for `strokes`.

    Args:
      rng: draws the way it winds.
      x: where it starts, in [-1, 1].
      y: where it starts.
      angle: in which direction.
      length: its length; the picture is 2 wide.
      wander: how far it bends and swings over a length of 0.5, in radians.
    """
    step = 1 / SIZE
    way = step * np.arange(max(2, int(length / step)))
    bend, phase = rng.standard_normal(), rng.uniform(0, 2 * math.pi)
    swing = np.sin(way * (2 * math.pi / rng.uniform(0.3, 0.8)) + phase) - math.sin(phase)
    heading = angle + wander * (2 * bend * way + 0.6 * swing)
    return np.stack([x + step * np.cumsum(np.cos(heading)), y + step * np.cumsum(np.sin(heading))])


def lattice(rng: np.random.Generator, pitch: float, disorder: float) -> Field:
    """A honeycomb, from 1 in the middle of its holes down to -0.5 on its knots, randomly turned and warped.

    Args:
      rng: the image's stream.
      pitch: from hole to hole, in pixels.
      disorder: standard deviation of the warp, in pitches.
    """
    turn = rng.uniform(0, math.pi / 3)
    wave = 4 * math.pi / (math.sqrt(3) * pitch * 2 / SIZE)
    warp = disorder * pitch * 2 / SIZE
    grain = round(1.6 * pitch)
    x, y = X + warp * noise(rng, grain), Y + warp * noise(rng, grain)
    total: Field = np.zeros_like(X)
    for third in range(3):
        angle = turn + third * math.pi / 3
        total += np.cos(wave * math.cos(angle) * x + wave * math.sin(angle) * y)
    return total / 3


def waves(rng: np.random.Generator, angle: Field, orders: Iterable[int]) -> Field:
    """A random periodic function of the angle, smoother for lower orders: what makes an outline uneven."""
    total = np.zeros_like(angle)
    for k in orders:
        total += rng.standard_normal() / k * np.cos(k * angle + rng.uniform(0, 2 * math.pi))
    return total


def sample(field: Field, row: Field, column: Field) -> Field:
    """`field` at fractional pixel positions, linearly interpolated, wrapping round."""
    r, c = np.floor(row), np.floor(column)
    fr, fc = row - r, column - c
    i, j = r.astype(np.int32) % SIZE * SIZE, c.astype(np.int32) % SIZE
    below, right = (i + SIZE) % (SIZE * SIZE), (j + 1) % SIZE
    flat = field.ravel()
    upper = flat.take(i + j) * (1 - fc) + flat.take(i + right) * fc
    lower = flat.take(below + j) * (1 - fc) + flat.take(below + right) * fc
    return upper * (1 - fr) + lower * fr


def to_bytes(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Values in [0, 1], clipped, as levels 0 to 255; a grey field gets its channel axis."""
    levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return levels[:, :, None] if levels.ndim == 2 else levels
