"""Generated dermatoscopic and smartphone images of moles; the finding is malignancy.

A benign mole is symmetric, evenly pigmented, with a regular edge and net; with severity its edge
frays, its colours multiply and its pigment clumps. Size, place and darkness of a mole say nothing.
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
    curve,
    edge,
    noise,
    ramp,
    to_bytes,
    waves,
)
from medbench.spec.runs import Target

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

BROWN = np.array([0.45, 0.66, 0.78], dtype=np.float32)
BLUE_GREY = np.array([0.75, 0.62, 0.42], dtype=np.float32)
RED = np.array([0.1, 0.55, 0.5], dtype=np.float32)
"""(3,) what a pigment takes away from red, green and blue."""


@dataclass(frozen=True)
class Setting:
    """With what and of whom pictures are taken.

    Attributes:
      skin: shares of skin types 1 to 6.
      age: mean age in years (standard deviation 17).
      phone: a smartphone at a distance instead of a dermatoscope on the skin.
    """

    skin: tuple[float, ...] = (0.2, 0.35, 0.27, 0.12, 0.04, 0.02)
    age: float = 52.0
    phone: bool = False


HOME = Setting()
PHONE = Setting(phone=True)
DARK_SKIN = Setting(skin=(0.0, 0.0, 0.0, 0.4, 0.35, 0.25))


def cases(rng: np.random.Generator, setting: Setting) -> list[Case]:
    """One to three moles of a patient, each with a severity of its own, a little alike."""
    years = float(np.clip(setting.age + 17 * rng.standard_normal(), 16, 92))
    attributes = {
        "age": age_band(years),
        "sex": ("female", "male")[rng.integers(2)],
        "skin_type": str(1 + rng.choice(6, p=setting.skin)),
    }
    habitual = rng.standard_normal(1)
    result = []
    for _ in range(1 + rng.binomial(2, 0.25)):
        severity = 0.5 * habitual + 0.87 * rng.standard_normal(1)
        positive = report(rng, severity, threshold=0.3, reading_error=0.5)
        oracle = np.concatenate([-severity, severity])
        result.append(Case(severity, two_classes(bool(positive[0])), oracle, attributes))
    return result


def draw(rng: np.random.Generator, case: Case, setting: Setting) -> NDArray[np.uint8]:
    """A colour picture of a mole, (SIZE, SIZE, 3) uint8."""
    malignancy = visible(float(case.severity[0]))
    skin = SKIN[int(case.attributes["skin_type"]) - 1]
    skin = skin * (1 + 0.03 * rng.standard_normal(3)).astype(np.float32)
    picture = skin * (1 + 0.045 * clouds(rng, 24, 5))[:, :, None]
    flush = 0.08 * rng.uniform(0, 1) * clouds(rng, 40, 3)
    picture = picture * (1 - np.clip(flush, -0.1, 0.2)[:, :, None] * RED)
    for pigment, density in _mole(rng, malignancy, 0.65 if setting.phone else 1.0):
        picture = picture * (1 - density[:, :, None] * pigment)
    if rng.random() < 0.5:
        picture = picture * (1 - 0.6 * _hairs(rng)[:, :, None])
    picture = _phone(rng, picture) if setting.phone else _dermatoscope(rng, picture)
    return to_bytes(picture)


def _mole(
    rng: np.random.Generator, malignancy: float, scale: float
) -> list[tuple[NDArray[np.floating], Field]]:
    """Pigments and their densities in [0, 1]."""
    x, y = 0.15 * rng.standard_normal(2)
    radius = scale * rng.uniform(0.3, 0.58)
    dx, dy = X - float(x), Y - float(y)
    angle = np.arctan2(dy, dx) + rng.uniform(0, 2 * math.pi)
    r = np.sqrt(dx * dx + dy * dy) / (radius * (1 + 0.12 * np.cos(2 * angle)))
    fray = 0.28 * waves(rng, angle, range(2, 9)) + 0.16 * clouds(rng, 18, 3)
    inside = 1 - r + malignancy * fray
    mole = edge(inside, 0.10 + 0.06 * rng.uniform())
    darkness = rng.uniform(0.45, 0.8)
    clumps = clouds(rng, 20, 3)
    even = 0.8 + 0.2 * ramp(0.0, 0.7, inside)
    net = 0.12 * np.abs(noise(rng, 3)) * (1 - malignancy)
    brown = mole * darkness * (even - net + malignancy * 0.45 * clumps)
    regions = clouds(rng, 26, 3)
    veil = mole * malignancy * 0.85 * edge(regions - 0.7, 0.3)
    rose = mole * malignancy * 0.6 * edge(-0.8 - regions, 0.4)
    dots = mole * malignancy * 0.65 * edge(noise(rng, 4) - 1.5, 0.25)
    return [
        (BROWN, np.clip(brown, 0, 1)),
        (BLUE_GREY, np.clip(veil + dots, 0, 1)),
        (RED, np.clip(rose, 0, 1)),
    ]


def _hairs(rng: np.random.Generator) -> Field:
    """A few dark hairs that run about the same way."""
    lie = rng.uniform(0, math.pi)
    total: Field = np.zeros_like(X)
    for _ in range(rng.integers(2, 9)):
        place = rng.uniform(-1, 1, 2)
        total = total + curve(
            rng,
            x=float(place[0]),
            y=float(place[1]),
            angle=lie + 0.3 * rng.standard_normal(),
            length=rng.uniform(0.3, 0.9),
            bend=0.3,
            width=0.009,
        )
    return np.clip(total, 0, 1)


def _dermatoscope(rng: np.random.Generator, picture: NDArray[np.floating]) -> NDArray[np.floating]:
    """Even light, sharp, at times the tube's dark rim."""
    cast = (1 + 0.04 * rng.standard_normal(3)).astype(np.float32) * math.exp(0.07 * rng.standard_normal())
    picture = _blur_channels(picture, 0.4 + rng.uniform(0, 0.5)) * cast
    if rng.random() < 0.15:
        tube = edge(rng.uniform(1.0, 1.2) - np.sqrt(X * X + Y * Y), 0.03)
        picture = picture * (0.05 + 0.95 * tube[:, :, None])
    return picture + 0.012 * noise(rng, 1.0)[:, :, None]


