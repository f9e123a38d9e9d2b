"""What the findings of a chest film look like; the heart's size is drawn with the anatomy.

Each is given the share of its full appearance, in [0, 1], and draws side, place and extent on its own.
"""

import numpy as np

from medbench.data.phantoms.chest_anatomy import HILUM, LEFT, RIGHT, Chest
from medbench.data.phantoms.texture import Field, clouds, edge, noise, ramp


def bases(rng: np.random.Generator) -> tuple[float, float]:
    """How much of each lung's base is lost, right and left: to fluid, or in its absence to a high dome.

    Drawn without regard to the finding, so that a dense base alone does not give fluid away.
    """
    right, left = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 1.0))[rng.integers(4)]
    return right * rng.uniform(0.6, 1), left * rng.uniform(0.6, 1)


def effusion(rng: np.random.Generator, chest: Chest, side: int, amount: float) -> Field:
    """Fluid in one pleural space, as a share of the air that it takes away.

    Upright it has a level that climbs along the wall, first in the angle alone; lying it veils the
    lower lung, more towards the base.
    """
    v = side * chest.x / chest.half
    blunt = min(amount / 0.35, 1.0)
    angle = chest.dome(side) + 0.2
    level = angle - (0.06 + 0.64 * amount)
    climb = (0.16 + 0.1 * rng.uniform(0, 1)) * np.clip((v - 0.25) / 0.7, 0, 1.2) ** 3 * blunt
    top = level - climb + 0.04 * np.clip(0.4 - v, 0, 1)
    pool = edge(chest.y - top, 0.05 + 0.03 * chest.portable)
    veil = ramp(level - 0.7, level + 0.25, chest.y)
    lying = 0.6 * chest.portable * rng.uniform(0, 1)
    return blunt * ((1 - lying) * pool + lying * 0.75 * veil)


def edema(rng: np.random.Generator, chest: Chest, strength: float) -> Field:
    """A net of thickened septa, worst at the sides and bases, and patchy haze like wings about the hila."""
    u, v = np.abs(chest.x), chest.y - HILUM[1]
    net = np.clip(1 - 2 * np.abs(noise(rng, 7, 5)), 0, 1) + np.clip(1 - 2 * np.abs(noise(rng, 4)), 0, 1)
    spread = 0.6 + 0.4 * ramp(-0.4, 0.4, chest.y)
    wings = np.exp(-(((u - 0.3) / 0.26) ** 2) - ((v - 0.06) / 0.4) ** 2)
    haze = wings * np.clip(0.6 + 0.6 * clouds(rng, 16, 3), 0, 2)
    return strength * (0.32 * net * spread + 0.4 * haze)


def nodules(rng: np.random.Generator, chest: Chest, strength: float) -> Field:
    """A few round opacities of several sizes in the lungs; some lie behind the heart, as nodules do."""
    result = np.zeros_like(chest.x)
    for _ in range(rng.integers(3, 8)):
        side = (RIGHT, LEFT)[rng.integers(2)]
        y = -0.5 + (chest.dome(side) + 0.44) * rng.uniform(0, 1)
        inner, outer = 0.24 + 0.12 * (side == LEFT and y > -0.1), chest.wall(y) - 0.1
        x = side * (inner + (outer - inner) * rng.uniform(0, 1))
        radius = rng.uniform(0.05, 0.1)
        squared = ((chest.x - x) ** 2 + (chest.y - y) ** 2) / radius**2
        result = np.maximum(result, rng.uniform(0.7, 1.0) / (1 + squared**4))
    return 0.64 * strength * result
