"""Two sides of a suite become a comparison: which items are worse, gone, better, new or as they were.

The states are defined in `medbench.difference`; nothing is read or printed here.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import get_args

from msgspec.structs import replace

from medbench.diff import words
from medbench.diff.sides import ItemValues, Side, differing
from medbench.diff.terms import Compared, Pair, Tolerance, by_tolerance, compared, priors, tested
from medbench.difference import Comparison, Difference, State, Suspect, TermChange
from medbench.environment import CPU, SHAPING_LIBRARIES
from medbench.errors import MedbenchError
from medbench.expect import changed_definition
from medbench.metrics.registry import higher_is_better
from medbench.multiplicity import holm
from medbench.stats.interval import LEVEL

ORDER: tuple[State, ...] = get_args(State)
"""From what a person wants to see first."""
_SURROUNDINGS = ("spec", "trainer", "code", "settings", "library", "device")
"""What items have in common, the likeliest first."""
_SUSPECTED = ("definition", "arms", "cohort", *_SURROUNDINGS)
_Beside = tuple[ItemValues | None, ItemValues | None]


@dataclass(frozen=True)
class _Moves:
    """What became of an item's terms.

    Attributes:
      terms: those that both sides have.
      states: of each.
      reasons: why nothing can be concluded of some.
    """

    terms: list[TermChange]
    states: list[State]
    reasons: list[str]


def compare(before: Side, after: Side, tolerance: Tolerance) -> Comparison:
    """Compare two sides, item by item.

    Args:
      before: the earlier.
      after: the later.
      tolerance: (metric, device class) -> how far machines move the same seed.

    Raises:
      MedbenchError: the sides are of two tiers, which have items in common by name alone.
    """
    if before.tier != after.tier:
        raise MedbenchError(
            f"{before.words}: of tier `{before.tier}`, and {after.words} of `{after.tier}`. Only states of "
            "one tier can be compared; --tier says which of expectations or of a store."
        )
    beside = list(_beside(before, after))
    looked_at = [each for each in beside if not _is_passed_over(each, before, after)]
    pairs = [Pair(old, new) for old, new in looked_at if old is not None and new is not None]
    suspects = [differing(pair.before.facts, pair.after.facts) for pair in pairs]
    common = _common(suspects)
    moves = _moves(pairs, tolerance)
    differences = [
        _of_pair(pair, of, [each for each in own if each not in common])
        for pair, of, own in zip(pairs, moves, suspects, strict=True)
    ]
    differences += [_of_one(each, before, after) for each in looked_at if None in each]
    counts = Counter(difference.state for difference in differences)
    return Comparison(
        before=before.words,
        after=after.words,
        differences=sorted(differences, key=_urgency),
        suspects=sorted(common, key=_likeliest),
        counts={state: counts[state] for state in ORDER},
        not_looked_at=len(beside) - len(looked_at),
        generated=any(item.generated for each in beside for item in each if item is not None),
    )


def _beside(before: Side, after: Side) -> Iterator[_Beside]:
    """What is held against what: items of one id, and of several device classes the nearest."""
    both_by_device = before.by_device and after.by_device
    for item_id in dict.fromkeys([*before.items, *after.items]):
        olds, news = list(before.items.get(item_id, ())), list(after.items.get(item_id, ()))
        if not olds or not news:
            yield next(iter(olds), None), next(iter(news), None)
            continue
        for old, new in sorted(product(olds, news), key=_apart):
            if old in olds and new in news:
                olds.remove(old)
                news.remove(new)
                yield old, new
        for old in olds if both_by_device else ():
            yield old, None
        for new in news if both_by_device else ():
            yield None, new


def _apart(of: tuple[ItemValues, ItemValues]) -> tuple[bool, bool, bool]:
    """Device classes that are the same come first, then those of one kind, then `cpu`."""
    one, other = (set(item.environments) for item in of)
    kinds, other_kinds = ({name.partition("-")[0] for name in names} for names in (one, other))
    return not one & other, not kinds & other_kinds, CPU not in one | other


def _is_passed_over(each: _Beside, before: Side, after: Side) -> bool:
    """Whether the side that lacks an item did not look at it."""
    old, new = each
    if old is None:
        return new is not None and new.id not in before.items and before.passes_over(new.id)
    return new is None and old.id not in after.items and after.passes_over(old.id)


def _moves(pairs: Sequence[Pair], tolerance: Tolerance) -> list[_Moves]:
    """What became of the terms of every pair, p adjusted over all that moved."""
    terms = [
        [compared(pair, term, tolerance) for term in pair.terms] if not _redefined(pair) else []
        for pair in pairs
    ]
    everything = [each for of in terms for each in of]
    known = priors(everything)
    found = {id(each): tested(each, known[each.pair.metric]) for each in everything if each.moved}
    adjusted = _adjusted([each for each in everything if each.moved], found)
    return [_moves_of(of, found, adjusted) for of in terms]


def _moves_of(
    terms: Sequence[Compared],
    found: Mapping[int, tuple[TermChange, str]],
    adjusted: Mapping[tuple[object, ...], float],
) -> _Moves:
    moves = _Moves([], [], [])
    for each in terms:
        if not each.moved:
            moves.terms.append(by_tolerance(each))
            moves.states.append("unchanged")
            continue
        change, reason = found[id(each)]
        moves.terms.append(replace(change, p=adjusted.get(each.quantity)))
        moves.states.append(_state(moves.terms[-1], each.tolerance))
        if reason and not change.moved and reason not in moves.reasons:
            moves.reasons.append(reason)
    return moves


def _adjusted(
    moved: Sequence[Compared], found: Mapping[int, tuple[TermChange, str]]
) -> dict[tuple[object, ...], float]:
    """Holm's p by quantity: what several items share is tested once, by its largest p."""
    raw: dict[tuple[object, ...], float] = {}
    for each in moved:
        p = found[id(each)][0].p
        if p is not None:
            raw[each.quantity] = max(raw.get(each.quantity, 0.0), p)
    return dict(zip(raw, map(float, holm(list(raw.values()))), strict=True))


