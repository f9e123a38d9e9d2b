import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medbench.stats.change_points import changes

LEVEL, SERIES = 0.05, 1000
ALLOWED = stats.binom.ppf(0.999, SERIES, LEVEL) / SERIES
"""Share of 1,000 series that alarm at a level of 5 % but for one time in a thousand."""


def noise(nights, number, sd=0.01, seed=1):
    return 0.8 + np.random.default_rng(seed).normal(scale=sd, size=(number, nights))


def found(values, *, noisy=True, tolerance=0.001, level=LEVEL):
    return changes(list(values), tolerance=tolerance, level=level, noisy=noisy)


def by_hand(values):
    """The largest two-sample t over all splits, by scipy, and Bonferroni's bound."""
    splits = range(2, len(values) - 1)
    tests = {at: stats.ttest_ind(values[at:], values[:at]).pvalue for at in splits}
    best = min(tests, key=tests.get)
    return best, tests[best] * (len(values) - 1)


# False alarms


@pytest.mark.parametrize("nights", [4, 10, 40])
def test_noise_of_new_seeds_is_marked_in_at_most_five_of_a_hundred_series(nights):
    marked = sum(found(values) != found([]) for values in noise(nights, SERIES, seed=nights))
    assert marked / SERIES <= ALLOWED


def test_that_level_is_used():
    """Else nothing would ever be marked: Bonferroni over 9 splits and Kendall's test cost some, not all."""
    assert sum(found(values) != found([]) for values in noise(10, SERIES)) / SERIES > 0.015


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
def test_the_night_and_p_are_those_of_the_largest_t(seed):
    values = noise(12, 1, seed=seed)[0]
    values[6:] += 0.06
    at, p = by_hand(values)
    jumps = found(values, level=2 * LEVEL).jumps
    if p < 0.01:
        assert any(jump.at == at and jump.p == pytest.approx(p, rel=1e-6) for jump in jumps)


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


def test_p_of_a_slide_is_kendalls():
    values = noise(15, 1, sd=0.002, seed=7)[0] + 0.002 * np.arange(15)
    ((slide),) = found(values).slides
    assert slide.p == stats.kendalltau(range(15), values).pvalue


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


def test_a_step_without_any_noise_is_certain():
    ((jump),) = found([0.5, 0.5, 0.5, 0.75, 0.75]).jumps
    assert jump.at == 3
    assert jump.p < 1e-12


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
