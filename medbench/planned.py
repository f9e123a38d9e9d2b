"""What a pytest session is to do, told before anything runs.

Nothing is made here, and pytest is not needed.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from medbench.cost import in_words
from medbench.errors import MedbenchError
from medbench.execute.progress import duration, side_by_side
from medbench.forecast import Forecast
from medbench.report.terminal import count
from medbench.spec.runs import Plan
from medbench.study import Study


class Planned(NamedTuple):
    """What a session knows of a suite before anything runs."""

    study: Study
    plan: Plan
    """Of the selected items whose runs can be planned."""
    left_out: dict[str, str]
    """The other selected items, each with the reason."""


def planned(study: Study, item_ids: Sequence[str]) -> Planned:
    """The plan of those items whose runs can be planned, and why others are left out."""
    left_out = study.unplannable(item_ids)
    return Planned(study, study.plan(item for item in item_ids if item not in left_out), left_out)


def plan_lines(plans: Sequence[Planned], *, workers: int, shard: tuple[int, int] | None) -> list[str]:
    """What is to be made, and what is left out and why.

    Args:
      plans: one a suite.
      workers: processes that make runs side by side.
      shard: number of this machine and of all, where several make a part each.
    """
    lines = []
    for study, plan, left_out in plans:
        try:
            if plan.runs:
                lines.append(plan_line(plan, study.forecast(plan), workers))
            if shard is not None and study.share is not None:
                number, machines = shard
                lines.append(
                    f"plan: shard {number} of {machines}: {count(len(study.share), 'run')} of it, "
                    f"{len(study.to_make(plan))} to train here; nothing is judged"
                )
        except MedbenchError as error:
            lines.append(f"plan: {error}")
        reasons = Counter(line for reason in left_out.values() for line in reason.splitlines())
        lines += [f"plan: without {count(n, 'item')}: {reason}" for reason, n in reasons.items()]
        if left_out and not plan.runs:
            lines.append("plan: nothing is left to run on this machine before these are here.")
    return lines


def plan_line(plan: Plan, forecast: Forecast, workers: int = 1) -> str:
    """`plan: 48 runs for 11 items (161 without sharing): 42 loaded (…), 6 to train, about 3 min`."""
    parts = []
    if forecast.loaded:
        newest = max(forecast.loaded, key=lambda run: run.finished)
        parts.append(f"{len(forecast.loaded)} loaded (trained {newest.finished[:10]}, {newest.device})")
    if forecast.reused:
        parts.append(f"{forecast.reused} reused")
    if forecast.not_run:
        parts.append(f"{forecast.not_run} not to be made")
    if forecast.to_train:
        time = ""
        if forecast.seconds is not None:
            seconds = side_by_side(forecast.seconds, len(forecast.to_train), workers)
            time = f", about {duration(seconds)}"
        elif forecast.hours:
            time = f", {in_words(forecast.hours, on_cpu=forecast.on_cpu)}"
        parts.append(f"{len(forecast.to_train)} to train{time}")
    runs, items = count(len(plan.runs), "run"), count(len(plan.items), "item")
    return f"plan: {runs} for {items} ({plan.naive} without sharing): {', '.join(parts)}"
