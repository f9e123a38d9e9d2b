"""What commands that simulate have in common: numbers as arguments, files they write, a line of progress."""

import argparse
import sys
from pathlib import Path

from medbench.errors import MedbenchError


def check_files(*files: Path | None) -> None:
    """Refuse what could not be written, before anything is simulated.

    Raises:
      MedbenchError: a file is a folder, or would be in none.
    """
    for file in filter(None, files):
        if file.is_dir():
            raise MedbenchError(f"{file}: a folder. Name a file in it.")
        if not file.absolute().parent.is_dir():
            raise MedbenchError(
                f"{file}: {file.absolute().parent} is no folder. Make it, or name another file."
            )


def write(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
      MedbenchError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MedbenchError(f"{path}: cannot be written ({error.strerror}).") from error


def count(text: str) -> int:
    """A whole number of at least 1, as an argument."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, not `{text}`")
    return number


def to_terminal(line: str) -> None:
    """Overwrite the line of progress on standard error; nothing where that is no terminal."""
    if sys.stderr.isatty():
        print(f"\r{line:70}", end="", file=sys.stderr, flush=True)
