"""`--executor ray` and `--shard`, on a cluster in name only: its workers are in the session's process."""

import re
import sys
from contextlib import contextmanager

import pytest

from medbench.execute import errand, ray_cluster
from medbench.execute.ahead import Done, Failed, Ready, Told
from tests.suites.project import Project

pytest_plugins = ["pytester"]

RUN = re.compile(r"\[(\d+)/(\d+)\] (.*): trains on here/(\d)")


class Here:
    """A pool of workers that take their turns in this process."""

    def __init__(self, terms, size):
        self.size, self.cancelled = size, False
        self._works = {f"here/{n}": errand.Worker(terms) for n in range(1, size + 1)}
        self._news = [Ready(name) for name in self._works]
        self._given = []

    def submit(self, worker, task):
        self._given.append((worker, task))

    def wait(self, timeout):
        if self._news:
            news, self._news = self._news, []
            return news
        (worker, task), told = self._given.pop(0), []
        try:
            self._works[worker](task.content, told.append)
            end = Done(worker)
        except errand.MedbenchError as error:
            end = Failed(worker, str(error))
        return [*(Told(worker, event) for event in told), end]

    def cancel(self):
        self.cancelled = True


@pytest.fixture
def project(pytester, monkeypatch):
    """The small project, with a cluster of two workers; `project.pools` has those that were asked for."""
    project = Project(pytester, monkeypatch)
    project.pools = []

    @contextmanager
    def connected(entry, terms, *, need, at_most, notice):
        assert entry == errand.ENTRY
        notice("cluster: 2 workers here")
        project.pools.append(Here(terms, min(2, at_most)))
        yield project.pools[-1]

    monkeypatch.setenv("MEDBENCH_DEVICE_CLASS", "")  # which a worker sets, here in this process
    monkeypatch.delenv("MEDBENCH_DEVICE_CLASS")
    monkeypatch.setattr(ray_cluster, "connected", connected)
    return project


# Ray


def test_all_runs_are_made_on_the_cluster_before_the_first_item_and_judged_as_always(project):
    alone, _ = project.report()
    runs = project.trained()
    project.forget_runs()
    together, result = project.report("--executor=ray")
    assert sorted(project.trained()[len(runs) :]) == sorted(runs)
    shown = result.stdout.str()
    assert len(RUN.findall(shown)) == 12
    assert {worker for *_, worker in RUN.findall(shown)} == {"1", "2"}
    lines = [
        "plan: 12 runs *",
        "cluster: 2 workers here",
        "*12/12*trains on*",
        "cluster: 12 runs made in *",
        "*100%*",
    ]
    result.stdout.fnmatch_lines(lines)
    assert together["claims"] == alone["claims"]
    assert (
        together["runs"]
        == alone["runs"]
        == {"planned": 12, "executed": 12, "reused": 0, "loaded": 0, "naive": 30}
    )
    assert result.ret == 0


def test_a_cluster_is_asked_for_only_if_there_is_a_run_to_train(project):
    project.run("benchmarks", "--executor=ray", "-k", "chest")
    project.run("benchmarks", "--executor=ray", "-k", "chest")
    project.run("benchmarks", "--executor=ray", "--runs=never")
    project.run("benchmarks", "--executor=ray", "--collect-only")
    (project.suite / "claims/ood.yaml").write_text("claim: [")
    project.run("benchmarks", "--executor=ray")
    assert len(project.pools) == 1


def test_a_run_that_failed_on_the_cluster_is_told_by_its_items_and_not_tried_again(project):
    bad = "chest · bit-small-r14x0.5 · all patients · seed 3"
    project.world(crash=bad)
    result = project.run("benchmarks", "--executor=ray")
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(
        [f"{bad}: failed", "cluster: 11 runs made, 1 failed in *", f"{bad}: training diverged."]
    )
    assert project.trained().count(bad) == 1
    assert len(project.trained()) == 12


def test_an_interrupted_cluster_keeps_what_is_made_and_the_same_command_goes_on(project):
    project.world(interrupt="chest · bit-large-r14x0.5 · all patients · seed 3")
    result = project.run_interrupted("benchmarks", "--executor=ray", "-k", "chest")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert project.pools[0].cancelled
    result.stdout.fnmatch_lines(["interrupted: finished runs are kept in .medbench. *--executor=ray*"])
    made = len(project.trained()) - 1
    project.world()
    result = project.run("benchmarks", "--executor=ray", "-k", "chest")
    result.stdout.fnmatch_lines([f"plan: 6 runs *: {made} reused, {6 - made} to train*"])
    assert len(project.trained()) == 6 + 1
    assert result.ret == 0


def test_a_forced_session_makes_all_on_the_cluster_and_interrupted_it_goes_on(project):
    project.run("benchmarks", "-k", "chest")
    project.world(interrupt="chest · bit-large-r14x0.5 · all patients · seed 3")
    project.run_interrupted("benchmarks", "-k", "chest", "--runs=force", "--executor=ray")
    project.world()
    result = project.run("benchmarks", "-k", "chest", "--runs=force", "--executor=ray")
    assert result.ret == 0
    assert len(project.trained()) == 6 + 6 + 1


