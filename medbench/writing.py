"""Files that several processes write: each whole, or one message why not.

What is in them does not enter.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medbench.errors import MedbenchError

PARTIAL = ".partial"
"""How the name of a file ends that is not whole yet."""


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
    """Write a file whole or not at all, also where others write it at once or the power goes.

    A writer that is killed leaves no more than a hidden file beside it, which ends in `PARTIAL`.
    """
    aside = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}{PARTIAL}")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a power cut must not leave a whole name with empty blocks
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
