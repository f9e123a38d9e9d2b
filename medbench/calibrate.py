"""`medbench calibrate`: how far the same seeds move elsewhere, which is what the numeric tolerance rests on.

Runs of a store, made under another instruction set, thread count or jax, are held against the reference
runs of the same specs; the largest difference of each metric is kept in `expectations/numeric.yaml`.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from medbench.data.cohort import ID
from medbench.errors import MedbenchError
from medbench.expect import Calibration
from medbench.identity import spec_id
from medbench.judge import sample_of
from medbench.metrics import Metric, evaluate, metric_named
from medbench.record import Environment
from medbench.reference import References
from medbench.spec.loader import dump_yaml, load_yaml
from medbench.spec.metrics import BUILT_IN, OF_RUN
from medbench.spec.runs import PlannedItem
from medbench.spec.units import Unit
from medbench.store import Store, StoredRun
from medbench.study import Options, Study
from medbench.units import in_words

METRICS = tuple(
    metric_named(name)
    for name, spec in BUILT_IN.items()
    if not spec.pools_home and not isinstance(spec, OF_RUN)
)
"""All that one run's predictions on one set are enough for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench calibrate`."""
    parser.description = (
        "Compare the runs of stores with the reference runs of the same specs, and keep the largest "
        "difference of each metric in numeric.yaml, over all evaluation sets and over the items of the "
        "suite; the tolerance for unchanged seeds is computed from it. "
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
    parser.add_argument(
        "--suite",
        type=Path,
        default=Path("benchmarks"),
        metavar="DIR",
        help="whose items are calibrated as they are judged (default: benchmarks)",
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
    options = Options(tier=args.tier, store=args.stores[0], expectations=args.expectations, compare=False)
    study = Study.open(args.suite, options)
    rows = calibrations(pairs, study.plan(study.items).items)
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


def calibrations(
    pairs: Iterable[tuple[StoredRun, StoredRun]], items: Sequence[PlannedItem] = ()
) -> list[Calibration]:
    """The largest difference by metric and surroundings, over runs with their reference runs.

    Built-in metrics are taken of the images of all sets, and each item's metric of what the item scores.

    Args:
      pairs: runs, each with its reference run.
      items: planned; those that need none of the runs add nothing.
    """
    found: dict[tuple[str, ...], Calibration] = {}
    of_items = _by_spec(items)
    for run, reference in pairs:
        surroundings = run.record.environment
        asked = [(metric, name, ()) for metric in METRICS for name in reference.record.spec.evaluation_sets]
        for metric, name, units in (*asked, *of_items.get(spec_id(reference.record.spec), ())):
            difference = _difference(metric, name, units, run, reference)
            if difference is None:
                continue
            row = Calibration(
                variant=variant(surroundings),
                environment=surroundings.device_class,
                jax=surroundings.libraries["jax"],
                metric=metric.identity,
                largest_difference=difference,
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


_Asked = tuple[Metric, str, tuple[Unit, ...]]
"""A metric, on which evaluation set, and what is scored there."""


def _by_spec(items: Iterable[PlannedItem]) -> dict[str, list[_Asked]]:
    """What items ask of their runs, each thing once, by the runs' spec ids."""
    asked: dict[str, dict[tuple[str, ...], _Asked]] = {}
    for planned in items:
        metric = metric_named(planned.item.metric, planned.metrics)
        for term in planned.terms:
            if metric.pools_home and term.evaluation_set == ID:
                continue
            for spec in planned.runs[term.arm].values():
                thing = (metric.identity, term.evaluation_set, in_words(planned.units))
                asked.setdefault(spec_id(spec), {})[thing] = (metric, term.evaluation_set, planned.units)
    return {spec: list(things.values()) for spec, things in asked.items()}


def _difference(
    metric: Metric, evaluation_set: str, units: tuple[Unit, ...], run: StoredRun, reference: StoredRun
) -> float | None:
    """Between two runs of one spec; None where the metric is undefined for either."""
    here, there = (
        evaluate(metric, sample_of(each, metric, evaluation_set, units))[0] for each in (run, reference)
    )
    return None if here is None or there is None else round(abs(here - there), 7)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _key(row: Calibration) -> tuple[str, str, str, str]:
    return row.environment, row.metric, row.jax, row.variant
