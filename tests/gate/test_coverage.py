"""Studies of known truth: the truth is right, intervals are medbench's, and certificates are deserved."""

import numpy as np
import pytest
from scipy.stats import norm

from medbench.gate import coverage
from medbench.gate.coverage import Population, Tally, certified, promised, together
from medbench.metrics import evaluate, metric_named
from medbench.stats.interval import Spread


def held(studies: int, hits: int) -> Tally:
    """A cell with so many intervals that hold."""
    return Tally(studies=studies, hits={coverage.NOMINAL: hits, coverage.PRINTED: hits})


def cells(**rates: int) -> dict:
    """Of metric `x`, 1,000 studies at 100 and 200 patients with 3, 5 and 10 seeds: hits of each cell."""
    return {
        ("x", patients, seeds): held(1000, rates.get(f"p{patients}s{seeds}", 950))
        for patients in (100, 200)
        for seeds in (3, 5, 10)
    }


@pytest.mark.parametrize("step", [0.01, 0.5])
@pytest.mark.parametrize("metric", coverage.SMOOTH)
def test_the_truth_is_that_of_a_very_large_study(metric, step):
    population = Population(
        separations=np.array([0.8, 1.5]),
        between_seeds=0.3,
        prevalence=0.2,
        images=2,
        correlation=0.5,
        by_patient=False,
        step=step,
        slope=1.2,
    )
    deviates = norm.ppf((np.arange(20) + 0.5) / 20)
    study = population.draw(15_000, np.tile(deviates, (2, 1)), np.random.default_rng(0))
    values = [[evaluate(metric_named(metric), s)[0] for s in arm] for arm in study.samples]
    assert population.truth(metric) == pytest.approx(np.mean(values, axis=1), rel=0.015)


def test_an_interval_that_is_wide_enough_is_told_from_one_that_is_not():
    random = np.random.default_rng(0)
    right, narrow = Tally(), Tally()
    for estimate in random.normal(size=4000):
        right.add(estimate, Spread(1.0, 0.0, 10**6, 2), 0.0)
        narrow.add(estimate, Spread(0.25, 0.0, 10**6, 2), 0.0)
    assert right.hits["nominal 95 %"] / 4000 == pytest.approx(0.95, abs=0.012)
    assert right.hits["printed 90 %"] / 4000 == pytest.approx(0.90, abs=0.015)
    assert right.of_oracle == pytest.approx(1, abs=0.05)
    assert narrow.of_oracle == pytest.approx(0.5, abs=0.03)
    assert right.width / 4000 == pytest.approx(2 * 1.96, rel=0.01)


def test_one_estimate_in_hand_hits_or_misses_by_the_t_quantile():
    """Two seeds 0 and 1, no noise of patients: t with one degree of freedom, 12.7 and 6.31, times .5."""
    spread = Spread.of([0.0, 1.0], patients=0.0, n_patients=50)
    for truth, hits in ((0.5 + 6.3, [1, 0]), (0.5 + 3.1, [1, 1]), (0.5 - 6.4, [0, 0])):
        tally = Tally()
        tally.add(0.5, spread, truth)
        assert list(tally.hits.values()) == hits


def test_a_metric_is_certified_where_every_promised_cell_holds_often_enough():
    assert certified(cells(), "x")
    assert certified(cells(p100s3=930, p200s3=970), "x")
    assert not certified(cells(p100s3=929, p200s3=970), "x")
    assert not certified(cells(), "y")


def test_cells_together_must_leave_no_doubt():
    lucky = cells(p100s5=935, p200s5=935)  # 93.5 % of 2,000 studies may be 92.3 % in truth
    assert not certified(lucky, "x")
    more = {
        cell: held(10 * tally.studies, 10 * tally.hits[coverage.NOMINAL]) for cell, tally in lucky.items()
    }
    assert certified(more, "x")
    assert together(promised(lucky, "x"), 5)["rate"] == 0.935
    assert together(promised(lucky, "x"), 3)["rate"] == 0.95


def test_cells_where_nothing_is_promised_do_not_count():
    few = {("x", 50, 5): held(1000, 500), ("x", 100, 2): held(1000, 500), ("z", 100, 5): held(1000, 0)}
    assert certified(cells() | few, "x")
    assert promised(cells() | few, "x").keys() == {(p, s) for p in (100, 200) for s in (3, 5, 10)}


def test_every_promised_number_of_seeds_must_have_been_studied():
    assert not certified({cell: tally for cell, tally in cells().items() if cell[2] != 10}, "x")


def test_studies_of_areas_and_scores_are_counted_in_every_cell():
    found = coverage.grid(100, 3, np.random.default_rng(0))
    metrics = {f"{delta}{name}" for name in coverage.SMOOTH for delta in ("", "delta ")}
    assert found.keys() == {(metric, 100, seeds) for metric in metrics for seeds in coverage.SEEDS}
    assert {tally.studies for tally in found.values()} == {3}


def test_other_metrics_are_studied_by_the_bootstrap():
    found = coverage.candidates(100, 3, 4, np.random.default_rng(0), ("ece",))
    assert found.keys() == {("delta ece", 100, 3)}
    assert found["delta ece", 100, 3].studies == 4


def test_the_rarer_class_is_counted_in_patients():
    population = coverage.any_population(100, np.random.default_rng(0))
    study = population.draw(100, np.zeros((2, 1)), np.random.default_rng(0))
    expected = min(len(set(study.patient[study.labels == value])) for value in (0, 1))
    assert study.rarer == expected
