import errno
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import PIL
import pytest
from PIL import Image

import medbench
from medbench import identity
from medbench.data.findings import Findings
from medbench.data.images import read_image
from medbench.data.public import prepare, staging
from medbench.data.public.parts import read_parts
from medbench.data.public.prepared import SCHEME, open_prepared
from medbench.data.public.staging import SHORTER_SIDE, Staging, encode
from medbench.errors import MedbenchError
from medbench.spec.runs import Target
from tests.data.public.ward import SOURCE, Ward, source, write_noise

pytestmark = pytest.mark.usefixtures("wards")

SETS = ("train", "validation", "id")


def prepared(ward, into, of=SOURCE, processes=2):
    return prepare.prepare(of, ward.folder, into, processes=processes, report=lambda *_: None)


def content(folder):
    """Everything below a folder, by name."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_image_comes_out_as_it_went_in_under_its_own_row(ward, into):
    ward.write()
    prepared(ward, into)
    cohort = open_prepared("ward", into)
    by_name = {row["file"]: row for row in ward.rows}
    seen = []
    for name in SETS:
        examples = cohort.examples(name)
        for i, image in enumerate(examples.image.tolist()):
            row = by_name[image]
            np.testing.assert_array_equal(
                cohort.set(name).image(i), read_image(ward.folder / "images" / image)
            )
            assert row["patient"] == examples.patient[i]
            assert row["sex"] == examples.attributes["sex"][i]
            assert row["effusion"] == str(examples.labels[i, 0])
            seen.append(image)
    assert sorted(seen) == sorted(by_name)


def test_records_keep_their_order_across_files(ward, into, monkeypatch):
    from medbench.data.public import builder

    monkeypatch.setattr(builder, "SHARD", 3_000)
    ward.write()
    prepared(ward, into)
    assert len(list((into / "ward").glob("*train.array_record*"))) > 3
    cohort = open_prepared("ward", into)
    for i, image in enumerate(cohort.examples("train").image.tolist()):
        np.testing.assert_array_equal(
            cohort.set("train").image(i), read_image(ward.folder / "images" / image)
        )


def test_plain_tfds_reads_what_was_prepared_in_the_same_order(ward, into):
    import tensorflow_datasets as tfds

    ward.rows[0]["file"] = "coloured.png"
    ward.write()
    write_noise(ward.image(0), seed=0, mode="RGB")
    prepared(ward, into)
    cohort = open_prepared("ward", into)
    for name, records in tfds.builder_from_directory(into / "ward").as_data_source().items():
        examples = cohort.examples(name)
        assert [record["name"].decode() for record in records] == examples.image.tolist()
        assert [record["patient"].decode() for record in records] == examples.patient.tolist()
        assert {record["image"].shape for record in records} == {(20, 24, 3)}


def test_the_same_files_give_the_same_cohort_wherever_they_lie(ward, into, tmp_path):
    ward.write()
    first = prepared(ward, into).record.fingerprint
    ward.folder.rename(tmp_path / "elsewhere")
    moved = Ward(tmp_path / "elsewhere")
    assert prepared(moved, tmp_path / "others").record.fingerprint == first


@pytest.mark.parametrize("what", ["pixel", "label", "group"])
def test_one_changed_pixel_label_or_group_is_another_cohort(ward, into, what):
    ward.write()
    first = prepared(ward, into).record.fingerprint
    if what == "pixel":
        write_noise(ward.image(7), seed=999)
    else:
        column = {"label": "edema", "group": "sex"}[what]
        ward.rows[7][column] = {"label": "u", "group": "F"}[what]
        ward.rows[9][column] = {"label": "1", "group": "M"}[what]
    ward.write_table()
    assert prepared(ward, into).record.fingerprint != first


def test_the_shares_of_patients_are_60_10_and_30_percent(ward, into):
    ward.write()
    assert prepared(ward, into).record.patients == {"train": 24, "validation": 4, "id": 12}


def given_sets(ward, names):
    """Gives every patient a set, in turn."""
    for number, row in enumerate(ward.rows):
        row["set"] = names[number // 2 * 7 // 5 % len(names)]


def test_without_validation_a_part_of_the_training_patients_is_taken(ward, into):
    given_sets(ward, ("train", "id"))
    ward.write()
    of_id = {row["patient"] for row in ward.rows if row["set"] == "id"}
    record = prepared(ward, into).record
    assert set(open_prepared("ward", into).examples("id").patient.tolist()) == of_id
    assert record.patients["train"] + record.patients["validation"] == 40 - len(of_id)
    assert record.warnings == ("The source has no validation set: a part of the training patients is taken.",)


def test_own_shifts_are_kept_apart(ward, into):
    given_sets(ward, ("train", "id", "validation", "night"))
    ward.write()
    prepared(ward, into)
    cohort = open_prepared("ward", into)
    assert cohort.shifts == ("night",)
    assert set(cohort.examples("night").image.tolist()) == {
        row["file"] for row in ward.rows if row["set"] == "night"
    }


def spoilt(ward, how):
    """Spoils the ward in one way; returns what the error must say."""
    if how == "patient in two sets":
        given_sets(ward, SETS)
        ward.rows[0]["set"], ward.rows[1]["set"] = "train", "id"
        ward.write_table()
        return r"ward\.csv: rows 2, 3: one patient in several sets \(id and train\)"
    if how == "missing image":
        ward.image(4).unlink()
        return (
            r"1 image file of 80 missing below .*: ward\.csv: row 6\. Ward films: Ask nobody for ward\.zip "
            r"and unpack it\. Licence: CC0\."
        )
    if how == "damaged image":
        ward.image(4).write_bytes(ward.image(4).read_bytes()[:-30])
        return r"ward\.csv: row 6: .*film-0002-0\.png: damaged image"
    if how == "copy under another patient":
        shutil.copy(ward.image(4), ward.image(9))
        return r"same image under different patients: row 6 film-0002-0\.png \(\w+\), row 11 film-0004-1\.png"
    if how == "unknown label":
        ward.rows[4]["effusion"] = "maybe"
        ward.write_table()
        return r"ward\.csv: row 6: `maybe` is no label"
    if how == "no such class":
        for row in ward.rows:
            row["edema"] = "0"
        ward.write_table()
        return r"no image with `edema` is in `train`"
    assert how == "listed twice"
    ward.rows[4]["file"] = ward.rows[5]["file"]
    ward.write_table()
    return r"1 image is listed more than once: ward\.csv: rows 6, 7\."


MISTAKES = (
    "patient in two sets",
    "missing image",
    "damaged image",
    "copy under another patient",
    "unknown label",
    "no such class",
    "listed twice",
)


@pytest.mark.parametrize("how", MISTAKES)
def test_a_mistake_is_one_error_and_leaves_what_was_prepared_before(ward, into, how):
    ward.write()
    prepared(ward, into)
    before = content(into / "ward")
    expected = spoilt(ward, how)
    with pytest.raises(MedbenchError, match=expected) as caught:
        prepared(ward, into)
    assert ", 1 error:" in str(caught.value) or how == "no such class"
    assert "P0002" not in str(caught.value)
    assert content(into / "ward") == before
    assert not (into / ".incoming" / "ward").exists()


def test_of_many_errors_twenty_are_shown_and_the_rest_counted(ward, into):
    ward.write()
    for number in range(30):
        ward.image(number).write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(MedbenchError) as caught:
        prepared(ward, into)
    lines = str(caught.value).splitlines()
    assert "30 errors:" in lines[0]
    assert sum("damaged" in line for line in lines) == prepare.ERRORS_SHOWN == 20
    assert "  - 10 more errors" in lines
    assert lines[-1] == "What was prepared before is unchanged."


def test_a_name_that_no_file_can_have_is_a_missing_image(ward, into):
    ward.write()
    ward.rows[4]["file"] = "P0002" * 60
    ward.write_table()
    with pytest.raises(MedbenchError, match=r"1 image file of 80 missing below .*row 6") as caught:
        prepared(ward, into)
    assert "P0002" not in str(caught.value)


def test_a_file_that_goes_while_the_cohort_is_prepared_is_an_error_with_its_row(ward, into, monkeypatch):
    """Its name holds the patient's id, as publishers' names do."""
    ward.rows[4]["file"] = "P0002.png"
    ward.write()

    def read_then_lose(*given):
        read = read_parts(*given)
        ward.image(4).unlink()
        return read

    monkeypatch.setattr(prepare, "read_parts", read_then_lose)
    with pytest.raises(MedbenchError, match=r"1 error:\n.*ward\.csv: row 6: .*cannot be read") as caught:
        prepared(ward, into)
    assert "P0002" not in str(caught.value)
    assert "space" not in str(caught.value)


def test_an_image_whose_name_differs_in_the_case_of_its_letters_is_said_to_be_there(ward, into):
    ward.write()
    for number in (4, 6):
        ward.image(number).rename(ward.image(number).with_suffix(".PNG"))
    with pytest.raises(MedbenchError, match=r"2 image files of 80 missing.*2 of them are there") as caught:
        prepared(ward, into)
    assert "2 of them are there with other capitals: rename them." in str(caught.value)


def test_archives_that_are_not_unpacked_are_named_where_images_are_missing(ward, into):
    ward.write()
    shutil.rmtree(ward.folder / "images")
    (ward.folder / "images_1.tar.gz").touch()
    with pytest.raises(
        MedbenchError,
        match=r"80 image files of 80 missing.*Not unpacked: images_1\.tar\.gz\. First: medbench",
    ):
        prepared(ward, into)


def test_a_folder_that_is_not_there_says_where_the_files_are_to_be_had(ward, into):
    with pytest.raises(MedbenchError, match=r"no such folder\. Ward films: Ask nobody.* Licence: CC0"):
        prepared(ward, into)


def test_copies_within_a_patient_are_a_warning(ward, into):
    ward.write()
    shutil.copy(ward.image(4), ward.image(5))
    assert "1 image repeats another of the same patient" in prepared(ward, into).record.warnings[0]


def test_a_source_whose_rows_are_of_no_declared_set_is_a_mistake_of_ours(ward):
    given_sets(ward, (*SETS, "evening"))
    ward.write()
    with pytest.raises(ValueError, match="evening"):
        read_parts(SOURCE, ward.folder, Findings())


def test_a_source_that_gives_out_rows_without_their_only_label_is_a_mistake_of_ours(ward):
    single = source("ward", target=Target(kind="single-label", classes=("effusion", "edema")))
    ward.write()
    assert any(row["edema"] == "" for row in ward.rows)
    with pytest.raises(ValueError, match="only label"):
        read_parts(single, ward.folder, Findings())


@pytest.mark.parametrize(
    ("mode", "height", "width", "shape"),
    [
        ("L", 600, 900, (512, 768, 1)),
        ("RGB", 1024, 520, (1008, 512, 3)),
        ("L", 512, 3000, (512, 3000, 1)),
        ("RGBA", 30, 40, (30, 40, 3)),
    ],
)
def test_the_shorter_side_is_at_most_512_and_the_aspect_kept(tmp_path, mode, height, width, shape):
    path = tmp_path / "a.png"
    write_noise(path, seed=1, height=height, width=width, mode=mode)
    staged, kept = encode(path.read_bytes(), path, "plain")
    (tmp_path / "b.png").write_bytes(kept)
    assert read_image(tmp_path / "b.png").shape == shape
    assert (staged.height, staged.width, staged.channels) == (height, width, shape[2])
    assert SHORTER_SIDE == 512


def picture(mode, size=(40, 30), depth=8):
    pixels = np.random.default_rng(3).integers(0, 2**depth, (size[1], size[0], 3))
    return Image.fromarray((pixels if mode == "RGB" else pixels[..., 0]).astype(f"uint{depth}"))


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


ROTATED = Image.Exif()
ROTATED[0x0112] = 6

UNTOUCHED = {
    "grey PNG": saved(picture("L"), "PNG"),
    "colour PNG": saved(picture("RGB"), "PNG"),
    "grey JPEG": saved(picture("L"), "JPEG"),
    "colour JPEG": saved(picture("RGB"), "JPEG"),
}
CHANGED = {
    "rotated": saved(picture("RGB"), "JPEG", exif=ROTATED),
    "16 bits": saved(picture("L", depth=16), "PNG"),
    "palette": saved(picture("RGB").quantize(16), "PNG"),
    "one bit": saved(picture("L").convert("1"), "PNG"),
    "CMYK": saved(picture("RGB").convert("CMYK"), "JPEG"),
    "transparent": saved(picture("RGB"), "PNG", transparency=(0, 0, 0)),
    "grey in three channels": saved(picture("L").convert("RGB"), "PNG"),
}


@pytest.mark.parametrize("name", [*UNTOUCHED, *CHANGED])
def test_a_file_that_needs_nothing_keeps_its_bytes_and_others_show_what_they_showed(tmp_path, name):
    data = {**UNTOUCHED, **CHANGED}[name]
    path, again = tmp_path / "a", tmp_path / "b"
    path.write_bytes(data)
    staged, kept = encode(data, path, "plain")
    assert (kept == data) == (name in UNTOUCHED)
    again.write_bytes(kept)
    shown, expected = read_image(again), read_image(path)
    np.testing.assert_array_equal(shown, expected if name != "grey in three channels" else expected[..., :1])
    assert staged.channels == shown.shape[2]
    with Image.open(io.BytesIO(kept)) as image:
        assert image.mode in {"L", "RGB"}


def test_a_mammogram_is_cropped_to_the_breast_and_lies_with_the_chest_wall_to_the_left(tmp_path):
    film = np.zeros((1500, 1200), np.uint8)
    rows, columns = np.indices(film.shape)
    breast = ((rows - 800) / 500) ** 2 + ((columns - 1199) / 500) ** 2 < 1
    film[breast] = 150
    path = tmp_path / "a.png"
    Image.fromarray(film).save(path)
    staged, kept = encode(path.read_bytes(), path, "mammogram")
    (tmp_path / "b.png").write_bytes(kept)
    shown = read_image(tmp_path / "b.png")
    assert (staged.height, staged.width) == film.shape
    assert min(shown.shape[:2]) == SHORTER_SIDE
    assert 1.8 < shown.shape[0] / shown.shape[1] < 2.1
    middle = shown[shown.shape[0] // 2, :, 0]
    assert middle[0] == 150
    assert middle[-1] < 50


def test_too_little_space_is_refused_with_figures(ward, into, monkeypatch):
    ward.write()
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 20_000, 20_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(MedbenchError, match=r"80 images need about 0\.\d MB there .* 0\.0 MB are free"):
        prepared(ward, into)
    assert not (into / "ward").exists()


def run_and_kill(ward, into, kill_at):
    command = [sys.executable, "-m", "tests.data.public.killed", ward.folder, into, str(kill_at)]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def staged_files(into):
    """The images that are staged, with when they were."""
    files = [path for path in (into / ".staging").rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files if path.suffix != ".partial"}


def test_killed_it_goes_on_and_neither_redoes_nor_loses_an_image(ward, into, monkeypatch):
    ward.write()
    died = run_and_kill(ward, into, 40)
    assert died.returncode == -9, died.stderr
    before = staged_files(into)
    assert 40 <= len(before) < 80
    assert not (into / "ward").exists()
    at_the_end = {}
    write = prepare._write
    monkeypatch.setattr(
        prepare, "_write", lambda *a, **k: at_the_end.update(staged_files(into)) or write(*a, **k)
    )
    done = prepared(ward, into)
    assert done.found == len(before)
    assert {path: at_the_end[path] for path in before} == before
    assert len(at_the_end) == sum(done.record.images.values()) == 80
    assert not staged_files(into)


def test_workers_do_not_outlive_a_killed_parent(ward, into):
    ward.write()
    command = [sys.executable, "-m", "tests.data.public.killed", str(ward.folder), str(into), "10"]
    # A pipe that workers inherit is at its end when the last of them is gone.
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        parent.communicate(timeout=60)
    assert parent.returncode == -9


def test_ctrl_c_ends_it_and_its_workers_and_the_same_command_goes_on(ward, into):
    ward.write(height=700, width=700)
    command = [sys.executable, "-m", "tests.data.public.killed", str(ward.folder), str(into), "0"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as parent:
        while len(staged_files(into)) < 10:
            assert parent.poll() is None
            time.sleep(0.02)
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: the workers get it too
        parent.communicate(timeout=60)
    assert parent.returncode != 0
    before = len(staged_files(into))
    assert before >= 10
    if not (into / "ward").exists():
        assert prepared(ward, into).found == before


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_a_changed_file_is_staged_anew_and_the_others_are_not(ward, into, monkeypatch):
    ward.write()
    with monkeypatch.context() as patched:
        patched.setattr(prepare, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepared(ward, into)
    write_noise(ward.image(3), seed=777)
    assert prepared(ward, into).found == 79
    cohort = open_prepared("ward", into)
    name, i = next(
        (name, images.index(ward.rows[3]["file"]))
        for name in SETS
        if ward.rows[3]["file"] in (images := cohort.examples(name).image.tolist())
    )
    np.testing.assert_array_equal(cohort.set(name).image(i), read_image(ward.image(3)))


def test_an_upgrade_of_a_decoder_stages_all_images_anew(ward, into, monkeypatch):
    ward.write()
    assert f"pillow {PIL.__version__}" in prepare.versions()
    with monkeypatch.context() as patched:
        patched.setattr(prepare, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepared(ward, into)
    monkeypatch.setattr(prepare, "versions", lambda: ("pillow 999",))
    assert prepared(ward, into).found == 0


def test_what_shapes_prepared_pixels_changes_with_the_scheme_only():
    package = Path(medbench.__file__).parent / "data"
    files = ("public/staging.py", "breast.py", "dicom.py", "images.py")
    code = [identity._bare_code((package / file).read_text(encoding="utf-8")) for file in files]
    pinned = (SCHEME, hashlib.sha256(msgspec.json.encode(code)).hexdigest()[:12])
    assert pinned == (1, "e0500f45f9c3"), (
        f"{', '.join(files)} changed. If pixels of the same files change by it, raise SCHEME in "
        "medbench/data/public/prepared.py; then, or if they do not, write the new digest here."
    )


def test_a_staged_file_without_its_end_is_staged_anew(ward, tmp_path):
    ward.write()
    task = Staging(tmp_path / "staging", "plain", ()).task("a", ward.image(0))
    known = staging._stage(task, "plain")
    assert staging.find_staged([task]) == [known]
    task.target.write_bytes(task.target.read_bytes()[:-1])
    assert staging.find_staged([task]) == [None]


def test_a_set_that_stepped_aside_when_the_process_died_steps_back(ward, into):
    ward.write()
    prepared(ward, into)
    before = content(into / "ward")
    (into / "ward").rename(into / ".ward.old")
    ward.image(5).write_bytes(b"nothing")
    with pytest.raises(MedbenchError, match="film-0002-1"):
        prepared(ward, into)
    assert content(into / "ward") == before


def test_a_set_that_stepped_aside_when_the_process_died_is_still_read(ward, into):
    ward.write()
    prepared(ward, into)
    before = open_prepared("ward", into)
    decoded = before.images("id", 8)
    (into / "ward").rename(into / ".ward.old")
    after = open_prepared("ward", into)
    assert after.fingerprint == before.fingerprint
    np.testing.assert_array_equal(after.images("id", 8), decoded)


def test_two_cannot_prepare_the_same_cohort_at_once(ward, into):
    import filelock

    ward.write()
    into.mkdir()
    with (
        filelock.FileLock(into / ".ward.lock"),
        pytest.raises(MedbenchError, match="another process prepares ward there"),
    ):
        prepared(ward, into)


@pytest.mark.parametrize("place", ["a file", "below a file"])
def test_a_place_that_cannot_be_written_is_not_called_full(ward, tmp_path, place):
    ward.write()
    (tmp_path / "file").touch()
    into = tmp_path / ("file" if place == "a file" else "file/cohorts")
    with pytest.raises(MedbenchError, match=rf"{into}: cannot be written \(.*--into") as caught:
        prepared(ward, into)
    assert "space" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False)]
)
def test_space_is_asked_for_where_there_is_none_and_only_there(ward, into, monkeypatch, number, full):
    def refused(*_):
        raise OSError(number, os.strerror(number), str(into / "rows"))

    ward.write()
    monkeypatch.setattr(prepare, "_write_rows", refused)
    with pytest.raises(
        MedbenchError, match=re.escape(f"rows: cannot be written ({os.strerror(number)}).")
    ) as told:
        prepared(ward, into)
    assert ("Free some space" in str(told.value)) == full


@pytest.mark.parametrize("below", ["", "images/cohorts"])
def test_nothing_is_prepared_into_the_publishers_folder(ward, below):
    ward.write()
    before = content(ward.folder)
    with pytest.raises(MedbenchError, match=r"inside .*ward.*only read.*another folder by `--into`"):
        prepared(ward, ward.folder / below)
    assert content(ward.folder) == before


def test_a_part_of_what_was_published_is_a_warning(ward):
    del ward.rows[60:]
    ward.write()
    findings = Findings()
    read_parts(SOURCE, ward.folder, findings)
    assert findings.warnings == ["A part of Ward films: 60 of the 80 images that were published."]


def test_links_that_lead_nowhere_are_missing_and_have_no_other_capitals(ward, into):
    ward.write()
    ward.image(3).unlink()
    ward.image(3).symlink_to("nowhere")
    with pytest.raises(MedbenchError, match="1 image file of 80 missing") as caught:
        prepared(ward, into)
    assert "capitals" not in str(caught.value)


def test_images_that_a_reader_passes_over_do_not_make_a_set_a_part(ward):
    ward.write()
    whole = replace(SOURCE, images=200, complete=80)
    findings = Findings()
    read_parts(whole, ward.folder, findings)
    assert not any("A part of" in warning for warning in findings.warnings)


def test_a_cohort_of_other_decoders_is_another(ward, into, monkeypatch):
    ward.write()
    first = prepared(ward, into).record.fingerprint
    monkeypatch.setattr(prepare, "versions", lambda: ("pillow 0.1",))
    assert prepared(ward, into).record.fingerprint != first


def test_a_prepared_cohort_is_its_owners_alone(ward, into):
    ward.write()
    prepared(ward, into)
    assert (into / "ward").stat().st_mode & 0o777 == 0o700


ABOUT = {
    ".gitignore",
    *(f"ward/{name}" for name in ("LICENSE", "cohort.json", "dataset_info.json", "features.json")),
}
"""What is said of a prepared cohort, without its images and patients."""


def in_git(folder):
    """What git would take of a folder: all that it does not ignore."""
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    listed = [*git, "ls-files", "--others", "--exclude-standard"]
    return set(subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split())


def test_ids_of_patients_are_kept_out_of_git(ward, into):
    ward.write()
    prepared(ward, into)
    assert in_git(into) == ABOUT


def test_ids_of_patients_are_kept_out_of_git_in_a_folder_that_was_there(ward, into):
    into.mkdir()
    (into / "mine.txt").touch()
    ward.write()
    prepared(ward, into)
    assert in_git(into) == ABOUT | {"mine.txt"}
    (into / ".gitignore").write_text("ward/\n")
    prepared(ward, into)
    assert (into / ".gitignore").read_text() == "ward/\n"


def test_staging_imports_no_jax():
    code = "import sys, medbench.data.public.staging; print([m for m in sys.modules if m.startswith('jax')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
