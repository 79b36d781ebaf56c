"""Downloading CIFAR-10: several mirrors, several tries, and no file accepted unverified."""

import base64
import hashlib
import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from torchvision.datasets import CIFAR10

from resnoise.errors import ResnoiseError, quoted
from resnoise.secrets import masked
from resnoise.storage.files import atomic_path

_SCHEMES = ("http", "https", "file")
_TIMEOUT = 60.0
_CHUNK = 1 << 20

_log = logging.getLogger(__name__)


class _MirrorError(Exception):
    """Why one try failed; ``again`` tells whether another try may succeed."""

    def __init__(self, reason: str, again: bool) -> None:
        super().__init__(reason)
        self.again = again


def download_cifar10(
    target: Path,
    mirrors: Sequence[str],
    retries: int,
    *,
    md5: str = CIFAR10.tgz_md5,
    sha256: str | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Download ``cifar-10-python.tar.gz``, verify its checksums and move it to ``target``.

    Each mirror is tried up to ``retries`` times, with waits of 1, 2, 4, ... seconds, unless its
    answer is final: "not found" and other HTTP statuses 4xx, or a complete file with a wrong
    checksum.

    Args:
        target: file to write; it appears only when the download is complete and verified.
        mirrors: addresses (http, https, file) in the order of trying, perhaps with a name and
            password, as in https://name:password@host/; "torchvision" stands for the address that
            torchvision knows.
        retries: tries for each mirror, 1 or more.
        md5: expected MD5; by default the published one, as torchvision knows it.
        sha256: expected SHA-256, or None to check the MD5 only.
        wait: called with the seconds to wait.

    Raises:
        ResnoiseError: an argument is out of its range, or no mirror delivered the file; the
            message gives the reason for each.
    """
    if retries < 1:
        raise ResnoiseError(f"retries is {retries}, allowed: 1 or more")
    if not mirrors:
        raise ResnoiseError("mirrors is empty, allowed: one address or more")
    addresses = [CIFAR10.url if mirror == "torchvision" else mirror for mirror in mirrors]
    for address in addresses:
        if _scheme(address) not in _SCHEMES:
            raise ResnoiseError(
                f"mirror {masked(address)!r} given, allowed: torchvision and addresses that begin "
                f"with {', '.join(f'{scheme}://' for scheme in _SCHEMES)}"
            )
    expected = {"md5": md5.lower()} | ({"sha256": sha256.lower()} if sha256 else {})
    failures = []
    with atomic_path(target) as temporary:
        for address in addresses:
            failure = _try_mirror(address, temporary, retries, expected, wait)
            if failure is None:
                return
            failures.append(f"{masked(address)}: {failure}")
        raise ResnoiseError(f"{target.name} could not be downloaded; " + "; ".join(failures))


def _scheme(address: str) -> str:
    """Return the scheme of an address, such as "https"; nothing if it is no address."""
    try:
        return urlsplit(address).scheme
    except ValueError:  # such as http://[half/
        return ""


def _try_mirror(
    address: str,
    temporary: Path,
    retries: int,
    expected: dict[str, str],
    wait: Callable[[float], None],
) -> str | None:
    """Download from one mirror; return None, or why the last try failed."""
    for number in range(1, retries + 1):
        _log.info("downloading %s (try %d of %d)", masked(address), number, retries)
        try:
            _download(address, temporary, expected)
        except _MirrorError as error:
            reason = str(error)
            _log.info("failed: %s", reason)
            if not error.again:
                break
            if number < retries:
                wait(2.0 ** (number - 1))
        else:
            return None
    return reason


def _download(address: str, temporary: Path, expected: dict[str, str]) -> None:
    """Download once and verify; _MirrorError if that fails, and the file may then hold anything."""
    states = {name: hashlib.new(name, usedforsecurity=False) for name in expected}
    with temporary.open("wb") as stream:
        for chunk in _chunks(address):
            # Not in _chunks, so that a full disk is not blamed on the mirror.
            stream.write(chunk)
            for state in states.values():
                state.update(chunk)
    for name, state in states.items():
        if state.hexdigest() != expected[name]:
            raise _MirrorError(
                f"wrong checksum, {name.upper()} is {state.hexdigest()}, expected {expected[name]}",
                again=False,
            )


def _request(address: str) -> urllib.request.Request:
    """Return a request for an address, whose name and password go into its header.

    They are not sent on to where the server redirects.
    """
    parts = urlsplit(address)
    place = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(
        parts._replace(netloc=place).geturl(), headers={"User-Agent": "resnoise"}
    )
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        coded = base64.b64encode(pair.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {coded}")
    return request


def _chunks(address: str) -> Iterator[bytes]:
    """Yield the content behind an address; _MirrorError for every way in which that can fail."""
    request = _request(address)
    received = 0
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            announced = response.headers["Content-Length"]
            while chunk := response.read(_CHUNK):
                received += len(chunk)
                yield chunk
    except urllib.error.HTTPError as error:
        # 408 and 429 ask to try again later.
        final = 400 <= error.code < 500 and error.code not in (408, 429)
        raise _MirrorError(quoted(f"HTTP {error.code} {error.reason}"), again=not final) from error
    except urllib.error.URLError as error:
        raise _MirrorError(quoted(error.reason), again=True) from error
    except (OSError, http.client.HTTPException) as error:
        raise _MirrorError(quoted(error), again=True) from error
    if announced is not None and received != int(announced):
        raise _MirrorError(f"connection ended after {received} of {announced} bytes", again=True)
