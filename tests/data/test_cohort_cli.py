import argparse
import re

import pytest

from medbench.data import cohort_cli
from medbench.data.folder import open_folder
from medbench.errors import MedbenchError
from medbench.pseudonym import Pseudonyms
from tests.data.clinic import edited


def medbench_cohort(*arguments) -> int:
    parser = argparse.ArgumentParser()
    cohort_cli.add_arguments(parser)
    return cohort_cli.run(parser.parse_args([str(a) for a in arguments]))


def torn(clinic):
    """A cohort with a patient in two splits."""
    for number, row in enumerate(clinic.rows):
        row["fold"] = ("train", "validation", "id")[number // 2 % 3]
    clinic.rows[0]["fold"] = "id"
    clinic.write(edited(clinic.declaration, {"patient: patient_id": "patient: patient_id, split: fold"}))
    return clinic.folder


def test_a_sound_cohort_is_counted_and_the_next_command_named(clinic, tmp_path, capsys):
    clinic.write()
    assert medbench_cohort("check", clinic.folder, "--store", tmp_path / "store") == 0
    text = capsys.readouterr().out
    assert "folder:clinic-a · dermatology · 60 images of 30 patients" in text
    assert "predicted: exactly one of not malignant, malignant" in text
    assert re.search(r"^train +36 +18 +24 +12$", text, re.MULTILINE)
    assert re.search(r"^sex +F +\d+ +\d+ +\d+$", text, re.MULTILINE)
    assert f"No errors. Next: pytest benchmarks -k dermatology --cohort {clinic.path}" in text


def test_columns_stand_below_their_names(clinic, tmp_path, capsys):
    clinic.write()
    medbench_cohort("check", clinic.folder, "--store", tmp_path / "store")
    header, train = re.search(r"^(set .*)\n(train.*)$", capsys.readouterr().out, re.MULTILINE).groups()
    assert len(header) == len(train)
    assert header.index("images") + len("images") == train.index("36") + 2


def test_errors_give_the_status_one_and_name_patients_by_keyed_hash(clinic, tmp_path, capsys):
    assert medbench_cohort("check", torn(clinic), "--store", tmp_path / "store") == 1
    text = capsys.readouterr().out
    assert "1 error:" in text
    assert "The cohort cannot be used before the errors are put right." in text
    assert f"{Pseudonyms(tmp_path / 'store' / 'key').of('P-0000')} rows 2, 3" in text
    assert "P-0000" not in text


def test_the_store_that_a_check_makes_is_not_committed_by_accident(clinic, tmp_path):
    clinic.write()
    medbench_cohort("check", clinic.folder, "--store", tmp_path / "store")
    assert (tmp_path / "store" / "key").exists()
    assert (tmp_path / "store" / ".gitignore").read_text() == "*\n"


def test_ids_are_shown_when_they_are_asked_for(clinic, tmp_path, capsys):
    medbench_cohort("check", torn(clinic), "--show-ids", "--store", tmp_path / "store")
    assert "P-0000 rows 2, 3" in capsys.readouterr().out


def test_a_mistake_in_the_declaration_is_all_there_is_to_say(clinic, tmp_path, capsys):
    clinic.write(edited(clinic.declaration, {"table:": "tabel:"}))
    assert medbench_cohort("check", clinic.folder, "--store", tmp_path / "store") == 1
    text = capsys.readouterr().out
    assert text.startswith("1 error:\n  - ")
    assert "Did you mean `table`?" in text


OBEYED = "\x1b[2J\x1b]0;owned\x07"
"""A terminal clears its screen and changes its title at this."""


@pytest.mark.parametrize(
    "spoil",
    [
        lambda clinic: clinic.rows[4].update(dx=f"{OBEYED}x"),  # a label
        lambda clinic: clinic.rows[4].update(sex=f"{OBEYED}x"),  # a group
        lambda clinic: clinic.rows[4].update(file=f"{OBEYED}.png"),  # a damaged image
        lambda clinic: [row.update({OBEYED: row.pop("dx")}) for row in clinic.rows],  # a header
    ],
    ids=["label", "group", "image", "header"],
)
def test_nothing_that_a_terminal_obeys_comes_through_from_a_table(clinic, tmp_path, capsys, spoil):
    spoil(clinic)
    clinic.write()
    if not clinic.image(4).name[0].isprintable():
        clinic.image(4).write_bytes(clinic.image(4).read_bytes()[:-30])
        cohort = open_folder(clinic.path)
        with pytest.raises(MedbenchError) as caught:
            [cohort.images(split, 4) for split in cohort.parts]
        assert str(caught.value).isprintable()
    medbench_cohort("check", clinic.folder, "--store", tmp_path / "store")
    text = capsys.readouterr().out
    assert text.replace("\n", "").isprintable()
    assert r"\x1b[2J\x1b]0;owned\x07" in text


def test_a_cluster_is_not_called_a_patient(clinic, tmp_path, capsys):
    clinic.write(edited(clinic.declaration, {"patient: patient_id": "cluster: patient_id"}))
    medbench_cohort("check", clinic.folder, "--store", tmp_path / "store")
    text = capsys.readouterr().out
    assert "60 images of 30 clusters" in text
    assert "1 warning:" in text
    assert "`patient_id` stands in for them" in text
