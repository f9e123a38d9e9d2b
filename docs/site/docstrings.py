"""Docstrings for Sphinx: Google's sections, with `code` between single backticks as in Markdown."""

import re

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

SECTIONS = Config(napoleon_use_ivar=True, napoleon_use_rtype=False, napoleon_attr_annotations=False)
_CODE = re.compile(r"(\S?)`([^`]+)`(\w?)", re.DOTALL)
_MARKUP = re.compile(r"[*|]|(?<=\w)_(?!\w)")
_OPENING = "([{<-/'\""
_ARRAY = re.compile(r"~?numpy\.ndarray\[[^\]]*\], ~?numpy\.dtype\[[^\]]*\]\]")


def setup(app: Sphinx) -> None:
    """Take the part of sphinx.ext.napoleon, which reads types into what stands before a colon."""
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)


def _docstring(_: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
    made = as_rst("\n".join(lines)).split("\n")
    if what not in ("attribute", "data", "property"):
        made = GoogleDocstring(made, SECTIONS, what=what, name=name, obj=of, options=options).lines()
    lines[:] = made


def _signature(
    _app: Sphinx,
    _what: str,
    _name: str,
    _of: object,
    _options: object,
    given: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """With an array as `Array`; its shape and type stand in the docstring."""
    return given and _ARRAY.sub("Array", given), returned and _ARRAY.sub("Array", returned)


def as_rst(text: str) -> str:
    """The same in reStructuredText, in which single backticks mean something else."""
    parts, end = [], 0
    for found in _CODE.finditer(text):
        before, code, after = found.groups()
        parts.append(_MARKUP.sub(r"\\\g<0>", text[end : found.start()] + before))
        parts.append(("" if not before or before in _OPENING else r"\ ") + f"``{code}``")
        parts.append(rf"\ {after}" if after else "")
        end = found.end()
    return "".join(parts) + _MARKUP.sub(r"\\\g<0>", text[end:])
