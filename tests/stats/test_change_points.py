import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medbench.stats.change_points import _p_of, changes, normal_scores

LEVEL, SERIES = 0.05, 1000


def noise(nights, number, sd=0.01, seed=1):
    return 0.8 + np.random.default_rng(seed).normal(scale=sd, size=(number, nights))


def found(values, *, noisy=True, tolerance=0.001, level=LEVEL):
    return changes(list(values), tolerance=tolerance, level=level, noisy=noisy)


def ever(values, **named):
    """Whether a series is marked at any look, as it grows night by night."""
    return any(found(values[:n], **named) != found([]) for n in range(1, len(values) + 1))


def scores_by_hand(values):
    """Normal scores of values without ties, by scipy's ranks."""
    return stats.norm.ppf(stats.rankdata(values) / (len(values) + 1))


def by_hand(values):
    """The split with the smallest p of scipy's t test of scores, by Bonferroni over splits and looks."""
    n, scores = len(values), scores_by_hand(values)
    tests = {
        at: max(stats.ttest_ind(scores[at:], scores[:at]).pvalue, 2 / math.comb(n, at))
        for at in range(2, n - 1)
    }
    best = min(tests, key=tests.get)
    return best, tests[best] * (n - 1) * n * (n + 1) / 3


# False alarms


NOISES = {
    "normal": lambda stream, n: stream.normal(size=n),
    "heavy tails": lambda stream, n: stream.standard_t(3, size=n),
    "single outlying nights": lambda stream, n: stream.normal(size=n) + 10 * (stream.random(n) < 0.02),
    "few digits": lambda stream, n: np.round(stream.normal(size=n)),
    "at a ceiling": lambda stream, n: -1.0 * (stream.random(n) < 0.05),
}


@pytest.mark.parametrize("draw", NOISES.values(), ids=NOISES)
def test_whatever_the_noise_a_series_is_hardly_ever_marked_however_often_it_is_looked_at(draw):
    number = 60
    series = (0.8 + 0.01 * draw(np.random.default_rng([1, i]), 60) for i in range(number))
    assert sum(map(ever, series)) <= stats.binom.ppf(0.999, number, LEVEL)


def test_the_looks_of_all_nights_together_spend_the_level_and_no_more():
    """At every look of a series without end one that just passes at its last: the shares add up to 1."""
    spent = [1 / (n * (n + 1) / 3) for n in range(3, 100_000)]
    assert 0.999 < sum(spent) <= 1
    values = noise(15, 1, sd=0.002, seed=7)[0] + 0.002 * np.arange(15)
    alone = stats.kendalltau(range(15), values).pvalue
    assert found(values).slides[0].p == pytest.approx(alone / spent[15 - 3])


@pytest.mark.parametrize("nights", [3, 5, 10])
def test_few_nights_of_noise_are_not_marked(nights):
    assert not any(found(values) != found([]) for values in noise(nights, SERIES, seed=nights))


@pytest.mark.parametrize(("nights", "of"), [(12, 4), (16, 5), (16, 8)])
def test_p_of_a_split_is_that_of_all_orders_of_the_nights(nights, of):
    """By enumeration: which nights lie on one side. t comes to about half of the exact p at the least."""
    scores = scores_by_hand(np.arange(nights))
    sums = np.array([sum(chosen) for chosen in combinations(scores, of)])
    exact = (np.abs(sums[:, None]) >= np.abs(sums) - 1e-9).mean(0)
    p = _p_of(sums, np.full(len(sums), of), scores)
    assert (p >= 0.49 * exact).all()
    assert (p[exact > 0.01] <= 1.1 * exact[exact > 0.01]).all()


def test_ties_are_broken_alike_at_every_look_and_leave_other_nights_in_order():
    values = np.round(noise(50, 1, sd=0.2)[0], 1)
    scores = normal_scores(values)
    assert scores.sum() == pytest.approx(0, abs=1e-9)
    assert (
        np.diff(scores[np.argsort(values, kind="stable")][np.diff(np.sort(values), prepend=0) > 0]) > 0
    ).all()
    earlier = normal_scores(values[:40])
    assert (np.argsort(earlier) == np.argsort(scores[:40])).all()


def test_what_machines_move_same_seeds_by_is_never_marked():
    third = np.random.default_rng(2).uniform(-1, 1, size=(200, 60)) * 0.001 / 3
    assert not any(found(0.8 + row, noisy=False) != found([]) for row in third)
    sorted_ = np.sort(third, axis=1)  # the worst there can be: machines that change in one order
    assert not any(found(0.8 + row, noisy=False) != found([]) for row in sorted_)


# Jumps


@pytest.mark.parametrize("at", [1, 5, 19])
def test_a_step_of_same_seeds_is_found_on_its_night(at):
    values = np.full(20, 0.8)
    values[at:] -= 0.002
    ((jump),) = found(values, noisy=False).jumps
    assert jump.at == at
    assert jump.change == pytest.approx(-0.002)


