"""Keyed hashes that stand for patients outside the store.

The key never leaves the store and what shares it, so that nobody can go through likely ids and find who is
who.
"""

import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from medbench.errors import MedbenchError

KEY_BYTES = 32
"""Of the key of a store."""


class Pseudonyms:
    """Names patients by HMAC-SHA256 with a random key that is made on first use.

    The same key gives the same names, so that a patient can be followed from report to report of
    one store, and with the store at hand be found again.
    """

    def __init__(self, key_file: Path):
        self._key = key_in(key_file)

    def of(self, patient: str) -> str:
        """The short name of a patient for messages: `#` and eight hexadecimal digits."""
        return self._name(patient, 8)

    def each(self, ids: NDArray[np.str_]) -> NDArray[np.str_]:
        """Names for data, (n,) str: twice as many digits, so that not two in a million ids coincide.

        They begin with the short name of the same id.
        """
        return np.array([self._name(id_, 16) for id_ in ids.tolist()], dtype=np.str_)

    def _name(self, id_: str, digits: int) -> str:
        return "#" + hmac.new(self._key, id_.encode(), hashlib.sha256).hexdigest()[:digits]


def key_in(path: Path) -> bytes:
    """The key in the file, readable by its owner only; made if there is none.

    Raises:
      MedbenchError: the file cannot be read or made, or is no key.
    """
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise MedbenchError(
            f"{path}: the key for patients' pseudonyms cannot be kept there ({error.strerror}). "
            "Choose a store that you can write to."
        ) from error
    if len(key) != KEY_BYTES:
        raise MedbenchError(
            f"{path}: expected a key of {KEY_BYTES} bytes, found {len(key)}. Delete the file to have a new "
            "one made; pseudonyms in earlier reports then match no longer."
        )
    return key


def new_key() -> bytes:
    """A key that nobody has."""
    return secrets.token_bytes(KEY_BYTES)


def keep_key(path: Path, key: bytes) -> None:
    """Have this key in the file, whichever was there.

    Raises:
      OSError: the file cannot be written.
    """
    with FileLock(path.with_name(path.name + ".lock")):
        if not path.exists() or path.read_bytes() != key:
            _write(path, key)


def _make(path: Path) -> None:
    """Write a new key; of two processes that want one at once, the second finds the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        if not path.exists():
            _write(path, new_key())


def _write(path: Path, key: bytes) -> None:
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # readable by its owner only
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    Path(partial).replace(path)
