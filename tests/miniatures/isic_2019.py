"""A miniature of ISIC 2019's training and test sets.

Found:
- columns of ISIC_2019_Training_Metadata.csv and its first rows (blank age, site, sex and lesion; names that
  end in `_downsampled`): github.com/skin-lesion/ISIC @ 6cc60e70; of ISIC_2019_Training_GroundTruth.csv,
  one-hot as 0.0 and 1.0 in the order MEL NV BCC AK BKL DF VASC SCC UNK: users' copies and README on
  github.com;
- images ISIC_2019_Training_Input/<image>.jpg; ISIC_2019_Test_Input/, ISIC_2019_Test_Metadata.csv,
  ISIC_2019_Test_GroundTruth.csv: https://challenge.isic-archive.com/data/#2019 and users' code;
- lesions such as MSK4_0011169; the test set's lesions are not told: users' code on github.com;
- HAM10000 at 600 x 450, BCN_20000 at 1024 x 1024, MSK of many sizes; ages in steps of five:
  https://arxiv.org/abs/1910.03910.
Unverified: HAM_ and BCN_ before a lesion's number; order of the columns of the test metadata; score_weight
and validation_weight at the end of the test's ground truth.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.miniatures import drawing
from tests.miniatures.tables import write_rows
from tests.miniatures.truth import Picture, Truth

DIAGNOSES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
SIGNS = {
    "MEL": "melanoma",
    "NV": "nevus",
    "BCC": "basal cell",
    "AK": "keratotic",
    "SCC": "keratotic",
    "BKL": "other",
    "DF": "other",
    "VASC": "other",
}
SITES = (
    "anterior torso", "posterior torso", "lateral torso", "upper extremity", "lower extremity",
    "head/neck", "palms/soles", "oral/genital",
)  # fmt: skip
TRUTH_TABLE = "ISIC_2019_Training_GroundTruth.csv"
TEST_TRUTH_TABLE = "ISIC_2019_Test_GroundTruth.csv"
METADATA = "ISIC_2019_Training_Metadata.csv"


def write(folder: Path, *, patients: int, seed: int = 0, size: int = 96) -> Truth:
    """Write it.

    Args:
      folder: becomes the set's root.
      patients: lesions, since patients are not told; some lesions are not either: their image stands alone.
        The test set has a third as many images.
      seed: of everything random.
      size: height of a picture of HAM10000 in pixels.

    Returns:
      What a right reader finds in both sets. `patient` is the lesion, or the image where none is told.
    """
    rng = np.random.default_rng(seed)
    ground, metadata = [], []
    pictures: list[Picture] = []
    for lesion in range(patients):
        diagnosis = list(SIGNS)[lesion % len(SIGNS)]
        collection = ("HAM", "BCN", "MSK4", "")[lesion // len(SIGNS) % 4]
        name = f"{collection}_{lesion:07d}" if collection else ""
        about = [
            str(5 * rng.integers(1, 18)),
            str(rng.choice(SITES)),
            name,
            str(rng.choice(("male", "female"))),
        ]
        if not collection and lesion % 2:
            about = ["", "", "", ""]
        for _ in range(rng.integers(1, 4) if collection else 1):
            image = f"ISIC_{len(pictures):07d}{'' if collection else '_downsampled'}"
            ground.append([image, *("1.0" if diagnosis == other else "0.0" for other in DIAGNOSES)])
            metadata.append([image, *about])
            pictures.append(
                Picture(
                    path=f"ISIC_2019_Training_Input/{image}.jpg",
                    patient=name or image,
                    split="train",
                    labels=dict(zip(DIAGNOSES, ground[-1][1:], strict=True)),
                    attributes={"age_approx": about[0], "anatom_site_general": about[1], "sex": about[3]},
                    table=TRUTH_TABLE,
                    row=len(ground) + 1,
                )
            )
            shape = (size, size) if collection == "BCN" else (size, size * 4 // 3)
            draw(folder / pictures[-1].path, SIGNS[diagnosis], rng, shape)
    write_rows(folder / TRUTH_TABLE, [["image", *DIAGNOSES], *ground])
    columns = ["image", "age_approx", "anatom_site_general", "lesion_id", "sex"]
    write_rows(folder / METADATA, [columns, *metadata])
    pictures += write_test_set(folder, patients // 3, rng, size)
    return Truth(root=folder, pictures=tuple(pictures))


def draw(path: Path, kind: str, rng: np.random.Generator, shape: tuple[int, int]) -> None:
    """Write the picture as a colour JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(drawing.bytes_of(drawing.skin(kind, rng, *shape))).save(path, quality=90)


def write_test_set(folder: Path, images: int, rng: np.random.Generator, size: int) -> list[Picture]:
    """Write the test set, whose lesions are not told and which has a class that training lacks."""
    ground, metadata = [], []
    pictures: list[Picture] = []
    for number in range(images):
        diagnosis = DIAGNOSES[::-1][number % len(DIAGNOSES)]
        image = f"ISIC_{34321 + 7 * number:07d}"
        labels = dict.fromkeys(DIAGNOSES, "0.0") | {diagnosis: "1.0"}
        about = {
            "age_approx": str(5 * rng.integers(1, 18)),
            "anatom_site_general": "" if number % 5 == 1 else str(rng.choice(SITES)),
            "sex": str(rng.choice(("male", "female"))),
        }
        ground.append([image, *labels.values(), "1.0", "0.0"])
        metadata.append([image, *about.values()])
        pictures.append(
            Picture(
                path=f"ISIC_2019_Test_Input/{image}.jpg",
                patient=image,
                split="test",
                labels=labels,
                attributes=about,
                table=TEST_TRUTH_TABLE,
                row=len(ground) + 1,
            )
        )
        draw(folder / pictures[-1].path, SIGNS.get(diagnosis, "other"), rng, (size, size))
    weights = ["score_weight", "validation_weight"]
    write_rows(folder / TEST_TRUTH_TABLE, [["image", *DIAGNOSES, *weights], *ground])
    columns = ["image", "age_approx", "anatom_site_general", "sex"]
    write_rows(folder / "ISIC_2019_Test_Metadata.csv", [columns, *metadata])
    return pictures
