"""How a generated skin lesion looks: dermoscopic criteria, mixed from seven classes, as layers of pigment.

What each class shows is one table (`LOOKS`); a layer draws one criterion and knows of no class.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.domain import SIZE
from medbench.data.phantoms.texture import Field, X, Y, clouds, edge, lattice, noise, ramp, strokes, waves

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")

LOOKS: Mapping[str, Mapping[str, float]] = {
    "akiec": {"ragged": 0.6, "red": 0.8, "yellow": 0.3, "strawberry": 1.0, "scale": 1.0, "crust": 0.3},
    "bcc": {"ragged": 0.4, "red": 0.6, "nests": 1.0, "tree": 1.0, "pearl": 1.0, "crust": 0.4},
    "bkl": {"ragged": 0.3, "sharp": 1.0, "yellow": 1.1, "milia": 1.0, "fissures": 1.0, "wax": 1.0},
    "df": {"red": 0.7, "rim": 1.0, "scar": 1.0},
    "mel": {"ragged": 1.0, "sharp": 0.4, "uneven": 1.0, "broken": 0.8, "veil": 1.0, "streaks": 0.9, "dots": 0.9},
    "nv": {"sharp": 0.2, "red": 0.1, "net": 1.0, "globules": 0.6},
    "vasc": {"ragged": 0.3, "sharp": 0.8, "red": 1.1, "lacunae": 1.0},
}
"""How strongly a plain example of each class shows each criterion, in [0, 1]; absent is 0."""

FORM = ("ragged", "sharp", "red", "yellow", "uneven")
"""The criteria that shape the lesion's outline and body; the others are layers upon it."""

BROWN = np.array([0.50, 1.05, 1.35], dtype=np.float32)
BLUE_GREY = np.array([1.3, 0.95, 0.55], dtype=np.float32)
BLOOD = np.array([0.12, 1.2, 0.8], dtype=np.float32)
KERATIN = np.array([0.15, 0.45, 1.3], dtype=np.float32)
"""(3,) optical densities for red, green and blue: melanin in the epidermis, in the dermis, blood, keratin."""

WHITE = np.array([0.95, 0.90, 0.85], dtype=np.float32)
"""(3,) colour of scars, scale and keratin in full light."""


@dataclass
class Tissue:
    """What lies in the skin at each pixel, to which the layers add.

    Attributes:
      melanin: density of brown pigment.
      dermal: density of deep pigment, which looks blue-grey.
      blood: density of blood.
      keratin: density of horn, which looks yellow.
      white: share of the light that white structures send back, in [0, 1].
    """

    melanin: Field
    dermal: Field
    blood: Field
    keratin: Field
    white: Field

    @classmethod
    def empty(cls) -> "Tissue":
        """Nothing at all."""
        return cls(*(np.zeros_like(X) for _ in range(5)))

    def fade(self, share: float) -> None:
        """Keep a share of everything."""
        for field in (self.melanin, self.dermal, self.blood, self.keratin, self.white):
            field *= share

    def lit(self, skin: NDArray[np.floating]) -> NDArray[np.floating]:
        """The picture of it in skin of an even colour (3,): (SIZE, SIZE, 3), in [0, 1] or so."""
        depth = [
            self.melanin * brown + self.dermal * grey + self.blood * red + self.keratin * yellow
            for brown, grey, red, yellow in zip(BROWN, BLUE_GREY, BLOOD, KERATIN, strict=True)
        ]
        seen = skin * np.exp(-np.stack(depth, axis=2))
        white = np.clip(self.white, 0, 0.9)[:, :, None]
        return seen + white * (WHITE * (0.4 + 0.6 * skin.max()) - seen)


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


def criteria(rng: np.random.Generator, mixture: NDArray[np.float64]) -> dict[str, float]:
    """How strongly a lesion shows each criterion.

    No lesion shows all that its class may: each criterion has a strength of its own, often none.

    Args:
      rng: the image's stream.
      mixture: (7,) shares of the classes' looks.
    """
    amounts = dict.fromkeys([*FORM, *LAYERS], 0.0)
    for share, name in zip(mixture, CLASSES, strict=True):
        for criterion, strength in LOOKS[name].items():
            amounts[criterion] += float(share) * strength
    shown = rng.uniform(0.75, 1.1, len(amounts)) * (rng.random(len(amounts)) > 0.05)
    return {
        criterion: amount * float(own)
        for (criterion, amount), own in zip(amounts.items(), shown, strict=True)
    }


