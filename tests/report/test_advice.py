"""What a person is told to do, by what has moved."""

import msgspec
import pytest

from medbench.judgement import Check
from medbench.report.advice import advice, basis, headline
from tests.report.records import DRIFT, report, result, run, sample

ITEM = "chest/scale-data/id"


def moved(status, **changes):
    check = Check(id=ITEM, status=status, detail="so and so")
    return report(result(check=check, category="failed", red=True), **changes)


def texts(made):
    return [each.text for each in advice(made)]


def test_how_much_was_measured_is_said_where_something_was_loaded():
    assert basis(report(result(runs=[run(1)]))) == ""
    said = basis(report(result(runs=[run(1), run(2, "reused"), run(3, "loaded"), run(4, "loaded")])))
    assert said.startswith("2 of 4 runs were made by the present code; the rest are accepted runs, loaded")


def test_where_nothing_moved_there_is_nothing_to_do():
    quiet = report(result())
    assert headline(quiet).text == "Quiet: nothing moved"
    assert advice(quiet) == []


def test_a_drift_is_looked_at_accepted_by_a_command_or_undone_by_what_differs():
    look, accept, undo = advice(sample())
    assert look.text == f"Look at {ITEM}: which arm moved, and by how much."
    assert accept.command == f'pytest benchmarks -k {ITEM} --runs=force --expect=update --reason "…"'
    assert "undo jax 0.10.2 → 0.11.0, and" in undo.text


def test_what_drifted_and_did_not_move_since_the_night_before_is_sought_in_what_was_accepted():
    made = sample()
    (before,) = made.since.differences
    unchanged = msgspec.structs.replace(before, state="unchanged")
    since = msgspec.structs.replace(made.since, differences=[unchanged])
    _, still, accept = advice(msgspec.structs.replace(made, since=since))
    assert still.text.startswith(f"{ITEM} did not move since report of 2026-11-30")
    assert still.command == "git log -p -- expectations"
    assert accept.command


def test_without_an_earlier_report_nobody_is_suspected():
    assert "undo what changed, and" in texts(report(result(check=DRIFT, category="failed", red=True)))[-1]


def test_what_vanished_is_looked_for_and_no_command_accepts_it_unseen():
    [gone] = advice(moved("vanished"))
    assert gone.text.startswith(f"Look for what vanished of {ITEM}")
    assert "expectations/embedded/items.yaml" in gone.text
    assert not gone.command


def test_a_changed_definition_is_accepted_anew_in_the_tier_it_is_of():
    [stale] = advice(moved("stale", tier="public"))
    assert stale.command.startswith("pytest benchmarks --tier public -k")


@pytest.mark.parametrize(("items", "named"), [(2, "a/b/0 or a/b/1"), (30, "a/b")])
def test_many_items_are_accepted_by_their_claims(items, named):
    checks = [msgspec.structs.replace(DRIFT, id=f"a/b/{i}") for i in range(items)]
    results = [result(check.id, check=check, category="failed", red=True) for check in checks]
    accept = next(each.command for each in advice(report(*results)) if each.command)
    assert f"-k '{named}'" in accept or f"-k {named} " in accept


def test_a_claim_that_fails_with_nothing_accepted_sends_to_the_evidence():
    [failed] = texts(report(result(category="failed", red=True)))
    assert failed == f"{ITEM} failed and nothing comparable was accepted: read the evidence."
