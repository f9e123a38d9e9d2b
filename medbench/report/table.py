"""A report as CSV, one row an item, for spreadsheets: what would be a formula there is text."""

import csv
import io
from collections.abc import Mapping

from medbench.errors import printable
from medbench.expect import measured
from medbench.judgement import Check
from medbench.report.record import ClaimResult, Report

COLUMNS = (
    *("id", "task", "claim", "evaluation_set", "attribute", "metric", "effect", "low", "high", "margin"),
    *("verdict", "state", "category", "red", "accepted", "status", "detail", "expected", "measured"),
    *("band_low", "band_high", "p", "patients", "seeds", "values_measured", "values", "generated"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def render(report: Report) -> str:
    """The table, with what had no verdict (vanished items, errors) at its end."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    checks = {check.id: check for check in report.expectations}
    for row in [*(_claim(claim, checks.get(claim.id)) for claim in report.claims), *_others(report)]:
        writer.writerow({column: cell(value) for column, value in row.items()})
    return text.getvalue()


def cell(value: object) -> str:
    """A value as text; one that a spreadsheet would compute begins with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    raw = str(value)
    text = printable(raw)
    return f"'{text}" if raw.lstrip(" ").startswith(_FORMULA) else text


def _claim(claim: ClaimResult, check: Check | None) -> Mapping[str, object]:
    effect = claim.effect
    made, total = measured(claim)
    return {
        "id": claim.id,
        "task": claim.task,
        "claim": claim.claim,
        "evaluation_set": claim.evaluation_set,
        "attribute": claim.attribute,
        "metric": claim.metric,
        "effect": effect and effect.value,
        "low": effect and effect.low,
        "high": effect and effect.high,
        "margin": claim.margin,
        "verdict": claim.verdict,
        "state": claim.state,
        "category": claim.category,
        "red": claim.red,
        "p": claim.p,
        "patients": claim.n_patients,
        "seeds": claim.n_seeds,
        "values_measured": made,
        "values": total,
        "generated": claim.generated,
        **(_check(check) if check else {}),
    }


def _check(check: Check) -> Mapping[str, object]:
    low, high = check.band or (None, None)
    return {
        "accepted": check.accepted_verdict,
        "status": check.status,
        "detail": check.detail,
        "expected": check.expected,
        "measured": check.measured,
        "band_low": low,
        "band_high": high,
    }


def _others(report: Report) -> list[Mapping[str, object]]:
    """Items without a judgement."""
    known = {claim.id for claim in report.claims}
    gone = [
        {"id": check.id, "state": "missing", "red": True, **_check(check)}
        for check in report.expectations
        if check.id not in known
    ]
    errors = [
        {"id": error.id, "state": "error", "red": True, "detail": error.message} for error in report.errors
    ]
    return [*gone, *errors]
