"""The scheduler on a pool whose workers do what the test says; no Ray, no training."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.errors import MedbenchError
from medbench.execute.ahead import (
    ATTEMPTS,
    Done,
    Failed,
    Lost,
    Ready,
    Refused,
    Scheduler,
    Task,
    Told,
    Waiting,
    in_words,
)
from medbench.execute.progress import Event


class Workers:
    """Workers in name only: each look ends the task of the worker that was given one first.

    Args:
      size: how many.
      fate: of a task at its n-th attempt: "done", "failed", "lost" or "interrupt".
    """

    def __init__(self, size, fate=lambda task, attempt: "done"):
        self.size, self.fate = size, fate
        self.busy, self.attempts, self.given, self.cancelled = {}, Counter(), [], False
        self.most = 0
        self._born = 0
        self._news = [self._start() for _ in range(size)]

    def _start(self):
        self._born += 1
        return Ready(f"w{self._born}")

    def submit(self, worker, task):
        assert worker not in self.busy, "a worker has one task at a time"
        self.busy[worker] = task
        self.attempts[task.id] += 1
        self.given.append((worker, task))
        self.most = max(self.most, len(self.busy))

    def wait(self, timeout):
        if self._news:
            news, self._news = self._news, []
            return news
        worker, task = next(iter(self.busy.items()))
        fate = self.fate(task, self.attempts[task.id])
        if fate == "interrupt":
            raise KeyboardInterrupt
        del self.busy[worker]
        told = [Told(worker, Event(kind="started", run=task.label))]
        if fate == "lost":
            return [*told, Lost(worker, "killed"), self._start()]
        end = Failed(worker, f"{task.label} is wrong") if fate == "failed" else Done(worker)
        return [*told, Told(worker, Event(kind="finished", run=task.label)), end]

    def cancel(self):
        self.cancelled = True


def task(name, kind="k"):
    return Task(id=name, label=f"run {name}", kind=kind, content=b"")


class Session:
    """Runs tasks on workers and keeps what it was told."""

    def __init__(self, workers):
        self.workers, self.events, self.notices, self.done, self.failed = workers, [], [], [], {}
        self._scheduler = Scheduler(
            workers,
            report=self.events.append,
            notice=self.notices.append,
            done=self.done.append,
            failed=self.failed.__setitem__,
        )

    def run(self, tasks):
        return self._scheduler.run(tasks)


@given(
    kinds=st.lists(st.sampled_from("abc"), max_size=12),
    size=st.integers(1, 5),
    fates=st.lists(st.sampled_from(["done", "failed", "lost"]), min_size=36, max_size=36),
)
def test_whatever_happens_each_task_is_done_once_or_has_failed_and_is_tried_so_often_at_most(
    kinds, size, fates
):
    tasks = [task(str(n), kind) for n, kind in enumerate(kinds)]
    workers = Workers(size, lambda task, attempt: fates[ATTEMPTS * int(task.id) + attempt - 1])
    session = Session(workers)
    outcome = session.run(tasks)
    assert sorted([*session.done, *session.failed]) == sorted(task.id for task in tasks)
    assert (outcome.done, outcome.failed) == (session.done, session.failed)
    assert all(workers.attempts[each.id] <= ATTEMPTS for each in tasks)
    assert workers.most <= size
    assert outcome.lost == sum(workers.attempts.values()) - sum(
        fates[ATTEMPTS * int(each) + workers.attempts[each] - 1] != "lost" for each in workers.attempts
    )


def test_no_more_is_given_out_than_there_are_workers():
    workers = Workers(3)
    Session(workers).run([task(str(n)) for n in range(50)])
    assert workers.most == 3


def test_a_failed_run_is_not_tried_again_and_the_others_go_on():
    session = Session(Workers(2, lambda task, _: "failed" if task.id == "1" else "done"))
    session.run([task(str(n)) for n in range(4)])
    assert session.failed == {"1": "run 1 is wrong"}
    assert sorted(session.done) == ["0", "2", "3"]
    assert session.workers.attempts["1"] == 1


def test_the_run_of_a_lost_worker_begins_again_and_is_next_of_its_kind():
    session = Session(Workers(1, lambda task, attempt: "lost" if (task.id, attempt) == ("0", 1) else "done"))
    session.run([task("0"), task("1")])
    assert session.done == ["0", "1"]
    lost = [event for event in session.events if event.kind == "lost"]
    assert [(event.run, event.worker, event.text) for event in lost] == [("run 0", "w1", "killed")]


def test_a_run_that_kills_every_worker_is_given_up_with_a_message_that_names_the_last():
    session = Session(Workers(1, lambda task, _: "lost" if task.id == "0" else "done"))
    session.run([task("0"), task("1")])
    assert session.done == ["1"]
    assert session.failed["0"].startswith(
        "run 0: lost 3 times as its worker died, the last time with w3 (killed)"
    )
    assert [event.kind for event in session.events if event.run == "run 0"][-1] == "failed"


class LosesOne(Workers):
    """The last worker is lost before it is given anything, and nobody comes in its place."""

    def wait(self, timeout):
        news = super().wait(timeout)
        return [*news, Lost(f"w{self.size}", "killed")] if not self.given else news


def test_a_worker_that_is_lost_while_it_waits_is_given_nothing():
    workers = LosesOne(2)
    assert Session(workers).run([task("0"), task("1")]).lost == 0
    assert [name for name, _ in workers.given] == ["w1", "w1"]


def test_an_interruption_ends_all_workers_and_keeps_what_is_done():
    session = Session(Workers(2, lambda task, _: "interrupt" if task.id == "2" else "done"))
    with pytest.raises(KeyboardInterrupt):
        session.run([task(str(n)) for n in range(9)])
    assert session.workers.cancelled
    assert sorted(session.done) == ["0", "1"]
    interrupted = {event.run for event in session.events if event.kind == "interrupted"}
    assert interrupted == {f"run {each.id}" for each in session.workers.busy.values()}


class NoneFit(Workers):
    """Every worker is refused for the same reason."""

    def wait(self, timeout):
        self.size -= 1
        return [Refused("node-a has another code.")]


def test_without_any_worker_the_session_says_why_they_were_refused_and_says_it_once():
    session = Session(NoneFit(3))
    with pytest.raises(MedbenchError, match=r"no worker is left for 2 runs .* node-a has another code\.$"):
        session.run([task("0"), task("1")])
    assert session.notices == ["node-a has another code."]


class Late(Workers):
    """Nobody is there until the third look."""

    looks = 0

    def wait(self, timeout):
        self.looks += 1
        return [] if self.looks < 3 else super().wait(timeout)


def test_a_person_is_told_once_when_no_worker_comes():
    session = Session(Late(1))
    session.run([task("0")])
    assert len(session.notices) == 1
    assert "no worker is ready" in session.notices[0]


def test_a_worker_goes_on_with_the_kind_that_it_has_compiled_and_a_new_one_begins_another():
    workers = Workers(2)
    Session(workers).run([task(f"{kind}{n}", kind) for kind in "ab" for n in range(4)])
    kinds = {
        worker: "".join(task.kind for name, task in workers.given if name == worker)
        for worker in ("w1", "w2")
    }
    assert sorted(kinds.values()) == ["aaaa", "bbbb"]


def test_who_has_nothing_left_of_its_kind_helps_where_most_is_left():
    waiting = Waiting(
        [task("a", "a"), *(task(f"b{n}", "b") for n in range(4)), *(task(f"c{n}", "c") for n in "01")]
    )
    assert waiting.take("a", Counter()).kind == "a"
    assert waiting.take("a", Counter()).kind == "b"
    assert waiting.take("a", Counter(b=2)).kind == "c", "three to two workers are less than two to one"
    assert len(waiting) == 4


def test_the_outcome_in_words():
    session = Session(Workers(1, lambda task, _: {"0": "lost", "1": "failed"}.get(task.id, "done")))
    outcome = session.run([task(str(n)) for n in range(3)])
    assert in_words(outcome) == "1 run made, 2 failed, 3 lost with its worker"
