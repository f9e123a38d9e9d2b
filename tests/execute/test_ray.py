"""Sessions that really train small nets on the workers of a Ray cluster, all of them on this machine.

Two workers compute with as many threads as the session alone, so that the machine has each core twice.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from medbench import environment
from medbench.models import npz
from medbench.models.bit import init_params
from medbench.store import Holder
from tests import runs
from tests.data.clinic import DECLARATION, Clinic
from tests.test_plugin_killed import SUITE

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'medbench[ray]'")
pytestmark = pytest.mark.filterwarnings("default")

ROOT = Path(__file__).parents[2]
RUNS = 4


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster with room for two workers."""
    context = ray.init(
        address="local",
        num_cpus=2 * environment.usable_cores(),
        object_store_memory=128 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
    )
    yield context.address_info["address"]
    ray.shutdown()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A suite of one claim on images in files, whose four runs take a second each."""
    folder = tmp_path_factory.mktemp("project")
    clinic = Clinic(folder / "clinic", patients=60)
    clinic.write(DECLARATION + "splits: {by: patient, train: 0.5, validation: 0.1, id: 0.4, seed: 1}\n")
    for name, text in SUITE.items():
        file = folder / "benchmarks" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("phantoms:dermatology", "../clinic").replace("steps: 10", "steps: 100"))
    params = init_params((1, 1, 1, 1), 0.25, 2, np.random.default_rng(7))
    npz.save(folder / "benchmarks/other.npz", params)
    (folder / "conftest.py").write_text('pytest_plugins = ["medbench.pytest_plugin"]\n')
    (folder / "pytest.ini").write_text("[pytest]\nmedbench_suites = benchmarks\n")
    return folder


def started(project, *options, **variables):
    here = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "benchmarks", *options],
        cwd=project,
        env={**os.environ, "PYTHONPATH": here, "JAX_PLATFORMS": "cpu", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process):
    """What a session that ended green has printed."""
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    return output


def results(store):
    """Bytes of the predictions and features of every run."""
    found = runs.content(store / "runs")
    return {name: data for name, data in found.items() if not name.endswith("record.json")}


@pytest.fixture(scope="module")
def alone(project):
    """What the session leaves that trains in its own process, and its compilation cache."""
    ended(started(project))
    kept = project / "alone"
    (project / ".medbench").rename(kept)
    assert len(results(kept)) == RUNS * 3
    return kept


@pytest.fixture
def store(project, alone):
    """Without runs, with the compilation cache."""
    shutil.rmtree(project / ".medbench", ignore_errors=True)
    shutil.copytree(alone / "cache/xla", project / ".medbench/cache/xla")
    return project / ".medbench"


def test_two_workers_leave_the_bytes_of_the_session_that_trains_by_itself(project, cluster, alone, store):
    output = ended(started(project, "--executor=ray", RAY_ADDRESS=cluster))
    assert set(re.findall(r": trains on \S+/(\d+)", output)) == {"1", "2"}
    assert f"cluster: {RUNS} runs made in" in output
    assert results(store) == results(alone)


def test_a_worker_that_is_killed_costs_its_run_alone_which_begins_again(project, cluster, alone, store):
    session = started(project, "--executor=ray", RAY_ADDRESS=cluster)
    holder = first_holder(store, session)
    os.kill(holder.pid, signal.SIGKILL)
    output = ended(session)
    # Why, is in Ray's words: that the actor is dead, or unavailable where nobody confirms its death in time.
    assert len(re.findall(r": lost with \S+, begins again \(The actor ", output)) == 1, output
    # A worker that is killed at once takes word of its start with it.
    assert len(re.findall(r": trains on ", output)) in (RUNS, RUNS + 1), output
    assert f"cluster: {RUNS} runs made, 1 lost with its worker in" in output
    assert results(store) == results(alone)


def first_holder(store, session):
    """The process that trains a run, once there is one."""
    end = time.monotonic() + 300
    while not (notes := list((store / "locks").glob("*.json"))):
        assert session.poll() is None, session.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.02)
    return msgspec.json.decode(notes[0].read_bytes(), type=Holder)


def test_a_session_that_is_not_on_the_cluster_is_told_before_anything_is_trained(project, store):
    session = started(project, "--executor=ray", RAY_ADDRESS="ray://head:10001")
    output, _ = session.communicate(timeout=300)
    assert session.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: RAY_ADDRESS=ray://head:10001: a session must run on a machine of the cluster" in output
    assert not results(store)
