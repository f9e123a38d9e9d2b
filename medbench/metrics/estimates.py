"""What a metric answers: values over bootstrap replicates, and which of them are undefined and why.

An undefined value is never 0 and never NaN outside this record.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimates:
    """A metric under each of b weightings of the examples.

    Attributes:
      values: (b,) float64; meaningless where not defined (and 0 there, so that nothing spreads).
      defined: (b,) bool.
      reason: why the first undefined value is undefined; empty when all are defined.
    """

    values: NDArray[np.float64]
    defined: NDArray[np.bool_]
    reason: str = ""


def mean_over(columns: Sequence[Estimates]) -> Estimates:
    """The mean over labels or classes, undefined as soon as one of them is.

    Args:
      columns: of each label or class, at least one, all under the same b weightings.
    """
    defined = np.logical_and.reduce([column.defined for column in columns])
    mean = np.mean([column.values for column in columns], axis=0)
    reason = why_undefined([(column.defined, column.reason) for column in columns])
    return Estimates(np.where(defined, mean, 0.0), defined, reason)


def why_undefined(parts: Sequence[tuple[NDArray[np.bool_], str]]) -> str:
    """Of what has several parts, each defined (b,) or with a reason: why the first undefined replicate is."""
    defined = np.logical_and.reduce([defined for defined, _ in parts])
    first = int(np.argmin(defined))
    return "" if defined.all() else next(reason for part, reason in parts if not part[first])
