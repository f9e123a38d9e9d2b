"""The dermoscopic criteria of a generated lesion, each a layer that is added to its tissue.

A layer draws one criterion by its amount and knows of no class.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.dermatology_tissue import Tissue
from medbench.data.phantoms.texture import Field, X, Y, clouds, edge, lattice, noise, ramp, strokes, walk


@dataclass(frozen=True)
class Place:
    """Where a lesion lies.

    Attributes:
      x: its middle, in [-1, 1].
      y: its middle.
      radius: its mean radius; the picture is 2 wide.
      inside: 1 in its middle, 0 on its uneven outline, below 0 outside.
      mask: `inside` as a share in [0, 1], over a softer or a sharper border.
    """

    x: float
    y: float
    radius: float
    inside: Field
    mask: Field


Layer = Callable[[np.random.Generator, Place, Tissue, float], None]
"""Adds a criterion of an amount in [0, 1] or so to the tissue of a lesion."""


def _net(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A regular brown net that fades towards the border."""
    lines = ramp(0.35, -0.35, lattice(rng, rng.uniform(6, 9), 0.22))
    strength = ramp(-1.5, 1.0, clouds(rng, 24, 2)) * ramp(-0.05, 0.35, place.inside)
    tissue.melanin += amount * 0.9 * (lines - 0.3) * place.mask * strength


