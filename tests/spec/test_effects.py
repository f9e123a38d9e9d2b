"""Effects as weighted sums of terms, against numpy and by hand."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.spec.effects import AT, PAIR, Contrast, DataSaved, Gain, Robustness, Slope, terms

INTERACTION = Contrast(weights={"many": 1, "few": -1, "many-small": -1, "few-small": 1})
EFFECTS = [
    (Gain(), PAIR),
    (Robustness(), PAIR),
    (INTERACTION, list(INTERACTION.weights)),
    (Slope(), ["none", "few", "some", "many"]),
    (DataSaved(), ["baseline", "with-10", "with-all"]),
]
each_effect = pytest.mark.parametrize(("effect", "arms"), EFFECTS, ids=lambda value: type(value).__name__)


def value(effect, arms, evaluation_set, scores):
    """The sum of the terms for scores by arm and evaluation set."""
    return sum(t.weight * scores[t.arm, t.evaluation_set] for t in terms(effect, arms, evaluation_set))


def random_scores(arms, sets, seed=0):
    draw = np.random.default_rng(seed)
    return {(arm, name): draw.uniform() for arm in arms for name in sets}


@each_effect
def test_weights_sum_to_zero_so_that_what_helps_every_arm_alike_is_no_effect(effect, arms):
    found = terms(effect, arms, "phone")
    assert sum(term.weight for term in found) == pytest.approx(0, abs=1e-12)
    by_set = {term.evaluation_set: 0.0 for term in found}
    for term in found:
        by_set[term.evaluation_set] += term.weight
    assert all(total == pytest.approx(0, abs=1e-12) for total in by_set.values())


@each_effect
def test_a_term_has_a_name_of_its_own_and_every_arm_has_a_term_on_the_items_set(effect, arms):
    found = terms(effect, arms, "phone")
    assert len({term.name for term in found}) == len(found)
    assert [term.arm for term in found if term.evaluation_set == "phone"] == list(arms)
    assert all(term.name == term.arm for term in found if term.evaluation_set == "phone")
    assert all(term.name.partition(AT)[0] == term.arm for term in found)


def test_a_gain_is_the_treatment_less_the_baseline():
    scores = {("baseline", "id"): 0.8, ("treatment", "id"): 0.87}
    assert value(Gain(), PAIR, "id", scores) == pytest.approx(0.07)
    assert [term.name for term in terms(Gain(), PAIR, "id")] == ["baseline", "treatment"]


@given(st.tuples(*[st.floats(0, 1)] * 4))
def test_robustness_is_the_difference_of_the_differences_on_the_shift_and_at_home(four):
    home, home_better, shift, shift_better = four
    scores = {
        ("baseline", "id"): home,
        ("treatment", "id"): home_better,
        ("baseline", "phone"): shift,
        ("treatment", "phone"): shift_better,
    }
    expected = (shift_better - shift) - (home_better - home)
    assert value(Robustness(), PAIR, "phone", scores) == pytest.approx(expected, abs=1e-12)


def test_terms_at_home_say_so_where_the_item_is_about_a_shift():
    assert [(term.name, term.arm, term.evaluation_set) for term in terms(Robustness(), PAIR, "phone")] == [
        ("baseline", "baseline", "phone"),
        ("treatment", "treatment", "phone"),
        ("baseline at id", "baseline", "id"),
        ("treatment at id", "treatment", "id"),
    ]


def test_a_contrast_weighs_each_arm_as_declared_whatever_their_order():
    arms = list(INTERACTION.weights)
    scores = random_scores(arms, ["id"])
    expected = (scores["many", "id"] - scores["few", "id"]) - (
        scores["many-small", "id"] - scores["few-small", "id"]
    )
    assert value(INTERACTION, arms, "id", scores) == pytest.approx(expected)
    for order in permutations(arms):
        assert value(INTERACTION, order, "id", scores) == pytest.approx(expected)


@pytest.mark.parametrize("rungs", range(3, 10))
def test_a_slope_is_that_of_the_least_squares_line_over_the_rungs(rungs):
    arms = [f"rung{i}" for i in range(rungs)]
    scores = random_scores(arms, ["id"], seed=rungs)
    slope, _ = np.polyfit(range(rungs), [scores[arm, "id"] for arm in arms], 1)
    assert value(Slope(), arms, "id", scores) == pytest.approx(slope)


def test_a_ladder_that_rises_by_the_same_on_every_rung_has_that_slope():
    arms = ["none", "few", "some", "many"]
    scores = {(arm, "id"): 0.7 + 0.02 * i for i, arm in enumerate(arms)}
    assert value(Slope(), arms, "id", scores) == pytest.approx(0.02)
    assert value(Slope(), arms[::-1], "id", scores) == pytest.approx(-0.02)


def test_data_saved_is_no_sum():
    assert [term.weight for term in terms(DataSaved(), ["baseline", "with-10", "with-all"], "id")] == [
        0,
        0,
        0,
    ]
