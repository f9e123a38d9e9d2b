"""What became of an item, in one sentence for a person."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from medbench.diff.sides import ItemValues
from medbench.diff.terms import Pair
from medbench.difference import State, Suspect, TermChange
from medbench.expect import Samples, lost_groups, lost_seeds

Lack = tuple[str, str]
"""What kind of thing is lacking, and which."""


def lacking(of: ItemValues, other: ItemValues) -> list[Lack]:
    """What one side of an item has and the other has not, none in its place: sub-groups, seeds, terms."""
    if other.undefined and not of.undefined:
        return [("values", other.undefined)]
    if of.undefined or other.undefined:
        return []
    terms = [term for term in of.samples if term not in other.samples]
    shared: Samples = {term: values for term, values in of.samples.items() if term not in terms}
    seeds = lost_seeds(shared, {term: other.samples[term] for term in shared})
    found = {
        "sub-groups": lost_groups(of.groups, other.groups),
        "seeds": [str(seed) for seed in seeds],
        "arms": terms,
    }
    return [(what, ", ".join(which)) for what, which in found.items() if which]


def redefined(changes: Iterable[Suspect]) -> str:
    """`the definition changed: margin was 0.005, is 0.01`."""
    fields = (f"{each.name} was {each.before}, is {each.after}" for each in changes)
    return f"the definition changed: {'; '.join(fields)}"


def of_pair(
    pair: Pair,
    moved: Sequence[tuple[State, TermChange]],
    *,
    gone: Sequence[Lack],
    new: Sequence[Lack],
    reasons: Sequence[str],
) -> str:
    """What became of an item that both sides have: what is gone, which arms moved, what that did.

    Args:
      pair: the item.
      moved: terms that moved further than machines move them, each with its state.
      gone: what only the earlier side has.
      new: what only the later side has.
      reasons: why nothing can be concluded of some terms.
    """
    parts = [_said(what, which, "gone") for what, which in gone]
    parts += [f"{t.term} is {state} by {_by(t)}" for state, t in moved if state in _LOUD]
    parts += [_said(what, which, "new") for what, which in new]
    within = [f"{t.term} by {t.change.value:+.4f}" for state, t in moved if state not in _LOUD]
    parts += [f"within chance: {', '.join(within)}"] if within else []
    parts += reasons
    before, after = pair.before.verdict, pair.after.verdict
    parts += [f"{before} -> {after}"] if before != after else []
    return "; ".join(parts or [_as_it_was(pair)])


_LOUD: tuple[State, ...] = ("worse", "better")


def _by(term: TermChange) -> str:
    """How far a term moved; of the same runs, those that did are named."""
    if not term.moved:
        return f"{abs(term.change.value):.4f}"
    seeds = "seed" if len(term.moved) == 1 else "seeds"
    return f"{abs(fmean(term.moved.values())):.4f} in {seeds} {', '.join(map(str, term.moved))}"


def of_one(item: ItemValues, *, gone: bool, elsewhere: bool) -> str:
    """What became of an item that one side has.

    Args:
      item: the item.
      gone: whether it is the earlier side.
      elsewhere: whether the other side has it on another device class.
    """
    state = "gone" if gone else "new"
    if elsewhere:
        return f"values on {', '.join(item.environments)} are {state}"
    return f"the item is {state}"


def _said(what: str, which: str, state: str) -> str:
    if what == "values":
        return which if state == "gone" else f"was {which}"
    return f"{what} are {state}: {which}"


def _as_it_was(pair: Pair) -> str:
    """Loaded values are as they were because nobody made them anew: that is said."""
    origins = {o for side in (pair.before, pair.after) for of in side.origins.values() for o in of.values()}
    if "loaded" in origins and "trained" not in origins:
        return "unchanged: loaded, nothing was measured"
    return "unchanged"
