"""Generated chest films: frontal views with ribs, heart, vessels; findings are edema and nodules.

Both are textures of the lungs: a net of thickened septa, and round spots. Their mean is taken off, so
that overall brightness says little.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.domain import Case, Domain, age_band, report, visible
from medbench.data.phantoms.texture import Field, X, Y, blob, blur, curve, edge, noise, ramp, sample, to_bytes
from medbench.spec.runs import Target


@dataclass(frozen=True)
class Setting:
    """Where and of whom films are taken.

    Attributes:
      sites: names; films of a patient come from one of them.
      age: mean age in years (standard deviation 16).
      portable: share of AP films taken at the bedside, with blur, leads and shallow breaths.
      gamma: mean exponent of the film's tone curve.
      grain: standard deviation of the noise, as a share of the full range.
      softness: blur of detector and film in pixels.
      collimated: share of films with a dark frame.
    """

    sites: tuple[str, ...] = ("site-1", "site-2", "site-3")
    age: float = 55.0
    portable: float = 0.3
    gamma: float = 1.0
    grain: float = 0.015
    softness: float = 0.6
    collimated: float = 0.1


HOME = Setting()
HOSPITAL_B = Setting(sites=("hospital-b",), gamma=0.7, grain=0.035, softness=1.0, collimated=0.6)
ICU = Setting(age=68.0, portable=0.95)


def cases(rng: np.random.Generator, setting: Setting) -> list[Case]:
    """One to three films of a patient; severities of a patient's films are correlated."""
    years = float(np.clip(setting.age + 16 * rng.standard_normal(), 18, 95))
    sex = ("female", "male")[rng.integers(2)]
    site = setting.sites[rng.integers(len(setting.sites))]
    often = rng.random() < setting.portable
    habitual = rng.standard_normal(2)
    result = []
    for _ in range(1 + rng.binomial(2, 0.25)):
        view = "AP" if often and rng.random() < 0.9 else "PA"
        severity = 0.8 * habitual + 0.6 * rng.standard_normal(2) + 0.15 * (view == "AP")
        positive = report(rng, severity, threshold=0.35, reading_error=0.5)
        attributes = {"age": age_band(years), "sex": sex, "view": view, "site": site}
        result.append(Case(severity, positive.astype(np.int8), severity, attributes))
    return result


def draw(rng: np.random.Generator, case: Case, setting: Setting) -> NDArray[np.uint8]:
    """A film, (SIZE, SIZE, 1) uint8; dense tissue is bright."""
    portable = case.attributes["view"] == "AP"
    edema, nodules = (visible(severity) for severity in case.severity)
    scale = 0.95 + 0.05 * rng.standard_normal() + 0.06 * portable
    tilt = 0.03 * rng.standard_normal()
    x = (X - 0.05 * rng.standard_normal()) / scale
    y = (Y - 0.05 * rng.standard_normal()) / scale + (0.1 if portable else 0.0)
    x, y = x + tilt * y, y - tilt * x
    breath = 0.06 * rng.standard_normal() - (0.1 if portable else 0.0)

    body = _body(rng, x, y)
    heart, column = _heart(rng, x, y, portable), _column(x, y)
    lungs = np.zeros_like(x)
    for side in (-1, 1):
        lungs = lungs + _lung(rng, x * side, y, breath + 0.04 * (side > 0))
    air = lungs * (1 - 0.8 * heart) * (1 - 0.9 * column)
    film = 0.64 * body - 0.44 * air
    film = film + air * (0.08 * _vessels(rng, x, y) + 0.03 * noise(rng, 7))
    disease = _edema(rng, edema) + _nodules(rng, nodules)
    disease = disease - (disease * air).sum() / air.sum() + 0.03 * rng.standard_normal()
    film = film + air * disease
    film = film + body * (_bones(rng, x, y) + _soft_tissue(rng, x, y, case.attributes["sex"]))
    film = film + 0.07 * column + 0.05 * heart * lungs
    if portable:
        film = film + _leads(rng)
    return to_bytes(_expose(rng, film, setting, portable))


