import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from medbench.data import download as module
from medbench.data.download import download
from medbench.errors import MedbenchError

BODY = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()


class Server:
    """A web server with one file on this machine, and every way in which it may misbehave.

    Attributes:
      body: what it serves.
      etag: its name for this version; none is sent if empty.
      ranges: whether it honours `Range`.
      drops: after how many bytes it hangs up, one entry a request; the requests after these are served whole.
      statuses: statuses to answer with instead, one a request.
      headers: sent in addition.
      asked: the `Range` of every request so far, or None.
    """

    def __init__(self) -> None:
        self.body = BODY
        self.etag = '"v1"'
        self.ranges = True
        self.sized = True
        self.drops: list[int] = []
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.asked: list[str | None] = []
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.headers.get("Range"))
        if self.statuses:
            request.send_response(self.statuses.pop(0))
            self._finish(request)
            return
        start = 0
        wanted = self.asked[-1]
        if wanted and self.ranges and request.headers.get("If-Range") in (None, self.etag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.body):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(self.body)}")
                self._finish(request)
                return
            request.send_response(206)
            last = len(self.body) - 1
            request.send_header("Content-Range", f"bytes {start}-{last}/{len(self.body)}")
        else:
            request.send_response(200)
        if self.sized:
            request.send_header("Content-Length", str(len(self.body) - start))
        if self.etag:
            request.send_header("ETag", self.etag)
        self._finish(request)
        sent = self.body[start:]
        request.wfile.write(sent[: self.drops.pop(0)] if self.drops else sent)

    def _finish(self, request: BaseHTTPRequestHandler) -> None:
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.end_headers()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    monkeypatch.setattr(module, "PAUSE", 0.0)
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served.url = f"http://127.0.0.1:{http.server_port}/file.npz"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        http.shutdown()
        thread.join()


@pytest.fixture
def fetch(server: Server, tmp_path: Path) -> Callable[..., str]:
    def call(**changes: object) -> str:
        given = {"sha256": SHA256, "most_bytes": 2 * len(BODY), "report": lambda done, total: None}
        return download(server.url, tmp_path / "deep" / "file.npz", **(given | changes))

    return call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "file.npz"


def beside(file: Path) -> set[str]:
    """What is in the folder apart from the file and the lock."""
    return {path.name for path in file.parent.iterdir()} - {file.name, f"{file.name}.lock"}