def lesion(rng: np.random.Generator, tissue: Tissue, amounts: Mapping[str, float], scale: float) -> None:
    """Add a lesion that shows criteria by their amounts; size, place and darkness follow none of them.

    Every layer has a stream of its own, so that one that is left out moves no other.
    """
    form, *streams = rng.spawn(1 + len(LAYERS))
    place = _place(form, amounts, scale)
    _body(form, place, tissue, amounts)
    for stream, (criterion, layer) in zip(streams, LAYERS.items(), strict=True):
        if amounts[criterion] > 0:
            layer(stream, place, tissue, amounts[criterion])


def _place(rng: np.random.Generator, amounts: Mapping[str, float], scale: float) -> Place:
    """An oval with a more or less uneven and sharp outline."""
    x, y = 0.15 * rng.standard_normal(), 0.15 * rng.standard_normal()
    radius = scale * rng.uniform(0.46, 0.72)
    tilt, stretch = rng.uniform(0, math.pi), rng.uniform(1.0, 1.25)
    dx, dy = X - x, Y - y
    along = (dx * math.cos(tilt) + dy * math.sin(tilt)) / (radius * stretch)
    across = (dy * math.cos(tilt) - dx * math.sin(tilt)) / (radius / stretch)
    angle = np.arctan2(across, along)
    rough = 0.05 + 0.18 * amounts["ragged"]
    uneven = waves(rng, angle, range(2, 8)) + 0.8 * clouds(rng, 22, 4)
    inside = 1 - np.sqrt(along * along + across * across) + rough * uneven
    width = 0.06 + 0.26 * (1 - min(amounts["sharp"], 1.0)) * rng.uniform(0.5, 1.0)
    return Place(x, y, radius, inside, edge(inside, width))


def _body(rng: np.random.Generator, place: Place, tissue: Tissue, amounts: Mapping[str, float]) -> None:
    """The lesion's ground: brown or red, even or in patches, with a fine grain."""
    load = rng.uniform(0.65, 1.2)
    red = min(0.05 + 0.95 * amounts["red"], 1.0) * rng.uniform(0.7, 1.0)
    grain, patches = clouds(rng, 14, 4), clouds(rng, 26, 4)
    profile = 1 + rng.uniform(-1, 1) * (place.inside - 0.4) + 0.2 * grain
    ground = load * place.mask * np.clip(profile + 0.75 * amounts["uneven"] * patches, 0.1, 2.2)
    yellow = min(0.05 + 0.6 * amounts["yellow"], 1.0) * (1 - red)
    tissue.melanin += (1 - red - yellow) * ground
    tissue.keratin += yellow * ground
    tissue.blood += 0.8 * red * ground


