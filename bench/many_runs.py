"""Plans of 100 to 10,000 runs: how long it takes to make, look up and judge them, and how much memory.

    python -m bench.many_runs              # the table
    python -m bench.many_runs 1000         # of other numbers of runs, each a multiple of 100

Runs are drawn, not trained. Each has the size of those of the embedded tier: 600 images of 400 patients on
three sets, and 200 on validation. Each claim compares two arms of ten seeds on five tasks and, as
three items, on all three sets. Each size has processes of its own, as many as judge side by side.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import ID, TRAIN, VALIDATION, Examples
from medbench.identity import code_fingerprint, run_id, spec_id
from medbench.predictions import Predictions
from medbench.record import Environment, RunRecord, Step, Validation
from medbench.spec.runs import RunSpec, Target
from medbench.spec.suite import load_suite
from medbench.store import PREDICTIONS, RECORD, Store, StoredRun
from medbench.study import Options, Study

SIZES = (100, 1_000, 10_000)
TASKS, SEEDS = 5, 10
OF_A_CLAIM = 2 * TASKS * SEEDS
"""Runs: two arms on all tasks."""
PROCESSES = 2
"""That judge side by side, as two workers of pytest-xdist do."""
SHIFTS = ("abroad", "later")
PATIENTS = {TRAIN: 400, VALIDATION: 130, ID: 400, **dict.fromkeys(SHIFTS, 400)}
IMAGES = {TRAIN: 600, VALIDATION: 200, ID: 600, **dict.fromkeys(SHIFTS, 600)}
DRAWN = 200
"""Runs whose predictions differ; others have copies of these, so that a store is filled in a minute."""
READ = 100
"""Runs that are read one after another."""
ARCHITECTURES = {f"r{d}x{w}": ([d] * 4, w) for d, w in ((1, 0.25), (1, 0.5), (2, 0.25), (2, 0.5), (3, 0.25))}
FRACTIONS = (1.0, 0.5)
METRICS = ("primary",)
"""Of the claims, in turn."""
MIXED = (*3 * METRICS, *2 * ("worst_group",), "gap", "nll", "aurc", "brier", "ece")
"""About as the items of the embedded tier have it; intervals are by the bootstrap for half of them."""
OF_MIXED = 1_000
"""Runs whose items are judged by mixed metrics: a claim with each."""
TARGET = Target(kind="single-label", classes=("benign", "malignant"))


@dataclass
class DrawnCohort:
    """A `medbench.data.cohort.Cohort` without images."""

    name: str
    domain: str = "dermatology"
    target: Target = TARGET
    generated: bool = True
    fingerprint: str = "drawn"
    shifts: tuple[str, ...] = SHIFTS
    attributes: tuple[str, ...] = ("sex", "age")
    cluster: str = "patient"
    absent: dict[str, str] = field(default_factory=dict)
    image_area: int = 64 * 64

    def examples(self, split: str) -> Examples:
        """Every second patient is ill."""
        image = np.arange(IMAGES[split])
        patient = image % PATIENTS[split]
        ill = patient % 2
        return Examples(
            image=np.array([f"{split}-{i:05}" for i in image]),
            patient=np.array([f"{split}-p{i:05}" for i in patient]),
            labels=np.stack([1 - ill, ill], axis=1).astype(np.int8),
            attributes={
                "sex": np.array(["female", "male"])[patient // 2 % 2],
                "age": np.array(["under 40", "40 to 60", "over 60"])[patient % 3],
            },
        )

    def images(self, split: str, size: int) -> NDArray[np.uint8]:
        """Nothing is trained.

        Raises:
          NotImplementedError: always.
        """
        raise NotImplementedError(f"{split} at {size} pixels: there are no images")


class Row(NamedTuple):
    """One figure; others do nothing like it, so that there is none to compare with."""

    name: str
    ours: float
    unit: str
    peer: float | None = None
    ratio: float | None = None


def rows(sizes: tuple[int, ...] = SIZES) -> Iterator[dict[str, Any]]:
    """What was measured, as it comes: `name`, `ours`, `peer`, `ratio` and `unit`.

    Args:
      sizes: numbers of runs, multiples of 100.
    """
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="medbench-") as folder:
            yield from (row._asdict() for row in _of_size(Path(folder), size, last=size == sizes[-1]))
    with tempfile.TemporaryDirectory(prefix="medbench-") as folder:
        yield _of_mixed(Path(folder))._asdict()


def _of_size(folder: Path, runs: int, *, last: bool) -> Iterator[Row]:
    declare(folder, runs)
    written = fill(study_in(folder), folder)
    cold, again = _measured(folder), _measured(folder)
    for stage in ("plan", "lookup"):
        yield Row(f"{stage}/{runs}", max(each[stage] for each in cold), "s")
    yield Row(f"judge/{runs}", max(each["judge"] for each in cold), "s")
    yield Row(f"judge-again/{runs}", max(each["judge"] for each in again), "s")
    yield Row(f"whole/{runs}", max(sum(each[s] for s in ("plan", "lookup", "judge")) for each in cold), "s")
    yield Row(f"whole-processors/{runs}", sum(each["processors"] for each in cold), "s")
    yield Row(f"memory-of-plan/{runs}", max(each["planned_mib"] - each["opened_mib"] for each in cold), "MiB")
    yield Row(f"memory/{runs}", max(each["peak_mib"] for each in cold), "MiB")
    if last:
        yield Row("store/write", 1 / median(written), "runs/s")
        yield Row("store/read", 1 / median(read(study_in(folder), folder)), "runs/s")


def _of_mixed(folder: Path) -> Row:
    declare(folder, OF_MIXED, MIXED)
    fill(study_in(folder), folder)
    return Row(f"judge-mixed/{OF_MIXED}", max(each["judge"] for each in _measured(folder)), "s")


def declare(folder: Path, runs: int, metrics: tuple[str, ...] = METRICS) -> None:
    """Write a suite whose plan has exactly so many runs; its claims are of the metrics in turn."""
    claims, rest = divmod(runs, OF_A_CLAIM)
    kinds = list(product(ARCHITECTURES, FRACTIONS))
    if rest or not claims:
        raise ValueError(f"{runs} runs; expected a multiple of {OF_A_CLAIM}")
    pairs = [(2 * pair, *kind) for pair in range(-(-claims // len(kinds))) for kind in kinds][:claims]
    upstreams = {f"drawn{i}" for first, *_ in pairs for i in (first, first + 1)}
    tasks = [f"task{i}" for i in range(TASKS)]
    _write(
        folder / "backbones.yaml",
        {
            "architectures": {
                name: {"blocks": blocks, "width": width} for name, (blocks, width) in ARCHITECTURES.items()
            },
            "upstreams": {
                upstream: {
                    "description": "never trained",
                    "images": 1,
                    "classes": 2,
                    "weights": {name: f"{upstream}-{name}.npz" for name in ARCHITECTURES},
                }
                for upstream in sorted(upstreams)
            },
        },
    )
    for upstream, architecture in product(upstreams, ARCHITECTURES):
        name = f"{upstream}-{architecture}.npz"
        (folder / name).write_text(name)
    _write(folder / "recipes.yaml", {"recipes": {"short": _RECIPE}})
    _write(folder / "tiers.yaml", {"tiers": {"embedded": _TIER}})
    _write(folder / "metrics.yaml", {"metrics": _OF_GROUPS})
    for task in tasks:
        _write(folder / f"tasks/{task}.yaml", {"task": task, **_TASK})
    for number, (first, architecture, fraction) in enumerate(pairs):
        arms = {
            arm: {"upstream": f"drawn{first + i}", "architecture": architecture, "fraction": fraction}
            for i, arm in enumerate(("baseline", "treatment"))
        }
        name = f"claim{number}"
        _write(
            folder / f"claims/{name}.yaml",
            {
                "claim": name,
                "tasks": tasks,
                "arms": {"embedded": arms},
                "metric": metrics[number % len(metrics)],
                **_CLAIM,
            },
        )


_RECIPE = {
    "kind": "fixed",
    "description": "never trained",
    "deviations": [],
    "steps": 300,
    "batch_size": 32,
    "base_learning_rate": 0.01,
    "warmup_steps": 30,
    "decay_steps": [240, 270, 290],
    "resize": 72,
    "crop": 64,
}
_TIER = {
    "description": "drawn",
    "recipe": "short",
    "seeds": list(range(1, SEEDS + 1)),
    "sentinels": [],
}
_TASK = {
    "domain": "dermatology",
    "statement": "Whether it is malignant.",
    "cohorts": {"embedded": "phantoms:dermatology"},
    "primary": "roc_auc",
    "horizontal_flip": True,
}
_OF_GROUPS = {
    "gap": {"kind": "group_gap", "of": "roc_auc", "attributes": ["age"]},
    "worst_group": {"kind": "worst_group", "of": "roc_auc", "attributes": ["age"]},
}
_CLAIM = {
    "statement": "More photographs help.",
    "source": {"study": "C4", "strength": "own"},
    "evaluate": "each-set",
    "predicate": "superiority",
    "margin": 0.005,
    "margin_reason": "for the measurement",
    "relevant_effect": 0.03,
    "family": "scale",
}


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1))  # which is YAML, too


def study_in(folder: Path) -> Study:
    """The declared suite with its drawn cohorts, as a session opens it."""
    suite = load_suite(folder)
    cohorts = {task: DrawnCohort(f"phantoms:{task}") for task in suite.tasks}
    return Study(suite, Options(tier="embedded", store=folder / "store", runs="never"), cohorts)


def fill(study: Study, folder: Path) -> list[float]:
    """Store every run of the plan; returns the seconds of those that were drawn and put in."""
    store, drawn, seconds = Store(folder / "store"), [], []
    for number, spec in enumerate(study.plan(study.items).runs):
        if number < DRAWN:
            predictions = predictions_of(spec)
            start = time.perf_counter()
            drawn.append(store.put(record_of(spec), predictions, {}))
            seconds.append(time.perf_counter() - start)
        else:
            _copy(drawn[number % DRAWN], record_of(spec), store)
    return seconds


def predictions_of(spec: RunSpec) -> dict[str, Predictions]:
    """By set, in `spec`'s task: logits that are better by what the seed has drawn."""
    cohort = DrawnCohort(spec.cohort)
    found = {}
    for name in (VALIDATION, *spec.evaluation_sets):
        examples, random = cohort.examples(name), np.random.default_rng([spec.seed, len(name)])
        score = examples.labels[:, 1] + random.normal(size=len(examples))
        found[name] = Predictions(
            evaluation_set=name,
            target=spec.target,
            image=examples.image,
            patient=examples.patient,
            labels=examples.labels,
            logits=np.stack([-score, score], axis=1).astype(np.float32),
            attributes=examples.attributes,
        )
    return found


