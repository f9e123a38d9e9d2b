"""From counts to the record: rates, which families count, and what is printed."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import beta, norm

from medbench.gate import coverage
from medbench.gate.page import page
from medbench.gate.parts import Findings
from medbench.gate.rates import ARMS_HIT, DEVIATIONS, DROPS, NIGHTS, NUMBERS, WORLDS, Planted
from medbench.gate.report import oracle, report, summary
from medbench.gate.scarce import Cell
from medbench.gate.share import share
from tests.gate.conftest import suite_of
from tests.gate.test_coverage import held

FACTS = {
    "medbench": "0",
    "commit": "c" * 40,
    "date": "2026-01-01",
    "machine": "m",
    "seed": 1,
    "nights": 4000,
    "seconds": 1.0,
}
RED = {"same seeds": 4, "new seeds": 160, "one new seed": 100}


def findings(*, heavy: int = 900, kurtosis: float = 0.0, caught: int = 2000) -> Findings:
    """As of a simulation in which every bar is met, unless it is told otherwise."""
    cells = [
        Planted(change, size, night, arms, worlds)
        for worlds in WORLDS
        for night in NIGHTS
        for arms in ARMS_HIT
        for change, size in [("AUC drop", d) for d in DROPS] + [("seed deviations", float(DEVIATIONS))]
    ]
    cells += [
        Planted("seed deviations", float(DEVIATIONS), f"{a} accepted, {n} new", "one arm", "stored")
        for a, of_new in NUMBERS.items()
        for n in of_new
    ]
    rng = np.random.default_rng(0)
    return Findings(
        red=Counter(
            {
                (w, night): heavy if w == "heavy" else RED[night] + (w == "grid")
                for w in WORLDS
                for night in RED
            }
        ),
        nights=Counter(dict.fromkeys(WORLDS, 4000)),
        shares={w: [0.0, 0.02, 0.2, 0.1] for w in WORLDS},
        caught=Counter(dict.fromkeys(cells, caught)),
        tried=Counter(dict.fromkeys(cells, 2000)),
        kurtosis={
            "stored": rng.normal(kurtosis, 0.3, 500).tolist(),
            "heavy": rng.normal(kurtosis + 1, 0.3, 500).tolist(),
        },
        supported=Counter({Cell("nll", "equivalence", 60, 3): 4}),
        claims=Counter({Cell("nll", "equivalence", 60, 3): 100}),
        agreed=Counter({"same alarm": 9, "same verdict": 8}),
        items=10,
        tallies={
            (metric, patients, seeds): held(4000, 3800)
            for metric in ("roc_auc", "delta roc_auc", "brier", "nll")
            for patients in (100, 200)
            for seeds in coverage.SEEDS
        },
    )


def reported(found: Findings, *, quick: bool = False):
    return report(found, suite_of(2, seeds=6), nights_each=10, quick=quick, **FACTS)


@pytest.mark.parametrize(("hits", "of"), [(0, 40), (3, 40), (40, 40)])
def test_intervals_of_rates_are_those_of_clopper_and_pearson(hits, of):
    result = share(hits, of)
    assert result["rate"] == hits / of
    assert result["low"] == pytest.approx(beta.ppf(0.025, hits, of - hits + 1) if hits else 0)
    assert result["high"] == pytest.approx(beta.ppf(0.975, hits + 1, of - hits) if hits < of else 1)


@pytest.mark.parametrize(("accepted", "new"), [(5, 5), (10, 10), (10, 1)])
def test_the_oracle_is_a_normal_test_of_known_deviations(accepted, new):
    draw = np.random.default_rng(0)
    critical = norm.isf((1 - 0.96 ** (1 / 18)) / 2)
    gap = draw.normal(3, new**-0.5, 200_000) - draw.normal(0, accepted**-0.5, 200_000)
    shift = gap / (1 / accepted + 1 / new) ** 0.5
    assert oracle(accepted, new, 18) == pytest.approx(np.mean(shift > critical), abs=0.004)


def test_the_headline_is_the_worst_kind_of_night_of_the_families_that_count():
    alarm = reported(findings()).false_alarm
    assert (alarm.worlds, alarm.night, alarm.nights) == ("grid", "new seeds", 4000)
    assert alarm.rate == 161 / 4000
    assert {(of.worlds, of.counted) for of in alarm.by} == {
        ("stored", True),
        ("grid", True),
        ("heavy", False),
    }
    assert {(of.worlds, of.night): of.rate * 4000 for of in alarm.by}["stored", "same seeds"] == 4


def test_heavy_tails_count_where_the_stored_seeds_deny_that_they_are_normal():
    stored_is_above = reported(findings(kurtosis=-9))
    assert stored_is_above.tails.normal_denied
    assert stored_is_above.false_alarm.worlds == "heavy"
    assert not stored_is_above.bars[0].met
    assert "The stored seeds deny that they are normal." in page(stored_is_above)
    assert "the promise of 5% is one for normal seeds" in page(stored_is_above)


@pytest.mark.parametrize(
    ("closer", "sentence"),
    [(0.0, "are as normal ones would be, and deny tails as heavy as these"), (0.7, "nor could so few deny")],
)
def test_seeds_that_do_not_deny_that_they_are_normal_leave_heavy_tails_out(closer, sentence):
    found = findings()
    found.kurtosis["heavy"] = [value - closer for value in found.kurtosis["heavy"]]
    result = reported(found)
    assert result.false_alarm.worlds == "grid"
    assert sentence in page(result)


def test_where_heavy_tails_alarm_no_more_often_normal_seeds_are_not_needed():
    assert "the promise of 5% does not need normal seeds" in page(reported(findings(heavy=100)))


def test_tails_are_ranges_of_simulated_suites():
    found = findings()
    tails = reported(found).tails
    assert tails.normal == pytest.approx(np.quantile(found.kurtosis["stored"], [0.025, 0.975]))
    assert tails.heavy == pytest.approx(np.quantile(found.kurtosis["heavy"], [0.025, 0.975]))
    assert tails.told == np.mean(np.array(found.kurtosis["heavy"]) > tails.normal[1])
    found.kurtosis = {}
    assert reported(found).tails is None
    assert "too few to tell" in page(reported(found))


def test_accepted_sets_that_alarm_too_often_are_counted():
    of = reported(findings()).conditional[0]
    assert (of.sets, of.nights_each, of.median) == (4, 10, pytest.approx(0.06))
    assert (of.above.rate, of.above.nights) == (0.25, 4)


def test_the_lowest_promised_cell_is_found_and_how_surely_it_is_known():
    found = findings()
    found.tallies["roc_auc", 200, 5] = held(4000, 3760)
    found.tallies["roc_auc", 100, 2] = held(4000, 0)
    one = next(c for c in reported(found).certificates if c.metric == "roc_auc")
    assert one.certified
    assert (one.lowest.n_patients, one.lowest.n_seeds, one.cells) == (200, 5, 6)
    assert one.error == pytest.approx((0.94 * 0.06 / 4000) ** 0.5)
    assert one.together[5].rate == pytest.approx(0.945)
    assert one.together[5].nights == 8000


def test_every_measured_bar_is_on_the_page_and_in_the_summary():
    result = reported(findings())
    assert len(result.bars) == 9
    assert all(bar.met for bar in result.bars)
    for bar in result.bars:
        assert f"| {bar.what} | {bar.wanted} | {bar.measured} | yes |" in page(result)
        assert f"met     {bar.what}: {bar.measured}" in summary(result)
    missed = reported(findings(caught=1899))
    assert [bar.met for bar in missed.bars] == [True, False, False, False] + [True] * 5
    assert "| **no** |" in page(missed)
    assert "NOT MET AUC drop" in summary(missed)


def test_a_glance_claims_no_bar_and_certifies_nothing():
    result = reported(findings(), quick=True)
    assert result.bars == []
    assert not any(c.certified for c in [*result.coverage, *result.certificates])
    for text in (page(result), summary(result)):
        assert "A glance" in text
        assert "| yes |" not in text.partition("## Nights")[0]
        assert "ertified:" not in text


def test_the_page_names_the_suite_that_was_simulated():
    text = page(reported(findings()))
    assert "2 items on 2 tasks, 4 arms of 6 accepted seeds" in text
    assert "| stored | 6 new seeds |" in text
    assert "4 scores by 1 metric." in text
    assert "Its effects: gain 2." in text
    assert "all 24 accepted values are measured anew" in text
    assert "(2 of 6 seeds)" in text
    assert "% of 6 accepted, 6 new; " in text
    assert "% of 6 accepted, 1 new. One new seed can never do." in text
    assert "five" not in text
