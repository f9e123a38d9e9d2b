"""Several processes: they go through runs in step, refuse together, and end together whoever fails."""

import socket
import subprocess

import pytest

from medbench.errors import MedbenchError
from medbench.execute.processes import ADDRESS, COUNT, INDEX, Company
from medbench.identity import code_fingerprint, run_id
from tests import runs
from tests.training.apart import command

NAMES = [run_id(runs.spec(seed=seed), code_fingerprint()) for seed in (1, 2, 3)]


def by_hand(index, port, count=2):
    return {ADDRESS: f"localhost:{port}", COUNT: str(count), INDEX: str(index)}


def free_port():
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return taken.getsockname()[1]


def pair(folder, *, mishap="", remote=""):
    """The lines and the exit status of two processes."""
    port = free_port()
    started = [
        subprocess.Popen(
            **command(
                folder, environment=by_hand(index, port), module="tests.execute.company",
                index=index, mishap=mishap, remote=remote,
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for index in (0, 1)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=120) for process in started]
    return [
        (output.splitlines(), process.returncode, errors)
        for (output, errors), process in zip(outputs, started, strict=True)
    ]


def test_followers_train_each_run_with_the_first_process_and_are_sent_home(tmp_path):
    (leader, status, _), (follower, followers_status, _) = pair(tmp_path)
    trains = [f"trains seed {seed} with checkpoints/{name}" for seed, name in enumerate(NAMES, start=1)]
    told = [line for seed, line in enumerate(trains, start=1) for line in (line, f"trained seed {seed}")]
    assert leader == [*told, "reports"]
    assert follower == [*trains, "ended: "]
    assert (status, followers_status) == (0, 0)
    assert not list((tmp_path / "shared").rglob("*.shared"))


def test_a_run_that_one_process_cannot_prepare_fails_and_the_next_ones_go_on(tmp_path):
    (leader, status, _), (follower, followers_status, _) = pair(tmp_path, mishap="lacks a cohort")
    label = runs.spec(seed=2).label
    assert f"MedbenchError: {label}: process 1: images.csv: not there." in leader
    assert [line for line in leader if line.startswith("trained")] == ["trained seed 1", "trained seed 3"]
    assert [line[:12] for line in follower] == ["trains seed ", "trains seed ", "ended: "]
    assert (status, followers_status) == (0, 0)


def test_processes_with_other_code_train_nothing_together(tmp_path):
    (leader, _, _), (follower, _, _) = pair(tmp_path, mishap="other code")
    assert sum("process 1: its code, libraries" in line for line in leader) == 3
    assert follower == ["ended: "]


def test_without_a_store_that_all_see_there_are_no_checkpoints(tmp_path):
    (leader, _, _), (follower, _, _) = pair(tmp_path, mishap="other store")
    assert leader[:2] == ["goes on without checkpoints: not every process sees this store", "trains seed 1"]
    assert follower[0] == "trains seed 1"


def test_a_folder_that_all_see_keeps_checkpoints_also_where_runs_are_in_a_remote_store(tmp_path):
    (leader, _, _), (follower, _, _) = pair(tmp_path, remote=f"file://{tmp_path}/remote")
    assert leader[0] == follower[0] == f"trains seed 1 with checkpoints/{NAMES[0]}"


@pytest.mark.parametrize("mishap", ["leader fails", "leader is interrupted"])
def test_a_failure_of_the_first_process_amid_a_run_ends_the_others_and_it_trains_no_more(tmp_path, mishap):
    (leader, status, _), (follower, followers_status, errors) = pair(tmp_path, mishap=mishap)
    why = "KeyboardInterrupt: " if "interrupted" in mishap else "RuntimeError: out of memory"
    assert f"for process 0 of 2 ({socket.gethostname()}): {why}\n" in errors
    assert (status, followers_status) == (0 if "interrupted" in mishap else 1, 1)
    assert not any(line.startswith("ended") for line in follower)
    if status == 0:
        assert leader[-1] == "reports"
        assert "not trained, as the processes have parted: process 0" in leader[-2]


def test_a_failure_of_a_follower_amid_a_run_ends_the_first_process_with_its_message(tmp_path):
    (leader, status, errors), (follower, _, _) = pair(tmp_path, mishap="follower fails")
    why = f"process 1 of 2 ({socket.gethostname()}): RuntimeError: out of memory"
    assert f"for {why}\n" in errors
    assert status == 1
    assert leader[-1].startswith("trains seed 2")
    assert follower[-1] == f"ended: {why}"


@pytest.mark.parametrize("missing", [ADDRESS, COUNT, INDEX])
def test_processes_started_by_hand_need_all_three_variables(monkeypatch, missing):
    for name, value in by_hand(0, 1).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)
    with pytest.raises(MedbenchError, match=f"--distributed: {missing} not set: expected "):
        Company.join()


@pytest.mark.parametrize(
    ("name", "value"),
    [(ADDRESS, "host"), (ADDRESS, ":1"), (COUNT, "two"), (COUNT, "0"), (INDEX, "-1"), (INDEX, "2")],
)
def test_what_a_person_says_wrong_is_named_before_anybody_is_waited_for(monkeypatch, name, value):
    for each, right in (by_hand(0, 1) | {COUNT: "2", name: value}).items():
        monkeypatch.setenv(each, right)
    with pytest.raises(MedbenchError, match=f"found .*{name}={value}.* expected .*host:port"):
        Company.join()


def test_where_nothing_says_where_the_processes_are_the_message_tells_how_to_say_it(monkeypatch):
    for name in (ADDRESS, COUNT, INDEX):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MedbenchError, match=f"did not meet .* or set {ADDRESS}"):
        Company.join()
