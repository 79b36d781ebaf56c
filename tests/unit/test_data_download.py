"""Downloading with mirrors, tries and checksums, from a server on this machine."""

import base64
import errno
import hashlib
import http.server
import runpy
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from resnoise import commandline
from resnoise.data import download
from resnoise.data.download import download_cifar10
from resnoise.errors import ResnoiseError

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "download_cifar10.py"
CONTENT = bytes(range(256)) * 20_000
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A server with some good and many bad answers."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.credentials: list[str | None] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                server.credentials.append(self.headers["Authorization"])
                first = server.requests.count(self.path) == 1
                if self.path == "/good" or (self.path == "/flaky" and not first):
                    self.answer(200, CONTENT)
                elif self.path == "/page":
                    self.answer(200, b"<html>Please log in</html>")
                elif self.path == "/short":
                    self.answer(200, CONTENT[:1000], length=len(CONTENT))
                elif self.path == "/moved":
                    self.send_response(302)
                    self.send_header("Location", "/good")
                    self.end_headers()
                elif self.path == "/slow":
                    server.released.wait(10)
                elif self.path in ("/flaky", "/broken"):
                    self.answer(503, CONTENT)
                else:
                    self.answer(404, CONTENT)

            def answer(self, status: int, content: bytes, length: int | None = None) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(length or len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.released = threading.Event()
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    # A proxy would not know this machine's ports.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    yield running
    running.released.set()
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cifar.tar.gz"


@pytest.fixture
def dead() -> str:
    """Return an address at which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/file"


def fetch(target: Path, *mirrors: str, retries: int = 3, **options) -> list[float]:
    """Download and return the waits."""
    waits: list[float] = []
    download_cifar10(target, mirrors, retries, **({"md5": MD5, "wait": waits.append} | options))
    return waits


def refused(target: Path, *mirrors: str, **options) -> str:
    """Return the message of a failed download, which leaves nothing behind."""
    with pytest.raises(ResnoiseError) as error:
        fetch(target, *mirrors, **options)
    assert list(target.parent.iterdir()) == []
    assert "\n" not in str(error.value)
    return str(error.value)


def test_verified_file_arrives(server: Server, target: Path) -> None:
    waits = fetch(target, f"{server.address}/good", sha256=SHA256.upper())
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]
    assert waits == []
    assert server.requests == ["/good"]


def test_credentials_are_sent_and_shown_nowhere(
    server: Server, target: Path, dead: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    addresses = [one.replace("://", "://me:s%40cret@") for one in (dead, f"{server.address}/moved")]
    fetch(target, *addresses)
    assert target.read_bytes() == CONTENT
    coded = base64.b64encode(b"me:s@cret").decode()
    # Where the server redirects, nobody has asked for them.
    assert server.credentials == [f"Basic {coded}", None]
    target.unlink()
    message = refused(target, addresses[0])
    for text in (caplog.text, message):
        assert "cret" not in text and "http://***@127.0.0.1" in text


def test_redirections_are_followed(server: Server, target: Path) -> None:
    fetch(target, f"{server.address}/moved")
    assert target.read_bytes() == CONTENT


def test_file_address_works(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "other" / "source file"
    source.parent.mkdir()
    source.write_bytes(CONTENT)
    fetch(target, source.as_uri())
    assert target.read_bytes() == CONTENT


def test_torchvision_stands_for_its_address(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download.CIFAR10, "url", f"{server.address}/good")
    fetch(target, "torchvision")
    assert target.read_bytes() == CONTENT


def test_default_checksum_is_the_published_one(server: Server, target: Path) -> None:
    with pytest.raises(ResnoiseError, match="expected c58f30108f718f92721af3b95e74349a"):
        download_cifar10(target, [f"{server.address}/good"], 1)


def test_second_mirror_is_used_when_the_first_is_dead(
    server: Server, target: Path, dead: str
) -> None:
    waits = fetch(target, dead, f"{server.address}/good")
    assert target.read_bytes() == CONTENT
    assert waits == [1, 2]


def test_second_try_is_used_when_the_first_fails(server: Server, target: Path) -> None:
    assert fetch(target, f"{server.address}/flaky") == [1]
    assert target.read_bytes() == CONTENT
    assert server.requests == ["/flaky"] * 2


def test_waits_grow(server: Server, target: Path) -> None:
    waits: list[float] = []
    message = refused(target, f"{server.address}/broken", retries=5, wait=waits.append)
    assert "/broken: HTTP 503 Service Unavailable" in message
    assert waits == [1, 2, 4, 8]
    assert len(server.requests) == 5


def test_not_found_is_not_data_and_not_tried_again(server: Server, target: Path) -> None:
    message = refused(target, f"{server.address}/nothing")
    assert f"{server.address}/nothing: HTTP 404 Not Found" in message
    assert server.requests == ["/nothing"]


def test_wrong_checksum_is_not_accepted(server: Server, target: Path) -> None:
    message = refused(target, f"{server.address}/page")
    found = hashlib.md5(b"<html>Please log in</html>").hexdigest()
    assert f"/page: wrong checksum, MD5 is {found}, expected {MD5}" in message
    assert server.requests == ["/page"]


def test_wrong_sha256_is_not_accepted(server: Server, target: Path) -> None:
    message = refused(target, f"{server.address}/good", sha256="0" * 64)
    assert f"wrong checksum, SHA256 is {SHA256}, expected {'0' * 64}" in message


def test_connection_that_ends_early_is_tried_again(server: Server, target: Path) -> None:
    message = refused(target, f"{server.address}/short", retries=2)
    assert f"connection ended after 1000 of {len(CONTENT)} bytes" in message
    assert len(server.requests) == 2


def test_silent_server_is_given_up(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_TIMEOUT", 0.2)
    assert "timed out" in refused(target, f"{server.address}/slow", retries=1)


def test_error_lists_each_mirror_with_its_reason(server: Server, target: Path, dead: str) -> None:
    mirrors = [dead, f"{server.address}/no", f"{server.address}/page", "file:///no/such/file"]
    message = refused(target, *mirrors, "http://no-such-host.invalid/x", retries=1)
    assert message.startswith("cifar.tar.gz could not be downloaded; ")
    assert f"{dead}: [Errno {errno.ECONNREFUSED}] Connection refused" in message
    assert "/no: HTTP 404" in message
    assert "/page: wrong checksum" in message
    assert "file:///no/such/file: " in message
    assert "http://no-such-host.invalid/x: " in message


def test_old_file_stays_when_the_download_fails(server: Server, target: Path) -> None:
    target.write_bytes(b"old")
    with pytest.raises(ResnoiseError):
        fetch(target, f"{server.address}/page")
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("mirrors", "retries", "message"),
    [
        ([], 1, "mirrors is empty, allowed: one address or more"),
        (["torchvision"], 0, "retries is 0, allowed: 1 or more"),
        (["example.org/x"], 1, "mirror 'example.org/x' given, allowed: torchvision and addresses"),
        (["ftp://example.org/x"], 1, "mirror 'ftp://example.org/x' given, allowed: torchvision"),
        (["http://[half/"], 1, "mirror 'http://[half/' given, allowed: torchvision"),
    ],
)
def test_wrong_arguments_are_named(
    target: Path, mirrors: list[str], retries: int, message: str
) -> None:
    assert refused(target, *mirrors, retries=retries).startswith(message)


def run_script(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, *arguments])
    # Not as __main__, which would end this process.
    commandline.run(runpy.run_path(str(SCRIPT))["main"])


def test_script_passes_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(download, "download_cifar10", lambda *a, **k: calls.append((a, k)))
    run_script(monkeypatch, "--mirrors", "torchvision", "file:///x", "--output", "archive")
    run_script(
        monkeypatch,
        *("--mirrors", "file:///x", "--retries", "7", "--sha256", SHA256, "--output", "archive"),
    )
    assert calls == [
        ((Path("archive"), ["torchvision", "file:///x"], 3), {"sha256": None}),
        ((Path("archive"), ["file:///x"], 7), {"sha256": SHA256}),
    ]


def test_script_ends_with_one_line(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = [f"{server.address}/no", f"{server.address}/good"]
    with pytest.raises(SystemExit) as exit_:
        run_script(monkeypatch, "--mirrors", *mirrors, "--output", str(target))
    message = str(exit_.value.code)
    assert message.startswith("error: cifar.tar.gz could not be downloaded; ")
    assert "/no: HTTP 404 Not Found; " in message
    assert f"/good: wrong checksum, MD5 is {MD5}, expected c58f" in message
    assert list(target.parent.iterdir()) == []
