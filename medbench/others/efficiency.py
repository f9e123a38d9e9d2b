"""Matched fraction from values by seed: the share of the data on which the larger backbone is as good.

The smaller backbone's score on all data is the target; the larger one's curve over amounts is read at
the target by `medbench.metrics.efficiency`: monotone, interpolated on the log of the amount.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from medbench.judgement import Interval, Verdict
from medbench.metrics.efficiency import matched_fraction
from medbench.others.contrast import contrast
from medbench.others.record import Matched, Reach, SeedJudgement, Term
from medbench.stats.interval import ROUNDING

_SAME = 1e-9
"""Relative difference within which two fractions are one: the logarithm was taken and undone."""


def judge_efficiency(question: SeedJudgement, share: float, sizes: Mapping[str, float]) -> SeedJudgement:
    """The question answered: the larger backbone needs at most that share of the data.

    The interval is where the curves of the upper and of the lower limits of the difference to the
    target reach 0: between them lie the amounts at which a t interval does not exclude equality.

    Args:
      question: its first term is the target, the others the larger backbone at each amount.
      share: of all data, in (0, 1].
      sizes: of the amounts, by name, from little to all; the last may be infinite.
    """
    question = replace(question, share=share)
    target, *curve = question.terms
    curve = [term for term in curve if len(term.values) > 1]
    lacking = _why_no_curve(target, curve)
    if lacking:
        return replace(question, reason=lacking)
    differences = [contrast([(term.sign, term.values) for term in (target, at)]) for at in curve]
    if min(difference.standard_error for difference in differences) < ROUNDING:
        return replace(
            question, reason="a difference is the same for all seeds, so chance cannot be told from it"
        )
    amounts = {term.amount: sizes[term.amount] for term in curve}
    limits = [difference.interval() for difference in differences]
    matched = matched_share(amounts, limits)
    pairings = sorted({difference.pairing for difference in differences})
    question = replace(
        question, matched=matched, pairing=pairings[0] if len(pairings) == 1 else "partly paired"
    )
    if math.isinf(sizes[target.amount]) and matched.earliest.by is not None:
        reason = f"the share is not known, because {target.amount} has no declared size"
        return replace(question, reason=reason)
    return replace(question, state="judged", verdict=_verdict(matched, share))


def matched_share(sizes: Mapping[str, float], differences: Sequence[Interval]) -> Matched:
    """Where a curve of differences to a target, and those of its limits, reach 0.

    Args:
      sizes: of the amounts, by name, ascending; the last is all data and may be infinite.
      differences: to the target, one an amount.
    """
    names, finite = list(sizes), np.array([size for size in sizes.values() if math.isfinite(size)])
    # All data of unknown size stand beyond the rest: where between two amounts the score is reached holds
    # for any size.
    known = len(finite) == len(names)
    fractions = finite / finite[-1] if known else np.append(finite / finite[-1] / 2, 1.0)
    curves = np.array([[d.value, d.high, d.low] for d in differences]).T
    found = matched_fraction(fractions, curves, np.zeros(len(curves)))

    def reach(i: int) -> Reach:
        if found.beyond[i]:
            return Reach(after=names[-1], by=None, share=None)
        if found.below[i]:
            return Reach(after=None, by=names[0], share=float(fractions[0]) if known else None)
        right = int(np.searchsorted(fractions * (1 + _SAME), found.values[i]))
        return Reach(
            after=names[right - 1] if right else None,
            by=names[right],
            share=float(found.values[i]) if known else None,
        )

    return Matched(estimate=reach(0), earliest=reach(1), latest=reach(2))


def in_words(reach: Reach) -> str:
    """`41% of the data`, `with 0.1 already`, `not with 1`, or between which amounts."""
    if reach.by is None:
        return f"not with {reach.after}"
    if reach.after is None:
        return f"with {reach.by} already"
    if reach.share is None:
        return f"between {reach.after} and {reach.by}"
    return f"{reach.share:.0%} of the data"


def _why_no_curve(target: Term, curve: Sequence[Term]) -> str:
    """Why there is nothing to interpolate, or an empty string."""
    if len(target.values) < 2:
        return f"{target.backbone} at {target.amount} has fewer than two seeds"
    if len(curve) < 2 or curve[-1].amount != target.amount:
        return f"too few seeds: two are needed at {target.amount} and at another amount"
    return ""


def _verdict(matched: Matched, share: float) -> Verdict:
    """Whether the largest and the smallest plausible share lie on one side of the one allowed."""
    earliest, latest = matched.earliest, matched.latest
    if latest.share is not None and latest.share <= share:
        return "supported"
    if earliest.by is None or (earliest.after is not None and (earliest.share or 0) > share):
        return "refuted"
    return "inconclusive"
