import gzip
import io
import stat
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medbench.data import archives
from medbench.data.archives import unpack
from medbench.errors import MedbenchError

FILES = {
    "images/a.png": b"a" * 3000,
    "images/deep/b.png": bytes(range(256)) * 40,
    "table.csv": b"x,y\n",
    "empty": b"",
}


def quiet(done: int, total: int) -> None:
    pass


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        folder = tarfile.TarInfo("images")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in others:
            archive.addfile(info)
    return out.getvalue()


PACKED = {"zip": zipped(FILES), "tar": tarred(FILES), "tar.gz": gzip.compress(tarred(FILES))}
kinds = pytest.mark.parametrize("kind", PACKED)


@pytest.fixture
def keep(tmp_path):
    """Writes an archive and returns its path; its name says nothing of what it is."""

    def write(data: bytes) -> Path:
        path = tmp_path / "download"
        path.write_bytes(data)
        return path

    return write


def found(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@kinds
def test_every_file_comes_out_as_it_went_in(keep, tmp_path, kind):
    unpack(keep(PACKED[kind]), tmp_path / "new" / "out", most_bytes=10**6, report=quiet)
    assert found(tmp_path / "new" / "out") == FILES
    assert {p.name for p in (tmp_path / "new").iterdir()} == {".out.lock", "out"}


@kinds
def test_progress_ends_with_the_whole_archive(keep, tmp_path, kind):
    told = []
    unpack(keep(PACKED[kind]), tmp_path / "out", most_bytes=10**6, report=lambda *now: told.append(now))
    size = len(PACKED[kind])
    assert told[-1] == (size, size)
    assert all(0 <= done <= total == size for done, total in told)


@kinds
def test_what_is_unpacked_is_not_unpacked_again(keep, tmp_path, kind):
    archive = keep(PACKED[kind])
    unpack(archive, tmp_path / "out", most_bytes=10**6, report=quiet)
    (tmp_path / "out" / "table.csv").write_bytes(b"mine")
    unpack(archive, tmp_path / "out", most_bytes=10**6, report=quiet)
    assert (tmp_path / "out" / "table.csv").read_bytes() == b"mine"


class Stop(BaseException):
    """As if the process were killed."""


@kinds
@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interruption_leaves_no_folder_and_what_is_there_is_not_written_again(
    keep, tmp_path, kind, after, monkeypatch
):
    archive, out = keep(PACKED[kind]), tmp_path / "out"
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == after:
            raise Stop

    with pytest.raises(Stop):
        unpack(archive, out, most_bytes=10**6, report=stop)
    assert not out.exists()
    written = []
    original = archives._write
    monkeypatch.setattr(archives, "_write", lambda m, *rest: written.append(m.name) or original(m, *rest))
    unpack(archive, out, most_bytes=10**6, report=quiet)
    assert found(out) == FILES
    assert written == list(FILES)[after:]


@kinds
def test_a_member_that_was_half_written_is_written_again(keep, tmp_path, kind, monkeypatch):
    archive, out = keep(PACKED[kind]), tmp_path / "out"

    class Breaking(io.BytesIO):
        def write(self, data):
            raise Stop

    with monkeypatch.context() as patch:
        original = Path.open
        patch.setattr(
            Path,
            "open",
            lambda p, mode="r": Breaking() if p.name == "member" and mode == "wb" else original(p, mode),
        )
        with pytest.raises(Stop):
            unpack(archive, out, most_bytes=10**6, report=quiet)
    unpack(archive, out, most_bytes=10**6, report=quiet)
    assert found(out) == FILES


@kinds
def test_what_was_begun_with_another_archive_is_thrown_away(keep, tmp_path, kind):
    def stop(done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        unpack(
            keep(zipped({"old.png": b"old", "rest": b""})), tmp_path / "out", most_bytes=10**6, report=stop
        )
    unpack(keep(PACKED[kind]), tmp_path / "out", most_bytes=10**6, report=quiet)
    assert found(tmp_path / "out") == FILES
    assert not list(tmp_path.glob(".out.*.partial"))


OUTSIDE = [
    "../evil",
    "images/../../evil",
    "/etc/evil",
    "C:\\evil",
    "c:/evil",
    "\\\\server\\evil",
    "images\\..\\..\\evil",
    "..",
    ".",
    "a/\x1b[2J",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_a_member_outside_of_its_folder_is_refused_by_name(keep, tmp_path, name, pack):
    archive = keep(pack({"images/a.png": b"a", name: b"evil"}))
    with pytest.raises(MedbenchError, match="would not lie in the folder") as caught:
        unpack(archive, tmp_path / "deep" / "out", most_bytes=10**6, report=quiet)
    assert ascii(name)[1:-1].replace("\\\\", "\\") in str(caught.value)
    assert {p.name for p in tmp_path.rglob("*")} == {"download", "deep", ".out.lock"}, "nothing is left"


@pytest.mark.parametrize(
    "kind",
    [
        *(tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE),
        tarfile.GNUTYPE_SPARSE,  # its holes count for no bytes of the archive
    ],
)
def test_links_and_devices_of_a_tar_are_refused(keep, tmp_path, kind):
    info = tarfile.TarInfo("images/passwd")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(MedbenchError, match="member `images/passwd` is no regular file"):
        unpack(keep(tarred(FILES, info)), tmp_path / "out", most_bytes=10**6, report=quiet)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_of_a_zip_are_refused(keep, tmp_path, kind):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("passwd")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(MedbenchError, match="member `passwd` is no regular file"):
        unpack(keep(out.getvalue()), tmp_path / "out", most_bytes=10**6, report=quiet)


def test_an_encrypted_member_is_refused(keep, tmp_path):
    data = bytearray(zipped({"a": b"a"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(MedbenchError, match="member `a` is encrypted"):
        unpack(keep(bytes(data)), tmp_path / "out", most_bytes=10**6, report=quiet)


def test_a_member_that_is_there_twice_is_refused(keep, tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("a", "./a"):
            archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(MedbenchError, match="is there twice"):
        unpack(keep(out.getvalue()), tmp_path / "out", most_bytes=10**6, report=quiet)


@kinds
def test_an_archive_that_unpacks_to_too_much_is_refused(keep, tmp_path, kind):
    whole = sum(map(len, FILES.values()))
    unpack(keep(PACKED[kind]), tmp_path / "just", most_bytes=whole, report=quiet)
    with pytest.raises(MedbenchError, match=f"unpacks to more than {whole - 1:,} bytes"):
        unpack(keep(PACKED[kind]), tmp_path / "out", most_bytes=whole - 1, report=quiet)
    assert {p.name for p in tmp_path.iterdir()} == {"download", "just", ".just.lock", ".out.lock"}


@pytest.mark.parametrize("claimed", [10, 2 * 10**6], ids=["less", "more"])
def test_real_bytes_are_counted_and_not_claimed_ones(keep, tmp_path, claimed):
    data = bytearray(zipped({"bomb": bytes(10**6)}))
    for header, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # where the size is claimed
        start = data.index(header) + at
        data[start : start + 4] = claimed.to_bytes(4, "little")
    with pytest.raises(MedbenchError, match="damaged archive"):
        unpack(keep(bytes(data)), tmp_path / "out", most_bytes=10**6, report=quiet)


def test_too_many_members_are_refused(keep, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    with pytest.raises(MedbenchError, match="more than 3 files"):
        unpack(keep(PACKED["zip"]), tmp_path / "out", most_bytes=10**6, report=quiet)


def test_a_header_that_claims_gigabytes_is_not_read(keep, tmp_path):
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    data = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(MedbenchError, match=r"damaged archive \(a header claims 8,589,934,592 bytes\)"):
        unpack(keep(data), tmp_path / "out", most_bytes=10**12, report=quiet)


@kinds
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7, 0.95])
def test_a_damaged_archive_is_one_clear_error_and_leaves_nothing(keep, tmp_path, kind, kept):
    archive = keep(PACKED[kind][: int(len(PACKED[kind]) * kept)])
    if kind == "tar" and kept == 0.95:
        archive = keep(PACKED[kind].rstrip(b"\0"))
    with pytest.raises(MedbenchError, match="damaged archive") as caught:
        unpack(archive, tmp_path / "out", most_bytes=10**6, report=quiet)
    assert "\n" not in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} == {"download", ".out.lock"}


def test_a_tar_that_was_cut_between_two_members_is_damaged(keep, tmp_path):
    whole = tarred({"a": bytes(512), "b": b"b"})
    cut = whole[: 512 + 512 + 512]  # the folder, the header of `a`, its zeros
    with pytest.raises(MedbenchError, match=r"damaged archive \(no end mark\)"):
        unpack(keep(cut), tmp_path / "out", most_bytes=10**6, report=quiet)


def test_a_gzip_with_a_wrong_sum_is_damaged(keep, tmp_path):
    data = bytearray(PACKED["tar.gz"])
    data[-8] ^= 1
    with pytest.raises(MedbenchError, match="damaged archive"):
        unpack(keep(bytes(data)), tmp_path / "out", most_bytes=10**6, report=quiet)


@given(st.sampled_from(sorted(PACKED)), st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_unpack_or_are_a_medbench_error_and_nothing_else(tmp_path_factory, kind, data):
    damaged = bytearray(PACKED[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "download").write_bytes(damaged)
    with suppress(MedbenchError):
        unpack(folder / "download", folder / "in" / "out", most_bytes=10**6, report=quiet)
    assert {p.name for p in folder.iterdir()} <= {"download", "in"}


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(MedbenchError, match=r"gone\.zip: no such archive"):
        unpack(tmp_path / "gone.zip", tmp_path / "out", most_bytes=1, report=quiet)


def test_a_full_disk_keeps_what_is_there_for_the_next_time(keep, tmp_path, monkeypatch):
    archive = keep(PACKED["zip"])

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archives, "_write", full)
        with pytest.raises(MedbenchError, match=r"No space left on device\). Free some space"):
            unpack(archive, tmp_path / "out", most_bytes=10**6, report=quiet)
    assert list(tmp_path.glob(".out.*.partial"))
    unpack(archive, tmp_path / "out", most_bytes=10**6, report=quiet)
    assert found(tmp_path / "out") == FILES
