"""ISIC 2019: 25,331 dermoscopic images of eight diagnoses from three archives; how its tables are read.

Two archives train and test, and HAM10000, the third, is a shift: other hospitals, cameras and cropping.

Layout, columns and values:

- `ISIC_2019_Training_GroundTruth.csv`: `image, MEL, NV, BCC, AK, BKL, DF, VASC, SCC, UNK`, one `1.0` a row;
  `ISIC_2019_Training_Metadata.csv`: `image, age_approx, anatom_site_general, lesion_id, sex`; images
  `ISIC_2019_Training_Input/ISIC_0000000.jpg`, some called `…_downsampled.jpg` in the tables too:
  https://challenge.isic-archive.com/data/#2019, the tables in https://github.com/skin-lesion/ISIC.
- A lesion is called `HAM_0000118`, `BCN_0001649` or `MSK4_0010041`; 2,084 images have none, and the other
  23,247 are of 11,847 lesions (counted by public code that audits the table).
- The test set (`ISIC_2019_Test_Input`, `…_Test_GroundTruth.csv`, `…_Test_Metadata.csv` without `lesion_id`)
  was released later, 8,238 images, at https://isic-challenge-data.s3.amazonaws.com/2019/. It has a ninth
  class, `UNK`, that training never shows, and was made to differ from training (Combalia et al. 2022,
  https://pmc.ncbi.nlm.nih.gov/articles/PMC9295694): a shift again, where it is there.
- Who made the archives: https://github.com/antonioscardace/ISIC-2019-v2 (docs/credits.txt).
- The licence is what copies of the set state; that its publisher does is unverified. So is that an older
  table calls the column of the sex `gender`.

Why HAM10000 is kept out of training: no patients are published, so that between images of one archive a
patient may be in training and test. The hospitals of HAM10000, in Vienna and Queensland, are others than
those of the rest, in Barcelona and New York above all. The price is two fifths of the images.
"""

from pathlib import Path

import numpy as np

from medbench.data.findings import Findings
from medbench.data.public.source import Source, SourceRows
from medbench.data.public.tables import Sheet, joined, noted, one_hot
from medbench.data.public.targets import DERMATOLOGY

CLASSES = {
    "MEL": "melanoma",
    "NV": "nevus",
    "BCC": "basal-cell-carcinoma",
    "AK": "actinic-or-squamous",
    "BKL": "other",
    "DF": "other",
    "VASC": "other",
    "SCC": "actinic-or-squamous",
    "UNK": "other",
}
"""Column -> class; what PAD-UFES-20 does not tell apart is `other`, as is the test set's unknown."""

ARCHIVES = {"HAM": "ham10000", "BCN": "bcn20000", "MSK": "msk"}
"""How the ids of an archive's lesions begin -> its name."""

HAM10000, CHALLENGE_TEST = "ham10000", "challenge-test"


def read(folder: Path, findings: Findings) -> SourceRows:
    """The images that the tables list, of the test set too where it is there.

    Args:
      folder: with the tables and `ISIC_2019_Training_Input` as published.
      findings: takes what is wrong: missing tables and columns, values that are not understood, rows twice.

    Returns:
      Lesions to be dealt out, the shift `ham10000`, and `challenge-test` where its tables are there.
    """
    parts = []
    with noted(findings):
        parts.append(_images(folder, "Training", findings))
    if (folder / "ISIC_2019_Test_GroundTruth.csv").exists():
        with noted(findings):
            parts.append(_images(folder, "Test", findings))
    return joined(SOURCE, parts, findings)


