import hashlib
import json
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench import remote as remote_module
from medbench.errors import MedbenchError
from medbench.remote import Remote, UnreachableError, is_url
from medbench.store import Store, store_at
from tests import places, runs

ROOT = Path(__file__).parents[1]
RECORD = runs.record()
ID = RECORD.run_id


@pytest.fixture
def url():
    return places.new()


@pytest.fixture
def machine(tmp_path, url):
    """Makes machines that share a remote store, each with a disk of its own."""

    def named(name, at=url):
        return Store(tmp_path / name, at)

    return named


def train(store, seed=1, record=RECORD):
    return store.put(record, runs.all_predictions(seed), runs.features())


def seeds_of(run):
    """Which seeds the predictions of a run are of; each is checked against its hash."""
    return {
        seed
        for name in ("validation", *runs.SETS)
        for seed in (1, 2)
        if np.array_equal(run.predictions(name).logits, runs.predictions(name, seed).logits)
    }


def where(below, name=""):
    """The one file in memory below a URL."""
    (found,) = (
        path for path in places.Watched.store if path.startswith(f"/{below[10:]}") and path.endswith(name)
    )
    return found


def others(n):
    """Records of `n` different runs."""
    ids = [hashlib.sha256(bytes([i])).hexdigest()[:20] for i in range(n)]
    return [runs.record(run_id=run_id) for run_id in ids]


# Sharing


@pytest.mark.parametrize("protocol", ["memory", "file", "watched"])
def test_a_run_that_one_machine_trained_comes_to_another_as_it_was(machine, tmp_path, protocol):
    at = f"file://{tmp_path}/there" if protocol == "file" else places.new(protocol)
    made = train(machine("one", at))
    other = machine("other", at)
    found = other.get(ID)
    assert found.origin == "reused"
    assert runs.content(found.path) == runs.content(made.path)
    assert found.path.is_relative_to(tmp_path / "other")
    assert list((other.root / "incoming").iterdir()) == []


def test_what_nobody_trained_is_nowhere(machine):
    store = machine("one")
    assert not store.has(ID)
    assert store.get(ID) is None


def test_looking_up_ten_thousand_runs_asks_once_and_copies_nothing(machine):
    train(machine("one"))
    other = machine("other")
    with places.Operations() as operations:
        assert other.has(ID)
        assert not any(other.has(f"{i:020x}") for i in range(10_000))
    assert [operation for operation, _ in operations.done] == ["ls"]
    assert not other.root.exists()


def test_a_run_is_fetched_once(machine):
    train(machine("one"))
    other = machine("other")
    other.get(ID)
    with places.Operations() as operations:
        assert other.get(ID) is not None
    assert operations.done == []


def test_who_is_about_to_train_asks_anew(machine):
    other = machine("other")
    assert not other.has(ID)
    train(machine("one"))
    assert not other.has(ID)
    with other.lock(ID):
        assert other.get(ID) is not None


def test_who_is_about_to_train_and_cannot_ask_trains(machine):
    other = machine("other")
    assert not other.has(ID)
    with other.lock(ID), places.Operations(at=1, do=places.unreachable):
        assert other.get(ID) is None
        train(other)
    assert other.unpushed() == [ID]


def test_a_run_that_another_process_is_at_work_on_is_left_to_it(machine):
    train(machine("one"))
    other = machine("other")
    held, done = threading.Event(), threading.Event()

    def hold():
        with machine("other").lock(ID):
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        assert other.get(ID) is None
    finally:
        done.set()
        thread.join()
    assert other.get(ID) is not None


def test_many_runs_are_fetched_side_by_side(machine):
    records = others(20)
    for record in records:
        train(machine("one"), record=record)
    other = machine("other")
    together = threading.Barrier(4, timeout=30)  # breaks, and fails the test, if they come one by one
    first = iter(range(4))

    def meet():
        if next(first, None) is not None:
            together.wait()

    with places.Operations(at=2, do=meet):
        other.fetch(record.run_id for record in records)
    assert other.ids() == sorted(record.run_id for record in records)
    assert not list((other.root / "incoming").iterdir())


