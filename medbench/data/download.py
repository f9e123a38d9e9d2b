"""Fetches one large file from the web: resumed where it broke off, verified, and there whole or not at all.

What the file is, and whether it may be fetched, is the caller's; nothing is fetched that nobody asked for.
"""

import hashlib
import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from filelock import FileLock

from medbench import __version__
from medbench.errors import MedbenchError, printable

Report = Callable[[int, int], None]
"""Told how many bytes are there, and how many there will be; 0 where the server does not say."""

CHUNK = 1 << 20
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as lost."""
TRIES = 4
"""Connections in a row that may bring nothing; one that brings something starts the count anew."""
PAUSE = 1.0
"""Seconds before the second try; twice as many before each further one."""

_HERE = ("127.0.0.1", "localhost", "::1")
_BUSY = (408, 429, 500, 502, 503, 504)


def download(
    url: str,
    into: Path,
    *,
    sha256: str = "",
    md5: str = "",
    most_bytes: int,
    report: Report,
    otherwise: str = "",
) -> str:
    """Download a file, going on where an earlier attempt broke off.

    What has arrived is kept beside `into` with the suffix `.partial`, together with what the server calls
    this version of the file, and is completed by HTTP ranges (RFC 9110, sections 13.1.5 and 14); a file that
    has changed since is fetched from its start. A file that is already there is verified and not fetched.
    Several processes may ask for the same file: one downloads, the others wait.

    Args:
      url: https; http only from this very machine. Redirections are followed under the same rule.
      into: the file to be written; its folder is made.
      sha256: hex digest that it must have; not checked if empty.
      md5: as `sha256`, for publishers that give no other.
      most_bytes: a larger file is refused, before it is fetched where the server says how large it is.
      report: progress, called at least once a megabyte.
      otherwise: what to do by hand where there is no connection; by default to put the file at `into`.

    Returns:
      The hex SHA-256 of the file.

    Raises:
      MedbenchError: no connection, no such file, too large, too little space, or other bytes than expected;
        the message names the URL and what to do. `into` is then as it was before.
    """
    _require_safe(url)
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(into.with_name(f"{into.name}.lock")):
            if into.exists():
                return _verified(into, sha256, md5, f"Take it away to have it fetched anew from {url}.")
            return _Download(url, into, most_bytes, report, otherwise).run(sha256, md5)
    except OSError as error:
        raise MedbenchError(
            f"{printable(str(into))}: cannot be written ({error.strerror or error}). "
            "Free some space, or choose another folder."
        ) from error


def digests(path: Path) -> tuple[str, str]:
    """Hex SHA-256 and MD5 of a file's bytes, in one reading."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
            md5.update(chunk)
    return sha256.hexdigest(), md5.hexdigest()


class _LostError(Exception):
    """The connection broke, or the server is busy; another try may help."""


