import argparse
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from medbench import nights
from medbench.difference import Comparison, Difference, State, Suspect
from medbench.errors import MedbenchError
from medbench.nightly_cli import pytest_command, run
from medbench.nights import Settings, Told

EVENING = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)


def finished(out, settings=Settings(), now=EVENING, status=0):  # noqa: B008  a record that nobody changes
    night = nights.begin(out, settings, now)
    night.report.mkdir(exist_ok=True)
    (night.report / "report.json").write_text("{}")
    return night.ended(status, now)


# Settings


def test_settings_come_from_the_environment_and_empty_ones_are_defaults():
    settings = nights.settings_of({"MEDBENCH_TIER": "public", "MEDBENCH_SELECT": " ", "HOME": "/root"})
    assert (settings.tier, settings.select, settings.policy) == ("public", "", "drift")
    assert nights.settings_of({"MEDBENCH_POLICY": " "}).policy == "drift"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("POLICY", "loud"),
        ("RUNS", "all"),
        ("SHARD", "2 of 3"),
        ("SHARD", "0/3"),
        ("WORKERS", "two"),
        ("WORKERS", "99999999999999"),
        ("DOCTOR", "no"),
    ],
)
def test_a_value_that_is_none_of_those_expected_is_named_with_what_is(variable, value):
    with pytest.raises(MedbenchError, match=f"MEDBENCH_{variable}: `{value}` is not as expected: "):
        nights.settings_of({f"MEDBENCH_{variable}": value})


def test_a_misspelt_setting_is_refused_and_variables_of_other_rooms_are_not():
    with pytest.raises(MedbenchError, match="Did you mean `MEDBENCH_SELECT`"):
        nights.settings_of({"MEDBENCH_SELCT": "chest"})
    nights.settings_of({f"MEDBENCH_{name}": "x" for name in nights.OTHERS})


def test_whatever_is_selected_reaches_pytest_as_one_word(tmp_path):
    hostile = "chest and not 'a b'; rm -rf $HOME"
    settings = Settings(select=hostile, out=str(tmp_path), pytest="--maxfail 3 -p 'no:a b'")
    command = pytest_command(nights.begin(tmp_path, settings, EVENING), None)
    assert command[command.index("-k") + 1] == hostile
    assert command[-4:] == ["--maxfail", "3", "-p", "no:a b"]
    assert "--against" not in command, "there is no earlier report"


def test_a_part_of_several_machines_makes_and_reports_nothing(tmp_path):
    command = pytest_command(nights.begin(tmp_path, Settings(shard="2/3"), EVENING), tmp_path)
    assert "--shard" in command
    assert not {"--report", "--candidates", "--history", "--against"} & set(command)


