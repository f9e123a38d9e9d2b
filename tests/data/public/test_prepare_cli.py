import argparse
import hashlib
import re
import shlex
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from medbench.data import cohort_cli
from medbench.data.public.medmnist_published import PUBLISHED
from medbench.errors import MedbenchError
from tests.data.public import test_medmnist

pytestmark = pytest.mark.usefixtures("wards")


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch):
    monkeypatch.delenv("MEDBENCH_COHORTS", raising=False)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def cohort_command(store):
    def run(command, *arguments) -> int:
        parser = argparse.ArgumentParser()
        cohort_cli.add_arguments(parser)
        given = [command, *map(str, arguments), *([] if command == "unpack" else ["--store", str(store)])]
        return cohort_cli.run(parser.parse_args(given))

    return run


def test_preparing_ends_with_counts_size_licence_and_the_next_command(ward, store, cohort_command, capsys):
    assert cohort_command("prepare", "ward", "--from", ward.write(), "--workers", 2) == 0
    text, told = capsys.readouterr()
    assert "public:ward · chest · 80 images of 40 patients" in text
    assert re.search(r"^train +48 +24 +\d+ +\d+ \(\d+ unknown\)$", text, re.MULTILINE)
    assert "Next: pytest benchmarks -k chest --cohort public:ward" in text
    assert re.search(rf"Prepared in \d+ s: 80 images, \d+ MB in {store}/cohorts/ward\.", text)
    assert "Licence: CC0. To cite: Nobody, 2026" in text
    assert "reading images: 80 of 80" in told
    assert (store / ".gitignore").read_text() == "*\n"


def test_another_folder_is_named_in_the_next_command(ward, into, cohort_command, capsys):
    cohort_command("prepare", "ward", "--from", ward.write(), "--into", into)
    assert f"Next: MEDBENCH_COHORTS={into} pytest benchmarks" in capsys.readouterr().out


def test_a_command_that_is_named_can_be_pasted_whatever_the_folders_are_called(
    ward, tmp_path, cohort_command, capsys
):
    into = tmp_path / "my cohorts; $HOME"
    cohort_command("prepare", "ward", "--from", ward.write(), "--into", into)
    (command,) = re.findall(r"Next: (.*)", capsys.readouterr().out)
    assert shlex.split(command)[:2] == [f"MEDBENCH_COHORTS={into}", "pytest"]


def test_the_store_is_named_where_the_cohort_lies_in_it(
    ward, into, store, cohort_command, capsys, monkeypatch
):
    cohort_command("prepare", "ward", "--from", ward.write())
    following = f"pytest benchmarks -k chest --cohort public:ward --store {store}\n"
    assert f"Next: {following}" in capsys.readouterr().out
    cohort_command("check", "ward")
    assert f"Next: {following}" in capsys.readouterr().out
    cohort_command("list", "annex")
    assert f"Next: medbench cohort prepare annex --from DIR --store {store}\n" in capsys.readouterr().out
    monkeypatch.setenv("MEDBENCH_COHORTS", str(into))
    cohort_command("prepare", "ward", "--from", ward.folder)
    assert "Next: pytest benchmarks -k chest --cohort public:ward\n" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--from", "--into"])