def test_fetching_into_a_store_without_remote_is_nothing(tmp_path):
    Store(tmp_path / "store").fetch([ID])
    assert not (tmp_path / "store").exists()


def test_stores_do_not_mix_and_share_what_is_cached(tmp_path, url):
    home = tmp_path / "home"
    local, one, other = Store(home), Store(home, url), Store(home, places.new())
    train(one)
    assert [store.has(ID) for store in (local, one, other)] == [False, True, False]
    assert len({store.key for store in (local, one, other)}) == 3
    assert local.cache("decoded") == one.cache("decoded") == other.cache("decoded")
    assert (one.root / ".gitignore").read_text() == "*\n"


def test_what_a_machine_has_of_a_remote_store_is_named_for_people_and_without_a_password(tmp_path):
    one, other = (Store(tmp_path, f"sftp://me:{word}@host/night") for word in ("secret", "new"))
    assert one.name == "sftp://me@host/night"
    assert one.root.name.startswith("sftp-me-host-night-")
    assert one.root == other.root != Store(tmp_path, "sftp://me@host/day").root


def test_a_store_is_named_by_folder_or_by_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store_at("runs/here").remote is None
    assert store_at("s3://bucket/x").root.parent == tmp_path / ".medbench/remote"
    assert is_url("gs://bucket")
    assert not is_url("C:/store")
    with pytest.raises(MedbenchError, match="found nothing"):
        store_at("")


# Two results of the same run


def test_of_two_results_of_a_run_the_one_that_finished_later_is_read(machine):
    later = msgspec.structs.replace(RECORD, finished="2026-12-01T11:00:00+00:00")
    for order in ((RECORD, later), (later, RECORD)):
        at = places.new()
        for name, record in zip("ab", order, strict=True):
            train(machine(name + at, at), seed=2 if record is later else 1, record=record)
        found = machine("reader" + at, at).get(ID)
        assert seeds_of(found) == {2}
        assert found.record.finished == later.finished


def test_whenever_two_machines_push_a_run_a_reader_finds_whole_files_of_one(tmp_path):
    """At each operation of the first machine's push, the second trains, pushes and a third reads."""
    n = 0
    while True:
        n += 1
        at = places.new()
        found = []

        def meanwhile(at=at, n=n, found=found):
            if found:
                return
            found.append(None)  # the other machines' own operations do not come here again
            train(Store(tmp_path / f"second{n}", at), seed=2)
            found.append(seeds_of(Store(tmp_path / f"third{n}", at).get(ID)))

        with places.Operations(at=n, do=meanwhile) as operations:
            train(Store(tmp_path / f"first{n}", at), seed=1)
        if not operations.reached:
            break
        assert found[1] == {2}
        assert len(seeds_of(Store(tmp_path / f"last{n}", at).get(ID))) == 1
    assert n > 5


def test_a_forced_run_comes_in_the_place_of_the_earlier_one(machine):
    one = machine("one")
    train(one, seed=1)
    assert seeds_of(machine("early").get(ID)) == {1}
    train(one, seed=2, record=msgspec.structs.replace(RECORD, finished="2026-12-02T10:00:31+00:00"))
    assert seeds_of(machine("other").get(ID)) == {2}


def test_a_push_that_is_repeated_writes_nothing(machine, url):
    one = machine("one")
    made = train(one)
    version = Remote(url)._versions(ID)[0]
    with places.Operations() as operations:
        Remote(url).push(ID, made.path, version)
    assert {operation for operation, _ in operations.done} == {"cat_file"}


# Interruptions


def test_stopped_at_any_operation_a_push_leaves_no_run_or_a_whole_one_and_goes_on_later(tmp_path):
    n = 0
    while True:
        n += 1
        at = places.new()
        one = Store(tmp_path / f"one{n}", at)
        with places.Operations(at=n, do=places.unreachable) as operations:
            train(one)
        assert seeds_of(one.get(ID)) == {1}, "what was trained is kept"
        if not operations.reached:
            assert one.unpushed() == []
            break
        assert one.unpushed() == [ID]
        assert Store(tmp_path / f"reader{n}", at).get(ID) is None
        with places.Operations(at=1, do=places.unreachable), pytest.raises(UnreachableError, match="is gone"):
            one.push()
        assert one.push() == 1
        assert one.unpushed() == []
        assert seeds_of(Store(tmp_path / f"reader{n}", at).get(ID)) == {1}
    assert n > 5


