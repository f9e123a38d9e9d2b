"""What runs must have in common before their values are accepted, and which of them are accepted already.

Runs are compared here, never judged; `expect` holds values against values.
"""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from medbench.errors import MedbenchError, few
from medbench.expect import Expectation
from medbench.spec.loader import shown
from medbench.spec.runs import RunSpec
from medbench.store import StoredRun

if TYPE_CHECKING:  # pyarrow takes a third of a second to import, which planning need not wait for
    from medbench.predictions import Predictions


class Taken(NamedTuple):
    """What accepting did to reference runs."""

    runs: int
    replaced: list[RunSpec]
    """Those that were there before, otherwise."""


def require_one_code(item_id: str, codes: Sequence[str], now: str) -> None:
    """Values are accepted together only if one version of the code, libraries and settings made them."""
    if len(set(codes)) > 1:
        older = sum(code != now for code in codes)
        raise MedbenchError(
            f"{item_id}: {older} of its {len(codes)} runs are reference runs that other code, "
            "libraries or settings made, and values of one code only can be accepted. Nothing was "
            "accepted; train them all with --runs=force."
        )


def same_predictions(run: StoredRun, reference: StoredRun | None) -> bool:
    """Whether all values are the same, whichever version of Parquet's writer they were written by."""
    if reference is None:
        return False
    names, accepted = ({e.evaluation_set for e in r.record.evaluations} for r in (run, reference))
    try:
        return names == accepted and all(
            _equal(run.predictions(name), reference.predictions(name)) for name in names
        )
    except MedbenchError:  # a damaged reference is put right by accepting the run again
        return False


def runs_of(item: Expectation) -> set[tuple[str, str, int]]:
    """Task, arm and seed of every run that an item's values are of."""
    task = item.item.partition("/")[0]
    seeds = {seed for by_seed in item.samples.values() for seed in by_seed}
    return {(task, arm, seed) for arm in item.arms.values() for seed in seeds}


def named(spec: RunSpec) -> tuple[str, str, int]:
    """A run's task, arm and seed, as `runs_of` has them."""
    return spec.task, spec.arm, spec.seed


def sharing(
    replaced: Iterable[RunSpec], expectations: Iterable[Expectation], accepted: Iterable[str]
) -> list[str]:
    """Items that keep their accepted values while a run that they are judged from is replaced.

    Args:
      replaced: reference runs that others have taken the place of.
      expectations: what is accepted.
      accepted: ids of the items that were accepted with those runs.

    Returns:
      Ids, sorted.
    """
    runs, known = set(map(named, replaced)), set(accepted)
    return sorted({e.item for e in expectations if e.item not in known and runs_of(e) & runs})


def told_of_sharing(items: Sequence[str], tier: str, suite: Path) -> list[str]:
    """The lines that say so, with the command that looks at these items; none without items."""
    if not items:
        return []
    claims = dict.fromkeys("/".join(item.split("/")[:2]) for item in items)
    options = [] if tier == "embedded" else ["--tier", tier]
    look = shlex.join(["pytest", shown(suite), *options, "-k", " or ".join(claims), "--runs=never"])
    number = "1 item that was" if len(items) == 1 else f"{len(items)} items that were"
    said = f"these runs are also those of {number} not accepted anew: {few(items)}."
    return [f"{said} See whether they still hold, else accept them too: {look}"]


def _equal(one: "Predictions", other: "Predictions") -> bool:
    return (
        one.target == other.target
        and one.attributes.keys() == other.attributes.keys()
        and all(
            np.array_equal(getattr(one, name), getattr(other, name))
            for name in ("image", "patient", "labels")
        )
        and np.array_equal(one.logits, other.logits, equal_nan=True)
        and all(np.array_equal(groups, other.attributes[name]) for name, groups in one.attributes.items())
    )
