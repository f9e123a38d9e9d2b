"""Every mistake a writer of cohort.yaml or its table can make is one message that says what to do."""

import hashlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medbench.data.check import check
from medbench.data.findings import hide
from medbench.data.folder import open_folder
from medbench.data.table import read_table
from medbench.errors import MedbenchError
from tests.data.clinic import Clinic, edited, table_text, write_noise

LABELS = "labels: {malignant: {column: dx, positive: [MEL, BCC], negative: [NEV]}}"
CLASSES = "classes: {column: dx, values: {naevus: [NEV], melanoma: [MEL], carcinoma: [BCC]}}"
SPLIT = {"patient: patient_id": "patient: patient_id, split: fold"}

IN_DECLARATION = {
    "unknown key": ({"table:": "tabel:"}, r":3: unknown key `tabel` .*Did you mean `table`\?"),
    "unknown domain": ({"dermatology": "dermatolgy"}, r":1: .*`dermatolgy`.* Did you mean `dermatology`\?"),
    "root misspelt": (
        {"root: images": "root: image"},
        r":2: the folder .*image does not exist\. Did you mean `images`\?",
    ),
    "root nowhere": (
        {"root: images": "root: /no/where"},
        r":2: the folder /no/where does not exist\. `root` is relative",
    ),
    "table misspelt": ({"manifest.csv": "manifst.csv"}, r"manifst\.csv: .*Did you mean `manifest\.csv`\?"),
    "image column": ({"image: file": "image: fil"}, r":4: .*no column `fil`\. Did you mean `file`\?"),
    "column in a pattern": (
        {"image: file": 'image: "{fil}.png"'},
        r":4: .*no column `fil`\. Did you mean `file`\?",
    ),
    "a brace left open": ({"image: file": 'image: "{file.png"'}, r":4: a brace without its partner"),
    "patient column": (
        {"patient: patient_id": "patient: patientid"},
        r":4: .*`patientid`\. Did you mean `patient_id`\?",
    ),
    "label column": ({"column: dx": "column: dxx"}, r":5: .*no column `dxx`\. Did you mean `dx`\?"),
    "attribute column": ({"sex: sex": "sex: sexx"}, r":4: .*no column `sexx`\. Did you mean `sex`\?"),
    "shift column": (
        {LABELS: LABELS + "\nshifts: {a: {column: sx, equals: [F]}}"},
        r":6: .*no column `sx`\. Did you mean `sex`\?",
    ),
    "no patient": ({", patient: patient_id": ""}, r":4: columns lack `patient`\..*`cluster: lesion_id`"),
    "patient and cluster": (
        {"patient: patient_id": "patient: patient_id, cluster: dx"},
        r":4: .*keep `patient`",
    ),
    "no labels": ({LABELS: ""}, r"the file gives neither `labels` nor `classes`; give one"),
    "labels and classes": (
        {LABELS: LABELS + "\n" + CLASSES},
        r"the file gives both `labels` and `classes`; give one",
    ),
    "one class": (
        {LABELS: "classes: {column: dx, values: {naevus: [NEV]}}"},
        r":5: `classes` needs two classes or more",
    ),
    "value under two heads": (
        {"negative: [NEV]": "negative: [NEV, MEL]"},
        r":5: value `MEL` .* is listed twice, under `positive` and `negative`",
    ),
    "uncertain and positive": (
        {LABELS: LABELS + "\nuncertain: {values: [MEL], policy: ignore}"},
        r"`MEL` .* `positive` and `uncertain`",
    ),
    "class value twice": (
        {LABELS: CLASSES.replace("[NEV]", "[NEV, MEL]")},
        r":5: value `MEL` of `classes` is listed twice, under `naevus` and `melanoma`",
    ),
    "negative without positive": (
        {"positive: [MEL, BCC], ": ""},
        r":5: label `malignant` has `negative` values but no `positive` ones",
    ),
    "policy among classes": (
        {LABELS: CLASSES + "\nuncertain: {values: [x], policy: positive}"},
        r":6: policy `positive` says nothing among several classes; use `ignore`",
    ),
    "unknown policy": (
        {LABELS: LABELS + "\nuncertain: {values: [x], policy: ignored}"},
        r":6: .*`ignored`.* Did you mean `ignore`\?",
    ),
    "patients as groups": (
        {"sex: sex": "who: patient_id"},
        r":4: attribute `who` is the column `patient_id` that tells patients apart\. .*take it out",
    ),
    "clusters as groups": (
        {"patient: patient_id": "cluster: patient_id", "sex: sex": "who: {column: patient_id, bins: [1]}"},
        r":4: attribute `who` is the column `patient_id` that tells patients apart",
    ),
    "bins descend": (
        {"age: age": "age: {column: age, bins: [60, 40]}"},
        r":4: `bins` of attribute `age` must ascend",
    ),
    "bins repeat": (
        {"age: age": "age: {column: age, bins: [40, 40]}"},
        r":4: `bins` of attribute `age` must ascend",
    ),
    "shares too small": (
        {LABELS: LABELS + "\nsplits: {train: 0.5, validation: 0.2, id: 0.2}"},
        r":6: train, validation and id add up to 0\.9; as shares they must give 1",
    ),
    "bins and values": (
        {"age: age": "age: {column: age, bins: [60], values: {a: [1]}}"},
        r":4: attribute `age` has both `bins` and `values`",
    ),
    "shares": (
        {LABELS: LABELS + "\nsplits: {train: 0.7, validation: 0.2, id: 0.2}"},
        r":6: train, validation and id add up to 1\.1; as shares they must give 1",
    ),
    "share of nothing": (
        {LABELS: LABELS + "\nsplits: {train: 0.7, validation: 0, id: 0.3}"},
        r":6: the share of `validation` must be larger than 0",
    ),
    "split by image": (
        {LABELS: LABELS + "\nsplits: {by: image}"},
        r":6: expected `patient` or `patient_id`, found `image`",
    ),
    "shift's name": (
        {LABELS: LABELS + "\nshifts: {Clinic B: {column: sex, equals: [F]}}"},
        r":6: `Clinic B` cannot name a shift: use lower-case letters",
    ),
    "shift called id": (
        {LABELS: LABELS + "\nshifts: {id: {column: sex, equals: [F]}}"},
        r":6: `id` cannot name a shift",
    ),
    "shift's value": (
        {LABELS: LABELS + "\nshifts: {a: {column: sex, equals: [f]}}"},
        r":6: the value `f` never occurs in column `sex` of .* Expected `F`, `M`",
    ),
    "shift's path": (
        {LABELS: LABELS + "\nshifts: {b: ../clinic-b}"},
        r":6: .*clinic-b: no such folder or file\..* Did you mean `clinic-a`\?",
    ),
    "shift to itself": (
        {LABELS: LABELS + "\nshifts: {b: cohort.yaml}"},
        r":6: .*reads the same table as this cohort\. Select rows of one table by",
    ),
    "evaluation on train": (
        {"patient: patient_id": "patient: patient_id, evaluation_set: {column: sex, values: {train: [F]}}"},
        r":4: `train` is not for evaluation",
    ),
    "shift given twice": (
        {
            "patient: patient_id": "patient: patient_id, split: {column: sex, values: {a: [F]}}",
            LABELS: LABELS + "\nshifts: {a: {column: sex, equals: [M]}}",
        },
        r":6: shift `a` is also a value of `split`",
    ),
}


