"""The compilation cache: what was compiled once is read the next time, however small it is."""

import json
import subprocess
import sys
from pathlib import Path

COMPILE = """
import pathlib, sys
import jax
from medbench.training import cache
cache.enable(pathlib.Path(sys.argv[1]))
print(jax.jit(lambda x: x * 3 + 1)(2.0))
"""


def entries(folder: Path) -> set[str]:
    assert (
        subprocess.run([sys.executable, "-c", COMPILE, folder], check=True, capture_output=True).stdout
        == b"7.0\n"
    )
    return {path.name for path in folder.iterdir() if not path.name.endswith("-atime")}


def test_a_second_process_compiles_nothing_anew(tmp_path):
    first = entries(tmp_path / "xla")
    assert any("lambda" in name for name in first)
    assert entries(tmp_path / "xla") == first


TRAIN = """
import collections, json, pathlib, sys
import jax
from medbench.training import cache
from tests.training.test_loop import run, spec
folder, events = pathlib.Path(sys.argv[1]), collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: events.update([event]))
cache.enable(folder)
for changed in ({}, {"seed": 2, "fraction": 0.5, "base_learning_rate": 0.1}):
    jax.clear_caches()  # as in a new process
    events.clear()
    before = len(list(folder.glob("*-cache")))
    run(spec(sets=("id",), steps=2, **changed))
    new = len(list(folder.glob("*-cache"))) - before
    print(json.dumps([events["/jax/compilation_cache/cache_hits"], new]))
"""


def test_runs_of_one_shape_share_their_entries_whatever_their_seed_fraction_and_learning_rate(tmp_path):
    command = [sys.executable, "-c", TRAIN, tmp_path / "xla"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (hits, new), warm = (json.loads(line) for line in said.splitlines())
    assert new > 0
    assert warm == [hits + new, 0], "hits, and new entries"
