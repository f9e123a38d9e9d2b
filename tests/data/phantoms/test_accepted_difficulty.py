from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from medbench.data.phantoms.cohort import open_phantoms
from medbench.store import read_run

RUNS = Path(__file__).parents[3] / "expectations" / "embedded" / "runs"


def by_class(labels, scores):
    """The ROC AUC of each class against the rest."""
    return [roc_auc_score(y, s) for y, s in zip(labels.T, scores.T, strict=True)]


def scores_of(predictions):
    """(n, k) logits of a target of several labels, log odds of exclusive classes."""
    logits = predictions.logits.astype(float)
    if predictions.target.kind == "multi-label":
        return logits
    return logits - np.stack([logsumexp(np.delete(logits, k, 1), axis=1) for k in range(logits.shape[1])], 1)


@pytest.mark.parametrize("domain", ["chest", "mammography", "dermatology"])
def test_the_best_accepted_net_under_the_tiers_recipe_stays_below_the_oracle(domain):
    cohort = open_phantoms(domain)
    ceiling = np.array(by_class(cohort.examples("id").labels, cohort.oracle("id")))
    areas = defaultdict(list)
    for folder in sorted((RUNS / domain).iterdir()):
        run = read_run(folder, "loaded")
        assert run.record.spec.cohort_fingerprint == cohort.fingerprint, "accepted of another generator"
        if (run.record.spec.recipe.name, run.record.spec.fraction) != ("embedded", 1):
            continue
        predictions = run.predictions("id")
        areas[run.record.spec.backbone.name].append(by_class(predictions.labels, scores_of(predictions)))
    assert len(areas) >= 2
    best = np.max([np.mean(of_seeds, axis=0) for of_seeds in areas.values()], axis=0)
    assert np.all(best <= ceiling - 0.03), (best, ceiling)
    assert best.mean() >= 0.75, "nothing to learn"
