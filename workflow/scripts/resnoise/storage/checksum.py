"""SHA-256 of a source of pictures, which is a file or a folder.

Standard library only, because the rules import this module too.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from resnoise.errors import ResnoiseError
from resnoise.storage.files import check_regular


def check_sha256(path: Path, expected: str | None) -> str:
    """Return the SHA-256 of a file or folder, and compare it with the expected one.

    Args:
        path: a file (see ``file_digest``) or a folder (see ``tree_digest``).
        expected: 64 hexadecimal digits, or None for no comparison.

    Raises:
        ResnoiseError: ``path`` is missing or unreadable, or its SHA-256 is not ``expected``.
    """
    found = tree_digest(path) if path.is_dir() else file_digest(path)
    compare(str(path), found, expected)
    return found


def compare(what: str, found: str, expected: str | None) -> None:
    """Raise ResnoiseError if the SHA-256 ``found`` is not ``expected``; None expects nothing.

    ``what`` names the file in the message. Upper and lower case are the same.
    """
    if expected is not None and found != expected.lower():
        raise ResnoiseError(f"{what}: SHA-256 is {found}, expected {expected.lower()}")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal digits, as ``sha256sum`` prints it.

    Raises:
        ResnoiseError: the file is missing or unreadable.
    """
    check_regular(path)
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ResnoiseError(f"{path}: cannot be read ({error.strerror})") from error


def tree_digest(folder: Path) -> str:
    """Return a SHA-256 over the names, sizes and contents of all files below ``folder``.

    The digest does not depend on where the folder is, nor on the order, times and permissions of
    its files. Files are hashed in the byte order of their names. For each file the hashed bytes
    are: the name relative to ``folder`` with "/" between its parts, a zero byte, the size in
    decimal digits, a zero byte, the content. Links are followed. Hidden files and folders (names
    that begin with a dot) are ignored, as they are when pictures are read, so that opening a folder
    in a file manager does not change its digest.

    Raises:
        ResnoiseError: something is missing or unreadable, is neither a file nor a folder, or is a
            link to a folder that contains it.
    """
    state = hashlib.sha256()
    for name in visible_files(folder):
        path = folder / os.fsdecode(name)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ResnoiseError(f"{path}: cannot be read ({error.strerror})") from error
        state.update(b"%s\0%d\0" % (name, len(content)))
        state.update(content)
    return state.hexdigest()


def visible_files(folder: Path) -> list[bytes]:
    """Return the sorted names, relative to ``folder``, of all files that ``tree_digest`` covers.

    Raises:
        ResnoiseError: for the same reasons as in ``tree_digest``.
    """
    return sorted(_files(folder, b"", frozenset()))


def _files(folder: Path, prefix: bytes, around: frozenset[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the relative names of all visible files below ``folder``.

    Args:
        folder: folder to search.
        prefix: put before each name: the folder's own relative name with "/" at its end.
        around: (device, inode) of the folders above, to find links to one of them.
    """
    try:
        status = folder.stat()
        here = (status.st_dev, status.st_ino)
        if here in around:
            raise ResnoiseError(f"{folder}: a link to a folder that contains it")
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                name = prefix + os.fsencode(entry.name)
                if entry.is_dir():
                    yield from _files(folder / entry.name, name + b"/", around | {here})
                elif entry.is_file():
                    yield name
                else:
                    raise ResnoiseError(f"{entry.path}: neither a file nor a folder")
    except OSError as error:
        raise ResnoiseError(f"{folder}: cannot be read ({error.strerror})") from error
