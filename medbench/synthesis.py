"""What other claims come to together: a statement about several properties, judged from verdicts alone.

No run is looked at here, and nothing is expected of what comes out: that is so of the claims it is made of.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from medbench.judgement import Judgement, Verdict
from medbench.spec.records import Synthesis


class PropertyVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one property holds in a task, at both ends of the ladder."""

    property: str
    at_scale: Verdict
    small: Verdict
    only_at_scale: Verdict


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """What a synthesis comes to in one task."""

    task: str
    synthesis: str
    statement: str
    verdict: Verdict
    """Supported if a property holds only at scale, refuted if none does, else inconclusive."""
    properties: list[PropertyVerdict]
    left_out: list[str]
    """Properties of which the task has no item, such as robustness where there is no shift."""
    generated: bool
    """Whether the verdicts are of generated images."""


Asked = Mapping[tuple[str, str], Collection[str]]
"""By task and claim the ids of all items that there are."""


def conclude(
    syntheses: Iterable[Synthesis], judgements: Iterable[Judgement], asked: Asked
) -> list[Conclusion]:
    """What the syntheses come to, in every task of which each claim has items among the judgements.

    Verdicts are joined as in Kleene's logic of three values: *all* is refuted by one refuted and supported
    by all supported, *any* is the reverse, and *not* turns one into the other; what is left is inconclusive.

    Args:
      syntheses: as declared.
      judgements: of a session, in any order; one without a verdict counts as inconclusive.
      asked: also those items that were not selected or met an error, which count as inconclusive too.
    """
    by_claim: dict[tuple[str, str], list[Judgement]] = {}
    for judgement in judgements:
        by_claim.setdefault((judgement.task, judgement.claim), []).append(judgement)
    found = (
        _conclusion(synthesis, task, by_claim, asked) for synthesis in syntheses for task in synthesis.tasks
    )
    return [conclusion for conclusion in found if conclusion is not None]


def _conclusion(
    synthesis: Synthesis,
    task: str,
    by_claim: Mapping[tuple[str, str], Sequence[Judgement]],
    asked: Asked,
) -> Conclusion | None:
    properties, left_out, of_all = [], [], list[Judgement]()
    for name, claims in synthesis.properties.items():
        ends = [(task, claims.at_scale), (task, claims.small)]
        if any(end not in by_claim for end in ends):
            left_out.append(name)
            continue
        of_all += [judgement for end in ends for judgement in by_claim[end]]
        large, little = (_all(by_claim[end], asked.get(end, ())) for end in ends)
        properties.append(
            PropertyVerdict(
                property=name, at_scale=large, small=little, only_at_scale=_both(large, _NOT[little])
            )
        )
    if not properties:
        return None
    return Conclusion(
        task=task,
        synthesis=synthesis.synthesis,
        statement=synthesis.statement,
        verdict=_NOT[_lowest(_NOT[each.only_at_scale] for each in properties)],
        properties=properties,
        left_out=left_out,
        generated=any(judgement.generated for judgement in of_all),
    )


_NOT: dict[Verdict, Verdict] = {
    "supported": "refuted",
    "refuted": "supported",
    "inconclusive": "inconclusive",
}
_ORDER: tuple[Verdict, ...] = ("refuted", "inconclusive", "supported")


def _all(judgements: Iterable[Judgement], asked: Iterable[str]) -> Verdict:
    of_items: dict[str, Verdict] = dict.fromkeys(asked, "inconclusive")
    of_items |= {each.id: each.verdict or "inconclusive" for each in judgements}
    return _lowest(of_items.values())


def _both(one: Verdict, other: Verdict) -> Verdict:
    return _lowest((one, other))


def _lowest(verdicts: Iterable[Verdict]) -> Verdict:
    return min(verdicts, key=_ORDER.index)
