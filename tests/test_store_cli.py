import os
import shutil

import msgspec
import pytest

from medbench import cli
from medbench.store import Store
from tests import places, runs
from tests.test_remote import ID, RECORD, others, seeds_of, train, where


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / ".medbench")


def add(*arguments):
    return cli.main(["store", "add", *map(str, arguments)])


@pytest.mark.parametrize("remote", [False, True])
def test_runs_of_other_stores_come_in_as_they_were(here, capsys, remote):
    first, second, third = others(3)
    at = places.new()
    one, other = Store(here.root.parent / "one"), Store(here.root.parent / "other", at)
    made = [train(one, record=first), train(one, record=second), train(other, record=third)]
    assert add(one.root, at if remote else other.root) == 0
    assert capsys.readouterr().out == f"{here.root}: 3 added.\n"
    for run in made:
        assert runs.content(here.path(run.record.run_id)) == runs.content(run.path)
        assert here.get(run.record.run_id).origin == "reused"
    assert not list((here.root / "incoming").iterdir())


def test_what_is_there_already_is_left_alone_and_counted(here, capsys):
    one = Store(here.root.parent / "one")
    train(one)
    add(one.root)
    before = runs.content(here.path(ID))
    retrained = msgspec.structs.replace(RECORD, started="2027-01-01T10:00:00+00:00")
    train(one, record=retrained)
    assert add(one.root, one.root) == 0
    assert capsys.readouterr().out.endswith(": 2 there already.\n")
    assert runs.content(here.path(ID)) == before


def test_one_that_differs_is_named_and_the_one_that_was_there_kept(here, capsys):
    train(here, seed=1)
    one = Store(here.root.parent / "one")
    train(one, seed=2)
    assert add("one") == 0
    told, said = capsys.readouterr().out.splitlines()
    assert told == f"{one.root}: run {ID} has other predictions than the one in {here.root}, which is kept."
    assert said == f"{here.root}: 1 there already with other predictions, which are kept."
    assert seeds_of(here.get(ID)) == {1}


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda run: (run / "predictions/id.parquet").write_bytes(b"altered"), "predictions/id.parquet"),
        (lambda run: (run / "predictions/id.parquet").unlink(), "predictions/id.parquet"),
        (lambda run: (run / "features.npz").write_bytes(b"altered"), "features.npz"),
        (lambda run: os.truncate(run / "features.npz", 200), "(damaged, or no .npz of arrays)"),
        (lambda run: (run / "record.json").write_bytes(b"{"), "record.json"),
        (lambda run: (run / "record.json").unlink(), "has no record.json"),
        (lambda run: run.rename(run.with_name("f" * 20)), "record.json: the record is of another run"),
        (
            lambda run: (run / "record.json").write_text(
                (run / "record.json").read_text().replace("predictions/id.parquet", "../../key")
            ),
            "expected a file `predictions/….parquet`, found `../../key`",
        ),
    ],
)
def test_a_damaged_run_is_named_and_left_out_and_the_others_come_in(here, capsys, damage, named):
    good, bad = others(2)
    one = Store(here.root.parent / "one")
    train(one, record=good)
    damage(train(one, record=bad).path)
    (one.root / "key").write_bytes(b"k" * 32)
    assert add("one") == 1
    captured = capsys.readouterr()
    assert captured.out == f"{here.root}: 1 added, 1 damaged, and left out.\n"
    assert captured.err.startswith("left out: ")
    assert str(one.root) in captured.err
    assert named in captured.err
    assert here.ids() == [good.run_id]
    assert not list((here.root / "incoming").iterdir())


