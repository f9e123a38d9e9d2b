import os
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from medbench.data.decoded import DecodedImages, DecodesInPlace
from medbench.data.folder import open_folder
from medbench.errors import MedbenchError
from tests.data.clinic import Clinic, edited, table_text, write_noise

MULTI_LABEL = """\
domain: chest
root: images
table: manifest.csv
columns: {image: file, patient: patient_id}
labels: {effusion: effusion, nodule: {column: nodule, positive: [yes], negative: [no]}}
"""


def rows_of(cohort):
    """Everything the cohort says of each image, by image."""
    return {
        image: (split, patient, tuple(labels))
        for split in cohort.parts
        for image, patient, labels in zip(
            cohort.examples(split).image.tolist(),
            cohort.examples(split).patient.tolist(),
            cohort.examples(split).labels.tolist(),
            strict=True,
        )
    }


def test_every_row_of_the_table_is_in_one_split_with_its_patient_and_label(clinic):
    cohort = open_folder(clinic.write())
    found = rows_of(cohort)
    assert len(found) == len(clinic.rows)
    for row in clinic.rows:
        _, patient, labels = found[row["file"]]
        assert patient == row["patient_id"]
        assert labels == ((0, 1) if row["dx"] in {"MEL", "BCC"} else (1, 0))


def test_the_cohort_says_what_it_is(clinic):
    cohort = open_folder(clinic.write())
    assert (cohort.name, cohort.domain, cohort.cluster) == ("folder:clinic-a", "dermatology", "patient")
    assert cohort.target.kind == "single-label"
    assert cohort.target.classes == ("not malignant", "malignant")
    assert cohort.attributes == ("sex", "age")
    assert cohort.shifts == ()
    assert not cohort.generated
    assert cohort.image_area == 80
    assert cohort.warnings == ()
    assert isinstance(cohort, DecodesInPlace)


def test_patients_are_split_by_the_shares_that_are_declared(clinic):
    declaration = clinic.declaration + "splits: {train: 0.5, validation: 0.2, id: 0.3, seed: 4}\n"
    cohort = open_folder(clinic.write(declaration))
    patients = {s: len(set(cohort.examples(s).patient)) for s in ("train", "validation", "id")}
    assert patients == {"train": 15, "validation": 6, "id": 9}


def test_rows_keep_the_order_of_the_table(clinic):
    cohort = open_folder(clinic.write())
    order = [row["file"] for row in clinic.rows]
    for split in cohort.parts:
        positions = [order.index(image) for image in cohort.examples(split).image]
        assert positions == sorted(positions)


def test_ages_are_cut_into_bands_and_other_attributes_taken_as_they_are(clinic):
    clinic.rows[0]["age"] = ""
    cohort = open_folder(clinic.write())
    bands, sexes = {}, {}
    for split in cohort.parts:
        examples = cohort.examples(split)
        bands.update(zip(examples.image.tolist(), examples.attributes["age"].tolist(), strict=True))
        sexes.update(zip(examples.image.tolist(), examples.attributes["sex"].tolist(), strict=True))
    assert bands["000_0.png"] == ""
    assert bands["009_0.png"] == "under 40"
    assert bands["010_0.png"] == bands["029_1.png"] == "40-59"
    assert all(sexes[row["file"]] == row["sex"] for row in clinic.rows)


def test_attributes_can_be_binned_grouped_and_missing(clinic):
    for number, row in enumerate(clinic.rows):
        row["age"] = ["20", "49.5", "50", "unknown"][number % 4]
        row["sex"] = ["1", "1.0", "2", "0"][number % 4]
    declaration = edited(
        clinic.declaration,
        {
            "sex: sex": "sex: {column: sex, values: {female: [1], male: [2]}, missing: [0]}",
            "age: age": "age: {column: age, bins: [50], missing: [unknown]}",
        },
    )
    cohort = open_folder(clinic.write(declaration))
    pairs = Counter()
    for split in cohort.parts:
        attributes = cohort.examples(split).attributes
        pairs.update(zip(attributes["sex"].tolist(), attributes["age"].tolist(), strict=True))
    assert pairs == {
        ("female", "under 50"): 30,
        ("male", "50 and over"): 15,
        ("", ""): 15,
    }


