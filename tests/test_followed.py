"""Which nights are followed together, by which values, and what is marked in them."""

import pytest

from medbench.followed import Series, all_marks, all_series, band_of, follow, shown_term
from medbench.history import History, Recorded
from tests.nights import ITEM, entry, session


def history(*nights):
    """One night a list of entries; a night may also come with its session."""
    made = [each if isinstance(each, tuple) else (session(i), each) for i, each in enumerate(nights)]
    return History([Recorded(*each) for each in made], [])


def one(*nights):
    """The only series of a history."""
    ((series,),) = all_series(history(*nights)).values()
    return series


def measuring(**by_seed):
    """A night that measured these values of the treatment: `_1=.83` is seed 1."""
    values = {int(seed.removeprefix("_")): value for seed, value in by_seed.items()}
    return [entry(values={"treatment": values} if values else {})]


# What compares


@pytest.mark.parametrize(
    ("of_entry", "of_night"),
    [
        ({"of": "ffffffff"}, {}),
        ({"devices": ["gpu-a100"]}, {}),
        ({}, {"device_class": "gpu-a100"}),
        ({}, {"backbones": "a,b"}),
        ({}, {"trainer": "own"}),
        ({"item": "chest/scale-data/icu"}, {}),
    ],
)
def test_nights_that_differ_in_what_must_be_the_same_are_not_followed_together(of_entry, of_night):
    found = all_series(history([entry()], (session(1, **of_night), [entry(**of_entry)])))
    assert [len(series.nights) for each in found.values() for series in each] == [1, 1]


def test_code_libraries_and_verdict_do_not_part_nights():
    other = session(1, commit="other", libraries={"jax": "0.11.0"}, medbench="9", python="3.12.1")
    assert len(one([entry()], (other, [entry(verdict="refuted", metric="roc_auc@1")])).nights) == 2


def test_devices_of_the_session_and_devices_that_are_named_are_one_class():
    named = session(1, device_class="cpu"), [entry(devices=["gpu-a100"])]
    assert one((session(0, device_class="gpu-a100"), [entry()]), named).device_class == "gpu-a100"
    assert one([entry(devices=["cpu", "gpu-a100"])]).device_class == "cpu and gpu-a100"


def test_items_come_by_name_and_of_an_item_the_series_with_the_latest_night_last():
    gpu = {"devices": ["gpu-a100"]}
    found = all_series(history([entry("b"), entry("a")], [entry("a", **gpu)], [entry("a")]))
    assert list(found) == ["a", "b"]
    assert [series.device_class for series in found["a"]] == ["gpu-a100", "cpu"]


# By which values


def test_the_seeds_that_most_nights_measured_are_followed_and_other_nights_left_out():
    series = one(
        measuring(_1=0.80, _2=0.82), measuring(_1=0.9), measuring(), measuring(_1=0.84, _2=0.86, _3=0.1)
    )
    line = follow(series, "treatment")
    assert (line.by, line.seeds, line.nights, line.values) == (
        "same-seeds",
        [1],
        [0, 1, 3],
        [0.80, 0.9, 0.84],
    )
    series = one(measuring(_1=0.80, _2=0.82), measuring(_7=0.9), measuring(_1=0.84, _2=0.86, _3=0.1))
    line = follow(series, "treatment")
    assert (line.seeds, line.nights, line.values) == ([1, 2], [0, 2], pytest.approx([0.81, 0.85]))


def test_a_night_that_measured_some_of_the_followed_seeds_has_no_value():
    nights = [
        measuring(_1=0.80, _2=0.82),
        measuring(_1=0.9),
        measuring(_2=0.9),
        *[measuring(_1=0.84, _2=0.86)] * 2,
    ]
    line = follow(one(*nights), "treatment")
    assert (line.seeds, line.nights) == ([1, 2], [0, 3, 4])


