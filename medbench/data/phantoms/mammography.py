"""Generated mammograms: screening exams of both breasts in CC and MLO views; what is read is malignancy.

Drawn are the breast's outline with skin and nipple, fat, glandular tissue, ligaments, vessels, the
pectoral muscle, and one finding a breast: a mass (smooth, or dense and spiculated), calcifications
(scattered and coarse, or grouped and fine) or a distortion (nothing, or lines that converge). Each
turns from benign to malignant with severity, so that its presence says little. Both views show it at
the same depth behind the nipple; dense tissue hides it, at times in one of them only.

Some 30 % of the breasts are malignant, as in an enriched reader study; in screening it is fewer than
one in a hundred. Findings are larger than most cancers, for images of few pixels. Left out: implants,
scars, nodes, earlier and magnified images, asymmetry between the breasts as a sign, several findings in
a breast, and every link of cancer to age or density.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms.domain import Case, Domain, age_band, report, two_classes, visible
from medbench.data.phantoms.mammography_breast import Breast, enclose, lay_out, tissue
from medbench.data.phantoms.mammography_exposure import expose
from medbench.data.phantoms.mammography_findings import Finding, appearance
from medbench.data.phantoms.texture import blob, to_bytes
from medbench.spec.runs import Target

DENSITIES = ("a", "b", "c", "d")
"""Of the breast's tissue, from almost entirely fatty to extremely dense."""

CLUTTER = (0.15, 0.22, 0.3, 0.45)
"""By density: standard deviation of what overlying tissue adds to the severity that a view shows."""

HIDDEN = (0.02, 0.06, 0.13, 0.25)
"""By density: share of views in which tissue lies over the finding."""

RESIDUE = 0.4
"""What is left of a hidden finding's contrast."""

THRESHOLD = 0.6
"""Severity from which a breast is reported malignant, but for the reading error."""

STEEPNESS = 1.5
"""How much faster than severity a finding turns from benign to malignant about the threshold."""

KINDS = ("mass", "mass", "calcifications", "calcifications", "distortion")
"""Kinds of findings, drawn evenly from this row."""


@dataclass(frozen=True)
class Setting:
    """Where and of whom mammograms are taken.

    Attributes:
      vendors: names; a patient's views come from one of them, the first most of the time.
      age: mean age in years (standard deviation 11).
      density: shares of the densities a to d.
    """

    vendors: tuple[str, ...] = ("vendor-a", "vendor-a", "vendor-c")
    age: float = 60.0
    density: tuple[float, ...] = (0.12, 0.36, 0.36, 0.16)


HOME = Setting()
VENDOR_B = Setting(vendors=("vendor-b",))
DENSE = Setting(age=52.0, density=(0.0, 0.0, 0.5, 0.5))


@dataclass(frozen=True)
class Mammogram(Case):
    """A case with what both views of a breast share, and how well this one shows the finding.

    Attributes:
      breast: shape and tissue.
      finding: kind, place and size.
      conspicuity: share of the finding's contrast that this view shows.
    """

    breast: Breast
    finding: Finding
    conspicuity: float


def cases(rng: np.random.Generator, setting: Setting) -> list[Case]:
    """An exam: CC and MLO of both breasts, one view missing in a sixth of them; a label a breast."""
    years = float(np.clip(setting.age + 11 * rng.standard_normal(), 40, 85))
    density = int(rng.choice(4, p=setting.density))
    exam = {
        "age": age_band(years),
        "sex": "female",
        "density": DENSITIES[density],
        "vendor": setting.vendors[rng.integers(len(setting.vendors))],
    }
    build = Breast.of_patient(rng, density)
    result: list[Case] = []
    for laterality in ("left", "right"):
        severity = rng.standard_normal(1)
        positive = report(rng, severity, threshold=THRESHOLD, reading_error=0.25)
        breast, finding = build.side(rng), Finding.anywhere(rng, KINDS[rng.integers(len(KINDS))])
        missing = rng.integers(12)
        for number, view in enumerate(("CC", "MLO")):
            shown = severity + CLUTTER[density] * rng.standard_normal(1)
            conspicuity = RESIDUE if rng.random() < HIDDEN[density] else 1.0
            if missing == number:
                continue
            oracle = conspicuity * shown
            result.append(
                Mammogram(
                    severity=shown,
                    labels=two_classes(bool(positive[0])),
                    oracle=np.concatenate([-oracle, oracle]),
                    attributes=exam | {"view": view, "laterality": laterality},
                    breast=breast,
                    finding=finding,
                    conspicuity=conspicuity,
                )
            )
    return result


def draw(rng: np.random.Generator, case: Case, _setting: Setting) -> NDArray[np.uint8]:
    """A mammogram, (SIZE, SIZE, 1) uint8; dense tissue is bright, a left breast's chest wall on the left."""
    case = cast("Mammogram", case)
    finding, oblique = case.finding, case.attributes["view"] == "MLO"
    view = lay_out(rng, case.breast, oblique=oblique)
    x, y = view.place(finding.depth, finding.across[oblique])
    cover = (1 - case.conspicuity) * blob(x, y, 1.3 * finding.radius, hardness=1.5)
    film, gland = tissue(rng, view, case.breast, cover)
    layer = appearance(rng, finding, x, y, visible(STEEPNESS * (float(case.severity[0]) - THRESHOLD) + 0.3))
    film, area = enclose(rng, film + case.conspicuity * (1 - 0.3 * gland) * layer, view)
    return to_bytes(expose(rng, film, area, case.attributes))


DOMAIN = Domain(
    name="mammography",
    number=2,
    target=Target(kind="single-label", classes=("benign", "malignant")),
    attributes=("age", "sex", "density", "vendor", "view", "laterality"),
    settings={"train": HOME, "validation": HOME, "id": HOME, "vendor-b": VENDOR_B, "dense": DENSE},
    cases=cases,
    draw=draw,
    patients=(320, 70, 200),
)
