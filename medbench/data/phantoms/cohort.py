"""The phantom cohorts: patients, labels and images from a generator's version and a seed, no download."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medbench.data.cohort import ID, TRAIN, VALIDATION, Examples
from medbench.data.phantoms.domain import SIZE, Case, Domain
from medbench.errors import MedbenchError, nearest

GENERATOR_VERSION = 3
"""Goes up with every change of a label or a visible change of pixels; docs/phantoms.md has the log."""

SEED = 20

DOMAINS = ("chest", "mammography", "dermatology")

_FIRST_PATIENT = 10_000
"""Each split's patients are numbered from a multiple of this, so that one may grow without moving others."""


class PhantomCohort:
    """A `medbench.data.cohort.Cohort` of generated images.

    Every patient and image has a random stream of its own, from (version, seed, domain, patient, image),
    so that any of them can be drawn alone.
    """

    generated = True
    cluster = "patient"
    image_area = SIZE * SIZE

    def __init__(self, domain: Domain, patients: Mapping[str, int]) -> None:
        """Declare a cohort of a domain with so many patients by split."""
        self.domain = domain.name
        self.name = f"phantoms:{domain.name}"
        self.target = domain.target
        self.attributes = domain.attributes
        self.shifts = tuple(split for split in domain.settings if split not in (TRAIN, VALIDATION, ID))
        self._domain = domain
        self.absent: Mapping[str, str] = {}
        self._patients = dict(patients)
        identity = f"{self.name} version={GENERATOR_VERSION} seed={SEED} patients={self._patients}"
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()
        self._cases = cache(self._draw_cases)

    def examples(self, split: str) -> Examples:
        """The rows of a split, without drawing images.

        Raises:
          MedbenchError: the cohort has no such split.
        """
        patients, images, cases = self._rows(split)
        return Examples(
            image=np.array([f"P-{p:06d}-{i}" for p, i in zip(patients, images, strict=True)]),
            patient=np.array([f"P-{p:06d}" for p in patients]),
            labels=np.stack([case.labels for case in cases]),
            attributes={a: np.array([case.attributes[a] for case in cases]) for a in self.attributes},
        )

    def images(self, split: str, size: int) -> NDArray[np.uint8]:
        """The images of a split, resized with antialiasing: (n, size, size, 1 or 3) uint8, a few ms each.

        Raises:
          MedbenchError: the cohort has no such split.
        """
        patients, images, cases = self._rows(split)
        setting = self._domain.settings[split]
        return np.stack(
            [
                _resize(self._domain.draw(self._stream(p, 1 + i), case, setting), size)
                for p, i, case in zip(patients, images, cases, strict=True)
            ]
        )

    def oracle(self, split: str) -> NDArray[np.float64]:
        """The latent state behind the labels, as scores: (n, k), columns as `target.classes`.

        The best that any reader of the images could do. Scores order the images, they are no
        probabilities.
        """
        return np.stack([case.oracle for case in self._rows(split)[2]])

    def _rows(self, split: str) -> tuple[list[int], list[int], list[Case]]:
        if split not in self._patients:
            raise MedbenchError(f"{self.name} has no split `{split}`. {nearest(split, self._patients)}")
        return self._cases(split)

    def _draw_cases(self, split: str) -> tuple[list[int], list[int], list[Case]]:
        """Patient numbers, the images' numbers within the patient, and the cases, one entry an image."""
        first = _FIRST_PATIENT * list(self._patients).index(split)
        patients: list[int] = []
        images: list[int] = []
        cases: list[Case] = []
        for patient in range(first, first + self._patients[split]):
            drawn = self._domain.cases(self._stream(patient, 0), self._domain.settings[split])
            patients += [patient] * len(drawn)
            images += range(len(drawn))
            cases += drawn
        return patients, images, cases

    def _stream(self, patient: int, place: int) -> np.random.Generator:
        """The stream of a patient (place 0) or of its images (places from 1)."""
        return np.random.default_rng([GENERATOR_VERSION, SEED, self._domain.number, patient, place])


def open_phantoms(domain: str, *, patients: int | None = None) -> PhantomCohort:
    """The phantom cohort of a domain (`phantoms:<domain>`).

    Args:
      domain: `chest`, `mammography` or `dermatology`.
      patients: so many in every split, for a smaller cohort of the first patients; by default as
        the domain has it.

    Raises:
      MedbenchError: there is no such domain; the message names the nearest.
    """
    if domain not in DOMAINS:
        references = [f"phantoms:{name}" for name in DOMAINS]
        raise MedbenchError(
            f"`phantoms:{domain}`: no such phantoms. {nearest(f'phantoms:{domain}', references)}"
        )
    module = import_module(f"medbench.data.phantoms.{domain}")
    declared = cast("Domain", module.DOMAIN)
    train, validation, evaluation = declared.patients
    usual = dict.fromkeys(declared.settings, evaluation) | {TRAIN: train, VALIDATION: validation}
    return PhantomCohort(declared, usual if patients is None else dict.fromkeys(usual, patients))


def _resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if size == SIZE:
        return image
    grey = image.shape[2] == 1
    picture = Image.fromarray(image[:, :, 0] if grey else image)
    resized = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))
    return resized[:, :, None] if grey else resized
