"""Obtains one run with a stand-in for training, as a process of its own that tests can watch and kill.

`python -m tests.execute.standin STORE JOURNAL SECONDS [MODE]` prints every event as a JSON line and
appends a line to JOURNAL when the stand-in begins.
"""

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec

from medbench.execute import local
from medbench.record import Step
from medbench.reference import References
from medbench.store import Store
from tests import runs


class StandIn:
    """Trains nothing; leaves random predictions after a while, and counts how often it was asked."""

    def __init__(self, seconds: float = 0.0, journal: Path | None = None, loss: float = 0.5) -> None:
        self.seconds, self.journal, self.loss = seconds, journal, loss
        self.calls = 0

    def __call__(self, spec, cohort, *, weights, images, report):
        self.calls += 1
        if self.journal is not None:
            with self.journal.open("a") as file:
                file.write(f"{os.getpid()}\n")
        time.sleep(self.seconds)
        return SimpleNamespace(
            predictions=runs.all_predictions(spec.seed),
            features=runs.features(),
            trace=[Step(step=0, loss=self.loss, learning_rate=0.003)],
            validation=[],
            weight_distance={"head": 0.1},
            timings={"train": self.seconds},
            train_images=24,
            train_patients=12,
            devices=1,
        )


def main() -> None:
    store, journal, seconds, *mode = sys.argv[1:]
    local.capture = lambda: runs.record().environment
    run = local.obtain(
        runs.spec(),
        cohort=runs.NoiseCohort(),
        store=Store(Path(store)),
        references=References(Path(store) / "references"),
        mode=mode[0] if mode else "auto",
        sentinel=False,
        weights=None,
        report=lambda event: print(msgspec.json.encode(event).decode(), flush=True),
        train=StandIn(float(seconds), Path(journal)),
    )
    print(msgspec.json.encode({"origin": run.origin}).decode(), flush=True)


if __name__ == "__main__":
    main()
