import hashlib
import hmac
import stat
import threading

import numpy as np
import pytest

from medbench.errors import MedbenchError
from medbench.pseudonym import Pseudonyms


def test_a_pseudonym_is_the_keyed_hash_of_the_id(tmp_path):
    name = Pseudonyms(tmp_path / "key").of("P-0017")
    key = (tmp_path / "key").read_bytes()
    assert name == "#" + hmac.new(key, b"P-0017", hashlib.sha256).hexdigest()[:8]


def test_data_get_longer_names_that_begin_with_the_short_one(tmp_path):
    names = Pseudonyms(tmp_path / "key")
    key = (tmp_path / "key").read_bytes()
    found = names.each(np.array(["P-0017", "P-0018", "P-0017"]))
    assert found[0] == found[2] == "#" + hmac.new(key, b"P-0017", hashlib.sha256).hexdigest()[:16]
    assert found[1].startswith(names.of("P-0018"))
    assert names.each(np.array([], dtype=np.str_)).shape == (0,)


def test_a_hundred_thousand_images_keep_their_own_names(tmp_path):
    (tmp_path / "key").write_bytes(b"k" * 32)
    ids = np.array([f"image-{i}" for i in range(200_000)])
    assert len(np.unique(Pseudonyms(tmp_path / "key").each(ids))) == len(ids)


def test_the_same_store_gives_the_same_name_and_another_store_another(tmp_path):
    here, again, there = (Pseudonyms(tmp_path / k) for k in ("key", "key", "other"))
    assert here.of("P-0017") == again.of("P-0017") != there.of("P-0017")


def test_the_key_is_for_its_owner_only(tmp_path):
    Pseudonyms(tmp_path / "store" / "key")
    assert stat.S_IMODE((tmp_path / "store" / "key").stat().st_mode) == 0o600
    assert {p.name for p in (tmp_path / "store").iterdir()} <= {"key", "key.lock"}


def test_of_several_that_make_a_key_at_once_one_wins(tmp_path):
    together = threading.Barrier(6)
    names = []

    def ask():
        together.wait()
        names.append(Pseudonyms(tmp_path / "key").of("P-0017"))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 6
    assert len(set(names)) == 1


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_key_of_another_length_is_refused(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(MedbenchError, match=r"key: expected a key of 32 bytes, found \d+"):
        Pseudonyms(tmp_path / "key")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MedbenchError, match="cannot be kept there"):
        Pseudonyms(tmp_path / "file" / "key")
