import io
import os
import re
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from medbench.execute.progress import Console, Estimate, Event, Follower, Journal, duration, side_by_side


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (21.4, "21 s"), (99.4, "99 s"), (100, "2 min"), (3540, "59 min"), (3900, "1 h 5 min")],
)
def test_a_duration_is_said_as_a_person_says_it(seconds, words):
    assert duration(seconds) == words


class Clock:
    """Seconds that pass when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_nothing_is_known_before_the_first_step(clock):
    estimate = Estimate(3, clock=clock)
    assert estimate.left() is None
    estimate.start("a")
    clock.now += 10
    assert estimate.left() is None


def test_before_a_run_has_ended_the_estimate_goes_by_its_progress(clock):
    estimate = Estimate(3, clock=clock)
    estimate.start("a")
    clock.now += 10
    estimate.reach("a", 0.5)
    assert estimate.left() == pytest.approx(0.5 * 20 + 2 * 20)


def test_after_that_it_goes_by_the_runs_that_ended(clock):
    estimate = Estimate(4, clock=clock)
    for run, seconds in (("a", 30), ("b", 10)):
        estimate.start(run)
        clock.now += seconds
        assert estimate.finish(run) == seconds
    estimate.start("c")
    estimate.reach("c", 0.25)
    assert estimate.left() == pytest.approx(0.75 * 20 + 20)
    assert estimate.finished == 2


def test_two_workers_take_half_the_time(clock):
    alone, together = Estimate(5, 1, clock), Estimate(5, 2, clock)
    for estimate in (alone, together):
        estimate.start("a")
    clock.now += 10
    for estimate in (alone, together):
        estimate.finish("a")
    assert together.left() == alone.left() / 2 == 20


def test_the_last_run_is_not_shared_between_workers(clock):
    estimate = Estimate(3, 2, clock)
    estimate.start("a")
    clock.now += 10
    estimate.finish("a")
    estimate.start("b")
    clock.now += 10
    estimate.finish("b")
    assert estimate.left() == 10


@pytest.mark.parametrize(
    ("runs", "workers", "expected"), [(6, 1, 60), (6, 2, 30), (6, 8, 10), (1, 8, 60), (0, 2, 60)]
)
def test_no_more_runs_go_side_by_side_than_there_are(runs, workers, expected):
    assert side_by_side(60, runs, workers) == expected


def test_a_failed_run_is_not_waited_for(clock):
    estimate = Estimate(2, clock=clock)
    estimate.start("a")
    clock.now += 10
    estimate.finish("a")
    estimate.start("b")
    estimate.drop("b")
    assert estimate.left() == 0


def test_more_runs_than_planned_do_no_harm(clock):
    estimate = Estimate(0, clock=clock)
    estimate.start("a")
    clock.now += 10
    estimate.finish("a")
    assert estimate.left() == 0


RUN = "chest · bit-s-r50x1 · all patients · seed 1"
EVENTS = [
    Event(kind="waiting", run=RUN, text="process 7, since 10:11:12 UTC"),
    Event(kind="started", run=RUN, text="changed: the code"),
    Event(kind="stage", run=RUN, stage="decode id", done=2, total=4),
    *(Event(kind="stage", run=RUN, stage="train", done=i, total=4) for i in range(1, 5)),
    Event(kind="stage", run=RUN, stage="evaluate", done=1, total=1),
    Event(kind="finished", run=RUN),
]


def test_without_a_terminal_a_run_is_a_line_at_its_start_and_one_at_its_end():
    stream = io.StringIO()
    console = Console(stream, total=2)
    for event in EVENTS[1:]:
        console(event)
    assert stream.getvalue().splitlines() == [
        f"[1/2] {RUN}: trains (changed: the code)",
        f"{RUN}: 0 s, about 0 s left",
    ]


def test_runs_that_go_side_by_side_have_numbers_of_their_own():
    stream = io.StringIO()
    console = Console(stream, total=3)
    for kind, run in (("started", "a"), ("started", "b"), ("finished", "b"), ("started", "c")):
        console(Event(kind=kind, run=run))
    starts = [line[:5] for line in stream.getvalue().splitlines() if line.startswith("[")]
    assert starts == ["[1/3]", "[2/3]", "[3/3]"]


def test_the_last_run_leaves_nothing_to_wait_for():
    stream = io.StringIO()
    console = Console(stream, total=1)
    for event in EVENTS[1:]:
        console(event)
    assert stream.getvalue().splitlines()[-1] == f"{RUN}: 0 s"


def test_a_run_that_was_not_planned_is_counted_with_the_others():
    stream = io.StringIO()
    Console(stream, total=0)(EVENTS[1])
    assert stream.getvalue().startswith("[1/1] ")


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("encoding", "dot"), [("ascii", r"\xb7"), ("latin-1", "·"), ("utf-8", "·")])
def test_what_a_stream_cannot_show_is_escaped(encoding, dot, live):
    shown = io.BytesIO()
    stream = io.TextIOWrapper(shown, encoding=encoding, write_through=True)
    console = Console(stream, total=1, live=live)
    console(Event(kind="started", run=RUN, text="changed: jax (0.10 → 0.11)"))
    console(Event(kind="finished", run=RUN))
    text = shown.getvalue().decode(encoding)
    assert f"chest {dot} bit-s-r50x1" in text
    arrow = "→" if encoding == "utf-8" else r"\u2192"
    assert live or f"0.10 {arrow} 0.11" in text


@pytest.mark.parametrize("live", [False, True])
def test_nobody_who_reads_is_no_reason_to_stop(live):
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", buffering=1)
    console = Console(stream, total=1, live=live)
    for event in EVENTS:
        console(event)
    with suppress(BrokenPipeError):
        stream.close()
    for event in EVENTS:
        console(event)


def test_waiting_is_said_with_the_holder():
    stream = io.StringIO()
    Console(stream, total=1)(EVENTS[0])
    expected = f"{RUN}: waits for process 7, since 10:11:12 UTC, which trains the same run\n"
    assert stream.getvalue() == expected


@pytest.mark.parametrize("end", ["failed", "interrupted"])
def test_a_failure_is_said_and_an_interruption_is_none(end):
    stream = io.StringIO()
    console = Console(stream, total=1)
    console(EVENTS[1])
    console(Event(kind=end, run=RUN))
    assert stream.getvalue().splitlines()[-1] == f"{RUN}: {end}"


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("kind", ["stage", "finished", "failed", "interrupted"])
def test_a_run_whose_start_was_lost_does_not_stop_the_progress_of_others(kind, live):
    stream = io.StringIO()
    console = Console(stream, total=2, live=live)
    console(EVENTS[1])
    console(Event(kind=kind, run="another", stage="train", done=1, total=2))
    for event in EVENTS[2:]:
        console(event)
    assert "another" not in stream.getvalue()
    assert "0 s" in stream.getvalue()


@pytest.mark.parametrize("end", ["finished", "failed", "interrupted"])
def test_on_a_terminal_the_line_moves_and_stays_when_the_run_ends(end):
    stream = io.StringIO()
    console = Console(stream, total=1, live=True)
    for event in EVENTS[1:-1]:
        console(event)
    console(Event(kind=end, run=RUN))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    last = plain.rstrip().splitlines()[-1]
    assert last.startswith(RUN)
    assert ("100%" in last) == (end == "finished") or end != "finished"
    assert last.rstrip().endswith("0 s" if end == "finished" else end)


@pytest.mark.parametrize("live", [False, True])
def test_a_run_that_was_lost_before_its_start_was_told_is_told_as_lost(live):
    stream = io.StringIO()
    console = Console(stream, total=2, live=live)
    console(Event(kind="lost", run=RUN, worker="node-a/1", text="killed"))
    assert stream.getvalue() == f"{RUN}: lost with node-a/1, begins again (killed)\n"
    console(Event(kind="started", run=RUN, worker="node-b/1"))
    console(Event(kind="finished", run=RUN, worker="node-b/1"))
    assert "begins again" in stream.getvalue()


def test_a_run_that_was_lost_with_its_worker_begins_again_and_still_counts():
    stream = io.StringIO()
    console = Console(stream, total=2)
    console(Event(kind="started", run=RUN, worker="node-a/1"))
    console(Event(kind="lost", run=RUN, worker="node-a/1", text="killed"))
    console(Event(kind="started", run=RUN, worker="node-b/1", text="why"))
    assert stream.getvalue().splitlines() == [
        f"[1/2] {RUN}: trains on node-a/1",
        f"{RUN}: lost with node-a/1, begins again (killed)",
        f"[1/2] {RUN}: trains on node-b/1 (why)",
    ]


def test_square_brackets_are_shown_as_they_are():
    stream = io.StringIO()
    console = Console(stream, total=1)
    console(Event(kind="started", run="[red]chest[/red]", text="[bold]"))
    assert stream.getvalue() == "[1/1] [red]chest[/red]: trains ([bold])\n"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "progress" / "session"


def followed(folder, *, until):
    """What a follower passes on, stopped once it has passed on `until` events."""
    seen = []
    follower = Follower(folder, seen.append, every=0.01)
    follower.start()
    deadline = time.monotonic() + 20
    while len(seen) < until and time.monotonic() < deadline:
        time.sleep(0.01)
    follower.stop()
    return seen


def test_events_reach_the_controller_in_order_with_their_worker(folder):
    journal = Journal(folder / "gw1.jsonl", "gw1", every=0.0)
    for event in EVENTS:
        journal(event)
    seen = followed(folder, until=len(EVENTS))
    assert [(e.kind, e.stage, e.done) for e in seen] == [(e.kind, e.stage, e.done) for e in EVENTS]
    assert {event.worker for event in seen} == {"gw1"}


def test_stopping_passes_on_what_was_written_last(folder):
    seen = []
    follower = Follower(folder, seen.append, every=60)
    follower.start()
    Journal(folder / "gw0.jsonl", "gw0")(EVENTS[0])
    follower.stop()
    assert [event.kind for event in seen] == ["waiting"]


def test_a_follower_may_start_before_the_folder_is_there(folder):
    assert followed(folder, until=0) == []


def test_many_steps_a_second_are_not_all_written(folder):
    journal = Journal(folder / "gw0.jsonl", "gw0", every=60)
    for event in EVENTS:
        journal(event)
    seen = followed(folder, until=6)
    assert [event.kind for event in seen] == ["waiting", "started", "stage", "stage", "stage", "finished"]


def test_half_a_line_waits_for_its_other_half_and_garbage_is_skipped(folder):
    journal = Journal(folder / "gw0.jsonl", "gw0")
    journal(EVENTS[0])
    path = folder / "gw0.jsonl"
    line = path.read_bytes()
    path.write_bytes(b"\x80garbage\n" + line + line[:20])
    seen = []
    follower = Follower(folder, seen.append, every=0.01)
    follower.start()
    while not seen:
        time.sleep(0.01)
    with path.open("ab") as file:
        file.write(line[20:])
    follower.stop()
    assert [event.kind for event in seen] == ["waiting", "waiting"]


def test_a_journal_that_cannot_be_written_does_not_stop_the_run(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    Journal(tmp_path / "file" / "gw0.jsonl", "gw0")(EVENTS[0])


def test_showing_progress_imports_no_jax():
    code = "import sys, medbench.execute.progress; print('jax' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
