"""What Sphinx's pages lack for people who do not see or do not use a mouse.

Captions of lists of pages are headings, and headings have a level; what scrolls can be reached by the keyboard.
"""

from typing import Any

from sphinx.application import Sphinx

AFTER_THE_THEME = 900
_CAPTION = 'class="caption" role="heading"'
_MENDED = {_CAPTION: f'{_CAPTION} aria-level="2"', "<pre>": '<pre tabindex="0">'}


def setup(app: Sphinx) -> None:
    """Mend every page before it is written."""
    app.connect("html-page-context", _mend, priority=AFTER_THE_THEME)


def _mend(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:  # noqa: ARG001
    """In the page itself and in the theme's list of all pages."""
    for name in ("body", "furo_navigation_tree"):
        for lacking, mended in _MENDED.items():
            if name in context:
                context[name] = context[name].replace(lacking, mended)