def test_several_labels_make_a_multi_label_cohort(clinic):
    for number, row in enumerate(clinic.rows):
        row |= {"effusion": str(number // 2 % 2), "nodule": ("yes", "no", "no")[number // 2 % 3]}
    cohort = open_folder(clinic.write(MULTI_LABEL))
    assert cohort.target.kind == "multi-label"
    assert cohort.target.classes == ("effusion", "nodule")
    found = rows_of(cohort)
    for row in clinic.rows:
        assert found[row["file"]][2] == (int(row["effusion"]), int(row["nodule"] == "yes"))


@pytest.mark.parametrize(("policy", "code"), [("ignore", -1), ("positive", 1), ("negative", 0)])
def test_uncertain_labels_follow_the_policy(clinic, policy, code):
    for number, row in enumerate(clinic.rows):
        row |= {"effusion": str(number // 2 % 2), "nodule": ("yes", "no", "no")[number // 2 % 3]}
    clinic.rows[4]["effusion"] = "-1"
    clinic.rows[5]["effusion"] = ""
    declaration = MULTI_LABEL + f'uncertain: {{values: [-1, ""], policy: {policy}}}\n'
    found = rows_of(open_folder(clinic.write(declaration)))
    assert found["002_0.png"][2][0] == found["002_1.png"][2][0] == code


def test_a_single_uncertain_label_that_is_ignored_leaves_the_row_out_and_says_so(clinic):
    clinic.rows[4]["dx"] = "?"
    cohort = open_folder(clinic.write(clinic.declaration + "uncertain: {values: ['?'], policy: ignore}\n"))
    assert "002_0.png" not in rows_of(cohort)
    assert len(rows_of(cohort)) == len(clinic.rows) - 1
    assert [w for w in cohort.warnings if "1 image with an uncertain label is left out (row 6)" in w]


def test_classes_are_one_hot_in_the_order_that_is_declared(clinic):
    declaration = edited(
        clinic.declaration,
        {
            "labels: {malignant: {column: dx, positive: [MEL, BCC], negative: [NEV]}}": "classes: "
            "{column: dx, values: {naevus: [NEV], melanoma: [MEL], carcinoma: [BCC, SCC]}}"
        },
    )
    cohort = open_folder(clinic.write(declaration))
    assert cohort.target.classes == ("naevus", "melanoma", "carcinoma")
    one_hot = {"NEV": (1, 0, 0), "MEL": (0, 1, 0), "BCC": (0, 0, 1)}
    found = rows_of(cohort)
    assert all(found[row["file"]][2] == one_hot[row["dx"]] for row in clinic.rows)
    assert any("the value `SCC` never occurs in column `dx`" in w for w in cohort.warnings)


def test_values_that_are_not_listed_are_negative_only_if_no_negative_ones_are(clinic):
    declaration = edited(clinic.declaration, {", negative: [NEV]": ""})
    found = rows_of(open_folder(clinic.write(declaration)))
    assert all(found[row["file"]][2][0] == (row["dx"] == "NEV") for row in clinic.rows)


def test_an_image_can_be_named_by_a_pattern_of_columns(clinic):
    for row in clinic.rows:
        row["number"] = row["file"].removesuffix(".png")
    declaration = edited(clinic.declaration, {"image: file": 'image: "{number}.png"'})
    assert set(rows_of(open_folder(clinic.write(declaration)))) == {row["file"] for row in clinic.rows}


def test_the_root_may_lie_elsewhere_and_hold_the_table(clinic, tmp_path):
    clinic.write()
    shutil.move(clinic.folder / "manifest.csv", clinic.folder / "images" / "manifest.csv")
    elsewhere = tmp_path / "mine" / "skin.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(edited(clinic.declaration, {"root: images": f"root: {clinic.folder / 'images'}"}))
    cohort = open_folder(elsewhere)
    assert cohort.name == "folder:skin"
    assert len(rows_of(cohort)) == len(clinic.rows)


def test_a_byte_order_mark_and_white_space_do_not_matter(clinic):
    before = open_folder(clinic.write()).fingerprint
    spaced = [{k: f" {v} " for k, v in row.items()} for row in clinic.rows]
    (clinic.folder / "manifest.csv").write_text("\ufeff" + table_text(spaced), encoding="utf-8")
    assert open_folder(clinic.path).fingerprint == before


def test_a_split_column_is_followed_and_missing_validation_is_taken_from_training(clinic):
    for number, row in enumerate(clinic.rows):
        row["fold"] = "test" if number // 2 % 4 == 0 else "train"
    declaration = edited(
        clinic.declaration,
        {"patient: patient_id": "patient: patient_id, split: {column: fold, values: {id: [test]}}"},
    )
    cohort = open_folder(clinic.write(declaration))
    found = rows_of(cohort)
    for row in clinic.rows:
        assert (found[row["file"]][0] == "id") == (row["fold"] == "test")
    assert any("no row is for validation" in w for w in cohort.warnings)
    assert len(cohort.examples("validation")) == pytest.approx(len(cohort.examples("train")) / 6, abs=3)


def test_an_evaluation_set_column_places_some_rows_and_leaves_the_rest_to_be_split(clinic):
    for number, row in enumerate(clinic.rows):
        row["set"] = {0: "id", 1: "vendor b"}.get(number // 2 // 6, "")
    declaration = edited(
        clinic.declaration,
        {
            "patient: patient_id": "patient: patient_id, "
            "evaluation_set: {column: set, values: {vendor-b: [vendor b]}}"
        },
    )
    cohort = open_folder(clinic.write(declaration))
    assert cohort.shifts == ("vendor-b",)
    found = rows_of(cohort)
    for row in clinic.rows:
        expected = {"id": {"id"}, "vendor b": {"vendor-b"}, "": {"train", "validation"}}[row["set"]]
        assert found[row["file"]][0] in expected


def test_a_shift_takes_its_rows_and_its_patients_other_rows_are_left_out_with_a_warning(clinic):
    for number, row in enumerate(clinic.rows):
        row["view"] = "AP" if number in {0, 2, 3, 4, 5, 6, 7, 18, 19} else "PA"
    cohort = open_folder(clinic.write(clinic.declaration + "shifts: {ap: {column: view, equals: [AP]}}\n"))
    found = rows_of(cohort)
    assert {image for image, (split, *_) in found.items() if split == "ap"} == {
        clinic.rows[n]["file"] for n in (0, 2, 3, 4, 5, 6, 7, 18, 19)
    }
    assert {clinic.rows[n]["file"] for n in range(60)} - set(found) == {clinic.rows[1]["file"]}
    assert any("1 image of 1 patient left out" in w for w in cohort.warnings)


def test_another_cohort_serves_as_a_shift_with_all_its_images(clinic, tmp_path):
    other = Clinic(tmp_path / "clinic-b", patients=6)
    for number, row in enumerate(other.rows):
        row["file"] = f"b{number}.png"
        row["skin"] = "II"
    other.write(edited(other.declaration, {"age: age": "skin_type: skin"}))
    for number in range(12):
        write_noise(other.image(number), seed=1000 + number)
    cohort = open_folder(clinic.write(clinic.declaration + "shifts: {clinic-b: ../clinic-b}\n"))
    shift = cohort.examples("clinic-b")
    assert cohort.shifts == ("clinic-b",)
    assert len(shift) == 12
    assert cohort.attributes == ("sex", "age", "skin_type")
    assert set(shift.attributes["skin_type"]) == {"II"}
    assert set(shift.attributes["age"]) == {""}
    assert set(cohort.examples("train").attributes["skin_type"]) == {""}
    everybody = [set(cohort.examples(s).patient) for s in cohort.parts]
    assert sum(map(len, everybody)) == len(set.union(*everybody)) == 36
    assert any("6 patient ids are also in the cohort" in w for w in cohort.warnings)


def test_a_cluster_that_stands_in_for_patients_is_named_and_warned_of(clinic):
    declaration = edited(clinic.declaration, {"patient: patient_id": "cluster: patient_id"})
    cohort = open_folder(clinic.write(declaration))
    assert cohort.cluster == "patient_id"
    assert any("patients are not known; `patient_id` stands in for them" in w for w in cohort.warnings)


def test_a_shift_with_another_cluster_is_named(clinic, tmp_path):
    other = Clinic(tmp_path / "clinic-b", patients=6)
    other.write(edited(other.declaration, {"patient: patient_id": "cluster: patient_id"}))
    for number in range(12):
        write_noise(other.image(number), seed=1000 + number)
    cohort = open_folder(clinic.write(clinic.declaration + "shifts: {clinic-b: ../clinic-b/cohort.yaml}\n"))
    assert cohort.cluster == "patient (clinic-b: patient_id)"


def test_images_are_decoded_in_order_and_squashed(clinic):
    cohort = open_folder(clinic.write())
    images = cohort.images("id", 5)
    names = cohort.examples("id").image
    assert images.shape == (len(names), 5, 5, 3)
    for image, name in zip(images, names, strict=True):
        with Image.open(clinic.folder / "images" / name) as picture:
            assert (image == np.asarray(picture.resize((5, 5), Image.Resampling.BILINEAR))).all()


def test_a_grey_cohort_has_one_channel_and_one_colour_image_makes_it_three(clinic):
    (clinic.folder / "images").mkdir(parents=True)
    for number in range(60):
        write_noise(clinic.image(number), seed=number, channels=1)
    grey = open_folder(clinic.write())
    assert grey.images("train", 4).shape[3] == 1
    write_noise(clinic.image(0), seed=0)
    mixed = open_folder(clinic.path)
    for split in mixed.parts:
        assert mixed.images(split, 4).shape[3] == 3
        for image, name in zip(mixed.images(split, 4), mixed.examples(split).image, strict=True):
            if name != clinic.rows[0]["file"]:
                assert (image == image[..., :1]).all()


def test_decoding_reports_and_stops_at_a_damaged_image(clinic):
    cohort = open_folder(clinic.write())
    heard = []
    out = np.empty((len(cohort.examples("id")), 4, 4, 3), dtype=np.uint8)
    cohort.decode_into(out, "id", 4, heard.append)
    assert heard == list(range(1, len(out) + 1))
    victim = clinic.folder / "images" / cohort.examples("id").image[2]
    victim.write_bytes(victim.read_bytes()[:60])
    with pytest.raises(MedbenchError, match=victim.name):
        cohort.images("id", 4)


def test_images_keep_their_aspect_where_that_is_asked_for_and_are_kept_apart(clinic, tmp_path):
    cohort = open_folder(clinic.write())
    victim = clinic.folder / "images" / cohort.examples("id").image[0]
    Image.new("L", (40, 10), 255).save(victim)
    cohort = open_folder(clinic.path)
    kept = DecodedImages(cohort, tmp_path, aspect="kept")("id", 8)
    squashed = DecodedImages(cohort, tmp_path)("id", 8)
    assert (squashed[0] == 255).all()
    assert kept[0, 3:5].min() == 255
    assert kept[0, :3].max() == kept[0, 5:].max() == 0


def test_an_unknown_split_is_refused_with_the_nearest(clinic):
    cohort = open_folder(clinic.write())
    with pytest.raises(MedbenchError, match=r"no split `validatoin`\. Did you mean `validation`\?"):
        cohort.examples("validatoin")


class TestFingerprint:
    def test_it_is_the_same_for_the_same_content_elsewhere(self, clinic, tmp_path):
        here = open_folder(clinic.write()).fingerprint
        shutil.copytree(clinic.folder, tmp_path / "copy" / "clinic-a")
        assert open_folder(tmp_path / "copy" / "clinic-a" / "cohort.yaml").fingerprint == here

    def test_columns_that_are_not_used_and_comments_do_not_enter(self, clinic):
        before = open_folder(clinic.write()).fingerprint
        for row in clinic.rows:
            row["remark"] = "x"
        assert open_folder(clinic.write("# mine\n" + clinic.declaration)).fingerprint == before

    @pytest.mark.parametrize(
        "change",
        [
            {"labels: {malignant": "labels: {cancer"},
            {"negative: [NEV]}}": "negative: [NEV]}}\nsplits: {seed: 1}"},
            {", age: age": ""},
            {"positive: [MEL, BCC], negative: [NEV]": "positive: [MEL], negative: [NEV, BCC]"},
            {"patient: patient_id": "cluster: patient_id"},
            {"domain: dermatology": "domain: chest"},
        ],
    )
    def test_it_changes_with_what_the_cohort_means(self, clinic, change):
        before = open_folder(clinic.write()).fingerprint
        assert open_folder(clinic.write(edited(clinic.declaration, change))).fingerprint != before

    @pytest.mark.parametrize(
        ("column", "value"), [("sex", ""), ("age", "90"), ("dx", "NEV"), ("patient_id", "P-9999")]
    )
    def test_it_changes_with_a_cell_that_is_used(self, clinic, column, value):
        before = open_folder(clinic.write()).fingerprint
        clinic.rows[0][column] = clinic.rows[1][column] = value
        assert open_folder(clinic.write()).fingerprint != before

    def test_it_changes_with_the_bytes_of_one_image(self, clinic, tmp_path):
        before = open_folder(clinic.write(), cache=tmp_path / "cache").fingerprint
        write_noise(clinic.image(0), seed=999)
        assert open_folder(clinic.path, cache=tmp_path / "cache").fingerprint != before

    def test_a_second_start_reads_no_image(self, clinic, tmp_path):
        before = open_folder(clinic.write(), cache=tmp_path / "cache").fingerprint
        for number in range(60):  # the bytes change behind its back: whoever reads them will notice
            path = clinic.image(number)
            status = path.stat()
            path.write_bytes(b"x" * status.st_size)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert open_folder(clinic.path, cache=tmp_path / "cache").fingerprint == before

    def test_a_damaged_cache_is_as_good_as_none(self, clinic, tmp_path):
        before = open_folder(clinic.write(), cache=tmp_path / "cache").fingerprint
        for file in (tmp_path / "cache").iterdir():
            file.write_text("{")
        assert open_folder(clinic.path, cache=tmp_path / "cache").fingerprint == before

    def test_a_cache_that_cannot_be_written_only_costs_time(self, clinic, tmp_path):
        (tmp_path / "file").write_text("in the way")
        assert open_folder(clinic.write(), cache=tmp_path / "file" / "cache").fingerprint

    def test_progress_counts_the_files(self, clinic):
        heard = []
        open_folder(clinic.write(), report=lambda done, total: heard.append((done, total)))
        assert heard == [(n, 60) for n in range(1, 61)]
