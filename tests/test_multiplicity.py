"""Adjusted p-values against scipy, against textbook examples and against all subsets."""

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from medbench.multiplicity import adjust, benjamini_hochberg, holm
from tests.judging import judgement

some_p = st.lists(st.floats(0, 1), min_size=1, max_size=7)


@settings(deadline=None)
@given(some_p)
def test_holms_are_those_of_the_closed_test_of_all_subsets_by_bonferroni(p):
    m = len(p)
    subsets = list(chain.from_iterable(combinations(range(m), size) for size in range(1, m + 1)))
    closed = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in range(m)]
    np.testing.assert_allclose(holm(p), closed)


@settings(deadline=None)
@given(some_p)
def test_benjaminis_and_hochbergs_are_those_of_scipy(p):
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))


def test_the_example_of_holms_method():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])


def test_the_fifteen_p_values_of_benjamini_and_hochberg_give_four_discoveries():
    p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.000,
    ]  # fmt: skip
    assert (benjamini_hochberg(p) <= 0.05).sum() == 4
    assert (holm(p) <= 0.05).sum() == 3


def test_no_test_needs_no_adjustment():
    assert len(holm([])) == len(benjamini_hochberg([])) == 0
    assert adjust([]) == []


def test_of_true_hypotheses_holm_rejects_any_in_five_of_a_hundred_families():
    p = np.random.default_rng(0).random((2000, 6))
    wrong = np.mean([(holm(row) <= 0.05).any() for row in p])
    assert wrong == pytest.approx(0.049, abs=0.015)


def item(name, p, family="scale", **changes):
    return judgement(id=f"chest/{name}/id", p=p, family=family, **changes)


def test_families_are_adjusted_apart_and_discoveries_over_the_whole_run():
    judged = [
        item("a", 0.01),
        item("b", 0.04, family="ood"),
        item("c", None, state="missing", verdict=None, effect=None, reason="one class"),
        item("d", 0.02),
        item("e", 0.0),
        item("f", None, verdict="inconclusive", note="one seed"),
    ]
    adjusted = adjust(judged)
    assert [j.id for j in adjusted] == [j.id for j in judged]
    assert [j.p for j in adjusted] == [j.p for j in judged]
    assert [j.p_holm for j in adjusted] == [pytest.approx(0.02), 0.04, None, pytest.approx(0.02), 0.0, None]
    expected = false_discovery_control([0.01, 0.04, 0.02, 0.0])
    assert [j.p_bh for j in adjusted if j.p is not None] == pytest.approx(list(expected))
    assert adjusted[2] == judged[2]
    assert adjusted[5] == judged[5]


def test_a_verdict_does_not_depend_on_what_else_was_judged():
    many = [item(str(i), 0.04, verdict="supported") for i in range(20)]
    adjusted = adjust(many)
    assert [j.p_holm for j in adjusted] == pytest.approx([0.8] * 20)
    assert {j.verdict for j in adjusted} == {"supported"}
