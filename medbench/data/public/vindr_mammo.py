"""VinDr-Mammo: 5,000 four-view mammography exams of two hospitals in Hanoi, BI-RADS and density per breast.

The publisher's own split; BI-RADS 4 and 5, the readers' suspicion, are taken for malignant.

Layout, columns and values:

- `breast-level_annotations.csv` with `study_id, series_id, image_id, laterality, view_position, height,
  width, breast_birads, breast_density, split`, and `images/<study_id>/<image_id>.dicom`; `BI-RADS 1` to
  `BI-RADS 5`, `DENSITY A` to `DENSITY D`, `training` and `test`:
  https://physionet.org/content/vindr-mammo/1.0.0/, the authors' code (split_data.ipynb) at
  https://github.com/vinbigdata-medical/vindr-mammo and its reader (src/datasets/mammo/vindr.py) in
  https://github.com/rajpurkarlab/BenchMD.
- `metadata.csv` has age and manufacturer, one row an image: `SOP Instance UID` (the image_id, a column that
  is there twice), `Patient's Age`, `Manufacturer` and others. All its columns, its 20,000 rows and the four
  makers `SIEMENS`, `Planmed`, `IMS s.r.l.` and `IMS GIOTTO S.p.A.` are printed in the examples of
  https://github.com/DIDSR/DataCard-Metadata. That ages are written as DICOM does (`053Y`, PS3.5 6.2), and
  that some are empty or 0, is unverified; plain years are read too.
- No patient's id is kept or hashed (deidentification.py and tags.csv of the authors' code), and
  https://www.nature.com/articles/s41597-023-02100-7 speaks of exams only: the exam is the most that is known.
- `finding_annotations.csv` has boxes of lesions and is not needed.
- The terms are from memory, and 338 GB is what one user notes (both unverified).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from medbench.data.cohort import ID, TRAIN
from medbench.data.declaration import AGE_BINS
from medbench.data.findings import Findings, counted
from medbench.data.public.breasts import LATERALITY, refuse_contradictions
from medbench.data.public.source import Source, SourceRows
from medbench.data.public.tables import OLDEST, Sheet, joined, noted, one_hot
from medbench.data.public.targets import MAMMOGRAPHY
from medbench.data.rows import band, is_number

_BIRADS = {
    "not malignant": [f"BI-RADS {grade}" for grade in (1, 2, 3)],
    "malignant": [f"BI-RADS {grade}" for grade in (4, 5)],
}
_DENSITY = {"": [""], **{letter.lower(): [f"DENSITY {letter}"] for letter in "ABCD"}}


def read(folder: Path, findings: Findings) -> SourceRows:
    """The mammograms that breast-level_annotations.csv lists, with age and vendor from metadata.csv.

    Args:
      folder: with both tables and images/, as downloaded from PhysioNet.
      findings: takes what is wrong: missing tables and columns, values that are not understood, images twice,
        breasts with two labels, exams in two splits.

    Returns:
      `train` and `id`, as published; an exam stands for a patient.
    """
    parts, scans = [], None
    with noted(findings):
        scans = _scans(Sheet(SOURCE, folder / "metadata.csv", findings))
    with noted(findings):
        sheet = Sheet(SOURCE, folder / "breast-level_annotations.csv", findings)
        if scans is not None:
            parts.append(_mammograms(sheet, scans, folder, findings))
    return joined(SOURCE, parts, findings)


def _scans(sheet: Sheet) -> dict[str, tuple[str, str]]:
    """Image -> band of age and vendor."""
    sheet.require("SOP Instance UID", "Patient's Age", "Manufacturer")
    ages = sheet.understood("Patient's Age", _age, lambda _: "Expected years, such as `053Y`.")
    vendors = sheet.understood("Manufacturer", _vendor, lambda _: "Expected a maker's name.")
    return {image: (ages[i], vendors[i]) for image, i in sheet.positions("SOP Instance UID").items()}


def _age(cell: str) -> str | None:
    years = cell.removesuffix("Y")
    if not cell:
        return ""
    if not is_number(years) or not 0 <= float(years) <= OLDEST:
        return None
    return band(float(years), AGE_BINS) if float(years) else ""


def _vendor(cell: str) -> str | None:
    """The first word of a maker's name, so that `IMS s.r.l.` and `IMS GIOTTO S.p.A.` are one."""
    word = re.match(r"[A-Za-z]+", cell)
    return word[0].lower() if word else (None if cell else "")


