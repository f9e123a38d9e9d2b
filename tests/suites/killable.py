"""The conftest of a small project whose sessions really train, on noise, and can kill themselves.

Copied beside a suite together with `tests/runs.py`; `world.json` there names the run in whose training the
process gets SIGKILL, and `trained.log` collects what was begun.
"""

import json
import os
import signal
from pathlib import Path

import runs  # the copy of tests/runs.py

import medbench.execute.local
import medbench.study

HERE = Path(__file__).parent
fine_tune_of = medbench.execute.local._fine_tune


def open_cohort(reference, **_):
    return runs.NoiseCohort(name=reference)


def killable(store):
    fine_tune = fine_tune_of(store)

    def train(spec, cohort, *, weights, images, report):
        with (HERE / "trained.log").open("a") as log:
            log.write(spec.label + "\n")

        def watched(progress):
            report(progress)
            half = progress.stage == "train" and progress.done >= progress.total // 2
            if half and spec.label == json.loads((HERE / "world.json").read_text()).get("kill"):
                os.kill(os.getpid(), signal.SIGKILL)

        return fine_tune(spec, cohort, weights=weights, images=images, report=watched)

    return train


medbench.study.open_cohort = open_cohort
medbench.execute.local._fine_tune = killable
