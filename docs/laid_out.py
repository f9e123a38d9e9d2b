"""Reduced copies of public sets, laid out as their publishers do, so that they come in by the public door.

Images are only copied or stored as another file type; nothing of a set enters the repository.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medbench.data.public.targets import CHEST
from medbench.data.splits import split_by_patient

PAD_COLUMNS = [
    "patient_id",
    "lesion_id",
    "smoke",
    "drink",
    "background_father",
    "background_mother",
    "age",
    "pesticide",
    "gender",
    "skin_cancer_history",
    "cancer_history",
    "has_piped_water",
    "has_sewage_system",
    "fitspatrick",
    "region",
    "diameter_1",
    "diameter_2",
    "diagnostic",
    "itch",
    "grew",
    "hurt",
    "changed",
    "bleed",
    "elevation",
    "img_id",
    "biopsed",
]
NIH_COLUMNS = [
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
    "OriginalImage[Width",
    "Height]",
    "OriginalImagePixelSpacing[x",
    "y]",
]
TRAINING, TEST = "train_val_list.txt", "test_list.txt"
TEST_SHARE = 0.35
"""Of ChestX-ray14's patients, who are dealt anew: the official lists are not among the reduced copy."""


def pad_ufes_20(copy: Path, into: Path) -> Path:
    """PAD-UFES-20: metadata.csv and PNG in three parts.

    Args:
      copy: folder with manifest.csv and images.
      into: a folder to be made.

    Returns:
      The folder for `medbench cohort prepare pad-ufes-20 --from`.
    """
    rows = _rows(copy)
    for i, row in enumerate(rows):
        row["img_id"] = f"{row['image_id']}.png"
        part = into / "images" / f"imgs_part_{i % 3 + 1}"
        _as_png(copy / row["file"], part / row["img_id"])
    _write(into / "metadata.csv", PAD_COLUMNS, rows)
    return into


def nih_cxr14(copy: Path, into: Path) -> Path:
    """ChestX-ray14: Data_Entry_2017.csv, the two lists, PNG in a folder of images.

    Args and return as of `pad_ufes_20`.
    """
    rows = _rows(copy)
    lists: dict[str, list[str]] = {TRAINING: [], TEST: []}
    for row, listed in zip(rows, _dealt(rows), strict=True):
        name = f"{row['image_id']}.png"
        _as_png(copy / row["file"], into / "images" / name)
        lists[listed].append(name)
        row |= {
            "Image Index": name,
            "Finding Labels": row["findings"],
            "Follow-up #": row["follow_up"],
            "Patient ID": row["patient_id"],
            "Patient Age": row["age"],
            "Patient Gender": row["sex"],
            "View Position": row["view"],
            "OriginalImage[Width": row["width"],
            "Height]": row["height"],
            "OriginalImagePixelSpacing[x": "0.143",
            "y]": "0.143",
        }
    for file, names in lists.items():
        (into / file).write_text("\n".join(names) + "\n", encoding="utf-8")
    _write(into / "Data_Entry_2017.csv", NIH_COLUMNS, rows)
    return into


def _dealt(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """The list of each row, dealt out by patient and finding."""
    patients = np.array([row["patient_id"] for row in rows])
    labels = np.array([[int(row[name]) for name in CHEST.classes] for row in rows], dtype=np.int8)
    shares = {TRAINING: 1 - TEST_SHARE, TEST: TEST_SHARE}
    return split_by_patient(patients, labels, shares, seed=0).tolist()


def _rows(copy: Path) -> list[dict[str, str]]:
    with (copy / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _as_png(image: Path, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        Image.open(image).save(file)


def _write(file: Path, columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(columns), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
