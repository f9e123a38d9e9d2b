"""CheXpert's tables, a few rows of each: what they say, and their mistakes as messages with rows."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from medbench.data.findings import Findings
from medbench.data.public.catalogue import source_named
from medbench.data.public.chexpert import read
from medbench.data.public.source import UNCERTAIN, SourceRows

FINDINGS = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,"
    "Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
HEADER = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{FINDINGS}"
TRAIN = [
    "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,63,Frontal,AP,,,0.0,,,,,,,1.0,0.0,,,",
    "CheXpert-v1.0-small/train/patient00002/study2/view1_frontal.jpg,Male,79,Frontal,PA,,,-1.0,,,-1.0,1.0,,0.0,,1.0,,,1.0",
    "CheXpert-v1.0-small/train/patient00002/study1/view2_lateral.jpg,Male,78,Lateral,,,,1.0,,,,-1.0,,,,,,,",
    "CheXpert-v1.0-small/train/patient00003/study1/view1_frontal.jpg,Unknown,0,Frontal,LL,,,,,,1.0,,,1.0,,,,,",
]
VALID = [
    "CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg,Male,71,Frontal,AP,0.0,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0"
]
TEST = [
    "test/patient64741/study1/view1_frontal.jpg,0,0,1,0,0,0,0,0,0,0,1,0,1,0",
    "test/patient64741/study1/view2_lateral.jpg,0,0,1,0,0,0,0,0,0,0,1,0,1,0",
]


def write(path: Path, header: str, rows: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder CheXpert-v1.0-small with its two tables."""
    folder = tmp_path / "CheXpert-v1.0-small"
    write(folder / "train.csv", HEADER, TRAIN)
    write(folder / "valid.csv", HEADER, VALID)
    (folder / "train").mkdir()
    return folder


def sound(folder: Path) -> SourceRows:
    findings = Findings()
    rows = read(folder, findings)
    assert not findings.errors
    return rows


def only_error(folder: Path) -> str:
    findings = Findings()
    read(folder, findings)
    (error,) = findings.errors
    return error


def respell(folder: Path, table: str, old: str, new: str) -> None:
    text = (folder / table).read_text(encoding="utf-8")
    assert old in text
    (folder / table).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_blank_is_absent_and_minus_one_uncertain(small: Path) -> None:
    rows = sound(small)
    # atelectasis, cardiomegaly, consolidation, edema, effusion
    expected = [[0, 0, 0, 0, 0], [0, UNCERTAIN, 1, UNCERTAIN, 1], [1, 0, 0, 1, 0], [0, 1, 0, 0, 0]]
    np.testing.assert_array_equal(rows.labels, expected)
    assert rows.labels.dtype == np.int8


def test_training_patients_train_and_the_radiologists_patients_are_id(small: Path) -> None:
    rows = sound(small)
    assert rows.split.tolist() == ["train", "train", "train", "id"]
    assert rows.patient.tolist() == ["patient00001", "patient00002", "patient00003", "patient64541"]
    assert rows.table.tolist() == ["train.csv"] * 3 + ["valid.csv"]
    assert rows.row.tolist() == [2, 3, 5, 2]


def test_ages_are_bands_and_what_is_not_recorded_is_empty(small: Path) -> None:
    attributes = {name: values.tolist() for name, values in sound(small).attributes.items()}
    assert attributes == {
        "age": ["60-74", "75 and over", "", "60-74"],
        "sex": ["female", "male", "", "male"],
        "view": ["AP", "PA", "", "AP"],
    }


def test_lateral_films_are_left_out_and_counted(small: Path) -> None:
    findings = Findings()
    rows = read(small, findings)
    assert len(rows) == 4
    assert len(findings.warnings) == 1
    assert re.search(r"train\.csv: 1 lateral film left out", findings.warnings[0])


@pytest.mark.parametrize("release", ["CheXpert-v1.0-small", "CheXpert-v1.0"])
def test_the_folder_itself_and_its_parent_give_the_same_images(small: Path, release: str) -> None:
    folder = small.rename(small.with_name(release))
    for table in ("train.csv", "valid.csv"):
        text = (folder / table).read_text(encoding="utf-8")
        (folder / table).write_text(text.replace("CheXpert-v1.0-small", release), encoding="utf-8")
    itself, parent = sound(folder), sound(folder.parent)
    assert itself.image.tolist() == parent.image.tolist()
    assert itself.image[0] == "train/patient00001/study1/view1_frontal.jpg"
    assert itself.path == parent.path
    assert itself.path[0] == folder / "train/patient00001/study1/view1_frontal.jpg"
    assert parent.table[0] == f"{release}/train.csv"


