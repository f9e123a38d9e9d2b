"""Links that hold on GitHub hold on the site.

Pages name files as GitHub does, relative to themselves. Sphinx resolves those to pages, and copies other files
beside the site. Here is the rest: what lies outside docs and is a page nevertheless, and folders, which a site
has not got. A link that leads nowhere is left as it is, and Sphinx warns.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
PAGES = {"README.md": "overview.md", "CONTRIBUTING.md": "contributing.md"}
"""Files outside docs by the pages that show them."""
_SHOWN = re.compile(r"^<!-- shown here: (\S+?)(?:#(\S+))? -->$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^\[\]]*)\]\(([^()\s#:]+)(#[^()\s]*)?\)")


def setup(app: Sphinx) -> None:
    """Have every page resolved as it is read."""
    app.connect("source-read", _read)


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = resolved(source[0], Path(app.srcdir, page).parent, Path(app.srcdir))


def resolved(text: str, folder: Path, site: Path) -> str:
    """The text of a page in that folder, with what it shows of other files, and links as the site has them."""
    text = _SHOWN.sub(lambda found: _shown(folder / found[1], found[2], folder), text)
    return _LINK.sub(lambda found: _link(*found.groups(default=""), folder=folder, site=site), text)


def _shown(file: Path, heading: str | None, folder: Path) -> str:
    """A file, or its part below one heading, with links as if it lay in the folder."""
    text = file.read_text(encoding="utf-8")
    if heading:
        text = _below(heading, text)

    def rebased(found: re.Match[str]) -> str:
        target = os.path.relpath(file.parent / found[2], folder)
        return f"[{found[1]}]({target}{found[3] or ''})"

    return _LINK.sub(rebased, text)


def _below(heading: str, text: str) -> str:
    """What stands below a heading of the second level, up to the next."""
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, below = part.partition("\n")
        if title.lower().replace(" ", "-") == heading:
            return below
    raise ValueError(f"no heading `{heading}` is there to be shown.")


def _link(text: str, target: str, anchor: str, *, folder: Path, site: Path) -> str:
    path = Path(os.path.normpath(folder / target))
    if path.is_dir():
        return text
    if path.parent == ROOT and path.name in PAGES:
        target = os.path.relpath(site / PAGES[path.name], folder)
    elif path.is_file() and not path.is_relative_to(site):
        target = f"path:{target}"  # MyST's word for a file to be copied, also where it is Markdown
    return f"[{text}]({target}{anchor})"
