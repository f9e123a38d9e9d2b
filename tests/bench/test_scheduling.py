"""What scheduling costs, by a clock that saw two workers."""

import pytest

from bench import __main__ as main
from bench import scheduling
from medbench.execute.progress import Event


@pytest.fixture
def clock():
    """Runs of 4, 3 and 3 s: the first worker has one and ends at 4.5 s, the other two and ends at 7 s."""
    clock = scheduling.Clock()
    clock.report(Event(kind="started", run="a", worker="1"))
    for worker, text in (("1", "4.4"), ("2", "3"), ("2", "3")):
        clock.report(Event(kind="finished", run="a", worker=worker, text=text))
    clock.first, clock.ends = 10.0, {"1": 14.5, "2": 17.0}
    return clock


def test_the_workers_time_beyond_the_runs_is_told_in_parts_that_add_up(clock):
    found = scheduling.Found.of(clock, [4.0, 3.0, 3.0], workers=2, starting=1.0)
    assert (found.wall, found.ideal, found.events) == (7.0, 6.0, 4)
    assert found.overhead == pytest.approx((2 * 7 - 10) / 10)
    assert found.overslept == pytest.approx(0.4 / 10)
    assert found.idle == pytest.approx(2.5 / 10)


def test_scheduling_is_among_the_rows_that_can_be_asked_for(clock, monkeypatch):
    found = scheduling.Found.of(clock, [4.0, 3.0, 3.0], workers=2, starting=1.0)
    monkeypatch.setattr(scheduling, "measured", lambda **_: found)
    rows = list(main.measured(["scheduling"], {}, 1))
    assert [row.name.rpartition("/")[2] for row in rows] == ["overhead", "overslept", "idle", "scheduling"]
    assert rows[0].ours == pytest.approx(sum(row.ours for row in rows[1:])) == pytest.approx(40)