def test_seeds_of_which_each_is_in_most_nights_but_all_in_none_are_not_followed():
    nights = [measuring(_1=0.8, _2=0.8), measuring(_1=0.7, _3=0.9), measuring(_2=0.6, _3=0.6)]
    line = follow(one(*nights), "treatment")
    assert (line.by, line.nights, line.values) == ("new-seeds", [0, 1], pytest.approx([0.8, 0.9]))
    assert ITEM not in all_marks(all_series(history(*nights)))


def test_nights_that_measured_nothing_have_no_say_in_which_seeds_are_followed():
    line = follow(one(measuring(_1=0.8), *[measuring()] * 5, measuring(_1=0.9)), "treatment")
    assert (line.by, line.nights) == ("same-seeds", [0, 6])


def test_seeds_that_half_of_the_nights_measured_are_not_followed():
    line = follow(
        one(measuring(_1=0.8), measuring(_1=0.9), measuring(_2=0.7), measuring(_3=0.6)), "treatment"
    )
    assert line.by == "new-seeds"


def test_of_new_seeds_each_counts_in_its_first_night_alone():
    series = one(
        measuring(_1=0.80),
        measuring(),
        measuring(_1=0.1, _2=0.82, _3=0.84),
        measuring(_2=0.3),
        measuring(_4=0.9),
    )
    line = follow(series, "treatment")
    assert (line.by, line.seeds, line.nights) == ("new-seeds", [], [0, 2, 4])
    assert line.values == pytest.approx([0.80, 0.83, 0.90])


def test_what_was_never_measured_is_followed_by_loaded_means():
    loaded = [
        [entry(treatment=0.83, seeds=())],
        [entry(seeds=(), means={"baseline": 0.8})],
        [entry(treatment=0.85, seeds=())],
    ]
    line = follow(one(*loaded), "treatment")
    assert (line.by, line.nights, line.values) == ("loaded", [0, 2], [0.83, 0.85])
    assert follow(one(*loaded, measuring(_1=0.9)), "treatment").values == [0.9], (
        "measured is not mixed with loaded"
    )


# What is marked


def test_a_jump_names_its_two_nights_its_commit_and_its_direction():
    found = all_marks(all_series(history(*[[entry(treatment=v)] for v in (0.83, 0.83, 0.80)])))
    (mark,) = found[ITEM]
    assert (mark.kind, mark.term, mark.since, mark.night) == (
        "jump",
        "treatment",
        session(1).created,
        session(2).created,
    )
    assert (mark.commit, mark.change, mark.better, mark.p) == ("c002", -0.03, False, None)
    assert mark.sentence == "treatment jumped by -0.0300 (worse) in the night of 2026-11-03, commit c002"


@pytest.mark.parametrize(
    ("metric", "better"), [("roc_auc@1", True), ("nll@1", False), ("of-a-plugin-that-is-gone@1", None)]
)
def test_what_is_better_is_a_matter_of_the_metric(metric, better):
    nights = [[entry(treatment=value, metric=metric)] for value in (0.83, 0.86)]
    (mark,) = all_marks(all_series(history(*nights)))[ITEM]
    assert mark.better is better
    assert ("better" in mark.sentence, "worse" in mark.sentence) == (better is True, better is False)


def test_a_commit_that_is_not_known_is_called_so():
    nights = [(session(i, commit=""), [entry(treatment=value)]) for i, value in enumerate((0.83, 0.86))]
    assert all_marks(all_series(history(*nights)))[ITEM][0].sentence.endswith("commit unknown")


def test_same_seeds_may_move_by_the_largest_tolerance_of_their_nights_and_no_more():
    def jumps(*tolerances):
        nights = [[entry(treatment=0.8 + 0.004 * i, tolerance=t)] for i, t in enumerate(tolerances)]
        return len(all_marks(all_series(history(*nights))).get(ITEM, []))

    assert jumps(0.003, 0.003) == 1
    assert jumps(0.003, 0.005) == jumps(0.005, 0.003) == 0