@pytest.mark.parametrize(("changes", "message"), IN_DECLARATION.values(), ids=list(IN_DECLARATION))
def test_a_mistake_in_the_declaration_is_one_message_with_its_place(clinic, changes, message):
    path = clinic.write(edited(clinic.declaration, changes))
    with pytest.raises(MedbenchError, match=message) as caught:
        open_folder(path)
    assert check(path).errors == [str(caught.value)]
    assert str(caught.value).startswith(str(clinic.folder))


def cells(value: str, *rows: int, column: str):
    """Put a value into rows, numbered as in messages."""

    def change(clinic: Clinic) -> None:
        for row in rows:
            clinic.rows[row - 2][column] = value

    return change


def folds(*names: str):
    """Give every patient a fold, in turn."""

    def change(clinic: Clinic) -> None:
        for number, row in enumerate(clinic.rows):
            row["fold"] = names[number // 2 % len(names)]

    return change


IN_TABLE = {
    "empty patient": (
        {},
        cells("", 5, 6, column="patient_id"),
        r"column `patient_id` is empty in rows 5, 6\..* fill in the patient",
    ),
    "empty image": ({}, cells("", 5, column="file"), r"the image is not named in row 5\. Name it"),
    "image in two rows": (
        {},
        cells("000_0.png", 5, column="file"),
        r"1 image is named by several rows: rows 2, 5\. Keep one",
    ),
    "value in lower case": ({}, cells("nev", 5, column="dx"), r"`nev` in row 5\. Did you mean `NEV`\?"),
    "value in lower case, others negative": (
        {", negative: [NEV]": ""},
        cells("mel", 2, column="dx"),
        r"`mel` in row 2\. Did you mean `MEL`\?",
    ),
    "empty label, others negative": (
        {", negative: [NEV]": ""},
        cells("", 5, column="dx"),
        r"an empty cell in row 5\.",
    ),
    "finding that all have": (
        {LABELS: "labels: {a: {column: dx, positive: [MEL, BCC], negative: [NEV]}, b: one}"},
        lambda clinic: [row.update(one="1") for row in clinic.rows],
        r"no image without `b` is in `train`",
    ),
    "unknown values": (
        {},
        cells("SEK", 5, 7, column="dx"),
        (
            r"label `malignant`: column `dx` .*`SEK` in rows 5, 7\. Expected `BCC`, `MEL`, `NEV`\."
            r".*under `positive`, `negative` or `uncertain`"
        ),
    ),
    "empty label": (
        {},
        cells("", 5, column="dx"),
        r"an empty cell in row 5\..*An empty cell is written `\"\"`",
    ),
    "unknown class": (
        {LABELS: CLASSES},
        cells("SCC", 5, column="dx"),
        r"`classes`: column `dx` .*`SCC` in row 5\. Did you mean `BCC`\?.* under a class or `uncertain`",
    ),
    "not 0 or 1": (
        {LABELS: "labels: {malignant: dx}"},
        folds("x"),
        r"`NEV` in rows .*Expected `0`, `1`\..*`malignant: \{column: dx, positive: \[…\], negative: \[…\]\}`",
    ),
    "age in words": (
        {},
        cells("old", 5, column="age"),
        r"attribute `age`: .* no numbers: `old` in row 5\..*list them under `missing`",
    ),
    "age not a number": (
        {},
        cells("nan", 5, column="age"),
        r"attribute `age`: .* no numbers: `nan` in row 5",
    ),
    "unknown group": (
        {"sex: sex": "sex: {column: sex, values: {f: [F], m: [M]}}"},
        cells("W", 5, column="sex"),
        r"attribute `sex`: .*`W` in row 5\..*under `values` or `missing`",
    ),
    "unknown split": (
        SPLIT,
        folds("train", "val", "id"),
        (
            r"column `fold` names sets that are not known: `val` in rows 4, 5, "
            r".*`split: \{column: fold, values: \{id: \[test\], validation: \[dev\]\}\}`"
        ),
    ),
    "empty split": (SPLIT, folds("train", "validation", "id", ""), r"an empty cell in rows 8, 9, "),
    "no test set": (SPLIT, folds("train", "validation"), r"no usable row is in `id`"),
    "no training set": (SPLIT, folds("id", "validation"), r"no usable row is in `train`"),
    "evaluation set unknown": (
        {"patient: patient_id": "patient: patient_id, evaluation_set: fold"},
        folds("id", "", "ood"),
        r"`ood` in rows 6, 7, .*`evaluation_set: \{column: fold",
    ),
    "split against evaluation set": (
        {
            "patient: patient_id": "patient: patient_id, split: fold, "
            "evaluation_set: {column: sex, values: {women: [F], men: [M]}}"
        },
        folds("train", "validation", "id"),
        r"the split says training or validation, yet an evaluation set is given too",
    ),
    "row in two shifts": (
        {LABELS: LABELS + "\nshifts: {women: {column: sex, equals: [F]}, mel: {column: dx, equals: [MEL]}}"},
        cells("MEL", 2, column="dx"),
        r"rows 2, 3, .*in shift `mel` and in shift `women`\. A row is in one set only",
    ),
    "absolute image": (
        {},
        cells("/etc/hostname", 5, column="file"),
        r"absolute path or with `\.\.` in row 5\. Paths are taken below `root`",
    ),
    "images beside the root": (
        {"image: file": 'image: "sub/../../other/{file}"'},
        lambda _: None,
        r"absolute path or with `\.\.` in rows 2, 3, .*Paths are taken below `root`",
    ),
    "class only outside training": (
        SPLIT | {LABELS: CLASSES},
        lambda clinic: [
            row.update(fold="id" if row["dx"] == "BCC" else ("train", "validation", "id")[n // 2 % 3])
            for n, row in enumerate(clinic.rows)
        ],
        r"no image with `carcinoma` is in `train`, .* 5 such patients in all",
    ),
}


@pytest.mark.parametrize(("changes", "spoil", "message"), IN_TABLE.values(), ids=list(IN_TABLE))
def test_a_mistake_in_the_table_is_an_error_with_its_rows(clinic, changes, spoil, message):
    clinic.declaration = edited(clinic.declaration, changes)
    (clinic.folder / "images").mkdir(parents=True)
    for number in range(len(clinic.rows)):
        write_noise(clinic.image(number), seed=number)
    spoil(clinic)
    (clinic.folder / "manifest.csv").write_text(table_text(clinic.rows))
    clinic.path.write_text(clinic.declaration)
    errors = check(clinic.path).errors
    assert [e for e in errors if re.search(message, e)], errors
    assert all(e.startswith(str(clinic.folder / "manifest.csv")) for e in errors)
    with pytest.raises(MedbenchError, match=re.escape(errors[0])):
        open_folder(clinic.path)


def test_what_only_follows_from_an_error_is_not_told(clinic):
    cells("", *range(2, 62), column="dx")(clinic)
    assert len(check(clinic.write()).errors) == 1


BROKEN_TABLES = {
    "not UTF-8": (b"file,dx\n\xff\xfe,1\n", r"manifest\.csv:2: not UTF-8 text"),
    "empty": (b"", r"the first line is empty"),
    "only a header": (b"file,dx\n", r"a header but no rows"),
    "semicolons": (b"file;dx\na;1\n", r"separated by semicolons\. Save the table with commas"),
    "tabs": (b"file\tdx\na\t1\n", r"separated by tabs"),
    "short row": (b"file,dx\na,1\n\nb\n", r"row 4 has 1 cells, the header 2"),
    "long row": (b"file,dx\na,1,2\n", r"row 2 has 3 cells, the header 2\. Quote cells that contain a comma"),
    "open quote": (b'file,dx\n"a,1\n', r"not a CSV table"),
    "column twice": (b"file,dx,file\na,1,b\n", r"columns with the same name: `file`"),
    "controls twice": (b"file,\x1b,\x1b\na,1,b\n", r"columns with the same name: `\\x1b`"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN_TABLES.values(), ids=list(BROKEN_TABLES))
def test_a_table_that_is_none_is_one_message(clinic, content, message):
    clinic.write()
    (clinic.folder / "manifest.csv").write_bytes(content)
    with pytest.raises(MedbenchError, match=message):
        open_folder(clinic.path)


def test_rows_are_numbered_as_a_spreadsheet_shows_them(clinic):
    clinic.rows[4]["dx"] = "?"
    clinic.rows[1]["sex"] = "not\nsaid"
    clinic.write()
    table = clinic.folder / "manifest.csv"
    header, *lines = table.read_bytes().split(b"\r\n")
    table.write_bytes(b"\r\n".join([header, lines[0], b"", *lines[1:]]))
    (error,) = check(clinic.path).errors
    assert "`?` in row 7" in error  # 1 header, 4 rows, 1 empty line, in front of it


class TestFiles:
    def test_missing_images_are_named_with_their_rows(self, clinic):
        clinic.write()
        clinic.image(3).unlink()
        clinic.image(7).unlink()
        (error,) = check(clinic.path).errors
        assert "2 image files are missing below" in error
        assert "001_1.png (row 5), 003_1.png (row 9)" in error

    def test_the_nearest_file_is_offered(self, clinic):
        clinic.write()
        clinic.image(3).rename(clinic.folder / "images" / "001_l.png")
        (error,) = check(clinic.path).errors
        assert "Did you mean `" in error

    def test_if_no_image_is_there_the_root_is_asked_for(self, clinic):
        clinic.write()
        (clinic.folder / "empty").mkdir()
        clinic.path.write_text(edited(clinic.declaration, {"root: images": "root: empty"}))
        (error,) = check(clinic.path).errors
        assert "60 image files are missing" in error
        assert "(60 in all)" in error
        assert "is `root` right" in error

    def test_names_without_an_ending_are_answered_with_a_pattern(self, clinic):
        for row in clinic.rows:
            row["number"] = row["file"].removesuffix(".png")
        path = clinic.write(edited(clinic.declaration, {"image: file": "image: number"}))
        (error,) = check(path).errors
        assert '`image: "{column}.png"`' in error

    @pytest.mark.parametrize("content", [b"", b"a letter to the editor"])
    def test_an_unreadable_image_is_named_with_its_row(self, clinic, content):
        clinic.write()
        clinic.image(3).write_bytes(content)
        (error,) = check(clinic.path).errors
        assert f"row 5: {clinic.image(3)}: " in error
        with pytest.raises(MedbenchError, match=r"row 5: .*001_1\.png"):
            open_folder(clinic.path)

    def test_a_damaged_image_that_only_decoding_shows_is_found_by_the_check(self, clinic):
        clinic.write()
        whole = clinic.image(3).read_bytes()
        clinic.image(3).write_bytes(whole[:-30])
        (error,) = check(clinic.path).errors
        assert f"row 5: {clinic.image(3)}: damaged image" in error

    def test_a_damaged_image_is_named_without_its_patient(self, clinic):
        for number, row in enumerate(clinic.rows):
            row["file"] = f"{row['patient_id']}_{number % 2}.png"
        clinic.write()
        clinic.image(3).write_bytes(clinic.image(3).read_bytes()[:-40])
        (error,) = check(clinic.path).errors
        assert "row 5: " in error
        assert "…_1.png: damaged image" in error
        assert "P-0" not in error
        cohort = open_folder(clinic.path)
        with pytest.raises(MedbenchError, match=r"row \d+: .*…_1\.png: damaged image") as caught:
            [cohort.images(split, 4) for split in ("train", "validation", "id")]
        assert "P-0" not in str(caught.value)

    def test_many_damaged_images_are_counted(self, clinic):
        clinic.write()
        for number in range(25):
            clinic.image(number).write_bytes(clinic.image(number).read_bytes()[:-30])
        errors = check(clinic.path).errors
        assert len(errors) == 21
        assert errors[-1] == "5 more damaged images."

    @pytest.mark.parametrize(
        "show", [hide, lambda patient: "#" + hashlib.sha256(patient.encode()).hexdigest()[:8], str]
    )
    @pytest.mark.parametrize("accident", ["missing", "not an image", "suffix", "twice"])
    def test_files_named_after_patients_show_ids_only_if_asked_for(self, clinic, show, accident):
        for number, row in enumerate(clinic.rows):
            row["file"] = f"{row['patient_id'].lower()}_{number % 2}.png"
        clinic.write()
        image = clinic.image(3)  # of P-0001
        match accident:
            case "missing":
                image.unlink()
            case "not an image":
                image.write_bytes(b"a letter to the editor")
            case "suffix":
                image.rename(image.with_name(image.name + ".jpg"))
            case "twice":
                image.write_bytes(clinic.image(10).read_bytes())
        (error,) = check(clinic.path, show=show).errors
        assert "row 5" in error
        assert ("p-0" in error) == (show is str)
        expected = "p-0001" if show is str else show("P-0001") or "…"
        assert f"{expected}_1.png" in error

    def test_files_of_a_shift_from_elsewhere_are_masked_too(self, clinic, tmp_path):
        other = Clinic(tmp_path / "elsewhere")
        for number, row in enumerate(other.rows):
            row["file"] = f"{row['patient_id']}_{number % 2}.png"
        other.write()
        clinic.write(clinic.declaration + "shifts: {elsewhere: ../elsewhere/cohort.yaml}\n")
        other.image(3).unlink()
        errors = check(clinic.path).errors
        assert any("…_1.png (row 5)" in error for error in errors)
        assert not any("P-0" in error for error in errors)

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
    def test_a_folder_or_a_pipe_in_place_of_an_image_is_an_error_with_its_row(self, clinic, make):
        clinic.write()
        clinic.image(3).unlink()
        make(clinic.image(3))
        (error,) = check(clinic.path).errors
        assert f"row 5: {clinic.image(3)}: not a regular file" in error

    def test_an_uncertain_value_that_never_occurs_is_told(self, clinic):
        clinic.rows[3]["dx"] = "?"
        clinic.write(clinic.declaration + 'uncertain: {values: ["?", "??"], policy: ignore}\n')
        warnings = check(clinic.path).warnings
        assert [w for w in warnings if "`uncertain`: the value `??` never occurs in column `dx`" in w]
        assert not [w for w in warnings if "`?` never" in w]

    def test_a_class_that_one_patient_alone_shows_is_told(self, clinic):
        for row in clinic.rows:
            row["fold"] = "train" if int(row["patient_id"][2:]) < 18 else "validation"
            row["fold"] = "id" if int(row["patient_id"][2:]) >= 24 else row["fold"]
            if row["fold"] == "id" and row["patient_id"] != "P-0024":
                row["dx"] = "NEV"
        clinic.write(edited(clinic.declaration, SPLIT))
        found = check(clinic.path)
        assert not found.errors
        (warning,) = found.warnings
        assert "images with `malignant` in `id` are of one patient alone" in warning

    def test_a_nul_in_the_table_is_an_error_with_its_line(self, clinic):
        clinic.rows[3]["patient_id"] = "P-0001\0"
        clinic.write()
        (error,) = check(clinic.path).errors
        assert "manifest.csv:5: a NUL character" in error

    def test_a_pipe_in_place_of_the_table_is_not_waited_for(self, clinic):
        clinic.write()
        (clinic.folder / "manifest.csv").unlink()
        os.mkfifo(clinic.folder / "manifest.csv")
        (error,) = check(clinic.path).errors
        assert "manifest.csv: not a regular file. Expected a table as CSV." in error

    def test_folders_and_images_may_be_links(self, clinic, tmp_path):
        clinic.write()
        (clinic.folder / "images").rename(tmp_path / "store")
        (clinic.folder / "images").symlink_to(tmp_path / "store")
        clinic.image(3).rename(tmp_path / "elsewhere.png")
        clinic.image(3).symlink_to(tmp_path / "elsewhere.png")
        assert not check(clinic.path).errors

    def test_a_name_that_no_file_can_have_is_missing(self, clinic):
        clinic.rows[3]["file"] = "a" * 300 + ".png"
        (clinic.folder / "images").mkdir(parents=True)
        for number in {*range(60)} - {3}:
            write_noise(clinic.image(number), seed=number)
        (clinic.folder / "manifest.csv").write_text(table_text(clinic.rows))
        clinic.path.write_text(clinic.declaration)
        (error,) = check(clinic.path).errors
        assert "1 image file is missing" in error


class TestPatients:
    def torn(self, clinic):
        folds("train", "validation", "id")(clinic)
        cells("id", 2, 8, column="fold")(clinic)
        return clinic.write(edited(clinic.declaration, SPLIT))

    def test_a_patient_in_two_splits_is_an_error_that_names_rows_only(self, clinic):
        (error,) = [e for e in check(self.torn(clinic)).errors if "in several sets" in e]
        assert "2 patients are in several sets (id and train): rows 2, 3; rows 8, 9." in error
        assert "P-0" not in error

    def test_patients_are_named_as_the_caller_wants_them(self, clinic):
        errors = check(self.torn(clinic), show=lambda patient: f"<{patient}>").errors
        assert any("<P-0000> rows 2, 3; <P-0003> rows 8, 9." in error for error in errors)

    def test_the_same_image_under_two_patients_is_an_error(self, clinic):
        clinic.write()
        clinic.image(5).write_bytes(clinic.image(0).read_bytes())
        errors = check(clinic.path).errors
        assert len(errors) == 1
        assert "the same image under different patients: row 2 000_0.png" in errors[0]
        assert "row 7 002_1.png" in errors[0]

    def test_the_same_image_in_a_shift_from_elsewhere_is_an_error(self, clinic, tmp_path):
        other = Clinic(tmp_path / "clinic-b", patients=6)
        other.write()  # the same seeds, so the same images
        errors = check(clinic.write(clinic.declaration + "shifts: {clinic-b: ../clinic-b}\n")).errors
        assert len(errors) == 12
        assert all("the same image under different patients" in e for e in errors)

    def test_a_repeat_within_a_patient_is_only_a_warning(self, clinic):
        clinic.write()
        clinic.image(1).write_bytes(clinic.image(0).read_bytes())
        found = check(clinic.path)
        assert found.errors == []
        assert any("1 image repeats another of the same patient" in w for w in found.warnings)

    def test_a_misplaced_file_is_named_after_neither_patient(self, clinic):
        clinic.rows[6]["file"] = "P-0000_again.png"  # of P-0003
        clinic.write()
        clinic.image(6).write_bytes(clinic.image(0).read_bytes())
        (error,) = check(clinic.path).errors
        assert "row 2 000_0.png (" in error
        assert "row 8 …_again.png (" in error

    def test_repeated_images_that_are_called_after_patients_are_named_by_rows(self, clinic):
        for number, row in enumerate(clinic.rows):
            row["file"] = f"{row['patient_id']}_{number % 2}.png"
        clinic.rows[5]["file"] = clinic.rows[4]["file"]
        clinic.rows[9]["file"] = clinic.rows[8]["file"]
        with pytest.raises(MedbenchError, match=r"several rows: rows 6, 7; rows 10, 11\. Keep") as caught:
            open_folder(clinic.write())
        assert "P-0" not in str(caught.value)

    @pytest.mark.parametrize(
        "changes",
        [
            {LABELS: "labels: {malignant: patient_id}"},
            {LABELS: "classes: {column: patient_id, values: {a: [x], b: [y]}}"},
            {LABELS: LABELS + "\nshifts: {x: {column: patient_id, equals: [P-1]}}"},
            {"patient: patient_id": "patient: patient_id, split: patient_id"},
            {"patient: patient_id": "patient: patient_id, evaluation_set: patient_id"},
        ],
        ids=["label", "classes", "shift", "split", "evaluation set"],
    )
    @pytest.mark.parametrize("known_as", ["patient", "cluster"])
    def test_no_message_quotes_the_column_of_patients(self, clinic, changes, known_as):
        clinic.rows = clinic.rows[:12]  # few enough that any other column would be quoted
        declaration = edited(clinic.declaration, changes)
        found = check(clinic.write(declaration.replace("patient: patient_id", f"{known_as}: patient_id")))
        assert found.errors
        assert not any("P-0" in message for message in found.errors + found.warnings)

    def test_dates_of_birth_are_not_quoted(self, clinic):
        for number, row in enumerate(clinic.rows[2:], start=2):
            row["age"] = f"1950-01-{number // 2:02}"
        (error,) = check(clinic.write()).errors
        assert (
            "attribute `age`: column `age` has values that are no numbers: 29 values in rows 4, 5, " in error
        )
        assert "1950" not in error

    def test_an_attribute_with_too_many_groups_is_an_error_that_shows_none(self, clinic):
        for number, row in enumerate(clinic.rows):
            row["born"] = f"1950-01-{number // 2 % 21 + 1:02}"
        path = clinic.write(edited(clinic.declaration, {"sex: sex": "born: born"}))
        found = check(path)
        (error,) = found.errors
        assert "attribute `born` has 21 groups, and may be at most 20. Join them: `bins: [40, 60]`" in error
        assert list(found.groups) == ["age"]
        for row in clinic.rows:
            row["born"] = row["born"].replace("-21", "-20")
        assert not check(clinic.write()).errors


class TestOtherCohorts:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"domain: dermatology": "domain: chest"}, r"is of domain `chest`, expected `dermatology`"),
            (
                {"malignant:": "cancer:"},
                r"predicts .*`cancer`; expected .*`malignant`\. Declare the same labels",
            ),
            ({LABELS: CLASSES}, r"predicts single-label `naevus`, `melanoma`, `carcinoma`; expected"),
            ({"image: file": "image: fil"}, r"clinic-b/cohort\.yaml:4: .*no column `fil`"),
        ],
    )
    def test_a_shift_must_ask_the_same_question(self, clinic, tmp_path, changes, message):
        other = Clinic(tmp_path / "clinic-b", patients=6)
        other.write(edited(other.declaration, changes))
        path = clinic.write(clinic.declaration + "shifts: {clinic-b: ../clinic-b}\n")
        with pytest.raises(MedbenchError, match=message):
            open_folder(path)

    def test_its_mistakes_name_its_own_table(self, clinic, tmp_path):
        other = Clinic(tmp_path / "clinic-b", patients=6)
        cells("?", 3, column="dx")(other)
        other.write()
        errors = check(clinic.write(clinic.declaration + "shifts: {clinic-b: ../clinic-b}\n")).errors
        assert errors[0].startswith(f"{other.folder / 'manifest.csv'}: label `malignant`")


