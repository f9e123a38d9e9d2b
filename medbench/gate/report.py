"""From the counts of a simulation to the record of what was measured, and its summary for the terminal.

What the gate is held to is in `medbench.gate.bars`.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from medbench.expect import Expectations
from medbench.gate import coverage, scarce
from medbench.gate.bars import bars
from medbench.gate.measured import (
    Certificate,
    Conditional,
    Coverage,
    Detection,
    FalseAlarm,
    GateReport,
    Rate,
    Shape,
    Tails,
    UnchangedNights,
    percent,
)
from medbench.gate.parts import Findings
from medbench.gate.rates import DEVIATIONS, NIGHTS
from medbench.gate.share import share
from medbench.gate.tails import excess_kurtosis
from medbench.gate.worlds import DEVICE, METRIC, Suite
from medbench.stats.prediction import FALSE_ALARMS

TOO_OFTEN = 0.1
"""An accepted set whose own nights alarm more often than this was an unlucky one."""


def report(
    findings: Findings, expectations: Expectations, *, nights_each: int, quick: bool, **facts: object
) -> GateReport:
    """The record of what was found; `facts` are those of the machine and the plan."""
    suite = Suite.of(expectations)
    shape = _shape(suite, expectations.tolerance(METRIC, DEVICE))
    tails = _tails(suite, findings)
    heavy = tails is not None and tails.normal_denied
    alarm = _false_alarm(findings, {"stored", "grid"} | ({"heavy"} if heavy else set()))
    detections = [
        Detection(**share(findings.caught[cell], nights), nights=nights, **cell._asdict())  # type: ignore[arg-type]
        for cell, nights in findings.tried.items()
    ]
    certificates = _certificates(findings, quick=quick)
    on_tiny = scarce.rows(findings.supported, findings.claims)
    return GateReport(
        quick=quick,
        shape=shape,
        bars=[] if quick else bars(alarm, detections, certificates, on_tiny),
        false_alarm=alarm,
        tails=tails,
        conditional=[_conditional(worlds, shares, nights_each) for worlds, shares in findings.shares.items()],
        detection=detections,
        oracle={
            f"{accepted} accepted, {new} new": oracle(accepted, new, shape.bands)
            for accepted in (shape.fewest_seeds, shape.most_seeds)
            for new in (accepted, 1)
        },
        coverage=_coverage(findings, quick=quick),
        certificates=certificates,
        scarce=on_tiny,
        shortcut={what: count / findings.items for what, count in findings.agreed.items()}
        | {"items": findings.items},
        **facts,  # type: ignore[arg-type]
    )


def oracle(accepted: int, new: int, bands: int) -> float:
    """Power for three deviations of one arm at the designed level, every true deviation being known."""
    from scipy.special import ndtr, ndtri  # noqa: PLC0415 (slow to import)

    level = 1 - (1 - FALSE_ALARMS) ** (1 / bands)
    return float(ndtr(DEVIATIONS / (1 / accepted + 1 / new) ** 0.5 + ndtri(level / 2)))


def _shape(suite: Suite, tolerance: float) -> Shape:
    return Shape(
        items=len(suite.items),
        left_out=suite.left_out,
        effects=dict(Counter(item.definition.effect for item in suite.items).most_common()),
        metrics=len(set(suite.metrics)),
        scores=len(suite.runs),
        values=sum(map(len, suite.accepted)),
        tasks=int(suite.tasks.max()) + 1,
        runs=len({(item.item.partition("/")[0], arm) for item in suite.items for arm in item.arms.values()}),
        areas=dict(sorted(Counter(int(suite.seeds[i]) for i in suite.areas).items())),
        fewest_seeds=int(suite.seeds.min()),
        most_seeds=int(suite.seeds.max()),
        shared=suite.shared,
        tolerance=tolerance,
    )


def _tails(suite: Suite, findings: Findings) -> Tails | None:
    stored = excess_kurtosis(suite.accepted)
    normal, heavy = findings.kurtosis.get("stored"), findings.kurtosis.get("heavy")
    if stored is None or not normal or not heavy:
        return None
    ranges = [tuple(np.quantile(of, [0.025, 0.975]).tolist()) for of in (normal, heavy)]
    told = float(np.mean(np.array(heavy) > ranges[0][1]))
    return Tails(stored=stored, normal=ranges[0], heavy=ranges[1], told=told)


def _false_alarm(findings: Findings, counted: set[str]) -> FalseAlarm:
    by = [
        UnchangedNights(
            **share(findings.red[worlds, night], nights),
            nights=nights,
            night=night,
            worlds=worlds,
            counted=worlds in counted,
        )
        for worlds, nights in findings.nights.items()
        for night in NIGHTS
    ]
    worst = max((of for of in by if of.counted), key=lambda of: of.rate)
    return FalseAlarm(**msgspec.structs.asdict(worst), designed=FALSE_ALARMS, by=by)


def _conditional(worlds: str, shares: Sequence[float], nights_each: int) -> Conditional:
    above = sum(of > TOO_OFTEN for of in shares)
    return Conditional(
        worlds=worlds,
        sets=len(shares),
        nights_each=nights_each,
        median=float(np.median(shares)),
        worst_decile=float(np.quantile(shares, 0.9)),
        above=Rate(**share(above, len(shares)), nights=len(shares)),
    )


def _coverage(findings: Findings, *, quick: bool) -> list[Coverage]:
    return [
        Coverage(
            metric=metric,
            certified=not quick and coverage.certified(findings.tallies, metric),
            n_patients=patients,
            n_seeds=seeds,
            **share(tally.hits[coverage.NOMINAL], tally.studies),
            studies=tally.studies,
            rate_90=tally.hits[coverage.PRINTED] / tally.studies,
            width=tally.width / tally.studies,
            width_of_oracle=tally.of_oracle,
        )
        for (metric, patients, seeds), tally in sorted(findings.tallies.items())
    ]


def _certificates(findings: Findings, *, quick: bool) -> list[Certificate]:
    cells = _coverage(findings, quick=quick)
    return [
        _certificate(findings, metric, [c for c in cells if c.metric == metric])
        for metric in dict.fromkeys(c.metric for c in cells)
    ]


def _certificate(findings: Findings, metric: str, cells: Sequence[Coverage]) -> Certificate:
    promised = coverage.promised(findings.tallies, metric)
    lowest = min(
        (c for c in cells if (c.n_patients, c.n_seeds) in promised), key=lambda c: c.rate, default=None
    )
    return Certificate(
        metric=metric,
        certified=cells[0].certified,
        lowest=lowest,
        cells=len(promised),
        error=(lowest.rate * (1 - lowest.rate) / lowest.studies) ** 0.5 if lowest else 0.0,
        together={
            seeds: Rate(
                **coverage.together(promised, seeds),
                nights=sum(tally.studies for (_, s), tally in promised.items() if s == seeds),
            )
            for seeds in sorted({s for _, s in promised})
        },
    )


def summary(result: GateReport) -> str:
    """What a person reads in the terminal."""
    lines = ["A glance: too few nights and studies to hold the gate to anything, or to certify an interval."]
    if not result.quick:
        lines = ["What the gate is held to:"]
        lines += [
            f"  {'met' if bar.met else 'NOT MET':8}{bar.what}: {bar.measured}, wanted {bar.wanted}"
            for bar in result.bars
        ]
    lines += ["", "Unchanged nights with any alarm over the suite (designed for 4 %):"]
    lines += [f"  {of.worlds:8}{of.night:14}{percent(of)}" for of in result.false_alarm.by]
    lines += ["", f"On one accepted set week after week, {result.shape.seeds} new seeds:"]
    lines += [
        f"  {of.worlds:8}median {of.median:.1%}, worst decile {of.worst_decile:.1%}, "
        f"alarming in more than 10 %: {of.above.rate:.1%} of sets"
        for of in result.conditional
    ]
    lines += ["", "Planted changes that make their item red:"]
    lines += [f"  {d.change:32}{d.size:<7g}{d.night:26}{d.where:32}{d.rate:6.1%}" for d in result.detection]
    lines += [""]
    if result.quick:
        lines += ["Nominal 95 % intervals that hold the truth:"]
        lines += [
            f"  {c.metric:16}{c.n_patients:>6} patients {c.n_seeds:>3} seeds {c.rate:6.1%}"
            for c in result.coverage
        ]
    else:
        lines += [f"Certified intervals: {_names(result, certified=True)}"]
        lines += [f"Not certified: {_names(result, certified=False)}"]
    lines += ["", f"Simulated in {result.seconds:.0f} s, seed {result.seed}, on {result.machine}."]
    return "\n".join(lines)


def _names(result: GateReport, *, certified: bool) -> str:
    return ", ".join(c.metric for c in result.certificates if c.certified == certified) or "none"
