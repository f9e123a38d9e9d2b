"""How a generated skin lesion looks: its place, its ground, and the criteria that its classes show.

What each class shows is one table, `LOOKS`.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.dermatology_layers import LAYERS, Place
from medbench.data.phantoms.dermatology_tissue import Tissue
from medbench.data.phantoms.texture import X, Y, clouds, edge, waves

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")

LOOKS: Mapping[str, Mapping[str, float]] = {
    "akiec": {"ragged": 0.6, "red": 0.8, "yellow": 0.3, "strawberry": 1.0, "scale": 1.0, "crust": 0.3},
    "bcc": {"ragged": 0.4, "red": 0.6, "nests": 1.0, "tree": 1.0, "pearl": 1.0, "crust": 0.4},
    "bkl": {"ragged": 0.3, "sharp": 1.0, "yellow": 1.1, "milia": 1.0, "fissures": 1.0, "wax": 1.0},
    "df": {"red": 0.7, "rim": 1.0, "scar": 1.0},
    "mel": {
        "ragged": 1.0,
        "sharp": 0.4,
        "uneven": 1.0,
        "broken": 0.8,
        "veil": 1.0,
        "streaks": 0.9,
        "dots": 0.9,
    },
    "nv": {"sharp": 0.2, "red": 0.1, "net": 1.0, "globules": 0.6},
    "vasc": {"ragged": 0.3, "sharp": 0.8, "red": 1.1, "lacunae": 1.0},
}
"""How strongly a plain example of each class shows each criterion, about in [0, 1]; what is not named, not
at all."""

FORM = ("ragged", "sharp", "red", "yellow", "uneven")
"""The criteria that shape the lesion's outline and body; the others are layers upon it."""


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
