"""What others published of well-known image sets: expectations of their own kind, shown and never compared.

Who measures on a copy of such a set sees them beside the own numbers; no verdict and no drift comes of it.
"""

from pathlib import Path
from typing import Literal

from medbench.spec.declared import Declared
from medbench.spec.loader import load_document


class Anchor(Declared, frozen=True, kw_only=True):
    """One published value (an entry of `expectations/anchors.yaml`)."""

    set: str
    """The image set, as a cohort names it in `published_as`."""
    domain: Literal["chest", "mammography", "dermatology"]
    model: str
    metric: str
    """In the publication's words."""
    value: float | list[float]
    """One value, or the lower and the upper end of a range, in [0, 1]."""
    source: str


def load_anchors(path: Path) -> list[Anchor]:
    """The anchors in a file; none where there is no file.

    Raises:
      MedbenchError: an entry is wrong; the message starts with file and line.
    """
    if not path.is_file():
        return []
    document = load_document(path, list[Anchor])
    for i, anchor in enumerate(document.value):
        ends = anchor.value if isinstance(anchor.value, list) else [anchor.value]
        in_range = all(0 <= end <= 1 for end in ends)
        if not in_range or len(ends) not in (1, 2) or ends != sorted(ends):
            expected = "a number in [0, 1], or the two ends of a range,"
            message = f"expected {expected} for `value`, found {anchor.value}."
            raise document.error(i, "value", message=message)
    return document.value


def shown(anchor: Anchor) -> str:
    """The value as people write it: `.841`, or `.80 to .88` for a range."""
    ends = anchor.value if isinstance(anchor.value, list) else [anchor.value]
    return " to ".join(f"{end:g}" for end in ends)
