"""Small nets really fine-tuned, in processes that are killed, squeezed onto one core or kept from AVX-512.

The base run compiles from nothing once; its compilation cache serves the tests that need no cold one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medbench.store import Store
from tests import runs

ROOT = Path(__file__).parents[2]
SETS = ("validation", "id", "phone")


def started(store, prefix=(), **environment):
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.execute.real", str(store)],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def trained(store, prefix=(), **environment):
    """Run to the end; returns every event and origin."""
    process = started(store, prefix, **environment)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return [json.loads(line) for line in output.splitlines()]


def killed(store, when):
    """Start, and SIGKILL at the first event for which `when(event, runs finished)` holds."""
    process, finished = started(store), 0
    for line in process.stdout:
        event = json.loads(line)
        finished += event.get("kind") == "finished"
        if when(event, finished):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def origins(events):
    return [event["origin"] for event in events if "origin" in event]


def by_seed(store):
    opened = Store(store)
    return {record.spec.seed: opened.get(record.run_id) for record in opened.records()}


def results(store):
    """The bytes of every predictions and features file, by seed and name."""
    return {
        (seed, name): data
        for seed, run in by_seed(store).items()
        for name, data in runs.content(run.path).items()
        if name != "record.json"
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the store of every session with a warm cache lies: jax's cache is bound to its folder's name."""
    return tmp_path_factory.mktemp("session") / "store"


@pytest.fixture(scope="module")
def base(place):
    """An uninterrupted session with a cold compilation cache."""
    assert origins(trained(place)) == ["trained", "trained"]
    kept = place.with_name("base")
    place.rename(kept)
    assert len(results(kept)) == 2 * (len(SETS) + 1)
    return kept


@pytest.fixture
def warm(base, place):
    """A store without runs, with the compilation cache of the base session."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(base / "cache" / "xla", place / "cache" / "xla")
    return place


def test_training_learned_something_that_could_be_lost(base):
    for run in by_seed(base).values():
        found = run.predictions("id")
        assert roc_auc_score(found.labels[:, 1], found.logits[:, 1] - found.logits[:, 0]) > 0.55


def test_the_same_command_again_trains_nothing(base):
    before = runs.content(base / "runs")
    assert trained(base) == [{"origin": "reused"}, {"origin": "reused"}]
    assert runs.content(base / "runs") == before


def test_the_same_session_elsewhere_gives_the_same_bytes_from_a_cold_cache(base, tmp_path):
    trained(tmp_path / "store")
    assert results(tmp_path / "store") == results(base)


def test_a_warm_cache_gives_the_same_bytes(base, warm):
    files = set(runs.content(warm / "cache" / "xla"))
    trained(warm)
    assert results(warm) == results(base)
    new = {name for name in set(runs.content(warm / "cache" / "xla")) - files if name.endswith("-cache")}
    assert not new, "the cache was not used"


@pytest.mark.parametrize(
    "when",
    [
        pytest.param(lambda event, finished: event["kind"] == "started", id="before the first step"),
        pytest.param(
            lambda event, finished: event["stage"] == "train" and event["done"] == 9, id="in training"
        ),
        pytest.param(lambda event, finished: event["stage"] == "evaluate", id="in scoring"),
        pytest.param(
            lambda event, finished: finished == 1 and event.get("stage") == "train", id="in the second run"
        ),
    ],
)
def test_killed_and_started_again_gives_the_bytes_of_an_uninterrupted_session(base, warm, when):
    killed(warm, when)
    kept = len(by_seed(warm))
    assert origins(trained(warm)) == ["reused"] * kept + ["trained"] * (2 - kept)
    assert results(warm) == results(base)


def test_a_compilation_cache_cut_off_by_a_kill_is_compiled_again(base, warm):
    entries = sorted((warm / "cache" / "xla").glob("*-cache"), key=lambda path: path.stat().st_size)
    for path in entries[-2:]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    trained(warm)
    assert results(warm) == results(base)


ELSEWHERE = {
    "without AVX-512": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
    "on eight virtual devices": {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
    "on one core": {"prefix": ("taskset", "-c", str(min(os.sched_getaffinity(0))))},
}


@pytest.mark.parametrize("variant", ELSEWHERE)
def test_on_another_machine_the_area_under_the_curve_stays_within_a_thousandth(base, tmp_path, variant):
    if "prefix" in ELSEWHERE[variant] and shutil.which("taskset") is None:
        pytest.skip("taskset is not installed")
    trained(tmp_path / "store", **ELSEWHERE[variant])
    here, there = by_seed(base), by_seed(tmp_path / "store")
    assert set(here) == set(there) == {1, 2}
    for seed in here:
        for name in SETS:
            first, second = here[seed].predictions(name), there[seed].predictions(name)
            np.testing.assert_array_equal(first.image, second.image)
            areas = [
                roc_auc_score(found.labels[:, 1], found.logits[:, 1] - found.logits[:, 0])
                for found in (first, second)
            ]
            assert areas[0] == pytest.approx(areas[1], abs=1e-3), f"seed {seed}, {name}"
            np.testing.assert_allclose(first.logits, second.logits, rtol=0, atol=0.05)