def _rim(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A delicate net round the border only."""
    lines = ramp(0.1, -0.3, lattice(rng, rng.uniform(5, 7), 0.25))
    ring = ramp(-0.2, 0.15, place.inside) * ramp(0.75, 0.3, place.inside)
    tissue.melanin += amount * 1.1 * (lines - 0.2) * ring


def _broken(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A coarse, irregular net that stops abruptly."""
    lines = ramp(0.2, -0.2, lattice(rng, rng.uniform(7, 11), 0.4))
    part = edge(clouds(rng, 30, 2), 0.2)
    tissue.melanin += amount * 0.9 * (lines - 0.35) * part * place.mask


def _globules(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """Round brown globules of one size, like cobbles."""
    cobbles = ramp(0.2, 0.7, lattice(rng, rng.uniform(8, 11), 0.25))
    tissue.melanin += amount * 0.7 * (cobbles - 0.3) * place.mask


def _dots(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """Black dots to one side."""
    dots = _scatter(rng, place, (8, 22), spread=0.4, aside=0.5)
    tissue.melanin += amount * 1.6 * strokes(dots, 1.6, 1.2)


def _streaks(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """Dark streaks that radiate over a part of the border."""
    start, arc = rng.uniform(0, 2 * math.pi), rng.uniform(1.2, 3.5)
    streaks = []
    for _ in range(rng.integers(7, 16)):
        angle = start + rng.uniform(0, arc)
        near = place.radius * rng.uniform(0.75, 1.0)
        x, y = place.x + near * math.cos(angle), place.y + near * math.sin(angle)
        length = place.radius * rng.uniform(0.12, 0.35)
        streaks.append(walk(rng, x, y, angle=angle, length=length, wander=0.2))
    tissue.melanin += amount * 1.3 * strokes(np.concatenate(streaks, axis=1), 0.8, 1.0)


def _veil(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A blue-grey, whitish veil over a part, and grey pepper round it."""
    region = clouds(rng, 30, 3) - rng.uniform(0.1, 0.8)
    veil = edge(region, 0.4) * place.mask
    fine = noise(rng, 3)
    pepper = ramp(1.0, 2.0, fine) * place.mask
    tissue.dermal += amount * (veil * (0.9 + 0.15 * fine) + 0.7 * pepper)
    tissue.melanin -= amount * 0.3 * veil * tissue.melanin
    tissue.white += amount * 0.2 * veil


def _nests(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """Blue-grey ovoid nests."""
    total = np.zeros_like(X)
    for x, y in _scatter(rng, place, (3, 9), spread=0.45).T.tolist():
        size = place.radius * rng.uniform(0.12, 0.27)
        stretch, tilt = rng.uniform(1.0, 1.6), rng.uniform(0, math.pi)
        along = ((X - x) * math.cos(tilt) + (Y - y) * math.sin(tilt)) / (size * stretch)
        across = ((Y - y) * math.cos(tilt) - (X - x) * math.sin(tilt)) / (size / stretch)
        squared = along * along + across * across
        total += 1 / (1 + squared * squared)
    tissue.dermal += amount * np.minimum(total * (1 + 0.2 * noise(rng, 5)), 1.2)


def _tree(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """Sharp red vessels that branch like trees."""
    trunks, twigs = [], []
    for _ in range(rng.integers(2, 4)):
        inward = rng.uniform(0, 2 * math.pi)
        x, y = place.x - place.radius * math.cos(inward), place.y - place.radius * math.sin(inward)
        way = inward + 0.4 * rng.standard_normal()
        trunk = walk(rng, x, y, angle=way, length=1.6 * place.radius, wander=0.5)
        trunks.append(trunk)
        for _ in range(rng.integers(4, 8)):
            x, y = trunk[:, rng.integers(trunk.shape[1] // 5, trunk.shape[1])].tolist()
            angle = inward + (1, -1)[rng.integers(2)] * rng.uniform(0.5, 1.2)
            twigs.append(
                walk(rng, x, y, angle=angle, length=place.radius * rng.uniform(0.3, 0.8), wander=0.5)
            )
    thick = strokes(np.concatenate(trunks, axis=1), 0.9, 0.95)
    thin = strokes(np.concatenate(twigs, axis=1), 0.7, 0.7)
    tissue.blood += amount * 1.5 * (thick + thin)


def _pearl(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A pearly, translucent ground in lobes."""
    lobes = ramp(-0.5, 1.2, clouds(rng, 16, 2))
    tissue.white += amount * 0.4 * lobes * place.mask
    tissue.melanin -= amount * 0.3 * place.mask * tissue.melanin


def _crust(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A small eroded or crusted patch, red-brown."""
    ((x, y),) = _scatter(rng, place, (1, 2), spread=0.25).T.tolist()
    size = place.radius * rng.uniform(0.2, 0.4)
    distance = np.sqrt((X - x) ** 2 + (Y - y) ** 2) / size
    patch = edge(1 - distance + 0.4 * clouds(rng, 12, 3), 0.15)
    tissue.blood += amount * 1.0 * patch
    tissue.melanin += amount * 0.6 * patch * ramp(-0.5, 1, noise(rng, 4))


def _strawberry(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A red false net round whitish follicles."""
    holes = lattice(rng, rng.uniform(9, 13), 0.22)
    tissue.blood += amount * 0.75 * (ramp(0.4, -0.2, holes) - 0.4) * place.mask
    tissue.white += amount * 0.4 * ramp(0.4, 1.0, holes) * place.mask


def _scale(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """White and yellowish flakes on the surface."""
    flakes = ramp(0.5, 1.1, noise(rng, 3, 5)) * edge(clouds(rng, 24, 2), 0.4)
    tissue.white += amount * 0.7 * flakes * place.mask


def _milia(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """Round white cysts, and dark plugs."""
    tissue.white += amount * 0.85 * strokes(_scatter(rng, place, (8, 18), spread=0.5), 5.0, 1.7)
    tissue.melanin += amount * 1.2 * strokes(_scatter(rng, place, (4, 12), spread=0.5), 4.5, 1.6)


def _fissures(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """Dark winding furrows between ridges, like a brain's."""
    furrows = np.exp(-0.5 * np.minimum(np.abs(noise(rng, 12)) / 0.24, 6) ** 2)
    tissue.melanin += amount * 1.1 * (furrows - 0.18) * place.mask


def _wax(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A dull, lumpy surface with a border as if stuck on."""
    lumps = noise(rng, 6)
    tissue.melanin += amount * (0.18 * lumps + 0.35 * ramp(0.25, 0.05, place.inside)) * place.mask
    tissue.white += amount * 0.12 * ramp(0, 1.5, lumps) * place.mask


def _scar(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A whitish patch about the middle with shiny white lines, some across the others."""
    off = 0.25 * rng.standard_normal() * (X - place.x) / place.radius
    patch = edge(place.inside + off - rng.uniform(0.4, 0.6) + 0.12 * clouds(rng, 16, 3), 0.1)
    lie, lines = rng.uniform(0, math.pi), []
    for x, y in _scatter(rng, place, (8, 16), spread=0.28).T.tolist():
        across = math.pi / 2 if rng.random() < 0.4 else 0.0
        length = place.radius * rng.uniform(0.15, 0.35)
        lines.append(walk(rng, x, y, angle=lie + across, length=length, wander=0.1))
    shine = strokes(np.concatenate(lines, axis=1), 0.8, 1.0)
    tissue.white += amount * (0.18 * patch + 0.65 * shine)
    tissue.melanin -= amount * 0.15 * patch * tissue.melanin


def _lacunae(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """Round red, purple or blackish lagoons between pale septa."""
    holes = lattice(rng, rng.uniform(11, 17), 0.36)
    lagoons = ramp(-0.5, -0.15, holes) * place.mask
    purple = rng.uniform(0, 0.8) * ramp(-0.5, 1.5, clouds(rng, 24, 2))
    tissue.blood += amount * 0.9 * (lagoons - 0.2 * place.mask)
    tissue.dermal += amount * purple * lagoons
    tissue.white += amount * 0.3 * (place.mask - lagoons)


LAYERS: Mapping[str, Layer] = {
    "net": _net,
    "rim": _rim,
    "broken": _broken,
    "globules": _globules,
    "dots": _dots,
    "streaks": _streaks,
    "wax": _wax,
    "fissures": _fissures,
    "nests": _nests,
    "tree": _tree,
    "strawberry": _strawberry,
    "lacunae": _lacunae,
    "crust": _crust,
    "veil": _veil,
    "pearl": _pearl,
    "scar": _scar,
    "milia": _milia,
    "scale": _scale,
}
"""What draws each criterion beside those of form, from the depth of the skin to its surface."""


def _scatter(
    rng: np.random.Generator, place: Place, count: tuple[int, int], *, spread: float, aside: float = 0.0
) -> NDArray[np.float64]:
    """(2, n) points of a lesion, n from a half-open range: about its middle, or `aside` of it in radii."""
    angle, n = rng.uniform(0, 2 * math.pi), rng.integers(*count)
    x = place.x + place.radius * (aside * math.cos(angle) + spread * rng.standard_normal(n))
    y = place.y + place.radius * (aside * math.sin(angle) + spread * rng.standard_normal(n))
    return np.stack([x, y])
