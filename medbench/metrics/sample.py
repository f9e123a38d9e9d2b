"""What a metric may look at: one run's predictions on the examples to be scored, and those on validation."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medbench.predictions import Predictions
from medbench.record import RunRecord


@dataclass(frozen=True, eq=False)  # what is found out of one is kept by its identity
class Sample:
    """One run's predictions, as a metric sees them.

    Attributes:
      predictions: of the n examples that weights refer to.
      validation: of the validation set, where thresholds and temperatures are fitted; it is never
        resampled. None where no metric at hand needs it.
      shifted: (n,) bool, which examples are from the shift, where those of `id` are scored with them.
      record: of the run, for what is known of it as a whole.
    """

    predictions: Predictions
    validation: Predictions | None = None
    shifted: NDArray[np.bool_] | None = None
    record: RunRecord | None = None

    def __len__(self) -> int:
        return len(self.predictions)


def pooled(home: Predictions, shift: Predictions, validation: Predictions | None = None) -> Sample:
    """The examples of `id` followed by those of a shift, as one sample."""
    predictions = replace(
        shift,
        image=np.concatenate([home.image, shift.image]),
        patient=np.concatenate([home.patient, shift.patient]),
        labels=np.concatenate([home.labels, shift.labels]),
        logits=np.concatenate([home.logits, shift.logits]),
        attributes={
            name: np.concatenate([values, shift.attributes[name]])
            for name, values in home.attributes.items()
            if name in shift.attributes
        },
    )
    return Sample(predictions, validation, np.arange(len(predictions)) >= len(home))