def test_stopped_at_any_operation_fetching_leaves_nothing_or_a_whole_run(tmp_path, url):
    made = train(Store(tmp_path / "one", url))
    n = 0
    while True:
        n += 1
        other = Store(tmp_path / f"other{n}", url)
        with places.Operations(at=n, do=places.unreachable) as operations:
            if operations.at > 2:
                other.has(ID)
            with suppress(UnreachableError):
                other.get(ID)
        if not operations.reached:
            break
        assert not other.path(ID).exists()
        assert not list(other.root.glob("incoming/*"))
        assert runs.content(other.get(ID).path) == runs.content(made.path)
    assert n > 5


def test_half_a_list_of_files_is_no_run(machine, url):
    train(machine("one"))
    place = where(f"{url}/finished/{ID}/")
    whole = places.Watched.store[place].getvalue()
    for length in range(len(whole)):
        places.Watched().pipe_file(place, whole[:length])
        assert machine(f"other{length}").get(ID) is None


KILLED_WHILE_PUSHING = """
import os, shutil, signal, sys
from pathlib import Path

import fsspec.implementations.local
import medbench.predictions
from medbench.store import Store
from tests import runs

root = Path(sys.argv[1])
url = f"file://{root}/there"
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


def killed_at(call):
    shutil.rmtree(root, ignore_errors=True)
    store = Store(root / "one", url)
    calls, pushing = 0, store.remote.push

    def hook(event, arguments):
        nonlocal calls
        if event == "open" or event.startswith(("os.", "shutil.")):
            calls += 1
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)

    def push(*arguments):
        sys.addaudithook(hook)
        pushing(*arguments)

    store.remote.push = push
    store.put(record, runs.all_predictions(), runs.features())


def whole(reader, must):
    found = Store(root / reader, url).get(record.run_id)
    assert found is not None or not must, "lost"
    if found is not None:
        found.digest()
        assert len(found.features()) == 2


def recovered():
    whole("reader", must=False)
    one = Store(root / "one", url)
    one.connect()
    assert one.unpushed() == []
    whole("another", must=True)


kills = 0
while (status := forked(lambda: killed_at(kills + 1))) != 0:
    assert status == -signal.SIGKILL, status
    kills += 1
    assert forked(recovered) == 0, f"after the kill at call {kills}"
print("kills", kills)
"""


def test_killed_at_any_call_a_push_leaves_no_run_or_a_whole_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_PUSHING, str(tmp_path / "work")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) > 20


def test_the_next_session_pushes_what_could_not_be_pushed(machine):
    one = machine("one")
    with places.Operations(at=1, do=places.unreachable):
        train(one)
    again = machine("one")
    assert again.unpushed() == [ID]
    again.connect()
    assert again.unpushed() == []
    assert machine("other").has(ID)


def test_a_run_is_noted_before_it_is_there_so_that_whoever_is_killed_between_has_it_pushed(
    machine, monkeypatch
):
    noted, swap_in = [], Store._swap_in

    def watched(store, incoming, target):
        noted.append(store.unpushed())
        swap_in(store, incoming, target)

    monkeypatch.setattr(Store, "_swap_in", watched)
    made = train(machine("one"))
    machine("other", places.new()).add(ID, Store(made.path.parents[1]))
    assert noted == [[ID], [ID]]


def test_a_note_without_its_run_is_dropped(machine):
    one = machine("one")
    one._note_unpushed(RECORD)  # and then it was killed before the run was there
    assert one.push() == 0
    assert one.unpushed() == []
    assert not machine("other").has(ID)


def test_a_run_that_was_damaged_meanwhile_is_not_pushed(machine):
    one = machine("one")
    with places.Operations(at=1, do=places.unreachable):
        made = train(one)
    (made.path / "predictions" / "id.parquet").write_bytes(b"altered")
    with pytest.raises(MedbenchError, match=r"id\.parquet: predictions are missing or altered"):
        one.push()
    assert not machine("other").has(ID)


