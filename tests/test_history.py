import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from medbench.errors import MedbenchError
from medbench.expect import Expectations
from medbench.history import entry_of, read, write
from medbench.report.record import ItemResult
from tests.judging import judgement
from tests.nights import entry, session, write_nights

ROOT = Path(__file__).parents[1]


def files(folder):
    return sorted(folder.glob("*/*/*.jsonl"))


def test_what_was_written_is_read_back_in_order_of_time(tmp_path):
    later, earlier = [entry(red=True, bands={"baseline": (0.81, 0.001)})], [entry(devices=["gpu-a100"])]
    write(tmp_path, session(40), later)
    write(tmp_path, session(3), earlier)
    history = read(tmp_path, "embedded")
    assert history.nights == [(session(3), earlier), (session(40), later)]
    assert history.warnings == []
    assert [file.parent.name for file in files(tmp_path)] == ["2026-11", "2026-12"]


def test_a_name_tells_time_and_kind_so_that_a_shell_can_thin(tmp_path):
    plain = write(tmp_path, session(), [entry()])
    accepted = write(tmp_path, session(accepted="why"), [entry(accepted=True)])
    assert plain.name.startswith("20261101T020000Z-night-")
    assert accepted.name.startswith("20261101T020000Z-accepted-")


def test_the_same_written_twice_is_one_and_other_content_of_the_same_second_is_two(tmp_path):
    write(tmp_path, session(), [entry()])
    write(tmp_path, session(), [entry()])
    assert len(files(tmp_path)) == 1
    write(tmp_path, session(), [entry(treatment=0.84)])
    assert len(read(tmp_path, "embedded").nights) == 2


def test_nothing_judged_is_nothing_written(tmp_path):
    assert write(tmp_path / "h", session(), []) is None
    assert not (tmp_path / "h").exists()


@pytest.mark.parametrize("damage", ["torn", "one-byte", "empty", "joined"])
def test_a_damaged_file_is_named_and_loses_nothing_else(tmp_path, damage):
    write_nights(tmp_path, [0.83, 0.84, 0.85])
    hurt = files(tmp_path)[1]
    content = hurt.read_bytes()
    hurt.write_bytes(
        {
            "torn": content[: len(content) // 2],
            "one-byte": content.replace(b"0.84", b"0.94"),
            "empty": b"",
            "joined": content + files(tmp_path)[0].read_bytes(),
        }[damage]
    )
    history = read(tmp_path, "embedded")
    assert [entries[0].means["treatment"] for _, entries in history.nights] == [0.83, 0.85]
    (warning,) = history.warnings
    assert warning.startswith(f"{hurt}: damaged")
    assert "Restore it from git" in warning


def test_line_ends_that_git_changed_are_no_damage(tmp_path):
    path = write(tmp_path, session(), [entry()])
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read(tmp_path, "embedded").nights == [(session(), [entry()])]


def test_a_newer_medbenchs_file_is_left_to_it(tmp_path):
    write(tmp_path, session(schema_version=2), [entry()])
    history = read(tmp_path, "embedded")
    assert history.nights == []
    assert "newer medbench (schema 2)" in history.warnings[0]


def test_a_file_that_is_none_of_a_history_is_named(tmp_path):
    write_nights(tmp_path, [0.83])
    stranger = files(tmp_path)[0].with_name("notes\x1b[31m.jsonl")
    stranger.write_text("{}")
    history = read(tmp_path, "embedded")
    assert len(history.nights) == 1
    assert "notes\\x1b[31m.jsonl: not named as" in history.warnings[0]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "h").write_text("")
    with pytest.raises(MedbenchError, match=r"h/embedded/2026-11: the history cannot be written .*--history"):
        write(tmp_path / "h", session(), [entry()])


# Writers at once, and one that is killed

WRITER = """
import sys
from pathlib import Path
from medbench.history import write
from tests.nights import entry, session
for number in range(int(sys.argv[2])):
    write(Path(sys.argv[1]), session(number), [entry(item=f"chest/{sys.argv[3]}/id") for _ in range(100)])
    print(number, flush=True)
"""


def writer(folder, nights, name):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(folder), str(nights), name]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_two_processes_that_write_at_once_lose_nothing(tmp_path):
    writers = [writer(tmp_path, 50, name) for name in ("one", "two")]
    for process in writers:
        process.communicate(timeout=120)
    assert [process.returncode for process in writers] == [0, 0]
    history = read(tmp_path, "embedded")
    assert history.warnings == []
    assert sorted((night.created, entries[0].id) for night, entries in history.nights) == sorted(
        (session(number).created, f"chest/{name}/id") for number in range(50) for name in ("one", "two")
    )


