"""Puts what was measured into docs/performance.md, between the marks that name the rows; nothing is measured.

    python -m bench.page build/bench.json build/bench-accelerator.json

A mark is `<!-- measured: train infer -->`, with beginnings of names; the table reaches to `<!-- end -->`.
"""

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.table import COLUMNS, Row, cells

PAGE = Path("docs/performance.md")
_MARKED = re.compile(r"(<!-- measured: (?P<names>[^>]*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Write the page anew from the files given."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", type=Path, default=[Path("build/bench.json")])
    args = parser.parse_args()
    if missing := [str(file) for file in args.files if not file.is_file()]:
        parser.error(f"{', '.join(missing)}: no such file. `make bench` writes build/bench.json")
    measured = [json.loads(file.read_text(encoding="utf-8")) for file in args.files]
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), measured), encoding="utf-8")


def filled(page: str, measured: Sequence[dict[str, Any]]) -> str:
    """The page with a table at every mark for which something was measured; other marks stay as they are.

    Args:
      page: Markdown.
      measured: contents of JSON files as `bench.table.write_json` writes them.
    """

    def fill(mark: re.Match[str]) -> str:
        names = mark["names"].split()
        text = "\n".join(part for one in measured if (part := _of_file(one, names)))
        return f"{mark[1]}{text}{mark[3]}" if text else mark[0]

    return _MARKED.sub(fill, page)


def _of_file(measured: dict[str, Any], names: Iterable[str]) -> str:
    rows = [Row(**row) for row in measured["rows"]]
    chosen = [row for row in rows if any(f"{row.name}/".startswith(f"{name}/") for name in names)]
    if not chosen:
        return ""
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items() if version)
    where = ", ".join(filter(None, (measured.get("device"), measured["machine"])))
    head = f"{where}; {measured['date']}; commit {measured['commit'][:9]}; {versions}."
    return "\n".join(["", _line(COLUMNS), _line("---" for _ in COLUMNS), *map(_of_row, chosen), "", head, ""])


def _of_row(row: Row) -> str:
    *figures, last = cells(row)
    return _line([f"`{figures[0]}`", *figures[1:], last])


def _line(values: Iterable[str]) -> str:
    return f"| {' | '.join(values)} |"


if __name__ == "__main__":
    main()
