"""Figures of what runs left: calibration, rejection, sub-groups, features and loss.

Each takes the runs of a task by backbone, all trained on all patients; what is undefined is left out.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import ID
from medbench.errors import MedbenchError
from medbench.judge import JudgedRun, sample_of
from medbench.metrics.calibration import Reliability, reliability
from medbench.metrics.fairness import by_group
from medbench.metrics.registry import Metric, metric_named
from medbench.metrics.selective import risk_coverage_curve
from medbench.plots.points import over_seeds
from medbench.report.figures import Axis, Chart, Forest, Point, Reference, Row, Series, slug
from medbench.spec.metrics import CalibrationError
from medbench.spec.units import Unit

Runs = Mapping[str, Sequence[JudgedRun]]
"""By backbone, a run a seed."""
COVERAGES = np.linspace(0.02, 1.0, 50)
"""Where a risk-coverage curve is drawn."""
SMALLEST = 20
"""Patients of a sub-group that is drawn, as of one that claims compare."""
STAGES = ("root", "block1", "block2", "block3", "block4", "pre_logits")
"""Of a BiT, from the image to the head."""
_ECE = metric_named("ece")


def calibration(task: str, runs: Runs, units: Sequence[Unit]) -> Chart | None:
    """Reliability diagrams at home: the share of positives by the mean probability, over seeds and labels.

    In the bins of `ece/equal-width-15@1`, so that the error is the mean distance from the diagonal.

    Args:
      task: that the runs are of.
      runs: by backbone.
      units: from images to what is scored.
    """
    series = []
    for backbone, of_seeds in runs.items():
        diagrams: list[Reliability] = []
        for run in of_seeds:
            with suppress(MedbenchError):
                diagrams += reliability(CalibrationError(), sample_of(run, _ECE, ID, units))
        if diagrams:
            series.append(Series(name=backbone, points=_pooled(diagrams)))
    if not series:
        return None
    return Chart(
        id=slug("reliability", task),
        kind="reliability",
        task=task,
        title=f"Reliability on {ID}: how often what was called likely was so",
        x=Axis(label="mean predicted probability"),
        y=Axis(label="share of positives"),
        series=series,
        references=[Reference(name="perfectly calibrated", start=(0.0, 0.0), end=(1.0, 1.0))],
        note="Over all seeds and labels, in 15 bins of equal width.",
    )


def rejection(task: str, runs: Runs, units: Sequence[Unit]) -> Chart | None:
    """Error rate among the most confident share of examples at home, a mean over seeds; as `calibration`."""
    series = []
    for backbone, of_seeds in runs.items():
        curves: list[NDArray[np.float64]] = []
        for run in of_seeds:
            with suppress(MedbenchError):
                coverage, risk = risk_coverage_curve(sample_of(run, _ECE, ID, units))
                curves.append(np.interp(COVERAGES, coverage, risk))
        if curves:
            points = zip(COVERAGES.tolist(), np.mean(curves, axis=0).tolist(), strict=True)
            series.append(Series(name=backbone, points=[Point(x=round(x, 4), y=y) for x, y in points]))
    if not series:
        return None
    return Chart(
        id=slug("risk-coverage", task),
        kind="risk-coverage",
        task=task,
        title=f"Risk by coverage on {ID}: errors among the most confident",
        x=Axis(label="share of examples that is answered"),
        y=Axis(label="error rate among them"),
        series=series,
        note="Means over seeds.",
    )


def sub_groups(
    task: str, runs: Runs, units: Sequence[Unit], metric: Metric, attributes: Sequence[str]
) -> list[Forest]:
    """The metric within the sub-groups of each attribute at home.

    Args:
      task: that the runs are of.
      runs: by backbone.
      units: from images to what is scored.
      metric: the task's primary one.
      attributes: that the task declares; one that the predictions lack is left out.
    """
    forests = [_of_attribute(task, runs, units, metric, attribute) for attribute in attributes]
    return [forest for forest in forests if forest is not None]


def reuse(task: str, runs: Runs) -> Chart | None:
    """How alike features are before and after fine-tuning, by stage, a mean over seeds; as `calibration`."""
    series = []
    for backbone, of_seeds in runs.items():
        points = []
        for i, stage in enumerate(STAGES):
            kept = [run.record.feature_reuse.get(stage) for run in of_seeds]
            known = [value for value in kept if value is not None]
            if known:
                points.append(over_seeds(i, known))
        if points:
            series.append(Series(name=backbone, points=points))
    if not series:
        return None
    return Chart(
        id=slug("reuse", task),
        kind="reuse",
        task=task,
        title="Features that fine-tuning kept, by stage",
        x=Axis(label="stage of the net", names=list(STAGES)),
        y=Axis(label="linear CKA of features before and after"),
        series=series,
        note="Means over seeds, bars from the lowest to the highest; 1 is unchanged.",
    )


def loss(task: str, runs: Runs) -> Chart | None:
    """Training loss by step, a mean over seeds; as `calibration`."""
    series = []
    for backbone, of_seeds in runs.items():
        by_step: dict[int, list[float]] = {}
        for run in of_seeds:
            for logged in run.record.trace:
                by_step.setdefault(logged.step, []).append(logged.loss)
        if by_step:
            series.append(
                Series(name=backbone, points=[over_seeds(x, y) for x, y in sorted(by_step.items())])
            )
    if not series:
        return None
    return Chart(
        id=slug("loss", task),
        kind="loss",
        task=task,
        title="Training loss",
        x=Axis(label="step"),
        y=Axis(label="cross-entropy of the batch (nats)"),
        series=series,
        note="Means over seeds, bars from the lowest to the highest.",
    )


def _of_attribute(
    task: str, runs: Runs, units: Sequence[Unit], metric: Metric, attribute: str
) -> Forest | None:
    rows = []
    for backbone, of_seeds in runs.items():
        found: dict[str, list[float]] = {}
        patients: dict[str, int] = {}
        for run in of_seeds:
            with suppress(MedbenchError):
                sample = sample_of(run, metric, ID, units)
                for group in by_group(metric.values, sample, [attribute], SMALLEST):
                    if group.compared and group.value is not None:
                        found.setdefault(group.name, []).append(group.value)
                        patients[group.name] = group.n_patients
        rows += [
            Row(
                label=f"{name} ({patients[name]} patients), {backbone}",
                value=fmean(values),
                low=min(values),
                high=max(values),
            )
            for name, values in found.items()
        ]
    if not rows:
        return None
    return Forest(
        id=slug("groups", task, attribute),
        kind="groups",
        task=task,
        title=f"{metric.name} on {ID} by {attribute}",
        axis=Axis(label=metric.name),
        rows=sorted(rows, key=lambda row: row.label),
        note="Means over seeds, bars from the lowest to the highest.",
    )


def _pooled(diagrams: Sequence[Reliability]) -> list[Point]:
    """One diagram of several over the same bins."""
    edges = sorted({float(low) for each in diagrams for low in each.low})
    points = []
    for edge in edges:
        count, probability, positive = 0, 0.0, 0.0
        for each in diagrams:
            here = each.low == edge
            count += int(each.counts[here].sum())
            probability += float((each.counts * each.probability)[here].sum())
            positive += float((each.counts * each.positive)[here].sum())
        points.append(Point(x=probability / count, y=positive / count, label=f"{count} predictions"))
    return points
