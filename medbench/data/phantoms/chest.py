"""Generated chest films: frontal views with heart failure's three findings and nodules, in graded subtlety.

Cardiomegaly is the heart's width to the chest's; effusion fills the angle at the base, then has a level or
veils; edema is a net of septa, haze about the hila and wide upper vessels; nodules are few and round.
Brightness alone says little: exposure sets the trunk's mean; a base is lost to fluid or, without it, to a
high dome; lungs with edema or nodules are drawn more aerated, by most of what these add. Left out: every
other disease, children, lateral views, and a build of the body that a patient's films would share.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medbench.data.phantoms import chest_anatomy as anatomy
from medbench.data.phantoms import chest_findings as findings
from medbench.data.phantoms.chest_anatomy import LEFT, RIGHT
from medbench.data.phantoms.chest_film import Detector, devices, expose
from medbench.data.phantoms.domain import Case, Domain, age_band, visible
from medbench.data.phantoms.texture import ramp
from medbench.spec.runs import Target

CLASSES = ("cardiomegaly", "effusion", "edema", "nodule")

_FAILURE = np.array([0.65, 0.65, 0.7, 0.0])
"""How much of each finding, in the order of CLASSES, comes from heart failure; the rest is its own."""
_OWN = np.array([0.76, 0.76, 0.714, 1.0])
_LASTING = np.array([0.95, 0.8, 0.75, 0.95])
"""How much of a severity stays from film to film."""
_PASSING = np.array([0.312, 0.6, 0.661, 0.312])
_BEDSIDE = np.array([0.1, 0.3, 0.3, 0.0])
"""By how much patients who are filmed at the bedside are worse."""
_AGE = np.array([0.012, 0.006, 0.004, 0.004])
"""Severity a year beyond 55."""

THRESHOLD = 0.35
REPORT_ERROR, CONSENSUS_ERROR = 0.48, 0.42
"""Standard deviation of the reading error of one report, and of several readers' consensus."""

DOUBT = np.array([0.256, 0.125, 0.216, 0.176])
"""How near the threshold a report says `uncertain`. It makes the shares those among CheXpert's positive,
negative and uncertain training labels of cardiomegaly (.175), effusion (.087) and edema (.151); for
nodules it is .12, our choice."""

IMPLANTED = 0.05
"""Share of upright films with a pacemaker."""


@dataclass(frozen=True)
class Setting:
    """Where and of whom films are taken, and who reads them.

    Attributes:
      detectors: by site; films of a patient come from one of them.
      age: mean age in years (standard deviation 16).
      portable: share of patients filmed at the bedside (AP), with blur and shallow breaths.
      devices: share of the bedside films with leads and tubes.
      shallow: how much higher the diaphragm stands on bedside films.
      consensus: labels are several readers' consensus, never uncertain.
    """

    detectors: Mapping[str, Detector] = field(
        default_factory=lambda: {
            "site-1": Detector(),
            "site-2": Detector(
                brightness=0.66, contrast=0.9, grain=0.013, sharpening=0.0, marker=(0.8, -0.9)
            ),
            "site-3": Detector(
                brightness=0.6, contrast=1.08, sharpening=0.7, collimated=0.3, marker=(0.88, -0.6)
            ),
        }
    )
    age: float = 58.0
    portable: float = 0.4
    devices: float = 0.5
    shallow: float = 0.1
    consensus: bool = True


REPORTED = Setting(consensus=False)
HOME = Setting()
HOSPITAL_B = Setting(
    detectors={
        "hospital-b": Detector(
            brightness=0.52,
            contrast=1.2,
            grain=0.016,
            softness=0.8,
            sharpening=1.2,
            collimated=0.7,
            marker=(0.84, 0.8),
        )
    }
)
ICU = Setting(age=70.0, portable=0.97, devices=0.9, shallow=0.18)


