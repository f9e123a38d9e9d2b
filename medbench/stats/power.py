"""What an experiment of this size can show, and what size would settle what it left open."""

from collections.abc import Callable

from medbench.stats.interval import LEVEL, Spread

WANTED = 0.8
"""The power that `detectable_gap` and `settle` ask for."""
LARGEST_FACTOR, MOST_SEEDS = 100.0, 100
"""Times the patients, and number of seeds, beyond which nobody will gather more: they cannot settle it."""


def power(gap: float, spread: Spread) -> float:
    """Probability that a limit clears a margin from which the true effect is `gap` away.

    The statistic (effect - margin) / standard error has a noncentral t distribution around
    gap / standard error.

    Args:
      gap: distance from margin to true effect, positive on the side that is to be shown.
      spread: with a variance above 0.

    Returns:
      A probability in [0, 1].
    """
    from scipy.stats import nct, t  # noqa: PLC0415 (a second to import, and only judging needs it)

    df = spread.degrees_of_freedom
    return float(nct.sf(t.ppf(1 - LEVEL, df), df, gap / spread.standard_error))


def detectable_gap(spread: Spread) -> float:
    """The distance from the margin at which the power is `WANTED`; variance above 0."""
    from scipy.optimize import brentq  # noqa: PLC0415 (a second to import, and only judging needs it)

    furthest = spread.standard_error
    while power(furthest, spread) < WANTED:
        furthest *= 2
    return float(brentq(lambda gap: power(gap, spread) - WANTED, 0.0, furthest))


def patients_that_settle(gap: float, spread: Spread) -> float | None:
    """Factor on the patients that gives the power `WANTED` at a true `gap` from the margin.

    None where more patients alone cannot, because the seeds' share remains.
    """
    return _smallest_factor(gap, spread.with_patients)


def patients_and_seeds_that_settle(gap: float, spread: Spread) -> float | None:
    """Factor on both patients and seeds that gives the power `WANTED`; None where it is out of reach."""
    return _smallest_factor(
        gap, lambda factor: spread.with_patients(factor).with_seeds(factor * spread.n_seeds)
    )


def _smallest_factor(gap: float, enlarged: Callable[[float], Spread]) -> float | None:
    from scipy.optimize import brentq  # noqa: PLC0415 (a second to import, and only judging needs it)

    def lacking(factor: float) -> float:
        return power(abs(gap), enlarged(factor)) - WANTED

    if lacking(LARGEST_FACTOR) < 0:
        return None
    return 1.0 if lacking(1.0) >= 0 else float(brentq(lacking, 1.0, LARGEST_FACTOR))


def seeds_that_settle(gap: float, spread: Spread) -> int | None:
    """Seeds an arm that give the power `WANTED` at a true `gap` from the margin.

    None where more seeds alone cannot, because the patients' share remains.
    """
    low, high = int(spread.n_seeds), MOST_SEEDS

    def enough(seeds: int) -> bool:
        return power(abs(gap), spread.with_seeds(seeds)) >= WANTED

    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
