"""The table at the end of a run: differences first, then every claim with its evidence.

Text only: takes a report, returns lines with the markup that pytest's terminal writer understands.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from medbench.diff import show
from medbench.errors import few, printable
from medbench.expect import measured
from medbench.judgement import Check, Interval, Judgement
from medbench.report.record import Asked, ClaimResult, Report
from medbench.spec.effects import HOME
from medbench.synthesis import Conclusion

HEADINGS = ("task", "claim", "evaluation", "effect, 90 % interval", "margin", "verdict", "accepted", "drift")


class Line(NamedTuple):
    """One line and how to show it."""

    text: str
    markup: dict[str, bool]


def summary(report: Report) -> list[Line]:
    """The table, the notes below it and the closing sentence."""
    checks = {check.id: check for check in report.expectations}
    shown = [claim for claim in report.claims if claim.state != "not-run" or claim.red]
    rows = [row(claim, checks.get(claim.id)) for claim in shown]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    lines = [Line(_aligned(HEADINGS, widths), {"bold": True})] if rows else []
    for claim, cells in zip(shown, rows, strict=True):
        lines.append(Line(_aligned(cells, widths), _markup(claim.red, claim.category)))
        lines += [Line(f"    {text}", {"light": True}) for text in remarks(claim)]
    lines += [Line(text, {"yellow": True}) for text in not_run(report)]
    known = {claim.id for claim in report.claims}
    lines += [Line(text, {"light": True}) for text in uncertified(report)]
    lines += [Line(text, {}) for text in show.loud_lines(report.since)] if report.since else []
    lines += [
        Line(f"{check.id}: {check.status}. {check.detail}".rstrip(), {"red": True})
        for check in report.expectations
        if check.id not in known
    ]
    lines += [Line(f"{error.id}: {_first_line(error.message)}", {"red": True}) for error in report.errors]
    lines += [Line(f"warning: {warning}", {"yellow": True}) for warning in report.warnings]
    if report.scope:
        lines.append(Line(report.scope, {"bold": True}))
    lines += [Line(synthesis(conclusion), {}) for conclusion in report.syntheses]
    lines += [Line(text, {}) for text in asked(report)]
    lines.append(Line(provenance(report), {}))
    lines.append(Line(closing(report), _markup(report.counts["red"] > 0, "passed")))
    return [Line(printable(line.text), line.markup) for line in lines]  # names may hold what a terminal obeys


def _first_line(message: str) -> str:
    """What follows, such as the end of a log, pytest has shown already."""
    return message.partition("\n")[0]


def row(claim: ClaimResult, check: Check | None) -> tuple[str, ...]:
    """The cells of one item, in the order of `HEADINGS`."""
    return (
        claim.task,
        claim.claim,
        where(claim),
        interval(claim.effect),
        margin(claim),
        claim.verdict or claim.state,
        accepted(check),
        drift(check, claim),
    )


def where(claim: Judgement) -> str:
    """The evaluation set, and whose sub-groups are compared there."""
    return f"{claim.evaluation_set}, by {claim.attribute}" if claim.attribute else claim.evaluation_set


def not_run(report: Report) -> list[str]:
    """What was not run, one line a reason: `not run, 58 items (chest/scale-data/id, … and 55 more): …`.

    An item that lacks several things is counted with each.
    """
    by_reason: dict[str, list[str]] = {}
    for claim in report.claims:
        if claim.state == "not-run" and not claim.red:
            for reason in claim.reason.splitlines():
                by_reason.setdefault(reason, []).append(claim.id)
    return [f"not run, {count(len(ids), 'item')} ({few(ids)}): {reason}" for reason, ids in by_reason.items()]


def synthesis(conclusion: Conclusion) -> str:
    """`only-at-scale, chest: supported (robustness only at scale; performance open; fairness not)`."""
    by_verdict = {
        "supported": "only at scale",
        "inconclusive": "open",
        "refuted": "not only at scale, or not at all",
    }
    parts = []
    for verdict, words in by_verdict.items():
        names = [each.property for each in conclusion.properties if each.only_at_scale == verdict]
        parts += [f"{', '.join(names)}: {words}"] if names else []
    parts += [f"{', '.join(conclusion.left_out)}: not judged"] if conclusion.left_out else []
    return f"{conclusion.synthesis}, {conclusion.task}: {conclusion.verdict} ({'; '.join(parts)})"


def asked(report: Report) -> list[str]:
    """How much the claims ask, how much of it was judged, and what has no item, by reason."""
    judged = {claim.id for claim in report.claims if claim.state == "judged"}
    having = [each for each in report.asked if each.items]
    ids = [item for each in having for item in each.items]
    if not ids:
        return []
    sets = {(each.task, name) for each in having for name in each.evaluation_sets}
    attributes = {(each.task, name) for each in having for name in each.attributes}
    shifts = sum(name != HOME for _, name in sets)
    text = (
        f"asked: {count(len({each.claim for each in having}), 'claim')} on "
        f"{count(len({each.task for each in having}), 'task')}, {count(shifts, 'shift')} and "
        f"{count(len(attributes), 'attribute')}: {count(len(having), 'pair')} of claim and task, "
        f"{count(len(ids), 'item')}; {sum(item in judged for item in ids)} judged here"
    )
    return [text, *_not_asked(report.asked)]


def _not_asked(asked: Sequence[Asked]) -> list[str]:
    """What has no item, by task and reason; claims are not listed where none of a task's has any."""
    lacking: dict[tuple[str, str], list[str]] = {}
    for each in asked:
        if not each.items:
            lacking.setdefault((each.task, each.why_none), []).append(each.claim)
    of_task = Counter(each.task for each in asked)
    tasks: dict[str, list[str]] = {}
    for (task, why), claims in lacking.items():
        said = f"{_named(claims, all_of_them=len(claims) == of_task[task])} ({why})"
        tasks.setdefault(said, []).append(task)
    return [f"not asked on {', '.join(names)}: {said}" for said, names in tasks.items()]


