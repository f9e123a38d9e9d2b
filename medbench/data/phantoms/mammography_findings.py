"""The findings of the generated mammograms, from benign to malignant: masses, calcifications, distortions.

Malignancy is in [0, 1]. Size and place are drawn without regard to it, and what is added to the
tissue's brightness is about the same.
"""

import math
from dataclasses import dataclass

import numpy as np

from medbench.data.phantoms.domain import SIZE
from medbench.data.phantoms.texture import Field, X, Y, edge, noise, ramp, sample, waves


@dataclass(frozen=True)
class Finding:
    """What both views of a breast share of its finding.

    Attributes:
      kind: `mass`, `calcifications` or `distortion`.
      depth: behind the nipple, as a share of the way to the chest wall.
      across: place across the breast's axis from -1 to 1, in CC and in MLO.
      radius: in half image sides.
      count: of the coarse calcifications; the fine ones are four times as many.
    """

    kind: str
    depth: float
    across: tuple[float, float]
    radius: float
    count: int

    @classmethod
    def anywhere(cls, rng: np.random.Generator, kind: str) -> "Finding":
        """A finding of a kind, of any size, anywhere in the breast."""
        across = rng.uniform(-0.5, 0.5, 2)
        return cls(
            kind=kind,
            depth=rng.uniform(0.3, 0.75),
            across=(float(across[0]), float(across[1])),
            radius=rng.uniform(0.21, 0.3),
            count=int(rng.integers(6, 10)),
        )


def appearance(rng: np.random.Generator, finding: Finding, x: float, y: float, malignancy: float) -> Field:
    """A finding at (x, y), to be added to the tissue; up to about 1 high."""
    rows, columns = _window(x, y, 3 * finding.radius)
    dx, dy = X[rows, columns] - x, Y[rows, columns] - y
    layer: Field = np.zeros_like(X)
    if finding.kind == "mass":
        layer[rows, columns] = _mass(rng, dx, dy, finding.radius, malignancy)
    elif finding.kind == "distortion":
        layer[rows, columns] = _distortion(rng, dx, dy, finding.radius, malignancy)
    else:
        layer[rows, columns] = _calcifications(rng, dx, dy, finding, malignancy)
    return layer


def _window(x: float, y: float, reach: float) -> tuple[slice, slice]:
    """Rows and columns of the pixels within `reach` of (x, y) along either axis."""

    def pixels(centre: float) -> slice:
        first, last = ((centre + away + 1) * SIZE / 2 for away in (-reach, reach))
        return slice(max(round(first), 0), max(round(last), 0))

    return pixels(y), pixels(x)


def _mass(rng: np.random.Generator, dx: Field, dy: Field, radius: float, malignancy: float) -> Field:
    """Round, smooth, faint at 0; a dense core with a ragged outline and spicules at 1."""
    r, angle = np.sqrt(dx * dx + dy * dy), np.arctan2(dy, dx)
    strands = _strands(rng, r / radius, angle)
    oval = 0.12 * np.cos(2 * angle + rng.uniform(0, 2 * math.pi))
    uneven = waves(rng, angle, range(2, 7))
    ragged = 0.35 * uneven + 0.5 * (strands - 0.4)
    outline = radius * (1.08 - 0.2 * malignancy) * (1 + oval + malignancy * ragged)
    body = edge(outline - r, 0.015 + 0.04 * malignancy)
    return 0.3 * (0.5 + malignancy) * body + malignancy * _spicules(strands, r / radius, uneven)


def _distortion(rng: np.random.Generator, dx: Field, dy: Field, radius: float, malignancy: float) -> Field:
    """Nothing at 0; at 1 lines that converge on a place where there is no mass."""
    r, angle = np.sqrt(dx * dx + dy * dy), np.arctan2(dy, dx)
    strands = _strands(rng, r / radius, angle)
    return malignancy * _spicules(strands, r / radius, waves(rng, angle, range(2, 7)))


def _strands(rng: np.random.Generator, r: Field, angle: Field) -> Field:
    """Ridges in [0, 1] that run outwards; `r` is in radii of the finding."""
    return np.clip(1 - np.abs(sample(noise(rng, 5, 50), 32 * r, (angle / math.pi + 1) * SIZE / 2)), 0, 1)


def _spicules(strands: Field, r: Field, uneven: Field) -> Field:
    """Strands that fade outwards, unevenly far; less their mean, so that they darken what is between."""
    return 0.68 * (strands - 0.42) * np.exp(-((r / (1.9 + 0.5 * uneven)) ** 2)) * ramp(0.1, 0.4, r)


def _calcifications(
    rng: np.random.Generator, dx: Field, dy: Field, finding: Finding, malignancy: float
) -> Field:
    """A few, coarse, round, faint and scattered at 0; many, fine, uneven and grouped at 1."""
    spread = finding.radius * (1.3 + 1.6 * (1 - malignancy))
    layer: Field = np.zeros_like(dx)
    for number in range(4 * finding.count):
        away, towards = spread * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
        uneven = malignancy * rng.uniform(-1, 1)
        radius = (0.036 - 0.011 * malignancy) * (1 + 0.3 * uneven)
        aspect = 1 + 0.6 * malignancy * rng.random()
        u, v = (dx - away * math.cos(towards)) / aspect, (dy - away * math.sin(towards)) * aspect
        height = 0.3 + 0.45 * malignancy + 0.2 * uneven
        share = 1.0 if number < finding.count else malignancy
        layer = np.maximum(layer, share * height / (1 + ((u * u + v * v) / radius**2) ** 2))
    return layer