def test_a_writer_killed_at_any_time_leaves_whole_files_and_what_it_left_is_cleaned_later(tmp_path):
    for attempt in range(5):
        process = writer(tmp_path, 100_000, f"n{attempt}")
        written = int(process.stdout.readline())
        time.sleep(0.02 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        rest = process.communicate()[0].splitlines()
        written = int(rest[-1]) if rest and rest[-1].isdecimal() else written
        history = read(tmp_path, "embedded")
        assert history.warnings == []
        whole = [entries for _, entries in history.nights if entries[0].id == f"chest/n{attempt}/id"]
        assert len(whole) >= written
        assert all(len(entries) == 100 for entries in whole)
    left = files(tmp_path)[0].with_name(".20261101T020000Z-night-0123456789abcdef.jsonl.host-1.partial")
    left.write_bytes(b'{"schema_version":1,')
    kept = read(tmp_path, "embedded")
    write(tmp_path, session(), [entry()])
    assert left.exists(), "it may be another writer's that is at work"
    os.utime(left, (time.time() - 90_000,) * 2)
    write(tmp_path, session(), [entry()])
    assert not left.exists()
    assert kept.warnings == read(tmp_path, "embedded").warnings == []


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_branches_with_nights_of_their_own_merge_without_a_conflict(tmp_path):
    git(tmp_path, "init")
    write(tmp_path, session(0), [entry()])
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    git(tmp_path, "branch", "other")
    for branch, value in (("main", 0.82), ("other", 0.84)):
        git(tmp_path, "checkout", branch)
        write(tmp_path, session(1), [entry(treatment=value)])
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-m", branch)
    git(tmp_path, "checkout", "main")
    git(tmp_path, "merge", "other", "-m", "merged")
    means = {entries[0].means["treatment"] for _, entries in read(tmp_path, "embedded").nights}
    assert means == {0.83, 0.82, 0.84}


# What a line says


def result(**changes):
    made = judgement(**changes)
    return ItemResult(id=made.id, category="passed", red=False, sentence="", judgement=made)


def test_an_entry_has_means_of_all_and_values_of_what_was_measured():
    made = entry_of(
        result(trained={"baseline": [], "treatment": [2]}), Expectations(), device_class="cpu", accepted=True
    )
    assert made.means == {"baseline": 0.81, "treatment": 0.83}
    assert made.values == {"treatment": {2: 0.82}}
    assert (made.seeds, made.accepted, made.devices, made.tolerance) == (3, True, [], 0.001)


def test_values_compare_while_definition_and_images_are_the_same():
    def of(**changes):
        return entry_of(result(**changes), Expectations(), device_class="cpu").of

    assert of() == of(verdict="refuted", arms={"baseline": "a", "treatment": "b"})
    assert of() != of(cohort_fingerprint="f2")


def test_what_was_not_run_is_no_entry_and_what_is_missing_is_one():
    assert entry_of(result(state="not-run"), Expectations(), device_class="cpu") is None
    missing = result(state="missing", verdict=None, effect=None, samples={}, trained={}, devices={})
    assert entry_of(missing, Expectations(), device_class="cpu").state == "missing"


def test_a_night_of_the_whole_suite_is_small(tmp_path):
    """Like one of the embedded tier: 170 items, the sentinels of a quarter of them measured."""
    rng = np.random.default_rng(0)

    def of(item, seeds):
        value = [round(float(v), 5) for v in rng.uniform(0.5, 1, size=2)]
        return entry(
            f"mammography/calibration-{item:03d}/vendor-b",
            treatment=value[0],
            baseline=value[1],
            seeds=range(1, seeds + 1),
            bands={"baseline": (0.81234, 0.00123), "treatment": (0.81234, 0.00123)} if seeds else {},
            tolerance=0.00123,
        )

    usual = write(tmp_path / "usual", session(), [of(item, item < 40) for item in range(170)])
    assert usual.stat().st_size < 50_000
    lines = usual.read_text().splitlines()
    assert len(lines) == 171
    assert json.loads(lines[0])["schema_version"] == 1


def test_sessions_of_one_second_are_read_in_their_order(tmp_path):
    """Whatever the hashes of their content are, which files of one second were ordered by."""
    for microsecond in range(20):
        created = f"2026-11-01T02:00:00.{microsecond:06}+00:00"
        path = write(tmp_path, session(created=created), [entry(treatment=0.8 + microsecond / 1000)])
        assert path.name.startswith(f"20261101T020000.{microsecond:06}Z-night-")
    nights = [night.created for night, _ in read(tmp_path, "embedded").nights]
    assert nights == sorted(nights)
    assert len(set(nights)) == 20
