import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench import store as store_module
from medbench.errors import MedbenchError
from medbench.store import LEAST_FREE, Store
from tests import runs

ROOT = Path(__file__).parents[1]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def put(store, record=None, seed=1):
    return store.put(record or runs.record(), runs.all_predictions(seed), runs.features())


def test_a_stored_run_comes_back_as_it_was_put(store):
    made = put(store)
    got = store.get(made.record.run_id)
    assert got.record == made.record
    assert (made.origin, got.origin) == ("trained", "reused")
    for name, expected in runs.all_predictions().items():
        found = got.predictions(name)
        for field in ("image", "patient", "labels", "logits"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
        assert found.logits.dtype == np.float32
    for name, expected in runs.features().items():
        np.testing.assert_array_equal(got.features()[name], expected)
        assert got.features()[name].dtype == np.float16


def test_the_record_says_what_was_scored(store):
    evaluations = put(store).record.evaluations
    assert [(e.evaluation_set, e.images, e.patients) for e in evaluations] == [
        ("validation", 12, 6),
        ("id", 12, 6),
        ("phone", 12, 6),
    ]


def test_equal_runs_leave_equal_bytes(tmp_path):
    first, second = (put(Store(tmp_path / name)) for name in ("a", "b"))
    assert runs.content(first.path) == runs.content(second.path)


def test_a_run_that_was_not_stored_is_none(store):
    assert store.get("0" * 20) is None
    assert list(store.records()) == []


def test_looking_into_a_store_makes_no_folder(store):
    store.get("0" * 20)
    list(store.records())
    assert not store.root.exists()


def test_what_is_in_the_store_is_not_committed_by_accident(store):
    put(store)
    assert (store.root / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(
    "write", [put, lambda store: store.pseudonyms(), lambda store: store.cache("digests")]
)
def test_a_folder_that_was_there_is_not_committed_either(tmp_path, write):
    write(Store(tmp_path))
    assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_a_folder_of_other_things_is_not_hidden_from_git(tmp_path):
    (tmp_path / "README.md").touch()
    put(Store(tmp_path))
    assert not (tmp_path / ".gitignore").exists()


def test_a_gitignore_of_ones_own_is_left_alone(tmp_path):
    (tmp_path / ".gitignore").write_text("mine\n")
    put(Store(tmp_path))
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_a_run_that_is_put_again_replaces_the_first(store):
    put(store, seed=1)
    again = put(store, seed=2)
    found = store.get(again.record.run_id).predictions("id")
    np.testing.assert_array_equal(found.logits, runs.predictions("id", 2).logits)
    assert list((store.root / "incoming").iterdir()) == []


def test_an_evaluation_set_may_be_named_like_a_path(store):
    record = runs.record()
    made = store.put(record, {"../phone / b": runs.predictions("../phone / b")}, {})
    assert len(store.get(record.run_id).predictions("../phone / b")) == 12
    assert [p.parent for p in made.path.rglob("*.parquet")] == [made.path / "predictions"]


def test_an_evaluation_set_that_was_not_scored_is_named(store):
    with pytest.raises(MedbenchError, match=r"no predictions on `icu`; the run has validation, id, phone"):
        put(store).predictions("icu")


@pytest.mark.parametrize("file", ["predictions/id.parquet", "predictions/phone.parquet"])
def test_altered_predictions_are_not_read(store, file):
    made = put(store)
    content = bytearray((made.path / file).read_bytes())
    content[len(content) // 2] ^= 1
    (made.path / file).write_bytes(content)
    with pytest.raises(MedbenchError, match=rf"{Path(file).name}.*Delete .*{made.record.run_id} to train"):
        made.predictions(Path(file).stem)


def test_missing_predictions_are_named(store):
    made = put(store)
    (made.path / "predictions/id.parquet").unlink()
    with pytest.raises(MedbenchError, match=r"id\.parquet: predictions are missing"):
        made.predictions("id")


@given(data=st.data())
def test_a_damaged_record_is_one_named_error_or_still_a_record(tmp_path_factory, data):
    store = Store(tmp_path_factory.mktemp("damaged"))
    made = put(store)
    content = bytearray((made.path / "record.json").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] = data.draw(st.integers(0, 255))
    (made.path / "record.json").write_bytes(content)
    try:
        assert store.get(made.record.run_id) is not None
    except MedbenchError as error:
        assert "record.json" in str(error)  # noqa: PT017


def test_a_truncated_record_says_what_to_do_and_spares_the_others(store):
    made = put(store)
    other = put(store, runs.record(runs.spec(seed=2)))
    record = made.path / "record.json"
    record.write_bytes(record.read_bytes()[:100])
    with pytest.raises(
        MedbenchError, match=r"record\.json: the record is damaged .* Delete .* to train the run"
    ):
        store.get(made.record.run_id)
    assert list(store.records()) == [other.record]


def test_a_run_that_lies_under_another_ones_name_is_refused(store):
    one, other = (put(store, runs.record(runs.spec(seed=seed))) for seed in (1, 2))
    shutil.rmtree(other.path)
    shutil.copytree(one.path, other.path)
    with pytest.raises(MedbenchError, match=f"the record is of another run, {one.record.run_id}"):
        store.get(other.record.run_id)


def test_a_record_of_a_later_version_is_not_taken_for_damaged(store):
    made = put(store)
    content = json.loads((made.path / "record.json").read_text())
    content["schema_version"] += 1
    content["something_new"] = 1
    (made.path / "record.json").write_text(json.dumps(content))
    with pytest.raises(MedbenchError, match="written by a later medbench"):
        store.get(made.record.run_id)


def test_a_full_disk_is_one_message_and_loses_nothing(store):
    kept = put(store, runs.record(runs.spec(seed=2)))
    before = put(store, seed=1)
    files = runs.content(store.root / "runs")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    try:
        with pytest.raises(MedbenchError, match=r"the store cannot be written .*finished runs are kept"):
            put(store, seed=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert runs.content(store.root / "runs") == files
    assert list((store.root / "incoming").iterdir()) == []
    assert store.get(before.record.run_id).record == before.record
    assert store.get(kept.record.run_id).record == kept.record
    put(store, seed=3)


def test_a_store_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MedbenchError, match=r"file/store: the store cannot be written"):
        put(Store(tmp_path / "file" / "store"))


def test_too_little_space_is_told_before_training(store, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, LEAST_FREE - 1))
    with pytest.raises(MedbenchError, match="only 63 MiB are free"):
        store.require_space()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, LEAST_FREE))
    store.require_space()


