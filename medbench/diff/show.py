"""A comparison for a person: lines of text for a terminal, Markdown for a pull request."""

from collections.abc import Iterable, Sequence

from medbench.difference import Comparison, Difference, State, Suspect, TermChange
from medbench.errors import few, printable
from medbench.literal import in_markdown

LOUD: tuple[State, ...] = ("worse", "vanished", "not-comparable", "better", "new")
"""What a person is to look at."""
QUIET: tuple[State, ...] = ("unchanged",)
"""What is only counted, unless all is asked for."""
PHANTOMS = "images are generated: these numbers speak of phantoms, not of patients"
LONGEST = 60_000
"""Characters of Markdown at most: a comment on a pull request takes 65,536."""
_LONGEST_CELL, _MOST_SUSPECTS = 300, 20
_ADJUSTED = "p of no change by Holm over all that moved; limits at 5 %, positive is better"


def lines(comparison: Comparison, *, all_of_them: bool = False) -> list[str]:
    """The comparison as text: loud items first, an indented line for each arm, suspects, counts at the end.

    Args:
      comparison: to show.
      all_of_them: unchanged items too, which are only counted otherwise.
    """
    shown = [d for d in comparison.differences if all_of_them or d.state not in QUIET or _turned(d)]
    sides = [f"before: {printable(comparison.before)}", f"after:  {printable(comparison.after)}"]
    return [*sides, *_rows(shown), *_end(comparison)]


def loud_lines(comparison: Comparison) -> list[str]:
    """A short section: what is to be looked at, what differs for all items, and the counts."""
    loud = [d for d in comparison.differences if d.state in LOUD or _turned(d)]
    return [f"since {printable(comparison.before)}:", *_rows(loud), *_end(comparison)]


def closing(comparison: Comparison) -> str:
    """`2 items compared: 1 worse, 1 unchanged · 40 not looked at`."""
    counts = [f"{number} {state}" for state, number in comparison.counts.items() if number]
    total = len(comparison.differences)
    text = f"{total} {'item' if total == 1 else 'items'} compared"
    text += f": {', '.join(counts)}" if counts else ""
    turned = sum(map(_turned, comparison.differences))
    text += f" · {turned} {'verdict' if turned == 1 else 'verdicts'} turned" if turned else ""
    return text + (f" · {comparison.not_looked_at} not looked at" if comparison.not_looked_at else "")


def markdown(comparison: Comparison, *, all_of_them: bool = False) -> str:
    """The comparison as Markdown of at most `LONGEST` characters; nothing in it is taken for markup.

    Args:
      comparison: to show.
      all_of_them: unchanged items too, which are only counted otherwise.
    """
    shown = [d for d in comparison.differences if all_of_them or d.state not in QUIET or _turned(d)]
    head = ["### medbench diff", "", f"{_cell(comparison.before)} → {_cell(comparison.after)}", ""]
    end = _markdown_end(comparison)
    left = LONGEST - sum(len(line) + 1 for line in (*head, *_HEADINGS, *end)) - len("and 100000 more\n\n")
    rows: list[str] = []
    for i, difference in enumerate(shown):
        own = _markdown_rows(difference)
        left -= sum(len(row) + 1 for row in own)
        if left < 0:
            end = ["", f"and {len(shown) - i} more", *end]
            break
        rows += own
    return "\n".join([*head, *(_HEADINGS if rows else []), *rows, *end]) + "\n"


_HEADINGS = (
    "| state | item | what happened | arm | before | after | change | p | suspects |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


def _markdown_end(comparison: Comparison) -> list[str]:
    """What differs for all items, that images are generated, and the counts."""
    end = ["", f"**{closing(comparison)}**"]
    end += ["", f"*{PHANTOMS}*"] if comparison.generated else []
    if comparison.suspects:
        end += ["", "Different for all items, the likeliest first:", ""]
        end += [f"- {_cell(_suspect(each))}" for each in comparison.suspects[:_MOST_SUSPECTS]]
    return end


def _turned(difference: Difference) -> bool:
    """Whether the verdict is another one."""
    before, after = difference.verdict_before, difference.verdict_after
    return before is not None and after is not None and before != after


def _rows(differences: Sequence[Difference]) -> list[str]:
    """One line an item, and below it its arms and what differs for it alone."""
    width = max((len(d.state) for d in differences), default=0)
    names = max((len(d.id) for d in differences), default=0)
    found = []
    for each in differences:
        found.append(f"{each.state:{width}}  {printable(each.id):{names}}  {printable(each.sentence)}")
        arms = max((len(term.term) for term in each.terms), default=0)
        moved = [term for term in each.terms if _is_shown(term)]
        found += [f"{'':{width}}    {term.term:{arms}}  {_term(term)}" for term in moved]
        found += [f"{'':{width}}    suspect: {_suspect(s)}" for s in each.suspects if s.kind != "definition"]
    return found


def _is_shown(term: TermChange) -> bool:
    """Whether it moved further than machines move it."""
    return term.by != "tolerance" or bool(term.moved)


def _term(term: TermChange) -> str:
    p = "" if term.p is None else f", {_p(term.p)}"
    return f"{term.before:.4f} -> {term.after:.4f}  {_change(term)}  by {term.by}{p}  {printable(term.arm)}"


def _change(term: TermChange) -> str:
    change = term.change
    if change.low == change.high:
        return f"{change.value:+.4f}"
    return f"{change.value:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"


def _p(p: float) -> str:
    return "p <.001" if p < 0.001 else f"p {p:.3f}"


def _suspect(suspect: Suspect) -> str:
    return printable(f"{suspect.kind} {suspect.name}: {suspect.before} -> {suspect.after}")


def _end(comparison: Comparison) -> list[str]:
    """What differs for all items, that images are generated, and the counts."""
    found = [f"differs for all: {_suspect(each)}" for each in comparison.suspects]
    if any(term.p is not None for d in comparison.differences for term in d.terms):
        found.append(_ADJUSTED)
    if comparison.generated:
        found.append(PHANTOMS)
    return [*found, closing(comparison)]


def _markdown_rows(difference: Difference) -> list[str]:
    """The rows of an item: one for each arm that moved, or one."""
    own = [_suspect(each) for each in difference.suspects if each.kind != "definition"]
    first = [difference.state, difference.id, difference.sentence]
    moved = [term for term in difference.terms if _is_shown(term)]
    rows = [[*first, *arm, few(own)] for arm in map(_arm_cells, moved)] or [[*first, *[""] * 5, few(own)]]
    return [_row(row if i == 0 else ["", "", "", *row[3:-1], ""]) for i, row in enumerate(rows)]


def _arm_cells(term: TermChange) -> list[str]:
    p = "" if term.p is None else _p(term.p)
    return [term.term, f"{term.before:.4f}", f"{term.after:.4f}", _change(term), p]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return in_markdown(text, _LONGEST_CELL)
