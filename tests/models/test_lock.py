import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medbench.errors import MedbenchError
from medbench.models import lock, weights

RELEASED = "BiT-M-R50x1.npz"
OWN = "films-r50x1.npz"


@pytest.fixture(autouse=True)
def _somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lock, "_today", lambda: "2026-12-01")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "weights"
    made.mkdir()
    return made


@pytest.fixture
def reads(monkeypatch):
    """Files that were read whole, in order."""
    read, sha256 = [], weights.sha256

    def counted(path):
        read.append(path.name)
        return sha256(path)

    monkeypatch.setattr(weights, "sha256", counted)
    return read


def later(path, content, seconds=1):
    """Other bytes, or the same, in a file that says it was changed."""
    path.write_bytes(content)
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + seconds * 10**9))


def test_the_first_use_records_and_later_uses_read_nothing(folder, reads):
    path = folder / RELEASED
    path.write_bytes(b"abc")
    assert lock.digest(path) == lock.digest(path) == weights.sha256(path)
    assert reads == [RELEASED, RELEASED]  # once by the first use, once by this test
    entry = json.loads((folder / lock.LOCK).read_text())[RELEASED]
    assert (entry["sha256"], entry["bytes"], entry["recorded"]) == (lock.digest(path), 3, "2026-12-01")


def test_a_released_file_that_changed_is_an_error_with_what_was_recorded_and_what_to_do(folder):
    path = folder / RELEASED
    path.write_bytes(b"abc")
    before = lock.digest(path)
    later(path, b"abcd")
    for ask in (lock.digest, lock.verify):
        with pytest.raises(MedbenchError) as caught:
            ask(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: is not the file that it was. Recorded on 2026-12-01: sha256 ")
        assert before[:12] in message
        assert weights.sha256(path)[:12] in message
        assert "3 bytes" in message
        assert "4 bytes" in message
        assert f"medbench weights accept {RELEASED}" in message


def test_an_accepted_change_is_what_is_verified_after_that(folder):
    path = folder / RELEASED
    path.write_bytes(b"abc")
    lock.digest(path)
    later(path, b"abcd")
    assert lock.accept(path) == lock.digest(path) == weights.sha256(path)
    later(path, b"abc", seconds=2)
    with pytest.raises(MedbenchError, match="is not the file that it was"):
        lock.digest(path)


def test_a_file_that_was_touched_is_read_once_more_and_keeps_its_date(folder, reads, monkeypatch):
    path = folder / RELEASED
    path.write_bytes(b"abc")
    first = lock.digest(path)
    monkeypatch.setattr(lock, "_today", lambda: "2027-01-01")
    later(path, b"abc")
    assert [lock.digest(path), lock.digest(path)] == [first, first]
    assert reads == [RELEASED, RELEASED]
    assert lock.recorded(path).recorded == "2026-12-01"


def test_a_file_of_ones_own_may_change_and_is_then_another(folder, reads, monkeypatch):
    path = folder / OWN
    path.write_bytes(b"abc")
    first = lock.digest(path)
    monkeypatch.setattr(lock, "_today", lambda: "2027-01-01")
    later(path, b"abcd")
    assert lock.digest(path) != first
    assert lock.recorded(path).recorded == "2027-01-01"
    lock.digest(path)
    assert reads == [OWN, OWN]


def test_bytes_that_changed_under_the_same_size_and_time_are_found_by_verifying(folder):
    path = folder / RELEASED
    path.write_bytes(b"abc")
    lock.digest(path)
    status = path.stat()
    path.write_bytes(b"abd")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    lock.digest(path)
    with pytest.raises(MedbenchError, match="is not the file that it was"):
        lock.verify(path)


def test_files_are_recorded_beside_each_other(folder):
    for name in (RELEASED, OWN):
        (folder / name).write_bytes(name.encode())
        lock.digest(folder / name)
    assert sorted(json.loads((folder / lock.LOCK).read_text())) == [RELEASED, OWN]
    assert sorted(path.name for path in folder.iterdir()) == [RELEASED, OWN, lock.LOCK]


def test_what_a_folder_that_is_only_read_holds_is_recorded_in_ones_own(folder, reads, monkeypatch, tmp_path):
    path, write_bytes = folder / RELEASED, Path.write_bytes
    path.write_bytes(b"abc")

    def refused(self, data):
        if self.parent == folder:
            raise PermissionError(13, "Permission denied")
        return write_bytes(self, data)

    monkeypatch.setattr(Path, "write_bytes", refused)
    first = lock.digest(path)
    assert lock.digest(path) == first
    assert reads == [RELEASED]
    assert [file.name for file in folder.iterdir()] == [RELEASED]
    assert len(list((tmp_path / weights.OWN).iterdir())) == 1

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    later(path, b"abcd")
    accepted = lock.accept(path)
    assert lock.digest(path) == accepted != first
    assert (folder / lock.LOCK).is_file()
    assert list((tmp_path / weights.OWN).iterdir()) == []


def test_what_is_shipped_is_not_recorded(folder, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", folder)
    (folder / "a.npz").write_bytes(b"abc")
    assert lock.digest(folder / "a.npz") == lock.verify(folder / "a.npz")
    assert [path.name for path in folder.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("content", [b"{", b'{"\xff": 1}'])
def test_a_record_that_cannot_be_read_is_not_taken_for_none(folder, content):
    (folder / RELEASED).write_bytes(b"abc")
    (folder / lock.LOCK).write_bytes(content)
    with pytest.raises(MedbenchError, match=r"weights\.lock\.json: cannot be read"):
        lock.digest(folder / RELEASED)


def test_a_file_is_taken_to_its_place_only_as_what_it_was_there(folder):
    target, incoming = folder / RELEASED, folder / "incoming"
    target.write_bytes(b"abc")
    first = lock.digest(target)
    target.unlink()
    incoming.write_bytes(b"abcd")
    with pytest.raises(MedbenchError, match=f"{RELEASED}: is not the file that it was"):
        lock.take(incoming, target)
    assert not target.exists()
    incoming.write_bytes(b"abc")
    assert lock.take(incoming, target) == lock.digest(target) == first
    assert not incoming.exists()


def test_verifying_imports_no_jax():
    code = "import sys, medbench.models.lock; sys.exit('jax' in sys.modules or 'flax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