def test_what_was_altered_or_lost_at_a_url_is_left_out_too_and_the_others_come_in(here, capsys):
    at, records = places.new(), sorted(others(3), key=lambda record: record.run_id)
    altered, lost, good = (record.run_id for record in records)
    for record in records:
        train(Store(here.root.parent / "one", at), record=record)
    places.Watched().pipe_file(where(f"{at}/runs/{altered}/", "id.parquet"), b"altered")
    places.Watched().rm_file(where(f"{at}/runs/{lost}/", "id.parquet"))
    assert add(at) == 1
    captured = capsys.readouterr()
    assert captured.out == f"{here.root}: 1 added, 2 damaged, and left out.\n"
    assert "id.parquet: altered" in captured.err
    assert "id.parquet: missing" in captured.err
    assert here.ids() == [good]


def test_runs_are_added_to_a_remote_store_for_all_machines(here, capsys):
    at, one = places.new(), Store(here.root.parent / "one")
    train(one)
    assert add("--store", at, "one") == 0
    assert capsys.readouterr().out == f"{at}: 1 added.\n"
    assert seeds_of(Store(here.root.parent / "reader", at).get(ID)) == {1}
    shutil.rmtree(here.root)
    assert add("--store", at, "one") == 0
    assert capsys.readouterr().out == f"{at}: 1 there already.\n"
    assert not list(here.root.glob("remote/*/runs")), "hashes are compared, and no run is fetched for that"


def test_a_network_that_goes_in_the_middle_is_no_damage_and_the_same_command_goes_on(here, capsys):
    at, one = places.new(), Store(here.root.parent / "one")
    for record in others(3):
        train(one, record=record)
    with places.Operations(at=25, do=places.unreachable) as operations:
        assert add("--store", at, "one") == 2
        assert operations.reached
    captured = capsys.readouterr()
    assert "the network is gone" in captured.err
    assert "left out" not in captured.err
    assert cli.main(["store", "push", "--store", at]) == 0
    assert add("--store", at, "one") == 0
    reader = Store(here.root.parent / "reader", at)
    assert len(reader.remote.ids()) == 3
    assert all(reader.get(record.run_id) for record in others(3))


def test_a_disk_that_is_full_is_no_damage(here, capsys, monkeypatch):
    train(Store(here.root.parent / "one"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("medbench.store.shutil.copyfile", full)
    assert add("one") == 2
    assert "No space left on device" in capsys.readouterr().err


def test_a_folder_that_is_no_store_is_refused(here, capsys):
    (here.root.parent / "other").mkdir()
    assert add("other") == 2
    assert capsys.readouterr().err == (
        "other: not a store: expected a folder `runs` in it, as in .medbench.\n"
    )


def test_nothing_to_add_is_said(here, capsys):
    (here.root.parent / "other/runs").mkdir(parents=True)
    assert add("other") == 0
    assert capsys.readouterr().out == f"{here.root}: no finished runs to add.\n"


def test_push_pushes_what_was_kept(here, capsys):
    at = places.new()
    store = Store(here.root, at)
    with places.Operations(at=1, do=places.unreachable):
        train(store)
        assert cli.main(["store", "push", "--store", at]) == 2
    assert "the network is gone" in capsys.readouterr().err
    assert cli.main(["store", "push", "--store", at]) == 0
    assert capsys.readouterr().out == f"{at}: 1 of 1 runs pushed.\n"
    assert cli.main(["store", "push", "--store", at]) == 0
    assert capsys.readouterr().out == f"{at}: 0 of 0 runs pushed.\n"


def test_a_store_that_an_unset_variable_names_is_refused(here, capsys):
    assert cli.main(["store", "add", "one", "--store", ""]) == 2
    assert "expected a folder or a URL, found nothing" in capsys.readouterr().err


def test_push_is_for_remote_stores(here, capsys):
    assert cli.main(["store", "push", "--store", "here"]) == 2
    assert "expected the URL of a remote store" in capsys.readouterr().err


def test_help_teaches_both_ways(capsys):
    with pytest.raises(SystemExit):
        cli.main(["store", "--help"])
    text = capsys.readouterr().out
    for word in ("medbench store add", "medbench store push", "--store s3://bucket/prefix", "patients' ids"):
        assert word in text
