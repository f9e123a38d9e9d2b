"""What claims come to together, against the three-valued logic written out."""

from itertools import product

import pytest

from medbench import synthesis as joining
from medbench.spec.records import Property, Source, Synthesis
from tests.judging import judgement

VERDICTS = ("supported", "refuted", "inconclusive")
TRUTH = {"supported": True, "refuted": False, "inconclusive": None}


def synthesis(*properties, tasks=("chest",)):
    return Synthesis(
        synthesis="only-at-scale",
        statement="Only at scale.",
        source=Source(study="C3", strength="P"),
        tasks=list(tasks),
        properties={name: Property(at_scale=f"{name}-large", small=f"{name}-small") for name in properties},
    )


def conclude(syntheses, judgements, *, beside=()):
    """Of all items that there are: those that were judged, and perhaps others."""
    asked = {}
    for task, claim, item in [*((each.task, each.claim, each.id) for each in judgements), *beside]:
        asked.setdefault((task, claim), []).append(item)
    return joining.conclude(syntheses, judgements, asked)


def judged(claim, *verdicts, task="chest", **changes):
    def of(verdict):
        return {"verdict": verdict} if verdict else {"verdict": None, "state": "missing", "effect": None}

    return [
        judgement(id=f"{task}/{claim}/{i}", task=task, claim=claim, **of(verdict), **changes)
        for i, verdict in enumerate(verdicts)
    ]


def both(name, large, small, **changes):
    return [*judged(f"{name}-large", large, **changes), *judged(f"{name}-small", small, **changes)]


def worlds(verdict):
    """The truth values that an open verdict may turn out to have."""
    return (True, False) if TRUTH[verdict] is None else (TRUTH[verdict],)


@pytest.mark.parametrize("verdicts", list(product(VERDICTS, repeat=4)))
def test_it_is_settled_exactly_where_every_outcome_of_what_is_open_agrees(verdicts):
    of_a, of_b = verdicts[:2], verdicts[2:]
    [found] = conclude([synthesis("a", "b")], [*both("a", *of_a), *both("b", *of_b)])
    outcomes = {
        (large and not small) or (other and not less)
        for large, small, other, less in product(*map(worlds, verdicts))
    }
    expected = "inconclusive" if len(outcomes) > 1 else "supported" if True in outcomes else "refuted"
    assert found.verdict == expected


def test_a_property_holds_only_where_its_claim_does_on_every_item():
    all_but_one = judged("a-large", "supported", "inconclusive") + judged("a-small", "refuted")
    [found] = conclude([synthesis("a")], all_but_one)
    assert (found.properties[0].at_scale, found.verdict) == ("inconclusive", "inconclusive")
    one_refuted = judged("a-large", "supported", "refuted", None) + judged("a-small", "refuted")
    assert conclude([synthesis("a")], one_refuted)[0].properties[0].at_scale == "refuted"


def test_an_item_without_a_verdict_leaves_it_open():
    [found] = conclude([synthesis("a")], both("a", None, "refuted"))
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize(("there", "joined"), [("supported", "inconclusive"), ("refuted", "refuted")])
def test_an_item_that_was_not_judged_leaves_it_open_unless_another_settles_it(there, joined):
    """Not selected, or met by an error: what is left must not speak for all."""
    beside = [("chest", "a-large", "chest/a-large/9")]
    [found] = conclude([synthesis("a")], both("a", there, "refuted"), beside=beside)
    assert found.properties[0].at_scale == joined


def test_tasks_are_judged_apart_and_one_without_items_not_at_all():
    of_two = synthesis("a", tasks=("chest", "mammography", "dermatology"))
    here = both("a", "supported", "refuted") + both("a", "refuted", "refuted", task="mammography")
    found = conclude([of_two], here)
    assert [(each.task, each.verdict) for each in found] == [
        ("chest", "supported"),
        ("mammography", "refuted"),
    ]


def test_a_property_that_lacks_items_is_left_out_by_name():
    [found] = conclude(
        [synthesis("a", "b")], both("a", "supported", "refuted") + judged("b-large", "refuted")
    )
    assert (found.left_out, [each.property for each in found.properties]) == (["b"], ["a"])


def test_generated_images_are_marked_wherever_they_take_part():
    mixed = judged("a-large", "supported") + judged("a-small", "refuted", generated=True)
    assert conclude([synthesis("a")], mixed)[0].generated
    assert not conclude([synthesis("a")], both("a", "supported", "refuted"))[0].generated
