"""Ways in which a written miniature is spoilt, one at a time; each changes as few files as it can."""

import shutil
import struct
import zlib
from pathlib import Path

import pydicom

from tests.miniatures.tables import read_rows, write_rows
from tests.miniatures.truth import Picture, Truth


def drop_column(table: Path, column: str) -> None:
    """Take a column out of a table."""
    rows = read_rows(table)
    place = rows[0].index(column)
    write_rows(table, [row[:place] + row[place + 1 :] for row in rows])


def set_cell(table: Path, row: int, column: str, value: str) -> None:
    """Write a cell, say empty or with a word that nobody knows; rows count from 1, the header."""
    rows = read_rows(table)
    rows[row - 1][rows[0].index(column)] = value
    write_rows(table, rows)


def repeat_row(table: Path, row: int) -> None:
    """Write a row once more at the table's end."""
    rows = read_rows(table)
    write_rows(table, [*rows, rows[row - 1]])


def remove(image: Path) -> None:
    """Take the image away, as an archive that was not unpacked does."""
    image.unlink()


def truncate(image: Path) -> None:
    """Leave two thirds of the file, as a download that broke off does."""
    content = image.read_bytes()
    image.write_bytes(content[: len(content) * 2 // 3])


def copy_image(image: Path, over: Path) -> None:
    """Give another image the first one's content."""
    shutil.copyfile(image, over)


def claim_other_depth(image: Path) -> None:
    """Change the number of bits that the file says it has, and not its pixels."""
    content = image.read_bytes()
    if content.startswith(b"\x89PNG"):
        header = content[12:24] + b"\x10" + content[25:29]
        image.write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    elif content.startswith(b"\xff\xd8"):
        place = content.index(b"\xff\xc0") + 4
        image.write_bytes(content[:place] + b"\x0c" + content[place + 1 :])
    else:
        header = pydicom.dcmread(image)
        header.BitsAllocated = 8
        header.save_as(image)


def split_patient_of_chexpert(truth: Truth) -> Picture:
    """Give the first patient of train.csv a study in valid.csv; a picture of the patient."""
    picture = truth.used[0]
    valid = next(other for other in truth.pictures if other.split == "valid")
    rows = read_rows(truth.table(valid))
    release = rows[1][0].split("/")[0]
    name = f"valid/{picture.patient}/study9/view1_frontal.jpg"
    (truth.root / name).parent.mkdir(parents=True)
    shutil.copyfile(truth.file(valid), truth.root / name)
    write_rows(truth.table(valid), [*rows, [f"{release}/{name}", *rows[1][1:]]])
    return picture


def split_patient_of_nih(truth: Truth) -> Picture:
    """Move one film of a patient's several from train_val_list.txt to test_list.txt; that film."""
    picture = next(
        picture
        for picture in truth.pictures
        if picture.split == "train_val"
        and sum(other.patient == picture.patient for other in truth.pictures) > 1
    )
    name = Path(picture.path).name
    train, test = (truth.root / f"{split}_list.txt" for split in ("train_val", "test"))
    train.write_text("\n".join(line for line in train.read_text().split("\n") if line != name))
    test.write_text(f"{test.read_text()}\n{name}")
    return picture


def split_patient_of_vindr(truth: Truth) -> Picture:
    """Say of one image of a training exam that it is in test; that image."""
    picture = next(picture for picture in truth.pictures if picture.split == "training")
    set_cell(truth.table(picture), picture.row, "split", "test")
    return picture
