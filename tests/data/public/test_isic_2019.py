"""ISIC 2019's tables, a few rows of each: what they say, and their mistakes as messages with rows."""

import re
from pathlib import Path

import pytest

from medbench.data.findings import Findings
from medbench.data.public.catalogue import source_named
from medbench.data.public.isic_2019 import read
from medbench.data.public.source import SourceRows

TRUTH = """\
image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK
ISIC_0000000,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0000017_downsampled,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0024306,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0
ISIC_0053453,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0
ISIC_0053455,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0
ISIC_0053456,0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0
"""
FACTS = """\
image,age_approx,anatom_site_general,lesion_id,sex
ISIC_0000000,45,head/neck,,female
ISIC_0000017_downsampled,55,lower extremity,MSK4_0019901,male
ISIC_0024306,50,,HAM_0009902,male
ISIC_0053453,80,head/neck,BCN_0009903,female
ISIC_0053455,,head/neck,BCN_0009903,
ISIC_0053456,0,lower extremity,BCN_0009904,female
"""
TEST_TRUTH = """\
image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK,score_weight,validation_weight
ISIC_0034321,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0
ISIC_0034322,0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0,1.0,0.0
"""
TEST_FACTS = """\
image,age_approx,anatom_site_general,sex
ISIC_0034321,65,head/neck,male
ISIC_0034322,35,,female
"""


@pytest.fixture
def isic(tmp_path: Path) -> Path:
    """A folder with the two tables, and one image."""
    (tmp_path / "ISIC_2019_Training_GroundTruth.csv").write_text(TRUTH)
    (tmp_path / "ISIC_2019_Training_Metadata.csv").write_text(FACTS)
    (tmp_path / "ISIC_2019_Training_Input").mkdir()
    (tmp_path / "ISIC_2019_Training_Input" / "ISIC_0000000.jpg").touch()
    return tmp_path


def add_test_set(folder: Path) -> None:
    (folder / "ISIC_2019_Test_GroundTruth.csv").write_text(TEST_TRUTH)
    (folder / "ISIC_2019_Test_Metadata.csv").write_text(TEST_FACTS)


def sound(folder: Path) -> SourceRows:
    findings = Findings()
    rows = read(folder, findings)
    assert not findings.errors
    return rows


def errors(folder: Path) -> list[str]:
    findings = Findings()
    read(folder, findings)
    return findings.errors


def classes(rows: SourceRows) -> list[str]:
    assert (rows.labels.sum(axis=1) == 1).all()
    return [source_named("isic-2019").target.classes[i] for i in rows.labels.argmax(axis=1)]


def test_diagnoses_are_mapped_to_what_both_sets_tell_apart(isic: Path) -> None:
    squamous = "actinic-or-squamous"
    assert classes(sound(isic)) == ["nevus", "melanoma", "other", squamous, squamous, "basal-cell-carcinoma"]


def test_images_of_a_lesion_stay_together_and_one_without_stands_for_itself(isic: Path) -> None:
    assert sound(isic).patient.tolist() == [
        *("ISIC_0000000", "MSK4_0019901", "HAM_0009902"),
        *("BCN_0009903", "BCN_0009903", "BCN_0009904"),
    ]


def test_the_archive_is_told_by_the_lesion_and_ham10000_is_a_shift(isic: Path) -> None:
    rows = sound(isic)
    assert rows.attributes["archive"].tolist() == ["", "msk", "ham10000", *["bcn20000"] * 3]
    assert rows.split.tolist() == ["", "", "ham10000", "", "", ""]


def test_ages_are_bands_and_a_newborn_has_one(isic: Path) -> None:
    attributes = sound(isic).attributes
    bands = ["40-59", "40-59", "40-59", "75 and over", "", "under 40"]
    assert attributes["age"].tolist() == bands
    assert attributes["sex"].tolist() == ["female", "male", "male", "female", "", "female"]


def test_the_order_of_the_metadata_does_not_matter(isic: Path) -> None:
    before = sound(isic)
    header, *rest = FACTS.splitlines()
    (isic / "ISIC_2019_Training_Metadata.csv").write_text("\n".join((header, *rest[::-1])))
    after = sound(isic)
    assert after.patient.tolist() == before.patient.tolist()
    assert {k: v.tolist() for k, v in after.attributes.items()} == {
        k: v.tolist() for k, v in before.attributes.items()
    }


def test_the_older_table_calls_it_gender(isic: Path) -> None:
    (isic / "ISIC_2019_Training_Metadata.csv").write_text(FACTS.replace(",sex", ",gender"))
    assert sound(isic).attributes["sex"][0] == "female"