def test_one_night_that_lay_elsewhere_is_a_jump_and_a_jump_back():
    jumps = found([0.8, 0.8, 0.8, 0.7, 0.8, 0.8], noisy=False).jumps
    assert [(jump.at, round(jump.change, 3)) for jump in jumps] == [(3, -0.1), (4, 0.1)]


def test_two_nights_of_same_seeds_are_enough_for_a_jump():
    assert [jump.at for jump in found([0.8, 0.79], noisy=False).jumps] == [1]


def test_a_jump_under_noise_is_found_within_a_night():
    values = noise(40, 200, sd=0.005, seed=3)
    values[:, 25:] -= 0.02
    nights = [[jump.at for jump in found(row).jumps] for row in values]
    near = [any(abs(at - 25) <= 1 for at in each) for each in nights]
    assert np.mean(near) > 0.95
    assert np.mean([len(each) == 1 for each in nights]) > 0.9


def test_two_jumps_are_both_found():
    values = noise(60, 1, sd=0.002, seed=4)[0]
    values[20:40] += 0.03
    assert [jump.at for jump in found(values).jumps] == [20, 40]


@given(seed=st.integers(0, 10_000))
def test_the_night_and_p_are_those_of_the_largest_t_of_scores(seed):
    values = noise(40, 1, seed=seed)[0]
    values[20:] += 0.05  # so that no line fits better
    at, p = by_hand(values)
    jumps = found(values).jumps
    assert any(jump.at == at and jump.p == pytest.approx(p, rel=1e-6) for jump in jumps) == (p <= LEVEL / 4)


def test_a_jump_that_was_undone_stays_marked():
    """Of all splits none is good, as levels are alike at both ends."""
    values = noise(90, 1, sd=0.01, seed=9)[0]
    values[40:55] -= 0.04
    assert [jump.at for jump in found(values).jumps] == [40, 55]


def test_one_outlying_night_of_new_seeds_is_no_jump_and_does_not_hide_one():
    values = noise(60, 1, sd=0.003, seed=10)[0]
    values[[10, 50]] -= 0.3
    assert found(values) == found([])
    values[30:] += 0.03
    assert [jump.at for jump in found(values).jumps] == [30]


def test_a_jump_below_the_tolerance_is_none():
    values = noise(40, 1, sd=1e-5, seed=5)[0]
    values[20:] += 0.0009
    assert found(values) == found([])
    assert found(values, tolerance=0.0008).jumps[0].at == 20


# Slides


def test_steps_that_are_each_too_small_add_up_to_a_slide():
    values = 0.8 - 0.0004 * np.arange(12)
    shown = found(values, noisy=False)
    ((slide),) = shown.slides
    assert shown.jumps == ()
    assert (slide.first, slide.last) == (0, 11)
    assert slide.change == pytest.approx(-0.0044)


def test_a_slide_under_noise_is_a_slide_and_no_jump():
    values = noise(40, 200, sd=0.003, seed=6) - 0.001 * np.arange(40)
    shown = [found(row) for row in values]
    assert np.mean([len(each.slides) == 1 and not each.jumps for each in shown]) > 0.95


def test_a_jump_leaves_no_slide_behind():
    values = noise(40, 200, sd=0.005, seed=8)
    values[:, 20:] -= 0.03
    assert np.mean([bool(found(row).slides) for row in values]) <= 0.05


def test_a_slide_is_found_on_both_sides_of_a_jump():
    values = np.concatenate([0.8 - 0.0004 * np.arange(12), 0.9 + 0.0004 * np.arange(12)])
    shown = found(values, noisy=False)
    assert [jump.at for jump in shown.jumps] == [12]
    assert [(slide.first, slide.last) for slide in shown.slides] == [(0, 11), (12, 23)]


# Degenerate series


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("values", [[], [0.8], [0.8, 0.8], [0.8] * 30])
def test_few_or_equal_nights_show_nothing(values, noisy):
    assert found(values, noisy=noisy) == found([])


def test_two_nights_of_new_seeds_say_nothing_of_noise():
    assert found([0.8, 0.5]) == found([])


def test_a_step_without_any_noise_waits_until_so_few_nights_can_tell():
    """p of values wholly apart is as small as the orders of the nights allow, and no smaller."""
    assert found([0.5, 0.5, 0.5, 0.75, 0.75]) == found([])
    ((jump),) = found([0.5] * 20 + [0.75] * 20).jumps
    assert jump.at == 20
    assert jump.p >= 2 / math.comb(40, 20)


@given(
    values=st.lists(st.floats(0, 1), max_size=30),
    noisy=st.booleans(),
    tolerance=st.floats(1e-4, 0.1),
)
def test_whatever_the_series_marks_lie_within_it_and_exceed_the_tolerance(values, noisy, tolerance):
    shown = found(values, noisy=noisy, tolerance=tolerance)
    assert all(0 < jump.at < len(values) for jump in shown.jumps)
    assert [jump.at for jump in shown.jumps] == sorted({jump.at for jump in shown.jumps})
    assert all(0 <= slide.first < slide.last < len(values) for slide in shown.slides)
    assert all(abs(mark.change) > tolerance for mark in (*shown.jumps, *shown.slides))
