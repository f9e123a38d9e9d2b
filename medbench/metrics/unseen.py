"""What patients of a kind that by chance was not drawn might change: the limit to what a cohort can exclude.

The spread of what was drawn knows nothing of them, however many images and seeds there are.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medbench.metrics.calibration import top_label
from medbench.metrics.discrimination import scores_and_labels
from medbench.metrics.fairness import groups, part_of
from medbench.metrics.registry import Metric, evaluate
from medbench.metrics.sample import Sample
from medbench.spec.metrics import OF_ANOTHER, EqualizedOddsGap

_MOST_COPIES = 100
"""Shares smaller than one in so many are planted as large as this and taken to matter in proportion."""


def most_unseen(metric: Metric, sample: Sample, level: float) -> float:
    """How much of the metric patients may cost of whose kind there is none in the sample.

    A kind that makes up a share p of the patients is missed by n of them with probability (1 - p)^n. With
    confidence 1 - `level` none above 1 - level^(1/n) was missed: about 3 / n for a level of .05 (the rule of
    three, Hanley and Lippman-Hand 1983, doi:10.1001/jama.1983.03330370053031). Such a share of one cell, the
    examples with a label or those without it, within groups where these are compared, is given the logits
    of the example that is the furthest from that label; what is measured is the change that does most.

    Args:
      metric: of which kind ever.
      sample: of n examples, on which it is defined.
      level: probability of missing a kind.

    Returns:
      The largest change of the value over all cells, at least 0, in the metric's unit.
    """
    if isinstance(metric.spec, OF_ANOTHER):
        assert metric.inner is not None
        kept = groups(sample, metric.spec.attributes, metric.spec.smallest).kept
        return max(
            (most_unseen(metric.inner, part_of(sample, group.rows), level) for group in kept), default=0.0
        )
    value, _ = evaluate(metric, sample)
    changes = [0.0]
    for cell, logits in _worst(metric, sample):
        patients = len(np.unique(sample.predictions.patient[cell]))
        if value is not None and patients:
            share = 1 - level ** (1 / patients)
            one_in = min(max(2, int(1 / share)), _MOST_COPIES)
            after = _planted(metric, sample, cell, logits, one_in)
            changes.append(0.0 if after is None else abs(after - value) * share * one_in)
    return max(changes)


def _planted(
    metric: Metric, sample: Sample, cell: NDArray[np.bool_], logits: NDArray[np.float32], one_in: int
) -> float | None:
    """The metric where one in so many of a cell (n,) has other logits (n, k); None where it is undefined."""
    twice = part_of(sample, np.concatenate([np.arange(len(sample)), np.flatnonzero(cell)]))
    changed = np.concatenate([sample.predictions.logits, logits[cell]])
    twice = replace(twice, predictions=replace(twice.predictions, logits=changed))
    # Whole numbers, which some metrics ask for.
    weights = np.concatenate([np.where(cell, one_in - 1, one_in), np.ones(cell.sum())])
    estimate = metric.values(twice, weights[None])
    return float(estimate.values[0]) if estimate.defined[0] else None


def _worst(metric: Metric, sample: Sample) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float32]]]:
    """Cells (n,) of the sample, each with the logits (n, k) that would be the most wrong there."""
    if sample.shifted is not None:
        confidence = np.sum([event.log_odds for event in top_label(sample.predictions)], axis=0)
        for cell, looks in ((sample.shifted, confidence.argmax()), (~sample.shifted, confidence.argmin())):
            yield cell, np.broadcast_to(sample.predictions.logits[looks], sample.predictions.logits.shape)
        return
    within = [np.ones(len(sample), dtype=bool)]
    if isinstance(metric.spec, EqualizedOddsGap):
        kept = groups(sample, metric.spec.attributes, metric.spec.smallest).kept
        within = [np.isin(np.arange(len(sample)), group.rows) for group in kept]
    _, scores, labels = scores_and_labels(sample.predictions)
    for i, column in enumerate(scores.T):
        for value, furthest in ((1, column.argmin()), (0, column.argmax())):
            logits = sample.predictions.logits.copy()
            if sample.predictions.target.kind == "multi-label":
                logits[:, i] = logits[furthest, i]
            else:
                logits[:] = logits[furthest]
            for group in within:
                yield (labels[:, i] == value) & group, logits
