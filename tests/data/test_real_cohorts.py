"""The declarations of public image sets, tried on the images themselves where these are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from medbench.data.check import check
from medbench.data.decoded import DecodedImages
from medbench.data.folder import open_folder
from tests.data import real_cohorts

IMAGES = Path(os.environ.get("MEDBENCH_TEST_IMAGES", Path(__file__).parents[2] / ".." / "shared" / "data"))

pytestmark = pytest.mark.skipif(
    not IMAGES.is_dir(), reason="no image sets; MEDBENCH_TEST_IMAGES names the folder that holds them"
)

# images, patients or clusters, positives, as the sets' own descriptions count them
COUNTS = {
    "COVID": (180, 109, {"covid": 131}),
    "MIAS": (220, 110, {"malignant": 36}),
    "PAD_UFES": (516, 399, {"malignant": 153 + 18 + 30}),
    "PH2": (139, 139, {"malignant": 28}),
}


@pytest.fixture
def write(tmp_path):
    def write(name: str) -> Path:
        path = tmp_path / f"{name.lower()}.yaml"
        text = getattr(real_cohorts, name)
        others = {other: f"{other}.yaml" for other in ("nih_adult", "pad_ufes", "ph2")}
        path.write_text(text.format(images=IMAGES.resolve(), **others), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", COUNTS)
def test_a_public_set_is_read_whole(write, name):
    images, patients, positives = COUNTS[name]
    found = check(write(name))
    assert found.errors == []
    assert sum(count.images for count in found.sets.values()) == images
    assert sum(count.patients for count in found.sets.values()) == patients
    for label, number in positives.items():
        assert sum(count.positive[label] for count in found.sets.values()) == number


def test_films_of_children_are_read_whole_with_those_of_adults_as_a_shift_through_a_label_map(write):
    write("NIH_ADULT")
    cohort = open_folder(write("PEDIATRIC_PNEUMONIA"))
    home = [cohort.examples(name) for name in ("train", "validation", "id")]
    assert (sum(map(len, home)), sum(len(np.unique(e.patient)) for e in home)) == (3649, 2004)
    assert sum(int((e.labels[:, -1] == 1).sum()) for e in home) == 1769 + 942
    adults = cohort.examples("adult-films")
    assert (len(adults), int((adults.labels[:, -1] == 1).sum())) == (699, 117)


def test_chest_films_with_several_findings_and_films_taken_lying_as_a_shift(write):
    cohort = open_folder(write("NIH"))
    assert cohort.target.kind == "multi-label"
    assert cohort.shifts == ("ap",)
    assert len(cohort.examples("ap")) == 269
    assert any("164 images of 31 patients left out" in warning for warning in cohort.warnings)


def test_lesions_stand_in_for_patients_with_a_warning_and_other_hospitals_are_shifts(write):
    write("PAD_UFES")
    write("PH2")
    cohort = open_folder(write("HAM10000"))
    assert cohort.cluster.startswith("lesion_id")
    assert any("`lesion_id` stands in" in warning for warning in cohort.warnings)
    assert cohort.shifts == ("clinical-photographs", "ph2")
    assert sum(len(cohort.examples(s)) for s in ("train", "validation", "id")) == 4181
    assert len(cohort.examples("clinical-photographs")) == 516
    assert "skin_type" in cohort.attributes


def test_images_of_any_shape_come_out_square_and_are_decoded_once(write, tmp_path):
    cohort = open_folder(write("PAD_UFES"), cache=tmp_path / "digests")
    decoded = DecodedImages(cohort, tmp_path / "decoded")
    images = decoded("id", 64)
    assert images.shape == (len(cohort.examples("id")), 64, 64, 3)
    assert images.std(axis=(1, 2, 3)).min() > 1, "some image is one flat colour"
    again = open_folder(write("PAD_UFES"), cache=tmp_path / "digests")
    assert again.fingerprint == cohort.fingerprint
    assert np.array_equal(DecodedImages(again, tmp_path / "decoded")("id", 64), images)
