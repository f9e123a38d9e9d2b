"""Executes the examples of a page that are marked so, in the page's order, in one folder.

`<!-- executed -->` stands before a fence. A `console` fence has commands after `$ `, and below each what it
prints, in that order, with `…` for what is left out. Any other is a file, whose first line is a comment with
its path. `<!-- executed by a stand-in -->` has pytest train by the smallest trainer of docs/own-trainer.md.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^<!-- executed(| by a stand-in) -->\n```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PROGRAMS = {
    "medbench": [sys.executable, "-m", "medbench.cli"],
    "pytest": [sys.executable, "-m", "pytest"],
    "python": [sys.executable],
}


@dataclass(frozen=True)
class Example:
    """A fence that is executed."""

    kind: str
    text: str
    stand_in: bool


def examples(page: str) -> list[Example]:
    """Of the page with that name below docs, in order."""
    found = _FENCE.findall((DOCS / f"{page}.md").read_text(encoding="utf-8"))
    return [Example(kind, text, bool(how)) for how, kind, text in found]


def clone(folder: Path) -> Path:
    """What examples need of a clone."""
    for name in ("benchmarks", "expectations", "docs/examples"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


class Reader:
    """Somebody who does what a page says.

    Args:
      folder: where; `cd` of the page changes it.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def does(self, example: Example) -> None:
        """Write the file, or give the commands and compare what they print.

        Raises:
          AssertionError: a command fails or prints something else.
        """
        if example.kind == "console":
            for part in re.split(r"^\$ ", example.text, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                self._gives(command, shown, stand_in=example.stand_in)
        else:
            path = self.folder / example.text.partition("\n")[0].removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(example.text, encoding="utf-8")

    def _gives(self, command: str, shown: str, *, stand_in: bool) -> None:
        program, *arguments = shlex.split(command)
        if program == "cd":
            self.folder /= arguments[0]
            return
        if stand_in:
            arguments += ["--trainer", str(_stand_in(self.folder))]
        ended = subprocess.run(
            [*_PROGRAMS[program], *arguments],
            cwd=self.folder,
            env={name: value for name, value in os.environ.items() if name != "CI"}
            | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"},
            check=False,  # told below, with what it printed
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
        require_shown(shown, ended.stdout)


def require_shown(shown: str, printed: str) -> None:
    """Each line that a page shows begins or is part of a printed one, in that order.

    Raises:
      AssertionError: one is not; the message names it.
    """
    left = [" ".join(line.split()) for line in printed.splitlines()]
    for line in filter(lambda text: text.strip(" …"), shown.splitlines()):
        wanted = " ".join(line.split())
        at = next((i for i, each in enumerate(left) if wanted in each), None)
        assert at is not None, f"the page shows\n{wanted}\nand this was printed\n{printed}"
        left = left[at + 1 :]


def _stand_in(folder: Path) -> Path:
    """The smallest trainer, which scores images by how bright they are."""
    (code,) = re.findall(r"```python\n(#!.*?)```", (DOCS / "own-trainer.md").read_text(), re.DOTALL)
    path = folder / "stand-in.py"
    path.write_text(code.replace("#!/usr/bin/env python3", f"#!{sys.executable}"), encoding="utf-8")
    path.chmod(0o755)
    return path
