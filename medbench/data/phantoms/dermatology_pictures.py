"""Skin, and how a dermatoscope or a smartphone takes it: hairs, gel, marks, light and lens.

Nothing here knows of a lesion's class.
"""

import math

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.dermatology_tissue import Tissue
from medbench.data.phantoms.domain import SIZE
from medbench.data.phantoms.texture import Field, X, Y, blob, blur, clouds, edge, noise, ramp, strokes, walk

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

DARK_HAIR = np.array([0.14, 0.10, 0.09], dtype=np.float32)
PALE_HAIR = np.array([0.80, 0.78, 0.72], dtype=np.float32)
INK = np.array([0.30, 0.22, 0.55], dtype=np.float32)
BLACK = np.array([0.1, 0.1, 0.1], dtype=np.float32)
LIGHT = np.array([1.0, 1.0, 1.0], dtype=np.float32)
"""(3,) colours of what lies on the skin."""

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
        angle = lie + 0.35 * rng.standard_normal()
        lines.append(walk(rng, x, y, angle=angle, length=rng.uniform(0.5, 1.8), wander=0.3))
    cover = strokes(np.concatenate(lines, axis=1), 0.8, rng.uniform(0.4, 0.6))
    return _over(picture, rng.uniform(0.45, 0.85) * cover, PALE_HAIR if pale else DARK_HAIR)


def dermatoscope(rng: np.random.Generator, picture: Picture) -> Picture:
    """Even light and a sharp lens on the skin; each instrument has its cast, some a rim, gel or a scale."""
    cast, gel, marks, lens = rng.spawn(4)
    if gel.random() < 0.08:
        picture = _bubbles(gel, picture)
    if marks.random() < 0.08:
        picture = _ink(marks, picture) if marks.random() < 0.5 else _ruler(marks, picture)
    tint = np.exp((cast.uniform(0, 1, 3)[:, None] ** 2 * CASTS).sum(axis=0).astype(np.float32))
    picture = _soft(picture, 0.35 + lens.uniform(0, 0.4)) * (tint * math.exp(0.04 * cast.standard_normal()))
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
    grain, chroma = 0.015 * noise(lens, 1.3), 0.01 * noise(lens, 1.6)
    return picture + np.stack([grain + chroma, grain, grain - chroma], axis=2)


def _bubbles(rng: np.random.Generator, picture: Picture) -> Picture:
    """Air in the gel: small bright rings with a highlight."""
    rings, lights = [], []
    for _ in range(rng.integers(2, 9)):
        x, y = rng.uniform(-1, 1, 2).tolist()
        radius = rng.uniform(0.03, 0.11)
        around = np.arange(0, 2 * math.pi, 1 / (SIZE * radius))
        rings.append(np.stack([x + radius * np.cos(around), y + radius * np.sin(around)]))
        lights.append([x - 0.4 * radius, y - 0.4 * radius])
    bright = 0.25 * strokes(np.concatenate(rings, axis=1), 1.0, 0.7)
    return _over(picture, bright + 0.5 * strokes(np.array(lights).T, 2.0, 0.9), LIGHT)


def _ink(rng: np.random.Generator, picture: Picture) -> Picture:
    """A surgeon's violet line beside or round the lesion."""
    x, y = rng.uniform(-0.15, 0.15, 2).tolist()
    radius, start = rng.uniform(0.65, 0.95), rng.uniform(0, 2 * math.pi)
    around = start + np.arange(0, rng.uniform(0.8, 5.5), 1 / (SIZE * radius))
    away = radius * (1 + 0.08 * np.cos(2 * around) + 0.03 * np.cos(5 * around + start))
    line = strokes(np.stack([x + away * np.cos(around), y + away * np.sin(around)]), 1.0, 1.6)
    return _over(picture, 0.7 * line * (0.8 + 0.2 * noise(rng, 3)), INK)


def _ruler(rng: np.random.Generator, picture: Picture) -> Picture:
    """A millimetre scale along a side."""
    pitch, side = rng.uniform(0.1, 0.16), rng.integers(4)
    ticks = []
    for number, place in enumerate(np.arange(-1, 1, pitch).tolist()):
        points = np.arange(0, 0.1 if number % 5 else 0.2, 1 / SIZE)
        ticks.append(np.stack([np.full(len(points), place), 0.85 + points]))
    u, v = np.concatenate(ticks, axis=1)
    turned = np.stack(((u, v), (v, u), (u, -v), (-v, u))[side])
    return _over(picture, 0.8 * strokes(turned, 1.0, 0.6), BLACK)


def _over(picture: Picture, cover: Field, colour: NDArray[np.float32]) -> Picture:
    """A colour laid over the picture by a cover in [0, 1]."""
    return picture + cover[:, :, None] * (colour - picture)


def _soft(picture: Picture, sigma: float) -> Picture:
    """The picture out of focus by a standard deviation in pixels."""
    return np.stack([blur(picture[:, :, c], sigma) for c in range(3)], axis=2)
