"""Logistic regression with one covariate, weighted, of all bootstrap replicates at once."""

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 60
_LONGEST = 5.0
"""Of a step, in log odds: Newton's own would be huge where probabilities saturate."""
_SETTLED = 1e-7
"""The relative step below which Newton's method, which doubles the digits each time, is there."""
_FLAT = 1e-12
"""Curvature an example below which rounding decides where the maximum is."""


def logistic(
    x: NDArray[np.float64],
    offset: NDArray[np.float64],
    sign: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Weighted logistic regressions of a sign on an offset, an intercept and x: all rows of weights at once.

    Each row starts from the fit of all examples, which is close to its own.

    Args:
      x: (n,) of mean 0 and deviation 1, or all 0 to fit the intercept alone.
      offset: (n,) log odds.
      sign: (n,) of 1 and -1.
      weights: (b, n), at least 0.

    Returns:
      (b, 2) intercepts and slopes, and (b,) whether they are there.
    """
    start, settled = _newton(x, offset, sign, np.ones((1, len(x))), np.zeros((1, 2)))
    start = np.where(settled[:, None], start, 0.0)
    return _newton(x, offset, sign, weights, np.repeat(start, len(weights), axis=0))


def _newton(
    x: NDArray[np.float64],
    offset: NDArray[np.float64],
    sign: NDArray[np.float64],
    weights: NDArray[np.float64],
    start: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Newton's method from (b, 2) starts, each row's step halved as long as it does not lower the loss."""
    found, factor = start.copy(), np.ones(len(start))
    loss, step, curved = _newton_step(x, offset, sign, weights, found)
    for _ in range(_ROUNDS):
        settled = curved & (np.abs(step) <= _SETTLED * (1 + np.abs(found))).all(axis=1)
        rows = np.flatnonzero(~settled)
        if not len(rows):
            break
        trial = found[rows] + factor[rows, None] * step[rows]
        its_loss, its_step, its_curved = _newton_step(x, offset, sign, weights[rows], trial)
        better = its_loss <= loss[rows]
        factor[rows] = np.where(better, 1.0, factor[rows] / 2)
        rows = rows[better]
        found[rows], loss[rows], step[rows] = trial[better], its_loss[better], its_step[better]
        curved[rows] = its_curved[better]
    return found + step, settled


def _newton_step(
    x: NDArray[np.float64],
    offset: NDArray[np.float64],
    sign: NDArray[np.float64],
    weights: NDArray[np.float64],
    at: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """The loss (b,) at (b, 2) intercepts and slopes, Newton's step from there (b, 2), and whether it is sure.

    The 2 x 2 system is solved in closed form, with x centred on its curvature-weighted mean.
    """
    margin = sign * (offset + at[:, :1] + at[:, 1:] * x)
    # Faster than logaddexp, and precise enough to compare losses.
    small = np.exp(-np.abs(margin))
    loss = np.einsum("ij,ij->i", weights, np.log(1 + small) - np.minimum(margin, 0))
    wrong = np.where(margin > 0, small, 1.0) / (1 + small)  # the probability of what did not happen
    pull = weights * wrong
    upwards, along = (pull @ np.stack([sign, sign * x], axis=1)).T
    whole, first, second = ((pull * (1 - wrong)) @ np.stack([np.ones_like(x), x, x * x], axis=1)).T
    flat = _FLAT * weights.sum(axis=1)
    centre = first / np.maximum(whole, flat)
    spread = second - whole * centre**2
    slope = (along - centre * upwards) / np.maximum(spread, flat)
    intercept = upwards / np.maximum(whole, flat) - centre * slope
    step = np.stack([intercept, slope], axis=1)
    step *= np.minimum(1.0, _LONGEST / np.maximum(np.abs(step).max(axis=1), _LONGEST))[:, None]
    curved = (whole > flat) & ((spread > flat) | ~x.any())
    return loss, step, curved
