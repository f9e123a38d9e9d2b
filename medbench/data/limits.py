"""What every reader of image files holds to: sizes it refuses, and how it words what is damaged.

No format is known here; what only one reader needs stays with that reader.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medbench.errors import MedbenchError, printable

MAX_PIXELS = 80_000_000
"""Larger images are refused: a few bytes of PNG can claim gigapixels. A digital mammogram has 25 million."""

MAX_BYTES = 2**30
"""Larger files are refused, and files that unfold to more; `MAX_PIXELS` in 16-bit colour take half of it."""

_FILTERS = threading.Lock()  # warning filters are the process's, and images are opened by many threads


@contextmanager
def quietly() -> Iterator[None]:
    """Keep libraries from warning of single files, thousands of which would bury what matters.

    One thread at a time: the filters of warnings belong to the whole process.
    """
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def too_many_pixels(path: Path) -> MedbenchError:
    """The error for an image that claims more than `MAX_PIXELS`."""
    return MedbenchError(
        f"{path}: more than {MAX_PIXELS:,} pixels. Export it smaller, or leave it out of the table."
    )


def too_many_bytes(path: Path) -> MedbenchError:
    """The error for a file that has or unfolds to more than `MAX_BYTES`."""
    return MedbenchError(
        f"{path}: more than {MAX_BYTES:,} bytes, too many for one image. Leave it out of the table."
    )


def damaged(path: Path, reason: object) -> MedbenchError:
    """The error for bytes that a decoder stumbled over."""
    lines = str(reason).strip().splitlines()
    why = printable(lines[-1].strip()) if lines else type(reason).__name__
    return MedbenchError(f"{path}: damaged image ({why}). Copy it again from its source.")
