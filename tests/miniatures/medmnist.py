"""Miniatures of MedMNIST files: one .npz of one set at one size.

Found: file names (`pneumoniamnist.npz` at 28 pixels, `pneumoniamnist_64.npz` and so on above), arrays
train_images, train_labels and the same of val and test: github.com/MedMNIST/MedMNIST, medmnist/dataset.py @
18a71b73; images uint8, (n, s, s) grey or (n, s, s, 3), labels (n, 1) or (n, 14): the same repository's
info.py and examples.
Unverified: that labels are uint8 in every file. The published checksums are, of course, not met.
"""

from pathlib import Path

import numpy as np

from tests.miniatures import drawing
from tests.miniatures.truth import Picture, Truth

LESIONS = ("keratotic", "basal cell", "other", "other", "melanoma", "nevus", "other")
"""How each class of DermaMNIST is drawn: akiec, bcc, bkl, df, mel, nv, vasc."""
CHEST_FINDINGS = (
    "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia",
    "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia",
)  # fmt: skip
"""ChestMNIST's labels in their order."""
LABELS = {"pneumoniamnist": (1, 2), "breastmnist": (1, 2), "dermamnist": (1, 7), "chestmnist": (14, 2)}
"""Number of labels an image, and of values a label."""


def write(
    folder: Path, *, patients: int, seed: int = 0, size: int = 28, name: str = "pneumoniamnist"
) -> Truth:
    """Write it.

    Args:
      folder: the file comes in here.
      patients: images, since patients are not told: seven in ten train, one in ten val, the others test.
      seed: of everything random.
      size: 28, 64, 128 or 224.
      name: pneumoniamnist, breastmnist, dermamnist or chestmnist.

    Returns:
      What a right reader finds; `path` is the array and the image's place in it: `train_images/0`.
    """
    rng = np.random.default_rng(seed)
    columns, values = LABELS[name]
    val = patients // 10
    arrays: dict[str, np.ndarray] = {}
    pictures = []
    for split, number in {
        "train": patients * 7 // 10,
        "val": val,
        "test": patients - val - patients * 7 // 10,
    }.items():
        labels = rng.integers(0, values, (number, columns), dtype=np.uint8)
        arrays[f"{split}_images"] = np.stack(
            [drawing.bytes_of(draw(name, label, rng, size)) for label in labels]
        )
        arrays[f"{split}_labels"] = labels
        pictures += [
            Picture(
                path=f"{split}_images/{place}",
                patient=f"{split}-{place}",
                split=split,
                labels={str(column): str(value) for column, value in enumerate(label)},
            )
            for place, label in enumerate(labels)
        ]
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / f"{name}{'' if size == 28 else f'_{size}'}.npz", **arrays)
    return Truth(root=folder, pictures=tuple(pictures))


def draw(name: str, label: np.ndarray, rng: np.random.Generator, size: int) -> drawing.Grey:
    """An image of the set's kind."""
    if name == "dermamnist":
        return drawing.skin(LESIONS[label[0]], rng, size, size)
    if name == "breastmnist":
        malignant = label[0] == 0
        return drawing.breast(rng, size, size, wall="left", density=0.5, mass=malignant)
    found = {finding for finding, there in zip(CHEST_FINDINGS, label, strict=False) if there}
    shown = (
        found & set(drawing.CHEST_SIGNS) if name == "chestmnist" else {"consolidation"} if label[0] else set()
    )
    return drawing.chest(shown, rng, size, size)
