"""How much training data a backbone can do without and still match the baseline, with its uncertainty.

The learning curve is read by `medbench.metrics.efficiency`; other effects are weighted sums (`judge`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.judgement import Interval
from medbench.metrics import Metric
from medbench.metrics.efficiency import fraction_interval, matched_fraction, with_seed_noise
from medbench.over_patients import Scored, facts_of, replicates, why_too_few
from medbench.spec.effects import BASELINE, Term
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


def saving(
    item: str,
    metric: Metric,
    terms: Sequence[Term],
    scored: Scored,
    samples: Mapping[str, Mapping[int, float]],
    fractions: Mapping[str, float],
) -> Saving:
    """The saving of an item.

    Args:
      item: id, from which all draws follow.
      metric: whose score is to be matched.
      terms: the baseline and the points of the curve.
      scored: by term and seed; at least two seeds.
      samples: the metric by term and seed.
      fractions: of the training patients by arm; those of the curve differ.
    """
    values, defined, reason = replicates(item, metric, terms, scored)
    facts, undefined = facts_of(defined), why_too_few(metric, defined, reason)
    if undefined:
        return Saving(facts, undefined=undefined)
    curve = sorted(
        (i for i, t in enumerate(terms) if t.arm != BASELINE), key=lambda i: fractions[terms[i].arm]
    )
    target = next(i for i, term in enumerate(terms) if term.arm == BASELINE)
    at = np.array([fractions[terms[i].arm] for i in curve])

    def matched(scores: NDArray[np.float64]):  # noqa: ANN202  estimates of (b, k) scores
        return matched_fraction(
            at, scores[:, curve], scores[:, target], higher_is_better=metric.higher_is_better
        )

    by_seed = np.array([list(samples[term.name].values()) for term in terms]).T
    measured = matched(by_seed.mean(axis=0, keepdims=True))
    if not measured.defined[0]:
        return Saving(facts, undefined=measured.reason)
    noisy = matched(with_seed_noise(values[defined], by_seed, seed_sequence(f"{item} seeds")))
    between = fraction_interval(at, noisy)
    effect = Interval(
        value=1 - float(measured.values[0]),
        low=0.0 if between.high is None else 1 - between.high,
        high=1.0 if between.low is None else 1 - between.low,
    )
    placed = np.where(noisy.below, 1.0, np.where(noisy.beyond, 0.0, 1 - noisy.values))
    return Saving(facts, effect, placed)
