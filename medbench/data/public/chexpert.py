"""CheXpert: 224,316 chest films of Stanford Hospital, labelled from their reports; how its tables are read.

Frontal films only, the five findings of its competition, the publisher's own split.

Layout, columns and values:

- `train.csv` and `valid.csv` with `Path, Sex, Age, Frontal/Lateral, AP/PA` and 14 findings; cells `1.0`,
  `0.0`, `-1.0` or empty in `train.csv`, and `1.0` or `0.0` in `valid.csv`, which three radiologists
  labelled: https://huggingface.co/datasets/danjacobellis/chexpert and
  https://github.com/rajpurkarlab/cheXlocalize (sample/valid.csv).
- `Path` begins with `CheXpert-v1.0/` or `CheXpert-v1.0-small/`, and an age of 0 is none:
  https://github.com/mlmed/torchxrayvision (datasets.py, CheX_Dataset).
- The archives of the full resolution are called `CheXpert-v1.0 batch 1 (validate & csv)`, `… batch 2 (train
  1)` to `… batch 4 (train 3)`. Public code that unpacks them knows one `CheXpert-v1.0` that all of them
  fill, and folders of these names with the training patients right below; both are read.
- The test set, 668 films of 500 patients, whom five radiologists labelled, came with CheXlocalize as a
  folder `CheXpert` with `test_labels.csv` (`Path` and the findings; neither sex, age nor view) and `test/`:
  https://github.com/rajpurkarlab/cheXlocalize (README.md, download_instructions.md),
  https://github.com/mlmed/torchxrayvision/issues/192,
  https://github.com/rajpurkarlab/cheXpert-test-set-labels.
- One row of `train.csv` has another sex than the two, and 17 frontal ones another view than AP and PA; that
  they read `Unknown`, `LL` and `RL` is unverified.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import ID, TRAIN
from medbench.data.findings import Findings
from medbench.data.public.source import UNCERTAIN, Source, SourceRows
from medbench.data.public.tables import Sheet, first_there, joined, noted
from medbench.data.public.targets import CHEST

COLUMNS = dict(
    zip(
        CHEST.classes,
        ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion"),
        strict=True,
    )
)
"""Class -> its column."""

BY_REPORT = {"present": ["1"], "absent": ["0", ""], "uncertain": ["-1"]}
"""What the labeller of reports leaves empty, since no report speaks of it, is taken for absent."""

BY_RADIOLOGISTS = {"present": ["1"], "absent": ["0"]}

_CODES = {"present": 1, "absent": 0, "uncertain": UNCERTAIN, "": 0}
_RELEASES = ("CheXpert-v1.0", "CheXpert-v1.0-small", "CheXpert-v1.0 batch 1 (validate & csv)")
_TEST_TABLES = ("test_labels.csv", "test.csv", "CheXpert/test_labels.csv")
_SEXES = {"female": ["Female"], "male": ["Male"], "": ["Unknown", ""]}
_VIEWS = {"AP": ["AP"], "PA": ["PA"], "": ["LL", "RL", ""]}


def read(folder: Path, findings: Findings) -> SourceRows:
    """The frontal films that the tables list.

    Args:
      folder: `CheXpert-v1.0` or `CheXpert-v1.0-small`, or the folder that holds one of them.
      findings: takes what is wrong: missing tables and columns, values that are not understood, rows twice.

    Returns:
      `train` for the films of train.csv, `id` for those of valid.csv and, where it is there, of the test set.
    """
    root = _release(folder, findings)
    test = first_there([base / name for base in (root, folder) for name in _TEST_TABLES])
    tables = {"train": root / "train.csv", "valid": root / "valid.csv", "test": test}
    parts = []
    for part, path in tables.items():
        if part == "test" and not path.exists():
            continue
        with noted(findings):
            parts.append(_films(Sheet(SOURCE, path, findings), part, path.parent, folder))
    return joined(SOURCE, parts, findings)


def _release(folder: Path, findings: Findings) -> Path:
    """Where train.csv is: the folder itself or a release below it."""
    there = [name for name in _RELEASES if (folder / name / "train.csv").exists()]
    if not there or (folder / "train.csv").exists():
        return folder
    if len(there) > 1:
        findings.warn(
            f"{folder}: holds {' and '.join(there)}; {there[0]} is read. Give the other to read it."
        )
    return folder / there[0]


def _films(sheet: Sheet, part: str, root: Path, folder: Path) -> SourceRows:
    """The frontal films of a table.

    Args:
      sheet: the table.
      part: `train`, `valid` or `test`: the folder of its films.
      root: where that folder is.
      folder: what was given.
    """
    described = part != "test"
    about = ("Sex", "Age", "Frontal/Lateral", "AP/PA") if described else ()
    sheet.require("Path", *about, *COLUMNS.values())
    pattern = re.compile(rf"(?:.*/)?({part}/(patient\d+)/study\d+/view\d+_(frontal|lateral)\.jpg)")
    matches = [pattern.fullmatch(cell) for cell in sheet["Path"]]
    sheet.refuse(
        [match is None for match in matches],
        f"`Path` is not of the form {part}/patient00001/study1/view1_frontal.jpg",
        "Correct the table, or fetch it anew.",
    )
    image, patient, side = ([match[i] if match else "" for match in matches] for i in (1, 2, 3))
    if described:
        side = sheet.values("Frontal/Lateral", {"frontal": ["Frontal"], "lateral": ["Lateral"]})
    labels = _labels(sheet, BY_REPORT if part == "train" else BY_RADIOLOGISTS)
    unknown = [""] * len(sheet.table)
    attributes = {
        "age": sheet.ages("Age", none=["", "0"]) if described else unknown,
        "sex": sheet.values("Sex", _SEXES) if described else unknown,
        "view": sheet.values("AP/PA", _VIEWS) if described else unknown,
    }
    sheet.leave_out(
        [s == "lateral" for s in side], "lateral film", "the study's claims are about frontal ones"
    )
    return sheet.rows(
        folder,
        image=image,
        path=_training_file(root, folder) if part == "train" else root.joinpath,
        patient=patient,
        split=[TRAIN if part == "train" else ID] * len(image),
        labels=labels,
        attributes=attributes,
    )


def _labels(sheet: Sheet, values: dict[str, list[str]]) -> NDArray[np.int8]:
    """(n, 5) labels of all rows."""
    found = [[_CODES[value] for value in sheet.values(column, values)] for column in COLUMNS.values()]
    return np.array(found, dtype=np.int8).T


def _training_file(root: Path, folder: Path) -> Callable[[str], Path]:
    """Where a training film is: below `train`, or in the batch that has its patient."""
    if (root / "train").is_dir():
        return root.joinpath
    batches = folder.glob("CheXpert-v1.0 batch * (train *)")
    batch_of = {patient.name: batch for batch in batches for patient in batch.iterdir()}

    def path(image: str) -> Path:
        below = image.removeprefix("train/")
        batch = batch_of.get(below.partition("/")[0])
        return batch / below if batch else root / image

    return path


SOURCE = Source(
    name="chexpert",
    title="CheXpert",
    domain="chest",
    target=CHEST,
    attributes=("age", "sex", "view"),
    complete=191_027,  # the frontal films of train.csv; laterals are passed over
    images=224_316,
    patients=65_240,
    gigabytes=471,
    licence=(
        "Stanford University School of Medicine CheXpert Dataset Research Use Agreement: research only, "
        "no commercial use, no passing on; every user registers."
    ),
    citation=(
        "Irvin, J., Rajpurkar, P., Ko, M. et al. CheXpert: A Large Chest Radiograph Dataset with "
        "Uncertainty Labels and Expert Comparison. AAAI 2019. arXiv:1901.07031"
    ),
    homepage="https://stanfordmlgroup.github.io/competitions/chexpert/",
    obtain=(
        "Register with Stanford AIMI, download CheXpert-v1.0 or CheXpert-v1.0-small (11 GB) and keep "
        "train.csv, valid.csv, train/ and valid/ as they come; for the test set, put the folder "
        "`CheXpert` of CheXlocalize (test_labels.csv and test/) beside them."
    ),
    read=read,
    shifts_from=("nih-cxr14",),
    policies=("ignore", "zeros", "ones"),
    warnings=(
        "Training labels come from reports: a finding that the report does not mention is taken for absent.",
        (
            "`id` is 200 patients (valid.csv), or 700 with the test set, whom radiologists labelled: "
            "intervals are wide."
        ),
        (
            "Of the test set's patients neither age, sex nor view is published: sub-groups of `id` are "
            "those of valid.csv."
        ),
    ),
)
