"""What a claim may assert of an effect, and the verdict on it: each predicate is a range of true effects."""

from collections.abc import Callable

from medbench.judgement import Interval, Verdict
from medbench.stats.interval import Claimed

PREDICATES: dict[str, Callable[[float], Claimed]] = {
    "superiority": lambda margin: Claimed(low=margin),
    "non-inferiority": lambda margin: Claimed(low=-margin),
    "equivalence": lambda margin: Claimed(low=-margin, high=margin),
}
"""margin -> the true effects of which the claim holds."""


def verdict(effect: Interval, claimed: Claimed) -> Verdict:
    """Supported where both limits lie within the claimed range, refuted where all lies outside it."""
    if claimed.low < effect.low and effect.high < claimed.high:
        return "supported"
    if effect.high < claimed.low or claimed.high < effect.low:
        return "refuted"
    return "inconclusive"
