"""A night killed at each of its stages, and continued. Steps are stand-ins; `test_nightly` has real ones."""

import json
import signal
from pathlib import Path

import pytest

from medbench import cli, nightly_cli
from medbench.candidates import CHANGES
from medbench.nights import Night

GREEN, RED, UNDONE, BUSY = 0, 1, 2, 3
STAGES = ["doctor", "pytest", "report", "candidates", "diff", "summary", "end"]
"""Before each of which a night may be killed."""
SINCE = {
    "before": "a",
    "after": "b",
    "differences": [],
    "suspects": [],
    "counts": {"worse": 0, "vanished": 0},
}
REPORT = {
    "generated": False,
    "counts": {"judged": 1, "supported": 1, "refuted": 0, "inconclusive": 0},
    "claims": [],
    "expectations": [],
    "errors": [],
    "since": SINCE,
}


class Killed(BaseException):
    """As SIGKILL: nothing that a night would do at its end is done."""


class Nightly:
    """`medbench nightly` whose doctor and pytest are stand-ins that write what those write.

    Attributes:
      dies: the stage before which the night is killed.
      statuses: with which the steps end.
      reports: whether pytest comes to a report.
      asked: the commands of all steps that were begun.
    """

    def __init__(self, monkeypatch):
        self.dies = ""
        self.statuses = {"doctor": 0, "pytest": 0}
        self.reports = True
        self.asked = []
        monkeypatch.setattr(nightly_cli, "_step", self._step)
        for name, stage in (("_keep", "diff"), ("_say", "summary")):
            monkeypatch.setattr(nightly_cli, name, self._before(stage, getattr(nightly_cli, name)))
        monkeypatch.setattr(Night, "ended", self._before("end", Night.ended))

    def _reach(self, stage):
        if self.dies == stage:
            raise Killed

    def _before(self, stage, real):
        def wrapped(*arguments):
            self._reach(stage)
            return real(*arguments)

        return wrapped

    def _step(self, command, log, lock):
        step = "doctor" if "doctor" in command else "pytest"
        self._reach(step)
        self.asked.append(command)
        if step == "pytest":
            self._reach("report")
            if self.reports:
                report = Path(command[command.index("--report") + 1])
                report.mkdir(exist_ok=True)
                (report / "report.json").write_text(json.dumps(REPORT))
            self._reach("candidates")
            changes = Path(command[command.index("--candidates") + 1]) / CHANGES
            changes.parent.mkdir(exist_ok=True)
            changes.write_text("")
        return self.statuses[step]

    def night(self):
        return cli.main(["nightly"])

    def killed(self, stage):
        self.dies = stage
        with pytest.raises(Killed):
            self.night()
        self.dies = ""


@pytest.fixture
def nightly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield Nightly(monkeypatch)
    signal.signal(signal.SIGTERM, before)


def folders():
    return sorted(path for path in Path("nights").glob("2*"))


def state(folder):
    return json.loads((folder / "night.json").read_text())


@pytest.mark.parametrize("stage", STAGES)
def test_a_night_killed_at_any_stage_is_unfinished_and_the_same_command_ends_it(nightly, stage):
    nightly.killed(stage)
    (folder,) = folders()
    assert (state(folder)["finished"], state(folder)["status"]) == ("", None)
    assert nightly.night() == GREEN
    assert folders() == [folder]
    assert (state(folder)["attempts"], state(folder)["status"]) == (2, GREEN)
    assert state(folder)["finished"]
    assert (
        (folder / "summary.txt")
        .read_text()
        .startswith(f"night {folder.name}, embedded tier: green; 1 judged")
    )
    assert (folder / "diff.json").is_file()
    assert not list(folder.rglob("*.partial"))


@pytest.mark.parametrize("stage", ["candidates", "diff", "summary", "end"])
def test_a_report_of_an_earlier_start_is_not_taken_for_that_of_this_one(nightly, stage):
    nightly.killed(stage)
    nightly.reports = False
    nightly.statuses["pytest"] = 1
    assert nightly.night() == UNDONE
    assert "pytest came to no report, with exit status 1" in (folders()[0] / "summary.txt").read_text()
    assert state(folders()[0])["finished"] == ""