# What lies there is not trusted


@pytest.mark.parametrize("file", ["predictions/id.parquet", "features.npz", "record.json"])
@pytest.mark.parametrize("content", [b"altered", None])
def test_what_was_altered_there_is_refused_by_name_and_does_not_come_here(machine, url, file, content):
    train(machine("one"))
    place = where(f"{url}/runs/{ID}/", file)
    if content is None:
        places.Watched().rm_file(place)
    else:
        places.Watched().pipe_file(place, content)
    other = machine("other")
    told = "altered: it does not match the hash in" if content else "missing:"
    told = rf"runs/{ID}/[^/]+/{file}: {told} finished/{ID}/"
    with pytest.raises(MedbenchError, match=told):
        other.get(ID)
    assert not other.path(ID).exists()
    assert not list(other.root.glob("incoming/*"))


@given(
    name=st.sampled_from(
        ["../key", "/etc/passwd", "predictions/../../x.parquet", "predictions\\x.parquet", ""]
    )
)
def test_a_list_that_leads_elsewhere_is_not_followed(tmp_path_factory, name):
    folder, at = tmp_path_factory.mktemp("machines"), places.new()
    train(Store(folder / "one", at))
    place = where(f"{at}/finished/{ID}/")
    mark = json.loads(places.Watched.store[place].getvalue())
    places.Watched().pipe_file(place, json.dumps({**mark, "files": mark["files"] | {name: "0"}}).encode())
    with pytest.raises(MedbenchError, match="not understood"):
        Store(folder / "other", at).get(ID)


def test_a_list_of_a_later_medbench_is_not_taken_for_half_a_one(machine, url):
    train(machine("one"))
    place = where(f"{url}/finished/{ID}/")
    mark = json.loads(places.Watched.store[place].getvalue())
    places.Watched().pipe_file(place, json.dumps({**mark, "format": remote_module.FORMAT + 1}).encode())
    with pytest.raises(MedbenchError, match="not understood; a later medbench may have written it"):
        machine("other").get(ID)


# The key


def test_all_machines_name_patients_alike(machine):
    names = [machine(name).pseudonyms().of("P-0017") for name in ("one", "two", "three")]
    assert len(set(names)) == 1
    assert names[0] != machine("one", places.new()).pseudonyms().of("P-0017")
    assert stat.S_IMODE(machine("three").key.stat().st_mode) == 0o600


def test_a_key_of_ones_own_gives_way_to_the_shared_one(machine):
    shared = machine("one").pseudonyms()
    other = machine("other")
    other.key.parent.mkdir(parents=True)
    other.key.write_bytes(b"k" * 32)
    assert other.pseudonyms().of("P-0017") == shared.of("P-0017")


def test_a_key_that_was_lost_there_is_that_of_the_next_machine(machine, url):
    before = machine("one").pseudonyms().of("P-0017")
    places.Watched().rm_file(f"{url}/key")
    assert machine("one").pseudonyms().of("P-0017") == machine("two").pseudonyms().of("P-0017") == before