def record_of(spec: RunSpec) -> RunRecord:
    """As long as that of a run that was trained."""
    code, steps = code_fingerprint(), range(0, spec.recipe.steps, 6)
    stages = ("root", "block1", "block2", "block3", "block4", "head")
    return RunRecord(
        run_id=run_id(spec, code),
        spec_id=spec_id(spec),
        code=code,
        spec=spec,
        environment=Environment(
            device_class="cpu",
            device="none",
            devices=1,
            cores=2,
            platform="none",
            python="3.11",
            libraries={},
            xla_flags="",
            commit="",
        ),
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:00:31+00:00",
        timings={"decode": 1.0, "compile": 2.0, "train": 27.0, "evaluate": 1.0},
        train_images=IMAGES[TRAIN],
        train_patients=PATIENTS[TRAIN],
        trace=[Step(step=step, loss=1 / (1 + step), learning_rate=0.01) for step in steps],
        validation=[Validation(step=step, value=0.7) for step in steps[::5]],
        weight_distance=dict.fromkeys(stages, 0.1),
        feature_reuse=dict.fromkeys(stages[:-1], 0.9),
        evaluations=[],
    )


def _copy(run: StoredRun, record: RunRecord, store: Store) -> None:
    """Store a record with the predictions of another run."""
    target = store.path(record.run_id)
    shutil.copytree(run.path / PREDICTIONS, target / PREDICTIONS)
    record = msgspec.structs.replace(record, evaluations=run.record.evaluations)
    (target / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1))


