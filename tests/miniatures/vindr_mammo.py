"""A miniature of VinDr-Mammo 1.0.0 (PhysioNet).

Found:
- 5,000 exams of four views, each breast with BI-RADS and density, 4,000 exams to train and 1,000 to test:
  https://physionet.org/content/vindr-mammo/1.0.0/ and https://www.nature.com/articles/s41597-023-02100-7;
- images/<study_id>/<image_id>.dicom, breast-level_annotations.csv, finding_annotations.csv, metadata.csv:
  READMEs and code on github.com;
- cells `BI-RADS 1` to `BI-RADS 5`, `DENSITY A` to `DENSITY D`, `L`/`R`, `CC`/`MLO`, `training`/`test`, both
  views of a breast alike, one study a patient: code on github.com that checked them; finding_categories as
  a Python list in text, `['No Finding']` where there is none;
- column names of metadata.csv, with an apostrophe (`Patient's Age`, `Manufacturer's Model Name`), its key
  `SOP Instance UID` being the image_id, ages as 053Y and sometimes missing: code on github.com, and a
  listing of the columns in the documentation of a tool that checks cohorts' metadata for completeness,
  where pandas calls the third `SOP Instance UID.1`.
Unverified: the order of columns of all three tables; height and width in them; that the name of
metadata.csv's third column is the first's again; manufacturers' spellings; which age cells are blank;
MONOCHROME1; that the files are little endian without compression but for some in JPEG 2000; a second
window.
"""

import hashlib
from pathlib import Path

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from tests.miniatures import dicoms, drawing
from tests.miniatures.tables import write_rows
from tests.miniatures.truth import Picture, Truth

BREAST_TABLE = "breast-level_annotations.csv"
BREAST_COLUMNS = (
    "study_id", "series_id", "image_id", "laterality", "view_position", "height", "width",
    "breast_birads", "breast_density", "split",
)  # fmt: skip
FINDING_COLUMNS = (
    *BREAST_COLUMNS[:9], "finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax",
    "split",
)  # fmt: skip
METADATA_COLUMNS = (
    "SOP Instance UID", "Series Instance UID", "SOP Instance UID", "Patient's Age", "View Position",
    "Image Laterality", "Photometric Interpretation", "Rows", "Columns", "Imager Pixel Spacing",
    "Pixel Spacing", "Pixel Padding Value", "Pixel Padding Range Limit", "Window Center", "Window Width",
    "Rescale Intercept", "Rescale Slope", "Rescale Type", "Window Center & Width Explanation", "Manufacturer",
    "Manufacturer's Model Name",
)  # fmt: skip
MACHINES = (
    ("SIEMENS", "Mammomat Inspiration", ImplicitVRLittleEndian, 12, "MONOCHROME2"),
    ("SIEMENS", "Mammomat Inspiration", ExplicitVRLittleEndian, 12, "MONOCHROME2"),
    ("IMS s.r.l.", "GIOTTO CLASS", ImplicitVRLittleEndian, 14, "MONOCHROME2"),
    ("Planmed", "Planmed Nuance", JPEG2000Lossless, 12, "MONOCHROME1"),
)
"""Manufacturer, model, transfer syntax, bits stored, photometric interpretation."""
DENSITIES = {"DENSITY A": 0.0, "DENSITY B": 0.3, "DENSITY C": 0.6, "DENSITY D": 1.0}


