import hashlib
import subprocess
import sys

import numpy as np
import pytest

from medbench.data.phantoms import cohort as module
from medbench.data.phantoms.cohort import DOMAINS, open_phantoms
from medbench.data.phantoms.domain import SIZE
from medbench.errors import MedbenchError

ROWS = {
    "chest": "c4284f2c3daf699e",
    "mammography": "b26d3a2e72850042",
    "dermatology": "94ff6e68f80df587",
}
"""Digest of all names, patients, labels and attributes of generator version 2. A change of these is a
new GENERATOR_VERSION and a line in the log of docs/phantoms.md."""

FIRST_IMAGE = {
    "chest": [[50, 125, 161, 59], [81, 133, 126, 98], [67, 142, 151, 60], [129, 188, 195, 123]],
    "mammography": [[41, 22, 2, 0], [106, 114, 53, 0], [89, 96, 52, 0], [31, 20, 2, 0]],
    "dermatology": [[167, 165, 172, 160], [175, 161, 140, 167], [183, 161, 120, 162], [180, 180, 170, 176]],
}
"""The first image of `id` at 4 x 4 pixels (the middle channel), generator version 2."""


@pytest.fixture(scope="module", params=DOMAINS)
def cohort(request):
    return open_phantoms(request.param)


def splits(cohort) -> tuple[str, ...]:
    return ("train", "validation", "id", *cohort.shifts)


def rows_digest(cohort) -> str:
    digest = hashlib.sha256()
    for split in splits(cohort):
        examples = cohort.examples(split)
        digest.update("\n".join([*examples.image, *examples.patient]).encode())
        digest.update(examples.labels.tobytes())
        for name in cohort.attributes:
            digest.update("\n".join([name, *examples.attributes[name]]).encode())
    return digest.hexdigest()[:16]


def test_labels_patients_and_attributes_are_the_same_on_every_machine(cohort):
    assert rows_digest(cohort) == ROWS[cohort.domain]


