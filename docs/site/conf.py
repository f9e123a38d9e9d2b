"""How Sphinx makes the site of the pages in docs: `make docs`, into build/site."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[2]))  # the medbench that is documented, and docs.site

project = "medbench"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "docs.site.commands",
    "docs.site.docstrings",
    "docs.site.files",
    "docs.site.links",
]
nitpicky = True
nitpick_ignore_regex = [("py:(class|obj)", ".*")]  # type hints, of other libraries and of what has no page
smartquotes = False
highlight_language = "none"
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = "medbench"
html_show_copyright = False
html_copy_source = False


AWAITED = {"diff", "history", "nightly", "report"}
"""Pages that index.md lists and that are still being written: only these may be missing."""


def setup(app: Sphinx) -> None:
    """Leave awaited pages out of the contents until they are there."""
    app.connect("source-read", _without_awaited)


def _without_awaited(app: Sphinx, page: str, source: list[str]) -> None:
    missing = {name for name in AWAITED if not Path(app.srcdir, f"{name}.md").exists()}
    if page == "index":
        source[0] = "".join(line for line in source[0].splitlines(True) if line.strip() not in missing)
