"""What a person is told first: did anything move, and what there is to do about it.

Words made from a report; every kind of report may show them.
"""

import shlex
from collections.abc import Sequence
from typing import Literal, NamedTuple

from medbench.difference import State
from medbench.judgement import Check
from medbench.report.record import Report
from medbench.report.terminal import count

MOVED = ("drifted", "verdict-changed", "vanished", "stale")
"""Statuses of items that are not as they were accepted."""
_NAMED = 8
"""Items that a command names; of more it names their claims."""


class Headline(NamedTuple):
    """The page in one sentence."""

    state: Literal["quiet", "moved"]
    text: str


class Advice(NamedTuple):
    """One thing to do."""

    text: str
    command: str = ""


def moved(report: Report) -> list[Check]:
    """The checks of items that are not as they were accepted."""
    return [check for check in report.expectations if check.status in MOVED]


def headline(report: Report) -> Headline:
    """Whether anything moved, against what was accepted and since the earlier report."""
    away = moved(report)
    parts = [f"{count(len(away), 'item')} moved against what was accepted"] if away else []
    known = {check.id for check in away}
    failed = sum(claim.red and claim.id not in known for claim in report.claims)
    parts += [f"{count(failed, 'claim')} failed"] if failed else []
    parts += [f"{count(len(report.errors), 'item')} could not be judged"] if report.errors else []
    if report.since:
        counts = report.since.counts
        states: tuple[State, ...] = ("worse", "vanished", "not-comparable", "better", "new")
        words = [f"{counts[state]} {state}" for state in states if counts.get(state)]
        parts += [f"{', '.join(words)} since {report.since.before}"] if words else []
    if parts:
        return Headline("moved", "; ".join(parts))
    if not report.claims:
        return Headline("moved", "Nothing was judged")
    return Headline("quiet", "Quiet: nothing moved")


def basis(report: Report) -> str:
    """How much of what is said was measured by the present code; empty where all was."""
    runs = report.runs
    if not runs.loaded:
        return ""
    made = runs.executed + runs.reused
    return (
        f"{made} of {count(made + runs.loaded, 'run')} were made by the present code; the rest are accepted "
        "runs, loaded: they hold metrics and judging to what was accepted, and say nothing of training."
    )


def advice(report: Report) -> list[Advice]:
    """What to do, the most urgent first; nothing where all is quiet."""
    by_status = {status: [check.id for check in moved(report) if check.status == status] for status in MOVED}
    changed = by_status["drifted"] + by_status["verdict-changed"]
    lines = []
    if report.errors:
        lines.append(Advice("Put right what could not be judged: the messages are under “What changed”."))
    if changed:
        lines += [Advice(f"Look at {_some(changed)}: which arm moved, and by how much.")]
        if still := _unmoved(report, changed):
            text = (
                f"{_some(still)} did not move since {_before(report)}: it was red then already, or what was "
                "accepted has been edited since:"
            )
            lines.append(Advice(text, "git log -p -- expectations"))
        lines.append(Advice("If the new values are right, accept them:", accept(report, changed)))
        if len(still) < len(changed):
            text = f"If they are not, undo {_suspects(report)}, and run the same items again."
            lines.append(Advice(text))
    if gone := by_status["vanished"]:
        lines.append(
            Advice(
                f"Look for what vanished of {_some(gone)}: what it was stands above. If it was taken away on "
                "purpose, accept what is left; of an item that is no longer declared, delete its entry and "
                f"its line in expectations/{report.tier}/items.yaml."
            )
        )
    if stale := by_status["stale"]:
        text = f"The definition of {_some(stale)} changed. If that was meant, accept anew:"
        lines.append(Advice(text, accept(report, stale)))
    known = {check.id for check in moved(report)}
    if failed := [claim.id for claim in report.claims if claim.red and claim.id not in known]:
        lines.append(
            Advice(f"{_some(failed)} failed and nothing comparable was accepted: read the evidence.")
        )
    return lines


def _unmoved(report: Report, items: Sequence[str]) -> list[str]:
    """Those of some items that are as they were in the earlier report, if there is one."""
    if report.since is None:
        return []
    unchanged = {each.id for each in report.since.differences if each.state == "unchanged"}
    return [item for item in items if item in unchanged]


def _before(report: Report) -> str:
    return report.since.before if report.since else ""


def accept(report: Report, items: Sequence[str]) -> str:
    """The command that accepts the items' present values."""
    names = list(items)
    if len(names) > _NAMED:
        names = list(dict.fromkeys("/".join(item.split("/")[:2]) for item in items))[:_NAMED]
    tier = "" if report.tier == "embedded" else f" --tier {shlex.quote(report.tier)}"
    chosen = shlex.quote(" or ".join(names))
    return f'pytest benchmarks{tier} -k {chosen} --runs=force --expect=update --reason "…"'


def _suspects(report: Report) -> str:
    """What differs since the earlier report, the likeliest first."""
    named = (
        [f"{each.name} {each.before} → {each.after}" for each in report.since.suspects]
        if report.since
        else []
    )
    return _some(named) if named else "what changed"


def _some(items: Sequence[str]) -> str:
    named = ", ".join(items[:3])
    return f"{named} and {len(items) - 3} more" if len(items) > 3 else named
