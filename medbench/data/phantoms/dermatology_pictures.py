"""Skin, and how a dermatoscope or a smartphone takes it: hairs, gel, marks, light and lens.

Nothing here knows of a lesion's class.
"""

import math

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.dermatology_lesions import Tissue, walk
from medbench.data.phantoms.texture import Field, X, Y, blob, blur, clouds, edge, noise, ramp, strokes

SKIN = np.array(
    [
        [0.93, 0.77, 0.74],
        [0.90, 0.71, 0.64],
        [0.83, 0.63, 0.52],
        [0.70, 0.50, 0.38],
        [0.53, 0.35, 0.25],
        [0.36, 0.23, 0.17],
    ],
    dtype=np.float32,
)
"""(6, 3) colours of Fitzpatrick types 1 to 6, red green blue in [0, 1]."""

CASTS = np.array([[0.02, -0.12, 0.02], [-0.08, -0.02, 0.06], [0.04, -0.02, -0.08]])
"""(3, 3) what dermatoscopes add to the logarithm of red, green and blue: pink, lilac, peach."""

Picture = NDArray[np.floating]
"""(SIZE, SIZE, 3) single-precision colours, red green blue, in [0, 1] or so."""


def skin_colour(skin_type: int, traits: NDArray[np.float64]) -> NDArray[np.float32]:
    """(3,) colour of a patient's skin: of a type from 1 to 6, with a tone of its own."""
    return SKIN[skin_type - 1] * np.float32(1 + 0.03 * float(traits[0]))


def mottle(rng: np.random.Generator, tissue: Tissue, traits: NDArray[np.float64]) -> None:
    """Uneven colour, redness and, in skin that saw much sun, freckles and small vessels."""
    _, redness, sun = (float(trait) for trait in traits)
    fine, coarse = clouds(rng, 18, 5), clouds(rng, 40, 5)
    sun = min(max(sun, 0.0), 2.0)
    tissue.melanin += 0.03 * fine + 0.06 * sun * ramp(0.2, 2.2, fine)
    tissue.blood += 0.10 * (1 + 0.5 * redness) + 0.035 * coarse + 0.06 * sun * ramp(0.0, 2.2, coarse - fine)


def hairs(rng: np.random.Generator, picture: Picture, hairiness: float) -> Picture:
    """Some hairs that run about the same way, dark or, at times, pale."""
    lie = rng.uniform(0, 2 * math.pi)
    pale = rng.random() < 0.15
    if rng.random() > hairiness:
        return picture
    lines = []
    for _ in range(rng.integers(2, 11)):
        x, y = rng.uniform(-1.2, 1.2, 2).tolist()
        lines.append(walk(rng, x, y, lie + 0.35 * rng.standard_normal(), rng.uniform(0.5, 1.8), 0.3))
    x, y = np.concatenate(lines, axis=1)
    cover = rng.uniform(0.45, 0.85) * strokes(x, y, np.full(len(x), 0.8), rng.uniform(0.4, 0.6))
    colour = np.float32((0.8, 0.78, 0.72)) if pale else np.float32((0.14, 0.10, 0.09))
    return _over(picture, cover, colour)


def dermatoscope(rng: np.random.Generator, picture: Picture) -> Picture:
    """Even light and a sharp lens on the skin; each instrument has its cast, some a rim, gel or a scale."""
    cast, gel, marks, lens = rng.spawn(4)
    if gel.random() < 0.08:
        picture = _bubbles(gel, picture)
    if marks.random() < 0.08:
        picture = _ink(marks, picture) if marks.random() < 0.5 else _ruler(marks, picture)
    tint = np.exp((cast.uniform(0, 1, 3)[:, None] ** 2 * CASTS).sum(axis=0).astype(np.float32))
    picture = _soft(picture, 0.4 + lens.uniform(0, 0.5)) * (tint * math.exp(0.04 * cast.standard_normal()))
    radius = np.sqrt(X * X + Y * Y)
    picture = picture * (1 - lens.uniform(0, 0.3) * ramp(0.5, 1.5, radius))[:, :, None]
    if lens.random() < 0.04:
        tube = edge(lens.uniform(1.02, 1.2) - radius, 0.025)
        picture = picture * (0.04 + 0.96 * tube[:, :, None])
    return picture + 0.008 * noise(lens, 1.0)[:, :, None]


