"""Figures of the values that items were judged by: scale ladders, learning curves, home against shift."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from msgspec.structs import replace

from medbench.judgement import Judgement
from medbench.metrics.registry import Metric
from medbench.plots.points import over_seeds
from medbench.report.figures import Axis, Chart, Point, Reference, Series, slug
from medbench.spec.effects import BASELINE, HOME, DataSaved
from medbench.spec.runs import PlannedItem, RunSpec

FEWEST_RUNGS = 2
"""Of a ladder, and points of a curve, that are worth a figure."""
RANGE = "Points are means over seeds, bars reach from the lowest seed to the highest."


class Value(NamedTuple):
    """One metric of one run on one evaluation set."""

    metric: str
    """Name and version."""
    evaluation_set: str
    run: RunSpec
    value: float


Seeds = Mapping[int, float]
Grouped = dict[RunSpec, dict[int, float]]
"""Values by seed of runs that differ in the seed alone, by the run with seed 0."""


def values_of(planned: Iterable[PlannedItem], judgements: Mapping[str, Judgement]) -> list[Value]:
    """All values that items were judged by, of each run, metric and set once.

    Args:
      planned: the items.
      judgements: by item's id; one that is not there, or was not judged, has no values.
    """
    found: dict[tuple[str, str, RunSpec], Value] = {}
    for each in planned:
        judgement = judgements.get(each.item.id)
        for term in each.terms if judgement else ():
            for seed, value in judgement.samples.get(term.name, {}).items() if judgement else ():
                run = each.runs[term.arm].get(seed)
                if judgement and run is not None:
                    one = Value(judgement.metric, term.evaluation_set, run, value)
                    found[one[:3]] = one
    return list(found.values())


def ladder(task: str, values: Iterable[Value], metric: Metric, images: Mapping[str, int]) -> Chart | None:
    """The primary metric at home by what the net was pre-trained on, one series an architecture.

    Args:
      task: whose values these are.
      values: of any metric and set.
      metric: the task's primary one.
      images: of each upstream, by which they are ordered; those without come first by name.

    Returns:
      None where no architecture has two rungs.
    """
    grouped = _by_seed(v for v in values if _is(v, metric, HOME) and v.run.is_usual)
    upstreams = sorted({run.backbone.upstream for run in grouped}, key=lambda u: (images.get(u, 0), u))
    by_architecture: dict[str, dict[str, Seeds]] = {}
    for run, seeds in grouped.items():
        by_architecture.setdefault(run.backbone.architecture, {})[run.backbone.upstream] = seeds
    series = [
        Series(
            name=name,
            points=[over_seeds(i, rungs[up].values()) for i, up in enumerate(upstreams) if up in rungs],
        )
        for name, rungs in sorted(by_architecture.items())
        if len(rungs) >= FEWEST_RUNGS
    ]
    if not series:
        return None
    return Chart(
        id=slug("ladder", task),
        kind="ladder",
        task=task,
        title=f"{metric.name} on {HOME} by what the net was pre-trained on",
        x=Axis(label="pre-training images", names=upstreams),
        y=_axis(metric),
        series=series,
        note=RANGE,
    )


def learning_curve(planned: PlannedItem, judgement: Judgement, metric: Metric) -> Chart | None:
    """The metric by the share of training patients, beside the baseline that is to be matched with all.

    Args:
      planned: an item whose claim is about a share of the data that is saved.
      judgement: of it.
      metric: of the item.

    Returns:
      None of other items, and where there are less than two points.
    """
    if not judgement.definition or judgement.definition.effect != DataSaved.__struct_config__.tag:
        return None
    curve = {
        next(iter(runs.values())).fraction: judgement.samples[arm]
        for arm, runs in planned.runs.items()
        if arm != BASELINE and judgement.samples.get(arm)
    }
    baseline = judgement.samples.get(BASELINE)
    if len(curve) < FEWEST_RUNGS or not baseline:
        return None
    target, shares = fmean(baseline.values()), sorted(curve)
    references = [
        Reference(
            name=f"{judgement.arms[BASELINE]}, all", start=(shares[0], target), end=(shares[-1], target)
        )
    ]
    if judgement.effect is not None:
        matched = 1 - judgement.effect.value
        ends = [target, *(value for seeds in curve.values() for value in seeds.values())]
        references.append(
            Reference(name=f"matched at {matched:.0%}", start=(matched, min(ends)), end=(matched, max(ends)))
        )
    full = judgement.arms[max((a for a in planned.runs if a != BASELINE), key=lambda a: _share(planned, a))]
    return Chart(
        id=slug("learning", judgement.id),
        kind="learning",
        task=judgement.task,
        title=f"{metric.name} on {judgement.evaluation_set} by the share of training patients",
        x=Axis(label="share of the training patients", scale="log"),
        y=_axis(metric),
        series=[Series(name=full, points=[over_seeds(share, curve[share].values()) for share in shares])],
        references=references,
        note=RANGE,
    )


def robustness(task: str, values: Sequence[Value], metric: Metric) -> list[Chart]:
    """The primary metric on each shift against that at home, a point a seed.

    On the line of equal robustness lies what loses as much to the shift as the mean of the first series
    does: whatever is above it gained more on the shift than at home.

    Args:
      task: whose values these are.
      values: of any metric and set.
      metric: the task's primary one.
    """
    of_set: dict[str, Grouped] = {
        name: _by_seed(v for v in values if _is(v, metric, name) and v.run.is_usual)
        for name in dict.fromkeys(v.evaluation_set for v in values)
    }
    home = of_set.pop(HOME, {})
    charts = [_against_home(task, name, home, shifted, metric) for name, shifted in of_set.items()]
    return [chart for chart in charts if chart is not None]


def _against_home(task: str, shift: str, home: Grouped, shifted: Grouped, metric: Metric) -> Chart | None:
    series = []
    for run, there in shifted.items():
        both = sorted(there.keys() & home.get(run, {}).keys())
        points = [Point(x=home[run][seed], y=there[seed], label=f"seed {seed}") for seed in both]
        if points:
            series.append(Series(name=run.backbone.name, points=points, joined=False))
    if not series:
        return None
    lost = fmean(point.x - point.y for point in series[0].points)
    at_home = [point.x for each in series for point in each.points]
    ends = [(x, x - lost) for x in (min(at_home), max(at_home))]
    return Chart(
        id=slug("robustness", task, shift),
        kind="robustness",
        task=task,
        title=f"{metric.name} on {shift} against {HOME}",
        x=_axis(metric, HOME),
        y=_axis(metric, shift),
        series=series,
        references=[Reference(name=f"as robust as {series[0].name}", start=ends[0], end=ends[1])],
        note="A point is a seed.",
    )


def _is(value: Value, metric: Metric, evaluation_set: str) -> bool:
    return value.metric == metric.identity and value.evaluation_set == evaluation_set


def _share(planned: PlannedItem, arm: str) -> float:
    return next(iter(planned.runs[arm].values())).fraction


def _by_seed(values: Iterable[Value]) -> Grouped:
    grouped: Grouped = {}
    for value in values:
        grouped.setdefault(_seedless(value.run), {})[value.run.seed] = value.value
    return grouped


def _seedless(run: RunSpec) -> RunSpec:
    return replace(run, seed=0)


def _axis(metric: Metric, evaluation_set: str = "") -> Axis:
    better = "higher is better" if metric.higher_is_better else "lower is better"
    where = f" on {evaluation_set}" if evaluation_set else ""
    return Axis(label=f"{metric.name}{where} ({better})")