def test_a_session_without_ray_installed_says_how_to_install_it(pytester, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = Project(pytester, monkeypatch).run("benchmarks", "--executor=ray")
    result.stderr.fnmatch_lines(
        ["ERROR: --executor ray: Ray is not installed. pip install 'medbench[[]ray]'"]
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR


# Shards


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_the_parts_of_several_machines_are_the_whole_and_are_then_judged(project, executor):
    for number, share in ((1, 3), (2, 3), (3, 2), (4, 2), (5, 2)):
        before = len(project.trained())
        result = project.run("benchmarks", f"--shard={number}/5", f"--executor={executor}")
        assert len(project.trained()) - before == share
        result.stdout.fnmatch_lines(
            [
                f"plan: shard {number} of 5: {share} runs of it, {share} to train here; nothing is judged",
                f"shard {number} of 5: {share} of 12 runs are this machine's: {share} made, 0 not. *",
            ]
        )
        assert " judged: " not in result.stdout.str()
        result.assert_outcomes(skipped=5)
        assert result.ret == 0
    assert len(set(project.trained())) == 12
    report, result = project.report("--runs=never")
    assert result.ret == 0
    assert report["runs"]["reused"] == 12


def test_shares_do_not_depend_on_the_order_or_on_what_is_made_already(project):
    project.run("benchmarks", "--shard=1/2")
    first = set(project.trained())
    project.forget_runs()
    project.run("benchmarks", "-k", "chest")  # of which some runs are its own, others not
    project.run("benchmarks/claims/scale.yaml", "benchmarks/claims/ood.yaml", "--shard=1/2")
    before = project.trained()[len(first) :]
    assert first <= set(before)
    project.run("benchmarks", "--shard=2/2")
    assert len(set(project.trained())) == 12


def test_loaded_runs_are_nobody_s_share(project):
    project.accept()
    project.forget_runs()
    made = len(project.trained())
    for number in (1, 2):
        assert project.run("benchmarks", f"--shard={number}/2").ret == 0
    sentinels = project.trained()[made:]
    assert 0 < len(sentinels) == len(set(sentinels)) < 12
    assert project.run("benchmarks", "--runs=never").ret == 0


def test_of_a_forced_session_all_runs_are_shared_also_those_that_could_be_loaded(project):
    project.accept()
    made = len(project.trained())
    for number in (1, 2):
        assert project.run("benchmarks", f"--shard={number}/2", "--runs=force").ret == 0
    forced = project.trained()[made:]
    assert len(forced) == len(set(forced)) == 12


def test_a_part_is_red_if_a_run_of_it_is_missing_and_goes_on_with_the_same_command(project):
    project.run("benchmarks", "--shard=1/2")
    bad = project.trained()[2]
    project.forget_runs()
    project.world(crash=bad)
    result = project.run("benchmarks", "--shard=1/2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [f"{bad}: training diverged.", "shard 1 of 2: 6 of 12 runs *: 5 made, 1 not.*"]
    )
    project.world()
    result = project.run("benchmarks", "--shard=1/2")
    result.stdout.fnmatch_lines(["shard 1 of 2: 6 of 12 runs *: 6 made, 0 not.*"])
    assert result.ret == 0


def test_workers_of_xdist_make_a_part_together(project):
    result = project.run_apart("benchmarks", "--shard=2/2", "-n2")
    assert result.ret == 0
    assert len(project.trained()) == len(set(project.trained())) == 6
    result.stdout.fnmatch_lines(["shard 2 of 2: 6 of 12 runs *: 6 made, 0 not.*"])


def test_a_part_says_nothing_of_accepted_items_and_lets_no_test_look_at_runs(project):
    project.accept()
    (project.suite / "claims/ood.yaml").unlink()
    (project.suite / "test_own.py").write_text(
        "def test_own(study):\n    study.run(task='chest', backbone='bit-small-r14x0.5', seed=1)\n"
    )
    result = project.run("benchmarks", "--shard=1/1")
    result.assert_outcomes(skipped=3)
    assert result.ret == 0


def test_a_part_of_nothing_is_red_as_any_session_that_judges_nothing(project):
    assert project.run("benchmarks", "--shard=1/2", "-k", "nothing").ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard=0/5"], "*expected I/N with I from 1 to N*"),
        (["--shard=6/5"], "*expected I/N*"),
        (["--shard=a/b"], "*expected I/N*"),
        (["--shard=2"], "*expected I/N*"),
        (["--shard=-1/5"], "*expected I/N*"),
        (["--shard=1/2", "--runs=never"], "*--runs=never makes none*"),
        (["--shard=1/2", "--report=out"], "*nothing for --report*"),
        (["--shard=1/2", "--expect=update", "--reason=x"], "*nothing for --expect*"),
        (["--executor=ray", "-n2"], "*--executor=ray and -n exclude each other*"),
        (["--per-run=2"], "*--per-run is for --executor=ray*"),
        (["--executor=ray", "--per-run=0"], "*--per-run 0: expected more than 0*"),
        (["--executor=ray", "--per-run=nan"], "*--per-run nan: expected more than 0*"),
        (["--executor=ray", "--per-run=inf"], "*--per-run inf: expected more than 0*"),
        (["--executor=ray", "--per-run=1.5"], "*--per-run 1.5: expected a whole number of cores*"),
        (["--executor=spark"], "*invalid choice*"),
        (["--store="], "*found nothing. Is a variable not set*"),
    ],
)
def test_what_excludes_each_other_or_means_nothing_is_a_mistake_of_usage(project, options, message):
    result = project.run("benchmarks", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any(re.search(message.strip("*"), line) for line in result.errlines), result.errlines
    assert not project.trained()


def test_options_are_told_by_help(project):
    result = project.run("--help")
    result.stdout.fnmatch_lines(["*--executor={local,ray}", "*--per-run=N*", "*--shard=I/N*"])
