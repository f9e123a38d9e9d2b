"""What is wrong or worth knowing about a cohort, collected so that one look shows all of it.

Rows are named as a spreadsheet numbers them: the header is row 1.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from medbench.errors import printable

SHOWN = 10
"""Rows, files or patients named in one message; the rest are counted."""

ShowPatient = Callable[[str], str]
"""Turns a patient's id into what may be shown; an empty string where nothing may."""


def hide(patient: str) -> str:  # noqa: ARG001
    """Show nothing of a patient; messages then name rows only."""
    return ""


@dataclass
class Findings:
    """Errors, which keep a cohort from being used, and warnings, which do not."""

    show: ShowPatient = hide
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def error(self, message: str) -> None:
        """Note an error, on one line whatever it quotes."""
        self.errors.append(printable(message))

    def warn(self, message: str) -> None:
        """Note a warning, on one line whatever it quotes."""
        self.warnings.append(printable(message))


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many there are if that is not all."""
    everything = list(names)
    more = f", … ({len(everything):,} in all)" if len(everything) > SHOWN else ""
    return ", ".join(everything[:SHOWN]) + more


def rows_in_words(rows: Sequence[int]) -> str:
    """`row 3`, `rows 3, 4, 9`, or the first few and their number."""
    return f"{'row' if len(rows) == 1 else 'rows'} {listed(str(r) for r in rows)}"


def counted(n: int, noun: str, plural: str = "") -> str:
    """`1 image`, `2 images`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
