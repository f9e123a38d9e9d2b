import errno
import os
import threading
from collections import namedtuple
from dataclasses import dataclass, field

import numpy as np
import pytest

from medbench.data.cohort import Examples
from medbench.data.decoded import DecodedImages
from medbench.errors import MedbenchError


@dataclass
class Slides:
    """A cohort with images in memory that counts how often it is asked for them."""

    fingerprint: str = "f1"
    calls: list = field(default_factory=list)

    def examples(self, split):
        names = np.array([f"{split}{i}" for i in range(5)])
        return Examples(names, names, np.zeros((5, 2), np.int8), {})

    def images(self, split, size):
        self.calls.append((split, size))
        seed = int.from_bytes(f"{self.fingerprint}{split}{size}".encode(), "big")
        return np.random.default_rng(seed).integers(0, 256, (5, size, size, 1), dtype=np.uint8)


class DirectSlides(Slides):
    channels = 1

    def decode_into(self, out, split, size, done, aspect="squashed"):
        images = self.images(split, size)
        for i in range(len(out)):
            out[i] = images[i]
            done(i + 1)


@pytest.mark.parametrize("kind", [Slides, DirectSlides])
def test_images_come_back_as_the_cohort_gives_them(kind, tmp_path):
    cohort = kind()
    assert (DecodedImages(cohort, tmp_path)("id", 6) == kind().images("id", 6)).all()


@pytest.mark.parametrize("kind", [Slides, DirectSlides])
def test_images_are_decoded_once_a_machine(kind, tmp_path):
    cohort = kind()
    for _ in range(3):
        DecodedImages(cohort, tmp_path)("id", 6)
    assert cohort.calls == [("id", 6)]


def test_splits_sizes_and_cohorts_are_kept_apart(tmp_path):
    first, other = Slides("f1"), Slides("f2")
    for cohort in (first, other):
        for split, size in (("id", 6), ("id", 7), ("train", 6)):
            expected = type(cohort)(cohort.fingerprint).images(split, size)
            assert (DecodedImages(cohort, tmp_path)(split, size) == expected).all()
    assert len(first.calls) == len(other.calls) == 3


def test_other_reading_code_makes_the_arrays_anew(tmp_path, monkeypatch):
    cohort = Slides()
    DecodedImages(cohort, tmp_path)("id", 6)
    monkeypatch.setattr("medbench.data.decoded._READER", "changed")
    DecodedImages(cohort, tmp_path)("id", 6)
    assert cohort.calls == [("id", 6)] * 2


def test_the_arrays_are_mapped_and_cannot_be_written(tmp_path):
    mapped = DecodedImages(Slides(), tmp_path)("id", 6)
    assert isinstance(mapped, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 0


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", b"not an array"])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    decoded = DecodedImages(Slides(), tmp_path)
    whole = np.array(decoded("id", 6))
    decoded.path("id", 6).write_bytes(damage)
    assert (decoded("id", 6) == whole).all()


def test_a_file_that_was_cut_short_is_made_again(tmp_path):
    decoded = DecodedImages(Slides(), tmp_path)
    whole = np.array(decoded("id", 6))
    path = decoded.path("id", 6)
    path.write_bytes(path.read_bytes()[:-10])
    assert (decoded("id", 6) == whole).all()


def test_of_several_that_ask_at_once_one_decodes(tmp_path):
    cohort = Slides()
    together = threading.Barrier(4)
    results = []

    def ask():
        together.wait()
        results.append(DecodedImages(cohort, tmp_path)("id", 6))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cohort.calls == [("id", 6)]
    assert len(results) == 4


@pytest.mark.parametrize("kind", [Slides, DirectSlides])
def test_a_failure_leaves_nothing_behind(kind, tmp_path):
    class Torn(kind):
        def images(self, split, size):
            raise MedbenchError("003.png: damaged image")

    decoded = DecodedImages(Torn(), tmp_path)
    with pytest.raises(MedbenchError, match=r"003\.png"):
        decoded("id", 6)
    assert not list(tmp_path.glob("*.npy"))
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(("kind", "told"), [(Slides, [0, 5]), (DirectSlides, [0, 1, 2, 3, 4, 5])])
def test_progress_is_told_from_none_to_all(kind, told, tmp_path):
    heard = []
    decoded = DecodedImages(kind(), tmp_path, lambda *progress: heard.append(progress))
    decoded("id", 6)
    assert heard == [("id", n, 5) for n in told]
    decoded("id", 6)
    assert len(heard) == len(told), "nothing is decoded, so there is nothing to tell"


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MedbenchError, match=r"file: decoded images cannot be kept there .* another store"):
        DecodedImages(Slides(), tmp_path / "file")("id", 6)