def test_a_relative_folder_is_read_like_an_absolute_one(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(small / "test_labels.csv", f"Path,{FINDINGS}", TEST)
    monkeypatch.chdir(small.parent)
    assert sound(Path(small.name)).image.tolist() == sound(small).image.tolist()


def test_of_two_releases_the_full_one_is_read_and_said_so(small: Path) -> None:
    write(small.parent / "CheXpert-v1.0" / "train.csv", HEADER, TRAIN[:1])
    write(small.parent / "CheXpert-v1.0" / "valid.csv", HEADER, VALID)
    findings = Findings()
    assert len(read(small.parent, findings)) == 2
    assert any("CheXpert-v1.0 and CheXpert-v1.0-small; CheXpert-v1.0 is read" in w for w in findings.warnings)


def test_films_are_found_in_the_batches_of_the_full_resolution(tmp_path: Path) -> None:
    first = tmp_path / "CheXpert-v1.0 batch 1 (validate & csv)"
    write(first / "train.csv", HEADER, TRAIN)
    write(first / "valid.csv", HEADER, VALID)
    batches = [tmp_path / f"CheXpert-v1.0 batch {i} (train {i - 1})" for i in (2, 3)]
    (batches[0] / "patient00001").mkdir(parents=True)
    (batches[1] / "patient00002").mkdir(parents=True)
    paths = sound(tmp_path).path
    assert paths[0] == batches[0] / "patient00001/study1/view1_frontal.jpg"
    assert paths[1] == batches[1] / "patient00002/study2/view1_frontal.jpg"
    assert paths[3] == first / "valid/patient64541/study1/view1_frontal.jpg"


@pytest.mark.parametrize("place", ["CheXpert/test_labels.csv", "test_labels.csv", "test.csv"])
def test_the_test_set_joins_id_without_sex_age_and_view(small: Path, place: str) -> None:
    write(small / place, f"Path,{FINDINGS}", TEST)
    rows = sound(small)
    assert rows.split.tolist() == ["train"] * 3 + ["id"] * 2
    assert rows.patient[-1] == "patient64741"
    assert rows.path[-1] == (small / place).parent / "test/patient64741/study1/view1_frontal.jpg"
    assert rows.labels[-1].tolist() == [0, 1, 0, 0, 1]
    assert {values[-1] for values in rows.attributes.values()} == {""}


MISTAKES = {
    "no train.csv": (
        "train.csv",
        None,
        "",
        r"train\.csv: this file of CheXpert is missing\. .*Register.*licence:",
    ),
    "a column misspelt": (
        "train.csv",
        "Pleural Effusion",
        "Pleural effusion",
        r"train\.csv: no column `Pleural Effusion`\. Did you mean `Pleural effusion`\?",
    ),
    "no view": ("valid.csv", "AP/PA", "Projection", r"valid\.csv: no column `AP/PA`\."),
    "an unknown label": (
        "train.csv",
        "79,Frontal,PA,,,-1.0",
        "79,Frontal,PA,,,2.0",
        r"train\.csv: column `Cardiomegaly` .*: `2\.0` in row 3\. Expected `-1`, `0`, `1`\.",
    ),
    "an empty label of a radiologist": (
        "valid.csv",
        "AP,0.0,1.0,1.0",
        "AP,0.0,1.0,",
        r"valid\.csv: column `Cardiomegaly` .*: an empty cell in row 2\.",
    ),
    "an uncertain radiologist": (
        "valid.csv",
        "AP,0.0,1.0,1.0",
        "AP,0.0,1.0,-1.0",
        r"valid\.csv: column `Cardiomegaly` .*: `-1\.0` in row 2\.",
    ),
    "an unknown sex": (
        "train.csv",
        "Female",
        "Femal",
        r"column `Sex` .*: `Femal` in row 2\. Did you mean `Female`\?",
    ),
    "an age in words": ("train.csv", "63,", "old,", r"column `Age` .*: `old` in row 2\. Expected years\."),
    "a path of another form": (
        "train.csv",
        "study1/view1",
        "view1",
        r"`Path` is not of the form .* in row 2\.",
    ),
    "a path into another set": (
        "valid.csv",
        "/valid/",
        "/train/",
        r"`Path` is not of the form valid/.* in row 2\.",
    ),
    "a film twice": (
        "train.csv",
        "patient00002/study2/view1_frontal",
        "patient00001/study1/view1_frontal",
        r"1 image is listed more than once: train\.csv: rows 2, 3\.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_error_with_its_row(small: Path, mistake: str) -> None:
    table, old, new, expected = MISTAKES[mistake]
    if old is None:
        (small / table).unlink()
    else:
        respell(small, table, old, new)
    error = only_error(small)
    assert re.search(expected, error)
    assert "patient0000" not in error.replace("patient00001/study1/view1_frontal.jpg", "")


def test_a_row_with_an_error_is_not_among_those_returned(small: Path) -> None:
    respell(small, "train.csv", "79,Frontal,PA,,,-1.0", "79,Frontal,PA,,,2.0")
    assert read(small, Findings()).row.tolist() == [2, 5, 2]


def test_all_missing_tables_are_told_at_once(tmp_path: Path) -> None:
    findings = Findings()
    assert len(read(tmp_path, findings)) == 0
    assert [re.search(r"(\w+\.csv): this file", e)[1] for e in findings.errors] == ["train.csv", "valid.csv"]


def test_columns_that_nobody_reads_may_be_there_or_not(small: Path) -> None:
    respell(small, "train.csv", "Support Devices", "Race")
    sound(small)


def test_its_declaration_is_whole() -> None:
    source = source_named("chexpert")
    assert source.shifts_from == ("nih-cxr14",)
    assert source.policies == ("ignore", "zeros", "ones")
    assert source.target == source_named("nih-cxr14").target
