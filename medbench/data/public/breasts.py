"""What tables of mammograms have in common: sides, and statements about a breast that must agree.

No source is named here, and no image is opened.
"""

from collections import defaultdict
from collections.abc import Sequence

from medbench.data.public.tables import Sheet

LATERALITY = {"left": ["L"], "right": ["R"]}
"""Values of the attribute by which images are joined to breasts, and how tables write them."""


def refuse_contradictions(
    sheet: Sheet, of: Sequence[Sequence[str]], said: Sequence[str], problem: str
) -> None:
    """Note an error for rows that say different things of one and the same, and cross them out.

    Args:
      sheet: the table.
      of: columns that together name what is spoken of, such as patient and laterality; (n,) each.
      said: (n,) what is said of it; empty where the cell was not understood, which is an error already.
      problem: what is wrong with such rows, to be followed by "in rows 3, 4".
    """
    keys = list(zip(*of, strict=True))
    values: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for key, value in zip(keys, said, strict=True):
        if value:
            values[key].add(value)
    sheet.refuse([len(values[key]) > 1 for key in keys], problem, "Correct the table, or fetch it anew.")
