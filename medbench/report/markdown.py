"""A report as Markdown, for the comment on a pull request and the summary of a CI job: differences first.

Whatever comes from files is text there: no markup, no link, nobody is mentioned. The whole fits a comment.
"""

from collections.abc import Iterable, Sequence

from medbench.difference import Difference
from medbench.judgement import Check
from medbench.literal import in_markdown
from medbench.report import terminal
from medbench.report.record import ClaimResult, Report

LARGEST = 65_000
"""Characters; GitHub takes 65,536 in a comment."""
LONGEST = 120
"""Characters of a text from a user's files; its middle is left out."""
ROWS = 400
"""Of the table of claims."""
_HEADINGS = (*terminal.HEADINGS[:3], "effect, 90 % interval", *terminal.HEADINGS[4:])


def render(report: Report) -> str:
    """The report as Markdown, of at most `LARGEST` characters."""
    head = "\n\n".join(filter(None, (_sentence(report), _phantoms(report))))
    tail = f"{escaped(terminal.provenance(report), 10 * LONGEST)}\n"
    room = LARGEST - len(head) - len(tail) - 1000
    parts = [head]
    for lines, more in (
        (_differences(report), "differences"),
        (_since(report), "differences"),
        (_history(report), "marks"),
    ):
        taken = _fitting(lines, room // 2, more)
        room -= sum(map(len, taken)) + len(taken)
        parts += ["\n".join(taken)] if taken else []
    parts += [_claims(report, room), tail]
    return "\n\n".join(filter(None, parts))


def escaped(text: str, longest: int = LONGEST) -> str:
    """Text as Markdown shows it literally, on one line, its middle left out where it is very long."""
    return in_markdown(text, longest)


def _sentence(report: Report) -> str:
    red = report.counts["red"]
    said = f"{terminal.count(red, 'item')} red" if red else "nothing is red"
    closing = escaped(terminal.closing(report), 10 * LONGEST)
    return f"**medbench, {escaped(report.tier)} tier: {said}.** {closing}"


def _phantoms(report: Report) -> str:
    marks = ["**Generated images:** these numbers speak of phantoms, not of patients."] * report.generated
    return " ".join([*marks, escaped(report.scope, 4 * LONGEST)]).strip()


def _differences(report: Report) -> list[str]:
    """What moved against what was accepted, what is red for another reason, and errors."""
    claims = {claim.id: claim for claim in report.claims}
    moved = {
        check.id: _moved(check, claims.get(check.id))
        for check in report.expectations
        if check.status in ("drifted", "verdict-changed", "vanished", "stale")
    }
    red = {claim.id: claim.sentence for claim in report.claims if claim.red and claim.id not in moved}
    errors = {error.id: error.message.partition("\n")[0] for error in report.errors}
    rows = [
        f"- {escaped(item)}: {escaped(said, 3 * LONGEST)}" for item, said in (moved | red | errors).items()
    ]
    return ["**Against what was accepted**", "", *rows] if rows else []


def _moved(check: Check, claim: ClaimResult | None) -> str:
    said = terminal.drift(check, claim)
    return said if not check.detail or check.detail in said else f"{said}. {check.detail}"


def _since(report: Report) -> list[str]:
    since = report.since
    if since is None:
        return []
    shown = [each for each in since.differences if each.state != "unchanged"]
    counts = ", ".join(f"{number} {state}" for state, number in since.counts.items() if number)
    lines = [f"**Since {escaped(since.before)}:** {escaped(counts) or 'nothing was compared'}", ""]
    lines += map(_difference, shown)
    if since.suspects:
        suspects = (f"{each.kind} {each.name}: {each.before} -> {each.after}" for each in since.suspects)
        lines += ["", f"Suspects: {escaped('; '.join(suspects), 6 * LONGEST)}"]
    return lines


def _difference(difference: Difference) -> str:
    said = escaped(difference.sentence, 3 * LONGEST)
    return f"- {escaped(difference.state)}: {escaped(difference.id)}: {said}"


def _history(report: Report) -> list[str]:
    noted = [figure for figure in report.figures if figure.kind == "history" and figure.note]
    rows = [f"- {escaped(each.title)}: {escaped(each.note, 3 * LONGEST)}" for each in noted]
    return ["**History**", "", *rows] if rows else []


def _claims(report: Report, room: int) -> str:
    """The table, folded."""
    checks = {check.id: check for check in report.expectations}
    shown = [claim for claim in report.claims if claim.state != "not-run" or claim.red]
    if not shown:
        return ""
    rows = [_row(map(escaped, terminal.row(claim, checks.get(claim.id)))) for claim in shown[:ROWS]]
    table = _fitting(rows, room, "items", left=len(shown) - len(rows))
    heading = [_row(_HEADINGS), _row(["---"] * len(_HEADINGS))]
    summary = f"<details><summary>{terminal.count(len(shown), 'item')}</summary>"
    return "\n".join([summary, "", *heading, *table, "", "</details>"])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _fitting(lines: Sequence[str], room: int, what: str, left: int = 0) -> list[str]:
    """As many lines as there is room for, and how many more there are."""
    taken: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        taken.append(line)
    more = len(lines) - len(taken) + left
    return [*taken, "", f"and {more} more {what}"] if more else taken
