import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medbench.errors import MedbenchError
from medbench.execute import local
from medbench.identity import code_fingerprint, run_id, spec_id
from medbench.reference import References
from medbench.store import Store
from tests import runs
from tests.execute.standin import StandIn

ROOT = Path(__file__).parents[2]


class Bench:
    """A store, reference runs and a stand-in for training, with the events they caused."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "store")
        self.references = References(folder / "references")
        self.train = StandIn()
        self.events = []

    def arguments(self, **changes):
        return {
            "store": self.store,
            "references": self.references,
            "mode": "auto",
            "sentinel": False,
        } | changes

    def obtain(self, spec=None, *, cohort=None, weights=None, **changes):
        return local.obtain(
            spec or runs.spec(),
            cohort=cohort or runs.NoiseCohort(),
            weights=weights,
            report=self.events.append,
            train=self.train,
            **self.arguments(**changes),
        )

    def locate(self, spec=None, **changes):
        return local.locate(spec or runs.spec(), **self.arguments(**changes))

    def accept(self, spec=None):
        """Leave a reference run whose logits differ from what the stand-in makes."""
        other = Store(self.store.root.parent / "elsewhere")
        made = other.put(runs.record(spec or runs.spec()), runs.all_predictions(seed=99), runs.features())
        self.references.accept(made)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "capture", lambda: runs.record().environment)
    return Bench(tmp_path)


def test_a_new_run_is_trained_and_then_reused(bench):
    assert bench.locate() == "to-train"
    first = bench.obtain()
    assert bench.locate() == "reused"
    second = bench.obtain()
    assert (first.origin, second.origin) == ("trained", "reused")
    assert first.record == second.record
    assert bench.train.calls == 1


def test_the_record_says_what_was_run_by_which_code(bench):
    record = bench.obtain().record
    code = code_fingerprint()
    assert record.spec == runs.spec()
    assert (record.code, record.spec_id) == (code, spec_id(runs.spec()))
    assert record.run_id == run_id(runs.spec(), code)
    assert (record.train_images, record.train_patients, record.weight_distance) == (24, 12, {"head": 0.1})
    assert record.started <= record.finished
    assert record.started.endswith("+00:00")


def test_the_record_says_by_stage_how_alike_features_are_before_and_after(bench, monkeypatch):
    start = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float16)
    features = {"start/root": start, "end/root": -2 * start, "start/block1": start, "end/block1": 0 * start}
    monkeypatch.setattr(runs, "features", lambda: features)
    run = bench.obtain()
    assert run.record.feature_reuse == {"root": pytest.approx(1), "block1": None}
    assert bench.obtain().record == run.record, "as it was written"


def test_a_reference_run_is_loaded_instead_of_trained(bench):
    bench.accept()
    assert bench.locate() == "loaded"
    run = bench.obtain()
    assert (run.origin, bench.train.calls) == ("loaded", 0)
    np.testing.assert_array_equal(run.predictions("id").logits, runs.predictions("id", 99).logits)


def test_loading_leaves_the_store_as_it_is(bench):
    bench.accept()
    bench.obtain()
    assert not bench.store.root.exists()


def test_a_sentinel_is_trained_though_it_could_be_loaded(bench):
    bench.accept()
    assert bench.locate(sentinel=True) == "to-train"
    assert bench.obtain(sentinel=True).origin == "trained"


def test_a_stored_run_is_preferred_to_its_reference(bench):
    bench.obtain()
    bench.accept()
    assert bench.obtain().origin == "reused"


@pytest.mark.parametrize("sentinel", [False, True])
def test_never_trains_nothing_but_takes_what_there_is(bench, sentinel):
    assert bench.locate(mode="never", sentinel=sentinel) == "not-run"
    assert bench.obtain(mode="never", sentinel=sentinel) is None
    bench.accept()
    assert bench.obtain(mode="never", sentinel=sentinel).origin == "loaded"
    bench.obtain(sentinel=True)
    assert bench.obtain(mode="never", sentinel=sentinel).origin == "reused"
    assert bench.train.calls == 1


def test_force_trains_what_is_stored_and_what_could_be_loaded(bench):
    bench.accept()
    bench.obtain(sentinel=True)
    assert bench.locate(mode="force") == "to-train"
    assert bench.obtain(mode="force").origin == "trained"
    assert bench.train.calls == 2


def test_an_interrupted_force_goes_on_where_it_stopped(bench):
    specs = [runs.spec(seed=seed) for seed in (1, 2, 3)]
    ids = frozenset(run_id(spec, code_fingerprint()) for spec in specs)
    for spec in specs:
        bench.obtain(spec)
    for spec in specs[:2]:  # and here it is interrupted
        bench.obtain(spec, mode="force", campaign=bench.store.campaign(ids))
    resumed = bench.store.campaign(ids)
    whence = [bench.locate(spec, mode="force", campaign=resumed) for spec in specs]
    assert whence == ["reused", "reused", "to-train"]
    for spec in specs:
        bench.obtain(spec, mode="force", campaign=resumed)
    assert bench.train.calls == 6
    assert all(name in resumed for name in ids)
    resumed.end()
    assert bench.locate(specs[0], mode="force", campaign=bench.store.campaign(ids)) == "to-train"


def test_changed_code_trains_afresh_and_says_that_it_is_the_code(bench, monkeypatch):
    bench.obtain()
    now = code_fingerprint()
    changed = "0" * 12 + now[12:]
    monkeypatch.setattr(local, "code_fingerprint", lambda trainer=None: changed)
    monkeypatch.setattr("medbench.identity.code_fingerprint", lambda trainer=None: changed)
    assert bench.locate() == "to-train"
    bench.obtain()
    assert bench.events[-2].text == "changed: the code"


def test_what_happens_to_a_run_is_told_in_order(bench):
    bench.obtain()
    assert [(event.kind, event.run) for event in bench.events] == [
        ("started", runs.spec().label),
        ("finished", runs.spec().label),
    ]
    assert bench.events[0].text == ""


@pytest.mark.parametrize(("error", "end"), [(MedbenchError, "failed"), (KeyboardInterrupt, "interrupted")])
def test_a_run_that_does_not_end_is_told_leaves_nothing_and_frees_its_lock(bench, error, end):
    def fail(*_arguments, **_named):
        raise error

    bench.train, working = fail, bench.train
    with pytest.raises(error):
        bench.obtain()
    assert [event.kind for event in bench.events] == ["started", end]
    assert list(bench.store.records()) == []
    bench.train = working
    assert bench.obtain().origin == "trained"
    assert [event.kind for event in bench.events[2:]] == ["started", "finished"]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_run_that_diverged_is_not_stored(bench, loss):
    bench.train = StandIn(loss=loss)
    with pytest.raises(
        MedbenchError, match=r"seed 1: training diverged at or before step 0.*recipe `embedded`"
    ):
        bench.obtain()
    assert list(bench.store.records()) == []


def test_logits_that_are_not_finite_are_not_stored(bench, monkeypatch):
    broken = runs.all_predictions()
    broken["phone"].logits[3, 0] = np.nan
    monkeypatch.setattr(runs, "all_predictions", lambda seed: broken)
    with pytest.raises(MedbenchError, match="training diverged: the loss or the logits"):
        bench.obtain()


def test_a_cohort_that_changed_since_the_plan_is_refused(bench):
    with pytest.raises(MedbenchError, match="not the one that was planned with"):
        bench.obtain(cohort=runs.NoiseCohort(fingerprint="other"))
    assert bench.train.calls == 0


def test_weights_that_changed_since_the_plan_are_refused(bench, tmp_path):
    weights = tmp_path / "bit.npz"
    weights.write_bytes(b"other weights")
    spec = runs.spec(backbone={"weights": "bit.npz", "weights_sha256": "ab" * 32})
    with pytest.raises(MedbenchError, match=r"bit\.npz: sha256 is [0-9a-f]{12}…, planned was abababababab…"):
        bench.obtain(spec, weights=weights)


def test_a_backbone_with_weights_is_not_trained_from_a_random_start(bench):
    spec = runs.spec(backbone={"weights": "bit.npz", "weights_sha256": "ab" * 32})
    with pytest.raises(MedbenchError, match=r"bit\.npz: no file was given"):
        bench.obtain(spec)


def test_a_full_disk_is_told_before_training(bench, monkeypatch):
    monkeypatch.setattr("medbench.store.LEAST_FREE", 2**62)
    with pytest.raises(MedbenchError, match="finished runs are kept"):
        bench.obtain()
    assert bench.train.calls == 0


def test_a_damaged_record_is_named_but_force_makes_it_good(bench):
    made = bench.obtain()
    (made.path / "record.json").write_text("{")
    with pytest.raises(MedbenchError, match=r"record\.json: the record is damaged"):
        bench.obtain()
    assert bench.obtain(mode="force").origin == "trained"
    assert bench.obtain().origin == "reused"


def started(tmp_path, seconds, mode="auto"):
    """A process that obtains the run; returns when it has begun to wait or to train."""
    arguments = [str(tmp_path / "store"), str(tmp_path / "journal"), str(seconds), mode]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.execute.standin", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.first = json.loads(process.stdout.readline())
    return process


def said(process):
    """What the process said until its end, after its first event."""
    output, _ = process.communicate(timeout=60)
    return [json.loads(line) for line in output.splitlines()]


def trained_by(tmp_path):
    return [int(line) for line in (tmp_path / "journal").read_text().split()]


def test_two_processes_train_a_run_once_and_the_waiting_one_names_the_other(tmp_path):
    first = started(tmp_path, seconds=4)
    second = started(tmp_path, seconds=0)
    assert first.first["kind"] == "started"
    assert second.first["kind"] == "waiting"
    assert f"process {first.pid}, since " in second.first["text"]
    assert said(second) == [{"origin": "reused"}]  # so it waited once, and trained nothing
    assert said(first)[-1] == {"origin": "trained"}
    assert trained_by(tmp_path) == [first.pid]


def test_when_the_trainer_is_killed_the_waiting_process_takes_over(tmp_path):
    first = started(tmp_path, seconds=600)
    second = started(tmp_path, seconds=0)
    assert second.first["kind"] == "waiting"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert [event.get("kind") for event in said(second)] == ["started", "finished", None]
    assert trained_by(tmp_path) == [first.pid, second.pid]


def test_a_lock_whose_holder_was_killed_does_not_block_the_next_start(tmp_path):
    first = started(tmp_path, seconds=600)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = started(tmp_path, seconds=0)
    assert second.first["kind"] == "started"
    assert said(second)[-1] == {"origin": "trained"}


def test_many_processes_at_once_train_a_run_once(tmp_path):
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.execute.standin",
                str(tmp_path / "store"),
                str(tmp_path / "journal"),
                "0.3",
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    origins = sorted(said(process)[-1]["origin"] for process in processes)
    assert origins == ["reused", "reused", "reused", "trained"]
    assert len(trained_by(tmp_path)) == 1
