"""The gate's measurement: the short version in full, and its pieces against closed forms and brute force."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, norm

from medbench.cli import main
from medbench.expect import load
from medbench.gate import coverage, nights, planted, rates
from medbench.gate.coverage import Population, Tally
from medbench.gate.parts import QUICK, Sizes, plan, simulate
from medbench.gate.report import oracle, rate
from medbench.gate.worlds import ITEMS, LikeStored, area_deviation, of_grid
from medbench.metrics import evaluate, metric_named
from medbench.stats.interval import Spread
from medbench.stats.prediction import FALSE_ALARMS

ROOT = Path(__file__).parents[2] / "expectations"


@pytest.fixture(scope="module")
def expectations():
    return load(ROOT, "embedded")


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The short version, as a person runs it."""
    folder = tmp_path_factory.mktemp("gate")
    where = ["--expectations", str(ROOT), "--json", str(folder / "g.json"), "--write", str(folder / "g.md")]
    status = main(["validate-gate", "--quick", *where])
    return status, json.loads((folder / "g.json").read_text()), (folder / "g.md").read_text()


def found(report, **wanted):
    (one,) = [d for d in report["detection"] if all(d[key] == value for key, value in wanted.items())]
    return one


def test_unchanged_nights_do_not_alarm_significantly_more_often_than_designed(quick):
    status, report, _ = quick
    assert status == 0
    alarm = report["false_alarm"]
    assert {"rate", "low", "high", "nights"} <= alarm.keys()
    assert alarm["nights"] == QUICK.nights
    assert alarm["rate"] == max(kind["rate"] for kind in alarm["by"])
    assert len(alarm["by"]) == 6
    assert alarm["low"] <= FALSE_ALARMS


def test_planted_changes_are_caught(quick):
    _, report, _ = quick
    fall = found(report, change="AUC drop", size=0.01, night="same seeds", arms="one arm", worlds="stored")
    assert fall["rate"] == 1
    runs = {"worlds": "stored runs", "night": "same seeds"}
    slight = {("calibration drift (temperature)", 1.5), ("labels flipped", 0.01), ("labels flipped", 0.05)}
    for change, size in planted.CHANGES:
        rates_ = [found(report, **runs, change=change, size=size, metric=m)["rate"] for m in planted.METRICS]
        assert rates_[0] == (change not in {planted.NOTHING, "calibration drift (temperature)"})
        if (change, size) not in slight:  # Brier and NLL move by more than these from core to core
            assert min(rates_[1:]) >= 0.8 if change != planted.NOTHING else max(rates_[1:]) == 0
    large = found(report, change="AUC drop", size=0.05, night="new seeds", arms="both arms", worlds="stored")
    assert large["rate"] > 0.8


def test_the_record_says_which_intervals_are_certified_and_how_wide_they_are(quick):
    _, report, page = quick
    cells = report["coverage"]
    wanted = {"metric", "certified", "n_patients", "n_seeds", "rate", "low", "high", "width"}
    assert all(wanted <= cell.keys() for cell in cells)
    assert {cell["n_seeds"] for cell in cells} == set(coverage.SEEDS)
    assert all(cell["low"] <= cell["rate"] <= cell["high"] for cell in cells)
    for bar in report["bars"]:
        assert f"| {bar['what']} | {bar['wanted']} | {bar['measured']} |" in page
    assert "| seeds | caught (one arm, worlds like the stored runs) |" in page


def test_figures_follow_from_the_seed_whatever_the_workers():
    sizes = Sizes(
        nights=2,
        changed=1,
        sets=1,
        nights_each=1,
        planted_sets=0,
        agreement=0,
        studies={100: 3},
        candidates={},
    )
    one, again, two, other = (
        simulate(sizes, ROOT, "embedded", seed=seed, workers=workers, say=lambda line: None)
        for seed, workers in ((1, 1), (1, 1), (1, 2), (2, 1))
    )
    assert one == again == two
    assert one != other


def test_every_night_and_study_of_the_plan_is_in_some_part():
    parts = plan(Sizes())
    for worlds in ("stored", "grid"):
        assert (
            sum(p.arguments[1] for p in parts if p.name == "unchanged" and p.arguments[0] == worlds) == 4000
        )
    for patients, studies in Sizes().studies.items():
        of_size = [p.arguments[1] for p in parts if p.name == "grid" and p.arguments[0] == patients]
        assert sum(of_size) == studies
    assert [p.seconds for p in parts] == sorted((p.seconds for p in parts), reverse=True)


