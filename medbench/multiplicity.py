"""p-values of many claims that were judged together: adjusted for what chance finds among so many.

Shown beside the raw ones; no verdict depends on them.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray


class Tested(Protocol):
    """A struct that may have a p-value, and has the fields `p_holm` and `p_bh` for adjusted ones."""

    @property
    def p(self) -> float | None:
        """Of its test, in [0, 1]; None where nothing could be concluded."""

    @property
    def family(self) -> str:
        """Judgements of one family ask one question."""


T = TypeVar("T", bound=Tested)


def adjust(judgements: Iterable[T]) -> list[T]:
    """The same judgements, in order, with p-values adjusted over those that have one.

    Holm's within each family, Benjamini's and Hochberg's over all. What was not judged, or concludes
    nothing whatever its effect, is no test and counts in neither.
    """
    judged: list[Any] = list(judgements)  # structs, which a protocol cannot say
    tested = [i for i, judgement in enumerate(judged) if judgement.p is not None]
    for i, adjusted in zip(tested, benjamini_hochberg([judged[i].p or 0.0 for i in tested]), strict=True):
        judged[i] = replace(judged[i], p_bh=float(adjusted))
    for family in {judged[i].family for i in tested}:
        members = [i for i in tested if judged[i].family == family]
        for i, adjusted in zip(members, holm([judged[i].p or 0.0 for i in members]), strict=True):
            judged[i] = replace(judged[i], p_holm=float(adjusted))
    return judged


def holm(p: Sequence[float]) -> NDArray[np.float64]:
    """Adjusted p-values that bound the chance of any false rejection (Holm 1979).

    Args:
      p: (m,) in [0, 1], of tests that may depend on each other in any way.

    Returns:
      (m,) in [0, 1], at least p.
    """
    order = np.argsort(p)
    steps = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    return _in_place(np.minimum(np.maximum.accumulate(steps), 1.0), order)


def benjamini_hochberg(p: Sequence[float]) -> NDArray[np.float64]:
    """Adjusted p-values that bound the expected share of false ones among the rejections (1995).

    Args:
      p: (m,) in [0, 1], of tests that are independent or positively dependent, as those of shared runs are.

    Returns:
      (m,) in [0, 1], at least p.
    """
    order = np.argsort(p)[::-1]
    steps = np.asarray(p, dtype=np.float64)[order] * len(p) / np.arange(len(p), 0, -1)
    return _in_place(np.minimum.accumulate(steps), order)


def _in_place(values: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sorted values back where they came from."""
    unsorted = np.empty_like(values)
    unsorted[order] = values
    return unsorted