def refuse(code):
    def posix_fallocate(file, offset, n):
        raise OSError(code, os.strerror(code))

    return posix_fallocate


def test_a_full_disk_is_told_before_an_image_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.ENOSPC))
    cohort = DirectSlides()
    with pytest.raises(MedbenchError, match=r"cannot be kept there \(No space left on device\)\. Free some"):
        DecodedImages(cohort, tmp_path)("id", 6)
    assert not cohort.calls
    assert not list(tmp_path.glob("*.npy"))
    assert not list(tmp_path.glob("*.partial"))


@pytest.fixture(params=["no such call", errno.EINVAL, errno.EOPNOTSUPP])
def no_fallocate(request, monkeypatch):
    if request.param == "no such call":
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", refuse(request.param))


@pytest.mark.usefixtures("no_fallocate")
def test_where_space_cannot_be_taken_images_come_back_all_the_same(tmp_path):
    assert (DecodedImages(DirectSlides(), tmp_path)("id", 6) == Slides().images("id", 6)).all()


@pytest.mark.usefixtures("no_fallocate")
def test_where_space_cannot_be_taken_it_is_asked_for(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(1000, 900, 100))
    with pytest.raises(MedbenchError, match="No space left on device"):
        DecodedImages(DirectSlides(), tmp_path)("id", 6)
    assert not list(tmp_path.glob("*.partial"))


def test_all_space_is_taken_before_the_first_image(tmp_path):
    class Watched(DirectSlides):
        def decode_into(self, out, split, size, done, aspect="squashed"):
            (partial,) = tmp_path.glob("*.partial")
            taken.append(partial.stat().st_blocks * 512)
            super().decode_into(out, split, size, done, aspect)

    taken = []
    DecodedImages(Watched(), tmp_path)("id", 300)
    assert taken[0] >= 5 * 300 * 300


@pytest.mark.parametrize("kind", [Slides, DirectSlides])
def test_what_killed_processes_left_of_an_array_is_taken_away(kind, tmp_path):
    decoded = DecodedImages(kind(), tmp_path)
    for process in (17, 99_999_999):
        decoded.path("id", 6).with_suffix(f".{process}.partial").write_bytes(b"half")
    others = decoded.path("train", 6).with_suffix(".17.partial")
    others.write_bytes(b"half")  # may be at work now
    assert (decoded("id", 6) == kind().images("id", 6)).all()
    assert list(tmp_path.glob("*.partial")) == [others]


def test_a_set_without_images_is_an_array_without_images(tmp_path):
    class Bare(DirectSlides):
        def examples(self, split):
            return super().examples(split).take(np.zeros(0, dtype=np.int64))

    assert DecodedImages(Bare(), tmp_path)("id", 6).shape == (0, 6, 6, 1)


def test_no_array_of_objects_is_ever_loaded(tmp_path):
    decoded = DecodedImages(Slides(), tmp_path)
    tmp_path.mkdir(exist_ok=True)
    np.save(decoded.path("id", 6), np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert decoded("id", 6).dtype == np.uint8
