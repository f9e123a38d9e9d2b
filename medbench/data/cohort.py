"""The cohort protocol: patients with images, labels, attributes and patient-disjoint splits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medbench.spec.runs import Target

TRAIN, VALIDATION, ID = "train", "validation", "id"


@dataclass(frozen=True)
class Examples:
    """The rows of one split, one per image, in a fixed order.

    Attributes:
      image: (n,) str, the image's name, unique within the cohort.
      patient: (n,) str, the patient (or the declared cluster); never leaves the store in clear.
      labels: (n, k) int8, columns as `Target.classes`: 0, 1, or -1 where unknown (multi-label only).
        A single-label row has exactly one 1.
      attributes: name -> (n,) str, sub-group values; an empty string where not recorded.
    """

    image: NDArray[np.str_]
    patient: NDArray[np.str_]
    labels: NDArray[np.int8]
    attributes: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.image)

    def take(self, index: NDArray[np.int64]) -> "Examples":
        """The rows at `index`, in its order."""
        return Examples(
            self.image[index],
            self.patient[index],
            self.labels[index],
            {name: values[index] for name, values in self.attributes.items()},
        )

    def with_attributes(self, names: Iterable[str]) -> "Examples":
        """The same rows with exactly these attributes, not recorded where there were none."""
        none = np.full(len(self), "", dtype=np.str_)
        return replace(self, attributes={name: self.attributes.get(name, none) for name in names})


class Cohort(Protocol):
    """A set of patients, wherever it comes from.

    Splits are `train`, `validation`, `id` and the names in `shifts`; no patient is in two of them.
    """

    name: str
    """Such as `phantoms:chest`, or `folder:` and the folder's name."""
    domain: str
    target: Target
    generated: bool
    """True for phantoms: every number from them is marked as such."""
    fingerprint: str
    """Hex digest of generator version and seed, or of file bytes; never of decoded pixels."""
    shifts: tuple[str, ...]
    absent: Mapping[str, str]
    """Shifts that the cohort could have, each with the reason why it is not here."""
    attributes: tuple[str, ...]
    cluster: str
    """`patient`, or the column that stands in where patients are not known."""
    image_area: int
    """Median width x height of the training images as they come, in pixels; the HyperRule asks for it."""

    def examples(self, split: str) -> Examples:
        """The rows of a split, without decoding images."""

    def images(self, split: str, size: int) -> NDArray[np.uint8]:
        """The images of a split, decoded and resized to a square: (n, size, size, 1 or 3) uint8."""
