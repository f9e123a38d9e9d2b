"""What a metric sees of a run when an item is judged: the set, the validation set, home with the shift."""

import numpy as np
import pytest

from medbench import judge as judging
from medbench.judge import judge
from medbench.metrics import Metric
from medbench.metrics.estimates import Estimates
from medbench.spec.metrics import CalibrationError, OutOfDistributionAuc, RocAuc, WorstGroup
from tests.judging import FakeRun, claim, planned, scored, study

LABELS = np.arange(30) % 2


@pytest.fixture
def seen(monkeypatch):
    """Judges by a metric that keeps the samples it is given."""

    def judged(spec, runs, *, evaluation_set="id", inner=None):
        samples = []

        def values(sample, weights):
            samples.append(sample)
            assert weights.shape[1] == len(sample)
            return Estimates(np.full(len(weights), 0.5), np.ones(len(weights), dtype=bool))

        metric = Metric("ours", spec, True, 0.0, 1.0, values, inner)
        monkeypatch.setattr(judging, "metric_named", lambda *_: metric)
        return judge(planned(evaluation_set=evaluation_set), claim(), runs), samples

    return judged


def run_with(*, evaluation_set="icu", home=20, validation=8):
    """A run scored on a shift, at home, and on the validation set, all of other patients."""

    def predictions(name, n):
        patients = [f"{name}{i}" for i in range(n)]
        sex = {"sex": np.full(n, "f")}
        return scored(
            LABELS[:n], np.linspace(0, 1, n), patients=patients, evaluation_set=name, attributes=sex
        )

    others = {"id": predictions("id", home), "validation": predictions("validation", validation)}
    return FakeRun(predictions(evaluation_set, 30), others=others)


def runs():
    return {arm: {seed: run_with() for seed in (1, 2, 3)} for arm in ("baseline", "treatment")}


def test_most_metrics_see_the_evaluation_set_alone(seen):
    result, samples = seen(RocAuc(), runs(), evaluation_set="icu")
    assert {(len(sample), sample.validation, sample.shifted) for sample in samples} == {(30, None, None)}
    assert result.n_images == 30


def half(sample, weights):
    return Estimates(np.full(len(weights), 0.5), np.ones(len(weights), dtype=bool))


@pytest.mark.parametrize("nested", [False, True])
def test_what_is_fitted_on_the_validation_set_sees_it_whole(seen, nested):
    spec, inner = CalibrationError(temperature=True), None
    if nested:
        inner = Metric("inner", spec, False, 0.0, 1.0, values=half)
        spec = WorstGroup(of="inner", attributes=["sex"])
    _, samples = seen(spec, runs(), evaluation_set="icu", inner=inner)
    assert {sample.validation.evaluation_set for sample in samples} == {"validation"}
    assert {(len(sample), len(sample.validation)) for sample in samples} == {(30, 8)}


def test_telling_a_shift_from_home_sees_both(seen):
    result, samples = seen(OutOfDistributionAuc(), runs(), evaluation_set="icu")
    for sample in samples:
        np.testing.assert_array_equal(sample.shifted, [False] * 20 + [True] * 30)
        assert set(sample.predictions.patient[:20]) == {f"id{i}" for i in range(20)}
    assert result.n_images == result.n_patients == 50


def test_at_home_there_is_no_shift_to_tell(seen):
    result, samples = seen(OutOfDistributionAuc(), study())
    assert (result.state, result.verdict, samples) == ("missing", None, [])
    assert result.reason == "ours tells a shift from `id`, so on `id` itself there is nothing to tell apart"
