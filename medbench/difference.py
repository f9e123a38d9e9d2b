"""What two states of the same items differ in, as records: what `medbench diff` prints and reports show.

Nothing is read or computed here.
"""

from typing import Literal

import msgspec

from medbench.judgement import Interval, Verdict

State = Literal["worse", "vanished", "not-comparable", "better", "new", "insignificant", "unchanged"]
"""In the order in which a person wants to see them.

`worse`, `better`: a value moved further than machines move it, and it is of the same runs (the same seeds of
one spec on one device class), all moving one way, or chance among patients and seeds does not explain it;
`insignificant`: it moved further than machines move it, but chance explains that; `unchanged`: it did not
move so far; `new`, `vanished`: only one side has the item, or one of its sub-groups or seeds;
`not-comparable`: the definition of task, cohort, metric or claim changed. Changed code, libraries and
devices are compared, and are suspects.
"""


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """Something that differs between the two sides and may be why values moved."""

    kind: Literal["definition", "arms", "cohort", "spec", "code", "library", "device", "trainer", "settings"]
    name: str
    """Such as `jax`, `commit`, `device`, `treatment`, `recipe.steps`, `recipe.steps (treatment)`."""
    before: str
    after: str


class TermChange(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's metric (or another term of an effect) before and after."""

    term: str
    arm: str
    """What was fine-tuned: a backbone and its recipe."""
    before: float
    """Mean over the seeds that are compared: those that were measured, of those that both sides have."""
    after: float
    change: Interval
    """After minus before, positive where better, with its two one-sided 5 % limits, which are the change
    itself where nothing is known of the noise."""
    by: Literal["patients", "seeds", "tolerance"]
    """What the interval is over: the same patients and seeds; seeds alone, where predictions are not at
    hand; nothing but what machines move values by, where runs are the same."""
    p: float | None
    """Two-sided, of no change, adjusted over all terms that were compared (Holm); null by tolerance."""
    moved: dict[int, float] = {}
    """By seed, how far the same runs moved that moved further than machines move them, if they all moved one
    way, positive where better: these make the state, whatever p is."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One item on the two sides."""

    id: str
    state: State
    sentence: str
    """What happened, for a person: which arm moved by how much; which sub-group is gone."""
    verdict_before: Verdict | None = None
    verdict_after: Verdict | None = None
    effect_before: Interval | None = None
    effect_after: Interval | None = None
    metric: str = ""
    terms: list[TermChange] = []
    suspects: list[Suspect] = []
    """What differs for this item beyond what differs for all."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two states of a suite."""

    before: str
    """In words: `report of 2026-11-22, commit 1a2b3c4`."""
    after: str
    differences: list[Difference]
    """In the order of `State`, then by how far they moved."""
    suspects: list[Suspect]
    """What differs for all items."""
    counts: dict[State, int]
    not_looked_at: int = 0
    """Items that one side has, and that the other asks for and did not look at, as with `-k`."""
    generated: bool = False
    """True where any number comes from generated images (phantoms)."""
