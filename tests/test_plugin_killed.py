"""A whole session with real training, killed half-way and started again."""

import shutil
import signal

import numpy as np
import pytest

from medbench.models import npz
from medbench.models.bit import init_params
from tests import runs
from tests.suites.project import HERE, Project

pytest_plugins = ["pytester"]

SUITE = {
    "backbones.yaml": """
architectures:
  tiny: {blocks: [1, 1, 1, 1], width: 0.25}
upstreams:
  random: {description: random initialisation, images: 0, classes: 0}
  other: {description: another random net, images: 1, classes: 2, weights: {tiny: other.npz}}
""",
    "recipes.yaml": """
recipes:
  tiny:
    kind: fixed
    description: some steps
    deviations: []
    steps: 10
    batch_size: 8
    base_learning_rate: 0.01
    warmup_steps: 0
    decay_steps: []
    resize: 36
    crop: 32
""",
    "tiers.yaml": "tiers: {embedded: {description: noise, recipe: tiny, seeds: [1, 2], sentinels: []}}\n",
    "tasks/skin.yaml": """
task: skin
domain: dermatology
statement: Whether there are stripes.
cohorts: {embedded: phantoms:dermatology}
primary: roc_auc
horizontal_flip: true
""",
    "claims/scale.yaml": """
claim: scale-data
statement: Another net is better.
source: {study: C1, strength: own}
tasks: [skin]
arms:
  embedded:
    baseline: {upstream: random, architecture: tiny}
    treatment: {upstream: other, architecture: tiny}
evaluate: id
metric: primary
predicate: superiority
margin: 0.005
margin_reason: for the tests
relevant_effect: 0.03
family: scale
""",
}
RUNS = [
    f"skin · bit-{upstream}-tiny · all patients · seed {seed}"
    for upstream in ("random", "other")
    for seed in (1, 2)
]


@pytest.fixture
def project(pytester, monkeypatch):
    return set_up(Project(pytester, monkeypatch))


def set_up(project):
    """Put the suite that really trains into a project."""
    shutil.rmtree(project.suite)
    for name, text in SUITE.items():
        (project.suite / name).parent.mkdir(parents=True, exist_ok=True)
        (project.suite / name).write_text(text)
    params = init_params((1, 1, 1, 1), 0.25, 2, np.random.default_rng(7))
    npz.save(project.suite / "other.npz", params)
    shutil.copy(HERE / "killable.py", project.path / "conftest.py")
    shutil.copy(HERE.parent / "runs.py", project.path / "runs.py")
    return project


def results(store):
    """Bytes of the predictions and features of every run."""
    found = runs.content(store / "runs")
    return {name: data for name, data in found.items() if not name.endswith("record.json")}


def test_a_session_killed_half_way_goes_on_where_it_was_and_ends_with_the_same_bytes(project):
    store, whole = project.path / ".medbench", project.path / "whole"
    assert project.run_apart("benchmarks", "--claims=default").ret in (0, 1)  # what noise says is no matter
    assert project.trained() == RUNS
    store.rename(whole)
    shutil.copytree(whole / "cache/xla", store / "cache/xla")  # compiling again would prove nothing more

    project.world(kill=RUNS[2])
    assert project.run_apart("benchmarks").ret == -signal.SIGKILL
    assert project.trained()[4:] == RUNS[:3]
    kept = results(store)
    assert 0 < len(kept) == len(results(whole)) // 2
    assert kept.items() < results(whole).items()

    project.world()
    result = project.run_apart("benchmarks")
    result.stdout.fnmatch_lines(
        ["plan: 4 runs for 1 item (4 without sharing): 2 reused, 2 to train*", "1 judged: *"]
    )
    assert project.trained()[7:] == RUNS[2:], "a finished run was trained again, or one was left out"
    assert results(store) == results(whole)
