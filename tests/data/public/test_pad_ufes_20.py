"""PAD-UFES-20's table, a few rows: what it says, and every mistake in it as one message with its row."""

import re
from pathlib import Path

import pytest

from medbench.data.findings import Findings
from medbench.data.public.catalogue import source_named
from medbench.data.public.pad_ufes_20 import read
from medbench.data.public.source import SourceRows

TABLE = """\
patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,skin_cancer_history,\
cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,diameter_1,diameter_2,diagnostic,itch,grew,hurt,\
changed,bleed,elevation,img_id,biopsed
PAT_9001,701,,,,,19,,,,,,,,ARM,,,NEV,False,False,False,False,False,False,PAT_9001_701_1.png,False
PAT_9002,702,False,False,GERMANY,GERMANY,52,False,FEMALE,True,True,True,True,3.0,NECK,6.0,5.0,BCC,True,True,False,True,True,True,PAT_9002_702_2.png,True
PAT_9002,703,False,False,GERMANY,GERMANY,52,False,FEMALE,True,True,True,True,3.0,FACE,6.0,5.0,SCC,True,True,False,True,True,True,PAT_9002_703_3.png,True
PAT_9003,30,False,True,ITALY,ITALY,81,False,MALE,True,False,True,True,1.0,FACE,5.0,5.0,MEL,True,True,False,True,False,True,PAT_9003_30_44.png,True
PAT_9004,31,False,True,ITALY,ITALY,61,False,MALE,True,False,True,True,6.0,FACE,5.0,5.0,ACK,True,True,False,True,False,True,PAT_9004_31_45.png,True
PAT_9005,32,,,,,61,,,,,,,,BACK,,,SEK,UNK,UNK,False,UNK,False,True,PAT_9005_32_46.png,False
"""


@pytest.fixture
def pad(tmp_path: Path) -> Path:
    """A folder with the table and no images."""
    (tmp_path / "metadata.csv").write_text(TABLE)
    return tmp_path


def sound(folder: Path) -> SourceRows:
    findings = Findings()
    rows = read(folder, findings)
    assert not findings.errors
    return rows


def test_the_table_is_the_published_one_of_26_columns() -> None:
    assert len(TABLE.splitlines()[0].split(",")) == 26


def test_diagnoses_are_mapped_to_what_both_sets_tell_apart(pad: Path) -> None:
    rows = sound(pad)
    names = source_named("isic-2019").target.classes
    assert (rows.labels.sum(axis=1) == 1).all()
    assert [names[i] for i in rows.labels.argmax(axis=1)] == [
        *("nevus", "basal-cell-carcinoma", "actinic-or-squamous", "melanoma", "actinic-or-squamous", "other")
    ]


def test_patients_hold_their_lesions_together_and_are_left_to_be_dealt_out(pad: Path) -> None:
    rows = sound(pad)
    assert rows.patient.tolist() == ["PAT_9001", "PAT_9002", "PAT_9002", "PAT_9003", "PAT_9004", "PAT_9005"]
    assert set(rows.split.tolist()) == {""}
    assert rows.row.tolist() == [2, 3, 4, 5, 6, 7]


def test_skin_types_are_in_pairs_and_what_is_not_recorded_is_empty(pad: Path) -> None:
    attributes = {name: values.tolist() for name, values in sound(pad).attributes.items()}
    assert attributes == {
        "age": ["under 40", "40-59", "40-59", "75 and over", "60-74", "60-74"],
        "sex": ["", "female", "female", "male", "male", ""],
        "skin_type": ["", "III-IV", "III-IV", "I-II", "V-VI", ""],
    }


@pytest.mark.parametrize("other", [b"first", b"other", b"longer"])
def test_two_files_of_one_name_are_an_error_unless_they_are_the_same(pad: Path, other: bytes) -> None:
    for place, content in {"images": b"first", "imgs_part_1": other}.items():
        (pad / place).mkdir()
        (pad / place / "PAT_9001_701_1.png").write_bytes(content)
    findings = Findings()
    read(pad, findings)
    told = (
        f"{pad}/images and {pad}/imgs_part_1: 1 image file in both, of the same name and with different "
        "content. Keep the publisher's."
    )
    assert findings.errors == ([] if other == b"first" else [told])


@pytest.mark.parametrize("place", ["images", "imgs_part_2", "images/imgs_part_1/imgs_part_1"])
def test_images_are_found_however_the_archives_were_unpacked(pad: Path, place: str) -> None:
    (pad / place).mkdir(parents=True)
    (pad / place / "PAT_9003_30_44.png").touch()
    assert sound(pad).path[3] == pad / place / "PAT_9003_30_44.png"


MISTAKES = {
    "a column misspelt": (
        "fitspatrick",
        "fitzpatrick",
        r"no column `fitspatrick`\. Did you mean `fitzpatrick`\?",
    ),
    "an unknown diagnosis": (
        "MEL",
        "MELA",
        r"column `diagnostic` .*: `MELA` in row 5\. Did you mean `MEL`\?",
    ),
    "no diagnosis": (",MEL,", ",,", r"column `diagnostic` .*: an empty cell in row 5\."),
    "a seventh skin type": ("6.0,FACE", "7.0,FACE", r"column `fitspatrick` .*: `7\.0` in row 6\."),
    "an image twice": (
        *("PAT_9002_703_3.png", "PAT_9002_702_2.png"),
        r"1 image is listed more than once: metadata\.csv: rows 3, 4\.",
    ),
    "no patient": ("PAT_9003,", ",", r"column `patient_id` is empty or holds a path in row 5\."),
    "no image": ("PAT_9003_30_44.png", "", r"column `img_id` is empty or holds a path in row 5\."),
    "an image outside": (
        "PAT_9003_30_44.png",
        "../x.png",
        r"column `img_id` is empty or holds a path in row 5\.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_error_with_its_row(pad: Path, mistake: str) -> None:
    old, new, expected = MISTAKES[mistake]
    assert old in TABLE
    (pad / "metadata.csv").write_text(TABLE.replace(old, new, 1))
    findings = Findings()
    read(pad, findings)
    (error,) = findings.errors
    assert re.search(expected, error)


def test_a_missing_table_is_told_with_where_to_get_it_and_its_licence(tmp_path: Path) -> None:
    findings = Findings()
    assert len(read(tmp_path, findings)) == 0
    (error,) = findings.errors
    assert "metadata.csv: this file of PAD-UFES-20 is missing." in error
    assert "https://data.mendeley.com/datasets/zr7vgbcyr2/1" in error
    assert "CC BY 4.0" in error


def test_its_declaration_is_whole() -> None:
    source = source_named("pad-ufes-20")
    assert source.shifts_from == ("isic-2019",)
    assert source.target == source_named("isic-2019").target
