import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.judgement import Interval
from medbench.others.efficiency import in_words, judge_efficiency, matched_share
from medbench.others.record import Reach, SeedJudgement, Term

SIZES = {"0.01": 0.01, "0.1": 0.1, "1": 1.0}
NOISE = {1: 0.001, 2: -0.001, 3: 0.0002}


def question(target, curve, *, noise=NOISE, sign=1):
    def term(name, amount, mean, of, factor):
        values = {seed: mean + factor * off for seed, off in noise.items()}
        return Term(backbone=name, amount=amount, sign=of * sign, values=values)

    return SeedJudgement(
        claim="data-efficiency",
        ladder="",
        amount="1",
        comparison="small → large",
        terms=[
            term("small", "1", target, -1, 1),
            *(term("large", amount, mean, 1, 2) for amount, mean in zip(SIZES, curve, strict=True)),
        ],
        state="missing",
    )


def reach(sizes, differences):
    """Where the estimate is reached; limits stand off by a hundredth."""
    limits = [Interval(value=d, low=d - 0.01, high=d + 0.01) for d in differences]
    return matched_share(sizes, limits).estimate


def test_the_share_is_interpolated_on_the_log_of_the_amount():
    found = reach(SIZES, [-0.3, -0.1, 0.3])
    assert (found.after, found.by) == ("0.1", "1")
    assert found.share == pytest.approx(10 ** (-1 + 0.25))


def test_amounts_of_any_unit_are_shares_of_the_largest():
    found = reach({"few": 20.0, "some": 200.0, "all": 2000.0}, [-0.3, -0.1, 0.3])
    assert (found.after, found.by) == ("some", "all")
    assert found.share == pytest.approx(10 ** (-1 + 0.25))


@pytest.mark.parametrize("exact", [0, 1, 2])
def test_a_score_that_is_met_at_an_amount_is_reached_there(exact):
    found = reach(SIZES, [0.1 * (i - exact) for i in range(3)])
    assert found.by == list(SIZES)[exact]
    assert found.share == pytest.approx(list(SIZES.values())[exact])


def test_a_score_that_the_smallest_amount_exceeds_is_reached_at_most_there():
    assert reach(SIZES, [0.01, 0.1, 0.2]) == Reach(after=None, by="0.01", share=0.01)


def test_a_score_that_is_never_reached_has_no_share():
    assert reach(SIZES, [-0.3, -0.2, -0.1]) == Reach(after="1", by=None, share=None)


def test_without_a_size_of_all_data_only_the_amounts_around_are_known():
    sizes = {"5": 5.0, "10": 10.0, "full": math.inf}
    assert reach(sizes, [-0.2, -0.1, 0.1]) == Reach(after="10", by="full", share=None)
    assert reach(sizes, [-0.2, 0.1, 0.1]) == Reach(after="5", by="10", share=None)
    assert reach(sizes, [0.1, 0.1, 0.1]) == Reach(after=None, by="5", share=None)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6), st.floats(0, 0.5))
def test_a_better_curve_never_needs_more_data(differences, gain):
    sizes = {str(i): 2.0**i for i in range(len(differences))}
    shares = [
        1.1 if found.by is None else found.share
        for found in (reach(sizes, [d + g for d in differences]) for g in (0, gain))
    ]
    assert 0 < shares[1] <= shares[0] + 1e-9


@pytest.mark.parametrize(
    ("curve", "verdict"),
    [
        ((0.60, 0.80, 0.90), "supported"),
        ((0.81, 0.85, 0.90), "supported"),
        ((0.60, 0.70, 0.801), "refuted"),
        ((0.60, 0.70, 0.75), "refuted"),
        ((0.60, 0.798, 0.801), "inconclusive"),
    ],
)
def test_the_verdict_follows_from_the_largest_and_smallest_plausible_share(curve, verdict):
    judged = judge_efficiency(question(0.8, curve), 0.4, SIZES)
    assert (judged.state, judged.verdict) == ("judged", verdict)
    assert judged.share == 0.4
    assert judged.pairing == "paired"


def test_what_the_smallest_amount_exceeds_supports_its_share_and_leaves_smaller_ones_open():
    curve = question(0.8, (0.85, 0.9, 0.95))
    assert judge_efficiency(curve, 0.01, SIZES).verdict == "supported"
    assert judge_efficiency(curve, 0.009, SIZES).verdict == "inconclusive"


def test_where_lower_is_better_the_curve_is_turned():
    judged = judge_efficiency(question(0.2, (0.4, 0.2, 0.1), sign=-1), 0.4, SIZES)
    assert judged.verdict == "supported"


def test_the_limits_stand_around_the_estimate():
    found = judge_efficiency(question(0.8, (0.6, 0.79, 0.9)), 0.6, SIZES).matched
    assert found.earliest.share < found.estimate.share < found.latest.share


def test_without_a_size_of_all_data_there_is_no_share_unless_even_that_is_not_enough():
    sizes = {**SIZES, "1": math.inf}
    judged = judge_efficiency(question(0.8, (0.6, 0.7, 0.9)), 0.6, sizes)
    assert judged.state == "missing"
    assert judged.verdict is None
    assert judged.reason == "the share is not known, because 1 has no declared size"
    assert judged.matched.estimate.after == "0.1"
    assert judge_efficiency(question(0.8, (0.6, 0.7, 0.75)), 0.6, sizes).verdict == "refuted"


def test_one_seed_and_one_amount_are_not_enough():
    one = judge_efficiency(question(0.8, (0.6, 0.7, 0.9), noise={1: 0.0}), 0.6, SIZES)
    assert one.reason == "small at 1 has fewer than two seeds"
    few = question(0.8, (0.6, 0.7, 0.9))
    for kept in ([few.terms[0], few.terms[-1]], few.terms[:-1]):
        judged = judge_efficiency(
            SeedJudgement(
                claim="data-efficiency", ladder="", amount="1", comparison="", terms=kept, state="missing"
            ),
            0.6,
            SIZES,
        )
        assert judged.reason == "too few seeds: two are needed at 1 and at another amount"


def test_seeds_that_do_not_differ_carry_no_verdict():
    judged = judge_efficiency(question(0.8, (0.6, 0.7, 0.9), noise={1: 0.0, 2: 0.0}), 0.6, SIZES)
    assert judged.state == "missing"
    assert "the same for all seeds" in judged.reason


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Reach(after="0.1", by="1", share=0.412), "41% of the data"),
        (Reach(after=None, by="0.1", share=0.1), "with 0.1 already"),
        (Reach(after="1", by=None, share=None), "not with 1"),
        (Reach(after="10", by="full", share=None), "between 10 and full"),
    ],
)
def test_where_a_score_is_reached_is_said_in_words(found, words):
    assert in_words(found) == words
