"""Rows of cells as columns, for a person to read on a terminal."""

from collections.abc import Sequence

from medbench.errors import printable


def aligned(rows: Sequence[Sequence[str]], *, text_columns: int) -> str:
    """The rows as columns of equal width.

    Args:
      rows: of equal length.
      text_columns: so many from the left are text, to the left; the others are figures, to the right.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
