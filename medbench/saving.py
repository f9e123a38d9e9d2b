"""How much training data a backbone can do without and still match the baseline, with its uncertainty.

The learning curve is read by `medbench.metrics.efficiency`; other effects are weighted sums (`judge`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.judgement import Interval
from medbench.metrics.efficiency import Matched, fraction_interval, matched_fraction, with_seed_noise
from medbench.over_patients import Evidence, facts_of, replicates, why_too_few
from medbench.spec.effects import BASELINE
from medbench.stats.bootstrap import seed_sequence


@dataclass(frozen=True)
class Saving:
    """The share of training patients that is saved.

    Attributes:
      facts: for the judgement: how the interval was made.
      effect: 1 less the matched fraction, with limits; a limit beyond the fractions tried is 0 or 1.
      replicates: (b,) of it, over patients and seeds.
      undefined: why there is none, else empty.
    """

    facts: Mapping[str, object]
    effect: Interval | None = None
    replicates: NDArray[np.float64] | None = None
    undefined: str = ""


def saving(evidence: Evidence, fractions: Mapping[str, float]) -> Saving:
    """The saving of an item.

    Args:
      evidence: of the baseline and the points of the curve, of at least two seeds.
      fractions: of the training patients by arm; those of the curve differ.
    """
    values, defined, reason = replicates(evidence)
    facts, undefined = facts_of(defined), why_too_few(evidence.metric, defined, reason)
    if undefined:
        return Saving(facts, undefined=undefined)
    at = np.array([fractions[term.arm] for term in evidence.terms])
    is_target = np.array([term.arm == BASELINE for term in evidence.terms])
    curve = np.flatnonzero(~is_target)[np.argsort(at[~is_target])]

    def matched(scores: NDArray[np.float64]) -> Matched:
        return matched_fraction(
            at[curve],
            scores[:, curve],
            scores[:, is_target.argmax()],
            higher_is_better=evidence.metric.higher_is_better,
        )

    measured = matched(evidence.by_seed.mean(axis=0, keepdims=True))
    if not measured.defined[0]:
        return Saving(facts, undefined=measured.reason)
    draws = seed_sequence(f"{evidence.item} seeds")
    noisy = matched(with_seed_noise(values[defined], evidence.by_seed, draws))
    between = fraction_interval(at[curve], noisy)
    effect = Interval(
        value=1 - float(measured.values[0]),
        low=0.0 if between.high is None else 1 - between.high,
        high=1.0 if between.low is None else 1 - between.low,
    )
    placed = np.where(noisy.below, 1.0, np.where(noisy.beyond, 0.0, 1 - noisy.values))
    return Saving(facts, effect, placed)
