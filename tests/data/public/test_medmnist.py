import hashlib
import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medbench.data.decoded import DecodedImages
from medbench.data.public import medmnist
from medbench.data.public.medmnist import fetch, open_medmnist
from medbench.data.public.medmnist_published import PUBLISHED, SIZES, Reference
from medbench.errors import MedbenchError, NotPreparedError
from medbench.spec.runs import Target

CLASSES = {name: len(published.labels) for name, published in PUBLISHED.items()}


def arrays(name: str = "pneumoniamnist", size: int = 28, n: int = 14) -> dict[str, np.ndarray]:
    """What a file of the set holds, of noise: every class occurs in every split, the last half more often."""
    rng, k = np.random.default_rng(0), CLASSES[name]
    colours = (3,) * (name == "dermamnist")
    made = {}
    for split in ("train", "val", "test"):
        made[f"{split}_images"] = rng.integers(0, 256, (n, size, size, *colours), dtype=np.uint8)
        labels = np.minimum(np.arange(n) * 2 // k if k == 2 else np.arange(n) % k, k - 1)[:, None]
        if name == "chestmnist":
            labels = (np.arange(n)[:, None] >= np.arange(14)[None] / 2 + 1).astype(int)
        made[f"{split}_labels"] = labels.astype(np.uint8)
    return made


def write(path: Path, made: dict[str, np.ndarray]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **made)
    return path


@pytest.fixture
def publish(monkeypatch):
    """Makes a file the published one, by its digest."""

    def call(path: Path, name: str = "pneumoniamnist", size: int = 28) -> str:
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        changed = replace(PUBLISHED[name], md5=PUBLISHED[name].md5 | {size: md5})
        monkeypatch.setitem(PUBLISHED, name, changed)
        return md5

    return call


def quiet(done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("name", PUBLISHED)
def test_labels_mean_what_the_publisher_says(tmp_path, name):
    made = arrays(name)
    cohort = open_medmnist(str(write(tmp_path / f"{name}.npz", made)), folder=tmp_path)
    assert cohort.domain == PUBLISHED[name].domain
    for split, theirs in (("train", "train"), ("validation", "val"), ("id", "test")):
        labels = cohort.examples(split).labels
        for i, row in enumerate(made[f"{theirs}_labels"]):
            said = {cohort.target.classes[c] for c in np.flatnonzero(labels[i])}
            if name == "chestmnist":
                assert said == {PUBLISHED[name].labels[c] for c in np.flatnonzero(row)}
            else:
                assert said == {PUBLISHED[name].labels[row[0]]}


def test_malignant_is_the_positive_class_of_breastmnist_although_the_file_says_0(tmp_path):
    made = arrays("breastmnist")
    cohort = open_medmnist(str(write(tmp_path / "breastmnist.npz", made)), folder=tmp_path)
    assert cohort.target.classes[1] == "malignant"
    assert (
        cohort.examples("id").labels[:, 1].tolist() == (made["test_labels"][:, 0] == 0).astype(int).tolist()
    )
    assert any("ultrasound, not mammography" in warning for warning in cohort.warnings)


@pytest.mark.parametrize("name", ["pneumoniamnist", "dermamnist"])
def test_images_of_their_own_size_come_as_they_are(tmp_path, name):
    made = arrays(name, n=300)
    cohort = open_medmnist(str(write(tmp_path / f"{name}.npz", made)), folder=tmp_path)
    expected = made["val_images"].reshape(300, 28, 28, cohort.channels)
    np.testing.assert_array_equal(cohort.images("validation", 28), expected)
    assert cohort.image_area == 28 * 28


def test_images_of_another_size_are_squashed_as_pillow_does(tmp_path):
    made = arrays()
    cohort = open_medmnist(str(write(tmp_path / "pneumoniamnist.npz", made)), folder=tmp_path)
    first = Image.fromarray(made["test_images"][0]).resize((20, 20), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(cohort.images("id", 20)[0, ..., 0], np.asarray(first))


def test_images_are_decoded_into_the_cache_with_progress(tmp_path):
    cohort = open_medmnist(str(write(tmp_path / "pneumoniamnist.npz", arrays(n=600))), folder=tmp_path)
    told = []
    decoded = DecodedImages(cohort, tmp_path / "decoded", lambda *progress: told.append(progress))
    np.testing.assert_array_equal(decoded("train", 24), cohort.images("train", 24))
    assert told == [("train", 0, 600), ("train", 256, 600), ("train", 512, 600), ("train", 600, 600)]


def test_every_image_is_its_own_patient_and_that_is_said(tmp_path):
    cohort = open_medmnist(str(write(tmp_path / "pneumoniamnist.npz", arrays())), folder=tmp_path)
    examples = [cohort.examples(split) for split in ("train", "validation", "id")]
    patients = [patient for e in examples for patient in e.patient.tolist()]
    assert len(set(patients)) == len(patients)
    assert cohort.cluster == "image"
    assert any("patients are not known" in warning for warning in cohort.warnings)


def test_a_published_file_is_known_by_its_digest_wherever_it_lies(tmp_path, publish):
    path = write(tmp_path / "a" / "pneumoniamnist_64.npz", arrays(size=64))
    publish(path, size=64)
    by_name = open_medmnist("pneumoniamnist@64", folder=tmp_path / "a")
    by_path = open_medmnist(str(path), folder=tmp_path)
    assert by_name.name == by_path.name == "medmnist:pneumoniamnist@64"
    assert by_name.fingerprint == by_path.fingerprint
    assert not any("of your own making" in warning for warning in by_path.warnings)


def test_without_a_size_the_small_images_are_meant(tmp_path, publish):
    publish(write(tmp_path / "pneumoniamnist.npz", arrays()))
    assert open_medmnist("pneumoniamnist", folder=tmp_path).name == "medmnist:pneumoniamnist@28"


def test_a_file_of_ones_own_is_opened_by_its_path_and_says_so(tmp_path):
    cohort = open_medmnist(str(write(tmp_path / "pneumoniamnist_subset.npz", arrays())), folder=tmp_path)
    assert cohort.name == "medmnist:pneumoniamnist_subset.npz"
    assert "one of your own making" in cohort.warnings[0]


def test_images_of_ones_own_that_two_sets_share_are_counted_in_a_warning(tmp_path):
    made = arrays()
    made["test_images"][[1, 5, 6]] = made["train_images"][[0, 3, 3]]
    path = write(tmp_path / "pneumoniamnist_subset.npz", made)
    told = [w for w in open_medmnist(str(path), folder=tmp_path).warnings if "byte for byte" in w]
    assert len(told) == 1
    assert "subset.npz: 3 images of `id` are byte for byte in `train`, too: results on them are no" in told[0]
    own = write(tmp_path / "pneumoniamnist_own.npz", arrays())
    assert not any("byte for byte" in w for w in open_medmnist(str(own), folder=tmp_path).warnings)


def test_another_file_under_a_published_name_is_an_error_with_both_digests(tmp_path):
    path = write(tmp_path / "pneumoniamnist.npz", arrays())
    found = hashlib.md5(path.read_bytes()).hexdigest()
    expected = PUBLISHED["pneumoniamnist"].md5[28]
    with pytest.raises(
        MedbenchError, match=rf"its MD5 is {found}, expected {expected}\. Take it away .*by its path"
    ):
        open_medmnist("pneumoniamnist@28", folder=tmp_path)


def test_an_absent_file_is_not_fetched_and_the_message_says_how_to_come_by_it(tmp_path, monkeypatch):
    monkeypatch.setattr(medmnist, "download", None)
    with pytest.raises(NotPreparedError) as told:
        open_medmnist("chestmnist@224", folder=tmp_path)
    for part in (
        "`medbench cohort prepare medmnist:chestmnist@224`",
        "https://zenodo.org/records/10519652/files/chestmnist_224.npz?download=1",
        "45bd33e6f06c3e8cdb481c74a89152aa",
        str(tmp_path),
        "CC BY 4.0",
    ):
        assert part in str(told.value)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("pneumonamnist@64", r"no such set\. Did you mean `pneumoniamnist`\?"),
        ("pneumoniamnist@65", "no such size. Expected `pneumoniamnist@28`"),
        ("pneumoniamnist@", "no such size"),
        ("pneumoniamnist@064", "no such size"),
        ("./pneumoniamnist.npz", "there is no such file"),
        ("./octmnist.npz", "does not say which set"),
        ("./mine.npz", "does not say which set"),
    ],
)
def test_a_wrong_reference_is_told_what_was_expected(tmp_path, rest, message):
    with pytest.raises(MedbenchError, match=message):
        open_medmnist(rest, folder=tmp_path)


def test_the_fingerprint_is_of_the_bytes_and_survives_a_move(tmp_path):
    made = arrays()
    one = write(tmp_path / "pneumoniamnist_a.npz", made)
    other = tmp_path / "else" / "pneumoniamnist_a.npz"
    other.parent.mkdir()
    other.write_bytes(one.read_bytes())
    made["test_images"][0, 0, 0] ^= 1
    changed = write(tmp_path / "pneumoniamnist_b.npz", made)
    first, second, third = (open_medmnist(str(p), folder=tmp_path).fingerprint for p in (one, other, changed))
    assert first == second != third


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (("not malignant", "malignant"), ("not malignant", "malignant")),
        (("malignant", "not malignant"), ("malignant", "not malignant")),
        (("cancer", "not malignant"), ("not malignant", "cancer")),
    ],
    ids=["values swapped", "classes swapped", "a class renamed"],
)
def test_the_fingerprint_is_of_what_the_labels_mean_too(tmp_path, monkeypatch, labels, classes):
    path = write(tmp_path / "breastmnist.npz", arrays("breastmnist"))
    before = open_medmnist(str(path), folder=tmp_path).fingerprint
    target = Target(kind="single-label", classes=classes)
    changed = replace(PUBLISHED["breastmnist"], labels=labels, target=target)
    monkeypatch.setitem(PUBLISHED, "breastmnist", changed)
    assert open_medmnist(str(path), folder=tmp_path).fingerprint != before


