"""What the gate is held to: bars and whether the measured rates meet them. Nothing is measured here."""

from collections.abc import Sequence

from medbench.gate import coverage
from medbench.gate.measured import Bar, Certificate, Detection, FalseAlarm, percent
from medbench.gate.rates import DEVIATIONS
from medbench.gate.scarce import Scarce
from medbench.stats.interval import LEVEL

HIGHEST_RATE, HIGHEST_LIMIT, FEWEST_NIGHTS = 0.05, 0.06, 2000
"""Of false alarms, the rate and its upper limit, and of how many nights."""
LEAST_CAUGHT = 0.95
CAUGHT = (
    ("AUC drop", 0.01, "same seeds", "one arm"),
    ("seed deviations", float(DEVIATIONS), "new seeds", "both arms"),
    ("seed deviations", float(DEVIATIONS), "new seeds", "one arm"),
)
"""Change, size, night and arms that are to be caught, in worlds like the stored runs."""
NOT_STUDIED = "not studied where it is promised"
LEVEL_OF_ALL = 0.05
"""Probability that any cell of tiny cohorts looks too high by chance, shared over the cells."""
CERTIFIED = ("roc_auc", "delta roc_auc", "brier", "nll")


def bars(
    alarm: FalseAlarm,
    detections: Sequence[Detection],
    certificates: Sequence[Certificate],
    on_tiny: Sequence[Scarce],
) -> list[Bar]:
    """All of them: false alarms, detections, coverage, verdicts on tiny cohorts."""
    planted = {(d.change, d.size, d.night, d.arms, d.worlds): d for d in detections}
    of_metric = {c.metric: c for c in certificates}
    return [
        of_false_alarms(alarm),
        *(of_detection(planted[*wanted, "stored"]) for wanted in CAUGHT),
        *(of_coverage(of_metric.get(metric, _not_studied(metric))) for metric in CERTIFIED),
        of_scarce(on_tiny),
    ]


def of_false_alarms(alarm: FalseAlarm) -> Bar:
    """Few enough, and surely so."""
    return Bar(
        what=f"false alarms ({alarm.night}, {alarm.worlds} worlds: the worst of the kinds counted)",
        wanted=f"at most {HIGHEST_RATE:.0%}, upper limit below {HIGHEST_LIMIT:.0%}, "
        f"of at least {FEWEST_NIGHTS:,} nights",
        measured=percent(alarm),
        met=alarm.rate <= HIGHEST_RATE and alarm.high < HIGHEST_LIMIT and alarm.nights >= FEWEST_NIGHTS,
    )


def of_detection(found: Detection) -> Bar:
    """Caught often enough."""
    return Bar(
        what=f"{found.change}, {found.size:g}, one item, {found.arms}, {found.night}, {found.worlds} worlds",
        wanted=f"at least {LEAST_CAUGHT:.0%}",
        measured=percent(found),
        met=found.rate >= LEAST_CAUGHT,
    )


def of_coverage(of: Certificate) -> Bar:
    """Intervals of a metric that is to be certified."""
    measured = NOT_STUDIED
    if of.lowest is not None:
        c = of.lowest
        together = min(of.together.values(), key=lambda rate: rate.low)
        measured = (
            f"{c.rate:.1%} [{c.low:.1%}, {c.high:.1%}], standard error {of.error:.1%} ({c.n_patients:,} "
            f"patients, {c.n_seeds} seeds), the lowest of {of.cells} cells; together at least "
            f"{together.rate:.1%} [{together.low:.1%}, {together.high:.1%}]"
        )
    return Bar(
        what=f"coverage of {of.metric}, nominal 95 %",
        wanted=f"every cell at least {coverage.PROMISED:.0%}, and the cells of a number of seeds together "
        f"with a lower limit of at least {coverage.PROMISED:.0%}",
        measured=measured,
        met=of.certified,
    )


def of_scarce(cells: Sequence[Scarce]) -> Bar:
    """No claim that just does not hold is supported more often than its level, as far as so few tell."""
    from scipy.special import bdtrc  # noqa: PLC0415 (slow to import)

    what = "claims on tiny cohorts, supported although they just do not hold"
    wanted = f"in no cell significantly more than {LEVEL:.0%}"
    if not cells:
        return Bar(what=what, wanted=wanted, measured=NOT_STUDIED, met=False)

    def chance(cell: Scarce) -> float:
        """Of so many or more being supported at the nominal rate."""
        return float(bdtrc(round(cell.rate * cell.cohorts) - 1, cell.cohorts, LEVEL))

    worst = min(cells, key=chance)
    return Bar(
        what=what,
        wanted=wanted,
        measured=f"{worst.rate:.1%} [{worst.low:.1%}, {worst.high:.1%}] of {worst.cohorts} ({worst.kind}, "
        f"{worst.predicate}, {worst.n_patients} patients, {worst.n_seeds} seeds), the worst of {len(cells)} "
        f"cells; {sum(round(cell.rate * cell.cohorts) for cell in cells)} of "
        f"{sum(cell.cohorts for cell in cells):,} in all",
        met=chance(worst) * len(cells) > LEVEL_OF_ALL,
    )


def _not_studied(metric: str) -> Certificate:
    return Certificate(metric=metric, certified=False, lowest=None, cells=0, error=0.0, together={})
