"""What was measured of the gate, as a record for JSON, a summary for the terminal and a page for docs/.

Rates come with Clopper-Pearson 95 % intervals of the simulation.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from medbench.gate import coverage
from medbench.gate.parts import Findings
from medbench.gate.rates import DEVIATIONS, NIGHTS, SEEDS
from medbench.gate.worlds import ITEMS
from medbench.stats.prediction import FALSE_ALARMS

HIGHEST_RATE, HIGHEST_LIMIT, LEAST_CAUGHT = 0.05, 0.06, 0.95
"""What the gate is held to: false alarms, their upper limit, and detections."""
TOO_OFTEN = 0.1
"""An accepted set whose own nights alarm more often than this was an unlucky one."""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A share of simulated nights or studies, with its Monte-Carlo interval."""

    rate: float
    low: float
    high: float
    nights: int


class UnchangedNights(Rate, frozen=True, kw_only=True):
    """How often any item of the suite alarms though nothing changed."""

    night: str
    worlds: str


class FalseAlarm(UnchangedNights, frozen=True, kw_only=True):
    """The kind of night, and family of worlds, that alarms most often, and all of them."""

    designed: float
    by: list[UnchangedNights]


class Conditional(msgspec.Struct, frozen=True, kw_only=True):
    """Nights with five new seeds, on one accepted set each."""

    worlds: str
    sets: int
    nights_each: int
    median: float
    worst_decile: float
    """Nine in ten accepted sets alarm less often."""
    above: Rate
    """Share of accepted sets that alarm in more than 10 % of nights."""


