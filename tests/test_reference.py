import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from medbench.errors import MedbenchError
from medbench.reference import References
from medbench.store import Store
from tests import runs


@pytest.fixture
def references(tmp_path):
    return References(tmp_path / "expectations" / "runs")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def trained(store, spec=None, seed=1):
    return store.put(runs.record(spec), runs.all_predictions(seed), runs.features())


def test_an_accepted_run_is_loaded_with_its_record_and_logits(store, references):
    run = trained(store)
    folder = references.accept(run)
    loaded = references.get(runs.spec())
    assert (loaded.origin, loaded.path) == ("loaded", folder)
    assert loaded.record == run.record
    for name, expected in runs.all_predictions().items():
        np.testing.assert_array_equal(loaded.predictions(name).logits, expected.logits)


def test_a_reference_run_lies_under_its_task_without_features(store, references):
    folder = references.accept(trained(store))
    assert folder.parent.name == "dermatology"
    assert set(runs.content(folder)) == {
        "record.json",
        "predictions/validation.parquet",
        "predictions/id.parquet",
        "predictions/phone.parquet",
    }


def test_a_reference_is_found_whatever_code_made_it(store, references):
    run = store.put(runs.record(code="other", run_id="0" * 20), runs.all_predictions(), {})
    references.accept(run)
    assert references.get(runs.spec()).record.code == "other"


def test_accepting_the_same_run_again_changes_no_byte(store, references):
    run = trained(store)
    references.accept(run)
    before = runs.content(references.root)
    references.accept(run)
    references.accept(references.get(runs.spec()))
    assert runs.content(references.root) == before


def test_a_newly_accepted_run_takes_the_place_of_the_former(store, references):
    references.accept(trained(store, seed=1))
    references.accept(trained(store, seed=2))
    logits = references.get(runs.spec()).predictions("id").logits
    np.testing.assert_array_equal(logits, runs.predictions("id", 2).logits)


def test_real_patients_are_never_committed(store, references):
    run = trained(store, runs.spec(cohort="folder:clinic-a"))
    with pytest.raises(MedbenchError, match="predictions of real patients stay in the store"):
        references.accept(run)
    assert not references.root.exists()


def test_damaged_predictions_are_not_accepted(store, references):
    run = trained(store)
    (run.path / "predictions/phone.parquet").write_bytes(b"")
    with pytest.raises(MedbenchError, match=r"phone\.parquet"):
        references.accept(run)
    assert references.get(runs.spec()) is None


def test_a_damaged_reference_says_to_restore_it(store, references):
    folder = references.accept(trained(store))
    (folder / "record.json").write_text("{}")
    with pytest.raises(
        MedbenchError, match=r"record\.json: .*Restore the reference run from version control"
    ):
        references.get(runs.spec())


def test_altered_reference_predictions_say_to_restore_them(store, references):
    folder = references.accept(trained(store))
    (folder / "predictions/id.parquet").write_bytes(b"PAR1")
    with pytest.raises(MedbenchError, match=r"id\.parquet: .*Restore the reference run"):
        references.get(runs.spec()).predictions("id")


def test_a_reference_run_in_another_ones_folder_is_never_loaded(store, references):
    folder = references.accept(trained(store))
    other = references.path(runs.spec(seed=2))
    folder.rename(other)
    assert references.get(runs.spec()) is None
    with pytest.raises(
        MedbenchError, match=rf"{other.name}: holds the run `.*seed 1`, expected .*seed 2` as"
    ):
        references.get(runs.spec(seed=2))


class Killed(BaseException):
    """Nobody catches it, as nobody catches a SIGKILL."""


@pytest.mark.parametrize("after", range(5))
def test_killed_at_any_step_one_of_two_runs_is_there_whole(store, references, monkeypatch, after):
    references.accept(trained(store, seed=1))
    newer = trained(store, seed=2)
    steps = iter(range(100))

    def killing(step):
        def stepped(*arguments, **options):
            if next(steps) == after:
                raise Killed
            return step(*arguments, **options)

        return stepped

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killing(Path.rename))
        patch.setattr(shutil, "rmtree", killing(shutil.rmtree))
        with pytest.raises(Killed):
            references.accept(newer)
    found = references.get(runs.spec()).predictions("id").logits.tolist()
    assert found in [runs.predictions("id", seed).logits.tolist() for seed in (1, 2)]
    references.accept(newer)
    assert references.get(runs.spec()).predictions("id").logits.tolist() == (
        runs.predictions("id", 2).logits.tolist()
    )
    assert [path.name for path in (references.root / "dermatology").iterdir()] == [newer.record.spec_id]


@pytest.mark.parametrize(
    ("platform", "kept"),
    [
        ("Linux-6.1.44-custom-v6-x86_64-with-glibc2.36", "Linux-x86_64"),
        ("Linux-4.18.0-553.el8_10.x86_64-x86_64-with-glibc2.28", "Linux-x86_64"),
        ("macOS-14.1-arm64-arm-64bit", "macOS-arm64"),
        ("Windows-10-10.0.19041-SP0", "Windows"),
    ],
)
def test_what_is_committed_names_no_kernel(store, references, platform, kept):
    record = runs.record()
    environment = msgspec.structs.replace(record.environment, platform=platform)
    record = msgspec.structs.replace(record, environment=environment)
    references.accept(store.put(record, runs.all_predictions(), {}))
    assert references.get(runs.spec()).record.environment.platform == kept


def test_a_folder_that_is_not_there_holds_no_references(references):
    assert references.get(runs.spec()) is None


def test_a_run_that_a_folder_lacks_is_found_in_its_base_and_its_own_come_first(tmp_path, store, references):
    base = References(tmp_path / "package")
    base.accept(trained(store, seed=1))
    before = runs.content(base.root)
    both = References(references.root, base)
    assert both.get(runs.spec()).path.is_relative_to(base.root)
    own = both.accept(trained(store, seed=2))
    assert own.is_relative_to(references.root)
    assert both.get(runs.spec()).path == own
    assert runs.content(base.root) == before


def test_a_run_that_neither_folder_has_is_none(tmp_path, references):
    assert References(references.root, References(tmp_path / "package")).get(runs.spec()) is None


@pytest.mark.parametrize("file", ["expectations", "expectations/embedded", "expectations/embedded/runs"])
def test_a_file_in_place_of_the_folder_is_refused(tmp_path, file):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("")
    with pytest.raises(MedbenchError) as caught:
        References(tmp_path / "expectations/embedded/runs")
    assert str(caught.value).startswith(f"{tmp_path / file}: expected a folder of accepted values")