def _net(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A regular brown net that fades towards the border."""
    lines = ramp(0.35, -0.35, lattice(rng, rng.uniform(6, 9), 0.22))
    strength = ramp(-1.5, 1.0, clouds(rng, 24, 2)) * ramp(-0.05, 0.35, place.inside)
    tissue.melanin += amount * 0.9 * (lines - 0.3) * place.mask * strength


def _rim(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A delicate net round the border only."""
    lines = ramp(0.1, -0.3, lattice(rng, rng.uniform(5, 7), 0.2))
    ring = ramp(-0.2, 0.15, place.inside) * ramp(0.75, 0.3, place.inside)
    tissue.melanin += amount * 0.9 * (lines - 0.1) * ring


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
    """Black dots of several sizes, to one side."""
    x, y = _scatter(rng, place, rng.integers(8, 22), spread=0.4, aside=0.5)
    tissue.melanin += amount * 1.6 * strokes(x, y, rng.uniform(0.4, 1.0, len(x)) * 2.2, 1.2)


def _streaks(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """Dark streaks that radiate over a part of the border."""
    start, arc = rng.uniform(0, 2 * math.pi), rng.uniform(1.2, 3.5)
    lines = []
    for _ in range(rng.integers(7, 16)):
        angle = start + rng.uniform(0, arc)
        near = place.radius * rng.uniform(0.75, 1.0)
        x, y = place.x + near * math.cos(angle), place.y + near * math.sin(angle)
        lines.append(walk(rng, x, y, angle, place.radius * rng.uniform(0.12, 0.35), 0.2))
    x, y = np.concatenate(lines, axis=1)
    tissue.melanin += amount * 1.3 * strokes(x, y, np.full(len(x), 0.8), 1.0)


def _veil(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A blue-grey, whitish veil over a part, and grey pepper round it."""
    region = clouds(rng, 30, 3) - rng.uniform(0, 0.5)
    veil = edge(region, 0.3) * place.mask
    fine = noise(rng, 3)
    pepper = ramp(1.0, 2.0, fine) * place.mask
    tissue.dermal += amount * (veil * (0.9 + 0.15 * fine) + 0.7 * pepper)
    tissue.melanin -= amount * 0.3 * veil * tissue.melanin
    tissue.white += amount * 0.2 * veil


def _nests(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """Blue-grey ovoid nests."""
    total = np.zeros_like(X)
    count = rng.integers(3, 9)
    for x, y in np.stack(_scatter(rng, place, count, spread=0.45, aside=0.0), axis=1):
        size = place.radius * rng.uniform(0.1, 0.26)
        stretch, tilt = rng.uniform(1.0, 1.6), rng.uniform(0, math.pi)
        along = (X - float(x)) * math.cos(tilt) + (Y - float(y)) * math.sin(tilt)
        across = (Y - float(y)) * math.cos(tilt) - (X - float(x)) * math.sin(tilt)
        squared = (along / stretch) ** 2 + (across * stretch) ** 2
        total += 1 / (1 + (squared / (size * size)) ** 2)
    tissue.dermal += amount * np.minimum(total * (1 + 0.2 * noise(rng, 5)), 1.2)


def _tree(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """Sharp red vessels that branch like trees."""
    trunks, twigs = [], []
    for _ in range(rng.integers(2, 4)):
        inward = rng.uniform(0, 2 * math.pi)
        x, y = place.x - place.radius * math.cos(inward), place.y - place.radius * math.sin(inward)
        trunk = walk(rng, x, y, inward + 0.4 * rng.standard_normal(), 1.6 * place.radius, 0.5)
        trunks.append(trunk)
        for _ in range(rng.integers(4, 8)):
            at = rng.integers(len(trunk[0]) // 5, len(trunk[0]))
            angle = inward + float(rng.choice((-1, 1))) * rng.uniform(0.5, 1.2)
            twigs.append(
                walk(rng, *trunk[:, at].tolist(), angle, place.radius * rng.uniform(0.3, 0.8), 0.5)
            )
    (tx, ty), (bx, by) = np.concatenate(trunks, axis=1), np.concatenate(twigs, axis=1)
    vessels = strokes(tx, ty, np.full(len(tx), 0.9), 0.95) + strokes(bx, by, np.full(len(bx), 0.7), 0.7)
    tissue.blood += amount * 1.5 * vessels


def _pearl(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A pearly, translucent ground in lobes."""
    lobes = ramp(-0.5, 1.2, clouds(rng, 16, 2))
    tissue.white += amount * 0.4 * lobes * place.mask
    tissue.melanin -= amount * 0.3 * place.mask * tissue.melanin


def _crust(rng: np.random.Generator, place: Place, tissue: Tissue, amount: float) -> None:
    """A small eroded or crusted patch, red-brown."""
    x, y = (float(v[0]) for v in _scatter(rng, place, 1, spread=0.25, aside=0.0))
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
    x, y = _scatter(rng, place, rng.integers(8, 18), spread=0.5, aside=0.0)
    tissue.white += amount * 0.85 * strokes(x, y, np.full(len(x), 5.0), 1.7)
    x, y = _scatter(rng, place, rng.integers(4, 12), spread=0.5, aside=0.0)
    tissue.melanin += amount * 1.2 * strokes(x, y, np.full(len(x), 4.5), 1.6)


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
    patch = edge(place.inside + off - rng.uniform(0.35, 0.55) + 0.12 * clouds(rng, 16, 3), 0.1)
    lie, lines = rng.uniform(0, math.pi), []
    for x, y in np.stack(_scatter(rng, place, rng.integers(8, 16), spread=0.25, aside=0.0), axis=1).tolist():
        across = math.pi / 2 if rng.random() < 0.4 else 0.0
        lines.append(walk(rng, x, y, lie + across, place.radius * rng.uniform(0.15, 0.35), 0.1))
    x, y = np.concatenate(lines, axis=1)
    tissue.white += amount * (0.26 * patch + 0.5 * strokes(x, y, np.full(len(x), 0.8), 0.9))
    tissue.melanin -= amount * 0.25 * patch * tissue.melanin


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


def walk(
    rng: np.random.Generator, x: float, y: float, angle: float, length: float, wander: float
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


def _scatter(
    rng: np.random.Generator, place: Place, count: int, *, spread: float, aside: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of points in a lesion, about its middle or a place `aside` of it (in radii)."""
    angle = rng.uniform(0, 2 * math.pi)
    x = place.x + place.radius * (aside * math.cos(angle) + spread * rng.standard_normal(count))
    y = place.y + place.radius * (aside * math.sin(angle) + spread * rng.standard_normal(count))
    return x, y