def cases(rng: np.random.Generator, setting: Setting) -> list[Case]:
    """One to three films of a patient; severities of a patient's films are correlated."""
    years = min(max(setting.age + 16 * rng.standard_normal(), 18.0), 95.0)
    sex = ("female", "male")[rng.integers(2)]
    site = list(setting.detectors)[rng.integers(len(setting.detectors))]
    bedside = rng.random() < setting.portable
    lasting = _severities(rng)
    result = []
    for _ in range(1 + rng.binomial(2, 0.25)):
        portable = bedside and rng.random() < 0.9
        severity = (
            _LASTING * lasting + _PASSING * _severities(rng) + _BEDSIDE * portable + _AGE * (years - 55)
        )
        fitted = rng.random() < (setting.devices if portable else IMPLANTED)
        attributes = {
            "age": age_band(years),
            "sex": sex,
            "view": "AP" if portable else "PA",
            "site": site,
            "devices": "yes" if fitted else "no",
        }
        result.append(Case(severity, _labels(rng, severity, setting), severity, attributes))
    return result


def _severities(rng: np.random.Generator) -> NDArray[np.float64]:
    """Standard normal severities by finding, correlated through heart failure."""
    return _FAILURE * rng.standard_normal() + _OWN * rng.standard_normal(len(CLASSES))


def _labels(rng: np.random.Generator, severity: NDArray[np.float64], setting: Setting) -> NDArray[np.int8]:
    """A report's labels, -1 where it is in doubt, or a consensus."""
    error = CONSENSUS_ERROR if setting.consensus else REPORT_ERROR
    read = severity + error * rng.standard_normal(len(CLASSES)) - THRESHOLD
    labels = (read > 0).astype(np.int8)
    if not setting.consensus:
        labels[np.abs(read) < DOUBT] = -1
    return labels


def _drawn(severity: float) -> float:
    """The share of a finding's full appearance that is drawn: half near the threshold of reporting."""
    return visible(0.3 + 1.7 * (severity - THRESHOLD))


def draw(rng: np.random.Generator, case: Case, setting: Setting) -> NDArray[np.uint8]:
    """A film, (SIZE, SIZE, 1) uint8; dense tissue is bright."""
    portable = case.attributes["view"] == "AP"
    old = case.attributes["age"] in ("60-74", "75 and over")
    large, fluid, wet, spots = (_drawn(severity) for severity in case.severity)
    lost = findings.bases(rng)
    high = (0.26 * (1 - fluid) * lost[0], 0.26 * (1 - fluid) * lost[1])
    chest = anatomy.pose(rng, portable=portable, shallow=setting.shallow * portable, high=high)

    body = anatomy.trunk(rng, chest)
    ratio = 0.41 + 0.02 * portable + 0.23 * large + 0.015 * rng.standard_normal()
    heart = anatomy.heart(rng, chest, ratio=ratio, old=old)
    lungs, fluids = np.zeros_like(body), np.zeros_like(body)
    for side, share in ((RIGHT, lost[0]), (LEFT, lost[1])):
        pool = findings.effusion(rng, chest, side, fluid * share)
        lung = anatomy.lung(chest, side)
        lungs, fluids = lungs + lung * (1 - 0.93 * pool), fluids + lung * pool
    air = lungs * (1 - 0.88 * heart)
    depth = 0.37 + 0.03 * rng.standard_normal()
    marks = 0.13 * anatomy.vessels(rng, chest, upper=0.6 + 0.7 * wet)
    found = findings.edema(rng, chest, wet) + findings.nodules(rng, chest, spots)
    marks = marks + found - 0.85 * (found * air).sum() / air.sum()

    film = 0.78 * body - depth * air + air * marks
    film = film + 0.17 * np.maximum(heart * (0.4 + 0.6 * ramp(-0.6, 0.1, chest.y)), fluids)
    film = film - 0.13 * anatomy.windpipe(chest)
    film = film + body * (1 - 0.5 * heart) * anatomy.bones(rng, chest, old=old)
    film = film + body * anatomy.soft_tissue(rng, chest, female=case.attributes["sex"] == "female")
    film = film + body * anatomy.belly(rng, chest, np.maximum(lungs, 0.6 * heart))
    if case.attributes["devices"] == "yes":
        film = film + devices(rng, chest)
    return expose(rng, film, body, setting.detectors[case.attributes["site"]], portable=portable)


DOMAIN = Domain(
    name="chest",
    number=1,
    target=Target(kind="multi-label", classes=CLASSES),
    attributes=("age", "sex", "view", "site", "devices"),
    settings={"train": REPORTED, "validation": REPORTED, "id": HOME, "hospital-b": HOSPITAL_B, "icu": ICU},
    cases=cases,
    draw=draw,
)
