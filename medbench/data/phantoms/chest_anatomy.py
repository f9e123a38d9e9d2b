"""What every chest film shows: trunk, rib cage, lungs, diaphragm, heart and vessels, as X-rays add them up.

Fields are attenuations, about 0 for air and 1 for the densest tissue; nothing here knows of findings
but the heart's width.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from medbench.data.phantoms.texture import Field, X, Y, clouds, edge, noise, ramp, sample

RIGHT, LEFT = -1, 1
"""The patient's sides; as usual the patient's left is on the right of the film."""

HILUM = (0.15, -0.06)
"""Where vessels enter a lung: distance from the midline, and height."""


@dataclass(frozen=True)
class Chest:
    """How a patient stands or lies in the picture, and breathes.

    Attributes:
      x: (SIZE, SIZE) distance from the midline, growing to the patient's left.
      y: (SIZE, SIZE) height, downwards; lungs reach from about -0.75 to 0.5.
      half: half width of the rib cage at its widest.
      domes: heights of the diaphragm's tops, right and left.
      portable: taken at the bedside from the front (AP).
    """

    x: Field
    y: Field
    half: float
    domes: tuple[float, float]
    portable: bool

    def dome(self, side: int) -> float:
        """Height of the diaphragm's top on a side."""
        return self.domes[side > 0]

    def wall(self, y: float) -> float:
        """Half width of the rib cage at a height: about half an ellipse, straight below."""
        up = max(0.35 - y, 0.0) / 1.17
        return self.half * math.sqrt(max(1 - up**2.7, 0.01))

    @cached_property
    def cage(self) -> Field:
        """The same at every point."""
        up = np.maximum(0.35 - self.y, 0) / 1.17
        return self.half * np.sqrt(np.maximum(1 - up**2.7, 0.01))

    @cached_property
    def across(self) -> Field:
        """Distance from the midline as a share of the cage's half width."""
        return np.abs(self.x) / self.cage


def pose(rng: np.random.Generator, *, portable: bool, shallow: float, high: tuple[float, float]) -> Chest:
    """A chest in the picture: size, place, tilt, breadth and breath.

    Args:
      rng: the image's stream.
      portable: an AP film.
      shallow: how much higher the diaphragm stands in this setting.
      high: how much higher each dome stands in this patient, right and left.
    """
    scale = 1.04 + 0.06 * rng.standard_normal() + 0.05 * portable
    tilt = 0.04 * rng.standard_normal()
    x = (X - 0.07 * rng.standard_normal()) / scale
    y = (Y - 0.07 * rng.standard_normal()) / scale
    x, y = x + tilt * y, y - tilt * x
    breath = 0.46 - shallow + 0.09 * rng.standard_normal()
    apart = 0.05 + 0.025 * rng.standard_normal()
    domes = (breath - high[0], breath + apart - high[1])
    return Chest(x, y, 0.74 + 0.05 * rng.standard_normal(), domes, portable)


def trunk(rng: np.random.Generator, chest: Chest) -> Field:
    """Neck, shoulders and trunk with the thickness that each ray crosses; air beyond."""
    stout = 0.18 + 0.05 * rng.standard_normal() + 0.04 * chest.portable
    y = chest.y
    top = -0.66 + 0.05 * rng.standard_normal() - 0.08 * chest.portable
    neck = 0.23 + 0.03 * rng.standard_normal()
    shoulders = neck + 0.3 * ramp(top - 0.5, top, y) + (0.72 - neck) * ramp(top - 0.22, top + 0.2, y)
    waist = chest.half + stout + 0.1 * ramp(0.3, 1.0, y)
    inside = shoulders + (waist - shoulders) * ramp(-0.42, 0.0, y) - np.abs(chest.x)
    return edge(inside, 0.02) * (0.5 + 0.5 * np.sqrt(np.clip(inside / 0.5, 0, 1)))


def lung(chest: Chest, side: int) -> Field:
    """Air of one lung above its half of the diaphragm, in [0, 1]."""
    v = side * chest.x
    wall = edge(chest.cage - 0.03 - v, 0.018)
    return (
        wall * edge(v - 0.05, 0.03) * edge(floor(chest, side) - chest.y, 0.016) * (1 - 0.35 * chest.across**4)
    )