def test_pixels_are_the_same_on_every_machine_but_for_a_level(cohort):
    image = open_phantoms(cohort.domain, patients=1).images("id", 4)[0]
    middle = image[:, :, image.shape[2] // 2].astype(int)
    assert np.abs(middle - FIRST_IMAGE[cohort.domain]).max() <= 1


def test_a_patient_never_stands_in_two_splits_and_image_names_are_unique(cohort):
    examples = [cohort.examples(split) for split in splits(cohort)]
    patients = np.concatenate([np.unique(e.patient) for e in examples])
    images = np.concatenate([e.image for e in examples])
    assert len(np.unique(patients)) == len(patients)
    assert len(np.unique(images)) == len(images)


def test_every_split_is_large_enough_and_has_both_kinds_of_every_label(cohort):
    for split in splits(cohort):
        examples = cohort.examples(split)
        assert len(examples) >= {"train": 900, "validation": 150}.get(split, 500)
        assert ((examples.labels == 0) | (examples.labels == 1)).all()
        assert (examples.labels.mean(axis=0) > 0.25).all()
        if cohort.target.kind == "single-label":
            assert (examples.labels.sum(axis=1) == 1).all()


def test_patients_have_one_to_four_images_and_some_have_several(cohort):
    counts = np.unique(cohort.examples("train").patient, return_counts=True)[1]
    assert set(counts) <= {1, 2, 3, 4}
    assert (counts > 1).mean() > 0.2


def test_every_attribute_is_recorded_in_several_groups_of_some_size(cohort):
    examples = cohort.examples("id")
    assert set(examples.attributes) == set(cohort.attributes) >= {"age", "sex"}
    for name, values in examples.attributes.items():
        groups, counts = np.unique(values, return_counts=True)
        assert "" not in groups
        if (cohort.domain, name) not in {("mammography", "sex"), ("mammography", "vendor")}:
            assert (counts >= 30).sum() >= 2, name


@pytest.mark.parametrize(
    ("domain", "shift", "attribute", "groups", "share"),
    [
        ("chest", "hospital-b", "site", {"hospital-b"}, 1.0),
        ("chest", "icu", "view", {"AP"}, 0.75),
        ("mammography", "vendor-b", "vendor", {"vendor-b"}, 1.0),
        ("mammography", "dense", "density", {"c", "d"}, 0.9),
        ("dermatology", "dark-skin", "skin_type", {"4", "5", "6"}, 1.0),
    ],
)
def test_a_shift_has_the_patients_or_machines_it_is_named_for(domain, shift, attribute, groups, share):
    cohort = open_phantoms(domain)
    at_home, away = (
        np.isin(cohort.examples(split).attributes[attribute], list(groups)).mean() for split in ("id", shift)
    )
    assert away >= share
    assert at_home < share - 0.3


def test_smartphone_pictures_are_softer_and_more_uneven_than_dermatoscopic_ones():
    cohort = open_phantoms("dermatology", patients=20)

    def corner_spread(split):
        images = cohort.images(split, 8).mean(axis=3)
        return images[:, [0, 0, -1, -1], [0, -1, 0, -1]].std(axis=1).mean()

    assert corner_spread("phone") > 1.3 * corner_spread("id")


def test_images_come_in_every_size_with_the_domains_channels(cohort):
    small = open_phantoms(cohort.domain, patients=2)
    channels = 3 if cohort.domain == "dermatology" else 1
    for size in (16, 64, SIZE):
        images = small.images("id", size)
        assert images.shape == (len(small.examples("id")), size, size, channels)
        assert images.dtype == np.uint8
        assert images.std() > 10


def test_an_image_does_not_depend_on_what_else_is_drawn(cohort):
    few, more = (open_phantoms(cohort.domain, patients=n) for n in (1, 3))
    alone = few.images("id", 32)
    assert np.array_equal(more.images("id", 32)[: len(alone)], alone)
    assert np.array_equal(few.images("id", 32), alone)


@pytest.mark.parametrize("domain", ["chest", "dermatology"])
def test_two_images_of_a_patient_share_no_noise(domain):
    cohort = open_phantoms(domain, patients=12)
    patient = cohort.examples("train").patient
    grain = np.diff(cohort.images("train", SIZE)[:, :, :, 0].astype(float), axis=2).reshape(len(patient), -1)
    pairs = np.flatnonzero(patient[1:] == patient[:-1])
    assert len(pairs) > 0
    assert max(np.corrcoef(grain[i], grain[i + 1])[0, 1] for i in pairs) < 0.6


def test_the_fingerprint_follows_domain_version_seed_and_size_of_the_cohort(monkeypatch):
    prints = {open_phantoms(d).fingerprint for d in DOMAINS}
    prints.add(open_phantoms("chest", patients=5).fingerprint)
    monkeypatch.setattr(module, "SEED", 21)
    prints.add(open_phantoms("chest").fingerprint)
    monkeypatch.setattr(module, "GENERATOR_VERSION", 99)
    prints.add(open_phantoms("chest").fingerprint)
    assert len(prints) == 6
    monkeypatch.undo()
    assert open_phantoms("chest").fingerprint in prints


def test_another_version_draws_other_patients(monkeypatch):
    before = open_phantoms("chest").examples("id").labels
    monkeypatch.setattr(module, "GENERATOR_VERSION", 99)
    assert not np.array_equal(open_phantoms("chest").examples("id").labels[:300], before[:300])


def test_an_unknown_domain_or_split_is_named_with_the_nearest():
    with pytest.raises(MedbenchError, match=r"`phantoms:chst`.*Did you mean `phantoms:chest`"):
        open_phantoms("chst")
    with pytest.raises(MedbenchError, match=r"phantoms:chest has no split `hospital-c`.*`hospital-b`"):
        open_phantoms("chest").examples("hospital-c")


def test_phantoms_are_marked_as_generated(cohort):
    assert cohort.generated is True
    assert cohort.name == f"phantoms:{cohort.domain}"
    assert cohort.image_area == SIZE**2
    assert len(cohort.shifts) == 2


def test_rows_need_neither_jax_nor_scipy():
    code = (
        "import sys; from medbench.data.phantoms.cohort import open_phantoms;"
        "[open_phantoms(d).examples('train') for d in ('chest', 'mammography', 'dermatology')];"
        "sys.exit(bool({'jax', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
