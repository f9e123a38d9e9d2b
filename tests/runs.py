"""Small specs, cohorts and results of training for the tests of stations that never look at an image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import Examples
from medbench.identity import code_fingerprint, run_id, spec_id
from medbench.predictions import Predictions
from medbench.record import Environment, RunRecord, Step, Validation
from medbench.spec.runs import BackboneSpec, ResolvedRecipe, RunSpec, Target

TARGET = Target(kind="single-label", classes=("benign", "malignant"))
SETS = ("id", "phone")


def spec(**changes: object) -> RunSpec:
    """A resolved run of seconds; `backbone` and `recipe` change by a dict of their fields."""
    backbone = BackboneSpec(
        name="bit-random-r14x0.5",
        upstream="random",
        architecture="r14x0.5",
        blocks=(1, 1, 1, 1),
        width=0.5,
        weights="",
        weights_sha256="",
    )
    recipe = ResolvedRecipe(
        name="embedded",
        steps=3,
        batch_size=4,
        base_learning_rate=0.003,
        momentum=0.9,
        warmup_steps=1,
        decay_steps=(2,),
        mixup_alpha=0.0,
        resize=36,
        crop=32,
        horizontal_flip=True,
    )
    fields: dict[str, object] = {
        "tier": "embedded",
        "task": "dermatology",
        "cohort": "phantoms:dermatology",
        "cohort_fingerprint": "c0ffee",
        "target": TARGET,
        "evaluation_sets": SETS,
        "backbone": msgspec.structs.replace(backbone, **changes.pop("backbone", {})),
        "recipe": msgspec.structs.replace(recipe, **changes.pop("recipe", {})),
        "fraction": 1.0,
        "seed": 1,
    }
    return RunSpec(**{**fields, **changes})


def predictions(evaluation_set: str, seed: int = 1, n: int = 12) -> Predictions:
    """Random logits for `n` images of `n / 2` patients."""
    random = np.random.default_rng([seed, len(evaluation_set)])
    positive = np.arange(n) % 2
    return Predictions(
        evaluation_set=evaluation_set,
        target=TARGET,
        image=np.array([f"{evaluation_set}-{i}" for i in range(n)]),
        patient=np.array([f"{evaluation_set}-p{i // 2}" for i in range(n)]),
        labels=np.stack([1 - positive, positive], axis=1).astype(np.int8),
        logits=random.normal(size=(n, 2)).astype(np.float32),
        attributes={"sex": np.array(["f", "m", ""] * n)[:n]},
    )


def all_predictions(seed: int = 1) -> dict[str, Predictions]:
    """On validation and on every evaluation set of `spec()`."""
    return {name: predictions(name, seed) for name in ("validation", *SETS)}


def features() -> dict[str, NDArray[np.float16]]:
    """Of two probe images at the start and end of training."""
    return {
        "end/root": np.full((2, 4), 1.5, np.float16),
        "start/root": np.arange(8, dtype=np.float16).reshape(2, 4),
    }


def record(of: RunSpec | None = None, **changes: object) -> RunRecord:
    """The record of a run as training leaves it, before it is stored."""
    of = of or spec()
    code = code_fingerprint()
    made = RunRecord(
        run_id=run_id(of, code),
        spec_id=spec_id(of),
        code=code,
        spec=of,
        environment=Environment(
            device_class="cpu",
            device="a processor",
            devices=1,
            cores=2,
            platform="Linux",
            python="3.11.7",
            libraries={"jax": "0.10.2"},
            xla_flags="",
            commit="",
        ),
        started="2026-12-01T10:00:00+00:00",
        finished="2026-12-01T10:00:31+00:00",
        timings={"train": 27.0},
        train_images=40,
        train_patients=20,
        trace=[Step(step=0, loss=0.7, learning_rate=0.003)],
        validation=[Validation(step=3, value=0.8)],
        weight_distance={"head": 0.1},
        feature_reuse={"root": 0.9},
        evaluations=[],
    )
    return msgspec.structs.replace(made, **changes)


@dataclass
class NoiseCohort:
    """A cohort of noise in which stripes are malignant: small, and learnable in a few steps."""

    name: str = "phantoms:dermatology"
    domain: str = "dermatology"
    target: Target = TARGET
    generated: bool = True
    fingerprint: str = "c0ffee"
    shifts: tuple[str, ...] = ("phone",)
    attributes: tuple[str, ...] = ("sex",)
    cluster: str = "patient"
    absent: Mapping[str, str] = field(default_factory=dict)
    image_area: int = 48 * 48
    sizes: dict[str, int] = field(
        default_factory=lambda: {"train": 24, "validation": 10, "id": 70, "phone": 30}
    )

    def examples(self, split: str) -> Examples:
        n = self.sizes[split]
        positive = np.arange(n) // 2 % 2
        return Examples(
            image=np.array([f"{split}-{i}" for i in range(n)]),
            patient=np.array([f"{split}-p{i // 2}" for i in range(n)]),
            labels=np.stack([1 - positive, positive], axis=1).astype(np.int8),
            attributes={"sex": np.array(["f", "m"])[np.arange(n) % 2]},
        )

    def images(self, split: str, size: int) -> NDArray[np.uint8]:
        labels = self.examples(split).labels[:, 1]
        random = np.random.default_rng([len(split), size])
        noise = random.integers(0, 200, (len(labels), size, size, 3), np.uint8)
        stripes = 55 * (np.arange(size) % 4 < 2)[None, None, :, None]
        return (noise + stripes * labels[:, None, None, None]).astype(np.uint8)


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by relative path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
