"""Whether a metric rises along an ordered ladder of arms, such as backbones by pre-training images.

A slope with an interval, the best monotone fit, and a permutation test that assumes nothing of the shape.
"""

from collections.abc import Sequence
from itertools import permutations
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medbench.stats.interval import Spread

ARRANGEMENTS = 100_000
"""Of the arms within the seeds: all are counted where there are no more, else one fewer is drawn."""
_TIE = 1e-12
"""Share of the steepest slope there could be within which two are equal: sums in another order."""


def slope_contrast(positions: Sequence[float]) -> NDArray[np.float64]:
    """Coefficients (k,) that turn k values into their least-squares slope along the ladder.

    Args:
      positions: (k,) of the arms, rising: ranks, or logarithms of the scale.

    Raises:
      ValueError: fewer than two arms, or positions that do not rise.
    """
    x = np.asarray(positions, dtype=np.float64)
    if len(x) < 2 or not (np.diff(x) > 0).all():
        raise ValueError(f"expected at least two rising positions, found {list(positions)}")
    centred = x - x.mean()
    coefficients: NDArray[np.float64] = centred / (centred @ centred)
    return coefficients


def slope(
    values: NDArray[np.float64],
    covariance: NDArray[np.float64],
    positions: Sequence[float],
    *,
    resting_on: int,
) -> tuple[float, Spread]:
    """The slope of the arms' means over seeds, and its spread for `medbench.stats.interval.limits`.

    Arms are paired by patient (by way of the covariance) and by seed. The slope is a summary: it may
    be positive although one step falls, which `isotonic` shows.

    Args:
      values: (s, k) the metric by seed and arm.
      covariance: (k, k) of the arms' means over seeds, from the choice of patients.
      positions: (k,) of the arms, rising.
      resting_on: patients of the rarest class, at least 2.

    Returns:
      Change of the metric per unit of position, and its spread.
    """
    contrast = slope_contrast(positions)
    by_seed = values @ contrast
    return float(by_seed.mean()), Spread(
        patients=float(contrast @ covariance @ contrast),
        seeds=float(np.var(by_seed, ddof=1)) if len(by_seed) > 1 else 0.0,
        n_patients=resting_on,
        n_seeds=len(by_seed),
    )


def isotonic(values: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """The nearest values that never fall, by least squares: of a ladder, or of many at once.

    By the min-max formula (Robertson, Wright and Dykstra 1988, section 1.4): at j, the largest over i <= j of
    the smallest over l >= j of the mean of values i to l. Cubic in k, which is about ten, and for all ladders
    at once.

    Args:
      values: (..., k) in the order of the ladder.
      weights: (k,) above 0; without, all count alike.

    Returns:
      (..., k) values that never fall; what never falls already stays as it is to the last bit, so that
      equal values compare as equal.
    """
    values = np.asarray(values, dtype=np.float64)
    mass = np.ones(values.shape[-1]) if weights is None else np.asarray(weights, dtype=np.float64)
    sums, masses = (np.cumsum(np.insert(of, 0, 0.0, axis=-1), axis=-1) for of in (values * mass, mass))
    nearest = np.full(values.shape, -np.inf)
    for i in range(values.shape[-1]):
        means = (sums[..., i + 1 :] - sums[..., i, None]) / (masses[i + 1 :] - masses[i])
        from_here = np.minimum.accumulate(means[..., ::-1], axis=-1)[..., ::-1]
        nearest[..., i:] = np.maximum(nearest[..., i:], from_here)
    rising = (np.diff(values, axis=-1) >= 0).all(axis=-1, keepdims=True)
    return np.where(rising, values, nearest)


def rise_p_value(
    values: NDArray[np.float64], positions: Sequence[float], seed: np.random.SeedSequence
) -> float:
    """How often arms in any order within each seed rise as steeply: one-sided, in (0, 1].

    Under the hypothesis that a seed's arms are exchangeable. On ranks within seeds and positions
    0, 1, … it is Page's test (1963). Exact where there are at most `ARRANGEMENTS`.

    Args:
      values: (s, k) the metric by seed and arm, higher being better.
      positions: (k,) of the arms, rising.
      seed: of the draws, where not all arrangements are counted.
    """
    contrast = slope_contrast(positions)
    n_seeds, arms = values.shape
    observed = float((values @ contrast).sum())
    least = observed - _TIE * float((np.abs(values) @ np.abs(contrast)).sum())
    if factorial(arms) ** n_seeds <= ARRANGEMENTS:
        sums = np.zeros(1)
        for row in values:
            slopes = np.array(list(permutations(row))) @ contrast
            sums = (sums[:, None] + slopes).ravel()
        return float((sums >= least).mean())
    draw = np.random.default_rng(seed)
    sums = np.zeros(ARRANGEMENTS - 1)
    for row in values:
        sums += draw.permuted(np.tile(row, (len(sums), 1)), axis=1) @ contrast
    return float((1 + (sums >= least).sum()) / ARRANGEMENTS)
