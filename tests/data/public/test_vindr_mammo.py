import re
from pathlib import Path

import pytest

from medbench.data.findings import Findings
from medbench.data.public.source import SourceRows
from medbench.data.public.vindr_mammo import SOURCE, read

BREASTS = """\
study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split
b875,dd9c,d8125,L,CC,3518,2800,BI-RADS 4,DENSITY C,training
b875,dd9c,290c6,L,MLO,3518,2800,BI-RADS 4,DENSITY C,training
b875,dd9c,cd057,R,MLO,3518,2800,BI-RADS 3,DENSITY C,training
8269,4a5e,dd9ce,R,CC,2812,2012,BI-RADS 1,DENSITY A,test
e9e4,0c3d,5d7f1,L,CC,3518,2800,BI-RADS 5,DENSITY D,test
"""
SCANS = """\
SOP Instance UID,Series Instance UID,SOP Instance UID,Patient's Age,View Position,Window Center,Manufacturer
5d7f1,0c3d,5d7f1,,CC,"[2000, 2100]",Planmed
dd9ce,4a5e,dd9ce,038Y,CC,2047,IMS GIOTTO S.p.A.
d8125,dd9c,d8125,053Y,CC,2047,SIEMENS
290c6,dd9c,290c6,053Y,MLO,2047,SIEMENS
cd057,dd9c,cd057,053Y,MLO,2047,SIEMENS
"""


def tables(folder: Path, breasts: str = BREASTS, scans: str = SCANS) -> tuple[SourceRows, Findings]:
    (folder / "breast-level_annotations.csv").write_text(breasts)
    (folder / "metadata.csv").write_text(scans)
    findings = Findings()
    return read(folder, findings), findings


def edited(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def test_each_row_is_a_mammogram_with_its_file_and_its_exam(tmp_path):
    rows, findings = tables(tmp_path)
    assert not findings.errors
    assert not findings.warnings
    assert rows.image.tolist() == ["d8125", "290c6", "cd057", "dd9ce", "5d7f1"]
    assert rows.path[3] == tmp_path / "images" / "8269" / "dd9ce.dicom"
    assert rows.patient.tolist() == ["b875", "b875", "b875", "8269", "e9e4"]
    assert rows.row.tolist() == [2, 3, 4, 5, 6]
    assert set(rows.table.tolist()) == {"breast-level_annotations.csv"}
    assert SOURCE.cluster != "patient"


def test_bi_rads_4_and_5_are_taken_for_malignant_and_a_warning_says_so(tmp_path):
    rows, _ = tables(tmp_path)
    assert rows.labels.tolist() == [[0, 1], [0, 1], [1, 0], [1, 0], [0, 1]]
    assert any("no pathology" in warning for warning in SOURCE.warnings)


def test_the_split_is_the_publishers(tmp_path):
    rows, _ = tables(tmp_path)
    assert rows.split.tolist() == ["train", "train", "train", "id", "id"]


def test_attributes_come_from_both_tables_whatever_their_order(tmp_path):
    rows, _ = tables(tmp_path)
    found = {name: values.tolist() for name, values in rows.attributes.items()}
    assert found == {
        "laterality": ["left", "left", "right", "right", "left"],
        "view": ["CC", "MLO", "MLO", "CC", "CC"],
        "age": ["40-59", "40-59", "40-59", "under 40", ""],
        "density": ["c", "c", "c", "a", "d"],
        "vendor": ["siemens", "siemens", "siemens", "ims", "planmed"],
    }
    assert set(found) == set(SOURCE.attributes)


@pytest.mark.parametrize(("maker", "vendor"), [("IMS s.r.l.", "ims"), ("Planmed", "planmed"), ("", "")])
def test_a_makers_firms_are_one_vendor(tmp_path, maker, vendor):
    rows, findings = tables(tmp_path, scans=edited(SCANS, "IMS GIOTTO S.p.A.", maker))
    assert not findings.errors
    assert rows.attributes["vendor"][3] == vendor


@pytest.mark.parametrize(("cell", "age"), [("000Y", ""), ("38", "under 40"), ("60.0", "60-74")])
def test_ages_are_read_as_dicom_and_as_numbers_and_0_is_none(tmp_path, cell, age):
    rows, findings = tables(tmp_path, scans=edited(SCANS, "038Y", cell))
    assert not findings.errors
    assert rows.attributes["age"][3] == age


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("BI-RADS 1", "BI-RADS 0", r"column `breast_birads` has values .*: `BI-RADS 0` in row 5"),
        ("BI-RADS 1", "", r"column `breast_birads` .* an empty cell in row 5"),
        ("DENSITY A", "A", r"column `breast_density` .* `A` in row 5"),
        ("dd9ce,R", "dd9ce,right", r"column `laterality` .* `right` in row 5"),
        ("DENSITY A,test", "DENSITY A,val", r"column `split` .* `val` in row 5"),
        ("8269", "../8269", r"column `study_id` .* path in row 5"),
        ("dd9ce,R,CC", "d8125,R,CC", r"breast-level_annotations\.csv: rows 2, 5\. Keep one row"),
        ("MLO,3518,2800,BI-RADS 4", "MLO,3518,2800,BI-RADS 1", r"suspicious and not suspicious in rows 2, 3"),
        (
            "BI-RADS 3,DENSITY C,training",
            "BI-RADS 3,DENSITY C,test",
            r"an exam is in both splits in rows 2, 3, 4",
        ),
        ("breast_birads", "breastbirads", r"no column `breast_birads`\. Did you mean `breastbirads`\?"),
    ],
)
def test_a_mistake_is_one_error_with_its_rows_and_no_exams_id(tmp_path, old, new, message):
    _, findings = tables(tmp_path, breasts=edited(BREASTS, old, new))
    (error,) = findings.errors
    assert re.search(message, error)
    assert not any(exam in error for exam in ("b875", "8269", "e9e4"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("038Y", "old", r"metadata\.csv: column `Patient's Age` .* `old` in row 3"),
        ("038Y", "999Y", r"`999Y` in row 3"),
        ("Planmed", "?", r"metadata\.csv: column `Manufacturer` .* `\?` in row 2"),
        ("Manufacturer", "Maker", r"no column `Manufacturer`"),
        ("dd9ce,4a5e,dd9ce", "d8125,4a5e,d8125", r"rows of the same `SOP Instance UID`: rows 3, 4"),
        ("dd9ce,4a5e,dd9ce", "dd9ce,4a5e,other", r"columns with the same name: `SOP Instance UID`"),
    ],
)
def test_a_mistake_in_the_other_table_is_one_error_too(tmp_path, old, new, message):
    _, findings = tables(tmp_path, scans=edited(SCANS, old, new))
    (error,) = findings.errors
    assert re.search(message, error)


def test_an_image_without_metadata_has_neither_age_nor_vendor_and_that_is_said(tmp_path):
    rows, findings = tables(tmp_path, scans=SCANS[: SCANS.index("cd057")])
    assert not findings.errors
    (warning,) = findings.warnings
    assert "breast-level_annotations.csv: 1 image without a row in metadata.csv" in warning
    assert (rows.attributes["age"][2], rows.attributes["vendor"][2]) == ("", "")


def test_both_missing_tables_are_told_with_where_to_get_them(tmp_path):
    findings = Findings()
    assert len(read(tmp_path, findings)) == 0
    assert len(findings.errors) == 2
    names = ("breast-level_annotations.csv", "metadata.csv")
    for error, name in zip(sorted(findings.errors), names, strict=True):
        assert name in error
        assert "https://physionet.org/content/vindr-mammo/1.0.0/" in error
        assert "Restricted Health Data License" in error