def _state(change: TermChange, tolerance: float) -> State:
    """Of a term that moved: the same runs did, or others further than machines and chance explain, or not."""
    if change.moved:
        return "better" if sum(change.moved.values()) > 0 else "worse"
    if change.p is None or change.p >= LEVEL or abs(change.change.value) <= tolerance:
        return "insignificant"
    return "better" if change.change.value > 0 else "worse"


def _redefined(pair: Pair) -> list[Suspect]:
    """What makes an item's values mean something else, field by field."""
    before, after = pair.before.definition, pair.after.definition
    if before is None or after is None:
        return []
    fields: list[tuple[str, object, object]] = changed_definition(before, after)
    if not fields and higher_is_better(pair.metric) is None:
        fields = [("metric", pair.metric, "not known to this version of medbench")]
    return [
        Suspect(kind="definition", name=field, before=_shown(old), after=_shown(new))
        for field, old, new in fields
    ]


def _of_pair(pair: Pair, moves: _Moves, suspects: Sequence[Suspect]) -> Difference:
    """The difference of an item that both sides have."""
    before, after = pair.before, pair.after
    redefined = _redefined(pair)
    gone, new = words.lacking(before, after), words.lacking(after, before)
    states: list[State] = ["not-comparable"] if redefined else [*moves.states, "unchanged"]
    if not redefined:
        states += ["vanished"] if gone else []
        states += ["new"] if new else []
        moved = [(s, t) for s, t in zip(moves.states, moves.terms, strict=True) if s != "unchanged"]
        sentence = words.of_pair(pair, moved, gone=gone, new=new, reasons=moves.reasons)
    return Difference(
        id=after.id,
        state=min(states, key=ORDER.index),
        sentence=words.redefined(redefined) if redefined else sentence,
        verdict_before=before.verdict,
        verdict_after=after.verdict,
        effect_before=before.effect,
        effect_after=after.effect,
        metric=pair.metric,
        terms=moves.terms,
        suspects=sorted([*redefined, *suspects], key=_likeliest),
    )


def _of_one(each: _Beside, before: Side, after: Side) -> Difference:
    """The difference of an item that one side has."""
    old, new = each
    item = old if old is not None else new
    assert item is not None
    elsewhere = item.id in before.items and item.id in after.items
    return Difference(
        id=item.id,
        state="new" if old is None else "vanished",
        sentence=words.of_one(item, gone=old is not None, elsewhere=elsewhere),
        verdict_before=old.verdict if old else None,
        verdict_after=new.verdict if new else None,
        effect_before=old.effect if old else None,
        effect_after=new.effect if new else None,
        metric=item.definition.metric if item.definition else "",
    )


def _shown(value: object) -> str:
    """A value of a definition; weights as `baseline -1, treatment 1`."""
    if isinstance(value, dict):
        return ", ".join(f"{term} {weight:g}" for term, weight in value.items()) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _common(suspects: Sequence[Sequence[Suspect]]) -> list[Suspect]:
    """Those of the surroundings that differ alike for all items that both sides have."""
    if not suspects:
        return []
    return [
        each
        for each in suspects[0]
        if each.kind in _SURROUNDINGS and all(each in others for others in suspects[1:])
    ]


def _likeliest(suspect: Suspect) -> tuple[int, int, str]:
    """The order in which suspects are shown: by kind, libraries as they shape numbers."""
    known = (
        SHAPING_LIBRARIES.index(suspect.name) if suspect.name in SHAPING_LIBRARIES else len(SHAPING_LIBRARIES)
    )
    return _SUSPECTED.index(suspect.kind), known, suspect.name


def _urgency(difference: Difference) -> tuple[int, float, str]:
    """By state, then by how far the term moved that moved furthest."""
    furthest = max((abs(term.change.value) for term in difference.terms), default=0.0)
    return ORDER.index(difference.state), -furthest, difference.id