def test_images_are_where_the_archive_puts_them_or_one_folder_deeper(isic: Path) -> None:
    deeper = isic / "ISIC_2019_Training_Input" / "ISIC_2019_Training_Input"
    deeper.mkdir()
    (deeper / "ISIC_0000017_downsampled.jpg").touch()
    paths = sound(isic).path
    assert paths[0] == isic / "ISIC_2019_Training_Input/ISIC_0000000.jpg"
    assert paths[1] == deeper / "ISIC_0000017_downsampled.jpg"
    assert paths[2] == isic / "ISIC_2019_Training_Input/ISIC_0024306.jpg"


def test_the_test_set_is_a_shift_where_it_is_there(isic: Path) -> None:
    add_test_set(isic)
    rows = sound(isic)
    assert rows.split.tolist()[-2:] == ["challenge-test"] * 2
    assert classes(rows)[-2:] == ["other", "other"]
    assert rows.patient.tolist()[-2:] == ["ISIC_0034321", "ISIC_0034322"]
    assert rows.table[-1] == "ISIC_2019_Test_GroundTruth.csv"
    assert rows.path[-1] == isic / "ISIC_2019_Test_Input/ISIC_0034322.jpg"
    assert rows.attributes["age"].tolist()[-2:] == ["60-74", "under 40"]


T, M = "ISIC_2019_Training_GroundTruth.csv", "ISIC_2019_Training_Metadata.csv"
MISTAKES = {
    "a column misspelt": (*(T, "VASC", "VASCULAR"), [r"no column `VASC`\. Did you mean `VASCULAR`\?"]),
    "no lesions": (*(M, "lesion_id", "lesion"), [r"no column `lesion_id`\. Did you mean `lesion`\?"]),
    "two diagnoses": (
        *(T, "ISIC_0000000,0.0", "ISIC_0000000,1.0"),
        [r"no diagnosis, or more than one, in row 2\."],
    ),
    "no diagnosis": (
        *(T, "downsampled,1.0", "downsampled,0.0"),
        [r"no diagnosis, or more than one, in row 3\."],
    ),
    "an empty diagnosis": (
        *(T, "ISIC_0000000,0.0", "ISIC_0000000,"),
        [r"column `MEL` .*: an empty cell in row 2\. Expected `0`, `1`\."],
    ),
    "half a diagnosis": (
        *(T, "ISIC_0000000,0.0", "ISIC_0000000,0.5"),
        [r"column `MEL` .*: `0\.5` in row 2\."],
    ),
    "an image twice": (
        *(T, "ISIC_0053456", "ISIC_0053455"),
        [
            r"Metadata\.csv: the image has no row in .*GroundTruth\.csv in row 7\.",
            r"1 image is listed more than once: ISIC_2019_Training_GroundTruth\.csv: rows 6, 7\.",
        ],
    ),
    "a row of metadata twice": (
        *(M, "ISIC_0053456", "ISIC_0053455"),
        [
            r"Metadata\.csv: rows of the same `image`: rows 6, 7\.",
            r"GroundTruth\.csv: the image has no row in .*Metadata\.csv in row 7\.",
        ],
    ),
    "an unknown archive": (
        *(M, "HAM_0009902", "ABC_0000550"),
        [r"column `lesion_id` .*: 1 value in row 4\. Expected ids that begin with HAM, BCN, MSK\."],
    ),
    "an unknown sex": (*(M, ",,female", ",,woman"), [r"column `sex` .*: `woman` in row 2\. Expected"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_row(isic: Path, mistake: str) -> None:
    file, old, new, expected = MISTAKES[mistake]
    text = (isic / file).read_text()
    assert old in text
    (isic / file).write_text(text.replace(old, new, 1))
    found = errors(isic)
    assert len(found) == len(expected), found
    for pattern, error in zip(expected, found, strict=True):
        assert re.search(pattern, error)
        assert "ABC_0000550" not in error  # lesions stand in for patients


@pytest.mark.parametrize("name", [T, M])
def test_a_missing_table_is_told_with_where_to_get_it_and_its_licence(isic: Path, name: str) -> None:
    (isic / name).unlink()
    (error,) = errors(isic)
    assert f"{name}: this file of ISIC 2019 is missing." in error
    assert "https://challenge.isic-archive.com/data/#2019" in error
    assert "CC BY-NC 4.0" in error


def test_half_a_test_set_is_an_error(isic: Path) -> None:
    add_test_set(isic)
    (isic / "ISIC_2019_Test_Metadata.csv").unlink()
    (error,) = errors(isic)
    assert "ISIC_2019_Test_Metadata.csv: this file of ISIC 2019 is missing." in error


def test_its_declaration_is_whole() -> None:
    source = source_named("isic-2019")
    assert source.cluster == "lesion"
    assert source.shifts_from == ("pad-ufes-20",)
    assert source.own_shifts == ("ham10000", "challenge-test")
