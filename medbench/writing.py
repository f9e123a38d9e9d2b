"""Files and folders below a store's that several processes write: each whole, or one message why not.

What is in them does not enter.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medbench.errors import MedbenchError


class UnwritableError(MedbenchError):
    """The store's folder cannot be written, for want of space or rights."""


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turn a full, read-only or missing disk into one message."""
    try:
        yield
    except OSError as error:
        raise UnwritableError(
            f"{root}: the store cannot be written ({error.strerror or error}). Free some space or name "
            "another store; finished runs are kept."
        ) from error


def write_aside(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    aside = path.with_suffix(".new")
    aside.write_bytes(content)
    aside.replace(path)