@pytest.mark.parametrize("stage", ["end", "diff"])
def test_a_night_that_was_killed_is_not_what_the_next_is_compared_with(nightly, monkeypatch, stage):
    assert nightly.night() == GREEN
    nightly.killed(stage)
    monkeypatch.setenv("MEDBENCH_SELECT", "chest")
    nightly.night()
    monkeypatch.delenv("MEDBENCH_SELECT")
    nightly.night()
    assert [state(folder)["previous"] for folder in folders()] == [
        "",
        folders()[0].name,
        "",
    ], "the killed one went on, and was held against the one before it"


@pytest.mark.parametrize(
    ("doctor", "pytest_", "status", "finished"),
    [
        (1, 0, UNDONE, False),
        (0, 0, GREEN, True),
        (0, 1, RED, True),
        (0, 2, UNDONE, False),
        (0, -9, UNDONE, False),
    ],
)
def test_how_a_night_ends_follows_from_its_steps(nightly, doctor, pytest_, status, finished):
    nightly.statuses = {"doctor": doctor, "pytest": pytest_}
    assert nightly.night() == status
    assert bool(state(folders()[0])["finished"]) == finished
    assert len(nightly.asked) == (1 if doctor else 2)


def test_a_night_that_may_go_on_does_so_whatever_the_doctor_found(nightly, monkeypatch):
    monkeypatch.setenv("MEDBENCH_DOCTOR", "go-on")
    nightly.statuses["doctor"] = 1
    assert nightly.night() == GREEN


def test_a_part_that_pytest_did_not_make_whole_is_not_done(nightly, monkeypatch):
    monkeypatch.setenv("MEDBENCH_SHARD", "1/2")
    monkeypatch.setattr(nightly_cli, "_step", lambda command, log, lock: "pytest" in command)
    assert nightly.night() == UNDONE
    assert "part 1/2 was not made whole" in (folders()[0] / "summary.txt").read_text()


def test_settings_reach_the_doctor_and_pytest(nightly, monkeypatch):
    given = {
        "TIER": "public",
        "SUITE": "claims",
        "STORE": "s",
        "COHORT": "c",
        "RUNS": "force",
        "WORKERS": "2",
    }
    for name, value in (given | {"EXPECTATIONS": "e", "HISTORY": "h", "OUT": "n"}).items():
        monkeypatch.setenv(f"MEDBENCH_{name}", value)
    nightly.night()
    doctor, tested = nightly.asked

    def option(command, name):
        return command[command.index(name) + 1]

    assert [option(doctor, f"--{name}") for name in ("tier", "suite", "store", "cohort")] == [
        "public",
        "claims",
        "s",
        "c",
    ]
    assert "claims" in tested
    options = ("--tier", "--store", "--cohort", "--runs", "-n", "--expectations", "--history")
    assert [option(tested, name) for name in options] == ["public", "s", "c", "force", "2", "e", "h"]
    assert option(tested, "--report").startswith("n/2")


def test_the_history_of_nights_is_beside_them_where_none_is_named(nightly):
    nightly.night()
    command = nightly.asked[1]
    assert command[command.index("--history") + 1] == "nights/history"


def test_a_diff_too_large_to_be_shown_is_said_to_be(nightly, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    (tmp_path / "step.md").write_text("of another step\n")
    monkeypatch.setattr(nightly_cli, "MOST_SHOWN", 3)
    nightly.night()
    shown = (tmp_path / "step.md").read_text()
    assert shown.startswith("of another step\n```text\nnight ")
    assert "The diff is too large to be shown here" in shown


def test_nights_that_cannot_be_kept_are_one_message(nightly, capsys):
    Path("nights").write_text("")
    assert nightly.night() == UNDONE
    assert "nights: nights cannot be kept here (" in capsys.readouterr().err


def test_a_night_is_given_the_report_before_and_names_the_files_that_there_are(nightly, monkeypatch):
    monkeypatch.setattr(nightly_cli, "load_report", lambda folder: None)
    nightly.night()
    nightly.night()
    first, second = folders()
    assert "--against" not in nightly.asked[1]
    command = nightly.asked[3]
    assert command[command.index("--against") + 1] == str(first / "report")
    assert (second / "summary.txt").read_text().splitlines()[-1] == (
        f"report: {second}/diff.md · {second}/candidate/{CHANGES}"
    ), "the stand-in writes no report.html"


def test_a_night_that_goes_on_says_so(nightly, capsys):
    nightly.killed("pytest")
    nightly.night()
    assert f"night {folders()[0].name} goes on, start 2." in capsys.readouterr().out