def read(study: Study, folder: Path) -> list[float]:
    """Seconds that it takes to find a run and read what it predicts on one set."""
    store, code, seconds = Store(folder / "store"), code_fingerprint(), []
    for spec in islice(study.plan(study.items).runs, READ):
        name = run_id(spec, code)
        start = time.perf_counter()
        run = store.get(name)
        assert run is not None
        run.predictions(ID)
        seconds.append(time.perf_counter() - start)
    return seconds


def _measured(folder: Path) -> list[dict[str, float]]:
    """What each of the processes says that judge all items between them."""
    command = [sys.executable, "-m", "bench.many_runs", "--in", str(folder)]
    started = [
        subprocess.Popen([*command, "--share", str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(PROCESSES)
    ]
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError("a process that measures has failed; its message is above")
    return [json.loads(each) for each in said]


def measure(folder: Path, share: int) -> dict[str, float]:
    """Seconds and memory of one process: it plans and looks up everything, and judges its share."""
    seconds: dict[str, float] = {}

    def timed(stage: str, do: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        done = do()
        seconds[stage] = time.perf_counter() - start
        return done

    begin = time.process_time()
    study = study_in(folder)
    opened = _mib("VmRSS")
    plan = timed("plan", lambda: study.plan(study.items))
    planned = _mib("VmRSS")
    forecast = timed("lookup", lambda: study.forecast(plan))
    assert forecast.reused == len(plan.runs)
    mine = [item.item.id for item in plan.items][share::PROCESSES]
    timed("judge", lambda: [study.result(item).red for item in mine])
    seconds["processors"] = time.process_time() - begin
    return seconds | {"opened_mib": opened, "planned_mib": planned, "peak_mib": _mib("VmHWM")}


def _mib(line: str) -> float:
    """Of this process alone, as Linux counts: getrusage has the parent's peak in it."""
    status = Path("/proc/self/status").read_text()
    return int(next(of for of in status.splitlines() if of.startswith(line)).split()[1]) / 1024


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.many_runs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, help="numbers of runs")
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--share", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder:
        print(json.dumps(measure(args.folder, args.share)))
        return
    for row in rows(tuple(args.sizes)):
        print(f"{row['name']:<24}{row['ours']:>10.3g} {row['unit']}", flush=True)


if __name__ == "__main__":
    main()
