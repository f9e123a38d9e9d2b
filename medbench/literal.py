"""Text from users' files as Markdown shows it literally: no markup, no link, and nobody is mentioned."""

import re

from medbench.errors import printable

_ACTIVE = re.compile(r"[\\`*_\[\]()<>#!|~$&@]|:(?=//)|(?i:(?<=www)\.)")
"""Characters that a renderer acts on: markup, HTML, mentions, references to issues, links without markup."""


def in_markdown(text: str, longest: int) -> str:
    """The text on one line, with its middle left out where it is longer than `longest` characters."""
    shown = printable(" ".join(text.split()))
    if len(shown) > longest:
        shown = f"{shown[: longest // 2]}…{shown[-longest // 2 :]}"
    return _ACTIVE.sub(_by_number, shown)


def _by_number(found: re.Match[str]) -> str:
    """A character by its number; mentions are looked for after that is read: a break of no width follows."""
    return f"&#{ord(found[0])};" + ("&#8203;" if found[0] in "@#" else "")
