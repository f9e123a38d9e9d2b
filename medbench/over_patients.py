"""What the choice of patients adds to the uncertainty of an effect, by influences or by replicates.

Runs of all terms of an effect go in; the noise between seeds is not looked at here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medbench.metrics import Metric, Sample
from medbench.metrics.floor import noise_floor
from medbench.metrics.influence import influence
from medbench.spec.effects import Term
from medbench.spec.metrics import OF_RUN
from medbench.stats.bootstrap import patient_weights, seed_sequence, weights_without
from medbench.stats.patients import influence_by_patient, patients_behind, variance_over_patients

REPLICATES = 1000
"""Of the patient bootstrap: its own noise moves a standard error by some 2 %."""

Scored = Mapping[str, Mapping[int, Sample]]
"""What the metric looks at, by term and seed; terms of one evaluation set have the same examples."""

Reweighted = tuple[NDArray[np.float64], NDArray[np.bool_], str]
"""(b, k) each term's mean over seeds; (b,) whether all are defined; the first reason why one is not."""


@dataclass(frozen=True)
class Evidence:
    """All runs of an item as its metric sees them.

    Attributes:
      item: id, from which the draws of replicates follow.
      metric: of the item.
      terms: of its effect.
      scored: by term and seed.
      samples: the metric by term and seed; the same seeds for all terms.
      patients: that the metric rests on.
    """

    item: str
    metric: Metric
    terms: Sequence[Term]
    scored: Scored
    samples: Mapping[str, Mapping[int, float]]
    patients: int

    @property
    def by_seed(self) -> NDArray[np.float64]:
        """(s, k) the metric by seed and term."""
        return np.array([list(self.samples[term.name].values()) for term in self.terms]).T

    @property
    def sets(self) -> dict[str, Sample]:
        """One run's examples by evaluation set."""
        return {term.evaluation_set: next(iter(self.scored[term.name].values())) for term in self.terms}


@dataclass(frozen=True)
class OverPatients:
    """What the choice of patients adds to the uncertainty of an effect.

    Attributes:
      facts: for the judgement: how the interval was made.
      variance: of the effect's mean over seeds; 0 where it is undefined.
      floor: the most by which noise may bias the effect.
      behind: how many patients it effectively rests on.
      undefined: why there is none, else empty.
    """

    facts: Mapping[str, Any]
    variance: float = 0.0
    floor: float = 0.0
    behind: float = 0.0
    undefined: str = ""


def of_sum(evidence: Evidence) -> OverPatients:
    """Of the sum of the terms, each times its weight: by influences, where the metric has them."""
    if isinstance(evidence.metric.spec, OF_RUN):
        return OverPatients(facts={"interval": "seeds"}, behind=evidence.patients)
    return _by_influence(evidence) or _by_bootstrap(evidence)


def replicates(evidence: Evidence) -> Reweighted:
    """Each term's mean over seeds in replicates of the patients, the same patients for all terms."""
    return _reweighted(evidence, patient_weights(_patients(evidence), REPLICATES, _draws(evidence)))


def facts_of(defined: NDArray[np.bool_]) -> dict[str, Any]:
    """For the judgement: that the interval is by replicates, and in how many nothing is defined."""
    return {"interval": "bootstrap", "replicates": REPLICATES, "undefined_replicates": int((~defined).sum())}


def why_too_few(metric: Metric, defined: NDArray[np.bool_], reason: str) -> str:
    """Why too few replicates are defined to say anything, or an empty string."""
    if defined.sum() >= REPLICATES / 2:
        return ""
    return f"{metric.name} is undefined in most replicates of the patients: {reason}"


def _by_influence(evidence: Evidence) -> OverPatients | None:
    """From each patient's influence on the effect; None where the metric has no such form."""
    sets = evidence.sets
    sums = {name: np.zeros(len(sample)) for name, sample in sets.items()}
    for term in evidence.terms:
        total = np.zeros(len(sums[term.evaluation_set]))
        for sample in evidence.scored[term.name].values():
            of_run = influence(evidence.metric.spec, sample)
            if of_run is None:
                return None
            total += of_run
        sums[term.evaluation_set] += term.weight * (total / len(evidence.scored[term.name]))
    by_patient = influence_by_patient(np.concatenate(list(sums.values())), _patients(evidence))
    return OverPatients(
        facts={"interval": "influence"},
        variance=variance_over_patients(by_patient, evidence.patients),
        behind=patients_behind(by_patient),
    )


def _by_bootstrap(evidence: Evidence) -> OverPatients:
    """From replicates of the patients, those in which any run is undefined left out."""
    weights = np.array([term.weight for term in evidence.terms])
    values, defined, reason = replicates(evidence)
    facts, undefined = facts_of(defined), why_too_few(evidence.metric, defined, reason)
    if undefined:
        return OverPatients(facts=facts, undefined=undefined)
    left_out, there, _ = _reweighted(evidence, weights_without(_patients(evidence), REPLICATES))
    without = left_out[there] @ weights
    return OverPatients(
        facts=facts,
        variance=float(np.var(values[defined] @ weights, ddof=1)),
        floor=_floor(evidence),
        behind=patients_behind(without - without.mean()) if len(without) else 0.0,
    )


def _floor(evidence: Evidence) -> float:
    """The most by which noise may bias a term, times the sum of the weights on either side."""
    random = np.random.default_rng(_draws(evidence))
    of_terms = [
        noise_floor(evidence.metric, next(iter(evidence.scored[term.name].values())), random)
        for term in evidence.terms
    ]
    return max(of_terms) * sum(max(term.weight, 0.0) for term in evidence.terms)


def _reweighted(evidence: Evidence, blocks: Iterable[NDArray[np.float64]]) -> Reweighted:
    """Each term's mean over seeds by weights of the examples of all sets, one after another."""
    sets = evidence.sets
    ends = np.cumsum([len(sample) for sample in sets.values()])
    rows = {name: slice(end - len(of), end) for end, (name, of) in zip(ends, sets.items(), strict=True)}
    values, everywhere, reason = [], [], ""
    for weights in blocks:
        means = np.zeros((len(weights), len(evidence.terms)))
        defined = np.ones(len(weights), dtype=bool)
        for column, term in enumerate(evidence.terms):
            by_seed = evidence.scored[term.name]
            for sample in by_seed.values():
                estimates = evidence.metric.values(sample, weights[:, rows[term.evaluation_set]])
                means[:, column] += estimates.values / len(by_seed)
                defined &= estimates.defined
                reason = reason or estimates.reason
        values.append(means)
        everywhere.append(defined)
    return np.concatenate(values), np.concatenate(everywhere), reason


def _patients(evidence: Evidence) -> NDArray[np.str_]:
    return np.concatenate([sample.predictions.patient for sample in evidence.sets.values()])


def _draws(evidence: Evidence) -> np.random.SeedSequence:
    return seed_sequence(evidence.item)
