"""A miniature of NIH ChestX-ray14.

Found:
- header and rows of Data_Entry_2017.csv: a test in github.com that names
  https://nihcc.app.box.com/v/ChestXray-NIHCC/file/219760887468 as its source, and users' copies. Two names
  hold a comma, so that the header has twelve fields, the last one empty; so have the rows; spacings such as
  0.14300000000000002. Data_Entry_2017_v2020.csv has no trailing comma and spacings such as 0.143 (users'
  copies). Some copies say `Patient Gender` and some `Patient Sex`: here one edition each;
- findings joined by `|`, `No Finding` alone, `Pleural_Thickening` with an underscore: the same copies; a
  patient's number is the file name's without leading zeros;
- train_val_list.txt and test_list.txt, one file name a line, by patient; images/ beside the tables where
  the archives of the Box folder were unpacked, images_001/images/ to images_012/images/ in Kaggle's copy
  (https://www.kaggle.com/datasets/nih-chest-xrays/data): users' READMEs and code;
- ages above 100 are errors of the 2017 table: code that drops them in many repositories.
Unverified: their values (411 and 150 here); that a few films are RGBA; that the lists' last line has no
end.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from tests.miniatures import drawing
from tests.miniatures.tables import write_rows
from tests.miniatures.truth import Picture, Truth

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis",
    "Hernia", "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
GEOMETRY = ("OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]")
EDITIONS = {
    "Data_Entry_2017.csv": (
        "Patient Gender",
        (*GEOMETRY, ""),
        ("2682", "2749", "0.14300000000000002", "0.14300000000000002", ""),
    ),
    "Data_Entry_2017_v2020.csv": ("Patient Sex", GEOMETRY, ("2682", "2749", "0.143", "0.143")),
}
"""Of each edition of the table: what it calls the sex, its last columns, and their cells."""
AGES = {1: "411", 2: "150"}
"""Of the patients of these numbers, in the table of 2017."""


def write(
    folder: Path,
    *,
    patients: int,
    seed: int = 0,
    size: int = 96,
    table: Literal["Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv"] = "Data_Entry_2017.csv",
    kaggle: bool = False,
) -> Truth:
    """Write it.

    Args:
      folder: becomes the set's root.
      patients: their number; three in ten are in the test list.
      seed: of everything random.
      size: height and width of a film in pixels.
      table: which edition of the table there is.
      kaggle: the images lie in images_001/images/ and so on, not all in images/.

    Returns:
      What a right reader finds.
    """
    rng = np.random.default_rng(seed)
    first_edition = table == "Data_Entry_2017.csv"
    gender_column, last_columns, last_cells = EDITIONS[table]
    rows: list[list[str]] = []
    pictures: list[Picture] = []
    for patient in range(1, patients + 1):
        gender, age = str(rng.choice(("M", "F"))), int(rng.integers(5, 90))
        for follow_up in range(int(rng.integers(1, 4))):
            found = findings(rng)
            name = f"{patient:08d}_{follow_up:03d}.png"
            years = AGES.get(patient, str(age + follow_up)) if first_edition else str(age + follow_up)
            view = str(rng.choice(("PA", "AP")))
            labels = "|".join(found) or "No Finding"
            rows.append([name, labels, str(follow_up), str(patient), years, gender, view, *last_cells])
            pictures.append(
                Picture(
                    path=f"images_{1 + patient % 12:03d}/images/{name}" if kaggle else f"images/{name}",
                    patient=str(patient),
                    split="test" if patient % 10 in {0, 3, 7} else "train_val",
                    labels={"Finding Labels": labels},
                    attributes={"Patient Age": years, gender_column: gender, "View Position": view},
                    table=table,
                    row=len(rows) + 1,
                )
            )
            draw(folder / pictures[-1].path, found, rng, size, rgba=len(rows) % 25 == 4)
    header = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", gender_column]
    write_rows(folder / table, [[*header, "View Position", *last_columns], *rows])
    for split in ("train_val", "test"):
        names = [Path(picture.path).name for picture in pictures if picture.split == split]
        (folder / f"{split}_list.txt").write_text("\n".join(names), encoding="ascii")
    return Truth(root=folder, pictures=tuple(pictures))


def findings(rng: np.random.Generator) -> list[str]:
    """None in three films of ten; else each of the common five often, the others seldom; as in FINDINGS."""
    if rng.random() < 0.3:
        return []
    common = {sign.title() for sign in drawing.CHEST_SIGNS}
    return [finding for finding in FINDINGS if rng.random() < (0.35 if finding in common else 0.05)]


def draw(path: Path, found: list[str], rng: np.random.Generator, size: int, *, rgba: bool) -> None:
    """Write the film as a PNG, grey or with four channels."""
    shown = [finding.lower() for finding in found if finding.lower() in drawing.CHEST_SIGNS]
    film = Image.fromarray(drawing.bytes_of(drawing.chest(shown, rng, size, size)))
    path.parent.mkdir(parents=True, exist_ok=True)
    (film.convert("RGBA") if rgba else film).save(path)
