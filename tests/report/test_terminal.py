import re

from medbench.judgement import Check, Interval, Settle
from medbench.report import terminal
from medbench.report.record import Asked, ItemResult
from medbench.synthesis import Conclusion, PropertyVerdict
from tests.report.records import DRIFT, report, result, run


def text(made):
    return "\n".join(line.text for line in terminal.summary(made))


def test_a_row_has_task_claim_set_effect_margin_verdict_expectation_and_drift():
    check = Check(id="chest/scale-data/id", status="ok", check="numeric@1", accepted_verdict="supported")
    shown = text(report(result(check=check)))
    row = next(line for line in shown.splitlines() if line.startswith("chest"))
    assert re.split(r" {2,}", row) == [
        "chest",
        "scale-data",
        "id",
        "+0.021",
        "[+0.008, +0.034]",
        "0.005",
        "supported",
        "supported",
        "unchanged (numeric@1)",
    ]


def test_columns_stand_below_their_headings():
    lines = text(report(result(), result("mammography/ood-robustness/vendor-b"))).splitlines()
    column = lines[0].index("verdict")
    assert [line[column:].startswith("supported") for line in lines[1:3]] == [True, True]


def test_drift_shows_value_band_and_rule():
    shown = text(report(result(check=DRIFT, category="failed", red=True)))
    assert "drifted: baseline, seed 1 0.8200, accepted 0.8100 [0.8097, 0.8103] (numeric@1)" in shown


def test_an_undefined_effect_is_a_dash_with_its_reason():
    made = report(
        result(
            state="missing", verdict=None, effect=None, reason="no positive patient", category="inconclusive"
        )
    )
    shown = text(made)
    assert " –  " in shown
    assert "no positive patient" in shown
    assert "1 missing" in shown


def test_notes_say_what_would_settle_it_and_what_to_doubt():
    made = report(
        result(
            verdict="inconclusive",
            category="inconclusive",
            settle=Settle(patients=2.1, seeds=None),
            note="clearly positive, but the margin is open",
            undefined_replicates=7,
            cluster="study",
            metric="ece/equal-width-15@1",
            certified=False,
        )
    )
    shown = text(made)
    assert "not certified for such data: intervals of ece/equal-width-15@1 (docs/gate.md)" in shown
    assert "clearly positive, but the margin is open" in shown
    assert "7 of 1000 bootstrap replicates were undefined" in shown
    assert "clustered by `study`" in shown


def test_a_note_is_not_said_twice():
    made = report(result(category="failed", red=True, note="supported; why"))
    assert text(made).count("supported; why") == 1


def test_the_closing_line_tells_accepted_refutations_apart():
    interval = Interval(value=-0.1, low=-0.2, high=-0.05)
    as_accepted = result(
        "chest/a/id", verdict="refuted", effect=interval, category="refuted-as-accepted", red=False
    )
    failed = result("chest/b/id", verdict="refuted", effect=interval, category="failed", red=True)
    assert "1 refuted (as accepted)," in terminal.closing(report(as_accepted))
    assert "2 refuted (1 as accepted)," in terminal.closing(report(as_accepted, failed))
    assert "1 refuted," in terminal.closing(report(failed))


def test_the_closing_line_counts_verdicts_that_changed():
    def accepted(name, before, now, status="ok"):
        item = f"chest/{name}/id"
        return result(item, verdict=now, check=Check(id=item, status=status, accepted_verdict=before))

    same = accepted("a", "supported", "supported")
    weaker = accepted("b", "supported", "inconclusive")
    turned = accepted("c", "refuted", "supported", "verdict-changed")
    drifted = accepted("d", "inconclusive", "refuted", "drifted")
    stale = accepted("e", "supported", "refuted", "stale")
    new = accepted("f", None, "refuted", "no-expectation")
    gone = Check(id="chest/g/id", status="vanished", accepted_verdict="supported")
    vanished = ItemResult(id=gone.id, category="failed", red=True, sentence="", check=gone)
    undefined = result(gone.id, state="missing", verdict=None, effect=None, check=gone)
    quiet = (same, stale, new)
    assert terminal.closing(report(*quiet)).endswith(" · 0 drifted · 1 stale")
    assert terminal.closing(report(*quiet, weaker)).endswith("0 drifted · 1 verdict changed · 1 stale")
    assert "1 drifted · 3 verdicts changed" in terminal.closing(report(*quiet, weaker, turned, drifted))
    assert "verdict changed" not in terminal.closing(report(vanished))
    assert "verdict changed" not in terminal.closing(report(undefined))