def test_of_several_errors_the_first_is_raised_and_the_rest_counted(clinic):
    cells("?", 5, column="dx")(clinic)
    cells("", 7, column="patient_id")(clinic)
    with pytest.raises(
        MedbenchError, match=r"1 more error: `medbench cohort check .*cohort\.yaml` lists all"
    ):
        open_folder(clinic.write())


CELL = st.sampled_from(
    ["", "0", "1", "1.0", "MEL", "NEV", "mel", "F", "47", "nan", "a,b", 'q"', "ä", "x\ny", "id", "train"]
)
ROWS = st.lists(
    st.fixed_dictionaries(dict.fromkeys(("file", "patient_id", "dx", "sex", "age", "fold"), CELL)),
    min_size=1,
    max_size=8,
)
DECLARATIONS = st.sampled_from(
    [
        {},
        SPLIT,
        {LABELS: CLASSES},
        {LABELS: "labels: {a: dx, b: sex}\nuncertain: {values: [''], policy: ignore}"},
        {"patient: patient_id": "cluster: file, evaluation_set: fold"},
        {LABELS: LABELS + "\nshifts: {old: {column: age, equals: [47]}}"},
    ]
)


@given(ROWS, DECLARATIONS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_whatever_stands_in_the_table_the_answer_is_a_cohort_or_errors(tmp_path, rows, changes):
    folder = Path(tmp_path)
    clinic = Clinic(folder)
    (folder / "images").mkdir(exist_ok=True)
    for name in ("0", "1", "MEL", "NEV"):
        write_noise(folder / "images" / "noise.png", seed=ord(name[0]))
        (folder / "images" / "noise.png").rename(folder / "images" / name)
    (folder / "manifest.csv").write_text(table_text(rows), encoding="utf-8", newline="")
    clinic.path.write_text(edited(clinic.declaration, changes))
    found = check(clinic.path)
    if found.errors:
        with pytest.raises(MedbenchError):
            open_folder(clinic.path)
    else:
        cohort = open_folder(clinic.path)
        for split in cohort.parts:
            assert len(cohort.images(split, 2)) == len(cohort.examples(split)) > 0


def test_a_column_that_is_there_twice_with_the_same_cells_counts_once(tmp_path):
    (tmp_path / "table.csv").write_text("id,age,id\na,30,a\nb,40,b\n")
    assert read_table(tmp_path / "table.csv").columns == {"id": ["a", "b"], "age": ["30", "40"]}
