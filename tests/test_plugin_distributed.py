"""A session of two pytest processes that train together: the numbers of one process, and one report."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medbench.store import Store
from tests.execute.test_processes import by_hand, free_port
from tests.suites.project import Project
from tests.test_plugin_killed import RUNS, set_up

pytest_plugins = ["pytester"]

LONGEST = 500
LOGITS = 1e-4
"""Tolerance of logits; see `tests.training.test_apart`."""


@pytest.fixture
def project(pytester, monkeypatch):
    project = set_up(Project(pytester, monkeypatch))
    # On maps of one place, group normalisation magnifies rounding beyond any tolerance: here they end at 2x2.
    project.edit("recipes.yaml", "resize: 36\n    crop: 32", "resize: 68\n    crop: 64")
    project.edit("recipes.yaml", "base_learning_rate: 0.01", "base_learning_rate: 0.003")
    return project


def started(project, *arguments, **environment):
    """A session in a process of its own."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "benchmarks",
            "--claims=default",
            *arguments,
        ],
        cwd=project.path,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "1", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """Output and exit status."""
    return process.communicate(timeout=LONGEST)[0], process.returncode


def stored(path):
    store = Store(path)
    return {record.run_id: store.get(record.run_id) for record in store.records()}


def test_two_processes_give_the_predictions_of_one_and_only_the_first_reports(project):
    assert ended(started(project))[1] == 0
    (project.path / ".medbench").rename(project.path / "alone")
    port = free_port()
    both = [started(project, "--distributed", **by_hand(index, port)) for index in (0, 1)]
    (leader, status), (follower, followers_status) = map(ended, both)
    assert status == 0
    assert "4 to train" in leader
    assert "1 judged" in leader
    own = [line for line in follower.splitlines() if not line.startswith("[Gloo]")]  # as CPUs alone print
    assert own == [
        f"medbench: process 1 of 2 ({socket.gethostname()}) did its part; the first one has the report"
    ]
    assert followers_status == 0
    alone, made = stored(project.path / "alone"), stored(project.path / ".medbench")
    assert set(alone) == set(made)
    assert len(made) == len(RUNS)
    for name, run in made.items():
        assert run.record.environment.devices == 2
        for evaluation in run.record.evaluations:
            one, two = (found[name].predictions(evaluation.evaluation_set) for found in (alone, made))
            np.testing.assert_allclose(two.logits, one.logits, atol=LOGITS)
            areas = [
                roc_auc_score(found.labels[:, 1], found.logits[:, 1] - found.logits[:, 0])
                for found in (one, two)
            ]
            assert areas[0] == pytest.approx(areas[1], abs=1e-3)
    assert not list((project.path / ".medbench" / "checkpoints").iterdir())


def test_it_does_not_go_with_what_trains_elsewhere(pytester, monkeypatch):
    project = Project(pytester, monkeypatch)  # whose stand-ins, unlike those that train, leave this process
    for arguments in (("-n", "2"), ("--trainer", "mine"), ("--executor", "ray"), ("--shard", "1/2")):
        result = project.run("benchmarks", "--distributed", *arguments)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            ["*--distributed does not go with --trainer, --executor=ray, --shard or -n.*"]
        )
