"""What a run says about itself while it goes on, for whoever shows it.

Plain values without jax, so that a progress line needs no accelerator.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["decode", "compile", "train", "evaluate"]


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Attributes:
      stage: what is going on; the stages also key the record's `timings`.
      done: steps (`train`), images (`evaluate`) or evaluation sets (`decode`) that are finished.
      total: of how many; `done` equals it once, at the end of the stage.
      text: what a person should know beside it, in a line; mostly nothing.
    """

    stage: Stage
    done: int
    total: int
    text: str = ""


Report = Callable[[Progress], None]
"""Where progress goes. Called from the training thread; it should return at once."""