def phone(rng: np.random.Generator, picture: Picture) -> Picture:
    """Uneven light with a colour cast, relief and shine of the skin, less focus, more noise; at times ink."""
    light, marks, surface, lens = rng.spawn(4)
    if marks.random() < 0.14:
        picture = _ink(marks, picture)
    tilt = light.uniform(0, 2 * math.pi)
    slope = 1 + light.uniform(0.05, 0.3) * (X * math.cos(tilt) + Y * math.sin(tilt))
    cast = (1 + 0.06 * light.standard_normal(3)).astype(np.float32) * math.exp(0.10 * light.standard_normal())
    relief = noise(surface, *((2.5, 4), (4, 2.5))[surface.integers(2)])
    picture = _soft(picture, 0.7 + lens.uniform(0, 0.6)) * (slope * (1 + 0.035 * relief))[:, :, None] * cast
    x, y = surface.uniform(-0.7, 0.7, 2).tolist()
    shine = 0.3 * surface.uniform() * blob(x, y, surface.uniform(0.2, 0.5), hardness=1.5)
    picture = picture + (shine * (0.5 + ramp(0.0, 1.5, relief)))[:, :, None]
    if light.random() < 0.08:
        x, y = math.cos(tilt), math.sin(tilt)
        limb = edge(light.uniform(0.75, 1.1) + X * x + Y * y - 0.2 * (X * y - Y * x) ** 2, 0.05)
        picture = picture * (0.15 + 0.85 * limb[:, :, None])
    grain = np.stack([noise(lens, 1.3) for _ in range(3)], axis=2)
    return picture + 0.018 * grain


def _bubbles(rng: np.random.Generator, picture: Picture) -> Picture:
    """Air in the gel: small bright rings with a highlight."""
    rings, lights = [], []
    for _ in range(rng.integers(2, 9)):
        x, y = rng.uniform(-1, 1, 2).tolist()
        radius = rng.uniform(0.03, 0.11)
        around = np.arange(0, 2 * math.pi, 1 / (128 * radius))
        rings.append(np.stack([x + radius * np.cos(around), y + radius * np.sin(around)]))
        lights.append(np.array([[x - 0.4 * radius], [y - 0.4 * radius]]))
    (rx, ry), (lx, ly) = np.concatenate(rings, axis=1), np.concatenate(lights, axis=1)
    bright = 0.3 * strokes(rx, ry, np.full(len(rx), 0.8), 0.7) + 0.5 * strokes(lx, ly, np.full(len(lx), 2.0), 0.9)
    return _over(picture, bright, np.float32((1, 1, 1)))


def _ink(rng: np.random.Generator, picture: Picture) -> Picture:
    """A surgeon's violet line beside or round the lesion."""
    x, y = rng.uniform(-0.15, 0.15, 2).tolist()
    radius, start = rng.uniform(0.65, 0.95), rng.uniform(0, 2 * math.pi)
    around = start + np.arange(0, rng.uniform(0.8, 5.5), 1 / (128 * radius))
    wobble = radius * (1 + 0.08 * np.cos(2 * around) + 0.03 * np.cos(5 * around + start))
    line = strokes(x + wobble * np.cos(around), y + wobble * np.sin(around), np.full(len(around), 1.0), 1.6)
    return _over(picture, 0.7 * line * (0.8 + 0.2 * noise(rng, 3)), np.float32((0.30, 0.22, 0.55)))


def _ruler(rng: np.random.Generator, picture: Picture) -> Picture:
    """A millimetre scale along a side."""
    pitch, side = rng.uniform(0.1, 0.16), rng.integers(4)
    along = np.arange(-1, 1, pitch)
    lengths = np.where(np.arange(len(along)) % 5 == 0, 0.2, 0.1)
    ticks = [
        np.stack([np.full(n, place), np.linspace(0.85, 0.85 + n / 128, n)])
        for place, n in zip(along, (lengths * 128).astype(int), strict=True)
    ]
    u, v = np.concatenate(ticks, axis=1)
    x, y = ((u, v), (v, u), (u, -v), (-v, u))[side]
    return _over(picture, 0.8 * strokes(x, y, np.full(len(x), 1.0), 0.6), np.float32((0.1, 0.1, 0.1)))


def _over(picture: Picture, cover: Field, colour: NDArray[np.float32]) -> Picture:
    """A colour laid over the picture by a cover in [0, 1]."""
    return picture + cover[:, :, None] * (colour - picture)


def _soft(picture: Picture, sigma: float) -> Picture:
    """The picture out of focus by a standard deviation in pixels."""
    return np.stack([blur(picture[:, :, c], sigma) for c in range(3)], axis=2)
