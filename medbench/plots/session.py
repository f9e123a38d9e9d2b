"""All figures of a plan whose items were judged."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medbench.judge import JudgedRun
from medbench.judgement import Judgement
from medbench.metrics.registry import Metric, metric_named
from medbench.plots import of_runs, of_values
from medbench.report.figures import Figure
from medbench.spec.runs import Plan, PlannedItem, RunSpec

COMPARED = 2
"""Backbones of which single runs are drawn: those that most items of a task compare."""


@dataclass(frozen=True)
class About:
    """What figures of a task are of.

    Attributes:
      metric: its primary one.
      attributes: whose sub-groups are drawn.
    """

    metric: Metric
    attributes: Sequence[str]


def figures(
    plan: Plan,
    judgements: Mapping[str, Judgement],
    *,
    tasks: Mapping[str, About],
    images: Mapping[str, int],
    run_of: Callable[[RunSpec], JudgedRun | None],
) -> list[Figure]:
    """Figures of every task of a plan, each of what is at hand.

    Args:
      plan: of the items.
      judgements: by item's id; items without are left out.
      tasks: by name.
      images: that each upstream was pre-trained on, by its name.
      run_of: a run that is at hand, or None; nothing is trained.
    """
    by_task: dict[str, list[PlannedItem]] = {}
    for planned in plan.items:
        if planned.item.id in judgements:
            by_task.setdefault(planned.item.task, []).append(planned)
    return [
        figure
        for task, items in by_task.items()
        for figure in (
            *_of_values(task, items, judgements, tasks[task].metric, images),
            *_of_runs(task, items, tasks[task], run_of),
        )
        if figure is not None
    ]


def _of_values(
    task: str,
    items: Sequence[PlannedItem],
    judgements: Mapping[str, Judgement],
    metric: Metric,
    images: Mapping[str, int],
) -> Iterable[Figure | None]:
    values = of_values.values_of(items, judgements)
    yield of_values.ladder(task, values, metric, images)
    for each in items:
        own = metric_named(each.item.metric, each.metrics)
        yield of_values.learning_curve(each, judgements[each.item.id], own)
    yield from of_values.robustness(task, values, metric)


def _of_runs(
    task: str, items: Sequence[PlannedItem], about: About, run_of: Callable[[RunSpec], JudgedRun | None]
) -> Iterable[Figure | None]:
    units = items[0].units
    runs = _by_backbone(items, run_of)
    compared = {name: runs[name] for name in _most_compared(items) if name in runs}
    yield of_runs.calibration(task, compared, units)
    yield of_runs.rejection(task, compared, units)
    yield from of_runs.sub_groups(task, compared, units, about.metric, about.attributes)
    yield of_runs.reuse(task, runs)
    yield of_runs.loss(task, compared)


def _by_backbone(
    items: Sequence[PlannedItem], run_of: Callable[[RunSpec], JudgedRun | None]
) -> dict[str, list[JudgedRun]]:
    """The usual runs that are at hand, those with all patients and the tier's recipe."""
    found: dict[str, list[JudgedRun]] = {}
    for spec in dict.fromkeys(spec for each in items for spec in each.all_runs if spec.is_usual):
        if (run := run_of(spec)) is not None:
            found.setdefault(spec.backbone.name, []).append(run)
    return dict(sorted(found.items()))


def _most_compared(items: Sequence[PlannedItem]) -> list[str]:
    """The backbones in most items, in the order in which arms name them."""
    used = Counter(
        name
        for each in items
        for name in dict.fromkeys(spec.backbone.name for spec in each.all_runs if spec.is_usual)
    )
    chosen = {name for name, _ in used.most_common(COMPARED)}
    return [name for name in used if name in chosen]
