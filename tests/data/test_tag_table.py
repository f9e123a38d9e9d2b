"""Tables from DICOM tags: every file a row, whatever it is called."""

import csv
import errno
from pathlib import Path

import numpy as np
import pytest

from medbench.data.tag_table import KEYWORDS, write_table
from medbench.errors import MedbenchError
from tests.data import dicoms

FILM = np.arange(64, dtype=np.uint16).reshape(8, 8)


def quiet(done: int, total: int) -> None:
    """Report nothing."""


def test_every_dicom_file_is_a_row_with_its_tags_and_nothing_else_is(tmp_path):
    folder = tmp_path / "export"
    (folder / "S1").mkdir(parents=True)
    (folder / "notes.txt").write_text("no film")
    view = {"PatientID": "P-7", "ViewPosition": "MLO", "ImageLaterality": "L", "BreastImplantPresent": "YES"}
    (folder / "S1/IM000001").write_bytes(dicoms.file_of(FILM, **view))
    (folder / "b.dcm").write_bytes(dicoms.file_of(FILM, PatientAge="053Y"))
    told = []
    rows, findings = write_table(folder, tmp_path / "t.csv", report=lambda *progress: told.append(progress))
    assert (rows, findings.errors, told) == (2, [], [(1, 2), (2, 2)])
    with (tmp_path / "t.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first == dict.fromkeys(KEYWORDS, "") | {"file": "S1/IM000001"} | view
    assert (second["file"], second["PatientAge"]) == ("b.dcm", "053Y")


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_written(tmp_path):
    (tmp_path / "good.dcm").write_bytes(dicoms.file_of(FILM))
    (tmp_path / "bad.dcm").write_bytes(b"no film")
    rows, findings = write_table(tmp_path, tmp_path / "t.csv", report=quiet)
    assert rows == 1
    assert [str(tmp_path / "bad.dcm") in error for error in findings.errors] == [True]


def test_a_table_is_never_written_over(tmp_path):
    (tmp_path / "good.dcm").write_bytes(dicoms.file_of(FILM))
    (tmp_path / "t.csv").write_text("mine")
    with pytest.raises(MedbenchError, match=r"t\.csv: is there already"):
        write_table(tmp_path, tmp_path / "t.csv", report=quiet)
    assert (tmp_path / "t.csv").read_text() == "mine"


@pytest.mark.parametrize("folder", ["absent", "."])
def test_a_folder_without_films_is_refused(tmp_path, folder):
    with pytest.raises(MedbenchError, match=r"no such folder|no DICOM file"):
        write_table(tmp_path / folder, tmp_path / "t.csv", report=quiet)


def test_a_table_is_its_owners_alone_and_whole_or_not_there(tmp_path, monkeypatch):
    (tmp_path / "good.dcm").write_bytes(dicoms.file_of(FILM))
    with monkeypatch.context() as full:
        full.setattr(Path, "replace", no_space)
        with pytest.raises(MedbenchError, match=r"t\.csv: cannot be written \(No space"):
            write_table(tmp_path, tmp_path / "t.csv", report=quiet)
    assert {path.name for path in tmp_path.iterdir()} == {"good.dcm"}
    write_table(tmp_path, tmp_path / "t.csv", report=quiet)
    assert (tmp_path / "t.csv").stat().st_mode & 0o777 == 0o600


def no_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")
