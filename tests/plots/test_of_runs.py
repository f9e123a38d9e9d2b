"""Figures of runs, against scikit-learn and closed forms."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from msgspec.structs import replace
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from medbench.metrics.registry import metric_named
from medbench.plots import of_runs
from medbench.record import Step
from tests import judging, runs

AUC = metric_named("roc_auc")
N = 400


@dataclass
class Run:
    """A stored run with noisy scores."""

    seed: int
    made: dict = field(default_factory=dict)

    @property
    def record(self):
        return runs.record(**self.made)

    origin = "trained"

    @property
    def labels(self):
        return np.arange(N) % 2

    @property
    def scores(self):
        return np.random.default_rng(self.seed).normal(size=N) + self.labels

    @property
    def sex(self):
        return np.where(np.arange(N) % 8 < 6, "f", "m")

    def predictions(self, evaluation_set):
        assert evaluation_set == "id"
        return judging.scored(
            self.labels,
            self.scores,
            attributes={"sex": self.sex, "rare": np.array(["a"] * (N - 5) + ["b"] * 5)},
        )

    @property
    def probability(self):
        return 1 / (1 + np.exp(-self.scores.astype(np.float32).astype(np.float64)))


@pytest.fixture
def pair():
    return [Run(1), Run(2)]


def test_a_reliability_diagram_is_that_of_all_seeds_together(pair):
    chart = of_runs.calibration("chest", {"bit": pair}, [])
    positive, probability = calibration_curve(
        np.concatenate([run.labels for run in pair]),
        np.concatenate([run.probability for run in pair]),
        n_bins=15,
    )
    points = chart.series[0].points
    np.testing.assert_allclose([p.x for p in points], probability, rtol=1e-12)
    np.testing.assert_allclose([p.y for p in points], positive, rtol=1e-12)
    assert sum(int(p.label.split()[0]) for p in points) == 2 * N


def test_risk_at_full_coverage_is_the_error_rate_and_curves_are_means_over_seeds(pair):
    chart = of_runs.rejection("chest", {"bit": pair}, [])
    wrong = [np.mean((run.scores > 0) != run.labels) for run in pair]
    last = chart.series[0].points[-1]
    assert last.x == 1
    assert last.y == pytest.approx(np.mean(wrong))
    alone = [of_runs.rejection("chest", {"bit": [run]}, []).series[0].points for run in pair]
    for both, one, other in zip(chart.series[0].points, *alone, strict=True):
        assert both.y == pytest.approx((one.y + other.y) / 2)


def test_sub_groups_have_the_metric_of_their_own_examples_and_small_ones_are_left_out(pair):
    [forest] = of_runs.sub_groups("chest", {"bit": pair}, [], AUC, ["sex", "rare", "unheard-of"])[:1]
    expected = {
        group: [roc_auc_score(run.labels[run.sex == group], run.scores[run.sex == group]) for run in pair]
        for group in ("f", "m")
    }
    assert [row.label for row in forest.rows] == ["f (300 patients), bit", "m (100 patients), bit"]
    for row, values in zip(forest.rows, expected.values(), strict=True):
        assert (row.value, row.low, row.high) == pytest.approx((np.mean(values), min(values), max(values)))


def test_an_attribute_that_predictions_lack_or_whose_groups_are_small_has_no_row_of_them(pair):
    forests = of_runs.sub_groups("chest", {"bit": pair}, [], AUC, ["rare", "unheard-of"])
    assert [[row.label for row in forest.rows] for forest in forests] == [["a (395 patients), bit"]]


def test_reuse_is_by_stage_from_the_image_to_the_head_without_what_is_undefined():
    kept = [
        {"feature_reuse": {"block1": 0.8, "root": 0.9, "pre_logits": None}},
        {"feature_reuse": {"block1": 0.6, "root": 0.9, "pre_logits": None}},
    ]
    chart = of_runs.reuse(
        "chest", {"bit": [Run(1, made) for made in kept], "other": [Run(1, {"feature_reuse": {}})]}
    )
    [series] = chart.series
    assert [(p.x, p.y, p.low, p.high) for p in series.points] == [
        (0, 0.9, 0.9, 0.9),
        (1, pytest.approx(0.7), 0.6, 0.8),
    ]
    assert chart.x.names[1] == "block1"


def test_loss_is_by_step_over_the_seeds_that_logged_it():
    def run(*losses):
        return Run(
            1, {"trace": [Step(step=10 * i, loss=each, learning_rate=0.1) for i, each in enumerate(losses)]}
        )

    chart = of_runs.loss("chest", {"bit": [run(0.8, 0.4), run(0.6)]})
    assert [(p.x, p.y, p.low, p.high) for p in chart.series[0].points] == [
        (0, pytest.approx(0.7), 0.6, 0.8),
        (10, 0.4, 0.4, 0.4),
    ]


def test_runs_without_anything_to_draw_have_no_figure():
    empty = Run(1, {"trace": [], "feature_reuse": {}})
    assert of_runs.loss("chest", {"bit": [empty]}) is None
    assert of_runs.reuse("chest", {"bit": [empty]}) is None
    for draw in (of_runs.calibration, of_runs.rejection):
        assert draw("chest", {}, []) is None


def test_scores_that_are_no_numbers_are_left_out(pair, monkeypatch):
    sound = pair[0].predictions("id")
    broken = np.full_like(sound.logits, np.nan)
    monkeypatch.setattr(
        Run, "predictions", lambda *_: judging.Predictions(**{**vars(sound), "logits": broken})
    )
    assert of_runs.calibration("chest", {"bit": pair}, []) is None
    assert of_runs.rejection("chest", {"bit": pair}, []) is None
    assert of_runs.sub_groups("chest", {"bit": pair}, [], AUC, ["sex"]) == []


def test_the_spec_of_a_run_is_usual_with_all_patients_and_the_tier_s_recipe():
    usual = runs.spec()
    assert usual.is_usual
    assert not replace(usual, fraction=0.5).is_usual
    assert not replace(usual, own_recipe=True).is_usual
