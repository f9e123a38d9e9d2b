"""What the three phantom domains have in common: patients with latent severities, drawn case by case.

Labels are drawn here, without pixels; the domains' modules say what a severity looks like.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medbench.spec.runs import Target

SIZE = 128
"""Pixels along a side of every phantom, before resizing."""


@dataclass(frozen=True)
class Case:
    """Everything about one image but its pixels.

    Attributes:
      severity: (f,) latent severity of each finding, about standard normal; what is drawn follows it.
      labels: (k,) int8 of 1, 0, and -1 where uncertain, columns as the target's classes.
      oracle: (k,) score of each class by the latent state: the best that a reader of the image could do.
      attributes: sub-group values by name.
    """

    severity: NDArray[np.float64]
    labels: NDArray[np.int8]
    oracle: NDArray[np.float64]
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Domain:
    """A phantom domain: how patients are drawn in each split, and how a case is drawn.

    Attributes:
      name: `chest`, `mammography` or `dermatology`.
      number: its place in the seed sequences; never changed, or all images change.
      target: what is predicted.
      attributes: names of the sub-group attributes.
      settings: by split, where and of whom its images are taken; the splits beyond train,
        validation and id are the shifts.
      cases: draws a patient's images, as cases, from a patient's stream and a setting.
      draw: draws a case from the image's own stream: (SIZE, SIZE, 1 or 3) uint8.
      patients: in training, validation, and each evaluation set; a domain with more images a patient
        has fewer.
    """

    name: str
    number: int
    target: Target
    attributes: tuple[str, ...]
    settings: Mapping[str, Any]
    cases: Callable[[np.random.Generator, Any], list[Case]]
    draw: Callable[[np.random.Generator, Case, Any], NDArray[np.uint8]]
    patients: tuple[int, int, int] = (700, 120, 400)


def report(
    rng: np.random.Generator, severity: NDArray[np.float64], *, threshold: float, reading_error: float
) -> NDArray[np.bool_]:
    """Whether each finding is reported: severity plus Gaussian reading error above the threshold.

    The reading error is the part of a label that no image shows; it sets the oracle's AUC.
    Additions and one comparison only, so that labels are equal on all machines.
    """
    return severity + reading_error * rng.standard_normal(severity.shape) > threshold


def two_classes(positive: bool) -> NDArray[np.int8]:
    """Labels of a target with two single-label classes, the second of which is the finding."""
    return np.array([not positive, positive], dtype=np.int8)


def visible(severity: float) -> float:
    """The share of a finding's full appearance that is drawn at a severity, in (0, 1)."""
    return 1 / (1 + math.exp(-3 * (severity - 0.3)))


def age_band(years: float) -> str:
    """The age band that is recorded as attribute `age`."""
    for limit, band in ((40, "under 40"), (60, "40-59"), (75, "60-74")):
        if years < limit:
            return band
    return "75 and over"
