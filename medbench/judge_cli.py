"""`medbench judge`: what medbench says of results that some other code produced.

Either a table of metric values (`--results`) or predictions of every example (`--predictions`).
"""

import argparse
import difflib
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from medbench import __version__
from medbench.errors import MedbenchError, nearest
from medbench.metrics import Metric, metric_named
from medbench.multiplicity import adjust
from medbench.others.cells import number
from medbench.others.claims import PredictionsReport, judge_claims
from medbench.others.folder import open_folder
from medbench.others.lines import predictions_lines, results_lines
from medbench.others.questions import judge_results
from medbench.others.record import ResultsReport, counts
from medbench.others.results import ROLES, read_results
from medbench.others.scales import load_scales
from medbench.packaged import chosen
from medbench.spec.metrics import BUILT_IN
from medbench.spec.suite import load_suite
from medbench.stats.interval import LEVEL

MARGIN, SHARE = 0.005, 0.6
FOR_A_TABLE = ("columns", "backbones", "metric", "higher_is_better", "margin", "share")
"""What `--predictions` has no use for: its claims declare their metrics and margins."""
EXIT = "exit status: 0 if every verdict is supported or inconclusive, 1 if any is refuted, 2 for a mistake"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench judge`."""
    parser.description = (
        "Judge results that some other code produced; docs/other-results.md has worked examples."
    )
    parser.epilog = EXIT
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--results", type=Path, metavar="FILE.csv", help="a table of metric values, one row a run"
    )
    what.add_argument(
        "--predictions", type=Path, metavar="DIR", help="predictions of every example, with predictions.yaml"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts here too")

    table = parser.add_argument_group("with --results")
    table.add_argument(
        "--columns",
        type=_columns,
        metavar="backbone=…,fraction=…,seed=…,value=…",
        help="the table's names of these columns",
    )
    table.add_argument(
        "--backbones", type=Path, metavar="FILE.yaml", help="upstream and architecture of each backbone"
    )
    table.add_argument("--metric", metavar="NAME", help="what the values are, such as roc_auc")
    direction = table.add_mutually_exclusive_group()
    direction.add_argument(
        "--higher-is-better",
        dest="higher_is_better",
        action="store_true",
        default=None,
        help="needed for a metric that medbench does not know",
    )
    direction.add_argument(
        "--lower-is-better", dest="higher_is_better", action="store_false", help="the same, for the reverse"
    )
    table.add_argument(
        "--margin",
        type=_margin,
        metavar="M",
        help=f"gain that counts, in units of the metric (default: {MARGIN:g}, half a point of AUC)",
    )
    table.add_argument(
        "--share",
        type=_share,
        metavar="S",
        help="data-efficiency: the larger backbone needs at most this share of the data "
        f"(default: {SHARE:g}, the upper end of what is quoted of the study)",
    )

    folder = parser.add_argument_group("with --predictions")
    folder.add_argument(
        "--suite",
        type=Path,
        metavar="DIR",
        help="whose claims are judged (default: benchmarks; without such a folder medbench's own suite)",
    )


def run(args: argparse.Namespace) -> int:
    """Judge, print and write; returns the exit status.

    Raises:
      MedbenchError: an option is missing or wrong, a file is, or nothing could be judged.
    """
    unused = ("suite",) if args.results else FOR_A_TABLE
    given = next((name for name in unused if getattr(args, name) is not None), None)
    if given:
        option = {"higher_is_better": "higher-is-better or --lower-is-better"}.get(given, given)
        mode = "--results" if args.results else "--predictions"
        raise MedbenchError(f"{mode} has no use for --{option}; leave it out.")
    return _judge_results(args) if args.results else _judge_predictions(args)


def _judge_predictions(args: argparse.Namespace) -> int:
    suite = load_suite(chosen(args.suite))
    folder = open_folder(args.predictions)
    judged, not_allowed, notes = judge_claims(folder, suite)
    claims = adjust(judged)
    report = PredictionsReport(
        medbench=__version__,
        predictions=folder.root,
        warnings=[*folder.warnings, *notes],
        claims=claims,
        not_allowed=not_allowed,
        counts=counts(claims),
    )
    print("\n".join(predictions_lines(report)))
    _write(args.json, report)
    if not report.counts["judged"]:
        raise MedbenchError(f"{folder.root}: nothing could be judged, for the reasons above.")
    return int(report.counts["refuted"] > 0)


def _judge_results(args: argparse.Namespace) -> int:
    for option in ("columns", "backbones"):
        if getattr(args, option) is None:
            raise MedbenchError(f"--results needs --{option}; `medbench judge --help` says what it is.")
    metric = _metric(args.metric)
    known = None if metric is None else metric.higher_is_better
    higher_is_better = _direction(args.metric, known, args.higher_is_better)
    margin = MARGIN if args.margin is None else args.margin
    share = SHARE if args.share is None else args.share
    scales = load_scales(args.backbones)
    if metric is not None and margin >= metric.high - metric.low:
        raise MedbenchError(
            f"--margin {margin:g}: {metric.name} lies between {metric.low:g} and {metric.high:g}, so no gain "
            "could exceed it. Is it in percent? Divide by 100."
        )
    results = read_results(args.results, args.columns, scales, metric)
    claims = judge_results(results, scales, higher_is_better=higher_is_better, margin=margin, share=share)
    report = ResultsReport(
        medbench=__version__,
        results=results.file,
        rows=results.rows,
        metric=args.metric or args.columns["value"],
        higher_is_better=higher_is_better,
        margin=margin,
        share=share,
        level=LEVEL,
        notes=list(results.notes),
        claims=claims,
        counts=counts(claims),
    )
    if not claims:
        raise MedbenchError(
            f"{results.file}: nothing to compare. No two of its backbones stand on one ladder of "
            f"{scales.file} with the other axis equal."
        )
    print("\n".join(results_lines(report)))
    _write(args.json, report)
    if not report.counts["judged"]:
        raise MedbenchError(f"{results.file}: nothing could be judged, for the reasons above.")
    return int(report.counts["refuted"] > 0)


def _metric(name: str | None) -> Metric | None:
    """The metric of that name, if medbench knows it; a name that may be meant for one of those is refused."""
    if name is None or name in BUILT_IN:
        return metric_named(name) if name else None
    near = difflib.get_close_matches(name.lower(), BUILT_IN, n=2)
    if near:
        raise MedbenchError(
            f"metric `{name}` is not known to medbench. Did you mean {' or '.join(f'`{n}`' for n in near)}? "
            "If it is one of your own, leave --metric out: it then goes by the name of its column."
        )
    return None


def _direction(name: str | None, known: bool | None, given: bool | None) -> bool:
    """Whether higher is better: by the metric's definition or by the option, which may not contradict."""
    if known is None and given is None:
        raise MedbenchError(
            f"{f'metric `{name}` is not known to medbench' if name else 'no --metric is given'}: "
            "say --higher-is-better or --lower-is-better."
        )
    if known is not None and given is not None and known != given:
        raise MedbenchError(
            f"of `{name}`, {'higher' if known else 'lower'} is better: leave the option out, "
            "or give the metric another name if it is another one."
        )
    return bool(given if known is None else known)


def _write(path: Path | None, report: msgspec.Struct) -> None:
    if path is None:
        return
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    except OSError as error:
        raise MedbenchError(f"{path}: cannot be written ({error.strerror}).") from error


def _columns(text: str) -> Mapping[str, str]:
    columns: dict[str, str] = {}
    for part in text.split(","):
        role, given, column = (piece.strip() for piece in part.partition("="))
        if role not in ROLES:
            raise argparse.ArgumentTypeError(f"unknown role `{role}` in `{part}`. {nearest(role, ROLES)}")
        if not given or not column or role in columns:
            raise argparse.ArgumentTypeError(f"expected one column for `{role}`, as in {role}=NAME")
        columns[role] = column
    lacking = [role for role in ROLES if role not in columns]
    if lacking:
        raise argparse.ArgumentTypeError(f"lacks {', '.join(f'{role}=…' for role in lacking)}")
    return columns


def _margin(text: str) -> float:
    return _number(text, "at least 0", lambda value: value >= 0)


def _share(text: str) -> float:
    return _number(text, "above 0 and at most 1", lambda value: 0 < value <= 1)


def _number(text: str, expected: str, holds: Callable[[float], bool]) -> float:
    try:
        value = number(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and holds(value)):
        raise argparse.ArgumentTypeError(f"expected a number {expected}, found `{text}`")
    return value
