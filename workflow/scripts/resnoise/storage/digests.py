"""CSV and JSON files with a digest, which is checked when they are read.

A JSON file holds its digest under a key of its own. A CSV file holds nothing but the table, so that
every program can read it; its SHA-256 is in a second file beside it, which ``sha256sum --check``
can read. ``tensorfile`` is the module for arrays. Standard library only, like ``files``.
"""

import csv
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resnoise.errors import ResnoiseError, quoted
from resnoise.storage.checksum import file_digest
from resnoise.storage.files import atomic_path, check_regular, write_text

_KEY = "content_sha256"


def digest_file(path: Path) -> Path:
    """Return the file that holds the digest of a CSV file."""
    return path.with_name(f"{path.name}.sha256")


@contextmanager
def csv_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a CSV file as ``files.atomic_path`` does, and write its digest.

    The digest is written before the CSV file is moved into place, so that no CSV file lacks one.
    """
    with atomic_path(path) as temporary:
        yield temporary
        write_text(digest_file(path), f"{file_digest(temporary)}  {path.name}\n")


def write_rows(path: Path, kind: type, rows: Iterable[Any]) -> None:
    """Write instances of the dataclass ``kind`` as CSV with a digest; floats keep all digits."""
    with csv_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        names = [field.name for field in dataclasses.fields(kind)]
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(dataclasses.asdict(row) for row in rows)


def stamp(path: Path, facts: Mapping[str, Any] | None, beside: Iterable[Path] = ()) -> None:
    """Add to the digest of a CSV file what the table is of, and the digests of files beside it.

    The facts are one line of JSON after a "#", which ``sha256sum --check`` takes for a comment.

    Args:
        path: CSV file that has its digest.
        facts: what determines the table; None if nothing is to be said.
        beside: files in the same folder that show the same numbers, such as Markdown or a picture.
    """
    comment = f"# {json.dumps(facts, sort_keys=True)}\n" if facts is not None else ""
    own = _digest_line(path)
    others = (f"{file_digest(file)}  {file.name}\n" for file in beside)
    write_text(digest_file(path), "".join([comment, f"{own}\n", *others]))


def read_stamp(path: Path) -> dict[str, Any]:
    """Return the facts that ``stamp`` added to the digest of a CSV file; empty if there are none.

    Raises:
        ResnoiseError: the digest is missing or damaged.
    """
    first = _digests(path).partition("\n")[0]
    if not first.startswith("# "):
        return {}
    try:
        facts = json.loads(first.removeprefix("# "))
    except ValueError as error:
        raise ResnoiseError(
            f"{digest_file(path)}: damaged, delete {path.name} and rerun ({quoted(error)})"
        ) from error
    if not isinstance(facts, dict):
        raise ResnoiseError(f"{digest_file(path)}: damaged, delete {path.name} and rerun")
    return facts


def _digests(path: Path) -> str:
    """Return the text of the file with the digest of a CSV file."""
    beside = digest_file(path)
    if not beside.exists():
        raise ResnoiseError(
            f"{path}: its digest {beside.name} is not beside it, delete {path.name} and rerun"
        )
    return read_text(beside)


def _digest_line(path: Path) -> str:
    """Return the line with the digest of a CSV file, which is the first that is no comment."""
    lines = [line for line in _digests(path).splitlines() if not line.startswith("#")]
    return lines[0] if lines else ""


def check_csv(path: Path) -> None:
    """Compare a CSV file with its digest.

    Raises:
        ResnoiseError: the file or its digest is missing or unreadable, or they do not match.
    """
    found = file_digest(path)
    check_digest(path, found, _digest_line(path).partition(" ")[0], digest_file(path).name)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON with sorted keys and its digest."""
    text = json.dumps({**value, _KEY: _json_digest(value)}, indent=2, sort_keys=True)
    write_text(path, text + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that ``write_json`` wrote, without its digest.

    Raises:
        ResnoiseError: the file is missing, unreadable or not a JSON object, or does not match its
            digest.
    """
    try:
        value = json.loads(read_text(path))
    except ValueError as error:
        raise ResnoiseError(f"{path}: damaged, delete it and rerun ({error})") from error
    if not isinstance(value, dict) or _KEY not in value:
        raise ResnoiseError(f"{path}: holds no {_KEY}, delete it and rerun")
    expected = str(value.pop(_KEY))
    check_digest(path, _json_digest(value), expected, f"its {_KEY}")
    return value


def _json_digest(value: Mapping[str, Any]) -> str:
    return text_digest(json.dumps(value, sort_keys=True))


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_bytes(path: Path) -> bytes:
    """Read a file's bytes; ResnoiseError if that fails."""
    check_regular(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResnoiseError(f"{path}: cannot be read ({error.strerror})") from error


def read_text(path: Path) -> str:
    """Read a file's text in UTF-8; ResnoiseError if it cannot be read or decoded."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ResnoiseError(f"{path}: damaged, delete it and rerun ({error})") from error


def check_digest(path: Path, found: str, expected: str, where: str) -> None:
    """Raise ResnoiseError if the digest of a file's content is not the expected one.

    Args:
        path: the file.
        found: digest of its content.
        expected: the digest that was stored.
        where: name of the place where it was stored, for the message.
    """
    if found != expected:
        raise ResnoiseError(
            f"{path}: content has SHA-256 {found[:16]}..., {where} says {expected[:16]}...; the "
            "file was changed or damaged, delete it and rerun"
        )
