"""Generated mammograms: both standard views of a breast; the finding is a malignant mass.

Every breast holds a mass. A benign one is smooth and oval; with severity its outline breaks up,
spicules radiate and calcifications gather. Size, place and brightness of a mass say nothing.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.domain import Case, Domain, age_band, report, two_classes, visible
from medbench.data.phantoms.texture import (
    Field,
    X,
    Y,
    blob,
    blur,
    clouds,
    edge,
    noise,
    ramp,
    sample,
    to_bytes,
    waves,
)
from medbench.spec.runs import Target

DENSITIES = ("a", "b", "c", "d")
"""Of the breast's tissue, from almost entirely fatty to extremely dense."""


@dataclass(frozen=True)
class Setting:
    """Where and of whom mammograms are taken.

    Attributes:
      vendors: names; a patient's views come from one of them.
      age: mean age in years (standard deviation 11).
      density: shares of the densities a to d.
      contrast: slope of the tone curve in the breast.
      sharpening: share of an unsharp mask that the vendor's processing adds.
      grain: standard deviation of the noise, as a share of the full range.
    """

    vendors: tuple[str, ...] = ("vendor-a",)
    age: float = 58.0
    density: tuple[float, ...] = (0.15, 0.4, 0.35, 0.1)
    contrast: float = 1.0
    sharpening: float = 0.0
    grain: float = 0.01


HOME = Setting()
VENDOR_B = Setting(vendors=("vendor-b",), contrast=1.35, sharpening=0.8, grain=0.03)
DENSE = Setting(age=50.0, density=(0.0, 0.05, 0.45, 0.5))


def cases(rng: np.random.Generator, setting: Setting) -> list[Case]:
    """The views of a patient's breast, CC and MLO or one of them; they share the severity and the label."""
    years = float(np.clip(setting.age + 11 * rng.standard_normal(), 35, 90))
    density = DENSITIES[rng.choice(4, p=setting.density)]
    severity = rng.standard_normal(1)
    positive = report(rng, severity, threshold=0.25, reading_error=0.5)
    attributes = {
        "age": age_band(years),
        "sex": "female",
        "density": density,
        "vendor": setting.vendors[rng.integers(len(setting.vendors))],
    }
    views = (("CC", "MLO"), ("CC", "MLO"), ("CC",), ("MLO",))[rng.integers(4)]
    labels, oracle = two_classes(bool(positive[0])), np.concatenate([-severity, severity])
    return [Case(severity, labels, oracle, attributes | {"view": view}) for view in views]


def draw(rng: np.random.Generator, case: Case, setting: Setting) -> NDArray[np.uint8]:
    """A mammogram, (SIZE, SIZE, 1) uint8; dense tissue is bright, the chest wall left or right."""
    oblique = case.attributes["view"] == "MLO"
    density = DENSITIES.index(case.attributes["density"])
    centre = 0.1 + 0.05 * rng.standard_normal() if oblique else 0.05 * rng.standard_normal()
    reach = 1.5 + 0.15 * rng.standard_normal()
    height = 0.88 + 0.07 * rng.standard_normal()
    v = (Y - centre) / height
    outline = 1 - (np.abs((X + 1) / reach)) ** 2.2 - np.abs(v) ** 2.4
    breast = edge(outline, 0.03)
    thick = ramp(0.0, 0.45, outline)

    tissue = _gland(rng, density, reach, centre)
    film = 0.16 + 0.16 * thick + 0.05 * clouds(rng, 30, 3)
    film = film + tissue * (0.55 + 0.45 * thick)
    x = -1 + reach * rng.uniform(0.28, 0.62)
    y = centre + height * rng.uniform(-0.45, 0.45)
    film = film + _mass(rng, x, y, visible(float(case.severity[0])))
    film = film * breast
    if oblique:
        film = np.maximum(film, _muscle(rng) * ramp(0.0, 0.1, outline + 0.25))
    return to_bytes(_process(rng, film, breast, setting))