def test_a_folder_without_accepted_values_is_named(tmp_path, capsys):
    assert main(["validate-gate", "--expectations", str(tmp_path)]) == 2
    assert f"{tmp_path}/embedded: no accepted values" in capsys.readouterr().err


def test_a_number_of_nights_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["validate-gate", "--nights", "few"])
    assert "expected a whole number of at least 1, not `few`" in capsys.readouterr().err


@pytest.mark.parametrize(("hits", "of"), [(0, 40), (3, 40), (40, 40)])
def test_intervals_of_rates_are_those_of_clopper_and_pearson(hits, of):
    result = rate(hits, of)
    assert result["rate"] == hits / of
    assert result["low"] == pytest.approx(beta.ppf(0.025, hits, of - hits + 1) if hits else 0)
    assert result["high"] == pytest.approx(beta.ppf(0.975, hits + 1, of - hits) if hits < of else 1)


def test_the_oracle_is_a_normal_test_of_known_deviations():
    draw = np.random.default_rng(0)
    critical = norm.isf((1 - 0.96 ** (1 / 18)) / 2)
    shift = (draw.normal(3, 5**-0.5, 200_000) - draw.normal(0, 5**-0.5, 200_000)) / (2 / 5) ** 0.5
    assert oracle(5) == pytest.approx(np.mean(shift > critical), abs=0.003)


def test_drawn_seeds_have_the_deviations_and_the_correlation_of_their_world(expectations):
    random = np.random.default_rng(0)
    world = LikeStored(expectations)(random)
    values = world.draw(random, 20_000)
    assert values.mean(axis=-1) == pytest.approx(world.means, abs=0.001)
    assert values.std(axis=-1) == pytest.approx(world.deviations, rel=0.03)
    assert np.corrcoef(values[0, 0], values[1, 0])[0, 1] == pytest.approx(0.32, abs=0.03)
    assert np.corrcoef(values[0, 0], values[3, 0])[0, 1] == pytest.approx(0, abs=0.03)
    assert np.corrcoef(values[0, 0], values[0, 1])[0, 1] == pytest.approx(0, abs=0.03)


def test_worlds_like_the_stored_runs_spread_as_those_do(expectations):
    random = np.random.default_rng(0)
    make = LikeStored(expectations)
    simulated = [np.log(make(random).draw(random, 5).std(axis=-1, ddof=1)).ravel() for _ in range(300)]
    stored = np.log(
        [
            np.std(list(e.values(arm).values()), ddof=1)
            for e in expectations.accepted
            for arm in ("baseline", "treatment")
        ]
    )
    assert np.mean(simulated) == pytest.approx(np.mean(stored), abs=0.15)
    assert np.std(simulated) == pytest.approx(np.std(stored), rel=0.25)


def test_the_grid_has_areas_ties_and_noise_as_wide_as_practice():
    random = np.random.default_rng(0)
    worlds = [of_grid(random) for _ in range(200)]
    means = np.array([world.means for world in worlds])
    assert means.min() >= 0.6
    assert means.max() <= 0.99
    assert min(world.n_patients.min() for world in worlds) >= 20
    assert any(np.any(np.diff(np.sort(w.draw(random, 20)), axis=-1) == 0) for w in worlds)


def test_the_deviation_of_an_area_is_that_of_drawn_test_sets():
    random = np.random.default_rng(0)
    shift = norm.ppf(0.8) * 2**0.5
    areas = [
        np.mean(random.normal(shift, 1, 60)[:, None] > random.normal(0, 1, 90)[None, :]) for _ in range(4000)
    ]
    expected = area_deviation(np.array(0.8), np.array(60.0), np.array(90.0))
    # Their formula takes the scores for exponential, which errs on the wide side here.
    assert np.std(areas) == pytest.approx(expected, rel=0.08)


