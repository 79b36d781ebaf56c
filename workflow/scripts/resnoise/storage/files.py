"""Atomic writing of files: a reader sees the old file or the new one, never a part of one."""

import contextlib
import fcntl
import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnoise.errors import ResnoiseError

_log = logging.getLogger(__name__)


@contextmanager
def atomic_path(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move the file to ``path`` if the block succeeds.

    The temporary file has the suffix of ``path``, because libraries choose formats by it. It is
    flushed to the disk before the move, so that a crash leaves the old or the new version complete.
    If the block raises, the temporary file is removed. One left behind by a killed process is
    removed the next time that ``path`` is written.

    Args:
        path: the file.
        flush: False for a file that may be lost in a crash, which saves the wait for the disk.

    Raises:
        ResnoiseError: the system refuses to write (full disk, read-only folder, ...).
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        handle, temporary = _temporary(path)
        try:
            yield temporary
            if flush:
                with temporary.open("rb+") as stream:
                    os.fsync(stream.fileno())
            # mkstemp makes files private to their owner; results follow the user's umask as usual.
            temporary.chmod(0o666 & ~umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(handle)
    except OSError as error:
        raise ResnoiseError(f"{path}: cannot be written ({error})") from error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_regular(path: Path) -> None:
    """Refuse what is there but is not a file: reading a named pipe would never end.

    Raises:
        ResnoiseError: a folder, a pipe, a device or a socket.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        # Nothing is there, or not for us: whoever opens it says so.
        return
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "a pipe, device or socket"
        raise ResnoiseError(f"{path}: {found}, needed: a file")


def remove(path: Path) -> None:
    """Remove a file if it exists, and temporary files of it that a killed process left behind."""
    path.unlink(missing_ok=True)
    _remove_abandoned(path)


@contextmanager
def exclusive(folder: Path) -> Iterator[bool]:
    """Wait until no other process holds a folder, and hold it; yield True if it had to wait.

    The lock is on a file in the folder, because NFS cannot lock folders. The system releases it
    when the process ends, even if it is killed. On a file system without locks nothing is held.

    Raises:
        ResnoiseError: the folder or the lock's file cannot be made, such as where a folder has its
            name.
    """
    lock = folder / ".lock"
    waited = False
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise ResnoiseError(f"{lock}: cannot be written ({error.strerror})") from error
        try:
            waited = _lock(handle, folder) or waited
            if not _is_same(handle, lock):
                # The previous holder has deleted the lock file, and another process may hold a new
                # one of the same name: try again.
                continue
            try:
                yield waited
            finally:
                lock.unlink(missing_ok=True)
            return
        finally:
            os.close(handle)


def _lock(handle: int, folder: Path) -> bool:
    """Lock an open file; return whether another process held it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _log.warning("%s: another process is writing here, waiting until it ends", folder)
        fcntl.flock(handle, fcntl.LOCK_EX)
        return True
    except OSError as error:
        _log.warning("%s cannot be locked against other processes (%s)", folder, error)
    return False


def _is_same(handle: int, path: Path) -> bool:
    """Return whether ``path`` still leads to this open file."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _temporary(path: Path) -> tuple[int, Path]:
    """Create a temporary file for ``path``; return its descriptor, which holds a lock, and path."""
    while True:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent
        )
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if Path(name).exists():
            return handle, Path(name)
        # Before it was locked, another writer took it for abandoned and removed it: try again.
        os.close(handle)


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of ``path`` that nobody holds a lock on: their writers have ended."""
    pattern = re.compile(rf"\.{re.escape(path.stem)}-[a-z0-9_]{{8}}{re.escape(path.suffix)}")
    for file in path.parent.iterdir():
        if not pattern.fullmatch(file.name):
            continue
        # OSError: its writer holds the lock or has just moved it, or there are no locks here.
        with contextlib.suppress(OSError):
            handle = os.open(file, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.unlink()
            finally:
                os.close(handle)


def umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
