"""From the breast to the picture: vendors' processing, noise, the side, and the marker that names it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medbench.data.phantoms.domain import SIZE
from medbench.data.phantoms.texture import Field, blur, noise

_GLYPHS = {
    "C": "111 100 100 100 111",
    "L": "100 100 100 100 111",
    "M": "101 111 111 101 101",
    "O": "111 101 101 101 111",
    "R": "110 101 110 101 101",
    " ": "000 000 000 000 000",
}
"""Letters of five rows by three pixels."""


@dataclass(frozen=True)
class Processing:
    """How a vendor's machine turns tissue into grey levels.

    Attributes:
      contrast: slope of the tone curve about the breast's middle grey.
      sharpening: share of an unsharp mask that is added.
      softness: blur of the detector in pixels.
      grain: standard deviation of the noise, as a share of the full range.
    """

    contrast: float
    sharpening: float
    softness: float
    grain: float


VENDORS = {
    "vendor-a": Processing(contrast=1.25, sharpening=0.3, softness=0.45, grain=0.012),
    "vendor-b": Processing(contrast=1.5, sharpening=0.9, softness=0.9, grain=0.05),
    "vendor-c": Processing(contrast=1.15, sharpening=0.1, softness=0.6, grain=0.018),
}


def expose(rng: np.random.Generator, film: Field, area: Field, attributes: Mapping[str, str]) -> Field:
    """The picture of a breast drawn with its chest wall on the left; a right breast's is mirrored."""
    vendor = VENDORS[attributes["vendor"]]
    film = blur(film, vendor.softness + rng.uniform(0, 0.2))
    film = film + vendor.sharpening * (film - blur(film, 3.0)) * area
    gain = vendor.contrast * (1 + 0.08 * rng.standard_normal())
    film = area * (0.5 + 0.03 * rng.standard_normal()) + gain * (film - 0.42 * area)
    film = film + vendor.grain * (0.25 + 0.75 * area) * rng.uniform(0.7, 1.3) * noise(rng, 1.0)
    film = film + 0.02
    if attributes["laterality"] == "right":
        film = film[:, ::-1]
    letters = attributes["laterality"][0].upper() + " " + attributes["view"]
    return np.maximum(film, _marker(rng, letters, right=attributes["laterality"] == "left"))


def _marker(rng: np.random.Generator, letters: str, *, right: bool) -> Field:
    """Side and view in white letters in an upper corner, upright."""
    rows = [
        [int(dot) for dot in "0".join(line)]
        for line in zip(*(_GLYPHS[c].split() for c in letters), strict=True)
    ]
    text = 0.85 * np.array(rows, dtype=np.float32)
    height, width = text.shape
    top, aside = rng.integers(4, 10), rng.integers(4, 8)
    left = SIZE - aside - width if right else aside
    picture = np.zeros((SIZE, SIZE), dtype=np.float32)
    picture[top : top + height, left : left + width] = text
    return picture