def test_a_night_is_red_when_a_band_is_left_or_a_verdict_flips(expectations):
    random = np.random.default_rng(0)
    world = LikeStored(expectations)(random)
    values = world.draw(random, 5)
    accepted = nights.accept(world, values, expectations.calibration)
    seeds = np.arange(1, 6)
    assert not nights.alarms(world, values, seeds, accepted).any()
    values[4, 1, 2] += 0.003
    assert nights.alarms(world, values, seeds, accepted).tolist() == [i == 4 for i in range(ITEMS)]
    values[4, 1, 2] -= 0.003
    values[0] = values[0, ::-1]
    assert nights.alarms(world, values, seeds, accepted)[0]


def test_numeric_noise_has_a_calibrated_difference_as_its_usual_largest(expectations):
    random = np.random.default_rng(0)
    rows = tuple(row for row in expectations.calibration if row.metric == "roc_auc@1")[:1]
    largest = [np.abs(nights.numeric_noise(rows, random)((90,))).max() for _ in range(500)]
    assert np.median(largest) == pytest.approx(rows[0].largest_difference, rel=0.1)


def test_the_shortcut_by_values_agrees_with_full_predictions(expectations):
    study = planted.Study(ROOT, "embedded", expectations)
    counts, items = planted.agreement(study, 4, np.random.default_rng(0))
    assert items == 4 * ITEMS
    assert counts["same alarm"] == items
    assert counts["same verdict"] >= 0.9 * items


def test_new_runs_scatter_as_the_stored_ones_do(expectations):
    study = planted.Study(ROOT, "embedded", expectations)
    random, metric = np.random.default_rng(0), metric_named("roc_auc")
    nights_drawn = [study.mixtures(random) for _ in range(6)]
    ratios = []
    for item in expectations.accepted:
        drawn = [study.seeds(item, mixed)["baseline"].values() for mixed in nights_drawn]
        areas = [evaluate(metric, coverage.Sample(p))[0] for of_night in drawn for p in of_night]
        stored = list(item.samples.baseline.values())
        assert np.mean(areas) == pytest.approx(np.mean(stored), abs=0.01)
        ratios.append(np.std(areas, ddof=1) / np.std(stored, ddof=1))
    assert np.exp(np.mean(np.log(ratios))) == pytest.approx(1, abs=0.3)


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
    cells = {("x", 100, seeds): right for seeds in (3, 5, 10)}
    assert coverage.certified(cells, "x")
    assert not coverage.certified(cells | {("x", 200, 5): narrow}, "x")
    assert coverage.certified(cells | {("x", 50, 5): narrow, ("x", 100, 2): narrow}, "x")
    assert not coverage.certified({("x", 100, 3): right}, "x")
    assert not coverage.certified({("x", 50, seeds): right for seeds in (3, 5, 10)}, "x")


def test_other_metrics_are_studied_by_the_bootstrap():
    cells = coverage.candidates(100, 3, 4, np.random.default_rng(0), ("ece",))
    assert cells.keys() == {("delta ece", 100, 3)}
    assert cells["delta ece", 100, 3].studies == 4


def test_nights_with_more_seeds_count_each_size():
    expectations = load(ROOT, "embedded")
    make = rates.maker("stored", expectations)
    _, tried = rates.with_more_seeds(make, expectations, 2, np.random.default_rng(0))
    assert set(tried.values()) == {2}
    assert len(tried) == len(rates.LARGER)


def test_accepted_sets_have_a_rate_each(expectations):
    shares = rates.conditional(of_grid, expectations, 2, 5, np.random.default_rng(0))
    assert len(shares) == 2
    assert all(0 <= share <= 1 for share in shares)


def test_accepted_values_of_another_shape_are_refused_before_anything_is_simulated(tmp_path, capsys):
    copied = tmp_path / "expectations"
    shutil.copytree(ROOT, copied, ignore=shutil.ignore_patterns("runs"))
    (copied / "embedded/chest/scale-data.yaml").unlink()
    assert main(["validate-gate", "--quick", "--expectations", str(copied)]) == 2
    assert "like a suite of 9 items of roc_auc@1 with 5 accepted seeds an arm; accepted are 8" in (
        capsys.readouterr().err
    )


def test_a_file_that_could_not_be_written_is_refused_before_anything_is_simulated(tmp_path, capsys):
    place = str(tmp_path / "gone" / "g.json")
    assert main(["validate-gate", "--expectations", str(ROOT), "--json", place]) == 2
    assert "is no folder" in capsys.readouterr().err
