import re
from pathlib import Path

import pytest

from medbench.data.findings import Findings
from medbench.data.public.catalogue import source_named
from medbench.data.public.rsna_2022 import SOURCE, read
from medbench.data.public.source import SourceRows
from medbench.data.public.targets import MAMMOGRAPHY

HEADER = (
    "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,density,"
    "machine_id,difficult_negative_case\n"
)
ROWS = [
    "1,10025,562340703,L,CC,75.0,0,0,0,,0,C,49,False",
    "1,10025,1365269360,L,MLO,75.0,0,0,0,,0,C,49,False",
    "1,10025,288394860,R,MLO,75.0,1,1,1,,0,C,49,False",
    "1,10130,388811999,L,CC,38.0,0,0,0,0.0,1,A,49,True",
    "2,10006,462822612,L,CC,61.0,0,0,0,,0,,29,False",
    "2,10011,220375232,R,LMO,,1,1,0,0.0,0,,21,True",
]


def table(folder: Path, rows: list[str], header: str = HEADER) -> tuple[SourceRows, Findings]:
    (folder / "train.csv").write_text(header + "\n".join(rows) + "\n")
    findings = Findings()
    return read(folder, findings), findings


def changed(row: int, **cells: str) -> list[str]:
    """The rows with other cells in one of them, numbered as a spreadsheet does."""
    names = HEADER.strip().split(",")
    values = dict(zip(names, ROWS[row - 2].split(","), strict=True)) | cells
    return [*ROWS[: row - 2], ",".join(values[name] for name in names), *ROWS[row - 1 :]]


def test_each_row_is_a_mammogram_with_its_file_its_breast_and_its_patient(tmp_path):
    rows, findings = table(tmp_path, ROWS)
    assert not findings.errors
    assert not findings.warnings
    assert rows.image[2] == "288394860"
    assert rows.path[2] == tmp_path / "train_images" / "10025" / "288394860.dcm"
    assert rows.patient.tolist() == ["10025", "10025", "10025", "10130", "10006", "10011"]
    assert rows.row.tolist() == [2, 3, 4, 5, 6, 7]
    assert set(rows.table.tolist()) == {"train.csv"}


def test_cancer_is_the_positive_class(tmp_path):
    rows, _ = table(tmp_path, ROWS)
    assert MAMMOGRAPHY.classes[1] == "malignant"
    assert rows.labels.tolist() == [[1, 0], [1, 0], [0, 1], [1, 0], [1, 0], [0, 1]]


def test_site_2_is_a_shift_and_site_1_is_not_divided(tmp_path):
    rows, _ = table(tmp_path, ROWS)
    assert rows.split.tolist() == ["", "", "", "", "site-2", "site-2"]
    assert SOURCE.own_shifts == ("site-2",)


def test_attributes_are_named_as_the_other_mammograms_name_them(tmp_path):
    rows, _ = table(tmp_path, ROWS)
    found = {name: values.tolist() for name, values in rows.attributes.items()}
    assert found == {
        "laterality": ["left", "left", "right", "left", "left", "right"],
        "view": ["CC", "MLO", "MLO", "CC", "CC", "LMO"],
        "age": ["75 and over", "75 and over", "75 and over", "under 40", "60-74", ""],
        "density": ["c", "c", "c", "a", "", ""],
        "machine": ["49", "49", "49", "49", "29", "21"],
        "implant": ["no", "no", "no", "yes", "no", "no"],
    }
    assert set(found) == set(SOURCE.attributes)


@pytest.mark.parametrize(
    ("row", "cells", "message"),
    [
        (3, {"cancer": "2"}, r"column `cancer` has values that are not understood: `2` in row 3"),
        (3, {"cancer": ""}, r"column `cancer` .* an empty cell in row 3"),
        (6, {"laterality": "l"}, r"column `laterality` .* `l` in row 6"),
        (6, {"site_id": "3"}, r"column `site_id` .* `3` in row 6"),
        (6, {"density": "E"}, r"column `density` .* `E` in row 6"),
        (6, {"view": "XCC"}, r"column `view` .* `XCC` in row 6.* Did you mean `CC`"),
        (6, {"age": "old"}, r"column `age` .* `old` in row 6"),
        (6, {"patient_id": ""}, r"column `patient_id` is empty .* in row 6"),
        (6, {"patient_id": "../10006"}, r"column `patient_id` .* holds a path in row 6"),
        (6, {"image_id": "562340703"}, r"train\.csv: rows 2, 6\. Keep one row per image"),
        (3, {"cancer": "1"}, r"a breast is said to have cancer and not to in rows 2, 3"),
        (4, {"site_id": "2"}, r"a patient is at two sites in rows 2, 3, 4"),
    ],
)
def test_a_mistake_is_one_error_with_its_rows_and_nobodys_id(tmp_path, row, cells, message):
    rows, findings = table(tmp_path, changed(row, **cells))
    (error,) = findings.errors
    assert re.search(message, error)
    assert not any(patient in error for patient in ("10025", "10006", "10130", "10011"))
    assert set(rows.attributes) == set(SOURCE.attributes)


def test_a_missing_table_says_where_to_get_it_and_under_which_licence(tmp_path):
    findings = Findings()
    rows = read(tmp_path, findings)
    assert len(rows) == 0
    assert rows.labels.shape == (0, 2)
    (error,) = findings.errors
    assert "train.csv" in error
    assert SOURCE.homepage in error
    assert "non-commercial" in error


def test_a_missing_column_is_told_with_the_nearest(tmp_path):
    _, findings = table(tmp_path, ROWS, HEADER.replace("machine_id", "machine"))
    (error,) = findings.errors
    assert "no column `machine_id`" in error
    assert "Did you mean `machine`?" in error


def test_it_is_in_the_catalogue_and_its_shift_has_the_same_target():
    assert source_named("rsna-2022") is SOURCE
    for name in SOURCE.shifts_from:
        other = source_named(name)
        assert other.target == SOURCE.target
        assert SOURCE.name in other.shifts_from