@pytest.mark.parametrize("protocol", ["memory", "file"])
def test_machines_that_begin_at_once_agree_on_a_key(tmp_path, protocol):
    at = f"file://{tmp_path}/there" if protocol == "file" else places.new(protocol)
    machines = [Store(tmp_path / str(i), at) for i in range(6)]
    for each in machines:
        each.remote.ids()
    together, names = threading.Barrier(len(machines)), []

    def begin(store):
        together.wait()
        names.append(store.pseudonyms().of("P-0017"))

    threads = [threading.Thread(target=begin, args=[store]) for store in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 6
    assert len(set(names)) == 1


@pytest.mark.parametrize("protocol", ["memory", "file", "watched"])
def test_a_key_that_came_while_one_made_ones_own_is_taken_over(tmp_path, protocol):
    at = f"file://{tmp_path}/there" if protocol == "file" else places.new(protocol)
    other = Store(tmp_path / "other", at)

    def own():
        other.pseudonyms()
        return b"k" * 32

    assert Remote(at).key(own) == other.key.read_bytes() != b"k" * 32


def test_without_network_patients_are_named_by_the_copy_of_the_key(machine):
    name = machine("one").pseudonyms().of("P-0017")
    with places.Operations(at=1, do=places.unreachable):
        assert machine("one").pseudonyms().of("P-0017") == name
        with pytest.raises(UnreachableError):
            machine("two").pseudonyms()


def test_what_is_no_key_is_named(machine, url, monkeypatch):
    monkeypatch.setattr(remote_module, "_UNTIL_WHOLE", (0.0,))
    places.Watched().pipe_file(f"{url}/key", b"short")
    with pytest.raises(MedbenchError, match=r"/key: expected a key of 32 bytes, found 5\. Delete it"):
        machine("one").pseudonyms()


def test_a_key_that_is_just_being_written_is_waited_for(machine, url, monkeypatch):
    whole = b"k" * 32
    places.Watched().pipe_file(f"{url}/key", b"")

    def finished(seconds):
        if seconds:
            places.Watched().pipe_file(f"{url}/key", whole)

    monkeypatch.setattr(remote_module.time, "sleep", finished)
    machine("one").pseudonyms()
    assert machine("one").key.read_bytes() == whole


# Messages


def test_a_back_end_that_is_not_installed_is_named_with_its_package(tmp_path, monkeypatch):
    for module, package, at in (("s3fs", "s3fs", "s3://bucket/x"), ("paramiko", "paramiko", "sftp://host/x")):
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.delitem(sys.modules, "fsspec.implementations.sftp", raising=False)
        with pytest.raises(MedbenchError, match=f"is not installed: pip install {package}"):
            Store(tmp_path, at).connect()


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("sftpp://host/x", r"sftpp:// is not known to fsspec\. Did you mean `sftp`\?"),
        ("nowhere://x", r"nowhere:// is not known to fsspec\."),
        ("simplecache::memory://x", "expected one URL"),
        ("s3:/bucket/x", "expected a URL with a place in it"),
        ("s3://", "expected a URL with a place in it"),
        ("file:///", "expected a URL with a place in it"),
        ("file://share/x", r"such as .* file:///mnt/share/study \(three slashes\)"),
    ],
)
def test_a_url_that_is_none_is_said_and_nothing_is_made(tmp_path, monkeypatch, at, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MedbenchError, match=message):
        store_at(at).connect()
    assert [path.name for path in tmp_path.iterdir() if path.name != ".medbench"] == []


class NoCredentialsError(Exception):
    """As some back end has it: no OSError, and told by its name alone."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError("The specified bucket does not exist"), "Buckets are not made"),
        (PermissionError("Forbidden"), "they must allow to list, read and write"),
        (NoCredentialsError("none found"), "Credentials are those that the back end finds"),
        (TimeoutError(), r"\(TimeoutError\)\. Is the network there\?"),
        (NotADirectoryError("x"), "found a file"),
        (OSError(28, "No space left on device"), "Free some space"),
    ],
)
def test_what_keeps_a_store_from_being_reached_is_one_message(machine, url, error, message):
    def fail():
        raise error

    def writing():
        if operations.done[-1][0] == "pipe_file":
            fail()

    with (
        places.Operations(at=1, do=writing) as operations,
        pytest.raises(UnreachableError, match=message) as e,
    ):
        machine("one").connect()
    assert str(e.value).startswith(f"{url}: cannot be written (")
    assert "\n" not in str(e.value)


def test_no_message_has_a_password(tmp_path):
    class Fails(places.Watched):
        protocol = "fails"

    import fsspec

    fsspec.register_implementation("fails", Fails, clobber=True)
    store = Store(tmp_path, "fails://me:secret@host/x")
    with places.Operations(at=1, do=places.unreachable):
        Fails.before = places.Watched.before
        with pytest.raises(UnreachableError, match="fails://me@host/x") as error:
            store.connect()
    assert "secret" not in str(error.value)


def test_fsspec_is_imported_only_for_a_remote_store(tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from medbench.store import Store\n"
        f"Store(Path({str(tmp_path)!r})).get('0' * 20)\n"
        "sys.exit('fsspec' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
