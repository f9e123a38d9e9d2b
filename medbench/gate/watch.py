"""The gate over a world: whether a night alarms, without judging the items that surely do not.

The rule of bands is computed for all items at once to see which come near; an alarm is what medbench's own
functions say of those.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbench.expect import Calibration, Expectations
from medbench.gate.nights import accept, is_red, judged
from medbench.gate.worlds import DEVICE, Values, World
from medbench.metrics.registry import higher_is_better
from medbench.predicates import PREDICATES
from medbench.stats.prediction import MEANS, SINGLE_FREEDOM, SINGLE_SEEDS

NEAR = 0.99
"""Share of a band beyond which a value is looked at."""
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Watch:
    """The gate once values were accepted.

    Args:
      world: that nights are in.
      values: of seeds 1, 2, … of every item, which are accepted.
      calibration: of the numeric tolerance.

    Attributes:
      expectations: what was accepted.
    """

    def __init__(self, world: World, values: Values, calibration: tuple[Calibration, ...]) -> None:
        self._world = world
        self.expectations = accept(world, values, calibration)
        of_items = np.array([of_item.shape[1] for of_item in values])
        self._alike = [
            _Alike.among(world, values, np.flatnonzero(of_items == n), self.expectations)
            for n in np.unique(of_items)
        ]

    def alarms(self, measured: Values, first: int) -> Iterator[int]:
        """The items that are red in a night with these values, seeds counted from `first`."""
        for item in self.suspects(measured, first):
            if is_red(judged(self._world, item, measured[item], first), self.expectations):
                yield item

    def suspects(self, measured: Values, first: int) -> list[int]:
        """The items that may be: no other is, whatever `is_red` costs."""
        return sorted(
            int(item)
            for alike in self._alike
            for item in alike.suspects(np.concatenate([measured[i] for i in alike.items]), first)
        )


@dataclass(frozen=True)
class _Alike:
    """Items with one number of accepted seeds, n, and all their terms, one after another.

    Attributes:
      items: (i,) numbers.
      of: (t,) place among these of the item of each term.
      weights: (t,) in the effect, positive where more favours the claim.
      accepted: (t, n) values by seed.
      tolerance: (t,) numeric.
      prior: (t,) variance between seeds that all terms of the metric have in common.
      freedom: (t,) its degrees of freedom.
      family: bands that share the level.
      bounds: (2, i) of the claimed effects.
      concluded: (i,) whether the accepted verdict may flip.
    """

    items: NDArray[np.int64]
    of: NDArray[np.int64]
    weights: Floats
    accepted: Floats
    tolerance: Floats
    prior: Floats
    freedom: Floats
    family: int
    bounds: Floats
    concluded: Flags

    @classmethod
    def among(
        cls, world: World, values: Values, items: NDArray[np.int64], expectations: Expectations
    ) -> "_Alike":
        """Of a world's items, by number."""
        accepted = [expectations.accepted[i] for i in items]
        metrics = [e.definition.metric for e in accepted]
        signs = [-1.0 if higher_is_better(metric) is False else 1.0 for metric in metrics]
        claimed = [PREDICATES[e.definition.predicate](e.definition.margin) for e in accepted]
        of = np.repeat(np.arange(len(items)), [len(e.samples) for e in accepted])
        priors = [expectations.priors[metric, DEVICE] for metric in metrics]
        tolerances = {metric: expectations.tolerance(metric, DEVICE) for metric in set(metrics)}
        return cls(
            items=items,
            of=of,
            weights=np.concatenate([s * world.suite.weights[i] for i, s in zip(items, signs, strict=True)]),
            accepted=np.concatenate([values[i] for i in items]),
            tolerance=np.array([tolerances[metric] for metric in metrics])[of],
            prior=np.array([prior.deviation**2 for prior in priors])[of],
            freedom=np.array([prior.degrees_of_freedom for prior in priors])[of],
            family=expectations.families[DEVICE],
            bounds=np.array([[c.low for c in claimed], [c.high for c in claimed]]),
            concluded=np.array([e.verdict != "inconclusive" for e in accepted]),
        )

    def suspects(self, measured: Floats, first: int) -> NDArray[np.int64]:
        """Those of the items that may be red, by values (t, k) of seeds counted from `first`."""
        near = self._moved(measured) if first == 1 else self._far(measured)
        return self.items[self._crossing(measured) | (np.bincount(self.of, near, len(self.items)) > 0)]

    def _crossing(self, measured: Floats) -> Flags:
        """(i,) whether the effect has passed a bound, without which no verdict flips."""
        before, now = (
            np.bincount(self.of, self.weights * values.mean(axis=1), len(self.items))
            for values in (self.accepted, measured)
        )
        low, high = ((before > bound) != (now > bound) for bound in self.bounds)
        crossed: Flags = self.concluded & (low | high)
        return crossed

    def _moved(self, measured: Floats) -> Flags:
        """(t,) whether a value of the same seeds is near the limit of the numeric tolerance."""
        furthest: Floats = np.abs(measured - self.accepted).max(axis=1)
        return furthest > NEAR * self.tolerance

    def _far(self, measured: Floats) -> Flags:
        """(t,) whether the mean of new seeds, or one of them, is near the limit of its band."""
        k = measured.shape[1]
        expected = self.accepted.mean(axis=1)
        sums, freedom = self.freedom * self.prior + _squares(self.accepted), self.freedom + self._n - 1
        both, of_both = sums + _squares(measured), freedom + k - 1
        of_mean, of_each = np.abs(measured.mean(axis=1) - expected), np.abs(measured - expected[:, None])
        far: Flags = of_mean > NEAR * self._half(both, of_both, k, MEANS, 1)
        if k > 1:
            far |= of_each.max(axis=1) > NEAR * self._half(sums, freedom, 1, SINGLE_SEEDS, k)
        return far

    def _half(self, sums: Floats, freedom: Floats, new: int, level: float, times: int) -> Floats:
        """(t,) half the widths of bands for the mean of so many new seeds, as `Expectations.bands` has them.

        Args:
          sums: (t,) of squares.
          freedom: (t,) their degrees of freedom.
          new: seeds behind the mean.
          level: of all bands together.
          times: bands of each term.
        """
        from scipy.special import stdtrit  # noqa: PLC0415 (slow to import)

        each = 1 - (1 - level) ** (1 / (self.family * times))
        of_t = freedom if new > 1 else np.minimum(freedom, SINGLE_FREEDOM)
        half = stdtrit(of_t, 1 - each / 2) * np.sqrt(sums / freedom * (1 / self._n + 1 / new))
        wide: Floats = np.maximum(half, self.tolerance)
        return wide

    @property
    def _n(self) -> int:
        return self.accepted.shape[1]


def _squares(values: Floats) -> Floats:
    """(t,) sums of squares of values (t, s) about their mean."""
    squares: Floats = ((values - values.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    return squares