def _body(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Neck, shoulders and trunk; air beyond."""
    waist = 0.92 + 0.07 * rng.standard_normal()
    half = 0.24 + (waist - 0.2) * ramp(-1.02, -0.62, y) - 0.12 * ramp(-0.5, 0.0, y) * (1 - ramp(0.2, 0.9, y))
    return edge(half - np.abs(x), 0.035) * (0.86 + 0.14 * (1 - np.clip(np.abs(x), 0, 1) ** 2))


def _lung(rng: np.random.Generator, u: Field, y: Field, breath: float) -> Field:
    """One lung field above its half of the diaphragm; `u` grows towards the side."""
    width = 0.24 + 0.13 * ramp(-0.7, 0.4, y) + 0.012 * rng.standard_normal()
    centre = 0.41 + 0.02 * rng.standard_normal()
    outline = 1 - ((u - centre) / width) ** 2 - ((y - 0.12) / 0.86) ** 2
    dome = 0.38 + breath + 0.05 * rng.standard_normal()
    flatness = 0.26 + 0.06 * rng.standard_normal()
    floor = dome + flatness * ((u - centre + 0.06) / 0.36) ** 2
    return edge(outline, 0.16) * edge(floor - y, 0.025)


def _vessels(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Markings that radiate from the hila and fade outwards."""
    streaks = noise(rng, 2.5, 20) + 0.5 * noise(rng, 2.0, 12)
    u = np.abs(x) - 0.14
    v = y - 0.02
    radius = np.sqrt(u * u + v * v) + 0.05
    angle = np.arctan2(v, u) * np.sign(x)
    lines = sample(streaks, 40 * np.log(radius) + 127, 20 * angle + 64)
    return lines * np.exp(-1.6 * radius) + 0.8 * np.exp(-((radius / 0.14) ** 2))


def _edema(rng: np.random.Generator, strength: float) -> Field:
    """A net of thickened septa all over the lungs."""
    return 0.36 * strength * np.clip(1 - 1.5 * np.abs(noise(rng, 7)), 0, 1)


def _nodules(rng: np.random.Generator, strength: float) -> Field:
    """Round spots scattered over both lungs, less their expected density, so that no place is brighter."""
    spots = np.zeros_like(X)
    for _ in range(rng.integers(8, 13)):
        side = rng.integers(2) * 2 - 1
        radius = rng.uniform(0.065, 0.11)
        spot = blob(side * rng.uniform(0.15, 0.7), rng.uniform(-0.65, 0.45), radius, hardness=2.5)
        spots = spots + rng.uniform(0.7, 1.3) * spot
    density = edge(0.275 - np.abs(np.abs(X) - 0.425), 0.09) * edge(0.55 - np.abs(Y + 0.1), 0.09)
    return 0.7 * strength * (spots - 0.27 * density)


def _bones(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Ribs behind (sloping gently), ribs in front (steeper, fainter), clavicles, vertebrae."""
    u = np.abs(x)
    spacing = 0.17 + 0.01 * rng.standard_normal()
    phase = rng.uniform(0, 1)
    cage = edge(0.8 - u, 0.04) * ramp(-0.95, -0.7, y) * (1 - ramp(0.35, 0.75, y))
    behind = np.cos(2 * np.pi * ((y - 0.45 * u**2 + 0.12 * u) / spacing + phase))
    front = np.cos(2 * np.pi * ((y - 0.55 * (0.7 - u) ** 1) / (1.25 * spacing) + 2 * phase))
    ribs = 0.1 * np.clip(behind - 0.1, 0, 1) + 0.05 * np.clip(front - 0.3, 0, 1) * ramp(0.1, 0.4, u)
    slope = 0.25 + 0.08 * rng.standard_normal()
    height = -0.72 + 0.03 * rng.standard_normal()
    clavicles = np.exp(-(((y - height + slope * (u - 0.1) * 0.8) / 0.035) ** 2)) * ramp(0.06, 0.12, u)
    clavicles = clavicles * (1 - ramp(0.6, 0.8, u))
    discs = 0.025 * np.cos(2 * np.pi * y / 0.13 + phase) * edge(0.07 - u, 0.02)
    return cage * ribs + 0.11 * clavicles + discs


def _heart(rng: np.random.Generator, x: Field, y: Field, portable: bool) -> Field:
    """The heart, larger on AP films, with the aortic knob above it."""
    width = 0.33 * (1.12 if portable else 1.0) * (1 + 0.1 * rng.standard_normal())
    lean = 0.3 + 0.1 * rng.standard_normal()
    heart = edge(1 - ((x - 0.12) / width) ** 2 - ((y - 0.2 - lean * (x - 0.1)) / 0.33) ** 2, 0.16)
    return np.maximum(heart, 0.8 * blob(0.13, -0.3, 0.11, hardness=3))


def _column(x: Field, y: Field) -> Field:
    """Spine and great vessels with the windpipe in their midst."""
    column = edge(0.12 + 0.05 * ramp(-0.2, -0.6, y) + 0.03 * ramp(0.0, 0.5, y) - np.abs(x - 0.01), 0.04)
    windpipe = edge(0.04 - np.abs(x), 0.02) * (1 - ramp(-0.5, -0.3, y))
    return column * (1 - 0.6 * windpipe)


def _soft_tissue(rng: np.random.Generator, x: Field, y: Field, sex: str) -> Field:
    """Breasts, the belly's greater thickness, gas in the stomach."""
    result = 0.08 * ramp(0.25, 0.7, y)
    if sex == "female":
        drop = 0.32 + 0.06 * rng.standard_normal()
        for side in (-1, 1):
            result = result + 0.07 * edge(1 - ((x - side * 0.47) / 0.36) ** 2 - ((y - drop) / 0.3) ** 2, 0.15)
    bubble = blob(0.4 + 0.05 * rng.standard_normal(), 0.72, 0.09, aspect=1.3)
    return result - 0.2 * rng.uniform(0, 1) * bubble


def _leads(rng: np.random.Generator) -> Field:
    """Wires, electrodes and, at times, a tube."""
    wires = np.zeros_like(X)
    for _ in range(rng.integers(1, 4)):
        x, y, angle = rng.uniform(-0.7, 0.7), rng.uniform(-0.6, 0.6), rng.uniform(0, np.pi)
        wires = wires + 0.16 * curve(rng, x=x, y=y, angle=angle, length=0.8, bend=0.5, width=0.011)
        wires = wires + 0.2 * blob(x, y, 0.035, hardness=4)
    return wires


def _expose(rng: np.random.Generator, film: Field, setting: Setting, portable: bool) -> Field:
    """From tissue to film: blur, tone curve, noise, side marker, collimation."""
    film = blur(film, setting.softness + 0.3 * portable + rng.uniform(0, 0.3))
    film = film - 0.06 * portable * X * rng.standard_normal()
    gamma = setting.gamma * math.exp(0.15 * rng.standard_normal())
    film = np.clip(film + 0.04 * rng.standard_normal(), 0, 1.2) ** gamma
    film = rng.uniform(0.85, 1.1) * film + (0.06 if portable else 0.0)
    film = film + setting.grain * rng.uniform(0.6, 1.4) * noise(rng, 1.0)
    side = rng.integers(2) * 2.0 - 1
    marker = edge(0.035 - np.abs(X - 0.86 * side), 0.008) * edge(0.045 - np.abs(Y + 0.86), 0.008)
    film = film + 0.6 * marker * (rng.random() < 0.6)
    if rng.random() < setting.collimated:
        border = np.minimum(edge(0.97 - np.abs(X) - rng.uniform(0, 0.08), 0.01), edge(0.93 - np.abs(Y), 0.01))
        film = film * (0.05 + 0.95 * border)
    return film


DOMAIN = Domain(
    name="chest",
    number=1,
    target=Target(kind="multi-label", classes=("edema", "nodules")),
    attributes=("age", "sex", "view", "site"),
    settings={"train": HOME, "validation": HOME, "id": HOME, "hospital-b": HOSPITAL_B, "icu": ICU},
    cases=cases,
    draw=draw,
)
