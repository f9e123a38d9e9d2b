"""Generated pictures of single skin lesions, as a dermatoscope or a smartphone takes them; seven classes.

Drawn: the classes of HAM10000 by their dermoscopic criteria. nv (naevus): a regular net or globules, even
and round. mel (melanoma): ragged, in several colours, a broken net, blue-grey veil, streaks, black dots. bkl
(benign keratosis): sharply bordered, waxy and yellow-brown, furrows, milia and plugs. bcc (basal cell
carcinoma): blue-grey nests, branching vessels, pearly ground, erosion. akiec (actinic keratosis, Bowen): red,
the strawberry's false net, scale. df (dermatofibroma): a delicate net about a whitish middle. vasc: red and
purple lagoons. A lesion is of one kind and resembles a second, more or less; where neither leads, it looks
between them, and histology and readers err beyond what is seen. Size, place and darkness are drawn apart from
the class. Patients have one to three lesions in the same skin; older skin has more freckles, and age says
which classes are likely. Hairs, gel, ink, scales, vignettes, casts and light come and go by chance.

Unlike life: naevi are three in ten instead of HAM10000's 67 %, and no class is under 7 %, because statistics
need all of them; skin type says nothing of the class, and in dark skin each is as frequent as in light.

Left out: sites (face, palms, nails, mucosa), several lesions in a picture, regression, collision and growth,
amelanotic melanoma, crystalline and polarised light beyond a scar's white lines, depth of focus, and
everything larger than a lesion.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.dermatology_lesions import CLASSES, criteria, lesion
from medbench.data.phantoms.dermatology_pictures import dermatoscope, hairs, mottle, phone, skin_colour
from medbench.data.phantoms.dermatology_tissue import Tissue
from medbench.data.phantoms.domain import Case, Domain, age_band
from medbench.data.phantoms.texture import to_bytes
from medbench.spec.runs import Target

SHARES = {
    "under 40": (0.04, 0.07, 0.07, 0.12, 0.14, 0.46, 0.10),
    "40-59": (0.08, 0.12, 0.14, 0.09, 0.17, 0.33, 0.07),
    "60-74": (0.16, 0.18, 0.20, 0.07, 0.17, 0.17, 0.05),
    "75 and over": (0.18, 0.20, 0.22, 0.05, 0.18, 0.12, 0.05),
}
"""Shares of the seven kinds by age: naevi in the young, keratoses and carcinomas in the old."""

RESEMBLES = np.array(
    [
        [0.00, 0.35, 0.45, 0.05, 0.05, 0.05, 0.05],
        [0.35, 0.00, 0.15, 0.10, 0.10, 0.15, 0.15],
        [0.25, 0.10, 0.00, 0.05, 0.30, 0.30, 0.00],
        [0.05, 0.20, 0.15, 0.00, 0.10, 0.40, 0.10],
        [0.05, 0.08, 0.27, 0.05, 0.00, 0.50, 0.05],
        [0.04, 0.06, 0.25, 0.15, 0.45, 0.00, 0.05],
        [0.05, 0.30, 0.05, 0.10, 0.25, 0.25, 0.00],
    ]
)
"""(7, 7) by a lesion's kind (row), the shares of the class that it resembles beside."""

READING_ERROR = 0.34
"""Standard deviation of what histology and readers add to each class's strength; in no pixel."""

ALIKE = 0.3
"""Probability that a further lesion of a patient is of the same kind as the one before."""

CONTRAST = (1.0, 1.0, 0.96, 0.86, 0.74, 0.62)
"""How much of a lesion's pigment and blood is seen in skin of types 1 to 6."""

HAIRY = {"female": 0.18, "male": 0.32}
"""Share of pictures with hairs."""