def test_an_empty_folder_name_is_refused(ward, cohort_command, capsys, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cohort_command("prepare", "ward", "--from", ward.write(), option, "")
    assert f"argument {option}: expected a folder" in capsys.readouterr().err


def test_one_that_is_prepared_is_told_with_its_sets_and_place(ward, store, cohort_command, capsys):
    cohort_command("prepare", "ward", "--from", ward.write())
    capsys.readouterr()
    cohort_command("list", "ward")
    text = capsys.readouterr().out
    assert re.search(rf"^  prepared +\d{{4}}-\d\d-\d\d in {store}/cohorts/ward$", text, re.MULTILINE)
    assert re.search(r"^  sets +train 48, validation 8, id 24 images$", text, re.MULTILINE)
    assert text.endswith(f"Next: medbench cohort check ward --store {store}\n")


def test_ctrl_c_says_how_to_go_on(ward, cohort_command, capsys, monkeypatch):
    from medbench.data.public import prepare

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "prepare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cohort_command("prepare", "ward", "--from", ward.write())
    assert "What is staged is kept: the same command goes on from there." in capsys.readouterr().err


@pytest.mark.parametrize("reference", ["public:ward", "ward", "ward@ones"])
def test_a_prepared_cohort_is_checked_with_the_same_table_as_a_folder(
    ward, cohort_command, capsys, reference
):
    cohort_command("prepare", "ward", "--from", ward.write())
    capsys.readouterr()
    assert cohort_command("check", reference) == 0
    text = capsys.readouterr().out
    assert re.search(r"^train +48 +24 +\d+ +\d+", text, re.MULTILINE)
    assert re.search(r"^sex +F +\d+ +\d+ +\d+$", text, re.MULTILINE)
    assert "No errors." in text


def test_a_flipped_byte_is_found_by_the_check(ward, store, cohort_command, capsys):
    cohort_command("prepare", "ward", "--from", ward.write())
    (records,) = (store / "cohorts" / "ward").glob("*train.array_record*")
    data = bytearray(records.read_bytes())
    place = data.index(b"IDAT") + 20
    data[place] ^= 255
    records.write_bytes(data)
    capsys.readouterr()
    assert cohort_command("check", "ward") == 1
    text = capsys.readouterr().out
    assert f"{records}: altered since it was prepared" in text
    assert re.search(r"train\[\d+\]: ", text)


def test_a_cohort_that_is_not_prepared_cannot_be_checked(cohort_command):
    with pytest.raises(MedbenchError, match="medbench cohort prepare ward --from DIR"):
        cohort_command("check", "ward")


def test_the_list_says_which_are_prepared_and_whose_shift_each_is(ward, cohort_command, capsys):
    cohort_command("list")
    assert re.search(r"^ward +chest +no +80 +0\.1 GB$", capsys.readouterr().out, re.MULTILINE)
    cohort_command("prepare", "ward", "--from", ward.write())
    capsys.readouterr()
    cohort_command("list")
    text = capsys.readouterr().out
    assert re.search(r"^ward +chest +\d{4}-\d\d-\d\d +80 +0\.0 GB$", text, re.MULTILINE)
    assert re.search(r"^annex +chest +no +ward +80 +0\.1 GB$", text, re.MULTILINE)
    assert "  ward: CC0" in text


def test_one_is_told_whole(cohort_command, capsys):
    cohort_command("list", "ward")
    text = capsys.readouterr().out
    for words in (
        "Ward films",
        "Nobody, 2026",
        "https://example.org/ward",
        "Ask nobody for ward.zip",
        "attributes        sex",
        "ignore, ones, zeros",
        "80 images of 40 patients",
        "Next: medbench cohort prepare ward --from DIR",
    ):
        assert words in text


def test_a_wrong_name_is_answered_with_the_nearest(ward, cohort_command):
    for arguments in (("list", "wadr"), ("prepare", "wadr", "--from", ward.folder)):
        with pytest.raises(MedbenchError, match="Did you mean `ward`"):
            cohort_command(*arguments)


def test_no_workers_are_refused(ward, cohort_command, capsys):
    with pytest.raises(SystemExit):
        cohort_command("prepare", "ward", "--from", ward.folder, "--workers", "0")
    assert "expected a whole number, at least 1" in capsys.readouterr().err


def test_archives_are_unpacked_beside_and_then_the_cohort_is_prepared(ward, cohort_command, capsys):
    folder = ward.write()
    (images,) = (path for path in folder.iterdir() if path.is_dir())
    archive = shutil.make_archive(str(images), "zip", images)
    shutil.rmtree(images)
    with pytest.raises(MedbenchError, match=re.escape(f"First: medbench cohort unpack {folder}.")):
        cohort_command("prepare", "ward", "--from", folder)
    for _ in range(2):  # what is unpacked is left alone
        assert cohort_command("unpack", folder) == 0
        assert f"1 archive in {folder} unpacked beside." in capsys.readouterr().out
    assert Path(archive).exists()
    assert cohort_command("prepare", "ward", "--from", folder, "--workers", 1) == 0


def test_a_member_outside_of_its_archives_folder_leaves_nothing(tmp_path, cohort_command):
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr("../escaped.png", b"x")
    with pytest.raises(MedbenchError, match="escaped"):
        cohort_command("unpack", tmp_path)
    assert not (tmp_path / "films").exists()
    assert not list(tmp_path.parent.glob("escaped*"))


def test_preparing_without_the_publishers_folder_says_what_is_missing(cohort_command):
    with pytest.raises(MedbenchError, match=r"--from DIR is missing.*Ask nobody for ward\.zip"):
        cohort_command("prepare", "ward")


def test_a_file_of_medmnist_is_verified_and_put_where_it_is_opened_from(
    tmp_path, monkeypatch, store, cohort_command, capsys
):
    file = test_medmnist.write(tmp_path / "pneumoniamnist.npz", test_medmnist.arrays())
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    published = PUBLISHED["pneumoniamnist"]
    monkeypatch.setitem(PUBLISHED, "pneumoniamnist", replace(published, md5=published.md5 | {28: md5}))
    assert cohort_command("prepare", "medmnist:pneumoniamnist@28", "--from", file) == 0
    assert "pytest benchmarks -k chest --cohort medmnist:pneumoniamnist@28" in capsys.readouterr().out
    assert cohort_command("check", "medmnist:pneumoniamnist@28") == 0
    assert (store / "cohorts/pneumoniamnist.npz").read_bytes() == file.read_bytes()