def _phone(rng: np.random.Generator, picture: NDArray[np.floating]) -> NDArray[np.floating]:
    """Uneven light with a colour cast, a shine, less focus and more noise."""
    tilt = rng.uniform(0, 2 * math.pi)
    light = 1 + 0.2 * (X * math.cos(tilt) + Y * math.sin(tilt))
    cast = (1 + 0.1 * rng.standard_normal(3)).astype(np.float32) * math.exp(0.15 * rng.standard_normal())
    picture = _blur_channels(picture, 0.8 + rng.uniform(0, 1.0)) * light[:, :, None] * cast
    shine = 0.25 * rng.uniform() * blob(rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), 0.25, hardness=1.5)
    grain = np.stack([noise(rng, 1.3) for _ in range(3)], axis=2)
    return picture + (shine * (1 + 0.6 * noise(rng, 2)))[:, :, None] + 0.02 * grain


def _blur_channels(picture: NDArray[np.floating], sigma: float) -> NDArray[np.floating]:
    return np.stack([blur(picture[:, :, c], sigma) for c in range(3)], axis=2)


DOMAIN = Domain(
    name="dermatology",
    number=3,
    target=Target(kind="single-label", classes=("benign", "malignant")),
    attributes=("age", "sex", "skin_type"),
    settings={"train": HOME, "validation": HOME, "id": HOME, "phone": PHONE, "dark-skin": DARK_SKIN},
    cases=cases,
    draw=draw,
)