def test_what_could_not_be_compared_is_not_called_unchanged():
    check = Check(id="chest/scale-data/id", status="not-compared", accepted_verdict="supported")
    measured = {"baseline": [1, 2], "treatment": [1, 2]}
    assert "nothing comparable" in text(report(result(check=check, trained=measured)))
    assert "unchanged" not in text(report(result(check=check, trained=measured)))


def test_provenance_counts_runs_and_marks_generated_images():
    made = report(result(runs=[run(1), run(2, "reused"), run(3, "loaded")]))
    line = terminal.provenance(made)
    assert line.startswith("runs: 1 trained, 1 reused, 1 loaded, 1 not made; without sharing")
    assert "phantoms, not of patients" in line
    assert "phantoms" not in terminal.provenance(report(result(generated=False)))


def test_warnings_and_scope_are_shown():
    shown = text(report(result(), scope="only these", warnings=["folder:mine: patients are not known"]))
    assert "only these" in shown
    assert "warning: folder:mine: patients are not known" in shown


def test_what_is_red_is_marked():
    lines = terminal.summary(report(result(category="failed", red=True)))
    marks = {line.text.split("  ")[0]: line.markup for line in lines}
    assert marks["chest"] == {"red": True}
    assert lines[-1].markup == {"red": True}


def test_what_was_asked_is_counted_and_what_has_no_item_is_named_with_the_reason():
    def asked(claim, task, sets=(), attributes=(), why=""):
        ids = [f"{task}/{claim}/{name}" for name in sets]
        return Asked(
            claim=claim,
            task=task,
            evaluation_sets=list(sets),
            attributes=list(attributes),
            items=ids,
            why_none=why,
        )

    shown = report(
        result("chest/scale-data/id"),
        asked=[
            asked("scale-data", "chest", ["id"]),
            asked("gap", "chest", ["id"], ["sex", "age"]),
            asked("ood", "chest", ["id", "icu"]),
            asked("ood", "derm", why="the cohort has no shift"),
            asked("drop", "derm", why="the cohort has no shift"),
            asked("gap", "derm", ["id"]),
            asked("ood", "breast", why="no cohort"),
            asked("drop", "breast", why="no cohort"),
        ],
    )
    assert terminal.asked(shown) == [
        (
            "asked: 3 claims on 2 tasks, 1 shift and 2 attributes: 4 pairs of claim and task, 5 items; "
            "1 judged here"
        ),
        "not asked on derm: ood, drop (the cohort has no shift)",
        "not asked on breast: all 2 claims (no cohort)",
    ]
    assert set(terminal.asked(shown)) <= set(text(shown).splitlines())


def test_a_synthesis_says_what_holds_only_at_scale_what_is_open_and_what_was_not_judged():
    def held(name, only):
        return PropertyVerdict(property=name, at_scale="supported", small="refuted", only_at_scale=only)

    conclusion = Conclusion(
        task="chest",
        synthesis="only-at-scale",
        statement="Only at scale.",
        verdict="supported",
        properties=[held("a", "supported"), held("b", "inconclusive"), held("c", "refuted")],
        left_out=["d"],
        generated=True,
    )
    assert terminal.synthesis(conclusion) == (
        "only-at-scale, chest: supported "
        "(a: only at scale; b: open; c: not only at scale, or not at all; d: not judged)"
    )


def test_sub_groups_are_named_beside_the_evaluation_set():
    assert terminal.row(report(result(attribute="sex")).claims[0], None)[2] == "id, by sex"


def test_what_a_terminal_obeys_in_names_is_spelt_out():
    hostile = "\x1b[2J\x1b]0;owned\x07\u202edlo"
    made = result(statement=hostile, reason=hostile, groups={"sex": [hostile]}, evaluation_set=hostile)
    lines = terminal.summary(report(made, warnings=[hostile]))
    text = "".join(line.text for line in lines)
    assert "\\x1b[2J" in text
    assert text.isprintable()
