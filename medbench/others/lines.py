"""Text for the terminal: the verdicts on somebody else's results, one line each, and what to know of them."""

from collections import Counter
from collections.abc import Iterable, Sequence

from medbench.judgement import Judgement
from medbench.others.claims import PredictionsReport
from medbench.others.efficiency import in_words
from medbench.others.record import Matched, ResultsReport, SeedJudgement
from medbench.report.terminal import interval, margin
from medbench.stats.interval import LEVEL

HEADINGS = (
    "claim",
    "data",
    "comparison",
    f"effect, {1 - 2 * LEVEL:.0%} interval",
    "margin",
    "verdict",
    "p, Holm",
    "seeds",
)
ITEM_HEADINGS = ("claim", "evaluation", *HEADINGS[2:7], "patients", "seeds")
ALONE = (
    f"Every verdict is drawn at level {LEVEL:g} by itself; of many, a few come out by chance. Beside it "
    "stands the p-value of `supported`, adjusted over {rows} (Holm)."
)


def results_lines(report: ResultsReport) -> list[str]:
    """What is judged, the table, the notes and the closing sentence."""
    better = "higher" if report.higher_is_better else "lower"
    head = (
        f"medbench {report.medbench} · {report.results}: {report.rows:,} rows "
        f"· {report.metric}, {better} is better · margin {report.margin:g} "
        f"· share of the data {report.share:.0%}"
    )
    lines = [head, *table(HEADINGS, [(row(claim), [claim.note]) for claim in report.claims])]
    reasons = Counter(claim.reason for claim in report.claims if claim.state == "missing")
    lines += [f"missing ({number}): {reason}" for reason, number in reasons.items()]
    lines += [f"note: {note}" for note in report.notes]
    return [*lines, report.scope, ALONE.format(rows="the claim's rows"), closing(report.counts)]


def predictions_lines(report: PredictionsReport) -> list[str]:
    """The table, what the predictions do not allow, the warnings and the closing sentence."""
    rows = [(item_row(item), item_remarks(item)) for item in report.claims]
    lines = [f"medbench {report.medbench} · {report.predictions}", *table(ITEM_HEADINGS, rows)]
    for refused in report.not_allowed:
        where = f" on {refused.evaluation_set}" if refused.evaluation_set else ""
        lines.append(f"not judged: {refused.claim}{where}: {refused.reason}")
    lines += [f"warning: {warning}" for warning in report.warnings]
    lines.append(ALONE.format(rows="the items of its claim's family"))
    closed = closing(report.counts)
    return [*lines, f"{closed} · {len(report.not_allowed)} not allowed" if report.not_allowed else closed]


def item_row(item: Judgement) -> tuple[str, ...]:
    """The cells of one item, in the order of `ITEM_HEADINGS`."""
    return (
        item.claim,
        item.evaluation_set,
        " → ".join(item.arms.values()),
        interval(item.effect),
        margin(item),
        item.verdict or item.state,
        p_value(item.p_holm),
        f"{item.n_patients:,}",
        str(item.n_seeds),
    )


def item_remarks(item: Judgement) -> list[str]:
    """What a person must know to read the row."""
    power = f"power at {item.relevant_effect:g}: {item.power:.0%}" if item.power is not None else ""
    return [item.reason, item.note, power if item.verdict == "inconclusive" else ""]


def table(headings: Sequence[str], rows: Iterable[tuple[Sequence[str], Sequence[str]]]) -> list[str]:
    """Aligned cells under their headings, each row followed by its remarks."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(headings, *(cells for cells, _ in rows), strict=True)]

    def aligned(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "  ".join(padded).rstrip()

    lines = [aligned(headings)]
    for cells, texts in rows:
        lines += [aligned(cells), *(f"    {text}" for text in texts if text)]
    return lines


def row(claim: SeedJudgement) -> tuple[str, ...]:
    """The cells of one question, in the order of `HEADINGS`."""
    seeds = sorted({len(term.values) for term in claim.terms})
    return (
        claim.claim,
        claim.amount,
        claim.comparison,
        share(claim.matched) if claim.matched else interval(claim.effect),
        f"{claim.margin:g}" if claim.margin is not None else f"≤ {claim.share or 0:.0%}",
        claim.verdict or claim.state,
        p_value(claim.p_holm),
        f"{'–'.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} {claim.pairing or ''}".rstrip(),
    )


def p_value(p: float | None) -> str:
    """Three decimals, `<.001` below that, a dash where there is none."""
    if p is None:
        return "–"
    return "<.001" if p < 0.001 else f"{p:.3f}"


def share(matched: Matched) -> str:
    """`41%  [35%, 52%] of the data`, or the amounts between which the score is reached."""
    reaches = (matched.estimate, matched.earliest, matched.latest)
    if all(reach.after and reach.share is not None for reach in reaches):
        value, low, high = (f"{reach.share:.0%}" for reach in reaches)
        return f"{value}  [{low}, {high}] of the data"
    value, low, high = map(in_words, reaches)
    return value if value == low == high else f"{value}  [{low}; {high}]"


def closing(counts: dict[str, int]) -> str:
    """`11 judged: 8 supported, 1 refuted, 2 inconclusive · 3 missing`."""
    words = ", ".join(f"{counts[word]} {word}" for word in ("supported", "refuted", "inconclusive"))
    missing = f" · {counts['missing']} missing" if counts["missing"] else ""
    return f"{counts['judged']} judged: {words}{missing}"
