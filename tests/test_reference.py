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


def test_what_is_missing_and_what_is_surplus_follow_from_the_plan(store, references):
    accepted = [runs.spec(seed=seed) for seed in (1, 2)]
    for spec in accepted:
        references.accept(trained(store, spec))
    planned = [runs.spec(seed=seed) for seed in (2, 3)]
    assert references.missing(planned) == [runs.spec(seed=3)]
    assert references.surplus(planned) == [references.path(runs.spec(seed=1))]


def test_a_folder_that_is_not_there_holds_no_references(references):
    assert references.get(runs.spec()) is None
    assert references.missing([runs.spec()]) == [runs.spec()]
    assert references.surplus([runs.spec()]) == []
