"""What a metric answers: values over bootstrap replicates, and which of them are undefined and why.

An undefined value is never 0 and never NaN outside this record.
"""

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
