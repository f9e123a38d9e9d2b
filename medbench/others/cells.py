"""Numbers as tables mean them: what Python reads beyond that, such as `1_0` for ten, is a slip of the pen."""


def number(cell: str) -> float:
    """The number in a cell, `nan` and `inf` included.

    Raises:
      ValueError: it is none, or is written with anything but ASCII digits, a sign, a point and an exponent.
    """
    return float(_plain(cell))


def whole_number(cell: str) -> int:
    """The whole number in a cell; errors as of `number`."""
    return int(_plain(cell))


def _plain(cell: str) -> str:
    if "_" in cell or not cell.isascii():
        raise ValueError(cell)
    return cell