def test_a_file_arrives_whole_with_its_digest_and_progress(fetch, file):
    told = []
    assert fetch(md5=MD5, report=lambda *progress: told.append(progress)) == SHA256
    assert file.read_bytes() == BODY
    assert told[0] == (0, len(BODY))
    assert told[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert not beside(file)


def test_a_connection_that_breaks_is_taken_up_where_it_broke(fetch, file, server):
    server.drops = [1000, 5000, 0, 70_000]
    assert fetch() == SHA256
    starts = itertools.accumulate([1000, 5000, 0, 70_000])
    assert server.asked == [None, *(f"bytes={start}-" for start in starts)]


def test_a_download_goes_on_in_another_process_where_it_was_given_up(fetch, file, server):
    server.drops = [300_000] + [0] * module.TRIES
    with pytest.raises(MedbenchError, match=r"connection lost .*What has arrived \(300,000 bytes\) is kept"):
        fetch()
    assert not file.exists()
    server.drops, server.asked = [], []
    assert fetch() == SHA256
    assert server.asked == ["bytes=300000-"]
    assert not beside(file)


def test_a_file_that_changed_in_between_is_fetched_from_its_start(fetch, file, server):
    server.drops = [300_000] + [0] * module.TRIES
    with pytest.raises(MedbenchError):
        fetch(sha256="")
    server.drops, server.body, server.etag = [], BODY[::-1], '"v2"'
    assert fetch(sha256="") == hashlib.sha256(BODY[::-1]).hexdigest()


def test_without_a_name_for_the_version_nothing_is_pieced_together(fetch, file, server):
    server.etag = ""
    server.drops = [300_000]
    assert fetch(sha256="") == SHA256
    assert server.asked == [None, None]


def test_a_server_that_ignores_ranges_sends_the_file_anew(fetch, file, server):
    server.ranges = False
    server.drops = [300_000, 400_000]
    assert fetch() == SHA256
    assert server.asked == [None, "bytes=300000-", "bytes=400000-"]


def test_a_server_that_always_breaks_at_the_same_place_is_given_up(fetch, file, server):
    server.ranges = False
    server.drops = [1000] * 100
    with pytest.raises(MedbenchError, match="cannot be downloaded"):
        fetch()
    assert len(server.asked) == 1 + module.TRIES


def test_a_part_that_does_not_fit_is_thrown_away(fetch, file, server):
    file.parent.mkdir()
    file.with_name("file.npz.partial").write_bytes(BODY + b"too much")
    file.with_name("file.npz.partial-of").write_text(f'{server.url}\n"v1"\n')
    assert fetch() == SHA256
    assert server.asked == [f"bytes={len(BODY) + 8}-", None]


def test_a_part_of_another_file_is_thrown_away(fetch, file, server):
    file.parent.mkdir()
    file.with_name("file.npz.partial").write_bytes(b"other")
    file.with_name("file.npz.partial-of").write_text('https://example.org/other.npz\n"v1"\n')
    assert fetch() == SHA256
    assert server.asked == [None]


def test_a_complete_part_only_needs_to_be_verified(fetch, file, server):
    file.parent.mkdir()
    file.with_name("file.npz.partial").write_bytes(BODY)
    file.with_name("file.npz.partial-of").write_text(f'{server.url}\n"v1"\n')
    assert fetch() == SHA256
    assert server.asked == [f"bytes={len(BODY)}-"]


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_other_bytes_than_expected_are_an_error_and_leave_nothing_behind(fetch, file, server, kind):
    server.body = BODY[:-1] + b"!"
    expected = {"sha256": SHA256, "md5": MD5}[kind]
    with pytest.raises(MedbenchError, match=rf"127\.0\.0\.1.* expected {expected}\. It was damaged"):
        fetch(**({"sha256": "", "md5": ""} | {kind: expected}))
    assert not file.exists()
    assert not beside(file)
    server.body = BODY
    assert fetch() == SHA256


def test_a_file_that_is_there_is_verified_and_not_fetched(fetch, file, server):
    file.parent.mkdir()
    file.write_bytes(BODY)
    assert fetch() == SHA256
    assert not server.asked


def test_a_file_that_is_there_and_differs_is_an_error_and_stays(fetch, file, server):
    file.parent.mkdir()
    file.write_bytes(b"mine")
    with pytest.raises(MedbenchError, match=r"file\.npz: not the file that was expected: .* Take it away"):
        fetch()
    assert file.read_bytes() == b"mine"
    assert not server.asked


def test_a_file_that_is_too_large_is_not_fetched(fetch, file):
    with pytest.raises(MedbenchError, match=r"1,048,576 bytes, at most 1,000 were expected"):
        fetch(most_bytes=1000)
    assert not file.exists()


def test_a_file_of_untold_size_is_cut_off_where_it_gets_too_large(fetch, file, server):
    server.sized = False
    with pytest.raises(MedbenchError, match=r"more than expected, at most 1,000"):
        fetch(most_bytes=1000)
    assert not file.exists()
    assert not beside(file)


def test_a_full_disk_is_noticed_beforehand(fetch, file, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5})())
    with pytest.raises(MedbenchError, match=r"deep: 5 bytes are free, 1,048,576 are needed for file\.npz"):
        fetch()


def test_a_busy_server_is_asked_again(fetch, server):
    server.statuses = [503, 429]
    assert fetch() == SHA256
    assert len(server.asked) == 3


def test_a_file_that_does_not_exist_is_told_at_once_with_where_to_put_it(fetch, file, server):
    server.statuses = [404]
    with pytest.raises(MedbenchError, match=rf"404 Not Found.* put it there by hand: {file}"):
        fetch()
    assert len(server.asked) == 1


def test_without_a_connection_the_message_says_what_to_do(fetch, file, server, monkeypatch):
    monkeypatch.setattr(server, "url", "http://127.0.0.1:9/file.npz")  # discard: nobody listens
    with pytest.raises(MedbenchError, match=r"1:9/file\.npz: cannot be downloaded \(no connection"):
        fetch()


@pytest.mark.parametrize("url", ["http://example.org/f", "file:///etc/passwd", "ftp://example.org/f"])
def test_only_encrypted_addresses_are_fetched(tmp_path, url):
    with pytest.raises(MedbenchError, match="only https is safe"):
        download(url, tmp_path / "f", most_bytes=9, report=lambda done, total: None)


def test_a_redirection_to_an_unencrypted_address_is_not_followed(fetch, server):
    server.statuses = [302]
    server.headers = {"Location": "http://example.org/file.npz"}
    with pytest.raises(MedbenchError, match=r"example\.org.* only https is safe"):
        fetch()


def test_two_at_once_download_once(fetch, file, server):
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [SHA256] * 3
    assert len(server.asked) == 1
