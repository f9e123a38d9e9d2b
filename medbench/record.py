"""What a finished run leaves beside its predictions; a contract that later versions read."""

import msgspec

from medbench.spec.runs import RunSpec

SCHEMA_VERSION = 3


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Where numbers were made: what a nightly lists as suspects."""

    device_class: str
    """`cpu`, `tpu`, or `gpu-` and the model, such as `gpu-nvidia-h100-80gb-hbm3`."""
    device: str
    """Name of the processor or accelerator."""
    devices: int
    cores: int
    platform: str
    python: str
    libraries: dict[str, str]
    """Versions by distribution name, above all of those that may move numbers."""
    xla_flags: str
    commit: str
    """Revision of the medbench checkout, with `+` if it had changes; empty where there is none."""


class Trainer(msgspec.Struct, frozen=True, kw_only=True):
    """Who trained a run, where it was not medbench."""

    name: str
    """Of the entry point, or of the script's file."""
    version: str
    """Of the distribution that has the entry point, with its name; or `sha256` and that of the script."""

    def __str__(self) -> str:
        version = self.version if len(self.version) <= 60 else f"{self.version[:19]}…"
        return f"`{self.name}` ({version})"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One logged step of training."""

    step: int
    loss: float
    learning_rate: float


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """The ROC AUC on the validation set during training."""

    step: int
    value: float | None
    reason: str = ""
    """Why the value is undefined."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """One predictions file of a run."""

    evaluation_set: str
    file: str
    images: int
    patients: int
    sha256: str


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one run (`record.json`)."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    spec_id: str
    code: str
    """Fingerprint of the code and libraries that shaped the numbers."""
    trainer: Trainer | None = None
    """Null where medbench trained the run itself; then what it does not keep of a run is empty."""
    spec: RunSpec
    environment: Environment
    started: str
    """UTC, ISO 8601, to the second."""
    finished: str
    timings: dict[str, float]
    """Seconds by stage: `decode`, `compile`, `train`, `evaluate`."""
    train_images: int
    train_patients: int
    trace: list[Step]
    validation: list[Validation]
    weight_distance: dict[str, float]
    """By stage, |w_end - w_start| / |w_start| (Euclidean); the head, which starts at zero, |w_end|."""
    feature_reuse: dict[str, float | None]
    """By stage, how alike the probe images' features are before and after fine-tuning (linear CKA, unbiased);
    null where that is undefined."""
    evaluations: list[Evaluation]
