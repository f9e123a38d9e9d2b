"""What runs must have in common before their values are accepted, and which of them are accepted already.

Runs are compared here, never judged; `expect` holds values against values.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medbench.errors import MedbenchError
from medbench.store import StoredRun

if TYPE_CHECKING:  # pyarrow takes a third of a second to import, which planning need not wait for
    from medbench.predictions import Predictions


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
