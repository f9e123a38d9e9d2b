"""Real images by the public door, where they are at hand: laid out as published, prepared, counted."""

import pytest

from docs import laid_out
from medbench.data.public.catalogue import source_named
from medbench.data.public.prepare import prepare
from medbench.data.sources import open_cohort
from tests.data.test_real_cohorts import IMAGES, pytestmark  # noqa: F401  (skips where there are none)

# As the copies' own descriptions count them; of the films, images with the finding.
COUNTS = {
    "pad-ufes-20": (
        *("derm_pad_ufes", laid_out.pad_ufes_20, 399),
        {
            "melanoma": 30,
            "nevus": 128,
            "basal-cell-carcinoma": 153,
            "actinic-or-squamous": 92 + 18,
            "other": 95,
        },
    ),
    "nih-cxr14": (
        *("chest_nih64", laid_out.nih_cxr14, 182),
        {"atelectasis": 66, "cardiomegaly": 62, "consolidation": 35, "edema": 23, "effusion": 111},
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_copy_is_laid_out_as_published_and_prepared_whole(tmp_path, name):
    copy, lay_out, patients, positives = COUNTS[name]
    folder = lay_out(IMAGES / copy, tmp_path / "published")
    done = prepare(source_named(name), folder, tmp_path / "cohorts", processes=2, report=lambda *_: None)
    cohort = open_cohort(f"public:{name}", prepared=tmp_path / "cohorts")
    sets = [cohort.examples(split) for split in ("train", "validation", "id")]
    assert sum(done.record.images.values()) == sum(map(len, sets))
    assert len({patient for each in sets for patient in each.patient.tolist()}) == patients
    found = {
        c: sum(int((s.labels[:, i] == 1).sum()) for s in sets) for i, c in enumerate(cohort.target.classes)
    }
    assert found == positives
    assert cohort.images("id", 32).std() > 10, "there is something to see"
