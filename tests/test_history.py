import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from medbench.errors import MedbenchError
from medbench.expect import Expectations
from medbench.history import History, Recorded, entry_of, read, write
from medbench.judgement import Check
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
    in_part = write(tmp_path, session(accepted="why"), [entry(), entry(accepted=True)])
    assert in_part.name.startswith("20261101T020000Z-accepted-")


def test_the_same_written_twice_is_one_and_other_content_of_the_same_second_is_two(tmp_path):
    write(tmp_path, session(), [entry()])
    write(tmp_path, session(), [entry()])
    assert len(files(tmp_path)) == 1
    write(tmp_path, session(), [entry(treatment=0.84)])
    assert len(read(tmp_path, "embedded").nights) == 2


def test_nothing_judged_is_nothing_written(tmp_path):
    assert write(tmp_path / "h", session(), []) is None
    assert not (tmp_path / "h").exists()


@pytest.mark.parametrize("damage", ["torn", "line-less", "one-byte", "empty", "joined"])
def test_a_damaged_file_is_named_and_loses_nothing_else(tmp_path, damage):
    write_nights(tmp_path, [0.83, 0.84, 0.85])
    hurt = files(tmp_path)[1]
    content = hurt.read_bytes()
    hurt.write_bytes(
        {
            "torn": content[: len(content) // 2],
            "line-less": content.splitlines(keepends=True)[0],
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


@pytest.mark.parametrize(
    "content", [b"", b"[]\n", b'{"schema_version": 1}\n', b'{"schema_version": "\xff"}\n']
)
def test_content_that_is_none_of_a_history_is_named_though_its_name_fits(tmp_path, content):
    write_nights(tmp_path, [0.83])
    digest = hashlib.sha256(content).hexdigest()[:16]
    files(tmp_path)[0].with_name(f"20261101T020000Z-night-{digest}.jsonl").write_bytes(content)
    history = read(tmp_path, "embedded")
    assert len(history.nights) == 1
    assert "not a history's file" in history.warnings[0]


def test_a_torn_line_of_an_item_is_named_though_the_hash_is_that_of_what_is_left(tmp_path):
    content = write(tmp_path / "a", session(), [entry()]).read_bytes()[:-9]
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = tmp_path / "b/embedded/2026-11" / f"20261101T020000Z-night-{digest}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert read(tmp_path / "b", "embedded").warnings[0].startswith(f"{path}: not a history's file: ")


def test_what_cannot_be_opened_is_named_and_what_a_copying_system_left_is_passed_over(tmp_path):
    path = write(tmp_path, session(), [entry()])
    path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    folder = path.with_name(path.name.replace("2026", "2027"))
    folder.mkdir()
    history = read(tmp_path, "embedded")
    assert len(history.nights) == 1
    (warning,) = history.warnings
    assert str(folder) in warning


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


def test_what_a_dead_writer_left_and_cannot_be_removed_is_no_bar(tmp_path, monkeypatch):
    path = write(tmp_path, session(), [entry()])
    left = path.with_name(f".{path.name}.host-1.partial")
    left.touch()
    os.utime(left, (0, 0))

    def refuse(self, missing_ok=False):
        raise PermissionError(1, "it is another person's")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert write(tmp_path, session(1), [entry()]) is not None


# Writers at once, and one that is killed


def test_sessions_of_one_microsecond_are_all_kept_whichever_of_them_come_twice(tmp_path):
    same = session(created="2026-11-01T02:00:00.000007+00:00")
    values = [0.81, 0.82, 0.83, 0.82, 0.81]
    for value in values:
        write(tmp_path, same, [entry(treatment=value)])
    history = read(tmp_path, "embedded")
    assert sorted(entries[0].means["treatment"] for _, entries in history.nights) == [0.81, 0.82, 0.83]
    assert history.warnings == []


def test_two_processes_that_write_the_very_same_leave_one_whole_file(tmp_path):
    writers = [writer(tmp_path, 50, "same") for _ in range(2)]
    for process in writers:
        process.communicate(timeout=120)
    assert [process.returncode for process in writers] == [0, 0]
    history = read(tmp_path, "embedded")
    assert history.warnings == []
    assert [night.created for night, _ in history.nights] == [session(n).created for n in range(50)]
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".jsonl"}


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


def test_numbers_have_five_decimals_and_seeds_are_those_of_the_arm_with_most(monkeypatch):
    asked = []

    class Accepted:
        def tolerance(self, metric, environment):
            asked.append((metric, environment))
            return 0.00123456

    monkeypatch.setattr(
        "medbench.history.held_to", lambda judgement, expectations: {"treatment": (0.8312345, 0.0012345)}
    )
    samples = {"baseline": {1: 0.8123456}, "treatment": {1: 0.8223456, 2: 0.8123456}}
    judged = result(samples=samples, trained={"treatment": [1]}, environments=["cpu", "gpu-a100"])
    made = entry_of(judged, Accepted(), device_class="gpu-a100")
    assert made.means == {"baseline": 0.81235, "treatment": 0.81735}
    assert made.values == {"treatment": {1: 0.82235}}
    assert made.bands == {"treatment": (0.83123, 0.00123)}
    assert (made.seeds, made.tolerance) == (2, 0.00123)
    entry_of(judged, Accepted(), device_class="tpu-v5e")
    assert [environment for _, environment in asked] == ["gpu-a100", "cpu"]


def test_a_night_that_is_not_written_yet_is_the_last():
    history = History([Recorded(session(0), [])], ["w"]).with_night(Recorded(session(1), []))
    assert [night for night, _ in history.nights] == [session(0), session(1)]
    assert history.warnings == ["w"]


def test_an_effect_is_its_value_and_its_lower_and_upper_limit_in_five_decimals():
    effect = msgspec.structs.replace(judgement().effect, value=0.0212345678, low=-0.01, high=0.03)
    made = entry_of(result(effect=effect), Expectations(), device_class="cpu")
    assert made.effect == (0.02123, -0.01, 0.03)


@pytest.mark.parametrize("limit", ["value", "low", "high"])
def test_an_effect_with_an_end_at_infinity_is_none(limit):
    effect = msgspec.structs.replace(judgement().effect, **{limit: math.inf})
    assert entry_of(result(effect=effect), Expectations(), device_class="cpu").effect is None


def test_devices_are_named_where_they_are_not_the_sessions_alone():
    here = result(devices={"baseline": ["cpu"], "treatment": ["cpu"]})
    assert entry_of(here, Expectations(), device_class="gpu-a100").devices == ["cpu"]
    assert entry_of(here, Expectations(), device_class="cpu").devices == []


def test_a_trained_seed_that_has_no_value_is_none_that_was_measured():
    made = entry_of(
        result(trained={"baseline": [9], "treatment": [2, 9]}), Expectations(), device_class="cpu"
    )
    assert made.values == {"treatment": {2: 0.82}}


def test_a_check_and_its_colour_are_the_results():
    red = ItemResult(
        id="a",
        category="failed",
        red=True,
        sentence="",
        judgement=judgement(),
        check=Check(id="a", status="drifted"),
    )
    made = entry_of(red, Expectations(), device_class="cpu")
    assert (made.status, made.red) == ("drifted", True)


def test_an_item_that_broke_off_is_no_entry():
    broken = ItemResult(id="a", category="error", red=True, sentence="", judgement=None)
    assert entry_of(broken, Expectations(), device_class="cpu") is None


def test_values_compare_while_definition_and_images_are_the_same():
    def of(**changes):
        return entry_of(result(**changes), Expectations(), device_class="cpu").of

    assert of() == of(verdict="refuted", arms={"baseline": "a", "treatment": "b"})
    assert of() != of(cohort_fingerprint="f2")
    assert of() != of(definition=None)


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
    write(tmp_path, session(created="2026-11-01T02:00:00+00:00"), [entry()])
    for microsecond in range(1, 20):
        created = f"2026-11-01T02:00:00.{microsecond:06}+00:00"
        path = write(tmp_path, session(created=created), [entry(treatment=0.8 + microsecond / 1000)])
        assert path.name.startswith(f"20261101T020000.{microsecond:06}Z-night-")
    nights = [night.created for night, _ in read(tmp_path, "embedded").nights]
    assert nights == sorted(nights)
    assert len(set(nights)) == 20


def test_a_file_that_was_copied_into_another_months_folder_is_one_night(tmp_path):
    write_nights(tmp_path, [0.8, 0.81])
    of_tier = files(tmp_path)[0].parent.parent
    (of_tier / "copied").mkdir()
    shutil.copy(files(tmp_path)[0], of_tier / "copied")
    found = read(tmp_path, of_tier.name)
    assert (len(found.nights), found.warnings) == (2, [])
