"""Results that check themselves: CSV, JSON, Markdown and PNG files, as ``tensorfile`` does arrays.

A format that can hold a digest holds it: JSON under a key of its own, Markdown in a comment, PNG by
itself. A CSV file stays as plain as every program wants it; its SHA-256 lies beside it, in a file
that ``sha256sum --check`` reads. Standard library only, like ``files``.
"""

import csv
import dataclasses
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resnoise.data.checksum import file_digest
from resnoise.errors import ResnoiseError
from resnoise.files import atomic_path, write_text

_KEY = "content_sha256"
_COMMENT = "\n<!-- sha256: {} -->\n"
_PNG = b"\x89PNG\r\n\x1a\n"


def digest_file(path: Path) -> Path:
    """Return the file that holds the digest of a CSV file."""
    return path.with_name(f"{path.name}.sha256")


@contextmanager
def csv_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path as ``files.atomic_path`` does, for a CSV file with its digest.

    The digest comes first: a CSV file that is there has one.
    """
    with atomic_path(path) as temporary:
        yield temporary
        write_text(digest_file(path), f"{file_digest(temporary)}  {path.name}\n")


def write_rows(path: Path, kind: type, rows: Iterable[Any]) -> None:
    """Write instances of the data class ``kind`` as CSV with its digest; floats keep all digits."""
    with csv_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        names = [field.name for field in dataclasses.fields(kind)]
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(dataclasses.asdict(row) for row in rows)


def check_csv(path: Path) -> None:
    """Compare a CSV file with its digest.

    Raises:
        ResnoiseError: the file or its digest is missing or unreadable, or they do not agree.
    """
    found = file_digest(path)
    beside = digest_file(path)
    if not beside.exists():
        raise ResnoiseError(
            f"{path}: its digest {beside.name} is not beside it, delete {path.name} and rerun"
        )
    _compare(path, found, _read_text(beside).partition(" ")[0], beside.name)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON with sorted keys and its digest."""
    text = json.dumps({**value, _KEY: _json_digest(value)}, indent=2, sort_keys=True)
    write_text(path, text + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return what ``write_json`` wrote.

    Raises:
        ResnoiseError: the file is missing, unreadable or no JSON object, or does not match its
            digest.
    """
    try:
        value = json.loads(_read_text(path))
    except ValueError as error:
        raise ResnoiseError(f"{path}: damaged, delete it and rerun ({error})") from error
    if not isinstance(value, dict) or _KEY not in value:
        raise ResnoiseError(f"{path}: holds no {_KEY}, delete it and rerun")
    expected = str(value.pop(_KEY))
    _compare(path, _json_digest(value), expected, f"its {_KEY}")
    return value


def write_markdown(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, with its digest in a comment at the end."""
    write_text(path, text + _COMMENT.format(_text_digest(text)))


def read_markdown(path: Path) -> str:
    """Return the text that ``write_markdown`` wrote.

    Raises:
        ResnoiseError: the file is missing or unreadable, or does not match its digest.
    """
    before, after = _COMMENT.split("{}")
    text, found, rest = _read_text(path).rpartition(before)
    if not found or not rest.endswith(after):
        raise ResnoiseError(f"{path}: its digest is not in its last line, delete it and rerun")
    _compare(path, _text_digest(text), rest.removesuffix(after), "its last line")
    return text


def read_png(path: Path) -> bytes:
    """Return the bytes of a PNG file.

    Raises:
        ResnoiseError: the file is missing, unreadable, no PNG, or a chunk does not match its CRC.
    """
    content = _read(path)
    place = len(_PNG)
    kind = b""
    if content[:place] == _PNG:
        while kind != b"IEND" and place + 12 <= len(content):
            length = int.from_bytes(content[place : place + 4], "big")
            end = place + 8 + length
            kind = content[place + 4 : place + 8]
            if zlib.crc32(content[place + 4 : end]).to_bytes(4, "big") != content[end : end + 4]:
                break
            place = end + 4
    if kind != b"IEND" or place != len(content):
        raise ResnoiseError(f"{path}: damaged, or not a PNG file; delete it and rerun")
    return content


def _json_digest(value: Mapping[str, Any]) -> str:
    return _text_digest(json.dumps(value, sort_keys=True))


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResnoiseError(f"{path}: cannot be read ({error.strerror})") from error


def _read_text(path: Path) -> str:
    try:
        return _read(path).decode()
    except UnicodeDecodeError as error:
        raise ResnoiseError(f"{path}: damaged, delete it and rerun ({error})") from error


def _compare(path: Path, found: str, expected: str, where: str) -> None:
    """Raise ResnoiseError unless a digest is that expected by what stands in ``where``."""
    if found != expected:
        raise ResnoiseError(
            f"{path}: content has SHA-256 {found[:16]}..., {where} says {expected[:16]}...; the "
            "file was changed or damaged, delete it and rerun"
        )