@dataclass
class _Download:
    url: str
    into: Path
    most_bytes: int
    report: Report
    otherwise: str

    def run(self, sha256: str, md5: str) -> str:
        """Fetch, verify and move into place; returns the SHA-256."""
        self._fetch()
        try:
            advice = "It was damaged on its way, or has changed at its source. Try again; see the source."
            found = _verified(self.partial, sha256, md5, advice, named=self.url)
        except MedbenchError:
            self._forget()
            raise
        with self.partial.open("rb+") as file:
            os.fsync(file.fileno())  # a power cut must not leave a whole name with empty blocks
        self.partial.replace(self.into)
        self._forget()
        return found

    @property
    def partial(self) -> Path:
        """What has arrived so far."""
        return self.into.with_name(f"{self.into.name}.partial")

    @property
    def version(self) -> Path:
        """Which file the partial one is part of: the URL and the server's name for this version."""
        return self.into.with_name(f"{self.into.name}.partial-of")

    def _fetch(self) -> None:
        """Connect until the partial file is complete."""
        vain = 0
        while True:
            before = self._arrived()
            try:
                self._connect(before)
                return
            except _LostError as lost:
                vain = 0 if self._arrived() > before else vain + 1
                if vain == TRIES:
                    raise self._failed(f"{lost}") from lost
                time.sleep(PAUSE * 2 ** max(0, vain - 1))

    def _connect(self, start: int) -> None:
        """One connection: append what it brings.

        Raises:
          _LostError: it ended before the file did.
        """
        headers = {"User-Agent": f"medbench/{__version__}", "Accept-Encoding": "identity"}
        version = self._version() if start else ""
        if version:
            headers |= {"Range": f"bytes={start}-", "If-Range": version}
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310  (see `_require_safe`)
        try:
            with _OPENER.open(request, timeout=TIMEOUT) as answer:
                self._receive(answer, start)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                if error.headers.get("Content-Range") == f"bytes */{start}":
                    return  # all of it had arrived
                self._forget()  # what is here is no beginning of what is there
                raise _LostError("the part that is here does not fit") from error
            if error.code in _BUSY:
                raise _LostError(f"the server says {error.code} {error.reason}") from error
            raise self._failed(f"the server says {error.code} {error.reason}") from error
        except urllib.error.URLError as error:
            raise _LostError(f"no connection: {error.reason}") from error
        except (http.client.HTTPException, ssl.SSLError, ConnectionError, TimeoutError) as error:
            raise _LostError(f"connection lost: {error or type(error).__name__}") from error

    def _receive(self, answer: http.client.HTTPResponse, start: int) -> None:
        """Write the body of an answer behind what is there, or anew if that is not what the server sent."""
        ranged = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT or not ranged or int(ranged[1]) != start:
            if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
                self._forget()
                raise _LostError("the server sent another part than was asked for")
            start = 0
            self._forget()
            self._remember(answer)
        length = answer.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else 0
        self._require_room(total, start)
        with self.partial.open("r+b" if start else "wb") as file:
            file.seek(start)
            done = self._copy(answer, file, start, total)
        if total and done < total:
            raise _LostError(f"connection lost after {done:,} of {total:,} bytes")

    def _copy(self, answer: IO[bytes], file: IO[bytes], done: int, total: int) -> int:
        self.report(done, total)
        while chunk := answer.read(CHUNK):
            done += len(chunk)
            if done > self.most_bytes:
                self._forget()
                raise self._too_large("more than expected")
            file.write(chunk)
            self.report(done, total)
        return done

    def _require_room(self, total: int, start: int) -> None:
        if total > self.most_bytes:
            raise self._too_large(f"{total:,} bytes")
        free = shutil.disk_usage(self.into.parent).free
        if total - start > free:
            raise MedbenchError(
                f"{printable(str(self.into.parent))}: {free:,} bytes are free, {total - start:,} are needed "
                f"for {self.into.name}. Free some space, or choose another folder."
            )

    def _too_large(self, found: str) -> MedbenchError:
        return MedbenchError(
            f"{self.url}: the file has {found}, at most {self.most_bytes:,} were expected; it is not the one "
            "that was published. See the source."
        )

    def _failed(self, why: str) -> MedbenchError:
        kept = f" What has arrived ({self._arrived():,} bytes) is kept." if self._arrived() else ""
        by_hand = self.otherwise or f"put it there by hand: {printable(str(self.into))}"
        return MedbenchError(
            f"{self.url}: cannot be downloaded ({printable(why)}). Try again later, or fetch it elsewhere "
            f"and {by_hand}.{kept}"
        )

    def _arrived(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _version(self) -> str:
        """What identifies the version of which a part is here; empty if that is not certain."""
        with suppress(OSError, UnicodeDecodeError):
            url, version = self.version.read_text(encoding="utf-8").splitlines()
            return version if url == self.url else ""
        return ""

    def _remember(self, answer: http.client.HTTPResponse) -> None:
        """Note which version begins to arrive; a weak ETag identifies no bytes (RFC 9110, 13.1.5)."""
        etag = answer.headers.get("ETag", "")
        version = etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")
        self.version.write_text(f"{self.url}\n{version}\n", encoding="utf-8")

    def _forget(self) -> None:
        self.partial.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)


def _verified(path: Path, sha256: str, md5: str, advice: str, *, named: str = "") -> str:
    """The SHA-256 of a file that has the digests that are expected."""
    found = dict(zip(("SHA-256", "MD5"), digests(path), strict=True))
    for kind, expected in (("SHA-256", sha256), ("MD5", md5)):
        if expected and found[kind] != expected.lower():
            raise MedbenchError(
                f"{named or printable(str(path))}: not the file that was expected: its {kind} is "
                f"{found[kind]}, expected {expected.lower()}. {advice}"
            )
    return found["SHA-256"]


def _require_safe(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _HERE):
        raise MedbenchError(f"{printable(url)}: not fetched, since only https is safe. Expected https://….")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *answered: Any) -> urllib.request.Request | None:
        """Follow a redirection, unless it leads to where nothing is encrypted."""
        _require_safe(answered[-1])
        return super().redirect_request(*answered)


_OPENER = urllib.request.build_opener(_SafeRedirects)
