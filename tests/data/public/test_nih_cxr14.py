"""ChestX-ray14's tables, a few rows of each: what they say, and their mistakes as messages with rows."""

import re
from pathlib import Path

import numpy as np
import pytest

from medbench.data.findings import Findings
from medbench.data.public.catalogue import source_named
from medbench.data.public.nih_cxr14 import read
from medbench.data.public.source import SourceRows

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
ROWS = [
    "00000001_000.png,Cardiomegaly,0,1,47,M,PA,2500,2048,0.143,0.143,",
    "00000001_001.png,Cardiomegaly|Emphysema,1,1,48,M,PA,2500,2048,0.143,0.143,",
    "00000003_000.png,Hernia|Effusion|Edema,0,3,414,F,AP,2500,2048,0.143,0.143,",
    "00000005_000.png,No Finding,0,5,33,F,PA,2048,2500,0.168,0.168,",
]


@pytest.fixture
def nih(tmp_path: Path) -> Path:
    """A folder with the table and the two lists, and images in two of Kaggle's folders."""
    (tmp_path / "Data_Entry_2017.csv").write_text("\n".join((HEADER, *ROWS)) + "\n", encoding="utf-8")
    (tmp_path / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n00000005_000.png\n")
    (tmp_path / "test_list.txt").write_text("00000003_000.png")
    for folder, image in (("images_001", "00000001_000.png"), ("images_012", "00000003_000.png")):
        (tmp_path / folder / "images").mkdir(parents=True)
        (tmp_path / folder / "images" / image).touch()
    return tmp_path


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


def respell(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_findings_are_read_from_between_the_bars(nih: Path) -> None:
    rows = sound(nih)
    # atelectasis, cardiomegaly, consolidation, edema, effusion
    expected = [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(rows.labels, expected)
    assert rows.labels.dtype == np.int8


def test_the_official_lists_say_who_trains(nih: Path) -> None:
    rows = sound(nih)
    assert rows.split.tolist() == ["train", "train", "id", "train"]
    assert rows.patient.tolist() == ["1", "1", "3", "5"]
    assert rows.row.tolist() == [2, 3, 4, 5]
    assert set(rows.table.tolist()) == {"Data_Entry_2017.csv"}


def test_an_age_that_nobody_reaches_is_not_recorded_and_said_so(nih: Path) -> None:
    findings = Findings()
    attributes = {name: values.tolist() for name, values in read(nih, findings).attributes.items()}
    assert attributes == {
        "age": ["40-59", "40-59", "", "under 40"],
        "sex": ["male", "male", "female", "female"],
        "view": ["PA", "PA", "AP", "PA"],
    }
    (warning,) = findings.warnings
    assert re.search(r"1 age in column `Patient Age` below 0 or above 120 .*row 4", warning)


def test_the_newer_release_is_preferred_and_calls_it_sex(nih: Path) -> None:
    text = (nih / "Data_Entry_2017.csv").read_text(encoding="utf-8")
    newer = text.replace("Patient Gender", "Patient Sex").replace("y],", "y]").replace(",\n", "\n")
    (nih / "Data_Entry_2017_v2020.csv").write_text(newer.replace(",M,", ",F,"), encoding="utf-8")
    rows = sound(nih)
    assert rows.attributes["sex"].tolist() == ["female"] * 4
    assert set(rows.table.tolist()) == {"Data_Entry_2017_v2020.csv"}


def test_images_are_found_in_the_twelve_folders_or_in_one(nih: Path) -> None:
    (nih / "images").mkdir()
    (nih / "images" / "00000005_000.png").touch()
    found = sound(nih).path
    assert found[0] == nih / "images_001/images/00000001_000.png"
    assert found[2] == nih / "images_012/images/00000003_000.png"
    assert found[3] == nih / "images/00000005_000.png"
    assert found[1] == nih / "images/00000001_001.png", "missing: where the publisher's archives would put it"


def test_resized_copies_beside_the_images_are_not_taken_for_them(nih: Path) -> None:
    (nih / "images-224").mkdir()
    (nih / "images-224" / "00000005_000.png").touch()
    assert sound(nih).path[3] == nih / "images/00000005_000.png"


def test_lists_that_end_in_NIH_are_read_too(nih: Path) -> None:
    for name in ("train_val_list", "test_list"):
        (nih / f"{name}.txt").rename(nih / f"{name}_NIH.txt")
    assert sound(nih).split.tolist() == ["train", "train", "id", "train"]


def test_films_of_the_lists_without_a_row_are_counted(nih: Path) -> None:
    respell(nih / "test_list.txt", "00000003_000.png", "00000003_000.png\n00000004_000.png\n")
    findings = Findings()
    read(nih, findings)
    assert any("1 film of train_val_list.txt and test_list.txt without a row" in w for w in findings.warnings)


TABLE, TRAIN_LIST, TEST_LIST = "Data_Entry_2017.csv", "train_val_list.txt", "test_list.txt"
MISTAKES = {
    "a column misspelt": (
        *(TABLE, "Finding Labels", "Finding Label"),
        r"no column `Finding Labels`\. Did you mean `Finding Label`\?",
    ),
    "an unknown finding": (
        *(TABLE, "Cardiomegaly|Emphysema", "Cardiomegaly|Emphisema"),
        r"column `Finding Labels` .*: `Cardiomegaly\|Emphisema` in row 3\. Did you mean `Emphysema`\?",
    ),
    "no finding told": (
        *(TABLE, ",No Finding,", ",,"),
        r"column `Finding Labels` .*: an empty cell in row 5\.",
    ),
    "no patient": (*(TABLE, "0,5,33", "0,,33"), r"column `Patient ID` is empty or holds a path in row 5\."),
    "a film twice": (
        *(TABLE, "00000001_001.png", "00000001_000.png"),
        r"1 image is listed more than once: Data_Entry_2017\.csv: rows 2, 3\.",
    ),
    "a film outside": (
        *(TABLE, "00000005_000.png", "../0000.png"),
        r"column `Image Index` is empty or holds a path in row 5\.",
    ),
    "in no list": (
        *(TRAIN_LIST, "00000005_000.png\n", ""),
        r"the film is in none of train_val_list\.txt and test_list\.txt in row 5\.",
    ),
    "in both lists": (
        *(TEST_LIST, "00000003_000.png", "00000003_000.png\n00000005_000.png"),
        r"the film is in both train_val_list\.txt and test_list\.txt in row 5\.",
    ),
    "an unknown view": (*(TABLE, "F,AP", "F,LL"), r"column `View Position` .*: `LL` in row 4\."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_row(nih: Path, mistake: str) -> None:
    file, old, new, expected = MISTAKES[mistake]
    respell(nih / file, old, new)
    findings = Findings()
    read(nih, findings)
    assert any(re.search(expected, error) for error in findings.errors), findings.errors
    assert len(findings.errors) == (2 if mistake == "a film outside" else 1)


@pytest.mark.parametrize("name", [TABLE, TRAIN_LIST, TEST_LIST])
def test_a_missing_file_is_told_with_where_to_get_it_and_its_licence(nih: Path, name: str) -> None:
    (nih / name).unlink()
    error = only_error(nih)
    assert re.search(r": this file of NIH ChestX-ray14 is missing\.", error)
    assert "https://nihcc.app.box.com/v/ChestXray-NIHCC" in error
    assert "licence: no restrictions" in error


def test_a_list_that_is_no_text_is_an_error_that_names_it(nih: Path) -> None:
    (nih / TEST_LIST).write_bytes(b"\xff\xfe\x00")
    assert re.search(r"test_list\.txt: not a list of file names", only_error(nih))


def test_its_declaration_is_whole() -> None:
    source = source_named("nih-cxr14")
    assert source.shifts_from == ("chexpert",)
    assert (source.images, source.patients) == (112_120, 30_805)
