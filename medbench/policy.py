"""What is red: the one place that says what an item's verdict and its check mean for a pytest run.

docs/judging.md shows the same as a table. Nothing is measured or compared here.
"""

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

from medbench.judgement import Check, Judgement, Settle

Category = Literal["passed", "failed", "inconclusive", "refuted-as-accepted", "not-run"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One item's meaning for the run."""

    category: Category
    red: bool
    """Whether it makes the run fail."""
    sentence: str
    """Why, for a person."""


def outcome(judgement: Judgement, check: Check, *, strict: bool = False) -> Outcome:
    """What an item means for the run, from the first line that applies.

    1. drifted, verdict changed between supported and refuted, or vanished: failed, red;
    2. not run: not-run;
    3. undefined and never accepted: inconclusive;
    4. supported: passed;
    5. inconclusive: inconclusive;
    6. refuted, and accepted as refuted or as inconclusive: refuted-as-accepted;
    7. refuted, with nothing comparable accepted: failed, red.

    Args:
      judgement: does it reproduce the study?
      check: has it changed since it was accepted?
      strict: all that is not supported is red (`--claims=strict`).
    """
    if check.status in {"drifted", "verdict-changed", "vanished"}:
        return Outcome(category="failed", red=True, sentence=f"{check.status}: {check.detail}")
    category, sentence = _category(judgement, check)
    red = category == "failed" or (strict and category != "passed")
    return Outcome(category=category, red=red, sentence=sentence)


def judged_nothing(judgements: Iterable[Judgement]) -> bool:
    """Whether a run is red because not one item was judged."""
    return not any(judgement.state == "judged" for judgement in judgements)


def _category(judgement: Judgement, check: Check) -> tuple[Category, str]:
    if judgement.state == "not-run":
        return "not-run", judgement.reason
    if judgement.state == "missing":
        return "inconclusive", judgement.reason
    if judgement.verdict == "supported":
        return "passed", _sentence("supported", check.detail)
    if judgement.verdict == "inconclusive":
        return "inconclusive", _sentence(
            "inconclusive",
            judgement.note,
            settle_sentence(judgement.settle, judgement.cluster),
            "" if check.status == "no-expectation" else check.detail,
        )
    if check.status in {"ok", "not-compared"}:
        as_accepted = "refuted, as accepted" if check.accepted_verdict == "refuted" else ""
        return "refuted-as-accepted", _sentence(as_accepted, check.detail)
    return "failed", _sentence("refuted", check.detail)


def settle_sentence(settle: Settle | None, cluster: str = "patient") -> str:
    """What would settle an inconclusive item, in words; empty where nothing can be said.

    Args:
      settle: what the statistics say.
      cluster: what stands for a patient in the cohort.
    """
    if settle is None:
        return ""
    patients = "patients" if cluster == "patient" else f"clusters (by `{cluster}`)"
    ways = []
    if settle.patients is not None:
        ways.append(f"{_times(settle.patients)} times the {patients}")
    if settle.seeds is not None:
        ways.append(f"{settle.seeds} seeds an arm")
    if not ways and settle.both is not None:
        ways.append(f"{_times(settle.both)} times the {patients} and the seeds")
    if not ways:
        none = f"no realistic number of {patients} and seeds would settle it"
        return f"{none}: the effect lies too close to the margin"
    return f"{' or '.join(ways)} would settle it"


def _times(factor: float) -> str:
    """Rounded up, so that it is still enough: to a tenth, above ten to a whole number."""
    return f"{math.ceil(round(10 * factor, 6)) / 10 if factor <= 10 else math.ceil(factor):g}"


def _sentence(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
