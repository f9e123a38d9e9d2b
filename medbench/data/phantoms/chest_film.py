"""From attenuation to a chest film: exposure, detector, processing, markers, collimation; and devices.

Nothing here knows of findings: automatic exposure sets the mean of the trunk, whatever is in it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.chest_anatomy import Chest
from medbench.data.phantoms.texture import Field, X, Y, blob, blur, curve, edge, noise, ramp, to_bytes


@dataclass(frozen=True)
class Detector:
    """A machine and its processing.

    Attributes:
      brightness: mean of the trunk that the exposure aims at, as a share of the full range.
      contrast: steepness of the tone curve.
      grain: standard deviation of the noise, as a share of the full range.
      softness: blur in pixels.
      sharpening: share of the local contrast that is added.
      collimated: share of films with a dark frame.
      marker: (x, y) of the side marker.
    """

    brightness: float = 0.63
    contrast: float = 1.0
    grain: float = 0.009
    softness: float = 0.5
    sharpening: float = 0.3
    collimated: float = 0.1
    marker: tuple[float, float] = (0.86, -0.84)


def expose(
    rng: np.random.Generator, film: Field, body: Field, detector: Detector, *, portable: bool
) -> NDArray[np.uint8]:
    """A film, (SIZE, SIZE, 1) uint8, of an attenuation and the trunk that the exposure is set by."""
    film = blur(film, detector.softness + 0.25 * portable + rng.uniform(0, 0.25))
    film = film + detector.sharpening * (film - blur(film, 3.0))
    film = film + body * (0.03 + 0.03 * portable) * (X * rng.standard_normal() + Y * rng.standard_normal())
    contrast = detector.contrast * math.exp(0.1 * rng.standard_normal()) * (0.88 if portable else 1.0)
    mean = (film * body).sum() / body.sum()
    bright = detector.brightness + 0.05 * rng.standard_normal()
    film = body * (bright - 0.5 + contrast * (film - mean)) + 0.5 * body
    film = film + 0.05 * portable * rng.uniform(0, 1) * (1 - body)
    film = film + detector.grain * rng.uniform(0.6, 1.4) * noise(rng, 1.0) * (0.4 + film)
    film = 0.5 + 0.5 * np.tanh(1.8 * (film - 0.5)) / math.tanh(0.95)
    film = np.maximum(film, 0.85 * _marker(rng, detector))
    if rng.random() < detector.collimated:
        film = film * _frame(rng)
    return to_bytes(film)


def _marker(rng: np.random.Generator, detector: Detector) -> Field:
    """The letter L in lead beside the patient's left shoulder, on most films."""
    x = X - detector.marker[0] - 0.03 * rng.standard_normal()
    y = Y - detector.marker[1] - 0.03 * rng.standard_normal()
    stem = edge(0.01 - np.abs(x), 0.005) * edge(0.05 - np.abs(y), 0.005)
    foot = edge(0.025 - np.abs(x - 0.015), 0.005) * edge(0.01 - np.abs(y - 0.04), 0.005)
    return np.maximum(stem, foot) * (rng.random() < 0.75)


def _frame(rng: np.random.Generator) -> Field:
    """What the collimator leaves: a rectangle, a little askew, with uneven margins."""
    tilt = 0.015 * rng.standard_normal()
    across, down = X + tilt * Y, Y - tilt * X
    sides = [edge(1 - rng.uniform(0.02, 0.14) - d, 0.008) for d in (across, -across, down, -down)]
    return 0.03 + 0.97 * sides[0] * sides[1] * sides[2] * sides[3]


def devices(rng: np.random.Generator, chest: Chest) -> Field:
    """What metal and plastic a film shows: at the bedside leads and tubes, else a pacemaker."""
    if not chest.portable:
        return _pacemaker(rng, chest)
    result = _leads(rng)
    for share, tube in ((0.45, _tracheal_tube), (0.5, _venous_line), (0.4, _stomach_tube), (0.1, _pacemaker)):
        if rng.random() < share:
            result = result + tube(rng, chest)
    return result


def _tracheal_tube(rng: np.random.Generator, chest: Chest) -> Field:
    """Two walls within the windpipe, down to above its fork."""
    walls = np.exp(-(((np.abs(chest.x - 0.006 * rng.standard_normal()) - 0.018) / 0.007) ** 2))
    return 0.16 * walls * (1 - ramp(-0.46, -0.44, chest.y + 0.05 * rng.standard_normal()))


def _venous_line(rng: np.random.Generator, chest: Chest) -> Field:
    """From one side of the neck to above the right atrium."""
    side = int(rng.integers(2)) * 2 - 1
    way = side * 0.3 * (1 - ramp(-0.85, -0.45, chest.y)) - 0.09 * ramp(-0.7, -0.3, chest.y)
    line = np.exp(-(((chest.x - way) / 0.009) ** 2))
    return 0.16 * line * (1 - ramp(-0.02, 0.02, chest.y + 0.06 * rng.standard_normal()))


def _stomach_tube(rng: np.random.Generator, chest: Chest) -> Field:
    """Down the midline, then to the left below the diaphragm."""
    way = 0.03 + (0.3 + 0.04 * rng.standard_normal()) * ramp(0.2, 0.75, chest.y)
    return 0.15 * np.exp(-(((chest.x - way) / 0.011) ** 2)) * (1 - ramp(0.68, 0.7, chest.y))


def _pacemaker(rng: np.random.Generator, chest: Chest) -> Field:
    """A box below the left clavicle and its wire to the right ventricle."""
    x, y = 0.5 + 0.04 * rng.standard_normal(), -0.42 + 0.05 * rng.standard_normal()
    box = edge(1 - ((chest.x - x) / 0.1) ** 4 - ((chest.y - y) / 0.085) ** 4, 0.15)
    way = -0.1 + (x + 0.1) * (1 - ramp(y - 0.1, y + 0.35, chest.y)) + 0.22 * ramp(0.1, 0.32, chest.y)
    within = ramp(y - 0.08, y, chest.y) * (1 - ramp(0.3, 0.33, chest.y))
    return np.maximum(0.4 * box, 0.18 * within * np.exp(-(((chest.x - way) / 0.01) ** 2)))


def _leads(rng: np.random.Generator) -> Field:
    """Wires across the chest, each with a button on the skin."""
    result = np.zeros_like(X)
    for _ in range(rng.integers(2, 5)):
        x, y, angle = rng.uniform(-0.65, 0.65), rng.uniform(-0.5, 0.6), rng.uniform(0, math.pi)
        end = rng.uniform(0.3, 0.8)
        wire = curve(rng, x=x, y=y, angle=angle, length=end, bend=0.5, width=0.009)
        result = result + 0.14 * wire + 0.24 * blob(x, y, 0.028, hardness=6)
    return result
