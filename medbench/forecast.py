"""Where the runs of a plan will come from, and how long those will take that are to be trained.

Told before anything runs, from records alone; nothing is trained here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Self

from medbench.environment import device_class
from medbench.identity import spec_id, trained_by
from medbench.record import RunRecord, Trainer
from medbench.spec.runs import RunSpec


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """What is told of a reference run before it is loaded.

    Attributes:
      spec_id: of the run that it stands for.
      code: that it was made by.
      device: name of the processor or accelerator that made it.
      finished: UTC, ISO 8601.
    """

    spec_id: str
    code: str
    device: str
    finished: str

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """Of its record, which is let go."""
        return cls(spec_id(record.spec), record.code, record.environment.device, record.finished)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Where the runs of a plan will come from.

    Attributes:
      reused: number of runs in the store.
      loaded: the reference runs that will be loaded.
      to_train: specs of the runs to train.
      not_run: number of runs that will not be made (`--runs=never`).
      seconds: expected time of training, one run after another; None where nothing like it was timed.
      hours: where nothing was timed, hours of one accelerator of each kind, by counted operations; none
        where a net's operations are not known, or are few.
      on_cpu: whether training would take place on a CPU.
    """

    reused: int
    loaded: Sequence[LoadedRun]
    to_train: Sequence[RunSpec]
    not_run: int
    seconds: float | None
    hours: Mapping[str, float] = field(default_factory=dict)
    on_cpu: bool = False


class Durations:
    """How long like runs took: those of the trainer; of medbench's own, those on this class of device.

    Args:
      trainer: None for medbench itself.
    """

    def __init__(self, trainer: Trainer | None) -> None:
        self._trainer = trainer
        self._here = device_class()
        self._seconds: dict[tuple[object, ...], list[float]] = {}

    def add(self, record: RunRecord) -> None:
        """Count a run in; its record is not kept."""
        alike = trained_by(record.trainer) == trained_by(self._trainer)
        if alike and (self._trainer is not None or record.environment.device_class == self._here):
            self._seconds.setdefault(_cost(record.spec), []).append(sum(record.timings.values()))

    def expected(self, specs: Sequence[RunSpec]) -> float | None:
        """Seconds of all these runs: medians, summed; None where there is none to go by for one of them."""
        medians = {cost: median(self._seconds[cost]) for cost in map(_cost, specs) if cost in self._seconds}
        if any(_cost(spec) not in medians for spec in specs):
            return None
        return sum(medians[_cost(spec)] for spec in specs)


def _cost(spec: RunSpec) -> tuple[object, ...]:
    """What the duration of a run depends on, near enough."""
    recipe, backbone = spec.recipe, spec.backbone
    return (backbone.module, backbone.blocks, backbone.width, recipe.steps, recipe.batch_size, recipe.crop)
