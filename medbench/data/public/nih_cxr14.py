"""NIH ChestX-ray14: 112,120 frontal chest films of the NIH Clinical Center; how its tables are read.

The five findings that CheXpert has too, and the publisher's own lists of patients for training and test.

Layout, columns and values:

- `Data_Entry_2017.csv`, in the newer release `Data_Entry_2017_v2020.csv`, with `Image Index, Finding
  Labels, Follow-up #, Patient ID, Patient Age, Patient Gender, View Position, OriginalImage[Width, Height],
  OriginalImagePixelSpacing[x, y]`: the last four are the pieces of two names that hold a comma, and a comma
  ends each line; the newer release says `Patient Sex`. https://www.kaggle.com/datasets/nih-chest-xrays/data
  and https://nihcc.app.box.com/v/ChestXray-NIHCC, as public code quotes them.
- Findings are separated by `|`; the fifteen words:
  https://huggingface.co/datasets/alkzar90/NIH-Chest-X-ray-dataset.
- `train_val_list.txt` and `test_list.txt`, one file name a line (also met as `…_list_NIH.txt`).
- `images_001/images/*.png` to `images_012/images/*.png` at Kaggle; the NIH's own archives fill one
  `images/`.
- Ages up to 414 are mistakes of the table (unverified: from memory).
- Terms: https://cloud.google.com/healthcare-api/docs/resources/public-datasets/nih-chest
"""

import re
from pathlib import Path

import numpy as np

from medbench.data.cohort import ID, TRAIN
from medbench.data.findings import Findings, counted
from medbench.data.public.source import Source, SourceRows
from medbench.data.public.tables import Sheet, first_there, joined, missing, noted
from medbench.data.public.targets import CHEST
from medbench.errors import MedbenchError, nearest
from medbench.spec.loader import shown

FINDINGS = dict(
    zip(CHEST.classes, ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion"), strict=True)
)
"""Class -> the word for it."""

WORDS = {
    *FINDINGS.values(),
    *("Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax", "Emphysema", "Fibrosis", "Hernia"),
    *("Pleural_Thickening", "No Finding"),
}

_TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_LISTS = {
    TRAIN: ("train_val_list.txt", "train_val_list_NIH.txt"),
    ID: ("test_list.txt", "test_list_NIH.txt"),
}
_IMAGES = re.compile(r"images(_\d+)?")


def read(folder: Path, findings: Findings) -> SourceRows:
    """The films that the table lists.

    Args:
      folder: with the table, the two lists and the films as published.
      findings: takes what is wrong: missing files and columns, values that are not understood, rows twice.

    Returns:
      `train` for the films of train_val_list.txt, `id` for those of test_list.txt.
    """
    listed: dict[str, list[str]] = {}
    parts = []
    for split, names in _LISTS.items():
        with noted(findings):
            listed[split] = _lines(first_there([folder / name for name in names]))
    with noted(findings):
        sheet = Sheet(SOURCE, first_there([folder / name for name in _TABLES]), findings)
        if len(listed) == len(_LISTS):
            parts.append(_films(sheet, listed, folder, findings))
    return joined(SOURCE, parts, findings)


def _films(sheet: Sheet, listed: dict[str, list[str]], folder: Path, findings: Findings) -> SourceRows:
    sex = "Patient Sex" if "Patient Sex" in sheet else "Patient Gender"
    sheet.require("Image Index", "Finding Labels", "Patient ID", "Patient Age", sex, "View Position")
    cells = sheet.understood("Finding Labels", _known, _hint)
    words = {cell: set(cell.split("|")) for cell in set(cells)}
    present = {cell: [word in words[cell] for word in FINDINGS.values()] for cell in words}
    files = sheet.files_below(sorted(p for p in folder.iterdir() if _IMAGES.fullmatch(p.name)), ".png")
    split = _split(sheet, listed, findings)
    return sheet.rows(
        folder,
        image=sheet.names("Image Index"),
        path=lambda name: files.get(name, folder / "images" / name),
        patient=sheet.names("Patient ID"),
        split=split,
        labels=np.array([present[cell] for cell in cells], dtype=np.int8),
        attributes={
            "age": sheet.ages("Patient Age"),
            "sex": sheet.values(sex, {"female": ["F"], "male": ["M"], "": [""]}),
            "view": sheet.values("View Position", {"AP": ["AP"], "PA": ["PA"], "": [""]}),
        },
    )


def _known(cell: str) -> str | None:
    return cell if set(cell.split("|")) <= WORDS else None


def _hint(cell: str) -> str:
    wrong = next(word for word in cell.split("|") if word not in WORDS)
    return nearest(wrong, WORDS)


def _split(sheet: Sheet, listed: dict[str, list[str]], findings: Findings) -> list[str]:
    """The set of each film; one that neither list names, or both, is an error."""
    image = sheet["Image Index"]
    train, test = (set(listed[split]) for split in (TRAIN, ID))
    lists = " and ".join(names[0] for names in _LISTS.values())
    advice = "Fetch the lists anew: they are the publisher's own and complete."
    sheet.refuse([i in train and i in test for i in image], f"the film is in both {lists}", advice)
    sheet.refuse([i not in train and i not in test for i in image], f"the film is in none of {lists}", advice)
    absent = len((train | test) - set(image))
    if absent:
        findings.warn(f"{sheet.table.file}: {counted(absent, 'film')} of {lists} without a row there.")
    return [ID if i in test else TRAIN for i in image]


def _lines(path: Path) -> list[str]:
    """The file names of a list."""
    if not path.exists():
        raise missing(SOURCE, path)
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise MedbenchError(f"{shown(path)}: not a list of file names ({error}). Fetch it anew.") from error


SOURCE = Source(
    name="nih-cxr14",
    title="NIH ChestX-ray14",
    domain="chest",
    target=CHEST,
    attributes=("age", "sex", "view"),
    images=112_120,
    patients=30_805,
    gigabytes=45,
    licence=(
        "no restrictions on use; link to the NIH download site, cite the CVPR 2017 paper, and name the "
        "NIH Clinical Center as the provider."
    ),
    citation=(
        "Wang, X., Peng, Y., Lu, L., Lu, Z., Bagheri, M., Summers, R. M. ChestX-ray8: Hospital-scale "
        "Chest X-ray Database and Benchmarks on Weakly-Supervised Classification and Localization of "
        "Common Thorax Diseases. IEEE CVPR 2017, 3462-3471. arXiv:1705.02315"
    ),
    homepage="https://nihcc.app.box.com/v/ChestXray-NIHCC",
    obtain=(
        "Download Data_Entry_2017_v2020.csv, train_val_list.txt, test_list.txt and the twelve archives of "
        "films (or all of it from Kaggle, nih-chest-xrays/data), and unpack the archives beside the "
        "tables, into images/ or images_001/ to images_012/."
    ),
    read=read,
    shifts_from=("chexpert",),
    warnings=(
        (
            "All labels, those of the test set too, come from reports by text mining; their publisher "
            "expects more than nine in ten to be right."
        ),
        "Ages above 120 are mistakes of the table and are taken for not recorded.",
    ),
)
