"""What a worker does with a run, in this process: no Ray, and training stood in for."""

import msgspec
import pytest

from medbench import environment
from medbench.errors import MedbenchError
from medbench.execute import errand, local
from medbench.execute.errand import Errand, Terms, Worker
from medbench.execute.trainers import Script
from medbench.identity import code_fingerprint, run_id
from medbench.store import Store
from tests import places, runs
from tests.execute.standin import StandIn


@pytest.fixture
def train(monkeypatch):
    train = StandIn()
    monkeypatch.setattr(local, "_fine_tune", lambda store: train)
    monkeypatch.setattr(local, "capture", lambda: runs.record().environment)
    monkeypatch.setattr(errand, "open_cohort", lambda reference, **_: runs.NoiseCohort(name=reference))
    monkeypatch.setenv(environment.PLANNED, "")
    monkeypatch.delenv(environment.PLANNED)  # a worker sets it in its process, which is this one
    return train


@pytest.fixture
def terms(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    return Terms.of(
        store=tmp_path / "store",
        remote="",
        sign=tmp_path / "store/sign",
        near=tmp_path,
        force=False,
        trainer=None,
    )


def worker(terms, **changes):
    return Worker(msgspec.json.encode(msgspec.structs.replace(terms, **changes)))


def told(errand):
    return msgspec.json.encode(errand)


ONE = Errand(spec=runs.spec(), cohort="phantoms:dermatology")


def test_a_run_is_made_once_and_found_by_the_id_that_the_session_planned(train, terms, tmp_path):
    events = []
    for _ in range(2):
        worker(terms)(told(ONE), events.append)
    assert train.calls == 1
    assert Store(tmp_path / "store").get(run_id(ONE.spec, code_fingerprint())) is not None
    assert [event.kind for event in events] == ["started", "finished"]


def test_a_forced_run_is_made_whatever_the_store_has(train, terms):
    for _ in range(2):
        worker(terms, force=True)(told(ONE), lambda _: None)
    assert train.calls == 2


def test_a_run_for_a_remote_store_is_there_when_its_errand_ends(train, terms, tmp_path):
    url = (tmp_path / "bucket").as_uri()
    (tmp_path / "bucket").mkdir()
    there = worker(terms, store=str(tmp_path / "of the worker"), remote=url, sign="seen by nobody else")
    there(told(ONE), lambda _: None)
    found = Store(tmp_path / "of the session", url).get(run_id(ONE.spec, code_fingerprint()))
    assert found is not None


def test_a_run_that_could_not_be_brought_to_a_remote_store_is_told_and_kept(train, terms, tmp_path):
    there = worker(terms, store=str(tmp_path / "of the worker"), remote=(url := places.new()))
    with (
        places.Operations(at=1, do=places.unreachable),
        pytest.raises(MedbenchError, match="network is gone"),
    ):
        there(told(ONE), lambda _: None)
    assert train.calls == 1
    assert Store(tmp_path / "of the worker", url).unpushed() == [run_id(ONE.spec, code_fingerprint())]


def test_cohorts_stay_open_for_the_next_run(train, terms, monkeypatch):
    opened = []
    noise = errand.open_cohort
    monkeypatch.setattr(errand, "open_cohort", lambda ref, **_: (opened.append(ref), noise(ref))[1])
    one = worker(terms)
    for seed in (1, 2, 3):
        one(told(Errand(spec=runs.spec(seed=seed), cohort="phantoms:dermatology")), lambda _: None)
    assert (train.calls, opened) == (3, ["phantoms:dermatology"])


def test_a_cohort_that_is_not_as_planned_is_refused(train, terms):
    changed = Errand(spec=runs.spec(cohort_fingerprint="0ther"), cohort="phantoms:dermatology")
    with pytest.raises(MedbenchError, match="is not the one that was planned with"):
        worker(terms)(told(changed), lambda _: None)
    assert train.calls == 0


def test_weights_are_found_by_name_where_the_session_s_own_file_is_not_here(train, terms, tmp_path):
    (tmp_path / "net.npz").write_bytes(b"weights")
    pinned = {"weights": "net.npz", "weights_sha256": errand.weights.sha256(tmp_path / "net.npz")}
    there = Errand(spec=runs.spec(backbone=pinned), cohort="c", weights="/of/the/session/net.npz")
    worker(terms)(told(there), lambda _: None)
    assert train.calls == 1
    (tmp_path / "net.npz").write_bytes(b"others")
    with pytest.raises(MedbenchError, match=r"net\.npz: sha256 is .*, planned was"):
        worker(terms, force=True)(told(there), lambda _: None)


def test_what_nobody_expected_is_a_message_that_names_run_and_machine(train, terms, monkeypatch, capsys):
    def fail(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory\nmany lines")

    monkeypatch.setattr(local, "_fine_tune", lambda store: fail)
    with pytest.raises(MedbenchError) as caught:
        worker(terms)(told(ONE), lambda _: None)
    assert str(caught.value).startswith(
        f"{ONE.spec.label}: RuntimeError: RESOURCE_EXHAUSTED: out of memory (on "
    )
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"code": "0" * 12 + "-" + code_fingerprint().partition("-")[2]},
            "other runs than are planned: the code of",
        ),
        ({"code": "x-y", "libraries": {"jax": "0.1"}}, r"jax \(0\.1 planned, \d.* there\)"),
        ({"code": "x-y", "settings": {"XLA_FLAGS": "--a"}}, r"XLA_FLAGS \(--a planned, none there\)"),
        (
            {"device_class": "gpu-t4"},
            "has `cpu`, and the runs are planned for `gpu-t4`.*MEDBENCH_DEVICE_CLASS=cpu",
        ),
        ({"sign": "/not/here"}, "does not see the store .*--store"),
    ],
)
def test_a_machine_that_would_make_other_runs_than_planned_is_refused(train, terms, changes, message):
    with pytest.raises(MedbenchError, match=message):
        worker(terms, **changes)


def test_a_planned_class_in_the_environment_does_not_hide_what_the_machine_has(train, terms, monkeypatch):
    monkeypatch.setenv(environment.PLANNED, "gpu-t4")
    with pytest.raises(MedbenchError, match="has `cpu`"):
        worker(terms, device_class="gpu-t4")


def test_a_class_that_a_machine_s_environment_plans_with_gives_way_to_the_session_s(
    train, terms, monkeypatch
):
    monkeypatch.setenv(environment.PLANNED, "gpu-t4")
    worker(terms)(told(ONE), lambda _: None)
    assert environment.device_class() == "cpu"


def test_another_trainer_is_found_by_its_path_and_must_be_the_same(train, terms, tmp_path):
    script = tmp_path / "train.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    store = tmp_path / "store"
    other = Terms.of(
        store=store,
        remote="",
        sign=store / "sign",
        near=tmp_path,
        force=False,
        trainer=Script.at(script),
    )
    assert other.trainer == str(script)
    worker(other)
    script.write_text("#!/bin/sh\n# changed\n")
    with pytest.raises(
        MedbenchError, match=r"has trainer `train\.sh` .*, and the runs are planned for `train\.sh`"
    ):
        worker(other)
