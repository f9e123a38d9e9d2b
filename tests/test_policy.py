"""Every line of the policy: what is red, and what is only shown."""

from itertools import product

import pytest

from medbench.judgement import Check, Settle
from medbench.policy import judged_nothing, outcome, settle_sentence
from tests.judging import judgement

ITEM = "mammography/scale-data/id"
NOTHING = "no realistic number of patients and seeds would settle it: the effect lies too close to the margin"


def check(status="ok", accepted=None, detail="unchanged"):
    return Check(id=ITEM, status=status, accepted_verdict=accepted, detail=detail)


def shown(verdict, status="ok", accepted=None, *, strict=False, detail="unchanged", **changes):
    result = outcome(judgement(verdict=verdict, **changes), check(status, accepted, detail), strict=strict)
    return result.category, result.red, result.sentence


@pytest.mark.parametrize("status", ["drifted", "verdict-changed", "vanished"])
@pytest.mark.parametrize("verdict", ["supported", "refuted", "inconclusive"])
@pytest.mark.parametrize("strict", [False, True])
def test_what_left_its_band_changed_sides_or_vanished_is_red_whatever_the_verdict(status, verdict, strict):
    expected = ("failed", True, f"{status}: seed 1 moved")
    assert shown(verdict, status, verdict, strict=strict, detail="seed 1 moved") == expected


def test_a_metric_that_vanished_is_red():
    result = outcome(judgement(state="missing", verdict=None), check("vanished", "supported", "no area"))
    assert (result.category, result.red, result.sentence) == ("failed", True, "vanished: no area")


@pytest.mark.parametrize(
    ("verdict", "status", "accepted", "category", "red"),
    [
        ("supported", "ok", "supported", "passed", False),
        ("supported", "ok", "inconclusive", "passed", False),
        ("inconclusive", "ok", "supported", "inconclusive", False),
        ("inconclusive", "ok", "inconclusive", "inconclusive", False),
        ("inconclusive", "ok", "refuted", "inconclusive", False),
        ("refuted", "ok", "refuted", "refuted-as-accepted", False),
        ("refuted", "ok", "inconclusive", "refuted-as-accepted", False),
        ("supported", "no-expectation", None, "passed", False),
        ("inconclusive", "no-expectation", None, "inconclusive", False),
        ("refuted", "no-expectation", None, "failed", True),
        ("supported", "stale", "refuted", "passed", False),
        ("inconclusive", "stale", "supported", "inconclusive", False),
        ("refuted", "stale", "refuted", "failed", True),
    ],
)
def test_what_a_verdict_means_beside_what_was_accepted(verdict, status, accepted, category, red):
    assert shown(verdict, status, accepted)[:2] == (category, red)
    assert shown(verdict, status, accepted, strict=True)[:2] == (category, category != "passed")


@pytest.mark.parametrize("strict", [False, True])
def test_an_item_that_was_not_run_is_red_only_under_the_strict_policy(strict):
    item = judgement(state="not-run", verdict=None, reason="no run of baseline seed 1")
    result = outcome(item, check("not-run", detail="no run"), strict=strict)
    assert (result.category, result.red) == ("not-run", strict)
    assert result.sentence == "no run of baseline seed 1"


@pytest.mark.parametrize("strict", [False, True])
def test_an_undefined_value_that_was_never_accepted_is_red_only_under_the_strict_policy(strict):
    item = judgement(state="missing", verdict=None, reason="one class")
    result = outcome(item, check("no-expectation", detail="nothing was accepted yet"), strict=strict)
    assert (result.category, result.red, result.sentence) == ("inconclusive", strict, "one class")


def test_the_policy_is_lenient_unless_asked():
    assert not outcome(judgement(verdict="inconclusive"), check()).red


def test_the_sentences_say_why():
    assert shown("supported")[2] == "supported; unchanged"
    assert shown("supported", "no-expectation", detail="")[2] == "supported"
    assert shown("refuted", "ok", "refuted")[2] == "refuted, as accepted; unchanged"
    moved = "refuted, accepted as inconclusive"
    assert shown("refuted", "ok", "inconclusive", detail=moved)[2] == moved
    assert shown("refuted", "no-expectation", detail="nothing was accepted yet")[2] == (
        "refuted; nothing was accepted yet"
    )
    settle = Settle(patients=2.0, seeds=None)
    assert shown("inconclusive", note="the margin is open", settle=settle)[2] == (
        "inconclusive; the margin is open; 2 times the patients would settle it; unchanged"
    )


@pytest.mark.parametrize(
    ("settle", "sentence"),
    [
        (None, ""),
        (Settle(patients=2.01, seeds=None), "2.1 times the patients would settle it"),
        (Settle(patients=1.1, seeds=None), "1.1 times the patients would settle it"),
        (Settle(patients=9.99, seeds=None), "10 times the patients would settle it"),
        (Settle(patients=11.2, seeds=None), "12 times the patients would settle it"),
        (Settle(patients=100.0, seeds=None, both=3.0), "100 times the patients would settle it"),
        (Settle(patients=None, seeds=14), "14 seeds an arm would settle it"),
        (Settle(patients=1.5, seeds=9), "1.5 times the patients or 9 seeds an arm would settle it"),
        (
            Settle(patients=None, seeds=None, both=1.72),
            "1.8 times the patients and the seeds would settle it",
        ),
        (Settle(patients=None, seeds=None), NOTHING),
    ],
)
def test_what_would_settle_an_item_in_words(settle, sentence):
    assert settle_sentence(settle) == sentence


def test_what_stands_for_a_patient_is_not_called_a_patient():
    item = {"settle": Settle(patients=2.0, seeds=None), "cluster": "lesion_id"}
    assert "; 2 times the clusters (by `lesion_id`) would settle it;" in shown("inconclusive", **item)[2]
    both = settle_sentence(Settle(patients=None, seeds=None, both=2.0), "lesion_id")
    assert both == "2 times the clusters (by `lesion_id`) and the seeds would settle it"
    assert settle_sentence(Settle(patients=None, seeds=None), "lesion_id") == NOTHING.replace(
        "patients", "clusters (by `lesion_id`)"
    )


def test_a_run_that_judged_nothing_is_told_from_one_that_did():
    assert judged_nothing([])
    assert judged_nothing([judgement(state="not-run"), judgement(state="missing")])
    assert not judged_nothing([judgement(state="not-run"), judgement()])


def test_red_is_never_passed_and_strict_is_never_milder():
    for verdict, status, accepted in product(
        ["supported", "refuted", "inconclusive"],
        ["ok", "drifted", "verdict-changed", "vanished", "stale", "no-expectation"],
        ["supported", "refuted", "inconclusive"],
    ):
        lenient, strict = (shown(verdict, status, accepted, strict=s) for s in (False, True))
        assert (lenient[0], lenient[2]) == (strict[0], strict[2])
        assert strict[1] >= lenient[1]
        assert not (lenient[0] == "passed" and strict[1])