def test_new_seeds_are_marked_by_their_noise_and_not_by_each_step():
    """The same values are four jumps for the same seeds, and none for new ones."""
    values = [0.80, 0.83, 0.80, 0.83, 0.80]
    same = [measuring(_1=value) for value in values]
    new = [measuring(**{f"_{i}": value}) for i, value in enumerate(values)]
    assert len(all_marks(all_series(history(*same)))[ITEM]) == 4
    assert ITEM not in all_marks(all_series(history(*new)))
    level_change = [*(0.80 + i % 2 / 1000 for i in range(12)), *(0.70 + i % 2 / 1000 for i in range(12))]
    (mark,) = all_marks(
        all_series(history(*[measuring(**{f"_{i}": v}) for i, v in enumerate(level_change)]))
    )[ITEM]
    assert (mark.kind, mark.night) == ("jump", session(12).created)
    assert mark.p < 0.05


def test_a_slide_names_its_first_and_last_night():
    nights = [[entry(treatment=round(0.80 + 0.0009 * i, 5))] for i in range(10)]
    (mark,) = all_marks(all_series(history(*nights)))[ITEM]
    assert mark.sentence == "treatment slid by +0.0081 (better) from 2026-11-01 to 2026-11-10"
    assert mark.p < 0.05


def test_marks_of_both_arms_and_of_all_series_come_by_night():
    gpu = {"devices": ["gpu-a100"]}
    nights = [
        [entry(baseline=0.8, treatment=0.8), entry(**gpu)],
        [entry(baseline=0.8, treatment=0.9), entry(treatment=0.93, **gpu)],
        [entry(baseline=0.7, treatment=0.9), entry(treatment=0.93, **gpu)],
    ]
    found = all_marks(all_series(history(*nights)))[ITEM]
    assert [(mark.term, mark.night[:10]) for mark in found] == [
        ("treatment", "2026-11-02"),
        ("treatment", "2026-11-02"),
        ("baseline", "2026-11-03"),
    ]


def test_the_level_is_shared_by_all_lines_of_the_history_whatever_items_are_asked_for(monkeypatch):
    levels = []
    monkeypatch.setattr("medbench.followed.marks_of", lambda line, *, level: levels.append(level) or [])
    series = all_series(history([entry("a"), entry("b")], [entry("a", devices=["gpu-a100"])]))
    assert all_marks(series, ["b"]) == {}
    assert levels == [0.05 / 6] * 2, "two arms of a on two devices, and of b on one"
    levels.clear()
    all_marks(series)
    assert levels == [0.05 / 6] * 6


# What is shown


def test_the_band_is_that_of_the_latest_night_with_the_seeds_that_are_followed():
    held = {"treatment": (0.83, 0.002)}
    nights = [
        [entry(bands={"treatment": (0.7, 0.1)})],
        [entry(bands=held)],
        [entry(seeds=(1, 2), bands={"treatment": (0.9, 0.1)})],
        [entry()],
    ]
    assert band_of(follow(one(*nights), "treatment")) == (0.83, 0.002)
    assert band_of(follow(one(*nights), "baseline")) is None
    new = [[entry(seeds=(i,), bands={"treatment": (0.8, i / 100)})] for i in (1, 2)]
    assert band_of(follow(one(*new), "treatment")) == (0.8, 0.02), "new seeds are held to the latest band"


def test_the_arm_to_show_is_the_latest_marked_else_the_treatment_else_the_last():
    jumped = [[entry(baseline=b, treatment=t)] for b, t in ((0.8, 0.8), (0.8, 0.9), (0.7, 0.9))]
    series, marks = one(*jumped), all_marks(all_series(history(*jumped)))[ITEM]
    assert shown_term(series, marks) == "baseline"
    assert shown_term(series, marks[:1]) == "treatment"
    assert shown_term(series, []) == "treatment"
    assert shown_term(one([entry(means={"a": 0.1, "b": 0.2}, values={})]), marks) == "b"


def test_an_arm_that_only_some_nights_have_is_one_of_the_series():
    series = one([entry(means={"a": 0.1})], [entry(means={"b": 0.1, "a": 0.1})])
    assert isinstance(series, Series)
    assert series.terms == ["a", "b"]
