"""A miniature of the RSNA screening mammography set of 2022 (Kaggle, rsna-breast-cancer-detection).

Found:
- files train_images/<patient_id>/<image_id>.dcm and train.csv, test_images/ and test.csv, of which only a
  few rows are given out; meaning of the columns; implants of site 1 are told by patient, not by breast:
  https://github.com/RSNA/AI-Challenge-Data/wiki/RSNA-Screening-Mammography-Breast-Cancer-Detection and
  https://www.kaggle.com/competitions/rsna-breast-cancer-detection/data;
- columns of both tables in their order, and first rows (`2,10006,462822612,L,CC,61,0,0,0,,0,,29,False`):
  users' copies on github.com; one says `61.0`, so both are written here, by site;
- density A to D and BIRADS 0 to 2 are often blank; views CC and MLO, seldom AT, LM, ML, LMO: the Kaggle
  page;
- transfer syntaxes: JPEG 2000 lossless (1.2.840.10008.1.2.4.90) and lossless JPEG (1.2.840.10008.1.2.4.70),
  one of them for each machine; MONOCHROME1 and MONOCHROME2; windows with VOI LUT function LINEAR or
  SIGMOID: winners' code (make_uid_transfer_dict and J2K_SUID, JLL_SUID on github.com).
Unverified: which machine has which; that site 2 records no density; ages and BIRADS as whole numbers; bits
stored; letters beside the breast; a left breast may stand at the right edge.
"""

from pathlib import Path

import numpy as np
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from tests.miniatures import dicoms, drawing
from tests.miniatures.tables import write_rows
from tests.miniatures.truth import Picture, Truth

COLUMNS = (
    "site_id", "patient_id", "image_id", "laterality", "view", "age", "cancer", "biopsy", "invasive",
    "BIRADS", "implant", "density", "machine_id", "difficult_negative_case",
)  # fmt: skip
TEST_COLUMNS = (*COLUMNS[:6], "implant", "machine_id", "prediction_id")
LABELS = ("cancer", "biopsy", "invasive", "BIRADS", "difficult_negative_case")
MACHINES = {
    49: ("1", JPEG2000Lossless, 16, "MONOCHROME2"),
    21: ("1", JPEGLosslessSV1, 12, "MONOCHROME1"),
    29: ("2", JPEG2000Lossless, 12, "MONOCHROME2"),
    48: ("2", JPEGLosslessSV1, 14, "MONOCHROME1"),
}
"""Number of a machine -> site, transfer syntax, bits stored, photometric interpretation."""
DENSITIES = {"A": 0.0, "B": 0.3, "C": 0.6, "D": 1.0, "": 0.5}


def write(folder: Path, *, patients: int, seed: int = 0, size: int = 96) -> Truth:
    """Write it.

    Args:
      folder: becomes the set's root.
      patients: of train.csv; one in three has a cancer in one breast, far more than in truth.
      seed: of everything random.
      size: width of a mammogram in pixels; it is a quarter higher.

    Returns:
      What a right reader finds; the test set is not told of, since its labels are not given out.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, str]] = []
    pictures: list[Picture] = []
    for patient in range(patients):
        machine = list(MACHINES)[patient % len(MACHINES)]
        site = MACHINES[machine][0]
        diseased = rng.choice(("L", "R")) if patient % 3 == 0 else ""
        density = str(rng.choice(("A", "B", "C", "D"))) if site == "1" else ""
        age = "" if patient == 7 else f"{rng.integers(33, 90)}{'.0' * (site == '1')}"
        implant = "1" if patient % 11 == 5 else "0"
        views = [("L", "CC"), ("L", "MLO"), ("R", "MLO"), ("R", "CC"), *[("L", "AT")] * (patient % 10 == 6)]
        for side, view in views:
            cancer = side == diseased
            rows.append(
                {
                    "site_id": site,
                    "patient_id": str(10006 + 13 * patient),
                    "image_id": str(rng.integers(10**6, 2**31)),
                    "laterality": side,
                    "view": view,
                    "age": age,
                    "cancer": str(int(cancer)),
                    "biopsy": str(int(cancer)),
                    "invasive": str(int(cancer and patient % 2 == 0)),
                    "BIRADS": "0" if cancer else str(rng.choice(("", "1", "2"))),
                    "implant": implant,
                    "density": density,
                    "machine_id": str(machine),
                    "difficult_negative_case": str(bool(not cancer and rng.random() < 0.1)),
                }
            )
            wall = {"L": "left", "R": "right"}[side]
            if len(rows) % 17 == 3:
                wall = {"left": "right", "right": "left"}[wall]
            pictures.append(picture_of(rows[-1], len(rows) + 1, wall))
            draw(folder / pictures[-1].path, pictures[-1], rng, size)
    write_rows(folder / "train.csv", [COLUMNS, *(row.values() for row in rows)])
    write_test_set(folder, rng, size)
    return Truth(root=folder, pictures=tuple(pictures))


def picture_of(row: dict[str, str], number: int, wall: str) -> Picture:
    """What the row says of its image."""
    _, syntax, bits, photometric = MACHINES[int(row["machine_id"])]
    about = ("site_id", "laterality", "view", "age", "implant", "density", "machine_id")
    return Picture(
        path=f"train_images/{row['patient_id']}/{row['image_id']}.dcm",
        patient=row["patient_id"],
        split="train",
        labels={column: row[column] for column in LABELS},
        attributes={column: row[column] for column in about},
        table="train.csv",
        row=number,
        facts={"wall": wall, "syntax": syntax, "bits": str(bits), "photometric": photometric},
    )


def draw(path: Path, picture: Picture, rng: np.random.Generator, size: int) -> None:
    """Write the mammogram as its machine would."""
    facts, about = picture.facts, picture.attributes
    film = drawing.breast(
        rng,
        size * 5 // 4,
        size,
        wall=facts["wall"],
        density=DENSITIES[about["density"]],
        mass=picture.labels["cancer"] == "1",
        implant=about["implant"] == "1",
    )
    bits = int(facts["bits"])
    header = dicoms.mammogram(
        path.stem,
        {
            "PatientID": picture.patient,
            "InstanceNumber": path.stem,
            "ImageLaterality": about["laterality"],
            "ViewPosition": about["view"],
            "WindowCenter": 2 ** (bits - 1),
            "WindowWidth": 2**bits,
            "VOILUTFunction": "SIGMOID" if facts["syntax"] == JPEGLosslessSV1 else "LINEAR",
        },
    )
    dicoms.set_pixels(header, film, bits=bits, photometric=facts["photometric"])
    dicoms.save(header, path, facts["syntax"])


def write_test_set(folder: Path, rng: np.random.Generator, size: int) -> None:
    """Write the patient of test.csv that everybody gets."""
    rows = []
    for side, view in (("L", "CC"), ("R", "CC")):
        row = ["2", "10008", str(rng.integers(10**6, 2**31)), side, view, "81", "0", "29", f"10008_{side}"]
        picture = picture_of(
            dict(zip(COLUMNS, [*row[:6], "0", "0", "0", "", "0", "", "29", ""], strict=True)), 0, "left"
        )
        draw(folder / "test_images" / "10008" / f"{row[2]}.dcm", picture, rng, size)
        rows.append(row)
    write_rows(folder / "test.csv", [TEST_COLUMNS, *rows])