class Detection(Rate, frozen=True, kw_only=True):
    """How often the item that was changed is red."""

    change: str
    size: float
    night: str
    arms: str
    worlds: str
    metric: str

    @property
    def where(self) -> str:
        """Arms, worlds and metric in words."""
        return " ".join(filter(None, (self.arms, self.worlds, self.metric)))


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How often an interval holds the truth."""

    metric: str
    certified: bool
    n_patients: int
    n_seeds: int
    rate: float
    low: float
    high: float
    studies: int
    rate_90: float
    """Of the interval that medbench prints."""
    width: float
    """Mean, of nominal 95 %."""
    width_of_oracle: float
    """Over the width, by one factor for all studies, that holds 95 %: above 1 where more is covered."""


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the gate is held to."""

    what: str
    wanted: str
    measured: str
    met: bool


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that `medbench validate-gate` measured."""

    medbench: str
    commit: str
    date: str
    machine: str
    seed: int
    nights: int
    seconds: float
    bars: list[Bar]
    false_alarm: FalseAlarm
    conditional: list[Conditional]
    detection: list[Detection]
    oracle: dict[str, float]
    """Detection of three seed deviations of one arm if every true deviation were known: the most there is."""
    coverage: list[Coverage]
    shortcut: dict[str, float]
    """Items judged from full predictions and by values: share of equal verdicts, equal alarms, and items."""


def rate(hits: int, of: int) -> dict[str, float]:
    """A share with its Clopper-Pearson 95 % interval."""
    from scipy.special import betaincinv  # noqa: PLC0415 (slow to import)

    low = 0.0 if hits == 0 else float(betaincinv(hits, of - hits + 1, 0.025))
    high = 1.0 if hits == of else float(betaincinv(hits + 1, of - hits, 0.975))
    return {"rate": hits / of, "low": low, "high": high}


def report(findings: Findings, *, nights_each: int, **facts: object) -> GateReport:
    """The record of what was found; `facts` are those of the machine and the plan."""
    unchanged = [
        UnchangedNights(
            **rate(findings.red[worlds, night], nights), nights=nights, night=night, worlds=worlds
        )
        for worlds, nights in findings.nights.items()
        for night in NIGHTS
    ]
    worst = max(unchanged, key=lambda of: of.rate)
    detections = [
        Detection(**rate(findings.caught[cell], nights), nights=nights, **cell._asdict())  # type: ignore[arg-type]
        for cell, nights in findings.tried.items()
    ]
    covered = _coverage(findings)
    alarm = FalseAlarm(**msgspec.structs.asdict(worst), designed=FALSE_ALARMS, by=unchanged)
    return GateReport(
        bars=_bars(alarm, detections, covered),
        false_alarm=alarm,
        conditional=[_conditional(worlds, shares, nights_each) for worlds, shares in findings.shares.items()],
        detection=detections,
        oracle={f"{k} new": oracle(k) for k in (SEEDS, 1)},
        coverage=covered,
        shortcut={what: count / findings.items for what, count in findings.agreed.items()}
        | {"items": findings.items},
        **facts,  # type: ignore[arg-type]
    )


def oracle(new: int) -> float:
    """Power for three deviations of one arm at the designed level, every true deviation being known."""
    from scipy.special import ndtr, ndtri  # noqa: PLC0415 (slow to import)

    level = 1 - (1 - FALSE_ALARMS) ** (1 / (2 * ITEMS))
    return float(ndtr(DEVIATIONS / (1 / SEEDS + 1 / new) ** 0.5 + ndtri(level / 2)))


def _conditional(worlds: str, shares: Sequence[float], nights_each: int) -> Conditional:
    above = sum(share > TOO_OFTEN for share in shares)
    return Conditional(
        worlds=worlds,
        sets=len(shares),
        nights_each=nights_each,
        median=float(np.median(shares)),
        worst_decile=float(np.quantile(shares, 0.9)),
        above=Rate(**rate(above, len(shares)), nights=len(shares)),
    )


def _coverage(findings: Findings) -> list[Coverage]:
    return [
        Coverage(
            metric=metric,
            certified=coverage.certified(findings.tallies, metric),
            n_patients=patients,
            n_seeds=seeds,
            **rate(tally.hits["nominal 95 %"], tally.studies),
            studies=tally.studies,
            rate_90=tally.hits["printed 90 %"] / tally.studies,
            width=tally.width / tally.studies,
            width_of_oracle=tally.of_oracle,
        )
        for (metric, patients, seeds), tally in sorted(findings.tallies.items())
    ]


def _bars(alarm: FalseAlarm, detections: Sequence[Detection], covered: Sequence[Coverage]) -> list[Bar]:
    """What the gate is held to."""
    bars = [
        Bar(
            what=f"false alarms ({alarm.night}, {alarm.worlds} worlds: the worst kind)",
            wanted=f"at most {HIGHEST_RATE:.0%}, upper limit below {HIGHEST_LIMIT:.0%}",
            measured=_percent(alarm),
            met=alarm.rate <= HIGHEST_RATE and alarm.high < HIGHEST_LIMIT,
        )
    ]
    asked = [
        ("AUC drop", 0.01, "same seeds", "one arm"),
        ("seed deviations", float(DEVIATIONS), "new seeds", "both arms"),
        ("seed deviations", float(DEVIATIONS), "new seeds", "one arm"),
    ]
    for change, size, night, arms in asked:
        wanted = (change, size, night, arms, "stored")
        found = next(d for d in detections if (d.change, d.size, d.night, d.arms, d.worlds) == wanted)
        bars.append(
            Bar(
                what=f"{change}, {size:g}, one item, {arms}, {night}",
                wanted=f"at least {LEAST_CAUGHT:.0%}",
                measured=_percent(found),
                met=found.rate >= LEAST_CAUGHT,
            )
        )
    for metric in ("roc_auc", "delta roc_auc", "brier", "nll"):
        cells = [
            c
            for c in covered
            if c.metric == metric
            and c.n_patients >= coverage.FEWEST_PATIENTS
            and c.n_seeds >= coverage.FEWEST_SEEDS
        ]
        lowest = min(cells, key=lambda cell: cell.rate)
        bars.append(
            Bar(
                what=f"coverage of {metric}, nominal 95 %: lowest of {len(cells)} cells",
                wanted=f"at least {coverage.PROMISED:.0%}",
                measured=f"{lowest.rate:.1%} ({lowest.n_patients} patients, {lowest.n_seeds} seeds)",
                met=lowest.certified,
            )
        )
    return bars


def _percent(found: Rate) -> str:
    return f"{found.rate:.1%} [{found.low:.1%}, {found.high:.1%}] of {found.nights:,}"


def summary(result: GateReport) -> str:
    """What a person reads in the terminal."""
    lines = ["What the gate is held to:"]
    lines += [
        f"  {'met' if bar.met else 'NOT MET':8}{bar.what}: {bar.measured}, wanted {bar.wanted}"
        for bar in result.bars
    ]
    lines += ["", "Unchanged nights with any alarm over the suite (designed for 4 %):"]
    lines += [f"  {of.worlds:8}{of.night:14}{_percent(of)}" for of in result.false_alarm.by]
    lines += ["", "On one accepted set week after week, five new seeds:"]
    lines += [
        f"  {of.worlds:8}median {of.median:.1%}, worst decile {of.worst_decile:.1%}, "
        f"alarming in more than 10 %: {of.above.rate:.1%} of sets"
        for of in result.conditional
    ]
    lines += ["", "Planted changes that make their item red:"]
    lines += [f"  {d.change:32}{d.size:<7g}{d.night:26}{d.where:32}{d.rate:6.1%}" for d in result.detection]
    certified = sorted({c.metric for c in result.coverage if c.certified})
    others = sorted({c.metric for c in result.coverage if not c.certified})
    lines += ["", f"Certified intervals: {', '.join(certified) or 'none'}"]
    lines += [f"Not certified: {', '.join(others) or 'none'}"]
    lines += ["", f"Simulated in {result.seconds:.0f} s, seed {result.seed}, on {result.machine}."]
    return "\n".join(lines)