def floor(chest: Chest, side: int) -> Field:
    """Height of the diaphragm below each point: a dome that falls to the sharp angle at the side."""
    r = (side * chest.x - 0.5 * chest.half) / (0.5 * chest.half)
    return chest.dome(side) + 0.17 * r * r + 0.06 * r * r * r


def heart(rng: np.random.Generator, chest: Chest, *, ratio: float, old: bool) -> Field:
    """The heart and great vessels in [0, 1], between a right and a left border.

    On the left aortic knob, pulmonary trunk and the ventricle down to the apex; on the right the vein and
    the atrium.

    Args:
      rng: the image's stream.
      chest: the chest that it lies in.
      ratio: the heart's width to the chest's.
      old: the aorta is wider and longer.
    """
    width = 2 * chest.half * ratio
    reach = 0.65 + 0.03 * rng.standard_normal()
    turned = 0.045 * rng.standard_normal()
    x, y = chest.x - turned, chest.y
    top = -0.24 + 0.04 * rng.standard_normal()
    bottom = 0.5 * sum(chest.domes) + 0.08 + 0.02 * rng.standard_normal()
    t = np.clip((y - top) / (bottom - top), 0, 1.3)
    full = rng.uniform(0.1, 0.8)
    slope = (1 - full) * ramp(-0.05, 0.95, t) + full * t * (2 - t)
    slope = slope * np.sqrt(np.maximum(1 - (np.maximum(t - 0.8, 0) / 0.5) ** 2, 0))
    knob = 0.045 + 0.025 * old + 0.01 * rng.standard_normal()
    height = -0.4 - 0.03 * old + 0.03 * rng.standard_normal()
    knob = knob * np.exp(-(((y - height) / 0.09) ** 2)) + 0.03 * np.exp(-(((y - top) / 0.12) ** 2))
    stem = 0.09 + 0.02 * chest.portable
    left = stem + knob + (reach * width - stem - turned) * slope
    atrium = np.sqrt(np.clip(1 - ((t - 0.62) / 0.52) ** 2, 0, 1))
    right = stem + 0.015 + ((1 - reach) * width - stem - 0.015 + turned) * atrium
    bordered = edge(left - x, 0.022) * edge(x + right, 0.022)
    return bordered * edge(bottom + 0.07 - y, 0.03)


def windpipe(chest: Chest) -> Field:
    """The trachea's air down to where it forks, and the main bronchi."""
    y = chest.y
    below = np.maximum(y + 0.34, 0)
    fork = np.abs(np.abs(chest.x) - 0.8 * below)
    return edge(0.045 - fork, 0.016) * (1 - ramp(-0.36, -0.16, y)) * (1 - 0.55 * ramp(-0.4, -0.3, y))


def bones(rng: np.random.Generator, chest: Chest, *, old: bool) -> Field:
    """Ribs behind (round) and in front (steeper, fainter), clavicles, shoulders, vertebrae."""
    strength = (0.8 if old else 1.0) * (1 + 0.15 * rng.standard_normal())
    return strength * (_ribs(rng, chest) + _shoulders(rng, chest)) + _spine(rng, chest)


def _ribs(rng: np.random.Generator, chest: Chest) -> Field:
    """Tilted rings about the chest, seen twice: their back part high, their front part low."""
    spacing = 0.145 + 0.008 * rng.standard_normal()
    start, steep = rng.uniform(0, 1), 0.24 + 0.03 * rng.standard_normal()
    turn = np.sqrt(np.clip(1 - (chest.across / 1.03) ** 2, 0, 1))
    inside = edge(1.03 - chest.across, 0.025) * (1 - 0.85 * ramp(0.1, 0.65, chest.y))
    thick = 0.75 / (turn + 0.6)
    behind = _tube(
        np.cos(2 * np.pi * ((chest.y + steep * turn - 0.14 * chest.across) / spacing + start)), 0.1
    )
    front = _tube(np.cos(2 * np.pi * ((chest.y - 1.5 * steep * turn) / (1.15 * spacing) + 2 * start)), 0.35)
    return inside * thick * (0.08 * behind + 0.06 * front * ramp(0.25, 0.6, chest.across))


def _tube(wave: Field, level: float) -> Field:
    """A hollow bone where a wave exceeds a level: a plateau with a brighter rim."""
    return edge(wave - level, 0.16) + 0.55 * np.exp(-(((wave - level - 0.12) / 0.25) ** 2))


