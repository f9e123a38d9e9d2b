"""Fine-tunes a small net in a process of its own, on as many devices as the environment gives it.

`python -m tests.training.apart FOLDER JSON`: the keys of JSON are the arguments of `main`.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests import runs

ROOT = Path(__file__).parents[2]
SPEC = runs.spec(
    backbone={"blocks": (1, 1), "width": 0.25},
    recipe={
        "steps": 30, "batch_size": 8, "base_learning_rate": 0.01, "decay_steps": (20,), "mixup_alpha": 0.1,
    },
)  # fmt: skip
COHORT = runs.NoiseCohort(sizes={"train": 24, "validation": 10, "id": 800, "phone": 30})


def command(folder, *, devices=1, environment=None, module="tests.training.apart", **options):
    """The arguments of `Popen` for a process with so many virtual devices."""
    return {
        "args": [sys.executable, "-m", module, str(folder), json.dumps(options)],
        "cwd": ROOT,
        "env": {
            **os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices), **(environment or {}),
        },
        "text": True,
    }  # fmt: skip


def trained(folder, **options):
    """What a process that trained to its end printed."""
    done = subprocess.run(**command(folder, **options), stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def save(path, tuned):
    """Logits, losses, features and scores along the way."""
    logits = {f"logits/{name}": found.logits for name, found in tuned.predictions.items()}
    losses = np.array([step.loss for step in tuned.trace])
    validation = np.array([(measured.step, measured.value) for measured in tuned.validation])
    np.savez(path, losses=losses, validation=validation, devices=tuned.devices, **logits, **tuned.features)


def main(folder, *, out, sharded=False, checkpoints=None, every=0.0, kill=None):
    from medbench.training.cache import enable
    from medbench.training.loop import fine_tune
    from medbench.training.mesh import SHARDED_FROM

    enable(folder / "xla")

    def report(progress):
        if progress.text:
            print(progress.text, flush=True)
        if kill is not None and progress.stage == "train" and progress.done >= kill:
            os.kill(os.getpid(), signal.SIGKILL)

    tuned = fine_tune(
        SPEC, COHORT, weights=None, images=COHORT.images, report=report,
        sharded_from=0 if sharded else SHARDED_FROM,
        checkpoints=folder / checkpoints if checkpoints else None, checkpoint_every=every,
    )  # fmt: skip
    save(folder / out, tuned)


if __name__ == "__main__":
    main(Path(sys.argv[1]), **json.loads(sys.argv[2]))
