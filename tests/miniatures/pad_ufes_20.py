"""A miniature of PAD-UFES-20.

Found:
- 2,298 PNGs of many sizes, 1,373 patients, six diagnoses, meaning of the columns, `img_id` as
  PAT_<patient>_<lesion>_<number>: https://data.mendeley.com/datasets/zr7vgbcyr2 and
  https://pmc.ncbi.nlm.nih.gov/articles/PMC7479321;
- the 26 columns of metadata.csv in their order, and whole rows (`False`, `True`, `UNK`, blank; `POMERANIA`;
  `3.0`; file name with .png): users' copies on github.com;
- metadata.csv beside images/, which holds imgs_part_1.zip to imgs_part_3.zip; unpacked in place they become
  images/imgs_part_1/ and so on, with a second folder of the same name in Kaggle's copy: users' READMEs;
- gender, skin type, diameters and history are blank where a lesion was not biopsied: shared notes on the
  set.
Unverified: some of the PNGs have four channels.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.miniatures import drawing
from tests.miniatures.tables import write_rows
from tests.miniatures.truth import Picture, Truth

COLUMNS = (
    "patient_id", "lesion_id", "smoke", "drink", "background_father", "background_mother", "age",
    "pesticide", "gender", "skin_cancer_history", "cancer_history", "has_piped_water",
    "has_sewage_system", "fitspatrick", "region", "diameter_1", "diameter_2", "diagnostic", "itch",
    "grew", "hurt", "changed", "bleed", "elevation", "img_id", "biopsed",
)  # fmt: skip
SIGNS = {
    "MEL": "melanoma",
    "NEV": "nevus",
    "BCC": "basal cell",
    "ACK": "keratotic",
    "SCC": "keratotic",
    "SEK": "other",
}
REGIONS = ("ARM", "NECK", "FACE", "HAND", "FOREARM", "CHEST", "NOSE", "THIGH", "SCALP", "EAR", "BACK", "LIP")


def write(folder: Path, *, patients: int, seed: int = 0, size: int = 96, images: int = 0) -> Truth:
    """Write it.

    Args:
      folder: becomes the set's root.
      patients: their number; each has one lesion to three, of one to three pictures.
      seed: of everything random.
      size: height of a picture in pixels; widths differ.
      images: with as many pictures of each patient's one lesion instead: a large set of a known size.

    Returns:
      What a right reader finds.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, str]] = []
    pictures: list[Picture] = []
    for patient in range(1, patients + 1):
        history = one_of(rng, ("True", "False"))
        for lesion in range(1 if images else rng.integers(1, 4)):
            cells = lesion_of(patient, 10 * patient + lesion, history, rng)
            for number in range(images or rng.integers(1, 4)):
                image = f"PAT_{patient}_{cells['lesion_id']}_{100 + number}.png"
                rows.append(cells | {"img_id": image})
                pictures.append(picture_of(rows[-1], len(rows) + 1))
                shape = size, size * (3 + patient % 3) // 4
                draw(folder / pictures[-1].path, cells, rng, shape, rgba=len(rows) % 20 == 7)
    write_rows(folder / "metadata.csv", [COLUMNS, *([row[column] for column in COLUMNS] for row in rows)])
    return Truth(root=folder, pictures=tuple(pictures))


def lesion_of(patient: int, lesion: int, history: str, rng: np.random.Generator) -> dict[str, str]:
    """The cells that a lesion's pictures share; most are blank where no biopsy was taken."""
    diagnosis = list(SIGNS)[rng.integers(len(SIGNS))]
    biopsed = diagnosis in {"BCC", "SCC", "MEL"}
    cells = dict.fromkeys(COLUMNS, "") | {
        "patient_id": f"PAT_{patient}",
        "lesion_id": str(lesion),
        "age": str(20 + patient * 7 % 70),
        "region": one_of(rng, REGIONS),
        "diagnostic": diagnosis,
        "itch": one_of(rng, ("True", "False", "UNK")),
        "biopsed": str(biopsed),
    }
    cells |= {
        symptom: one_of(rng, ("True", "False"))
        for symptom in ("grew", "hurt", "changed", "bleed", "elevation")
    }
    if not biopsed:
        return cells
    return cells | {
        "smoke": history,
        "drink": history,
        "background_father": "POMERANIA",
        "background_mother": one_of(rng, ("POMERANIA", "GERMANY", "UNK")),
        "pesticide": history,
        "gender": ("FEMALE", "MALE")[patient % 2],
        "skin_cancer_history": history,
        "cancer_history": history,
        "has_piped_water": "True",
        "has_sewage_system": "True",
        "fitspatrick": f"{1 + patient % 6}.0",
        "diameter_1": f"{rng.integers(3, 20)}.0",
        "diameter_2": f"{rng.integers(3, 20)}.0",
    }


def one_of(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    """Any of them."""
    return words[rng.integers(len(words))]


def picture_of(row: dict[str, str], number: int) -> Picture:
    """What the row says of its image."""
    return Picture(
        path=f"images/imgs_part_{1 + number % 3}/{row['img_id']}",
        patient=row["patient_id"],
        labels={"diagnostic": row["diagnostic"]},
        attributes={column: row[column] for column in ("age", "gender", "fitspatrick", "region", "biopsed")},
        table="metadata.csv",
        row=number,
    )


def draw(
    path: Path, cells: dict[str, str], rng: np.random.Generator, shape: tuple[int, int], *, rgba: bool
) -> None:
    """Write the picture as a PNG, of three channels or four."""
    tone = (float(cells["fitspatrick"] or 2) - 1) / 5
    photograph = Image.fromarray(
        drawing.bytes_of(drawing.skin(SIGNS[cells["diagnostic"]], rng, *shape, tone=tone))
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    (photograph.convert("RGBA") if rgba else photograph).save(path, compress_level=1)
