import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from medbench.judgement import Check
from medbench.report.record import ItemResult, Report, merge_runs, to_json
from tests.report.records import DRIFT, report, result, run


def test_what_is_red_comes_first_then_what_moved():
    stale = Check(id="chest/scale-data/b", status="stale")
    made = report(
        result("chest/scale-data/a"),
        result("chest/scale-data/b", check=stale),
        result("chest/scale-data/c", category="failed", red=True, verdict="refuted"),
    )
    assert [claim.id[-1] for claim in made.claims] == ["c", "b", "a"]


def test_every_item_is_counted_once_by_what_became_of_it():
    made = report(
        result("chest/a/id"),
        result("chest/b/id", verdict="refuted", category="failed", red=True),
        result("chest/c/id", verdict="inconclusive", category="inconclusive"),
        result("chest/d/id", state="missing", verdict=None, effect=None, category="inconclusive"),
        result("chest/e/id", state="not-run", verdict=None, effect=None, category="not-run"),
        ItemResult(id="chest/f/id", category="error", red=True, sentence="no weights"),
        ItemResult(
            id="chest/g/id",
            category="failed",
            red=True,
            sentence="gone",
            check=Check(id="chest/g/id", status="vanished"),
        ),
    )
    counts = made.counts
    assert counts["items"] == 7
    assert counts["judged"] == counts["supported"] + counts["refuted"] + counts["inconclusive"] == 3
    assert (counts["missing"], counts["not-run"], counts["errors"], counts["vanished"]) == (1, 1, 1, 1)
    assert counts["red"] == 3
    assert [error.message for error in made.errors] == ["no weights"]


def test_a_run_that_one_worker_trained_and_another_reused_was_trained():
    for runs in ([run(1, "reused"), run(1, "trained")], [run(1, "trained"), run(1, "reused")]):
        assert [merged.origin for merged in merge_runs(runs)] == ["trained"]
    made = report(
        result("chest/a/id", runs=[run(1, "trained"), run(2, "loaded")]),
        result("chest/b/id", runs=[run(1, "reused"), run(3, "reused")]),
    )
    runs = made.runs
    assert (runs.planned, runs.executed, runs.reused, runs.loaded, runs.naive) == (4, 1, 1, 1, 8)


def test_json_reads_back_and_has_null_for_what_is_undefined():
    made = report(result(state="missing", verdict=None, effect=None, power=None, reason="one class"))
    text = to_json(made)
    plain = json.loads(text)
    assert plain["claims"][0]["effect"] is None
    assert plain["claims"][0]["reason"] == "one class"
    assert msgspec.json.decode(text, type=Report) == made


@given(value=st.floats(allow_nan=True, allow_infinity=True))
def test_json_never_holds_what_json_does_not_know(value):
    def refuse(constant):
        raise AssertionError(f"{constant} in JSON")

    json.loads(to_json(report(result(power=value))), parse_constant=refuse)


def test_generated_images_mark_the_whole_report():
    assert report(result(generated=True)).generated
    assert not report(result(generated=False)).generated


def test_expectation_rows_keep_their_fields_in_order():
    names = list(json.loads(to_json(report(result(check=DRIFT))))["expectations"][0])
    assert names[:6] == ["id", "status", "check", "expected", "measured", "band"]
