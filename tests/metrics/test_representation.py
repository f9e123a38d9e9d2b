"""Linear CKA against the formula by loops and closed forms; steps to a share against lines.

And both as metrics of a run, read from its record.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medbench.errors import MedbenchError
from medbench.metrics import Sample, evaluate, metric_named
from medbench.metrics.representation import at, cka_by_stage, linear_cka, steps_to_share
from medbench.record import Validation
from medbench.spec.metrics import FeatureReuse, StepsToShare
from tests import runs
from tests.judging import scored


def hsic_by_loops(x, y):
    """Song et al. 2012, equation 5, as it is printed: Gram matrices without diagonal, sums by loops."""
    n = len(x)

    def gram(features):
        return [[0.0 if i == j else float(features[i] @ features[j]) for j in range(n)] for i in range(n)]

    k, m = gram(x), gram(y)
    trace = sum(k[i][j] * m[j][i] for i in range(n) for j in range(n))
    all_k, all_m = sum(map(sum, k)), sum(map(sum, m))
    cross = sum(k[i][j] * m[j][h] for i in range(n) for j in range(n) for h in range(n))
    return (trace + all_k * all_m / (n - 1) / (n - 2) - 2 * cross / (n - 2)) / (n * (n - 3))


def biased_cka(x, y):
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return ((x.T @ y) ** 2).sum() / np.sqrt(((x.T @ x) ** 2).sum() * ((y.T @ y) ** 2).sum())


@pytest.mark.parametrize(("n", "p", "q"), [(4, 3, 2), (5, 1, 1), (9, 30, 4), (12, 2, 40)])
def test_cka_is_the_formula_by_loops(n, p, q):
    rng = np.random.default_rng(n)
    x = rng.normal(3, 2, (n, p))
    y = rng.normal(size=(n, q)) + x[:, :1]
    expected = hsic_by_loops(x, y) / np.sqrt(hsic_by_loops(x, x) * hsic_by_loops(y, y))
    value, reason = linear_cka(x, y)
    assert value == pytest.approx(expected, abs=1e-9)
    assert reason == ""
    assert linear_cka(y, x)[0] == pytest.approx(value, abs=1e-12)


def test_the_same_up_to_rotation_shift_and_scale_is_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 6))
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    for y in (x, -x, 1e6 * x, 1e-6 * x, x @ rotation, 3 * x @ rotation + 7):
        assert linear_cka(x, y)[0] == pytest.approx(1, abs=1e-9)
    assert linear_cka(x, x * [9, 1, 1, 1, 1, 1])[0] < 0.9


def test_unrelated_features_are_near_zero_though_channels_outnumber_examples():
    rng = np.random.default_rng(1)
    pairs = [(rng.normal(size=(32, 200)), rng.normal(size=(32, 200))) for _ in range(100)]
    values = [linear_cka(x, y)[0] for x, y in pairs]
    assert abs(np.mean(values)) < 0.01
    assert np.min(values) < 0 < np.max(values)
    assert np.mean([biased_cka(x, y) for x, y in pairs[:10]]) > 0.8


def test_with_many_examples_it_is_the_plain_one():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1500, 3))
    y = np.concatenate([x[:, :1], rng.normal(size=(1500, 2))], axis=1)
    assert linear_cka(x, y)[0] == pytest.approx(biased_cka(x, y), abs=0.005)
    assert biased_cka(x, y) == pytest.approx(1 / 3, abs=0.05)


def test_opposite_similarities_are_negative():
    # x sets two pairs of four apart, y two other pairs: what is alike in one is unlike in the other.
    value, _ = linear_cka(np.array([[1.0], [1], [-1], [-1]]), np.array([[1.0], [-1], [1], [-1]]))
    assert value == pytest.approx(-0.5)


def test_sixteen_and_thirty_two_bit_features_are_summed_in_sixty_four():
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(40, 500)) * 100).astype(np.float16)
    y = (rng.normal(size=(40, 300)) + x[:, :1] / 50).astype(np.float32)
    wide = linear_cka(x.astype(np.float64), y.astype(np.float64))[0]
    assert linear_cka(x, y)[0] == wide
    assert linear_cka(x, x)[0] == pytest.approx(1)


@pytest.mark.parametrize(("scale", "shift"), [(1e-200, 0.0), (1e-3, 1e6), (1e150, 0.0)])
def test_neither_unit_nor_origin_of_the_features_matters(scale, shift):
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(12, 4)), rng.normal(size=(12, 5))
    expected, _ = linear_cka(x, y)
    assert linear_cka(scale * x + shift, y) == (pytest.approx(expected, rel=1e-5), "")


@pytest.mark.parametrize("n", [0, 1, 3])
def test_fewer_than_four_examples_are_too_few(n):
    rng = np.random.default_rng(4)
    assert linear_cka(rng.normal(size=(n, 2)), rng.normal(size=(n, 2))) == (
        None,
        f"{n} examples: the unbiased estimate needs at least 4",
    )


@pytest.mark.parametrize(
    "dull",
    [
        np.zeros((5, 2)),
        np.full((5, 3), 0.1),
        np.full((5, 3), 1e300),
        np.zeros((5, 0)),
        np.array([[0.1, 0.7]] * 4 + [[2, 3]]),
    ],
    ids=["zero", "constant", "huge", "no channel", "all but one"],
)
def test_features_that_do_not_tell_examples_apart_have_no_alignment(dull):
    x = np.random.default_rng(5).normal(size=(5, 3))
    why = "features are the same for all examples but one, or for all"
    assert linear_cka(dull, x) == (None, f"the first {why}")
    assert linear_cka(x, dull) == (None, f"the second {why}")


def test_features_that_are_not_finite_are_counted():
    x = np.random.default_rng(6).normal(size=(5, 3))
    bad = x.copy()
    bad[1] = np.inf
    bad[3, 0] = np.nan
    assert linear_cka(x, bad) == (None, "2 of 5 examples have second features that are not finite")
    assert linear_cka(bad, x) == (None, "2 of 5 examples have first features that are not finite")


def test_features_of_other_examples_are_refused():
    with pytest.raises(MedbenchError, match=r"^features of 5 and of 6 examples cannot be compared"):
        linear_cka(np.zeros((5, 2)), np.zeros((6, 2)))


features = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=5, max_side=5),
    elements=st.sampled_from([0.0, 1.0, -1.0, 0.1]) | st.floats(-1e150, 1e150),
)


@settings(deadline=None)
@given(x=features, y=features)
def test_whatever_the_features_the_value_is_in_its_range_or_has_a_reason(x, y):
    value, reason = linear_cka(x, y)
    if value is None:
        assert reason
    else:
        assert -1 <= value <= 1
        assert reason == ""
        assert linear_cka(x, x)[0] == pytest.approx(1)


def test_stages_are_compared_one_by_one_from_start_to_end():
    rng = np.random.default_rng(7)
    x = {stage: rng.normal(size=(8, 3)).astype(np.float16) for stage in ("root", "block1", "pre_logits")}
    stored = {f"start/{stage}": values for stage, values in x.items()}
    stored |= {f"end/{stage}": values for stage, values in x.items()}
    stored["end/block1"] = rng.normal(size=(8, 3)).astype(np.float16)
    assert list(at(stored, "end")) == ["root", "block1", "pre_logits"]
    alike = cka_by_stage(at(stored, "start"), at(stored, "end"))
    assert list(alike) == ["root", "block1", "pre_logits"]
    assert alike["root"] == alike["pre_logits"] == (pytest.approx(1), "")
    assert alike["block1"] == linear_cka(stored["start/block1"], stored["end/block1"])
    assert alike["block1"][0] < 0.9


def test_stages_of_another_architecture_are_refused():
    x = np.zeros((5, 2))
    said = r"^features are of the stages a, c and a, b: expected the same\.$"
    with pytest.raises(MedbenchError, match=said):
        cka_by_stage({"a": x, "c": x}, {"a": x, "b": x})


# Steps to a share of the final score.


def test_on_a_line_the_share_of_the_way_is_the_share_of_the_steps():
    trace = [(0, 0.5), (50, 0.7), (100, 0.9)]
    for share in (0.1, 0.25, 0.5, 0.9, 1.0):
        step, reason = steps_to_share(trace, share, 0.9)
        assert step == pytest.approx(100 * share)
        assert reason == ""


def test_the_first_crossing_counts_and_lies_between_its_neighbours():
    trace = [(10, 0.5), (20, 0.6), (40, 0.8), (60, 0.6), (80, 0.9)]
    assert steps_to_share(trace, 0.5, 0.9)[0] == pytest.approx(30)
    assert steps_to_share(trace, 0.75, 0.9)[0] == pytest.approx(40)
    assert steps_to_share(trace, 0.8, 0.9)[0] == pytest.approx(60 + 20 * (0.82 - 0.6) / 0.3)


def test_a_plateau_before_the_crossing_is_left_at_its_end():
    assert steps_to_share([(0, 0.5), (10, 0.5), (20, 0.7)], 0.5, 0.7)[0] == pytest.approx(15)


def test_losses_fall():
    trace = [(0, 2.0), (10, 1.0), (20, 0.5)]
    assert steps_to_share(trace, 0.5, 0.0, higher_is_better=False)[0] == pytest.approx(10)
    assert steps_to_share(trace, 1.0, 0.5, higher_is_better=False)[0] == pytest.approx(20)
    assert steps_to_share(trace, 1.0, 0.5)[1] == "the final score, 0.5, is no better than the first, 2"


def test_scores_that_are_undefined_are_passed_over():
    trace = [(0, None), (5, 0.5), (10, None), (12, float("nan")), (15, 0.7)]
    assert steps_to_share(trace, 0.5, 0.7)[0] == pytest.approx(10)
    assert steps_to_share(trace[:2], 0.5, 0.7) == (
        None,
        "1 of 2 scores in the trace are defined: at least 2 are needed",
    )
    assert steps_to_share([], 0.5, 0.7)[0] is None


@pytest.mark.parametrize("final", [0.5, np.nextafter(0.5, 1), 0.4, float("nan"), float("inf")])
def test_without_a_gain_there_is_no_way(final):
    step, reason = steps_to_share([(0, 0.5), (10, 0.5), (20, 0.9)], 0.5, final)
    assert step is None
    assert reason == f"the final score, {final:.4g}, is no better than the first, 0.5"


def test_a_share_that_is_never_reached_has_no_step():
    trace = [(0, 0.5), (10, 0.6), (20, 0.65)]
    assert steps_to_share(trace, 0.9, 0.9) == (
        None,
        "no score reached 0.86, 0.9 of the way to the final score",
    )
    falling = [(step, -score) for step, score in trace]
    assert steps_to_share(falling, 0.9, -0.9, higher_is_better=False) == (
        None,
        "no score reached -0.86, 0.9 of the way to the final score",
    )


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_beyond_the_way_is_refused(share):
    with pytest.raises(MedbenchError, match="expected above 0 and up to 1"):
        steps_to_share([(0, 0.5), (10, 0.6)], share, 0.6)


@pytest.mark.parametrize("steps", [(10, 10), (10, 5)])
def test_steps_that_do_not_increase_are_refused(steps):
    with pytest.raises(MedbenchError, match=f"^steps are {steps[0]}, {steps[1]}: expected them to increase"):
        steps_to_share([(step, 0.5) for step in steps], 0.5, 0.6)


@settings(deadline=None)
@given(
    scores=st.lists(st.none() | st.floats(0, 1), max_size=6),
    share=st.sampled_from([0.01, 0.5, 0.9, 1.0]),
    final=st.floats(0, 1),
)
def test_whatever_the_trace_a_step_lies_within_it_or_has_a_reason(scores, share, final):
    step, reason = steps_to_share([(10 * i, score) for i, score in enumerate(scores)], share, final)
    assert (step is None) == bool(reason)
    if step is not None:
        assert 0 <= step <= 10 * (len(scores) - 1)


# Of a run.


def of_run(spec, **known):
    """The metric of a run whose record knows this; its predictions are beside the point."""
    sample = Sample(scored([0, 1, 1], [0.0, 1.0, 2.0]), record=runs.record(**known) if known else None)
    return evaluate(metric_named("it", {"it": spec}), sample)


def reuse(stage, known):
    return of_run(FeatureReuse(stage=stage), feature_reuse=known)


def test_the_reuse_of_a_stage_is_what_the_record_has():
    known = {"root": 0.9, "block4": -0.25, "pre_logits": 0.0}
    for stage, value in known.items():
        assert reuse(stage, known) == (value, "")


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({}, "the run's record has no reuse of stage `block4`"),
        (
            {"root": 0.9, "block1": 1.0},
            "the run's record has no reuse of stage `block4`; there are root, block1",
        ),
        ({"root": 0.9, "block4": None}, "the run's record has no reuse of stage `block4`"),
    ],
)
def test_a_stage_without_reuse_has_no_value_but_a_reason(known, why):
    assert reuse("block4", known) == (None, why)
    assert of_run(FeatureReuse(stage="block4")) == (None, "the run's record has no reuse of stage `block4`")


def trace(*scores):
    """Validation scores after so many steps, as a record has them: by the last step, counted from 0."""
    return [Validation(step=after - 1, value=score) for after, score in scores]


def steps(*scores, share=0.9):
    return of_run(StepsToShare(share=share), validation=trace(*scores))


@pytest.mark.parametrize(("share", "step"), [(0.1, 10), (0.5, 50), (0.9, 90), (1.0, 100)])
def test_a_score_that_rises_evenly_from_chance_comes_a_share_of_the_way_in_that_share_of_the_steps(
    share, step
):
    assert steps((25, 0.6), (50, 0.7), (100, 0.9), share=share) == (pytest.approx(step), "")
    assert steps((100, 0.9), share=share) == (pytest.approx(step), ""), "only the end was scored"


def test_a_score_that_is_near_its_end_at_once_takes_few_steps():
    # .86 is nine tenths of the way from .5 to .9, and eighteen nineteenths of that from .5 to .88.
    assert steps((10, 0.88), (100, 0.9)) == (pytest.approx(10 * 0.36 / 0.38), "")
    assert steps((10, 0.86), (100, 0.9)) == (pytest.approx(10), "")


def test_a_score_that_falls_below_chance_first_is_passed_from_there():
    assert steps((10, 0.4), (20, 0.9)) == (pytest.approx(10 + 10 * 0.46 / 0.5), "")


def test_the_first_crossing_counts_though_the_score_falls_back():
    assert steps((10, 0.9), (50, 0.5), (100, 0.9)) == (pytest.approx(9), "")


def test_a_step_without_a_score_is_passed_over_but_the_last_one_is_needed():
    assert steps((10, None), (100, 0.9)) == (pytest.approx(90), "")
    no_end = "the run's record has no validation score in the end"
    assert steps((10, 0.8), (100, None)) == (None, no_end)
    assert steps() == (None, no_end)
    assert of_run(StepsToShare()) == (None, no_end)


@pytest.mark.parametrize("end", [0.5, 0.3])
def test_a_run_that_ends_no_better_than_chance_has_no_steps(end):
    assert steps((50, 0.7), (100, end)) == (
        None,
        f"the final score, {end:g}, is no better than the first, 0.5",
    )


@settings(deadline=None)
@given(
    scores=st.lists(st.none() | st.floats(0, 1), max_size=6),
    share=st.sampled_from([0.01, 0.5, 0.9, 1.0]),
)
def test_whatever_a_run_was_scored_its_steps_are_above_0_and_within_its_own_or_have_a_reason(scores, share):
    value, reason = steps(*((10 * (i + 1), score) for i, score in enumerate(scores)), share=share)
    assert (value is None) == bool(reason)
    if value is not None:
        assert 0 < value <= 10 * len(scores)


@pytest.mark.parametrize("spec", [FeatureReuse(stage="root"), FeatureReuse(stage="block1"), StepsToShare()])
def test_no_choice_of_patients_moves_what_is_known_of_a_run(spec):
    sample = Sample(scored([0, 1, 1], [0.0, 1.0, 2.0]), record=runs.record())
    weights = np.random.default_rng(0).integers(0, 3, (7, 3)).astype(float)
    of_all = metric_named("it", {"it": spec}).values(sample, weights)
    value, reason = evaluate(metric_named("it", {"it": spec}), sample)
    assert of_all.values.tolist() == [value or 0.0] * 7
    assert of_all.defined.tolist() == [value is not None] * 7
    assert of_all.reason == reason
