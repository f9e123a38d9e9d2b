"""What MedMNIST+ publishes: sets, sizes, labels, digests, licences.

No file is opened and nothing is fetched here.

Files, their MD5 sums, sizes, labels, numbers of images and licences are those of the publisher's own package:
https://github.com/MedMNIST/MedMNIST/blob/main/medmnist/info.py (version 3.0.2), which points to
https://zenodo.org/records/10519652. A file holds `train_images`, `train_labels` and the same for `val` and
`test`: uint8 of (n, size, size) grey or (n, size, size, 3), labels of (n, 1), or (n, 14) for ChestMNIST
(medmnist/dataset.py there). Without a size MedMNIST means 28 pixels, whose file name has no size either.

That PneumoniaMNIST's training and validation images share patients was seen by matching them with the
collection they come from. That images of one lesion are in several splits of DermaMNIST, and what a split by
lesion looks like: https://zenodo.org/records/12739457.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from medbench.data.public.targets import MAMMOGRAPHY
from medbench.errors import MedbenchError, nearest, printable
from medbench.spec.runs import Target

PREFIX = "medmnist:"
HOMEPAGE = "https://medmnist.com"
CITATION = (
    "J. Yang et al.: MedMNIST v2, a large-scale lightweight benchmark for 2D and 3D biomedical image "
    "classification. Scientific Data 10, 41 (2023). doi:10.1038/s41597-022-01721-8"
)
CLUSTER = "image"
"""What stands for a patient, whom no file tells."""
SIZES = (28, 64, 128, 224)
"""Width and height of the published images in pixels; the first where a reference says none."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One of MedMNIST's sets.

    Attributes:
      title: as its publisher calls it.
      domain: whose claims it serves.
      labels: names of the file's label values 0, 1, … or of its label columns, if several may be true.
      target: what is predicted: the same names, where another is the positive one in another order.
      channels: 1 grey, 3 colour.
      images: numbers of training, validation and test images.
      md5: of the file with images of each size.
      licence: its name.
      warnings: what to know before believing a result.
    """

    title: str
    domain: Literal["chest", "mammography", "dermatology"]
    labels: tuple[str, ...]
    target: Target
    channels: Literal[1, 3]
    images: tuple[int, int, int]
    md5: Mapping[int, str]
    licence: str
    warnings: tuple[str, ...] = ()


def _single(*classes: str) -> Target:
    return Target(kind="single-label", classes=classes)


_FINDINGS = (
    *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia"),
    *("pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia"),
)
_LESIONS = (
    "actinic keratoses and intraepithelial carcinoma",
    "basal cell carcinoma",
    "benign keratosis-like lesions",
    "dermatofibroma",
    "melanoma",
    "melanocytic nevi",
    "vascular lesions",
)

PUBLISHED: Mapping[str, Published] = {
    "pneumoniamnist": Published(
        title="PneumoniaMNIST: children's chest films with and without pneumonia",
        domain="chest",
        labels=("normal", "pneumonia"),
        target=_single("normal", "pneumonia"),
        channels=1,
        images=(4708, 524, 624),
        md5={
            28: "28209eda62fecd6e6a2d98b1501bb15f",
            64: "8f4eceb4ccffa70c672198ea285246c6",
            128: "05b46931834c231683c68f40c47b2971",
            224: "d6a3c71de1b945ea11211b03746c1fe1",
        },
        licence="CC BY 4.0",
        warnings=(
            "PneumoniaMNIST: training and validation images share patients, so that validation flatters.",
        ),
    ),
    "chestmnist": Published(
        title="ChestMNIST: ChestX-ray14 with its 14 findings, in small",
        domain="chest",
        labels=_FINDINGS,
        target=Target(kind="multi-label", classes=_FINDINGS),
        channels=1,
        images=(78_468, 11_219, 22_433),
        md5={
            28: "02c8a6516a18b556561a56cbdd36c4a8",
            64: "9de6cd0b934ebb5b7426cfba5efbae16",
            128: "db107e5590b27930b62dbaf558aebee3",
            224: "45bd33e6f06c3e8cdb481c74a89152aa",
        },
        licence="CC BY 4.0",
    ),
    "dermamnist": Published(
        title="DermaMNIST: HAM10000 with its 7 diagnoses, in small",
        domain="dermatology",
        labels=_LESIONS,
        target=_single(*_LESIONS),
        channels=3,
        images=(7007, 1003, 2005),
        md5={
            28: "0744692d530f8e62ec473284d019b0c7",
            64: "b70a2f5635c6199aeaa28c31d7202e1f",
            128: "2defd784463fa5243564e855ed717de1",
            224: "8974907d8e169bef5f5b96bc506ae45d",
        },
        licence="CC BY-NC 4.0, which forbids commercial use",
        warnings=("DermaMNIST: images of one lesion stand in several splits, so that results flatter.",),
    ),
    "breastmnist": Published(
        title="BreastMNIST: breast ultrasound, malignant or not",
        domain="mammography",
        labels=("malignant", "not malignant"),
        target=MAMMOGRAPHY,
        channels=1,
        images=(546, 78, 156),
        md5={
            28: "750601b1f35ba3300ea97c75c52ff8f6",
            64: "742edef2a1fd1524b2efff4bd7ba9364",
            128: "363e4b3f8d712e9b5de15470a2aaadf1",
            224: "b56378a6eefa9fed602bb16d192d4c8b",
        },
        licence="CC BY 4.0",
        warnings=(
            "BreastMNIST: this is ultrasound, not mammography; claims on mammograms are not tested by it.",
        ),
    ),
}
"""By name, as in `medmnist:<name>@<size>`."""


class Reference(NamedTuple):
    """A published file: one set at one size."""

    name: str
    size: int

    @classmethod
    def parse(cls, rest: str) -> "Reference":
        """What follows `medmnist:` as `<name>@<size>`, or `<name>` for 28 pixels.

        Raises:
          MedbenchError: there is no such set or size; the message says which there are.
        """
        name, _, size = rest.partition("@")
        if name not in PUBLISHED:
            raise MedbenchError(
                f"{PREFIX}{printable(rest)}: no such set. {nearest(name, PUBLISHED)} "
                f"A file of your own is named by its path, such as `{PREFIX}./pneumoniamnist.npz`."
            )
        if rest != name and size not in map(str, SIZES):
            sizes = ", ".join(f"`{name}@{s}`" for s in SIZES)
            raise MedbenchError(f"{PREFIX}{printable(rest)}: no such size. Expected {sizes}.")
        return cls(name, int(size or SIZES[0]))

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}@{self.size}"

    @property
    def published(self) -> Published:
        """The set."""
        return PUBLISHED[self.name]

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}.npz" if self.size == SIZES[0] else f"{self.name}_{self.size}.npz"

    @property
    def url(self) -> str:
        """Where it is published."""
        return f"https://zenodo.org/records/10519652/files/{self.file}?download=1"

    @property
    def md5(self) -> str:
        """Its published digest."""
        return self.published.md5[self.size]

    @property
    def most_bytes(self) -> int:
        """No more than its pixels uncompressed, and a little for the rest."""
        pixels = sum(self.published.images) * self.size**2 * self.published.channels
        return pixels + pixels // 100 + (1 << 22)