@dataclass(frozen=True)
class Lesion(Case):
    """A lesion and the skin that it is in; its severity is the strength of each class.

    Attributes:
      traits: (3,) tone, redness and sun of the patient's skin.
    """

    traits: NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """With what and of whom pictures are taken.

    Attributes:
      skin: shares of skin types 1 to 6.
      age: mean age in years (standard deviation 17).
      phone: a smartphone at a distance instead of a dermatoscope on the skin.
    """

    skin: tuple[float, ...] = (0.17, 0.31, 0.26, 0.15, 0.07, 0.04)
    age: float = 52.0
    phone: bool = False


HOME = Setting()
PHONE = Setting(phone=True)
DARK_SKIN = Setting(skin=(0.0, 0.0, 0.0, 0.4, 0.35, 0.25))


def cases(rng: np.random.Generator, setting: Setting) -> list[Case]:
    """One to three lesions of a patient, in the same skin."""
    years = float(np.clip(setting.age + 17 * rng.standard_normal(), 16, 92))
    attributes = {
        "age": age_band(years),
        "sex": ("female", "male")[rng.integers(2)],
        "skin_type": str(1 + rng.choice(6, p=setting.skin)),
    }
    traits = rng.standard_normal(3) + np.array([0.0, 0.0, (years - 55) / 20])
    shares = SHARES[attributes["age"]]
    kind = rng.choice(len(CLASSES), p=shares)
    result: list[Case] = []
    for _ in range(1 + rng.binomial(2, 0.25)):
        severity = _strengths(rng, kind)
        read = severity + READING_ERROR * rng.standard_normal(len(CLASSES))
        labels = (np.arange(len(CLASSES)) == read.argmax()).astype(np.int8)
        result.append(Lesion(severity, labels, _lead(severity), attributes, traits))
        if rng.random() > ALIKE:
            kind = rng.choice(len(CLASSES), p=shares)
    return result


def _strengths(rng: np.random.Generator, kind: int) -> NDArray[np.float64]:
    """(7,) how much a lesion is of each class: of its kind, less of another, hardly of the rest."""
    strengths = 0.16 * rng.standard_normal(len(CLASSES))
    strengths[kind] += 1
    strengths[rng.choice(len(CLASSES), p=RESEMBLES[kind])] += rng.uniform(0, 0.65)
    return strengths


def _lead(strengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """(7,) by how much each class is stronger than the strongest other one."""
    return np.array([own - np.delete(strengths, k).max() for k, own in enumerate(strengths)])


def mixture(strengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """(7,) shares of the classes' looks that are drawn at some strengths; they sum to 1.

    A lesion looks like its strongest class alone where that leads by 0.45 or more, and between classes
    where none leads.
    """
    near = np.clip(strengths - (strengths.max() - 0.45), 0, None)
    return near / near.sum()


def draw(rng: np.random.Generator, case: Case, setting: Setting) -> NDArray[np.uint8]:
    """A colour picture of a lesion, (SIZE, SIZE, 3) uint8."""
    traits = cast("Lesion", case).traits
    growth, looks, ground, hair, camera = rng.spawn(5)
    skin_type = int(case.attributes["skin_type"])
    tissue = Tissue.empty()
    lesion(growth, tissue, criteria(looks, mixture(case.severity)), 0.75 if setting.phone else 1.0)
    tissue.fade(CONTRAST[skin_type - 1])
    mottle(ground, tissue, traits)
    skin = skin_colour(skin_type, traits)
    exposure = (0.85 / float(skin.max())) ** 0.3
    picture = hairs(hair, exposure * tissue.lit(skin), HAIRY[case.attributes["sex"]])
    return to_bytes(phone(camera, picture) if setting.phone else dermatoscope(camera, picture))


DOMAIN = Domain(
    name="dermatology",
    number=3,
    target=Target(kind="single-label", classes=CLASSES),
    attributes=("age", "sex", "skin_type"),
    settings={"train": HOME, "validation": HOME, "id": HOME, "phone": PHONE, "dark-skin": DARK_SKIN},
    cases=cases,
    draw=draw,
    patients=(800, 130, 480),
)
