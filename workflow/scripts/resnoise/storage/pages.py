"""Pages (Markdown, HTML) and PNG files that are checked when they are read.

A page holds a digest in a comment; the PNG format has checksums of its own. This module is
separate from ``digests`` so that editing it does not make trained networks stale: training writes
only CSV and JSON.
"""

import zlib
from pathlib import Path

from resnoise.errors import ResnoiseError
from resnoise.storage.digests import check_digest, read_bytes, read_text, text_digest
from resnoise.storage.files import write_text

_COMMENT = "\n<!-- sha256: {} -->\n"

_PNG = b"\x89PNG\r\n\x1a\n"


def write_page(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, with its digest in a comment at the end."""
    write_text(path, text + _COMMENT.format(text_digest(text)))


def read_page(path: Path) -> str:
    """Read a text that ``write_page`` wrote, without its digest.

    Raises:
        ResnoiseError: the file is missing or unreadable, or does not match its digest.
    """
    before, after = _COMMENT.split("{}")
    text, found, rest = read_text(path).rpartition(before)
    if not found or not rest.endswith(after):
        raise ResnoiseError(f"{path}: its digest is not in its last line, delete it and rerun")
    check_digest(path, text_digest(text), rest.removesuffix(after), "its last line")
    return text


def read_png(path: Path) -> bytes:
    """Read the bytes of a PNG file and check its checksums.

    Raises:
        ResnoiseError: the file is missing, unreadable or not a PNG file, or a chunk of it does not
            match its checksum (CRC).
    """
    content = read_bytes(path)
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
