"""Generated skin as a stack of pigments: what lies in it at each pixel, and the colours that this gives.

Nothing here knows what a lesion is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.texture import Field, X

BROWN = np.array([0.50, 1.05, 1.35], dtype=np.float32)
BLUE_GREY = np.array([1.3, 0.95, 0.55], dtype=np.float32)
BLOOD = np.array([0.12, 1.2, 0.8], dtype=np.float32)
KERATIN = np.array([0.28, 0.55, 1.15], dtype=np.float32)
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
            np.multiply(field, share, out=field)

    def lit(self, skin: NDArray[np.floating]) -> NDArray[np.floating]:
        """The picture of it in skin of an even colour (3,): (SIZE, SIZE, 3), in [0, 1] or so."""
        depth = [
            self.melanin * brown + self.dermal * grey + self.blood * red + self.keratin * yellow
            for brown, grey, red, yellow in zip(BROWN, BLUE_GREY, BLOOD, KERATIN, strict=True)
        ]
        seen = skin * np.exp(-np.stack(depth, axis=2))
        white = np.clip(self.white, 0, 0.9)[:, :, None]
        return seen + white * (WHITE * (0.4 + 0.6 * skin.max()) - seen)