def test_the_fingerprint_is_of_which_images_are_which_set_too(tmp_path, monkeypatch):
    path = write(tmp_path / "breastmnist.npz", arrays("breastmnist"))
    before = open_medmnist(str(path), folder=tmp_path).fingerprint
    monkeypatch.setattr(medmnist, "_SPLITS", {"train": "train", "validation": "test", "id": "val"})
    assert open_medmnist(str(path), folder=tmp_path).fingerprint != before


def test_a_file_is_read_once_for_its_digest_and_again_when_it_changed(tmp_path, monkeypatch):
    path = write(tmp_path / "pneumoniamnist_a.npz", arrays())
    read = []
    original = medmnist.digests
    monkeypatch.setattr(medmnist, "digests", lambda path: read.append(path) or original(path))
    opened = [open_medmnist(str(path), folder=tmp_path, cache=tmp_path / "cache") for _ in range(2)]
    assert opened[0].fingerprint == opened[1].fingerprint
    assert len(read) == 1
    os.utime(path, ns=(1, 1))
    open_medmnist(str(path), folder=tmp_path, cache=tmp_path / "cache")
    assert len(read) == 2
    for kept in (tmp_path / "cache").iterdir():
        kept.write_bytes(b"damaged")
    assert open_medmnist(str(path), folder=tmp_path, cache=tmp_path / "cache").name == opened[0].name


