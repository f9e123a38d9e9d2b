"""What several seeds come to in a figure."""

from collections.abc import Collection
from statistics import fmean

from medbench.report.figures import Point


def over_seeds(x: float, values: Collection[float]) -> Point:
    """Their mean at `x`, with a bar from the lowest to the highest."""
    noun = "seed" if len(values) == 1 else "seeds"
    return Point(x=x, y=fmean(values), low=min(values), high=max(values), label=f"{len(values)} {noun}")
