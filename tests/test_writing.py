import os
from pathlib import Path

import pytest

from medbench.writing import PARTIAL, UnwritableError, write_aside, writing


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "of.two.dots"
    write_aside(path, b"earlier and longer")
    write_aside(path, b"later")
    assert path.read_bytes() == b"later"
    assert [each.name for each in tmp_path.iterdir()] == ["of.two.dots"]


def test_a_name_is_there_only_once_its_content_is_on_the_disk(tmp_path, monkeypatch):
    done = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor):
        done.append(("synced", os.fstat(descriptor).st_size))
        real_fsync(descriptor)

    def replace(self, target):
        done.append(("named", target.name))
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_aside(tmp_path / "a", b"12345")
    assert done == [("synced", 5), ("named", "a")]


@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_the_earlier_file_and_nothing_else(tmp_path, monkeypatch, error):
    path = tmp_path / "a"
    write_aside(path, b"earlier")

    def fail(descriptor):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write_aside(path, b"later")
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_name_do_not_write_into_each_others_file(tmp_path, monkeypatch):
    """The other one begins and ends between this one's writing and its renaming."""
    path, real, names = tmp_path / "a", Path.replace, []

    def replace(self, target):
        names.append(self.name)
        if len(names) == 1:
            monkeypatch.setattr(os, "getpid", lambda: 1)
            write_aside(path, b"theirs")
            assert path.read_bytes() == b"theirs"
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    write_aside(path, b"mine")
    assert path.read_bytes() == b"mine"
    assert len(set(names)) == 2
    assert all(name.startswith(".a.") and name.endswith(PARTIAL) for name in names)


def test_a_disk_that_cannot_be_written_is_one_message(tmp_path):
    told = r"the store cannot be written .*finished runs are kept"
    with pytest.raises(UnwritableError, match=told), writing(tmp_path):
        write_aside(tmp_path / "gone" / "a", b"")
