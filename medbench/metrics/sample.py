"""What a metric may look at: one run's predictions on the examples to be scored, and those on validation."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medbench.predictions import Predictions


@dataclass(frozen=True)
class Sample:
    """One run's predictions, as a metric sees them.

    Attributes:
      predictions: of the n examples that weights refer to.
      validation: of the validation set, where thresholds and temperatures are fitted; it is never
        resampled. None where no metric at hand needs it.
      shifted: (n,) bool, which examples are from the shift, where those of `id` are scored with them.
    """

    predictions: Predictions
    validation: Predictions | None = None
    shifted: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.predictions)


def pooled(home: Predictions, shift: Predictions, validation: Predictions | None = None) -> Sample:
    """The examples of `id` followed by those of a shift, as one sample."""

    def joined(name: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(home, name), getattr(shift, name)])

    names = [name for name in home.attributes if name in shift.attributes]
    predictions = replace(
        shift,
        **{name: joined(name) for name in ("image", "patient", "labels", "logits")},
        attributes={
            name: np.concatenate([home.attributes[name], shift.attributes[name]]) for name in names
        },
    )
    return Sample(predictions, validation, np.arange(len(predictions)) >= len(home))