def test_locks_of_different_runs_do_not_meet(store):
    with store.lock("0" * 20), store.lock("1" * 20, waiting=pytest.fail):
        pass


def test_a_thread_takes_its_own_lock_again_without_waiting(store):
    with store.lock("0" * 20), store.lock("0" * 20, waiting=pytest.fail):
        pass


def test_a_lock_keeps_another_thread_out_and_names_its_holder(store):
    waited, order = [], []

    def second():
        with store.lock("0" * 20, waiting=waited.append):
            order.append("second")

    with store.lock("0" * 20):
        thread = threading.Thread(target=second)
        thread.start()
        while not waited:
            time.sleep(0.01)
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert len(waited) == 1
    assert waited[0].pid == os.getpid()
    assert f"process {os.getpid()}, since " in str(waited[0])


def test_a_holder_on_another_machine_is_named_with_it():
    holder = store_module.Holder(pid=7, host="node-3", worker="gw1", since="2026-12-01T10:11:12+00:00")
    assert str(holder) == "worker gw1, process 7 on node-3, since 10:11:12 UTC"


def test_a_note_that_a_dead_process_left_names_nobody(store):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    note = store.root / "note.json"
    note.parent.mkdir()
    note.write_bytes(
        msgspec.json.encode(msgspec.structs.replace(store_module._this_process(), pid=child.pid))
    )
    assert store_module._read_holder(note) is None


def test_what_a_dead_process_was_writing_is_removed_with_the_next_run(store):
    half = store.root / "incoming" / ("0" * 20)
    half.mkdir(parents=True)
    (half / "record.json").write_text("{")
    put(store)
    assert not half.exists()


def test_what_another_process_is_writing_is_left_alone(store):
    half = store.root / "incoming" / ("0" * 20)
    half.mkdir(parents=True)
    ready, done = threading.Event(), threading.Event()

    def writer():
        with store.lock("1" * 20):
            (store.root / "incoming" / ("1" * 20)).mkdir()
            ready.set()
            done.wait()

    thread = threading.Thread(target=writer)
    thread.start()
    ready.wait()
    put(store)
    assert not half.exists()
    assert (store.root / "incoming" / ("1" * 20)).exists()
    done.set()
    thread.join()


KILLED_WHILE_PUTTING = """
import os, shutil, signal, sys
from pathlib import Path

import medbench.predictions
from medbench.store import Store
from tests import runs

store, replace = Store(Path(sys.argv[1])), sys.argv[2] == "replace"
record = runs.record()


def forked(work):
    "Exit status of `work` in a process of its own; negative if a signal ended it."
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def put(seed, killed_at=None):
    calls = 0

    def hook(event, arguments):
        nonlocal calls
        if event == "open" or event.startswith(("os.", "shutil.")):
            calls += 1
            if calls == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    store.put(record, {"id": runs.predictions("id", seed)}, runs.features())


def whole_or_absent():
    with store.lock(record.run_id):
        run = store.get(record.run_id)
    if run is None:
        assert not replace, "the earlier run is lost"
        assert not store.path(record.run_id).exists(), "half a run"
        return
    found = run.predictions("id").logits.tolist()
    assert found in [runs.predictions("id", seed).logits.tolist() for seed in (1, 2)], "a mixture"
    assert len(run.features()) == 2


def killed_at(call):
    shutil.rmtree(store.root, ignore_errors=True)
    if replace:
        put(1)
    put(2, killed_at=call)


def recovered():
    whole_or_absent()
    put(2)
    whole_or_absent()
    assert list((store.root / "incoming").iterdir()) == [], "something was left behind"


kills = 0
while (status := forked(lambda: killed_at(kills + 1))) != 0:
    assert status == -signal.SIGKILL, status
    kills += 1
    assert forked(recovered) == 0, f"after the kill at call {kills}"
print("kills", kills)
"""


@pytest.mark.parametrize("case", ["new", "replace"])
def test_killed_at_any_call_a_run_is_there_whole_or_not_at_all(tmp_path, case):
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_PUTTING, str(tmp_path / "store"), case],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) > 20
