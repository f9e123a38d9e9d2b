"""Sessions of pytest that are timed, with a pytest that only says what it was asked for."""

import subprocess
from pathlib import Path

import pytest

from bench import suite


@pytest.fixture
def sessions(monkeypatch):
    """Of every session: whether runs, and compiled functions, were there."""
    seen, code = [], [0]

    def session(command, **_):
        store = Path(command[command.index("--store") + 1])
        seen.append(((store / "runs").exists(), (store / "cache").exists()))
        for name in ("runs", "cache"):
            (store / name).mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(command, code[0])

    monkeypatch.setattr(suite.subprocess, "run", session)
    return seen, code


def test_a_session_is_cold_then_has_compiled_functions_then_everything(sessions):
    rows = list(suite.rows(["mammography-scale-data"]))
    assert sessions[0] == [(False, False), (False, True), (True, True)]
    assert [row.name.rpartition("/")[2] for row in rows] == ["cold", "compiled", "warm"]


def test_a_session_that_failed_is_no_measurement(sessions):
    sessions[1][0] = 3
    with pytest.raises(SystemExit, match="ended with 3"):
        list(suite.rows(["all"]))
