"""A metric's difference between arms after swaps, against the metric of predictions that were swapped."""

from dataclasses import replace

import numpy as np
import pytest

from medbench.metrics import Sample, evaluate, metric_named
from medbench.metrics.estimates import Estimates
from medbench.metrics.swaps import difference_of
from tests.judging import scored

LABELS = np.array([0, 1, 0, 1, 1, 0, 1, 0])
SHIFTED = np.array([False, False, True, True, True, False, True, False])


def sample(rng, **changes):
    return Sample(scored(LABELS, np.random.default_rng(rng).normal(size=len(LABELS))), **changes)


@pytest.mark.parametrize(("name", "changes"), [("roc_auc", {}), ("ood_auroc", {"shifted": SHIFTED})])
def test_the_difference_is_that_of_the_swapped_predictions_averaged_over_pairs(name, changes):
    metric, pairs = (
        metric_named(name),
        [(sample(1, **changes), sample(2, **changes)), (sample(3, **changes),) * 2],
    )
    swapped = np.random.default_rng(4).integers(2, size=(5, len(LABELS))).astype(bool)
    found, defined = difference_of(metric.values, pairs)(swapped)
    assert defined.all()
    for swap, difference in zip(swapped, found, strict=True):
        total = 0.0
        for ours, theirs in pairs:
            a, b = (
                replace(one, predictions=replace(one.predictions, logits=np.where(swap[:, None], x, y)))
                for one, x, y in (
                    (ours, theirs.predictions.logits, ours.predictions.logits),
                    (theirs, ours.predictions.logits, theirs.predictions.logits),
                )
            )
            total += evaluate(metric, b)[0] - evaluate(metric, a)[0]
        assert difference == pytest.approx(total / 2)


@pytest.mark.parametrize("lacking", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_it_is_undefined_where_either_arm_of_any_pair_is(lacking):
    pairs = [(sample(1), sample(2)), (sample(3), sample(4))]
    asked = iter([(pair, arm) for pair in (0, 1) for arm in (0, 1)])

    def values(_, weights):
        defined = np.full(len(weights), next(asked) != lacking)
        return Estimates(np.zeros(len(weights)), defined, "" if defined.all() else "lacking")

    assert not difference_of(values, pairs)(np.zeros((1, len(LABELS)), dtype=bool))[1].any()


def test_what_is_fitted_on_validation_cannot_be_swapped():
    plain, fitted = sample(1), sample(2, validation=sample(3).predictions)
    said = r"^what is fitted on validation belongs to an arm and cannot be swapped by patient$"
    for pair in ((fitted, plain), (plain, fitted)):
        with pytest.raises(ValueError, match=said):
            difference_of(metric_named("roc_auc").values, [pair])