def _images(folder: Path, part: str, findings: Findings) -> SourceRows:
    """The images of `Training` or `Test`: diagnoses from one table, what else is known from the other."""
    truth = Sheet(SOURCE, folder / f"ISIC_2019_{part}_GroundTruth.csv", findings)
    facts = Sheet(SOURCE, folder / f"ISIC_2019_{part}_Metadata.csv", findings)
    lesions_told = part == "Training"
    sex = "gender" if "gender" in facts else "sex"
    truth.require("image", *CLASSES)
    facts.require("image", "age_approx", sex, *(["lesion_id"] if lesions_told else []))
    image = truth.names("image")
    row_of = facts.positions("image")
    _require_same(truth, facts)

    def told(values: list[str]) -> list[str]:
        """From the rows of the metadata to those of the ground truth."""
        return [values[row_of[name]] if name in row_of else "" for name in image]

    lesion = told(facts["lesion_id"]) if lesions_told else [""] * len(image)
    archive = told(facts.understood("lesion_id", _archive, _hint, ids=True)) if lesions_told else lesion
    files = truth.files_below([folder / f"ISIC_2019_{part}_Input"], ".jpg")
    return truth.rows(
        folder,
        image=image,
        path=lambda name: files.get(f"{name}.jpg", folder / f"ISIC_2019_{part}_Input" / f"{name}.jpg"),
        patient=[known or name for known, name in zip(lesion, image, strict=True)],
        split=[_split(name) for name in archive] if lesions_told else [CHALLENGE_TEST] * len(image),
        labels=one_hot(DERMATOLOGY.classes, _classes(truth)),
        attributes={
            "age": told(facts.ages("age_approx")),
            "sex": told(facts.values(sex, {"female": ["female"], "male": ["male"], "": [""]})),
            "archive": archive,
        },
    )


def _require_same(truth: Sheet, facts: Sheet) -> None:
    """Both tables are of the same images."""
    for sheet, other in ((truth, facts), (facts, truth)):
        others = set(other["image"])
        sheet.refuse(
            [name not in others for name in sheet["image"]],
            f"the image has no row in {other.table.file}",
            "Fetch both tables anew.",
        )


def _classes(truth: Sheet) -> list[str]:
    """The class of each row; "" with an error where it is not exactly one."""
    given = np.array([truth.values(column, {"yes": ["1"], "no": ["0"]}) for column in CLASSES]) == "yes"
    several = truth.usable & (given.sum(axis=0) != 1)
    truth.refuse(several, "no diagnosis, or more than one,", "Exactly one cell of a row is 1.")
    names = list(CLASSES.values())
    return [names[i] if single else "" for i, single in zip(given.argmax(axis=0), ~several, strict=True)]


def _archive(lesion: str) -> str | None:
    return ARCHIVES.get(lesion.partition("_")[0].rstrip("0123456789")) if lesion else ""


def _hint(_: str) -> str:
    return f"Expected ids that begin with {', '.join(ARCHIVES)}."


def _split(archive: str) -> str:
    return archive if archive == HAM10000 else ""


SOURCE = Source(
    name="isic-2019",
    title="ISIC 2019",
    domain="dermatology",
    target=DERMATOLOGY,
    attributes=("age", "sex", "archive"),
    images=25_331,
    patients=13_931,
    gigabytes=9,
    licence="CC BY-NC 4.0: name the archives, no commercial use.",
    citation=(
        "Tschandl, P., Rosendahl, C., Kittler, H. The HAM10000 dataset. Sci. Data 5, 180161 (2018); "
        "Codella, N. et al. arXiv:1710.05006; Combalia, M. et al. BCN20000: Dermoscopic Lesions in the "
        "Wild. arXiv:1908.02288"
    ),
    homepage="https://challenge.isic-archive.com/data/#2019",
    obtain=(
        "Download ISIC_2019_Training_Input.zip, ISIC_2019_Training_GroundTruth.csv and "
        "ISIC_2019_Training_Metadata.csv, and unpack the images beside the tables; the same three files "
        "of the test set are welcome."
    ),
    read=read,
    cluster="lesion",
    own_shifts=(HAM10000, CHALLENGE_TEST),
    shifts_from=("pad-ufes-20",),
    warnings=(
        (
            "No patients are published: lesions stand in for them, and an image without a lesion for "
            "itself, so that images of one patient may be in training and test, and intervals may come "
            "out too narrow."
        ),
        "HAM10000 is not trained on: it is the shift `ham10000`, since it comes from other hospitals.",
        (
            "The shift `challenge-test` has diagnoses that training never shows (class `other`), and neither "
            "its lesions nor its patients are published."
        ),
    ),
)
