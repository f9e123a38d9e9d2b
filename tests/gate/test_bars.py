"""What the gate is held to follows from the measured rates, on either side of every bar."""

import pytest

from medbench.gate.bars import CAUGHT, bars, of_coverage, of_detection, of_false_alarms, of_scarce
from medbench.gate.measured import Certificate, Coverage, Detection, FalseAlarm, Rate
from medbench.gate.scarce import Scarce
from medbench.gate.share import share


def alarm(hits: int, nights: int) -> FalseAlarm:
    return FalseAlarm(
        **share(hits, nights),
        nights=nights,
        night="new seeds",
        worlds="grid",
        counted=True,
        designed=0.04,
        by=[],
    )


def detection(hits: int, change: str = "AUC drop", size: float = 0.01, **cell: str) -> Detection:
    where = {"night": "same seeds", "arms": "one arm", "worlds": "stored", "metric": "roc_auc"} | cell
    return Detection(**share(hits, 1000), nights=1000, change=change, size=size, **where)


def tiny(supported: int) -> Scarce:
    where = {"kind": "nll", "predicate": "equivalence", "n_patients": 60, "n_seeds": 3}
    return Scarce(**share(supported, 100), cohorts=100, **where)


def certificate(metric: str = "roc_auc", *, certified: bool = True) -> Certificate:
    lowest = Coverage(
        metric=metric,
        certified=certified,
        n_patients=200,
        n_seeds=3,
        **share(934, 1000),
        studies=1000,
        rate_90=0.9,
        width=0.1,
        width_of_oracle=1.0,
    )
    together = {s: Rate(**share(hits, 5000), nights=5000) for s, hits in ((3, 4700), (5, 4720))}
    return Certificate(
        metric=metric, certified=certified, lowest=lowest, cells=15, error=0.0079, together=together
    )


@pytest.mark.parametrize(
    ("hits", "nights", "met"),
    [
        (160, 4000, True),
        (200, 4000, True),
        (201, 4000, False),
        (100, 2000, False),  # 5 %, whose upper limit is 6.05 %
        (95, 2000, True),
        (40, 1000, False),  # too few nights
        (0, 1999, False),
    ],
)
def test_false_alarms_are_few_surely_so_and_of_many_nights(hits, nights, met):
    assert of_false_alarms(alarm(hits, nights)).met == met


def test_the_bar_of_false_alarms_says_which_kind_of_night_and_how_many():
    bar = of_false_alarms(alarm(160, 4000))
    assert bar.what == "false alarms (new seeds, grid worlds: the worst of the kinds counted)"
    assert bar.measured == "4.0% [3.4%, 4.7%] of 4,000"


@pytest.mark.parametrize(("hits", "met"), [(950, True), (949, False), (1000, True), (0, False)])
def test_a_change_is_caught_in_95_of_100_nights(hits, met):
    assert of_detection(detection(hits)).met == met


@pytest.mark.parametrize("certified", [True, False])
def test_coverage_is_met_where_the_metric_is_certified(certified):
    bar = of_coverage(certificate(certified=certified))
    assert bar.met == certified
    assert bar.measured.startswith("93.4% [91.7%, 94.9%], standard error 0.8% (200 patients, 3 seeds)")
    assert "the lowest of 15 cells; together at least 94.0% [93.3%, 94.6%]" in bar.measured


def test_a_metric_that_was_not_studied_where_it_is_promised_does_not_meet_its_bar():
    none = Certificate(metric="x", certified=False, lowest=None, cells=0, error=0.0, together={})
    assert not of_coverage(none).met
    assert of_coverage(none).measured == "not studied where it is promised"


def test_each_bar_is_of_its_own_measurement():
    of_stored = [
        detection(900 + 40 * i, change, size, night=night, arms=arms)
        for i, (change, size, night, arms) in enumerate(CAUGHT)
    ]
    of_others = [
        detection(0, *wanted[:2], night=wanted[2], arms=wanted[3], worlds="grid") for wanted in CAUGHT
    ]
    metrics = [certificate(name, certified=name != "brier") for name in ("nll", "brier", "delta ece")]
    found = bars(alarm(160, 4000), [*of_others, *of_stored], metrics, [tiny(1)])
    assert [bar.met for bar in found] == [True, False, False, True, False, False, False, True, True]
    assert [bar.measured[:5] for bar in found[1:4]] == ["90.0%", "94.0%", "98.0%"]
    assert [bar.what for bar in found[4:8]] == [
        f"coverage of {metric}, nominal 95 %" for metric in ("roc_auc", "delta roc_auc", "brier", "nll")
    ]
    assert [bar.measured for bar in found[4:6]] == ["not studied where it is promised"] * 2


def test_a_bar_that_nothing_was_measured_for_is_not_met():
    assert not any(
        bar.met
        for bar in bars(
            alarm(160, 4000),
            [detection(0, change, size, night=night, arms=arms) for change, size, night, arms in CAUGHT],
            [],
            [],
        )[1:]
    )


def test_one_cell_of_tiny_cohorts_that_is_surely_above_the_level_misses_the_bar():
    assert of_scarce([tiny(5)] * 40).met
    assert of_scarce([*[tiny(0)] * 39, tiny(11)]).met
    bar = of_scarce([*[tiny(0)] * 38, tiny(20), tiny(11)])
    assert not bar.met
    assert bar.measured.startswith("20.0% [12.7%, 29.2%] of 100 (nll, equivalence, 60 patients, 3 seeds)")
    assert bar.measured.endswith("the worst of 40 cells; 31 of 4,000 in all")
