"""The breast of the generated mammograms: its shape in each view, tissue, muscle, skin and nipple.

All is drawn with the chest wall on the left edge; lengths are in half image sides.
"""

import math
from dataclasses import dataclass

import numpy as np

from medbench.data.phantoms.texture import Field, X, Y, blob, clouds, curve, edge, noise, ramp, sample

FAT, MUSCLE = 0.3, 0.56
"""Brightness of the breast's fat and of the pectoral muscle before processing."""


@dataclass(frozen=True)
class Breast:
    """What both views of a breast share.

    Attributes:
      reach: from the chest wall to the nipple.
      height: half of what lies along the chest wall in a CC view.
      gland: how much of the glandular zone is dense, about -1 to 1.5.
      zone: size of the glandular zone as a share of the breast.
    """

    reach: float
    height: float
    gland: float
    zone: float

    @classmethod
    def of_patient(cls, rng: np.random.Generator, density: int) -> "Breast":
        """A patient's build, by density 0 to 3."""
        size = rng.standard_normal()
        return cls(
            reach=float(np.clip(1.42 + 0.2 * size, 1.0, 1.8)),
            height=float(np.clip(0.84 + 0.08 * size + 0.04 * rng.standard_normal(), 0.6, 0.95)),
            gland=(-1.0, -0.35, 0.3, 1.0)[density] + 0.2 * rng.standard_normal(),
            zone=(0.42, 0.5, 0.6, 0.7)[density] + 0.05 * rng.standard_normal(),
        )

    def side(self, rng: np.random.Generator) -> "Breast":
        """The left or right breast of this build: about the same."""
        change = rng.standard_normal(3)
        return Breast(
            reach=self.reach * (1 + 0.04 * change[0]),
            height=self.height * (1 + 0.04 * change[1]),
            gland=self.gland + 0.1 * change[2],
            zone=self.zone,
        )


@dataclass(frozen=True)
class View:
    """A breast as it lies in one view.

    Attributes:
      oblique: an MLO view.
      inside: positive in the breast, 0 at the skin, 1 at the chest wall behind the nipple.
      nipple: its (x, y).
      up: room above the nipple for findings.
      down: room below it.
      slope: how far the breast's axis climbs from the nipple to the chest wall.
    """

    oblique: bool
    inside: Field
    nipple: tuple[float, float]
    up: float
    down: float
    slope: float

    def place(self, depth: float, across: float) -> tuple[float, float]:
        """The (x, y) of what lies at a depth behind the nipple and across the axis.

        Args:
          depth: as a share of the way from nipple to chest wall.
          across: from -1 to 1 between the skin above and below.
        """
        x, y = self.nipple
        reach = x + 1
        room = (1 - (1 - depth) ** 2.2) ** 0.4 * (self.up if across < 0 else self.down)
        return x - depth * reach, y - self.slope * depth * reach + across * room


def lay_out(rng: np.random.Generator, breast: Breast, *, oblique: bool) -> View:
    """A breast compressed for a view; positioning varies."""
    reach = breast.reach * (1 + 0.03 * rng.standard_normal())
    y = 0.22 + 0.06 * rng.standard_normal() if oblique else 0.06 * rng.standard_normal()
    down = min(0.8 * breast.height, 0.95 - y) if oblique else breast.height
    up = (1.1 if oblique else 1.0) * breast.height
    above, below = np.minimum(Y - y, 0) / up, np.maximum(Y - y, 0) / down
    if oblique:
        tail = reach * (0.35 + 0.07 * rng.standard_normal())
        width = tail + (reach - tail) * np.exp(-1.1 * np.abs(above) ** 2.3)
        inside = 1 - ((X + 1) / width) ** 2.2 - below**2.3
    else:
        inside = 1 - ((X + 1) / reach) ** 2.2 - np.abs(above) ** 2.4 - below**2.4
    return View(oblique, inside, (reach - 1, y), 0.8 * up, down, 0.25 if oblique else 0.0)


def tissue(rng: np.random.Generator, view: View, breast: Breast, cover: Field) -> tuple[Field, Field]:
    """Fat with glandular tissue, ligaments and vessels; and the gland alone, in [0, 1].

    Args:
      rng: the image's stream.
      view: how the breast lies.
      breast: how much gland there is.
      cover: where more gland lies over a finding, from 0 to 1.
    """
    x, y = view.nipple
    dx, dy = X - x - 0.25, Y - y
    radius = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, -dx)
    row, column = 46 * radius, 62 * angle + 64
    strands = sample(clouds(rng, 9, 3), row, column)
    lobes = sample(clouds(rng, 26, 4), row, column)
    reach = x + 1
    centre = x - 0.5 * reach, y - 0.5 * view.slope * reach
    zone = blob(*centre, breast.zone * math.sqrt(reach * view.down), hardness=2.5, aspect=1.1)
    gland = edge(lobes + breast.gland + 2 * cover - 2.2 * (1 - zone), 0.7) * ramp(0.03, 0.3, view.inside)
    ligaments = np.clip(1 - 2.6 * np.abs(strands), 0, 1)
    film = FAT + 0.03 * clouds(rng, 24, 3)
    film = film + gland * (0.2 + 0.04 * strands)
    film = film + 0.075 * ligaments * (0.6 + 0.4 * zone)
    return film + _vessels(rng, view), gland


def _vessels(rng: np.random.Generator, view: View) -> Field:
    """A few faint veins that run from the chest wall forwards."""
    x, y = view.nipple
    total: Field = np.zeros_like(X)
    for _ in range(rng.integers(1, 4)):
        total = total + curve(
            rng,
            x=x - rng.uniform(0.4, 0.8) * (x + 1),
            y=y + rng.uniform(-0.7, 0.7) * view.down,
            angle=0.5 * rng.standard_normal(),
            length=rng.uniform(0.3, 0.6),
            bend=0.8,
            width=rng.uniform(0.009, 0.016),
        )
    return 0.05 * total


def enclose(rng: np.random.Generator, film: Field, view: View) -> tuple[Field, Field]:
    """The breast on black, thinner and darker towards the skin, with nipple and muscle; and its area."""
    x, y = view.nipple
    nipple = edge(0.045 - np.sqrt((X - x) ** 2 + ((Y - y) / 1.3) ** 2), 0.02)
    area = np.maximum(edge(view.inside, 0.025), nipple)
    thick = 0.45 + 0.55 * ramp(-0.02, 0.28, view.inside)
    skin = np.exp(-(((view.inside - 0.03) / 0.03) ** 2))
    film = film * thick + 0.1 * skin + 0.12 * nipple
    if view.oblique:
        inside = _muscle(rng, view)
        film = film + inside * (MUSCLE + 0.03 * noise(rng, 5, 24) - 0.75 * film)
    return film * area, area


def _muscle(rng: np.random.Generator, view: View) -> Field:
    """The pectoral muscle across the upper corner, down to about the nipple, its edge a little bent."""
    top = (0.45 + 0.08 * rng.standard_normal()) * (view.nipple[0] + 1)
    length = view.nipple[1] + 1 + 0.15 * rng.standard_normal()
    along = (Y + 1) / length
    border = top * (1 - along) + 0.12 * rng.uniform(-0.3, 1.0) * along * (1 - along) * 4
    return edge(border - (X + 1), 0.04)
