"""What the choice of patients adds to the uncertainty of an effect, by influences or by replicates.

Runs of all terms of an effect go in; the noise between seeds is not looked at here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medbench.metrics import Metric, Sample
from medbench.metrics.influence import influence
from medbench.spec.effects import Term
from medbench.stats.bootstrap import patient_weights, seed_sequence
from medbench.stats.patients import influence_by_patient, patients_behind, variance_over_patients

REPLICATES = 1000
"""Of the patient bootstrap: its own noise moves a standard error by some 2 %."""

Scored = Mapping[str, Mapping[int, Sample]]
"""What the metric looks at, by term and seed; terms of one evaluation set have the same examples."""


@dataclass(frozen=True)
class OverPatients:
    """What the choice of patients adds to the uncertainty of an effect.

    Attributes:
      facts: for the judgement: how the interval was made.
      variance: of the effect's mean over seeds; 0 where it is undefined.
      behind: how many patients it effectively rests on, where that can be told.
      undefined: why there is none, else empty.
    """

    facts: Mapping[str, Any]
    variance: float = 0.0
    behind: float | None = None
    undefined: str = ""


def of_sum(item: str, metric: Metric, terms: Sequence[Term], scored: Scored, patients: int) -> OverPatients:
    """Of a weighted sum of terms.

    Args:
      item: id, from which the draws of replicates follow.
      metric: of the item.
      terms: with their weights.
      scored: by term and seed.
      patients: that the metric rests on.
    """
    return _by_influence(metric, terms, scored, patients) or _by_bootstrap(item, metric, terms, scored)


def replicates(
    item: str, metric: Metric, terms: Sequence[Term], scored: Scored
) -> tuple[NDArray[np.float64], NDArray[np.bool_], str]:
    """Each term's mean over seeds in replicates of the patients, the same patients for all terms.

    Returns:
      (b, k) values; (b,) whether all are defined; the first reason why one is not.
    """
    sets = _sets(terms, scored)
    patient = np.concatenate([sample.predictions.patient for sample in sets.values()])
    ends = np.cumsum([len(sample) for sample in sets.values()])
    rows = {
        name: slice(end - len(sample), end) for end, (name, sample) in zip(ends, sets.items(), strict=True)
    }
    values, everywhere, reason = [], [], ""
    for weights in patient_weights(patient, REPLICATES, seed_sequence(item)):
        means, defined = np.zeros((len(weights), len(terms))), np.ones(len(weights), dtype=bool)
        for column, term in enumerate(terms):
            for sample in scored[term.name].values():
                estimates = metric.values(sample, weights[:, rows[term.evaluation_set]])
                means[:, column] += estimates.values / len(scored[term.name])
                defined &= estimates.defined
                reason = reason or estimates.reason
        values.append(means)
        everywhere.append(defined)
    return np.concatenate(values), np.concatenate(everywhere), reason


def facts_of(defined: NDArray[np.bool_]) -> dict[str, Any]:
    """For the judgement: that the interval is by replicates, and in how many nothing is defined."""
    return {"interval": "bootstrap", "replicates": REPLICATES, "undefined_replicates": int((~defined).sum())}


def why_too_few(metric: Metric, defined: NDArray[np.bool_], reason: str) -> str:
    """Why too few replicates are defined to say anything, or an empty string."""
    if defined.sum() >= REPLICATES / 2:
        return ""
    return f"{metric.name} is undefined in most replicates of the patients: {reason}"


def _by_influence(
    metric: Metric, terms: Sequence[Term], scored: Scored, patients: int
) -> OverPatients | None:
    """From each patient's influence on the effect; None where the metric has no such form."""
    sums = {name: np.zeros(len(sample)) for name, sample in _sets(terms, scored).items()}
    for term, sample in _each(terms, scored):
        of_run = influence(metric.spec, sample)
        if of_run is None:
            return None
        sums[term.evaluation_set] += term.weight * of_run / len(scored[term.name])
    by_patient = influence_by_patient(
        np.concatenate(list(sums.values())),
        np.concatenate([sample.predictions.patient for sample in _sets(terms, scored).values()]),
    )
    return OverPatients(
        facts={"interval": "influence"},
        variance=variance_over_patients(by_patient, patients),
        behind=patients_behind(by_patient),
    )


def _by_bootstrap(item: str, metric: Metric, terms: Sequence[Term], scored: Scored) -> OverPatients:
    """From replicates of the patients, those in which any run is undefined left out."""
    values, defined, reason = replicates(item, metric, terms, scored)
    facts, undefined = facts_of(defined), why_too_few(metric, defined, reason)
    if undefined:
        return OverPatients(facts=facts, undefined=undefined)
    effects = values[defined] @ np.array([term.weight for term in terms])
    return OverPatients(facts=facts, variance=float(np.var(effects, ddof=1)))


def _sets(terms: Sequence[Term], scored: Scored) -> dict[str, Sample]:
    """One run's examples by evaluation set."""
    return {term.evaluation_set: next(iter(scored[term.name].values())) for term in terms}


def _each(terms: Sequence[Term], scored: Scored) -> Iterator[tuple[Term, Sample]]:
    return ((term, sample) for term in terms for sample in scored[term.name].values())
