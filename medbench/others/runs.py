"""Somebody else's runs as judging takes them: predictions, and a record of what little else is known.

What shaped the numbers is not known, and neither is it asked for: fields that would say are empty or 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from medbench.data.cohort import ID
from medbench.others.folder import Folder
from medbench.predictions import Predictions
from medbench.record import Environment, RunRecord
from medbench.spec.runs import BackboneSpec, ResolvedRecipe, RunSpec

UNKNOWN = "unknown"


@dataclass(frozen=True)
class OthersRun:
    """A fine-tuning elsewhere, of which only the predictions are known.

    Attributes:
      record: what judging asks for; what is not known is empty or 0.
      scored: predictions by evaluation set.
    """

    record: RunRecord
    scored: Mapping[str, Predictions]
    origin: Literal["trained", "reused", "loaded"] = "trained"

    def predictions(self, evaluation_set: str) -> Predictions:
        """Its predictions on a set that it was scored on."""
        return self.scored[evaluation_set]


def run_of(folder: Folder, spec: RunSpec) -> OthersRun:
    """The folder's run of that backbone and seed."""
    return OthersRun(record_of(spec), folder.runs[spec.backbone.name, spec.seed])


def spec_of(folder: Folder, name: str, seed: int) -> RunSpec:
    """What is known of the run."""
    position = folder.declared.backbones[name]
    return RunSpec(
        tier=UNKNOWN,
        task=folder.declared.task,
        cohort=f"predictions:{folder.declared.task}",
        cohort_fingerprint="",
        target=folder.target,
        evaluation_sets=(ID, *folder.declared.shifts),
        backbone=BackboneSpec(
            name=name,
            upstream=position.upstream,
            architecture=position.architecture,
            blocks=(),
            width=0.0,
            weights="",
            weights_sha256="",
        ),
        recipe=_NO_RECIPE,
        fraction=1.0,
        seed=seed,
    )


def record_of(spec: RunSpec) -> RunRecord:
    """What judging asks for of a run of that spec, and nothing of how it was made."""
    return RunRecord(
        run_id="",
        spec_id="",
        code="",
        spec=spec,
        environment=_NO_ENVIRONMENT,
        started="",
        finished="",
        timings={},
        train_images=0,
        train_patients=0,
        trace=[],
        validation=[],
        weight_distance={},
        feature_reuse={},
        evaluations=[],
    )


_NO_RECIPE = ResolvedRecipe(
    name=UNKNOWN,
    steps=0,
    batch_size=0,
    base_learning_rate=0.0,
    momentum=0.0,
    warmup_steps=0,
    decay_steps=(),
    mixup_alpha=0.0,
    resize=0,
    crop=0,
    horizontal_flip=False,
)
_NO_ENVIRONMENT = Environment(
    device_class=UNKNOWN,
    device="",
    devices=0,
    cores=0,
    platform="",
    python="",
    libraries={},
    xla_flags="",
    commit="",
)
