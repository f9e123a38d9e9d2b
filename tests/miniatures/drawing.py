"""Cheap generated pictures in which a small net can find the labels; all grey values in [0, 1]."""

from collections.abc import Collection
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]


@lru_cache(maxsize=16)
def grid(height: int, width: int) -> tuple[Grey, Grey]:
    """Row and column of each pixel, each in [0, 1]: two (height, width) arrays."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return y / height, x / width


@lru_cache(maxsize=128)
def blob(height: int, width: int, y: float, x: float, tall: float, wide: float) -> Grey:
    """A soft spot of height 1 at (y, x) with the given half axes; (height, width)."""
    rows, columns = grid(height, width)
    return np.exp(-(((rows - y) / tall) ** 2) - ((columns - x) / wide) ** 2)


CHEST_SIGNS = {
    "atelectasis": (0.72, 0.28, 0.03, 0.16),
    "cardiomegaly": (0.62, 0.52, 0.16, 0.26),
    "consolidation": (0.30, 0.27, 0.10, 0.09),
    "edema": (0.45, 0.73, 0.24, 0.10),
    "effusion": (0.86, 0.73, 0.08, 0.15),
}
"""Where each finding brightens a film: row, column, half height, half width."""


def chest(findings: Collection[str], rng: np.random.Generator, height: int, width: int) -> Grey:
    """A frontal film: two dark lungs, a heart, a bright place for each finding; (height, width)."""
    film = np.full((height, width), 0.62, np.float32)
    film -= 0.42 * blob(height, width, 0.5, 0.27, 0.33, 0.15)
    film -= 0.42 * blob(height, width, 0.5, 0.73, 0.33, 0.15)
    film += 0.15 * blob(height, width, 0.62, 0.52, 0.14, 0.12)
    for finding in sorted(findings):
        film += 0.35 * blob(height, width, *CHEST_SIGNS[finding])
    return noisy(film, rng, 0.04)


def lateral(rng: np.random.Generator, height: int, width: int) -> Grey:
    """A lateral film: one dark lung; (height, width)."""
    return noisy(0.6 - 0.4 * blob(height, width, 0.45, 0.5, 0.35, 0.28), rng, 0.04)


def breast(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    wall: str,
    density: float,
    mass: bool,
    implant: bool = False,
) -> Grey:
    """A mammogram: a bright half disc at one edge of a black field, with a letter opposite; (height, width).

    Args:
      rng: of the noise, and of where the mass lies.
      height, width: in pixels.
      wall: `left` or `right`, the edge at which the breast stands.
      density: in [0, 1]; dense tissue is bright.
      mass: whether there is a small, very bright spot.
      implant: whether there is a large, even, bright disc.
    """
    y, x = grid(height, width)
    inside = ((y - 0.5) / 0.42) ** 2 + (x / 0.62) ** 2 < 1
    tissue = 0.35 + 0.25 * density * (0.5 + 0.5 * np.sin(18 * y + 9 * x))
    film = np.where(inside, tissue + rng.normal(0, 0.03, inside.shape), 0).astype(np.float32)
    if implant:
        film = np.where(((y - 0.5) / 0.22) ** 2 + (x / 0.28) ** 2 < 1, np.float32(0.8), film)
    if mass:
        film += (
            0.6
            * blob(height, width, rng.choice((0.4, 0.5, 0.6)), rng.choice((0.2, 0.3)), 0.06, 0.07)
            * inside
        )
    film[int(0.06 * height) : int(0.12 * height), int(0.86 * width) : int(0.94 * width)] = 0.9
    film = np.clip(film, 0, 1)
    return film if wall == "left" else film[:, ::-1]


SKIN_COLOURS = {
    "melanoma": (0.15, 0.10, 0.12),
    "nevus": (0.50, 0.30, 0.18),
    "basal cell": (0.85, 0.45, 0.55),
    "keratotic": (0.90, 0.80, 0.55),
    "other": (0.45, 0.45, 0.60),
}
"""Colour of the lesion by kind."""


def skin(kind: str, rng: np.random.Generator, height: int, width: int, *, tone: float = 0.2) -> Grey:
    """A lesion of the kind's colour on skin; tone 0 is light and 1 dark; (height, width, 3)."""
    ground = np.array((0.95, 0.78, 0.68), np.float32) * (1 - 0.6 * tone)
    spot = blob(height, width, 0.5, 0.5, rng.choice((0.2, 0.25, 0.3)), rng.choice((0.2, 0.25, 0.3)))[
        ..., None
    ]
    return noisy(ground + spot * (np.array(SKIN_COLOURS[kind], np.float32) - ground), rng, 0.03)


def noisy(picture: Grey, rng: np.random.Generator, spread: float) -> Grey:
    """With white noise, within [0, 1]."""
    return np.clip(picture + spread * rng.standard_normal(picture.shape, dtype=np.float32), 0, 1)


def bytes_of(picture: Grey) -> NDArray[np.uint8]:
    """As 8 bit."""
    return (picture * 255).astype(np.uint8)
