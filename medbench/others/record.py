"""What judging somebody else's table leaves: the records that the terminal, JSON and docs are made from.

Field order is part of the JSON format.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from medbench.judgement import Interval, Judgement, Verdict
from medbench.others.contrast import Pairing

SCHEMA_VERSION = 1
SCOPE = (
    "The table has no patients: intervals speak of other seeds on this one test set, not of other patients, "
    "and are narrower than intervals over both would be."
)
"""What every verdict on a table must be read with."""

Question = Literal["scale-data", "scale-architecture", "interaction", "data-efficiency"]


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """One arm of a comparison: effects are sums of sign times mean over seeds."""

    backbone: str
    amount: str
    sign: int
    """1 or -1, turned where lower is better, so that a positive effect favours the larger scale."""
    values: dict[int, float]
    """By seed."""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """The training amount at which a curve reaches a score."""

    after: str | None
    """The largest amount that does not reach it; null where the smallest one does."""
    by: str | None
    """The smallest that does; null where none does."""
    share: float | None
    """Of all data, interpolated on the log of the amount; null where one of the two has no size."""


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """Where the larger backbone has the smaller one's score on all data."""

    estimate: Reach
    earliest: Reach
    """By the upper limits of the differences at each amount."""
    latest: Reach
    """By their lower limits."""


class SeedJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a table of values by seed, answered."""

    claim: Question
    ladder: str
    """The ladder of upstreams that the compared ones stand on; empty where there is one upstream."""
    amount: str
    """How much training data both sides had; the baseline's amount for `data-efficiency`."""
    comparison: str
    """The two sides in words."""
    terms: list[Term]
    state: Literal["judged", "missing"]
    reason: str = ""
    """Why it is missing."""
    verdict: Verdict | None = None
    effect: Interval | None = None
    """With two one-sided limits, over seeds alone; none for `data-efficiency`, see `matched`."""
    margin: float | None = None
    verdict_at_half_margin: Verdict | None = None
    verdict_at_twice_margin: Verdict | None = None
    p: float | None = None
    """Of the t test whose rejection is `supported`."""
    p_holm: float | None = None
    """Adjusted over the claim's questions to this table (Holm 1979)."""
    p_bh: float | None = None
    """Adjusted over all questions to this table (Benjamini and Hochberg 1995)."""
    degrees_of_freedom: float | None = None
    pairing: Pairing | None = None
    matched: Matched | None = None
    share: float | None = None
    """The largest share of the data that `data-efficiency` allows."""
    note: str = ""

    @property
    def family(self) -> str:
        """The questions over which p is adjusted: those of a claim."""
        return self.claim


class ResultsReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `medbench judge --results --json` writes."""

    schema_version: int = SCHEMA_VERSION
    medbench: str
    results: str
    """The file."""
    rows: int
    metric: str
    higher_is_better: bool
    margin: float
    share: float
    level: float
    """One-sided, of every limit."""
    scope: str = SCOPE
    notes: list[str]
    """What happened on reading the table."""
    claims: list[SeedJudgement]
    counts: dict[str, int]
    """Questions by verdict and state."""


def counts(claims: Sequence[SeedJudgement | Judgement]) -> dict[str, int]:
    """Questions or items by verdict and state; a verdict counts where something was judged."""
    return {
        "judged": sum(claim.state == "judged" for claim in claims),
        **{
            verdict: sum(claim.verdict == verdict for claim in claims)
            for verdict in ("supported", "refuted", "inconclusive")
        },
        "missing": sum(claim.state == "missing" for claim in claims),
    }
