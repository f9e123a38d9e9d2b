"""RSNA 2022: screening mammograms of two sites, with cancer or not per breast.

The site is the shift: patients of site 1 train and are evaluated, all of site 2 are a set of their own.

Layout, columns and values:

- `train.csv` with `site_id, patient_id, image_id, laterality, view, age, cancer, biopsy, invasive, BIRADS,
  implant, density, machine_id, difficult_negative_case`, and `train_images/<patient_id>/<image_id>.dcm`;
  what the columns mean, and the terms of use: https://github.com/RSNA/AI-Challenge-Data/wiki (RSNA Screening
  Mammography Breast Cancer Detection) and
  https://www.kaggle.com/competitions/rsna-breast-cancer-detection/data.
- `L` and `R`; ages such as `61.0`, 37 of them empty; density `A` to `D`, empty in 25,236 rows, about as many
  as site 2 has; 10 machines; the views `CC`, `MLO` and a few `ML`, `LM`, `LMO` and `AT`: notebooks that print
  the table, such as https://github.com/Durys/Kaggle_RSNA_Breast_Cancer_Detection.
- 54,706 images of 11,913 patients, 5,818 at site 1 and 6,095 at site 2: nobody is at both.
- The competition's test set was never given out. About 315 GB (unverified: from memory).
"""

from pathlib import Path

from medbench.data.findings import Findings
from medbench.data.public.breasts import LATERALITY, refuse_contradictions
from medbench.data.public.source import Source, SourceRows
from medbench.data.public.tables import Sheet, joined, noted, one_hot
from medbench.data.public.targets import MAMMOGRAPHY

SITE_2 = "site-2"


def read(folder: Path, findings: Findings) -> SourceRows:
    """The mammograms that train.csv lists.

    Args:
      folder: with train.csv and train_images/, as unpacked from Kaggle.
      findings: takes what is wrong: the missing table, columns, values that are not understood, images twice,
        breasts with two labels, patients at two sites.

    Returns:
      `site-2` for the patients of site 2; those of site 1 are not divided.
    """
    parts = []
    with noted(findings):
        parts.append(_mammograms(Sheet(SOURCE, folder / "train.csv", findings), folder))
    return joined(SOURCE, parts, findings)


def _mammograms(sheet: Sheet, folder: Path) -> SourceRows:
    sheet.require(
        *("site_id", "patient_id", "image_id", "laterality", "view", "age", "cancer", "implant", "density"),
        "machine_id",
    )
    patient, image = sheet.names("patient_id"), sheet.names("image_id")
    split = sheet.values("site_id", {"site-1": ["1"], SITE_2: ["2"]})
    laterality = sheet.values("laterality", LATERALITY)
    cancer = sheet.values("cancer", {"malignant": ["1"], "not malignant": ["0"]})
    refuse_contradictions(sheet, [patient, laterality], cancer, "a breast is said to have cancer and not to")
    refuse_contradictions(sheet, [patient], split, "a patient is at two sites")
    files = {i: folder / "train_images" / p / f"{i}.dcm" for i, p in zip(image, patient, strict=True)}
    return sheet.rows(
        folder,
        image=image,
        path=files.__getitem__,
        patient=patient,
        split=[site if site == SITE_2 else "" for site in split],
        labels=one_hot(MAMMOGRAPHY.classes, cancer),
        attributes={
            "laterality": laterality,
            "view": sheet.values("view", {view: [view] for view in ("CC", "MLO", "ML", "LM", "LMO", "AT")}),
            "age": sheet.ages("age"),
            "density": sheet.values("density", {"": [""], **{d.lower(): [d] for d in "ABCD"}}),
            "machine": sheet["machine_id"],
            "implant": sheet.values("implant", {"no": ["0"], "yes": ["1"]}),
        },
    )


SOURCE = Source(
    name="rsna-2022",
    title="RSNA Screening Mammography Breast Cancer Detection (2022)",
    domain="mammography",
    target=MAMMOGRAPHY,
    attributes=("laterality", "view", "age", "density", "machine", "implant"),
    images=54_706,
    patients=11_913,
    gigabytes=315,
    licence=(
        "RSNA's terms: non-commercial use only, research and teaching included; no attempt to identify or to "
        "contact anybody."
    ),
    citation=(
        "Carr, C., Kitamura, F., Partridge, G. and others. RSNA Screening Mammography Breast Cancer "
        "Detection. Kaggle, 2022."
    ),
    homepage="https://www.kaggle.com/competitions/rsna-breast-cancer-detection",
    obtain=(
        "Join the competition at Kaggle, `kaggle competitions download rsna-breast-cancer-detection`, and "
        "keep train.csv and train_images/ of the archive."
    ),
    read=read,
    own_shifts=(SITE_2,),
    shifts_from=("vindr-mammo",),
    reading="mammogram",
    warnings=(
        (
            "The competition's test set is not public: patients of site 1 are dealt out anew, and results "
            "cannot be compared with its leaderboard."
        ),
        "Density is hardly recorded at site 2, so that it makes no sub-groups there.",
        "About 2 % of the images are positive: expect wide intervals.",
    ),
)
