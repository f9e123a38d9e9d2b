"""`medbench plan`: the runs that a selection of claims needs, and where each would come from.

Nothing is trained and no image is decoded; jax is not imported.
"""

import argparse
from collections import Counter
from pathlib import Path

from medbench.cost import in_words
from medbench.data.findings import counted
from medbench.errors import MedbenchError
from medbench.execute.progress import duration
from medbench.execute.trainers import find
from medbench.expect import beside
from medbench.forecast import Forecast
from medbench.identity import spec_id
from medbench.packaged import chosen
from medbench.record import Trainer
from medbench.selection import holds, left_out_of, names_of, why_nothing
from medbench.spec.runs import Plan
from medbench.store import store_at
from medbench.study import Options, Study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench plan`; they are those of `pytest benchmarks`."""
    parser.description = "List the runs that a selection of claims needs, without training them."
    parser.add_argument(
        "suite",
        type=Path,
        nargs="?",
        metavar="SUITE",
        help="folder of declarations (default: benchmarks; without such a folder medbench's own suite)",
    )
    parser.add_argument(
        "-k",
        default="",
        metavar="EXPRESSION",
        help="only items whose domain, claim, evaluation set or backbones contain a word; "
        "words may be joined by `and`, `or`, `not` and brackets, as in pytest: -k 'ood and not chest'",
    )
    parser.add_argument("--tier", default="embedded", metavar="NAME", help="default: embedded")
    parser.add_argument(
        "--cohort",
        metavar="DIR",
        help="other images than the tier's: a folder with cohort.yaml, public:NAME[@POLICY] or "
        "medmnist:NAME@SIZE",
    )
    parser.add_argument(
        "--backbones",
        type=_pair,
        metavar="BASELINE,TREATMENT",
        help="compare these two instead of the claims' own",
    )
    parser.add_argument(
        "--trainer",
        metavar="NAME",
        help="who executes the runs: an installed entry point, or a script by its path, as in ./train.sh",
    )
    parser.add_argument(
        "--store",
        type=store_at,
        default=".medbench",
        metavar="DIR",
        help="where finished runs are kept (default: .medbench), or the URL of a store that machines share",
    )
    parser.add_argument(
        "--expectations",
        type=Path,
        metavar="DIR",
        help="where reference runs are kept (default: `expectations` beside the suite)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the plan; returns the exit status.

    Raises:
      MedbenchError: a declaration is wrong, a weight file or the given expectations are missing, or
        nothing was selected.
    """
    suite = chosen(args.suite)
    study = Study.open(
        suite,
        Options(
            tier=args.tier,
            store=args.store.home,
            remote=args.store.remote.url if args.store.remote else "",
            expectations=_expectations(args.expectations, suite),
            cohort=args.cohort,
            backbones=args.backbones,
            trainer=find(args.trainer, Path.cwd()) if args.trainer is not None else None,
        ),
    )
    selected = [item for item in study.items.values() if holds(args.k, names_of(item, study.suite))]
    if not selected:
        raise MedbenchError(_why_nothing(study, args))
    left_out = study.unplannable(item.id for item in selected)
    plan = study.plan(item.id for item in selected if item.id not in left_out)
    if plan.runs:
        print(_described(plan, study.forecast(plan), study.trainer))
    reasons = Counter(line for reason in left_out.values() for line in reason.splitlines())
    for reason, number in reasons.items():
        print(f"without {counted(number, 'item')}: {reason}")
    if not plan.runs:
        print("nothing is left to run on this machine before these are here.")
    return 0 if plan.runs else 2


def _expectations(given: Path | None, suite: Path) -> Path | None:
    if given is not None and not given.is_dir():
        default = beside(suite)
        raise MedbenchError(f"--expectations {given}: no such folder. The default is {default}.")
    return given


def _pair(text: str) -> tuple[str, str]:
    baseline, _, treatment = (part.strip() for part in text.partition(","))
    if not baseline or not treatment or "," in treatment:
        raise argparse.ArgumentTypeError("expected two names, as in BASELINE,TREATMENT")
    if baseline == treatment:
        raise argparse.ArgumentTypeError(f"expected two backbones, and both are `{baseline}`")
    return baseline, treatment


def _why_nothing(study: Study, args: argparse.Namespace) -> str:
    if study.items:
        selectable = [names_of(item, study.suite) for item in study.items.values()]
        why = why_nothing(args.k, selectable, left_out_of(study.asked(), study.suite))
        return f"no item matches -k {args.k!r}. {why}"
    return study.why_no_items()


def _described(plan: Plan, forecast: Forecast, trainer: Trainer | None) -> str:
    """One line a run, and the sum; by whom, where it is not medbench."""
    to_train = set(map(spec_id, forecast.to_train))
    loaded = {run.spec_id for run in forecast.loaded}
    width = max(len(run.label) for run in plan.runs)
    lines = []
    for run in plan.runs:
        key = spec_id(run)
        whence = "to train" if key in to_train else "loaded" if key in loaded else "reused"
        lines.append(f"{run.label:{width}}  {whence}")
    counts = [
        f"{count} {word}"
        for count, word in (
            (len(to_train), "to train"),
            (len(loaded), "loaded from reference runs"),
            (forecast.reused, "reused"),
        )
        if count
    ]
    time = ""
    if to_train and forecast.seconds is not None:
        time = f", about {duration(forecast.seconds)}"
    elif forecast.hours:
        time = f", {in_words(forecast.hours, on_cpu=forecast.on_cpu)}"
    items = "1 item" if len(plan.items) == 1 else f"{len(plan.items)} items"
    total = f"{len(plan.runs)} runs for {items} ({plan.naive} without sharing): {', '.join(counts)}{time}"
    by = f" · by trainer {trainer}" if trainer else ""
    return "\n".join([*lines, "", total + by])