def _shoulders(rng: np.random.Generator, chest: Chest) -> Field:
    """Clavicles, blades and humeral heads."""
    u, y = np.abs(chest.x), chest.y
    height = -0.62 - 0.06 * chest.portable + 0.03 * rng.standard_normal()
    slope = 0.2 + 0.1 * rng.standard_normal()
    way = (y - height + slope * (u - 0.08) - 0.06 * np.sin(6 * (u - 0.1))) / 0.034
    ends = ramp(0.05, 0.1, u) * (1 - ramp(0.72, 0.8, u))
    clavicles = (np.exp(-(way**4)) + 0.4 * np.exp(-(((np.abs(way) - 0.9) / 0.3) ** 2))) * ends
    reach = 0.72 - 0.1 * chest.portable + 0.04 * rng.standard_normal()
    medial = u - reach + 0.25 * (y + 0.3)
    blade = edge(medial, 0.015) * edge(0.12 - y - 1.2 * (u - reach), 0.03) * ramp(-0.72, -0.6, y)
    blade = blade * (0.5 + np.exp(-(((medial - 0.02) / 0.025) ** 2)))
    head = edge(1 - ((u - 0.97) / 0.13) ** 2 - ((y + 0.56) / 0.14) ** 2, 0.2)
    return 0.16 * clavicles + 0.05 * blade + 0.14 * head


def _spine(rng: np.random.Generator, chest: Chest) -> Field:
    """Vertebral bodies and discs, faint through the mediastinum."""
    column = edge(0.07 - np.abs(chest.x - 0.01), 0.015)
    discs = 0.7 + 0.3 * np.cos(2 * np.pi * (chest.y / 0.135 + rng.uniform(0, 1)))
    return 0.075 * column * discs


def vessels(rng: np.random.Generator, chest: Chest, *, upper: float) -> Field:
    """Arteries and veins that branch from the hila and thin outwards, about 0 to 1.

    Args:
      rng: the image's stream.
      chest: the chest.
      upper: how wide the upper lobes' vessels are to the lower lobes', which carry more in the upright.
    """
    u, v = np.abs(chest.x) - HILUM[0], chest.y - HILUM[1]
    radius = np.sqrt(u * u + v * v) + 0.04
    angle = np.arctan2(v, u) * np.sign(chest.x)
    bend = 0.2 * noise(rng, 24)
    streaks = noise(rng, 3.2, 26) + 0.6 * noise(rng, 2.4, 12)
    lines = sample(streaks, 34 * np.log(radius) + 127, 26 * (angle + bend) + 64)
    width = upper + (1 - upper) * ramp(-0.15, 0.25, v)
    branches = np.clip(lines - 0.25, 0, 2.2) * width * np.exp(-2.1 * radius)
    hilum = np.exp(-(((u + 0.02) / 0.075) ** 2) - (v / 0.13) ** 2)
    return branches + 0.55 * hilum


def soft_tissue(rng: np.random.Generator, chest: Chest, *, female: bool) -> Field:
    """Breasts, fat and muscle of uneven thickness."""
    result = 0.03 * clouds(rng, 48, 3)
    if female:
        drop, large = 0.28 + 0.07 * rng.standard_normal(), 0.05 + 0.02 * rng.uniform(-1, 1)
        u = np.abs(chest.x)
        breast = 1 - ((u - 0.45) / 0.36) ** 2 - ((chest.y - drop) / 0.32) ** 2
        hidden = ramp(0.1, 0.35, chest.y - 0.5 * sum(chest.domes))
        thick = 0.6 + ramp(drop - 0.2, drop + 0.25, chest.y) - 1.2 * hidden
        result = result + large * edge(breast, 0.2) * thick
    return result


def belly(rng: np.random.Generator, chest: Chest, above: Field) -> Field:
    """Liver, stomach and spleen below lungs and heart, with gas in the stomach."""
    top = 0.5 * sum(chest.domes)
    deep = ramp(top - 0.1, top + 0.35, chest.y)
    x = 0.36 + 0.06 * rng.standard_normal()
    y = chest.dome(LEFT) + 0.16 + 0.03 * rng.standard_normal()
    bubble = edge(1 - ((chest.x - x) / rng.uniform(0.06, 0.16)) ** 2 - ((chest.y - y) / 0.07) ** 2, 0.25)
    return (1 - above) * (0.24 * deep - 0.22 * rng.uniform(0, 1) * bubble)
