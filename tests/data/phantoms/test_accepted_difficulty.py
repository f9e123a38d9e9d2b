from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medbench.data.phantoms.cohort import open_phantoms
from medbench.store import read_run

RUNS = Path(__file__).parents[3] / "expectations" / "embedded" / "runs"


def by_label(predictions):
    """The ROC AUC of each label; of two exclusive classes, of the second."""
    if predictions.target.kind == "multi-label":
        return [roc_auc_score(y, s) for y, s in zip(predictions.labels.T, predictions.logits.T, strict=True)]
    return [roc_auc_score(predictions.labels[:, 1], predictions.logits[:, 1] - predictions.logits[:, 0])]


@pytest.mark.parametrize("domain", ["chest", "mammography", "dermatology"])
def test_the_best_accepted_net_stays_below_the_oracle(domain):
    cohort = open_phantoms(domain)
    labels, oracle = cohort.examples("id").labels, cohort.oracle("id")
    if cohort.target.kind == "single-label":
        labels, oracle = labels[:, 1:], oracle[:, -1:]
    ceiling = np.array([roc_auc_score(y, s) for y, s in zip(labels.T, oracle.T, strict=True)])
    areas = defaultdict(list)
    for folder in sorted((RUNS / domain).iterdir()):
        run = read_run(folder, "loaded")
        areas[run.record.spec.backbone.name].append(by_label(run.predictions("id")))
    assert len(areas) >= 2
    best = np.max([np.mean(of_seeds, axis=0) for of_seeds in areas.values()], axis=0)
    assert np.all(best <= ceiling - 0.03), (best, ceiling)
    assert np.all(best >= 0.75), "nothing to learn"