def _gland(rng: np.random.Generator, density: int, reach: float, centre: float) -> Field:
    """Fibroglandular tissue: patches behind the nipple and fine ligaments, both drawn towards it."""
    dx, dy = X + 0.6 - reach, Y - centre
    radius = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, -dx)
    row, column = 60 * radius, 75 * angle + 64
    lines = sample(clouds(rng, 14, 3), row, column)
    patches = sample(clouds(rng, 30, 4), row, column)
    zone = blob(-1 + 0.55 * reach, centre, 0.6 + 0.06 * density, hardness=2)
    share = (-1.0, -0.3, 0.4, 1.1)[density] + 0.2 * rng.standard_normal()
    gland = edge(patches + share - 1.6 * (1 - zone), 0.9) * (1 + 0.25 * lines)
    ligaments = np.clip(1 - 2.2 * np.abs(lines), 0, 1)
    return gland * (0.26 + 0.04 * density) + 0.09 * ligaments * (0.35 + 0.65 * zone)


def _mass(rng: np.random.Generator, x: float, y: float, malignancy: float) -> Field:
    """A mass at (x, y): smooth and oval at 0; broken, spiculated and calcified at 1."""
    radius = rng.uniform(0.18, 0.27)
    turn = rng.uniform(0, 2 * math.pi)
    dx, dy = X - x, Y - y
    r = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, dx) + turn
    lobes = waves(rng, angle, range(3, 8))
    rays = np.zeros_like(X)
    for k in (7, 9, 11, 13, 16):
        rays = rays + np.cos(k * angle + rng.uniform(0, 2 * math.pi) + 0.25 * r / radius)
    outline = radius * (1 + 0.15 * np.cos(2 * angle) + 0.65 * malignancy * lobes)
    body = edge(outline - r, 0.012 + 0.04 * malignancy)
    spicules = ramp(0.6, 2.6, rays) * ramp(0.3, 0.8, r / radius) * np.exp(-((r / (1.8 * radius)) ** 2))
    level = rng.uniform(0.18, 0.28)
    film = level * body * (1 - 0.35 * malignancy) + 0.6 * malignancy * spicules
    for _ in range(rng.integers(12, 20)):
        away, towards = radius * 1.4 * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
        speck = blob(x + away * math.cos(towards), y + away * math.sin(towards), 0.018)
        film = film + 0.5 * malignancy * speck
    return film


def _muscle(rng: np.random.Generator) -> Field:
    """The pectoral muscle across the upper corner of an oblique view."""
    slope = 0.55 + 0.1 * rng.standard_normal()
    width = 0.55 + 0.12 * rng.standard_normal()
    inside = width - (X + 1) - slope * (Y + 1)
    return edge(inside, 0.05) * (0.62 + 0.05 * noise(rng, 12, 30))


def _process(rng: np.random.Generator, film: Field, breast: Field, setting: Setting) -> Field:
    """From tissue to image: vendor's processing, noise, film label, side."""
    film = blur(film, 0.5 + rng.uniform(0, 0.4))
    if setting.sharpening:
        film = film + setting.sharpening * (film - blur(film, 3.0))
    gain = setting.contrast * math.exp(0.1 * rng.standard_normal())
    film = np.clip(0.5 * breast + gain * (film - 0.5 * breast), 0, 1.3)
    film = film + 0.03 * rng.standard_normal() * breast
    film = film + setting.grain * (0.4 + 0.6 * breast) * rng.uniform(0.6, 1.4) * noise(rng, 1.0)
    if rng.random() < 0.4:
        corner = -1.0 if rng.random() < 0.7 else 1.0
        film = film + 0.75 * edge(0.07 - np.abs(X - 0.85), 0.01) * edge(
            0.05 - np.abs(Y - 0.88 * corner), 0.01
        )
    return film[:, ::-1] if rng.random() < 0.5 else film


DOMAIN = Domain(
    name="mammography",
    number=2,
    target=Target(kind="single-label", classes=("benign", "malignant")),
    attributes=("age", "sex", "density", "vendor", "view"),
    settings={"train": HOME, "validation": HOME, "id": HOME, "vendor-b": VENDOR_B, "dense": DENSE},
    cases=cases,
    draw=draw,
)
