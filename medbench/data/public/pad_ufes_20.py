"""PAD-UFES-20: 2,298 photographs of skin lesions, taken with telephones in Brazil; how its table is read.

The one public set of the domain that tells patients and skin types; it has no split of its own.

Layout, columns and values:

- `metadata.csv`, 26 columns: `patient_id, lesion_id, smoke, drink, background_father, background_mother,
  age, pesticide, gender, skin_cancer_history, cancer_history, has_piped_water, has_sewage_system,
  fitspatrick, region, diameter_1, diameter_2, diagnostic, itch, grew, hurt, changed, bleed, elevation,
  img_id, biopsed`. A row begins `PAT_46,881`, has `FEMALE`, `3.0`, `BCC` and `PAT_46_881_14.png`; sex, skin
  type and more may be empty where no biopsy was made: https://pmc.ncbi.nlm.nih.gov/articles/PMC7479321 and
  https://github.com/labcin-ufes/PAD-UFES-20 (sanity_check.py).
- Diagnoses: https://data.mendeley.com/datasets/zr7vgbcyr2 (Bowen's disease is counted among SCC).
- Images in three archives, `imgs_part_1.zip` to `imgs_part_3.zip`, inside `images/`; unpacked they are met
  as `images/*.png`, `imgs_part_1/*.png` and `images/imgs_part_1/imgs_part_1/*.png`: all are found.
- Licence: https://github.com/Med-AI-Lab/polygon (PadUfes20.md). The size of the files is unverified.
"""

from pathlib import Path

from medbench.data.findings import Findings
from medbench.data.public.source import Source, SourceRows
from medbench.data.public.tables import Sheet, joined, noted, one_hot
from medbench.data.public.targets import DERMATOLOGY

DIAGNOSES = {
    "melanoma": ["MEL"],
    "nevus": ["NEV"],
    "basal-cell-carcinoma": ["BCC"],
    "actinic-or-squamous": ["ACK", "SCC"],
    "other": ["SEK"],
}
"""Class -> diagnoses; seborrheic keratosis is a benign keratosis, which is `other`."""

SKIN_TYPES = {"I-II": ["1", "2"], "III-IV": ["3", "4"], "V-VI": ["5", "6"], "": [""]}
"""Fitzpatrick's types in pairs, since few patients have the outer ones."""


def read(folder: Path, findings: Findings) -> SourceRows:
    """The images that metadata.csv lists, all of them to be dealt out by patient.

    Args:
      folder: with metadata.csv and the images.
      findings: takes what is wrong: a missing table or column, values that are not understood, rows twice.
    """
    parts = []
    with noted(findings):
        parts.append(_images(Sheet(SOURCE, folder / "metadata.csv", findings), folder))
    return joined(SOURCE, parts, findings)


def _images(sheet: Sheet, folder: Path) -> SourceRows:
    sheet.require("img_id", "patient_id", "diagnostic", "age", "gender", "fitspatrick")
    files = sheet.files_below([folder / "images", *sorted(folder.glob("imgs_part_*"))], ".png")
    return sheet.rows(
        folder,
        image=sheet.names("img_id"),
        path=lambda name: files.get(name, folder / "images" / name),
        patient=sheet.names("patient_id"),
        split=[""] * len(sheet.table),
        labels=one_hot(DERMATOLOGY.classes, sheet.values("diagnostic", DIAGNOSES)),
        attributes={
            "age": sheet.ages("age"),
            "sex": sheet.values("gender", {"female": ["FEMALE"], "male": ["MALE"], "": [""]}),
            "skin_type": sheet.values("fitspatrick", SKIN_TYPES),
        },
    )


SOURCE = Source(
    name="pad-ufes-20",
    title="PAD-UFES-20",
    domain="dermatology",
    target=DERMATOLOGY,
    attributes=("age", "sex", "skin_type"),
    images=2_298,
    patients=1_373,
    gigabytes=3.4,
    licence="CC BY 4.0: name its authors.",
    citation=(
        "Pacheco, A. G. C., Lima, G. R., Salomão, A. S. et al. PAD-UFES-20: A skin lesion dataset "
        "composed of patient data and clinical images collected from smartphones. Data in Brief 32, "
        "106221 (2020). doi:10.17632/zr7vgbcyr2.1"
    ),
    homepage="https://data.mendeley.com/datasets/zr7vgbcyr2/1",
    obtain="Download the set, unpack imgs_part_1.zip to imgs_part_3.zip, and keep metadata.csv beside them.",
    read=read,
    shifts_from=("isic-2019",),
    warnings=(
        (
            "Sex and skin type are recorded for patients with a biopsy only, who have cancer far more "
            "often than the rest: sub-groups are not those of the whole set."
        ),
        (
            "Few of its 1,373 patients have a melanoma, and few the skin types V and VI: intervals there "
            "are wide."
        ),
    ),
)