SPOILT = {
    "no test images": ({"test_images": None}, "there is no array `test_images`"),
    "16 bits": (
        {"train_images": np.zeros((14, 28, 28), np.uint16)},
        "`train_images` is uint16 .*expected uint8",
    ),
    "colour": (
        {"val_images": np.zeros((14, 28, 28, 3), np.uint8)},
        r"of \(14, 28, 28, 3\); expected uint8 of",
    ),
    "not square": ({"val_images": np.zeros((14, 28, 27), np.uint8)}, r"expected uint8 of \(n, size, size\)"),
    "a number": ({"val_images": np.uint8(3)}, r"of \(\); expected uint8"),
    "no images": (
        {"val_images": np.zeros((0, 28, 28), np.uint8), "val_labels": np.zeros((0, 1), np.uint8)},
        "expected 1 to 1,000,000 images",
    ),
    "huge images": ({"val_images": np.zeros((14, 1025, 1025), np.uint8)}, "at most 1024 pixels"),
    "another size": (
        {"val_images": np.zeros((14, 20, 20), np.uint8)},
        "images of 20, 28 pixels; expected one",
    ),
    "fewer labels": ({"val_labels": np.zeros((13, 1), np.uint8)}, r"expected integers of \(14, 1\)"),
    "labels as floats": ({"val_labels": np.zeros((14, 1))}, "`val_labels` is float64"),
    "a label too large": (
        {"val_labels": np.array([[0]] * 5 + [[2]] + [[1]] * 8, np.uint8)},
        r"`val_labels` has values that are no labels, the first at position 5: \[2\]\. Expected 0 to 1",
    ),
    "a label below 0": ({"val_labels": np.array([[-1]] + [[1]] * 13)}, r"position 0: \[-1\]"),
    "one class only": ({"test_labels": np.ones((14, 1), np.uint8)}, "no image with `normal` is in `id`"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_an_array_that_is_not_as_it_should_be_is_told_with_what_was_expected(tmp_path, what):
    changes, message = SPOILT[what]
    made = {name: array for name, array in (arrays() | changes).items() if array is not None}
    path = write(tmp_path / "pneumoniamnist.npz", made)
    with pytest.raises(MedbenchError, match=rf"pneumoniamnist\.npz.*{message}"):
        open_medmnist(str(path), folder=tmp_path)


def test_nothing_in_a_file_is_ever_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    made = arrays()
    made["val_labels"] = np.array([[Bomb()]] * 14, dtype=object)
    path = write(tmp_path / "pneumoniamnist.npz", made)
    with pytest.raises(MedbenchError, match=r"pneumoniamnist\.npz: .*objects"):
        open_medmnist(str(path), folder=tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_an_array_that_claims_more_than_it_holds_is_refused(tmp_path):
    path = write(tmp_path / "pneumoniamnist.npz", arrays())
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**15, 28, 28)}
    )
    members = {}
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["train_images.npy"] = header.getvalue() + b"0" * 784
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(MedbenchError, match=r"no \.npz file that can be read"):
        open_medmnist(str(path), folder=tmp_path)


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty"])
def test_a_damaged_file_is_one_error_that_names_it(tmp_path, damage):
    path = write(tmp_path / "pneumoniamnist.npz", arrays())
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        for i in range(2000, 2400):
            data[i] ^= 0xFF
    path.write_bytes({"cut": data[:9000], "flipped": data, "text": b"hello", "empty": b""}[damage])
    with pytest.raises(MedbenchError, match=r"pneumoniamnist\.npz: no \.npz file that can be read"):
        open_medmnist(str(path), folder=tmp_path).images("train", 28)


