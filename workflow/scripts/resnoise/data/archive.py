"""Reading tar archives member by member, without ever extracting anything to the disk."""

import dataclasses
import gzip
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Self, cast

from resnoise.errors import ResnoiseError, quoted
from resnoise.storage.files import check_regular

_SKIP_SIZE = 1 << 20


class _StrictTarInfo(tarfile.TarInfo):
    """A member header that, if damaged or missing, is an error and not the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # The block of zeros that ends every archive.
            raise tarfile.ReadError(str(error)) from error


@dataclasses.dataclass(frozen=True)
class Member:
    """A file or folder of an archive.

    Attributes:
        parts: the parts of its path, e.g. ("train", "cat", "1.png").
        is_folder: whether it is a folder.
    """

    parts: tuple[str, ...]
    is_folder: bool
    _archive: Path
    _tar: tarfile.TarFile
    _info: tarfile.TarInfo
    _size_limit: int

    def read(self) -> bytes:
        """Return a file's content. Possible only until the next member is asked for.

        Raises:
            ResnoiseError: the content is larger than the limit, or damaged.
        """
        if self._info.size > self._size_limit:
            raise ResnoiseError(
                f"{self._archive}: member {self._info.name!r} has {self._info.size} bytes, "
                f"allowed: {self._size_limit}"
            )
        with _clear_errors(self._archive):
            # extractfile() opens a member for reading; it extracts nothing.
            return cast(IO[bytes], self._tar.extractfile(self._info)).read()


def members(path: Path, size_limit: int) -> Iterator[Member]:
    """Yield the members of a tar, tar.gz or tar.xz archive in stored order.

    The archive is read once from beginning to end, so that the checksums of gzip and xz are
    verified when the iteration is complete.

    Args:
        path: the archive; its format is recognised by its content.
        size_limit: largest number of bytes of a member that is read.

    Raises:
        ResnoiseError: the archive is unreadable, damaged or incomplete, or a member has a path
            that is absolute or contains "..", or is neither a file nor a folder.
    """
    with _clear_errors(path), _decompressed(path) as stream:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo) as tar:
            for info in tar:
                yield Member(_safe_parts(path, info), info.isdir(), path, tar, info, size_limit)
        while stream.read(_SKIP_SIZE):
            pass


def _safe_parts(path: Path, info: tarfile.TarInfo) -> tuple[str, ...]:
    """Return the parts of a member's path; ResnoiseError if it is unsafe."""
    name = PurePosixPath(info.name)
    if name.is_absolute() or ".." in name.parts:
        raise ResnoiseError(f"{path}: member {info.name!r} leads out of the archive's folder")
    if not info.isdir() and not info.isfile():
        raise ResnoiseError(
            f"{path}: member {info.name!r} is a link or device, allowed: files and folders"
        )
    return name.parts


def _decompressed(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressing it if it begins like gzip or xz."""
    check_regular(path)
    with path.open("rb") as stream:
        start = stream.read(6)
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(path))
    if start == b"\xfd7zXZ\x00":
        return cast(IO[bytes], lzma.open(path))
    return path.open("rb")


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn errors in reading an archive into a ResnoiseError.

    Headers that someone made up can lead to nearly every type of exception.
    """
    try:
        yield
    except ResnoiseError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or quoted(error)
        raise ResnoiseError(
            f"{path}: damaged, incomplete, or not a tar, tar.gz or tar.xz archive ({reason})"
        ) from error
