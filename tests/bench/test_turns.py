"""The order of turns and what is made of them, with sides whose seconds are made up."""

import sys
from dataclasses import dataclass, field

import pytest

from bench import turns
from bench.cases import MachineCase, NetCase
from bench.turns import Turns

CASE = NetCase("train", "r14x0.25", (1, 1, 1, 1), 0.25, 64, batch=30)


@dataclass
class FakeSide:
    """Takes so many seconds a step, turn after turn, and writes its turns into a common log."""

    name: str
    seconds: dict[str, list[float]]
    log: list[tuple[str, str]]
    difference: float = 0.0
    steps: list[int] = field(default_factory=list)

    def prepare(self, case, folder):
        assert folder.is_dir()
        return dict.fromkeys(self.seconds, self.difference)

    def run(self, variant, steps):
        self.log.append((self.name, variant))
        self.steps.append(steps)
        mine = self.seconds[variant]
        return steps * (mine.pop(0) if len(mine) > 1 else mine[0])


@pytest.fixture
def sides():
    log = []
    return {
        "ours": FakeSide("ours", {"medbench": [2.0]}, log),
        "peer": FakeSide("peer", {"slow": [9.0], "fast": [3.0]}, log),
    }


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(turns, "PAUSE_SECONDS", 0)


def test_every_variant_has_one_turn_a_round_and_a_hopeless_one_sits_out_after_the_first(sides):
    taken = turns.compare(CASE, sides, repetitions=3)
    probing, *rounds = [sides["ours"].log[:3], sides["ours"].log[3:6], sides["ours"].log[6:]]
    assert probing == rounds[0] == [("ours", "medbench"), ("peer", "slow"), ("peer", "fast")]
    assert rounds[1] == [("ours", "medbench"), ("peer", "fast")] * 2
    assert taken.seconds == {
        ("ours", "medbench"): [2.0] * 3,
        ("peer", "slow"): [9.0],
        ("peer", "fast"): [3.0] * 3,
    }


def test_both_sides_take_equally_many_steps_enough_of_them_for_a_turn(sides):
    sides["ours"].seconds["medbench"] = [turns.TURN_SECONDS / 7]
    turns.compare(CASE, sides, repetitions=1)
    assert sides["ours"].steps == [1, 7]
    assert sides["peer"].steps == [1, 1, 7, 7]


def test_a_row_has_medians_of_throughput_and_of_the_ratios_within_a_round():
    seconds = {("ours", "medbench"): [1.0, 2.0, 10.0], ("peer", "compiled"): [2.0, 2.0, 15.0]}
    row = turns.row_of(CASE, Turns(seconds))
    assert (row.name, row.unit, row.peer_variant) == ("train/r14x0.25/64px", "images/s", "compiled")
    assert (row.ours, row.peer) == (15.0, 15.0)
    assert row.ratio == 1.5
    assert row.ratio_range == (1.0, 2.0)


def test_without_a_peer_there_is_no_ratio():
    row = turns.row_of(CASE, Turns({("ours", "medbench"): [1.0]}))
    assert (row.ours, row.peer, row.ratio, row.ratio_range) == (30.0, None, None, None)


@pytest.mark.parametrize("difference", [2 * turns.LARGEST_DIFFERENCE[CASE.kind], float("nan")])
def test_sides_that_do_not_agree_are_not_timed(sides, difference):
    sides["peer"].difference = difference
    with pytest.raises(SystemExit, match=r"train/r14x0\.25/64px: peer \(slow\) is .* away"):
        turns.compare(CASE, sides, repetitions=1)
    assert not sides["ours"].log


def test_a_side_in_another_process_is_asked_through_its_pipe_and_ends_with_it(monkeypatch):
    monkeypatch.setattr(turns, "MODULES", {"ours": "bench.ours"})
    case = MachineCase("triad", (64,))
    with turns.workers({"ours": sys.executable}) as started:
        row = turns.row_of(case, turns.compare(case, started, repetitions=1))
    assert (row.name, row.unit) == ("machine/triad/64", "GB/s")
    assert row.ours > 0
    with pytest.raises((SystemExit, ValueError)):
        started["ours"].run("medbench", 1)
