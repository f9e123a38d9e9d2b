"""A miniature of CheXpert v1.0 with its test set.

Found:
- columns of train.csv and valid.csv, and two rows of valid.csv: github.com/rajpurkarlab/cheXlocalize,
  sample/valid.csv @ c4781352; `Path` starts with the release's name;
- train/ and valid/ beside train.csv and valid.csv in CheXpert-v1.0-small:
  https://www.tensorflow.org/datasets/catalog/chexpert;
- the full set comes in four archives, `CheXpert-v1.0 batch 1 (validate & csv)` with valid/ and both tables,
  and batches 2 to 4 (`train 1` to `train 3`) with patient folders and no train/ between, while `Path` still
  says CheXpert-v1.0/train/: many users' READMEs on github.com, which agree;
- 234 images of 200 patients in valid, 668 of 500 in test: https://aimi.stanford.edu/datasets/chexlocalize;
  the test set is given out there as test/ and test_labels.csv, with paths that start at `test/` (patients
  from 64741 on) and no columns of sex, age and view: users' code on github.com;
- cells: 1.0, 0.0, -1.0 (uncertain), blank (not mentioned) in train; 0.0 and 1.0 only in valid; blank AP/PA
  where a film is lateral: https://arxiv.org/abs/1901.07031 and the same code. One row has sex `Unknown`
  (users' code); 17 frontal films are neither AP nor PA (counted from train.csv), called LL and RL.
Unverified: the order of the columns of test_labels.csv; that its cells read `0.0`; JPEGs of one channel
throughout.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from tests.miniatures import drawing
from tests.miniatures.tables import write_rows
from tests.miniatures.truth import Picture, Truth

ABOUT = ("Sex", "Age", "Frontal/Lateral", "AP/PA")
FINDINGS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other",
    "Fracture", "Support Devices",
)  # fmt: skip
SIGNS = {
    "Atelectasis": "atelectasis",
    "Cardiomegaly": "cardiomegaly",
    "Consolidation": "consolidation",
    "Edema": "edema",
    "Pleural Effusion": "effusion",
}
"""The findings that can be seen in the drawn films."""

Layout = Literal["CheXpert-v1.0-small", "CheXpert-v1.0", "batches"]
FIRST = {"train": 1, "valid": 64541, "test": 64741}
"""Number of the first patient of each split."""
TABLES = {"train": "train.csv", "valid": "valid.csv", "test": "test_labels.csv"}
BATCH_1 = "CheXpert-v1.0 batch 1 (validate & csv)"


def write(
    folder: Path, *, patients: int, seed: int = 0, size: int = 96, layout: Layout = "CheXpert-v1.0-small"
) -> Truth:
    """Write it.

    Args:
      folder: the set comes into a folder of the release's name in here.
      patients: of all three splits: seven in ten are in train, the others half in valid and half in test.
      seed: of everything random.
      size: height of a film in pixels; its width is a fifth more.
      layout: the release: the small one, the full one put together, or the full one as its archives unpack.

    Returns:
      What a right reader finds; laterals are left out.
    """
    root = folder / ("chexpertchestxrays-u20210408" if layout == "batches" else layout)
    rng = np.random.default_rng(seed)
    held_out = patients * 15 // 100
    shares = {"train": patients - 2 * held_out, "valid": held_out, "test": held_out}
    pictures: list[Picture] = []
    for split, number in shares.items():
        rows = [["Path", *(() if split == "test" else ABOUT), *FINDINGS]]
        for patient in range(number):
            for name, about, labels in films(patient, split, rng):
                picture = Picture(
                    path=place(name, split, layout, patient),
                    patient=name.split("/")[0],
                    split=split,
                    labels=labels,
                    attributes={} if split == "test" else about,
                    table=f"{BATCH_1}/{TABLES[split]}"
                    if layout == "batches" and split != "test"
                    else TABLES[split],
                    row=len(rows) + 1,
                    left_out="lateral" if name.endswith("_lateral.jpg") else "",
                )
                release = "" if split == "test" else "CheXpert-v1.0/" if layout == "batches" else f"{layout}/"
                rows.append([f"{release}{split}/{name}", *picture.attributes.values(), *labels.values()])
                draw(root / picture.path, picture, rng, size)
                pictures.append(picture)
        write_rows(root / picture.table, rows)
    return Truth(root=root, pictures=tuple(pictures))


def films(
    patient: int, split: str, rng: np.random.Generator
) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """The films of a patient: path below the split's folder, the cells about it, the labels of its study."""
    name = f"patient{FIRST[split] + patient:05d}"
    odd = patient if split == "train" else -1
    sex = "Unknown" if odd == 2 else str(rng.choice(("Female", "Male")))
    age = 0 if odd == 3 else int(rng.integers(18, 91))
    frontal = {4: "LL", 5: "RL"}.get(odd) or str(rng.choice(("AP", "AP", "AP", "PA")))
    for study in range(1, 3 if rng.random() < 0.3 else 2):
        labels = report(rng) if split == "train" else reading(rng)
        views = ["frontal", *["frontal"] * (odd == 1), *["lateral"] * (rng.random() < 0.25)]
        for number, view in enumerate(views, start=1):
            about = (sex, str(age), view.title(), frontal if view == "frontal" else "")
            yield f"{name}/study{study}/view{number}_{view}.jpg", dict(zip(ABOUT, about, strict=True)), labels


def report(rng: np.random.Generator) -> dict[str, str]:
    """Labels mined from a report: most are not mentioned, some are uncertain."""
    if rng.random() < 0.15:
        return dict.fromkeys(FINDINGS, "") | {"No Finding": "1.0"}
    cells = rng.choice(("", "1.0", "0.0", "-1.0"), size=len(FINDINGS), p=(0.35, 0.3, 0.2, 0.15))
    return dict(zip(FINDINGS, map(str, cells), strict=True)) | {"No Finding": ""}


def reading(rng: np.random.Generator) -> dict[str, str]:
    """Labels of radiologists: each finding is there or not."""
    cells = rng.choice(("1.0", "0.0"), size=len(FINDINGS), p=(0.4, 0.6))
    labels = dict(zip(FINDINGS, map(str, cells), strict=True))
    return labels | {"No Finding": "0.0" if "1.0" in list(labels.values())[1:-1] else "1.0"}


def place(name: str, split: str, layout: Layout, patient: int) -> str:
    """Where the release has the film."""
    if layout != "batches" or split == "test":
        return f"{split}/{name}"
    if split == "valid":
        return f"{BATCH_1}/valid/{name}"
    return f"CheXpert-v1.0 batch {2 + patient % 3} (train {1 + patient % 3})/{name}"


def draw(path: Path, picture: Picture, rng: np.random.Generator, size: int) -> None:
    """Write the film as a grey JPEG; a finding that is uncertain is shown half the time."""
    odds = {"1.0": 1.0, "-1.0": 0.5}
    shown = [sign for label, sign in SIGNS.items() if rng.random() < odds.get(picture.labels[label], 0)]
    shape = size, size * 6 // 5
    film = drawing.lateral(rng, *shape) if picture.left_out else drawing.chest(shown, rng, *shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(drawing.bytes_of(film)).save(path, quality=90)
