"""The conftest of small projects that the plugin is tested on: cohorts and training without images or jax.

Copied beside a suite by `tests.suites.project`; the file `world.json` there says how good each backbone is,
and `trained.log` collects what was trained. Everything after `judge` is the real thing.
"""

import json
import os
import signal
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import medbench.environment
import medbench.execute.errand
import medbench.execute.local
import medbench.packaged
import medbench.study
from medbench.data.cohort import Examples
from medbench.errors import MedbenchError
from medbench.predictions import Predictions
from medbench.record import Environment, Step, Validation
from medbench.spec.runs import Target
from medbench.training.progress import Progress

HERE = Path(__file__).parent
installed = medbench.environment._version
TARGET = Target(kind="single-label", classes=("benign", "malignant"))
SHIFTS = {"chest": ("icu",), "mammography": ("vendor-b", "dense")}


def world():
    """What the test declared: `gain` of the treatment by item, and accidents."""
    return json.loads((HERE / "world.json").read_text())


class Cohort:
    """Patients with two images each, half of them positive."""

    def __init__(self, domain, *, name, generated):
        self.domain, self.name, self.generated = domain, name, generated
        self.target = TARGET
        self.absent: dict[str, str] = world().get("absent", {}).get(domain, {})
        shifts = world().get("shifts", {}).get(domain, SHIFTS[domain])
        self.shifts = tuple(shift for shift in shifts if shift not in self.absent)
        self.attributes = ("sex",)
        self.cluster = world().get("cluster", "patient")
        self.image_area = 64
        self.fingerprint = f"{name}-{world().get('patients', 1)}"

    def examples(self, split):
        n = 2 * world().get("patients", 150)
        positive = np.zeros(n, int) if split == world().get("one_class") else np.arange(n) // 2 % 2
        return Examples(
            image=np.array([f"{split}-{i}" for i in range(n)]),
            patient=np.array([f"SECRET-{split}-{i // 2}" for i in range(n)]),
            labels=np.stack([1 - positive, positive], axis=1).astype(np.int8),
            attributes={"sex": np.resize(world().get("sexes", ["f", "m"]), n // 2).repeat(2)},
        )

    def images(self, split, size):
        raise AssertionError("no test of the plugin looks at images")


def open_cohort(reference, **_):
    if reference.startswith("phantoms:"):
        return Cohort(reference.removeprefix("phantoms:"), name=reference, generated=True)
    if not Path(reference).is_dir():
        raise MedbenchError(f"{reference}: no such folder.")
    return Cohort(Path(reference, "domain").read_text().strip(), name="folder:mine", generated=False)


def fine_tune(spec, cohort, *, weights, images, report):
    """Logits whose separation is that of the backbone; what is random follows from the seed alone."""
    with (HERE / "trained.log").open("a") as log:
        log.write(spec.label + "\n")
    if world().get("interrupt") == spec.label:
        raise KeyboardInterrupt
    if world().get("die") == spec.label:
        os.kill(os.getpid(), signal.SIGKILL)
    if world().get("crash") == spec.label:
        raise MedbenchError(f"{spec.label}: training diverged.")
    time.sleep(world().get("seconds", 0))
    report(Progress("train", spec.recipe.steps, spec.recipe.steps))
    return SimpleNamespace(
        predictions={
            name: predictions(spec, cohort.examples(name), name)
            for name in ("validation", *spec.evaluation_sets)
        },
        features={f"{at}/root": np.zeros((1, 2), np.float16) for at in ("start", "end")},
        trace=[Step(step=1, loss=0.5, learning_rate=0.003)],
        validation=[Validation(step=2, value=0.8)],
        weight_distance={"root": 0.1},
        timings={"train": 1.0},
        train_images=300,
        train_patients=150,
        devices=1,
    )


def predictions(spec, examples, name):
    gains = world()["gain"]
    gain = gains.get(f"{spec.task}/{name}", gains["default"]) if spec.backbone.upstream == "large" else 0.0
    rng = np.random.default_rng([zlib.crc32(f"{spec.task}/{name}".encode()), spec.seed])
    own = np.random.default_rng([zlib.crc32(f"{spec.backbone.name}/{name}".encode()), spec.seed])
    n = len(examples)
    noise = 0.9 * rng.normal(size=n) + 0.45 * own.normal(size=n)
    positive = examples.labels[:, 1]
    score = positive * (1.0 + gain) + noise
    return Predictions(
        evaluation_set=name,
        target=spec.target,
        image=examples.image,
        patient=examples.patient,
        labels=examples.labels,
        logits=np.stack([np.zeros(n), score], axis=1).astype(np.float32),
        attributes=examples.attributes,
    )


def version(library):
    """What is installed here; of jax, what the test declared."""
    return world().get("jax", "0.10.2") if library == "jax" else installed(library)


def environment():
    return Environment(
        device_class="cpu",
        device="a processor",
        devices=1,
        cores=2,
        platform="Linux",
        python="3.11",
        libraries={"jax": version("jax")},
        xla_flags="",
        commit="",
    )


_patch = pytest.MonkeyPatch()


def pytest_configure(config):
    for module in (medbench.study, medbench.execute.errand):
        _patch.setattr(module, "open_cohort", open_cohort)
    _patch.setattr(medbench.execute.local, "_fine_tune", lambda store: fine_tune)
    _patch.setattr(medbench.execute.local, "capture", environment)
    _patch.setattr(medbench.environment, "_version", version)
    if (HERE / "package").is_dir():  # else the suite stands alone
        _patch.setattr(medbench.packaged, "suite", lambda: HERE / "package/benchmarks")


def pytest_unconfigure(config):
    _patch.undo()
