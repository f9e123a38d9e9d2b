"""Whether a metric rises along an ordered ladder of arms, such as backbones by pre-training images.

A slope with an interval, the best monotone fit, and a permutation test that assumes nothing of the shape.
"""

from collections.abc import Sequence
from itertools import permutations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from medbench.stats.interval import Spread

ARRANGEMENTS = 100_000
"""Of the arms within the seeds: all are counted where there are no more, else one fewer is drawn."""
_TIE = 1e-12
"""Relative difference within which two slopes are equal: sums in another order."""


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


def isotonic(values: Sequence[float], weights: Sequence[float] | None = None) -> NDArray[np.float64]:
    """The nearest values that never fall, by least squares: pool adjacent violators (Barlow et al. 1972).

    Args:
      values: (k,) in the order of the ladder.
      weights: (k,) above 0; without, all count alike.

    Returns:
      (k,) values that never fall.
    """
    blocks: list[tuple[float, float, int]] = []  # mean, weight, number of values
    for value, weight in zip(values, weights if weights is not None else [1.0] * len(values), strict=True):
        mean, total, count = float(value), float(weight), 1
        while blocks and blocks[-1][0] >= mean:
            before, its_weight, its_count = blocks.pop()
            mean = (before * its_weight + mean * total) / (its_weight + total)
            total, count = its_weight + total, its_count + count
        blocks.append((mean, total, count))
    return np.repeat([mean for mean, _, _ in blocks], [count for _, _, count in blocks]).astype(np.float64)


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
    least = observed - _TIE * float(np.abs(values).max(initial=1.0))
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