@pytest.mark.parametrize(
    "own", ["--expect=update", "--report elsewhere", "-x -k chest", "-kchest", "--history=h", "--against=x"]
)
def test_what_a_night_sets_itself_or_must_not_do_is_refused_before_anything_is_made(
    own, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDBENCH_PYTEST", own)
    with pytest.raises(MedbenchError, match=r"MEDBENCH_PYTEST: -.*: not for a night"):
        run(argparse.Namespace())
    assert list(tmp_path.iterdir()) == []


def test_options_of_pytest_that_are_not_quoted_are_one_message(tmp_path):
    night = nights.begin(tmp_path, Settings(pytest="-k 'chest"), EVENING)
    with pytest.raises(MedbenchError, match=r"MEDBENCH_PYTEST: .* is not quoted"):
        pytest_command(night, None)


# Which night


def test_the_first_night_has_the_days_name_and_nothing_to_compare_with(tmp_path):
    night = nights.begin(tmp_path, Settings(), EVENING)
    assert night.folder.name == "2026-11-23"
    assert night.previous is None


def test_a_finished_night_is_not_written_to_and_the_next_of_the_day_is_numbered(tmp_path):
    names = [finished(tmp_path).folder.name for _ in range(11)]
    assert names[:3] == ["2026-11-23", "2026-11-23-2", "2026-11-23-3"]
    assert [night.folder.name for night in nights.nights(tmp_path)] == names, "10 comes after 9"


def test_a_night_is_compared_with_the_last_finished_one(tmp_path):
    first = finished(tmp_path)
    second = nights.begin(tmp_path, Settings(), EVENING + timedelta(days=1))
    assert second.previous == first.report
    third = nights.begin(tmp_path, Settings(), EVENING + timedelta(days=4))
    assert third.previous == first.report, "the second one came to no end"


def test_of_several_finished_nights_the_latest_is_compared_with_also_by_a_night_that_is_continued(tmp_path):
    finished(tmp_path)
    later = finished(tmp_path, now=EVENING + timedelta(days=1))
    begun = nights.begin(tmp_path, Settings(), EVENING + timedelta(days=2))
    assert begun.previous == later.report
    (later.report / "report.json").unlink()
    again = nights.begin(tmp_path, Settings(), EVENING + timedelta(days=2))
    assert again.folder == begun.folder
    assert again.previous == tmp_path / "2026-11-23" / "report", "what is gone cannot be compared with"


def test_a_night_without_an_end_is_not_compared_with_though_it_has_a_report(tmp_path):
    died = nights.begin(tmp_path, Settings(), EVENING)
    died.report.mkdir()
    (died.report / "report.json").write_text("{}")
    again = nights.begin(tmp_path, Settings(), EVENING)
    assert again.folder == died.folder
    assert again.previous is None, "nor with itself"
    assert nights.begin(tmp_path, Settings(), EVENING + timedelta(days=3)).previous is None


def test_a_night_whose_report_was_never_written_is_not_compared_with(tmp_path):
    nights.begin(tmp_path, Settings(), EVENING).ended(0, EVENING)
    assert nights.begin(tmp_path, Settings(), EVENING).previous is None


def test_the_last_night_of_its_scope_goes_on_whatever_came_between(tmp_path):
    for changes in ({}, {"select": "chest"}):
        nights.begin(tmp_path, Settings(**changes), EVENING)
    assert nights.begin(tmp_path, Settings(select="chest"), EVENING).folder.name == "2026-11-23-2"
    assert nights.begin(tmp_path, Settings(), EVENING).folder.name == "2026-11-23"


def test_a_night_before_the_last_of_its_scope_does_not_go_on(tmp_path):
    nights.begin(tmp_path, Settings(), EVENING)
    shutil.copytree(finished(tmp_path, now=EVENING + timedelta(days=1)).folder, tmp_path / "2026-11-25")
    assert nights.begin(tmp_path, Settings(), EVENING + timedelta(days=2)).folder.name == "2026-11-25-2"


def test_a_night_of_a_clock_that_was_ahead_is_neither_continued_nor_compared_with(tmp_path):
    first = finished(tmp_path)
    finished(tmp_path, now=EVENING + timedelta(days=400))
    begun = nights.begin(tmp_path, Settings(), EVENING)
    assert begun.previous == first.report
    assert nights.begin(tmp_path, Settings(), EVENING).folder == begun.folder


def test_a_night_that_judged_nothing_is_not_compared_with(tmp_path):
    first = finished(tmp_path)
    ruined = finished(tmp_path)
    (ruined.report / "report.json").write_text('{"counts": {"judged": 0}}')
    assert nights.begin(tmp_path, Settings(), EVENING).previous == first.report


def test_a_night_that_was_killed_while_its_state_was_written_has_the_state_before(tmp_path, monkeypatch):
    """Ended but for the last step, which is the renaming: it goes on, and is not taken for finished."""
    night = nights.begin(tmp_path, Settings(), EVENING)

    def killed(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            night.ended(0, EVENING)
    again = nights.begin(tmp_path, Settings(), EVENING)
    assert (again.folder, again.state.attempts) == (night.folder, 2)


def test_a_night_killed_before_its_first_state_was_written_is_left_and_numbered_around(tmp_path):
    (tmp_path / "2026-11-23").mkdir()
    (tmp_path / "2026-11-23" / ".night.json.host-1.partial").write_text('{"set')
    assert nights.begin(tmp_path, Settings(), EVENING).folder.name == "2026-11-23-2"


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "nights").write_text("")
    with pytest.raises(MedbenchError, match=r"the night cannot be written .* by MEDBENCH_OUT\."):
        nights.begin(tmp_path / "nights", Settings(), EVENING)


@pytest.mark.parametrize("field", ["tier", "suite", "select", "cohort", "expectations", "shard", "pytest"])
def test_a_night_about_something_else_is_neither_compared_with_nor_continued(tmp_path, field):
    other = Settings(**{field: "1/2"})
    first = finished(tmp_path)
    night = nights.begin(tmp_path, other, EVENING)
    assert night.previous is None
    again = nights.begin(tmp_path, Settings(), EVENING)
    assert again.folder.name == "2026-11-23-3"
    assert again.previous == first.report


def test_a_night_that_died_is_continued_the_next_day_too(tmp_path):
    died = nights.begin(tmp_path, Settings(), EVENING)
    again = nights.begin(tmp_path, Settings(policy="worse"), EVENING + timedelta(hours=11))
    assert again.folder == died.folder
    assert again.state.attempts == 2
    assert again.state.settings.policy == "worse"


def test_an_old_night_that_died_is_left_and_a_new_one_begun(tmp_path):
    nights.begin(tmp_path, Settings(), EVENING)
    assert nights.begin(tmp_path, Settings(), EVENING + timedelta(days=2)).folder.name == "2026-11-25"


NAIVE = b'{"settings": {}, "began": "2026-11-23T22:00:00", "attempts": 1}'
"""A time of which nobody knows the zone."""


@pytest.mark.parametrize("left", [b'{"settings": {"ti', b"", b'{"settings": {"tier": "\xff"}}', b"{}", NAIVE])
def test_a_torn_state_is_passed_over_and_its_folder_left_alone(tmp_path, left):
    torn = finished(tmp_path).folder / nights.STATE
    torn.write_bytes(left)
    night = nights.begin(tmp_path, Settings(), EVENING)
    assert night.folder.name == "2026-11-23-2"
    assert night.previous is None
    assert torn.read_bytes() == left
    assert nights.unreadable(tmp_path) == [torn]


def test_other_files_in_the_folder_are_no_nights(tmp_path):
    for name in ("history", "notes", "2026-11-23-old"):
        (tmp_path / name).mkdir()
    assert nights.nights(tmp_path) == []
    assert nights.begin(tmp_path, Settings(), EVENING).folder.name == "2026-11-23"


def test_the_state_is_readable_by_a_person(tmp_path):
    night = finished(tmp_path, status=1)
    state = json.loads((night.folder / nights.STATE).read_text())
    assert (state["began"], state["status"]) == ("2026-11-23T22:00:00+00:00", 1)


# What it comes to


@pytest.mark.parametrize(
    ("policy", "pytest_", "worse", "unmeasured", "red"),
    [
        ("drift", 0, True, False, False),
        ("drift", 1, False, False, True),
        ("worse", 0, True, False, True),
        ("worse", 0, False, False, False),
        ("worse", 1, False, False, True),
        ("report-only", 1, True, False, False),
        ("report-only", 1, False, True, True),
    ],
)
def test_what_is_red_is_a_matter_of_policy(policy, pytest_, worse, unmeasured, red):
    assert nights.is_red(policy, pytest=pytest_, worse=worse, unmeasured=unmeasured) == red


@pytest.mark.parametrize(
    ("state", "worse"),
    [("worse", True), ("vanished", True), ("not-comparable", False), ("better", False), ("new", False)],
)
def test_a_night_is_worse_where_something_is_or_has_vanished(state, worse):
    counts = dict.fromkeys(get_args(State), 0) | {state: 1}
    found = Comparison(before="a", after="b", differences=[], suspects=[], counts=counts)
    assert nights.is_worse(night_after("2026-11-22"), found) == worse


def test_without_a_comparison_a_night_is_worse_only_if_there_was_one_to_compare_with():
    assert nights.is_worse(night_after("2026-11-22"), None)
    assert not nights.is_worse(night_after(""), None)


def night_after(previous):
    state = nights.State(settings=nights.Settings(), began="", attempts=1, previous=previous)
    return nights.Night(Path("nights/2026-11-23"), state)


def told(**changes):
    counts = {"judged": 3, "supported": 2, "refuted": 1, "inconclusive": 0}
    fields = {"generated": False, "counts": counts, "claims": [], "expectations": [], "errors": []}
    return msgspec.convert(fields | changes, Told)


def test_red_items_are_named_with_the_reason_of_the_first():
    claims = [
        {"id": "chest/a/id", "red": True, "sentence": "drifted"},
        {"id": "chest/b/id", "red": False, "sentence": ""},
    ]
    gone = [{"id": "chest/c/id", "status": "vanished", "detail": "no longer declared"}]
    line = nights.judged_line(told(claims=claims, expectations=gone, errors=[{"id": "d", "message": "m"}]))
    assert line == (
        "3 judged: 2 supported, 1 refuted, 0 inconclusive; 3 red: chest/a/id (drifted) and chest/c/id, d"
    )


def test_what_vanished_is_counted_once_and_what_is_only_new_is_not_red():
    claims = [{"id": "chest/a/id", "red": True, "sentence": "vanished: seeds are gone"}]
    checks = [
        {"id": "chest/a/id", "status": "vanished", "detail": "seeds are gone"},
        {"id": "chest/b/id", "status": "new", "detail": ""},
    ]
    line = nights.judged_line(told(claims=claims, expectations=checks))
    assert line.endswith("1 red: chest/a/id (vanished: seeds are gone)")


def test_generated_images_are_marked():
    assert nights.judged_line(told(generated=True)).endswith("· generated images")


def test_what_a_terminal_obeys_is_shown_and_not_sent():
    claims = [{"id": "a", "red": True, "sentence": "sex \x1b[2J\nis gone"}]
    line = nights.judged_line(told(claims=claims))
    assert "\x1b" not in line
    assert "\n" not in line


def comparison(state, **changes):
    jax = Suspect(kind="library", name="jax", before="0.10.2", after="0.11.0")
    difference = Difference(id="chest/a/id", state=state, sentence="treatment lost .02", **changes)
    return Comparison(
        before="", after="", differences=[difference], suspects=[jax], counts={state: 1, "unchanged": 4}
    )


def test_the_line_about_the_night_before_names_what_is_worse_and_what_differs(tmp_path):
    finished(tmp_path)
    night = nights.begin(tmp_path, Settings(), EVENING)
    net = Suspect(kind="arms", name="treatment", before="a", after="b")
    assert nights.since_line(night, comparison("worse", suspects=[net])) == (
        "since 2026-11-23: 1 worse, 4 unchanged; chest/a/id: treatment lost .02; what differs: jax 0.10.2 → "
        "0.11.0, treatment a → b"
    )
    assert "treatment lost" not in nights.since_line(night, comparison("insignificant"))
    assert "treatment lost" in nights.since_line(night, comparison("vanished"))
    none_of_it = comparison("better")
    none_of_it.counts["new"] = 0
    assert nights.since_line(night, none_of_it).startswith("since 2026-11-23: 1 better, 4 unchanged; what")
    assert nights.since_line(night, None).endswith("could not be compared")