def _named(claims: Sequence[str], *, all_of_them: bool) -> str:
    return f"all {len(claims)} claims" if all_of_them and len(claims) > 1 else ", ".join(claims)


def count(number: int, thing: str) -> str:
    """`1 item`, `2 items`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def interval(effect: Interval | None) -> str:
    """`+0.021  [+0.008, +0.034]`, or a dash where the effect is undefined."""
    if effect is None:
        return "–"
    return f"{effect.value:+.3f}  [{effect.low:+.3f}, {effect.high:+.3f}]"


def margin(claim: Judgement) -> str:
    """`0.005` to exceed (superiority), `-0.005` to stay above (non-inferiority), `±0.005` to stay within."""
    predicate = claim.definition.predicate if claim.definition else "superiority"
    sign = {"non-inferiority": "-", "equivalence": "±"}.get(predicate, "")
    return f"{sign}{claim.margin:.3f}"


def accepted(check: Check | None) -> str:
    """The verdict that was accepted for the item."""
    return (check.accepted_verdict if check else None) or "–"


def drift(check: Check | None, judgement: Judgement | None = None) -> str:
    """How the values compare with the accepted ones, by which rule, and how many of them were measured."""
    if check is None or check.status == "no-expectation":
        return "no expectation"
    if check.status in {"ok", "not-compared"}:
        return _unchanged(check, judgement)
    if check.status == "stale":
        return f"stale: {check.detail}"
    if check.status != "drifted" or check.measured is None or check.expected is None or check.band is None:
        return check.status
    low, high = check.band
    return (
        f"{check.status}: {check.quantity} {check.measured:.4f}, "
        f"accepted {check.expected:.4f} [{low:.4f}, {high:.4f}] ({check.check})"
    )


def _unchanged(check: Check, judgement: Judgement | None) -> str:
    """Loaded values are as they were accepted because nobody made them anew: that is said."""
    count, total = measured(judgement) if judgement and judgement.trained else (0, 0)
    if total and not count:
        return "loaded, nothing measured"
    if check.status == "not-compared":
        return "nothing comparable"
    measured_here = f", {count} of {total} measured" if count != total else ""
    return f"unchanged ({check.check}{measured_here})"


def remarks(claim: ClaimResult) -> list[str]:
    """What a person must know to read the row: why it is red, what is missing, what would settle it."""
    texts = [claim.sentence if claim.category != "passed" else "", claim.reason, claim.note]
    if claim.undefined_replicates:
        texts.append(
            f"{claim.undefined_replicates} of {claim.replicates} bootstrap replicates were undefined"
        )
    if claim.cluster != "patient":
        texts.append(f"patients are not known: clustered by `{claim.cluster}`, intervals may be too narrow")
    distinct: list[str] = []
    for text in filter(None, texts):
        if not any(text in known for known in distinct):
            distinct.append(text)
    return distinct


def uncertified(report: Report) -> list[str]:
    """Of which metrics intervals were not measured to hold on such data, in one line."""
    metrics = dict.fromkeys(claim.metric for claim in report.claims if claim.effect and not claim.certified)
    named = ", ".join(dict.fromkeys(metric.partition("-by-")[0] for metric in metrics))
    return [f"not certified for such data: intervals of {named} (docs/gate.md)"] if metrics else []


def provenance(report: Report) -> str:
    """Where the runs came from, in one line."""
    runs = report.runs
    parts = [f"{runs.executed} trained", f"{runs.reused} reused", f"{runs.loaded} loaded"]
    absent = runs.planned - runs.executed - runs.reused - runs.loaded
    if absent:
        parts.append(f"{absent} not made")
    text = f"runs: {', '.join(parts)}; without sharing the same claims would need {runs.naive}"
    if report.generated:
        text += " · images are generated: these numbers speak of phantoms, not of patients"
    return text


def closing(report: Report) -> str:
    """`11 judged: 8 supported, 1 refuted (as accepted), 2 inconclusive · 0 drifted · 1 verdict changed`."""
    counts = report.counts
    as_accepted = sum(claim.verdict == "refuted" and not claim.red for claim in report.claims)
    refuted = f"{counts['refuted']} refuted"
    if as_accepted:
        refuted += " (as accepted)" if as_accepted == counts["refuted"] else f" ({as_accepted} as accepted)"
    text = f"{counts['judged']} judged: {counts['supported']} supported, {refuted}, "
    text += f"{counts['inconclusive']} inconclusive · {counts['drifted']} drifted"
    changed = _changed_verdicts(report)
    rest = [(changed, "verdict changed" if changed == 1 else "verdicts changed")]
    rest += [(counts["vanished"], "vanished"), (counts["stale"], "stale"), (counts["missing"], "missing")]
    rest += [(counts["not-run"], "not run"), (counts["errors"], "errors")]
    return " · ".join([text, *(f"{number} {word}" for number, word in rest if number)])


def _changed_verdicts(report: Report) -> int:
    """Items that were accepted by the same definition with another verdict, to or from inconclusive too."""
    verdicts = {claim.id: claim.verdict for claim in report.claims if claim.verdict}
    return sum(
        check.accepted_verdict not in (None, verdicts[check.id])
        for check in report.expectations
        if check.id in verdicts and check.status != "stale"
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return padded.rstrip()


def _markup(red: bool, category: str) -> dict[str, bool]:
    if red:
        return {"red": True}
    return {"green": True} if category == "passed" else {"yellow": True}