def test_a_file_that_the_user_has_is_copied_once_its_digest_is_right(tmp_path, publish):
    mine = write(tmp_path / "mine" / "pneumoniamnist.npz", arrays())
    publish(mine)
    told = []
    into = fetch("pneumoniamnist", tmp_path / "b", source=mine, report=lambda *p: told.append(p))
    assert into.read_bytes() == mine.read_bytes()
    assert told[-1] == (mine.stat().st_size, mine.stat().st_size)
    assert fetch("pneumoniamnist@28", tmp_path / "c", source=mine.parent, report=quiet).exists()
    assert open_medmnist("pneumoniamnist", folder=tmp_path / "c").name == "medmnist:pneumoniamnist@28"


def test_a_wrong_file_is_not_copied(tmp_path):
    mine = write(tmp_path / "mine" / "pneumoniamnist.npz", arrays())
    with pytest.raises(MedbenchError, match=r"its MD5 is .*, expected 28209eda62fecd6e6a2d98b1501bb15f"):
        fetch("pneumoniamnist", tmp_path / "b", source=mine, report=quiet)
    assert not list((tmp_path / "b").iterdir())


def test_a_folder_without_the_file_says_what_it_should_be_called(tmp_path):
    with pytest.raises(MedbenchError, match=r"pneumoniamnist_64\.npz, or a folder with it"):
        fetch("pneumoniamnist@64", tmp_path / "b", source=tmp_path, report=quiet)


def test_what_was_fetched_is_verified_and_not_fetched_again(tmp_path, publish):
    path = write(tmp_path / "pneumoniamnist.npz", arrays())
    publish(path)
    assert fetch("pneumoniamnist", tmp_path, report=quiet) == path
    path.write_bytes(b"damaged")
    with pytest.raises(MedbenchError, match="not the file that was expected"):
        fetch("pneumoniamnist", tmp_path, report=quiet)


def test_a_download_asks_for_the_published_file_and_its_digest(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        medmnist, "download", lambda url, into, **given: asked.update(url=url, into=into, **given)
    )
    fetch("dermamnist@128", tmp_path, report=quiet)
    assert asked["url"] == "https://zenodo.org/records/10519652/files/dermamnist_128.npz?download=1"
    assert asked["into"] == tmp_path / "dermamnist_128.npz"
    assert asked["md5"] == "2defd784463fa5243564e855ed717de1"
    assert asked["most_bytes"] > 10_015 * 128 * 128 * 3


def test_every_published_file_has_a_digest_and_every_set_its_numbers():
    files = [Reference(name, size) for name in PUBLISHED for size in SIZES]
    assert len({file.md5 for file in files}) == len({file.file for file in files}) == 16
    assert all(len(file.md5) == 32 and int(file.md5, 16) for file in files)
    assert {name: sum(p.images) for name, p in PUBLISHED.items()} == {
        "pneumoniamnist": 5_856,  # the totals of https://medmnist.com
        "chestmnist": 112_120,
        "dermamnist": 10_015,
        "breastmnist": 780,
    }
