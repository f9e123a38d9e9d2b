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
    "chest": "9458af1b6d286a2c",
    "mammography": "106eb908051e0039",
    "dermatology": "7f99b675b057d93b",
}
"""Digest of all names, patients, labels and attributes of generator version 3. A change of these is a
new GENERATOR_VERSION and a line in the log of docs/phantoms.md."""

FIRST_IMAGE = {
    "chest": [[76, 122, 117, 79], [114, 125, 129, 101], [93, 160, 199, 112], [162, 221, 236, 196]],
    "mammography": [[97, 68, 7, 9], [148, 154, 26, 2], [103, 93, 18, 3], [52, 22, 3, 5]],
    "dermatology": [[109, 104, 117, 116], [83, 69, 94, 122], [75, 80, 77, 111], [87, 86, 82, 110]],
}
"""The first image of `id` at 4 x 4 pixels (the middle channel), generator version 3."""


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


def test_every_split_is_large_enough_and_shows_every_class_often_enough(cohort):
    for split in splits(cohort):
        examples = cohort.examples(split)
        assert len(examples) >= {"train": 900, "validation": 150}.get(split, 500)
        for labels in examples.labels.T:
            shown = {label: len(np.unique(examples.patient[labels == label])) for label in (0, 1)}
            assert min(shown.values()) >= {"train": 80, "validation": 10}.get(split, 25)
        if cohort.target.kind == "single-label":
            assert (examples.labels.sum(axis=1) == 1).all()


def test_only_reports_of_chest_films_for_training_and_validation_leave_labels_uncertain(cohort):
    for split in splits(cohort):
        reported = cohort.domain == "chest" and split in {"train", "validation"}
        assert set(np.unique(cohort.examples(split).labels)) == ({-1, 0, 1} if reported else {0, 1})


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
        if (cohort.domain, name) != ("mammography", "sex"):
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
