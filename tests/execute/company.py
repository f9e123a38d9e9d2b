"""One of two processes that keep in step, with stand-ins for training.

`python -m tests.execute.company STORE JSON`: prints a line for whatever happens; `MISHAPS` says what can.
"""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from medbench.errors import MedbenchError
from medbench.execute import processes
from medbench.execute.processes import Company, Follower, Leader
from medbench.store import Store
from tests import runs

SEEDS = (1, 2, 3)


def lead(company, store, tune):
    leader = Leader(company, Path("a suite"), store, tune)
    for seed in SEEDS:
        try:
            got = leader(
                runs.spec(seed=seed), runs.NoiseCohort(), weights=None, images=runs.NoiseCohort().images,
                report=lambda progress: tell(progress.text),
            )  # fmt: skip
            tell(f"trained seed {got}")
        except (MedbenchError, KeyboardInterrupt) as error:
            tell(f"{type(error).__name__}: {error}")
    company.end()
    tell("reports")


def follow(company, store, tune, mishap):
    def ingredients(spec):
        if (mishap, spec.seed) == ("lacks a cohort", 2):
            raise MedbenchError("images.csv: not there.")
        return runs.NoiseCohort(), None

    options = SimpleNamespace(store=store.home, remote=store.remote.url if store.remote else "")
    study = SimpleNamespace(options=options, ingredients=ingredients)
    tell(f"ended: {Follower(company, lambda suite: study, tune).follow()}")


def main(folder, *, index, mishap="", remote=""):
    processes.GRACE = 1.0
    if (mishap, index) == ("other code", 1):
        processes.code_fingerprint = lambda: "other"
    store = Store(folder / ("own" if (mishap, index) == ("other store", 1) else "shared"), remote)
    company = Company.join()
    assert company.index == index

    def tune(spec, cohort, *, weights, images, report, checkpoints):
        tell(f"trains seed {spec.seed}" + (f" with checkpoints/{checkpoints.name}" if checkpoints else ""))
        if spec.seed == 2 and mishap in {"leader fails", "leader is interrupted", "follower fails"}:
            if index == (mishap == "follower fails"):
                raise KeyboardInterrupt if "interrupted" in mishap else RuntimeError("out of memory")
            time.sleep(60)  # as who waits for a device of the one that failed
        return spec.seed

    if index == 0:
        lead(company, store, tune)
    else:
        follow(company, store, tune, mishap)


def tell(line):
    if line:
        print(line, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), **json.loads(sys.argv[2]))
