"""`medbench metrics`: the metrics that claims and tasks of a suite may name, and what each of them means."""

import argparse
from pathlib import Path

from medbench.metrics import Metric, metric_named
from medbench.packaged import HERE, chosen
from medbench.spec.metrics import OF_ANOTHER, PRIMARY, resolved, ungrouped
from medbench.spec.records import Suite
from medbench.spec.suite import load_suite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench metrics`."""
    parser.description = "List the metrics that claims and tasks of a suite may name."
    parser.add_argument(
        "suite",
        type=Path,
        nargs="?",
        metavar="SUITE",
        help="folder of declarations (default: benchmarks; without such a folder medbench's own suite)",
    )


def run(args: argparse.Namespace) -> int:
    """Print a line a metric and return the exit status.

    Raises:
      MedbenchError: a declaration is wrong.
    """
    root = chosen(args.suite)
    suite = load_suite(root)
    rows = [("name", "better", "range", "intervals", "identity", "what it is")]
    rows += [_row(metric) for name in suite.metrics for metric in _meanings(name, suite)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    more = root / "metrics.yaml" if args.suite or HERE.exists() else "the metrics.yaml of your own suite"
    print(f"\nMore may be declared in {more}; docs/metrics.md has the kinds and their parameters.")
    print("Certified: intervals were measured to hold, see docs/gate.md. Of others, take them with care.")
    return 0


def _meanings(name: str, suite: Suite) -> list[Metric]:
    """The metric, for each task's own where it is of that; of `each` attribute where it names none."""
    spec, primaries = suite.metrics[name], [task.primary for task in suite.tasks.values()]
    if isinstance(spec, OF_ANOTHER) and spec.of == PRIMARY:
        primaries = [primary for primary in primaries if primary in ungrouped(suite.metrics)]
    metrics = [
        metric_named(name, resolved(name, suite.metrics, primary=primary, attribute="each"))
        for primary in primaries
    ]
    return list({metric.identity: metric for metric in metrics}.values())


def _row(metric: Metric) -> tuple[str, str, str, str, str, str]:
    better = "higher" if metric.higher_is_better else "lower"
    span = f"{metric.low:g} to {metric.high:g}"
    meaning = (type(metric.spec).__doc__ or "").partition("\n")[0]
    intervals = "certified" if metric.spec.certified else "not certified"
    return metric.name, better, span, intervals, metric.identity, meaning
