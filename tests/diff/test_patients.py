from dataclasses import dataclass

import numpy as np
import pytest

from medbench.judge import judge, sample_of
from medbench.metrics import metric_named
from tests.diff.sides import definition, only, values
from tests.judging import ARMS, claim, planned, study


@dataclass
class FromRuns:
    """The predictions of one arm's runs."""

    runs: dict
    name: str = "roc_auc"
    cluster: str = "patient"

    @property
    def metric(self):
        return metric_named(self.name)

    def sample(self, term, seed):
        return sample_of(self.runs[seed], self.metric, "id", ())


def sides(runs, judged, metric="roc_auc", **changes):
    """The baseline as what was before, and the treatment as what is now, of one and the same arm.

    Its backbone is another one, so that the same seeds are not the same runs.
    """
    of = definition(metric=metric_named(metric).identity, weights={"treatment": 1.0})
    return [
        values(
            arms={"treatment": ARMS[arm]},
            samples={"treatment": judged.samples[arm]},
            definition=of,
            predicted=FromRuns(runs[arm], metric),
            **changes,
        )
        for arm in ARMS
    ]


@pytest.mark.parametrize("metric", ["roc_auc", "nll"])
def test_paired_by_patients_it_is_what_judging_two_arms_gives(metric):
    runs = study(gain=0.4, seeds=(1, 2, 3, 4))
    item = planned(seeds=(1, 2, 3, 4), metric=metric)
    judged = judge(item, claim(margin=0.0), runs)
    (term,) = only(*sides(runs, judged, metric)).terms
    assert term.by == "patients"
    effect = judged.effect
    assert (term.change.value, term.change.low, term.change.high) == pytest.approx(
        (effect.value, effect.low, effect.high)
    )
    one_sided = min(judged.p, 1 - judged.p)
    assert term.p == pytest.approx(2 * one_sided)


def test_a_bootstrapped_metric_is_paired_by_patients_too():
    runs = study(gain=0.8, n_patients=120, seeds=(1, 2, 3))
    judged = judge(planned(metric="average_precision"), claim(), runs)
    (term,) = only(*sides(runs, judged, "average_precision")).terms
    assert term.by == "patients"
    assert term.change.value == pytest.approx(judged.effect.value)


def test_other_patients_are_compared_over_seeds():
    runs = study(gain=0.4)
    judged = judge(planned(), claim(), runs)
    for run in runs["treatment"].values():
        object.__setattr__(run.scored, "patient", np.char.add("x", run.scored.patient))
    (term,) = only(*sides(runs, judged)).terms
    assert term.by == "seeds"


def test_too_few_patients_conclude_nothing_and_say_so():
    runs = study(gain=3.0, n_patients=12, images=1)
    judged = judge(planned(), claim(), runs)
    found = only(*sides(runs, judged))
    assert found.state == "insignificant"
    assert "patients only" in found.sentence
    assert found.terms[0].p == 1.0
