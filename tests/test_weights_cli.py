import errno
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medbench import cli, weights_cli
from medbench.data import download
from medbench.models import bit, catalogue, lock, npz, weights

ROOT = Path(__file__).parents[1]
TINY = {"blocks": (1, 1, 1, 1), "width": 1 / 16}
SUITE = {
    "suite.yaml": "extends: medbench\n",
    "backbones.yaml": """\
architectures:
  tiny: {blocks: [1, 1, 1, 1], width: 0.0625}
upstreams:
  films: {description: films, images: 10, classes: 3, weights: {tiny: films-tiny.npz}}
  photos: {description: photographs, images: 10, classes: 3, weights: {tiny: photos-tiny.npz}}
""",
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A repository with a suite of two backbones of its own, and a catalogue that has one of their files."""
    for name, text in SUITE.items():
        path = tmp_path / "benchmarks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    entry = catalogue.Released(
        file="photos-tiny.npz",
        address="https://example.org/nets/photos.npz",
        licence="CC0-1.0",
        upstream="photos",
        architecture="tiny",
        blocks=TINY["blocks"],
        width=TINY["width"],
        classes=3,
        bytes=100_000,
        sha256="",
    )
    for module in (weights, lock, weights_cli):
        monkeypatch.setattr(module, "released", lambda: {entry.file: entry})
    return tmp_path


@pytest.fixture
def sound(tmp_path_factory):
    """A folder elsewhere with a sound file of either backbone."""
    folder = tmp_path_factory.mktemp("elsewhere")
    params = bit.init_params(*TINY.values(), 3, np.random.default_rng(0))
    for name in ("photos-tiny.npz", "films-tiny.npz"):
        npz.save(folder / name, params)
    return folder


@pytest.fixture
def server(monkeypatch, sound):
    """What stands in for the download: it serves `served`, and remembers what it was asked for."""
    calls = SimpleNamespace(served=sound / "photos-tiny.npz", asked=[])

    def download(url, into, *, sha256="", md5="", most_bytes, report, otherwise):
        calls.asked.append((url, sha256, most_bytes))
        report(1, 2)
        shutil.copyfile(calls.served, into)
        return weights.sha256(into)

    monkeypatch.setitem(sys.modules, "medbench.data.download", SimpleNamespace(download=download))
    return calls


def run(*arguments):
    return cli.main(["weights", *map(str, arguments)])


def test_list_says_what_every_backbone_needs_and_how_it_stands(sound, capsys):
    run("get", "bit-films-tiny", "--from", sound)
    capsys.readouterr()
    assert run("list") == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert lines["bit-cifar2k-r14x0.5"][-1] == "shipped"
    assert lines["bit-photos-tiny"] == ["photos-tiny.npz", "~0", "missing"]
    assert " ".join(lines["bit-films-tiny"][2:-1]) == "in .medbench/weights, recorded"
    assert lines["bit-l-r152x4"] == ["BiT-L-R152x4.npz", "missing,", "and", "not", "released"]


def test_list_says_what_was_never_used_and_what_changed_since(here, sound, capsys):
    (here / weights.OWN).mkdir(parents=True)
    path = here / weights.OWN / "films-tiny.npz"
    shutil.copyfile(sound / path.name, path)
    run("list")
    assert "in .medbench/weights, never used" in capsys.readouterr().out
    lock.digest(weights.OWN / path.name)
    path.write_bytes(b"")
    run("list")
    assert "in .medbench/weights, changed since it was recorded " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["photos-tiny.npz", "bit-photos-tiny"])
def test_get_fetches_a_released_file_to_where_it_is_found(here, server, capsys, name):
    assert run("get", name) == 0
    assert server.asked == [("https://example.org/nets/photos.npz", "", 200_000)]
    assert weights.find("photos-tiny.npz") == weights.OWN / "photos-tiny.npz"
    assert lock.recorded(weights.OWN / "photos-tiny.npz").sha256 in capsys.readouterr().out
    assert (here / weights.OWN / ".gitignore").read_text() == "*\n"
    assert run("get", name) == 0
    assert len(server.asked) == 1
    assert "there already" in capsys.readouterr().out


def test_get_puts_files_where_it_is_told(here, server, monkeypatch, capsys):
    run("get", "photos-tiny.npz", "--into", "nets")
    assert (here / "nets/photos-tiny.npz").is_file()
    assert f"export {weights.VARIABLE}=nets" in capsys.readouterr().out
    monkeypatch.setenv(weights.VARIABLE, str(here / "first"))
    run("get", "photos-tiny.npz")
    assert (here / "first/photos-tiny.npz").is_file()
    assert "export" not in capsys.readouterr().out


def test_without_a_network_it_is_told_once_what_to_do(here, monkeypatch, capsys):
    monkeypatch.setattr(download, "TRIES", 1)
    entry = replace(weights_cli.released()["photos-tiny.npz"], address="http://127.0.0.1:1/photos.npz")
    monkeypatch.setattr(weights_cli, "released", lambda: {entry.file: entry})
    assert run("get", "photos-tiny.npz") == 2
    error = capsys.readouterr().err
    assert "http://127.0.0.1:1/photos.npz: cannot be downloaded (no connection: " in error
    assert "fetch it elsewhere and `medbench weights get photos-tiny.npz --from` the folder" in error
    assert (error.count("elsewhere"), error.count("127.0.0.1"), error.count("incoming")) == (1, 1, 0)


def test_a_file_is_copied_from_a_folder_without_a_network(here, sound, server):
    assert run("get", "photos-tiny.npz", "bit-films-tiny", "--from", sound) == 0
    assert server.asked == []
    for name in ("photos-tiny.npz", "films-tiny.npz"):
        assert (here / weights.OWN / name).read_bytes() == (sound / name).read_bytes()


def test_of_two_processes_that_copy_one_file_the_second_waits(here, sound, monkeypatch, capsys):
    code = "import sys; from medbench import cli; sys.exit(cli.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "weights", "get", "films-tiny.npz", "--from", str(sound)]
    second = []

    def meanwhile(path, net, *, full):
        second.append(
            subprocess.Popen(
                command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
            )
        )
        assert second[0].stdout.readline() == "films-tiny.npz: waiting for another process that gets it\n"

    monkeypatch.setattr(weights_cli, "_hold_against", meanwhile)
    assert run("get", "films-tiny.npz", "--from", sound) == 0
    (process,) = second
    assert "there already" in process.communicate(timeout=60)[0]
    assert process.returncode == 0
    got = here / weights.OWN / "films-tiny.npz"
    assert got.read_bytes() == (sound / got.name).read_bytes()
    assert lock.recorded(got).sha256 == weights.sha256(sound / got.name)


def test_a_copy_never_writes_where_another_process_may(here, sound, monkeypatch):
    """As on a file system that keeps no locks: what the other wrote neither changes nor is taken."""
    monkeypatch.setattr(weights_cli.FileLock, "acquire", lambda *_, **__: None)
    other = here / weights.OWN / "incoming" / "films-tiny.npz"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"half")
    assert run("get", "films-tiny.npz", "--from", sound) == 0
    assert other.read_bytes() == b"half"
    assert (here / weights.OWN / other.name).read_bytes() == (sound / other.name).read_bytes()


def test_what_a_killed_copy_left_is_cleared(here, sound):
    left = here / weights.OWN / "incoming" / "films-tiny.npz-x7" / "films-tiny.npz"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    run("get", "films-tiny.npz", "--from", sound)
    assert [path.name for path in (here / weights.OWN / "incoming").iterdir()] == [".films-tiny.npz.lock"]


def test_a_source_that_cannot_be_read_is_told_by_its_name(here, sound, monkeypatch, capsys):
    real = Path.open

    def refused(path, *arguments, **named):
        if path == sound / "films-tiny.npz":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refused)
    assert run("get", "films-tiny.npz", "--from", sound) == 2
    assert f"{sound}/films-tiny.npz: cannot be read (Permission denied)." in capsys.readouterr().err
    assert list((here / weights.OWN).rglob("*.npz")) == []


def test_a_folder_that_lacks_the_file_is_told_with_what_it_has(sound, capsys):
    (sound / "photos-tiny.npz").unlink()
    assert run("get", "photos-tiny.npz", "--from", sound) == 2
    error = capsys.readouterr().err
    assert "has no file `photos-tiny.npz`. Weight files found there: films-tiny.npz." in error


def test_what_arrives_and_is_of_another_net_is_not_taken(here, server, sound, capsys):
    npz.save(server.served, bit.init_params((1, 2, 1, 1), TINY["width"], 3, np.random.default_rng(0)))
    assert run("get", "photos-tiny.npz") == 2
    assert "photos-tiny.npz: has the unknown arrays `resnet/block2/unit02/" in capsys.readouterr().err
    assert [path.name for path in (here / weights.OWN).rglob("*.npz")] == []


def test_what_arrives_anew_must_be_what_was_there_before(here, server, sound, capsys):
    run("get", "photos-tiny.npz")
    recorded = lock.recorded(weights.OWN / "photos-tiny.npz").sha256
    (here / weights.OWN / "photos-tiny.npz").unlink()
    npz.save(server.served, bit.init_params(*TINY.values(), 3, np.random.default_rng(1)))
    assert run("get", "photos-tiny.npz") == 2
    assert server.asked[-1][1] == recorded
    assert "is not the file that it was" in capsys.readouterr().err
    assert [path.name for path in (here / weights.OWN).rglob("*.npz")] == []


@pytest.mark.parametrize("command", ["get", "check", "accept"])
def test_a_released_file_has_the_head_that_its_name_stands_for(here, sound, capsys, command):
    """As BiT-S would be under the name of BiT-M: the body is of the same shape."""
    npz.save(sound / "photos-tiny.npz", bit.init_params(*TINY.values(), 2, np.random.default_rng(0)))
    if command != "get":
        shutil.copytree(sound, here / weights.OWN)
    assert run(command, "photos-tiny.npz", *(["--from", sound] if command == "get" else []))
    assert "photos-tiny.npz: its head is for 2 classes, expected 3" in capsys.readouterr().err
    assert lock.recorded(here / weights.OWN / "photos-tiny.npz") is None


def test_a_damaged_file_is_not_accepted(here, sound, capsys):
    run("get", "films-tiny.npz", "--from", sound)
    path = here / weights.OWN / "films-tiny.npz"
    before = lock.recorded(path)
    damaged = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.compress_size)
    damaged[largest.header_offset + largest.compress_size // 2] ^= 1
    path.write_bytes(damaged)
    assert run("accept", "films-tiny.npz") == 2
    assert "films-tiny.npz: not a readable .npz file" in capsys.readouterr().err
    assert lock.recorded(path) == before
    assert run("check", "films-tiny.npz") == 0, "names and shapes are as they were"


def test_a_file_that_is_there_and_not_the_one_given_is_said_so(here, sound, capsys):
    run("get", "films-tiny.npz", "--from", sound)
    assert run("get", "films-tiny.npz", "--from", sound) == 0
    path = here / weights.OWN / "films-tiny.npz"
    path.write_bytes(path.read_bytes()[:-1])
    capsys.readouterr()
    assert run("get", "films-tiny.npz", "--from", sound) == 2
    said = capsys.readouterr()
    assert "films-tiny.npz: there already, and not the file that --from gives: sha256 " in said.err
    assert "Remove the one that is there" in said.err
    assert said.out == ""
    path.unlink()
    assert run("get", "films-tiny.npz", "--from", sound) == 0


def test_too_little_space_is_told_before_anything_is_fetched(server, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000))
    assert run("get", "photos-tiny.npz") == 2
    assert "0 MB are to come and 0 MB are free" in capsys.readouterr().err
    assert server.asked == []


def test_a_file_that_was_never_released_is_told_where_to_go(server, capsys):
    assert run("get", "bit-films-tiny") == 2
    assert "`films-tiny.npz` was never released" in capsys.readouterr().err


def test_an_unknown_name_is_told_with_the_nearest(capsys):
    assert run("get", "bit-photo-tiny") == 2
    assert "Did you mean `bit-photos-tiny`?" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told(here, server, capsys):
    (here / "file").write_text("")
    assert run("get", "photos-tiny.npz", "--into", "file") == 2
    assert "file: cannot be written (" in capsys.readouterr().err


def test_check_finds_what_is_sound_and_what_is_not(here, sound, capsys):
    run("get", "photos-tiny.npz", "films-tiny.npz", "--from", sound)
    capsys.readouterr()
    assert run("check") == 0
    out = capsys.readouterr().out
    right = "names and shapes are right; values not read (--full), sha256 "
    assert f"{weights.OWN}/photos-tiny.npz: {right}" in out
    assert out.count("as on 20") == 2
    assert f"bit-cifar50k-r14x0.5.npz: {right}" in out
    (here / weights.OWN / "films-tiny.npz").write_bytes(b"")
    assert run("check", "photos-tiny.npz", "films-tiny.npz") == 1
    captured = capsys.readouterr()
    assert "films-tiny.npz: not a readable .npz file" in captured.err
    assert "photos-tiny.npz: names and shapes are right" in captured.out
    assert run("check", "photos-tiny.npz", "--full") == 0
    assert "photos-tiny.npz: sound, sha256 " in capsys.readouterr().out


def test_a_changed_file_is_found_by_check_until_the_change_is_accepted(here, sound, capsys):
    run("get", "photos-tiny.npz", "--from", sound)
    npz.save(
        here / weights.OWN / "photos-tiny.npz", bit.init_params(*TINY.values(), 3, np.random.default_rng(1))
    )
    assert run("check", "photos-tiny.npz") == 1
    assert "is not the file that it was" in capsys.readouterr().err
    assert run("accept", "photos-tiny.npz") == 0
    assert run("check", "photos-tiny.npz") == 0


def test_only_a_full_check_reads_every_value(here, sound):
    with np.load(sound / "films-tiny.npz") as archive:
        arrays = dict(archive)
    arrays["resnet/group_norm/gamma"][0] = np.nan
    np.savez(sound / "films-tiny.npz", **arrays)
    run("get", "films-tiny.npz", "--from", sound)
    assert run("check", "films-tiny.npz") == 0
    assert run("check", "films-tiny.npz", "--full") == 1


def test_a_file_is_checked_by_its_path_and_recorded_only_where_it_is_used_from(here, sound, capsys):
    assert run("check", sound / "films-tiny.npz") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{sound}/films-tiny.npz: names and shapes are right")
    assert out.endswith("in no folder that is searched\n")
    assert not (sound / lock.LOCK).exists()
    run("get", "films-tiny.npz", "--from", sound)
    capsys.readouterr()
    assert run("check", here / weights.OWN / "films-tiny.npz") == 0
    assert ", as on 20" in capsys.readouterr().out
    (sound / "films-tiny.npz").rename(sound / "mine.npz")
    assert run("check", sound / "mine.npz") == 2
    assert "mine.npz: no backbone starts from a file of this name" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["get", "check", "accept"])
def test_a_backbone_that_starts_at_random_needs_no_file(capsys, command):
    assert run(command, "bit-random-tiny") == 2
    assert "`bit-random-tiny` starts at random: it needs no file." in capsys.readouterr().err


def test_what_travels_with_medbench_need_not_be_got(here, server, capsys):
    assert run("get", "bit-cifar2k-r14x0.5") == 0
    assert "bit-cifar2k-r14x0.5.npz: travels with medbench" in capsys.readouterr().out
    assert not (here / weights.OWN).exists()
    assert run("get", "bit-cifar2k-r14x0.5", "photos-tiny.npz") == 0
    assert len(server.asked) == 1


def test_the_file_itself_may_be_named_to_copy_from(here, sound, capsys):
    assert run("get", "bit-films-tiny", "--from", sound / "films-tiny.npz") == 0
    assert (here / weights.OWN / "films-tiny.npz").is_file()
    assert run("get", "bit-films-tiny", "--from", sound / "photos-tiny.npz") == 2
    assert "photos-tiny.npz: asked for was `films-tiny.npz`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (Path.mkdir, "is a folder"),
        (os.mkfifo, "is no regular file"),
        (lambda path: path.symlink_to("gone.npz"), "is a link to gone.npz, which is not there"),
    ],
)
def test_what_is_no_file_is_said_to_be_what_it_is(here, capsys, make, what):
    path = here / weights.OWN / "films-tiny.npz"
    path.parent.mkdir(parents=True)
    make(path)
    assert run("check", "films-tiny.npz") == 2
    error = capsys.readouterr().err
    assert f"films-tiny.npz: {what}, expected a weight file." in error
    assert "not found" not in error


def test_a_missing_file_that_is_named_is_a_mistake(capsys):
    assert run("check", "photos-tiny.npz") == 2
    assert "`medbench weights get photos-tiny.npz` fetches it" in capsys.readouterr().err


def test_a_file_comes_from_a_server_as_it_is(here, sound, monkeypatch):
    """The real download, from this machine."""
    handler = partial(SimpleHTTPRequestHandler, directory=sound)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        entry = weights_cli.released()["photos-tiny.npz"]
        entry = replace(entry, address=f"http://127.0.0.1:{server.server_port}/photos-tiny.npz")
        monkeypatch.setattr(weights_cli, "released", lambda: {entry.file: entry})
        assert run("get", "photos-tiny.npz") == 0
        server.shutdown()
    assert (here / weights.OWN / "photos-tiny.npz").read_bytes() == (sound / "photos-tiny.npz").read_bytes()
    assert not list((here / weights.OWN).rglob("*.partial*"))
