"""Text from users' files made fit to be shown: what is invisible or turns the reading order is spelt out."""

import re

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and newline
    "\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"  # formats and bidi
    "\ufffe\uffff\ud800-\udfff]"  # no characters in XML
)


def visible(text: str) -> str:
    """The text with every control, bidirectional and zero-width character as `⟨U+202E⟩`."""
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def shortened(text: str, length: int) -> str:
    """The visible text on one line, with its middle left out where it is longer than `length` characters."""
    line = " ".join(visible(text).split())
    if len(line) <= length:
        return line
    head = (length - 1) // 2
    return f"{line[:head]}…{line[len(line) - (length - 1 - head) :]}"
