"""How Sphinx makes the site of the pages in docs: `make docs`, into build/site."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the medbench that is documented, and docs.site

project = "medbench"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "docs.site.accessible",
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
