"""How many patients a metric really rests on: those of the smallest cell that it compares.

A hundred patients tell little about a rate among three of them; judging concludes nothing from too few.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medbench.metrics.calibration import top_label
from medbench.metrics.discrimination import scores_and_labels
from medbench.metrics.fairness import groups
from medbench.metrics.sample import Sample
from medbench.spec.metrics import (
    OF_RUN,
    EqualizedOddsGap,
    GroupGap,
    MetricSpec,
    MisclassificationAuc,
    OutOfDistributionAuc,
    RiskCoverageArea,
    WorstGroup,
)


def resting_on(spec: MetricSpec, sample: Sample, inner: MetricSpec | None = None) -> int:
    """Patients in the smallest cell that the metric compares; 0 where there is none.

    Cells are the examples with a label and those without it, of every label that the metric is of; wrong
    and right calls, where a metric is about them; `id` and the shift, where it tells them apart; and of a
    metric by groups, those of the metric that it compares, as far as they occur, within every sub-group
    that is large enough.

    Args:
      spec: of the metric.
      sample: of n examples, with the attributes that the metric is by.
      inner: of the metric that it compares between groups, if it does.

    Returns:
      A number of patients, from 0 to all of them.

    Raises:
      MedbenchError: the predictions lack an attribute; the message names the nearest.
    """
    _, patients = np.unique(sample.predictions.patient, return_inverse=True)
    cells = _cells(spec, sample, inner)
    return min((int((np.bincount(patients[cell]) > 0).sum()) for cell in cells), default=0)


def _cells(
    spec: MetricSpec | None, sample: Sample, inner: MetricSpec | None = None
) -> Iterator[NDArray[np.bool_]]:
    """(n,) masks of the examples in each cell."""
    if isinstance(spec, OF_RUN):
        yield np.ones(len(sample), dtype=np.bool_)
    elif isinstance(spec, OutOfDistributionAuc):
        if sample.shifted is not None:
            yield from (sample.shifted, ~sample.shifted)
    elif isinstance(spec, MisclassificationAuc | RiskCoverageArea):
        yield from (event.happened == value for event in top_label(sample.predictions) for value in (0, 1))
    elif isinstance(spec, GroupGap | WorstGroup | EqualizedOddsGap):
        for group in groups(sample, spec.attributes, spec.smallest).kept:
            within = np.isin(np.arange(len(sample)), group.rows)
            cells = [cell & within for cell in _cells(inner, sample)]
            yield from (cell for cell in cells if cell.any())  # a group may show one class only
    else:
        yield from _of_labels(sample, getattr(spec, "label", ""))


def _of_labels(sample: Sample, label: str) -> Iterator[NDArray[np.bool_]]:
    """With and without each label, or the one that is named."""
    names, _, labels = scores_and_labels(sample.predictions)
    if label:
        names, labels = sample.predictions.target.classes, sample.predictions.labels
    for i, name in enumerate(names):
        if label in ("", name):
            yield from (labels[:, i] == value for value in (0, 1))
