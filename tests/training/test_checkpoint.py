"""When a checkpoint is written and what becomes of one that cannot be; `test_apart` has what is in it."""

import jax
import numpy as np
import pytest

from medbench.training import checkpoint, step
from medbench.training.checkpoint import ASKED_EVERY, Checkpoints

STATE = step.start({"kernel": np.ones(3, np.float32)})


@pytest.fixture
def told():
    return []


def test_without_a_folder_nothing_is_kept_and_nothing_removed(tmp_path, monkeypatch, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").touch()
    with Checkpoints(None, every=0.0, tell=told.append) as kept:
        kept.save_if_due(1, STATE, dict)
        assert kept.restore(STATE, dict) is None
    kept.delete()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert told == []


def test_a_folder_that_cannot_be_written_is_told_once_and_asked_no_more(tmp_path, told):
    (tmp_path / "file").touch()
    with Checkpoints(tmp_path / "file" / "run", every=0.0, tell=told.append) as kept:
        for done in (1, 2):
            kept.save_if_due(done, STATE, dict)
    assert len(told) == 1
    assert told[0].startswith(f"goes on without checkpoints: {tmp_path / 'file' / 'run'} cannot be written (")


@pytest.mark.parametrize("index", [0, 1])
def test_of_several_processes_one_that_cannot_write_still_asks_with_the_others(
    tmp_path, monkeypatch, told, index
):
    """Asking is a computation of all: where one left it out, the others would wait for ever."""
    (tmp_path / "file").touch()
    said = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: index)
    monkeypatch.setattr(checkpoint, "_in_all_processes", lambda mine: said.append(mine) or mine)
    with Checkpoints(tmp_path / "file" / "run", every=0.0, tell=told.append) as kept:
        for done in range(1, 3 * ASKED_EVERY):
            kept.save_if_due(done, STATE, dict)
    assert said == [True, False]
    assert len(told) == 1


def test_when_it_is_time_the_first_process_decides(tmp_path, monkeypatch, told):
    said = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(checkpoint, "_in_all_processes", lambda mine: said.append(mine) or False)
    for index in (0, 1):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        Checkpoints(tmp_path / "run", every=600.0, tell=told.append).save_if_due(ASKED_EVERY, STATE, dict)
    assert said == [False, True]