def write(folder: Path, *, patients: int, seed: int = 0, size: int = 96) -> Truth:
    """Write it.

    Args:
      folder: becomes the set's root.
      patients: exams of four images; one in five is in test.
      seed: of everything random.
      size: width of a mammogram in pixels; it is a quarter higher.

    Returns:
      What a right reader finds.
    """
    rng = np.random.default_rng(seed)
    breasts, findings, metadata = [], [], []
    pictures: list[Picture] = []
    for patient in range(patients):
        study = name_of("study", seed, patient)
        series = name_of("series", seed, patient)
        machine = MACHINES[patient % len(MACHINES)]
        age = "" if patient % 6 == 4 else f"{rng.integers(30, 85):03d}Y"
        for side in ("L", "R"):
            birads = f"BI-RADS {rng.choice(5, p=(0.35, 0.15, 0.1, 0.25, 0.15)) + 1}"
            density = str(rng.choice(list(DENSITIES)))
            for view in ("CC", "MLO"):
                image = name_of("image", seed, patient, side, view)
                split = "test" if patient % 5 == 2 else "training"
                shape = str(size * 5 // 4), str(size)
                row = [study, series, image, side, view, *shape, birads, density, split]
                breasts.append(row)
                picture = picture_of(row, len(breasts) + 1, age, machine)
                pictures.append(picture)
                draw(folder / picture.path, picture, rng, size)
                findings.append([*row[:9], *finding(birads, size), split])
                metadata.append(about(picture, image, series, shape))
    write_rows(folder / BREAST_TABLE, [BREAST_COLUMNS, *breasts])
    write_rows(folder / "finding_annotations.csv", [FINDING_COLUMNS, *findings])
    write_rows(folder / "metadata.csv", [METADATA_COLUMNS, *metadata])
    return Truth(root=folder, pictures=tuple(pictures))


def name_of(*parts: object) -> str:
    """32 hexadecimal digits, as the set's names are."""
    return hashlib.md5(repr(parts).encode(), usedforsecurity=False).hexdigest()


def picture_of(row: list[str], number: int, age: str, machine: tuple[str, str, str, int, str]) -> Picture:
    """What the tables say of an image."""
    cells = dict(zip(BREAST_COLUMNS, row, strict=True))
    manufacturer, model, syntax, bits, photometric = machine
    return Picture(
        path=f"images/{cells['study_id']}/{cells['image_id']}.dicom",
        patient=cells["study_id"],
        split=cells["split"],
        labels={"breast_birads": cells["breast_birads"]},
        attributes={column: cells[column] for column in ("laterality", "view_position", "breast_density")}
        | {"Patient's Age": age, "Manufacturer": manufacturer, "Manufacturer's Model Name": model},
        table=BREAST_TABLE,
        row=number,
        facts={
            "wall": {"L": "left", "R": "right"}[cells["laterality"]],
            "syntax": syntax,
            "bits": str(bits),
            "photometric": photometric,
        },
    )


def suspicious(birads: str) -> bool:
    """Whether a mass is drawn."""
    return birads in {"BI-RADS 4", "BI-RADS 5"}


def finding(birads: str, size: int) -> list[str]:
    """Categories, BI-RADS and box of the finding in an image."""
    if not suspicious(birads):
        return ["['No Finding']", "", "", "", "", ""]
    return ["['Mass']", birads, "0.0", "0.0", f"{size / 2}", f"{size / 2}"]


def about(picture: Picture, image: str, series: str, shape: tuple[str, str]) -> list[str]:
    """The row of metadata.csv, in the order of its columns."""
    attributes, facts = picture.attributes, picture.facts
    window = str(2 ** (int(facts["bits"]) - 1)), str(2 ** int(facts["bits"]))
    return [
        image, series, image, attributes["Patient's Age"], attributes["view_position"],
        attributes["laterality"], facts["photometric"], *shape, "[0.085, 0.085]", "", "", "", *window,
        "0", "1", "US", "", attributes["Manufacturer"], attributes["Manufacturer's Model Name"],
    ]  # fmt: skip


def draw(path: Path, picture: Picture, rng: np.random.Generator, size: int) -> None:
    """Write the mammogram with the tags that de-identification left."""
    facts, attributes = picture.facts, picture.attributes
    film = drawing.breast(
        rng,
        size * 5 // 4,
        size,
        wall=facts["wall"],
        density=DENSITIES[attributes["breast_density"]],
        mass=suspicious(picture.labels["breast_birads"]),
    )
    bits = int(facts["bits"])
    tags = {
        "ImageLaterality": attributes["laterality"],
        "ViewPosition": attributes["view_position"],
        "Manufacturer": attributes["Manufacturer"],
        "ManufacturerModelName": attributes["Manufacturer's Model Name"],
        "WindowCenter": [2 ** (bits - 1), 2 ** (bits - 2)],
        "WindowWidth": [2**bits, 2 ** (bits - 1)],
        "RescaleIntercept": 0,
        "RescaleSlope": 1,
    }
    if attributes["Patient's Age"]:
        tags["PatientAge"] = attributes["Patient's Age"]
    header = dicoms.mammogram(path.stem, tags)
    dicoms.set_pixels(header, film, bits=bits, photometric=facts["photometric"])
    dicoms.save(header, path, facts["syntax"])
