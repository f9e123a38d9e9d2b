"""`medbench calibrate`: how far the same seeds move elsewhere, which is what the numeric tolerance rests on.

Runs of a store, made under another instruction set, thread count or jax, are held against the reference
runs of the same specs; the largest difference of each metric is kept in `expectations/numeric.yaml`.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from medbench.errors import MedbenchError
from medbench.expect import Calibration
from medbench.metrics import Metric, Sample, evaluate, metric_named
from medbench.record import Environment
from medbench.reference import References
from medbench.spec.loader import dump_yaml, load_yaml
from medbench.spec.metrics import BUILT_IN
from medbench.store import Store, StoredRun

METRICS = tuple(metric_named(name) for name, spec in BUILT_IN.items() if not spec.pools_home)
"""All that one run's predictions on one set are enough for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench calibrate`."""
    parser.description = (
        "Compare the runs of stores with the reference runs of the same specs, and keep the largest "
        "difference of each metric in numeric.yaml; the tolerance for unchanged seeds is computed from it. "
        "Make a store under another instruction set, thread count or jax first: ci/calibrate.sh does it all."
    )
    parser.add_argument("stores", type=Path, nargs="+", metavar="STORE", help="folder of finished runs")
    parser.add_argument("--tier", default="embedded", metavar="NAME", help="default: embedded")
    parser.add_argument(
        "--expectations",
        type=Path,
        default=Path("expectations"),
        metavar="DIR",
        help="holds the reference runs and numeric.yaml (default: expectations)",
    )


def run(args: argparse.Namespace) -> int:
    """Write `numeric.yaml`, print its new rows, and return the exit status.

    Raises:
      MedbenchError: no run of the stores is as the reference runs' own code makes it, or a file is damaged.
    """
    references = References(args.expectations / args.tier / "runs")
    stores = [Store(folder) for folder in args.stores]
    pairs, others = _of_unmoved_code([pair for store in stores for pair in _pairs(store, references)])
    if not pairs:
        raise MedbenchError(
            f"no run in these stores was made by the code and libraries of the reference runs in "
            f"{references.root}, nor agrees with one of them to the bit, so a difference may "
            "come from changed code. Accept those anew, or add a store made with "
            "`pytest benchmarks --store STORE` in the surroundings they were made in."
        )
    if others:
        print(f"{_count(others, 'run')} left out, of code that may have moved the numbers itself")
    rows = calibrations(pairs)
    path = args.expectations / "numeric.yaml"
    kept = load_yaml(path, list[Calibration]) if path.exists() else []
    merged = {_key(row): row for row in (*kept, *rows)}
    partial = path.with_suffix(".partial")
    partial.write_text(dump_yaml([merged[key] for key in sorted(merged)]), encoding="utf-8")
    partial.replace(path)
    for row in rows:
        print(
            f"{row.metric} on {row.environment}, {row.variant}, jax {row.jax}: {row.largest_difference:.2e}"
        )
    return 0


def calibrations(pairs: Iterable[tuple[StoredRun, StoredRun]]) -> list[Calibration]:
    """The largest difference by metric and surroundings, over runs with their reference runs and all sets.

    A metric that is defined on none of a run's sets says nothing about it.
    """
    found: dict[tuple[str, ...], Calibration] = {}
    for run, reference in pairs:
        surroundings = run.record.environment
        for metric in METRICS:
            differences = list(_differences(metric, run, reference))
            if not differences:
                continue
            row = Calibration(
                variant=variant(surroundings),
                environment=surroundings.device_class,
                jax=surroundings.libraries["jax"],
                metric=metric.identity,
                largest_difference=max(differences),
            )
            before = found.get(_key(row))
            if before is None or row.largest_difference > before.largest_difference:
                found[_key(row)] = row
    return list(found.values())


def _of_unmoved_code(
    pairs: list[tuple[StoredRun, StoredRun]],
) -> tuple[list[tuple[StoredRun, StoredRun]], int]:
    """The pairs whose runs were made by sources that move nothing themselves, and how many others there are.

    Sources are vouched for by a run that has the reference run's code, or that agrees with it to the bit.
    """
    vouched = {
        _sources(run)
        for run, reference in pairs
        if run.record.code == reference.record.code or _agree(run, reference)
    }
    kept = [(run, reference) for run, reference in pairs if _sources(run) in vouched]
    return kept, len(pairs) - len(kept)


def _sources(run: StoredRun) -> str:
    """The half of the code's fingerprint that the surroundings do not enter."""
    return run.record.code.partition("-")[0]


def _agree(run: StoredRun, reference: StoredRun) -> bool:
    """Whether the code, although changed, gave the same logits on every set."""
    return all(
        np.array_equal(run.predictions(name).logits, reference.predictions(name).logits)
        for name in reference.record.spec.evaluation_sets
    )


def variant(environment: Environment) -> str:
    """What may differ between machines of one device class, in words."""
    flags = environment.xla_flags or "no flags"
    return f"{environment.device}, {_count(environment.cores, 'core')}, {flags}"


def _pairs(store: Store, references: References) -> Iterator[tuple[StoredRun, StoredRun]]:
    """Runs with their reference runs; only a device of the same class has the same seeds' numbers."""
    for record in store.records():
        run, reference = store.get(record.run_id), references.get(record.spec)
        if run is None or reference is None:
            continue
        if record.environment.device_class == reference.record.environment.device_class:
            yield run, reference


def _differences(metric: Metric, run: StoredRun, reference: StoredRun) -> Iterable[float]:
    """On the sets that claims are judged on; the validation set is smaller and is judged nowhere."""
    for name in reference.record.spec.evaluation_sets:
        here, there = (
            evaluate(metric, Sample(each.predictions(name), record=each.record))[0]
            for each in (run, reference)
        )
        if here is not None and there is not None:
            yield round(abs(here - there), 7)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _key(row: Calibration) -> tuple[str, str, str, str]:
    return row.environment, row.metric, row.jax, row.variant
