"""Times the statistics: the bootstrap of a large test set beside other libraries, and judging a whole tier.

    python ci/bench_stats.py            from the root of a checkout; some two minutes, on one core

Other libraries do fewer repetitions, and their times are scaled to as many as ours; the table says so.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from medbench.stats.auc_bootstrap import auc_replicates

ROOT = Path(__file__).parents[1]
IMAGES, PATIENTS, REPETITIONS, OTHERS = 100_000, 25_000, 1000, 10

JUDGE = """
import sys, time
begun = time.perf_counter()
from pathlib import Path
from medbench.study import Options, Study
options = Options(tier="embedded", store=Path(sys.argv[1]), expectations=Path("expectations"), runs="never")
study = Study.open(Path("benchmarks"), options)
judged = [study.judge(item).state for item in study.items]
assert set(judged) == {"judged"}, judged
assert "jax" not in sys.modules
print(len(judged), time.perf_counter() - begun, time.process_time())
"""


def main() -> None:
    """Print one line a measurement."""
    draw = np.random.default_rng(0)
    patients = np.sort(draw.integers(0, PATIENTS, IMAGES))
    labels = (draw.random(IMAGES) < 0.2).astype(np.int8)
    own = draw.normal(size=PATIENTS)[patients]
    scores = np.stack([own + gain * labels + draw.normal(size=IMAGES) for gain in (1.0, 1.1)])

    print(f"{REPETITIONS:,} repetitions of the paired difference of two areas, {IMAGES:,} images, one core")
    names = np.char.add("patient-", patients.astype(str))
    seconds = _timed(lambda: auc_replicates(labels, scores, names, REPETITIONS, np.random.SeedSequence(1)))
    _tell(f"medbench, {PATIENTS:,} patients drawn whole", seconds, "bar: 3 s")
    for name, once in _others(labels, scores, patients):
        _tell(name, _timed(once) * (REPETITIONS / OTHERS), f"{OTHERS} repetitions, scaled")

    print("\nthe whole embedded tier judged from stored predictions, in a fresh process without jax")
    judged, wall, processor = _judge().split()
    _tell(f"{judged} items, imports and all", Seconds(float(wall), float(processor)), "bar: 5 s")


def _others(
    labels: np.ndarray, scores: np.ndarray, patients: np.ndarray
) -> Iterator[tuple[str, Callable[[], object]]]:
    """The same work by libraries that are there."""
    starts = np.searchsorted(patients, np.arange(PATIENTS + 1))
    images_of = [np.arange(a, b) for a, b in pairwise(starts)]

    def difference(drawn: np.ndarray) -> float:
        rows = np.concatenate([images_of[patient] for patient in drawn])
        return float(np.subtract(*(roc_auc_score(labels[rows], score[rows]) for score in scores)))

    yield (
        "scikit-learn's roc_auc_score in scipy.stats.bootstrap, patients drawn whole",
        lambda: bootstrap(
            (np.arange(PATIENTS),),
            difference,
            n_resamples=OTHERS,
            vectorized=False,
            method="percentile",
            rng=np.random.default_rng(2),
        ),
    )
    if find_spec("fairlearn") is None:
        print("  fairlearn is not installed: left out")
        return
    from fairlearn.metrics import MetricFrame  # noqa: PLC0415  it may not be there

    def frame(score: np.ndarray) -> MetricFrame:
        return MetricFrame(
            metrics=roc_auc_score,
            y_true=labels,
            y_pred=score,
            sensitive_features=np.zeros(IMAGES, dtype=int),
            n_boot=OTHERS,
            ci_quantiles=[0.05, 0.95],
            random_state=3,
        )

    yield (
        "fairlearn's MetricFrame, one model after the other, images drawn, not patients",
        lambda: [frame(score) for score in scores],
    )


def _judge() -> str:
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-c", JUDGE, store]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout


class Seconds(NamedTuple):
    """How long something took; the two differ where others use the machine."""

    wall: float
    processor: float

    def __mul__(self, factor: float) -> "Seconds":
        return Seconds(self.wall * factor, self.processor * factor)


def _timed(work: Callable[[], object]) -> Seconds:
    """The faster of two."""

    def once() -> Seconds:
        wall, processor = time.perf_counter(), time.process_time()
        work()
        return Seconds(time.perf_counter() - wall, time.process_time() - processor)

    return min(once(), once())


def _tell(what: str, seconds: Seconds, remark: str) -> None:
    print(f"  {seconds.wall:8.2f} s ({seconds.processor:.2f} s of processor)  {what} ({remark})")


if __name__ == "__main__":
    main()