def _mammograms(
    sheet: Sheet, scans: dict[str, tuple[str, str]], folder: Path, findings: Findings
) -> SourceRows:
    sheet.require(
        *("study_id", "image_id", "laterality", "view_position", "breast_birads", "breast_density", "split")
    )
    exam, image = sheet.names("study_id"), sheet.names("image_id")
    laterality = sheet.values("laterality", LATERALITY)
    suspicion = sheet.values("breast_birads", _BIRADS)
    split = sheet.values("split", {TRAIN: ["training"], ID: ["test"]})
    refuse_contradictions(sheet, [exam, laterality], suspicion, "a breast is suspicious and not suspicious")
    refuse_contradictions(sheet, [exam], split, "an exam is in both splits")
    _warn_of_unknown_scans(sheet, image, scans, findings)
    files = {i: folder / "images" / e / f"{i}.dicom" for i, e in zip(image, exam, strict=True)}
    return sheet.rows(
        folder,
        image=image,
        path=files.__getitem__,
        patient=exam,
        split=split,
        labels=one_hot(MAMMOGRAPHY.classes, suspicion),
        attributes={
            "laterality": laterality,
            "view": sheet.values("view_position", {view: [view] for view in ("CC", "MLO")}),
            "age": [scans.get(i, ("", ""))[0] for i in image],
            "density": sheet.values("breast_density", _DENSITY),
            "vendor": [scans.get(i, ("", ""))[1] for i in image],
        },
    )


def _warn_of_unknown_scans(
    sheet: Sheet, image: Sequence[str], scans: dict[str, tuple[str, str]], findings: Findings
) -> None:
    unknown = sum(i not in scans for i in image)
    if unknown:
        findings.warn(
            f"{sheet.table.file}: {counted(unknown, 'image')} without a row in metadata.csv: age and vendor "
            "are taken for not recorded."
        )


SOURCE = Source(
    name="vindr-mammo",
    title="VinDr-Mammo 1.0.0",
    domain="mammography",
    target=MAMMOGRAPHY,
    attributes=("laterality", "view", "age", "density", "vendor"),
    images=20_000,
    patients=5_000,
    gigabytes=338,
    licence=(
        "PhysioNet Restricted Health Data License, with a data use agreement to be signed: for research, no "
        "sharing, no attempt to identify anybody."
    ),
    citation=(
        "Nguyen, H. T., Nguyen, H. Q., Pham, H. H., Lam, K., Le, L. T., Dao, M., Vu, V. VinDr-Mammo: A "
        "large-scale benchmark dataset for computer-aided diagnosis in full-field digital mammography. "
        "Scientific Data 10, 277 (2023). doi:10.1038/s41597-023-02100-7. Data: doi:10.13026/br2v-7517"
    ),
    homepage="https://physionet.org/content/vindr-mammo/1.0.0/",
    obtain=(
        "Sign PhysioNet's data use agreement, fetch vindr-mammo/1.0.0 with wget as its page says, and name "
        "the folder that holds breast-level_annotations.csv, metadata.csv and images/."
    ),
    read=read,
    cluster="exam",
    shifts_from=("rsna-2022",),
    reading="mammogram",
    warnings=(
        "Malignant means that the readers gave BI-RADS 4 or 5: their suspicion, and no pathology.",
        (
            "Patients are not published; every exam stands for one. Exams of one patient may be in training "
            "and test, and intervals may come out too narrow."
        ),
    ),
)
