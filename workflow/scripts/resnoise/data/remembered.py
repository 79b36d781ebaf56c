"""Digests of sources, remembered from one start of the workflow to the next.

Reading a source takes seconds; asking for sizes and times of its files does not. So a digest is
stored with them, and computed again when one of them has changed, even if only by ``touch``.
Standard library only, because the rules import this module.
"""

import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import Any

from resnoise.errors import ResnoiseError
from resnoise.storage.checksum import check_sha256, visible_files
from resnoise.storage.digests import read_json, write_json

# A file that is written twice within the resolution of its times looks unchanged. The coarsest
# resolution in use is two seconds.
_UNSETTLED_NS = 2_000_000_000


def source_digest(source: Path, memory: Path) -> str:
    """Return the SHA-256 of a file or folder, as ``resnoise.storage.checksum`` has it.

    Args:
        source: the file or folder.
        memory: file that keeps the digests; it may be deleted at any time.

    Raises:
        ResnoiseError: a part of the source cannot be read.
    """
    known = _remembered(memory)
    place = str(source.absolute())
    state, newest = _state(source)
    found = known.get(place)
    if isinstance(found, dict) and found.get("state") == state:
        return str(found["sha256"])
    digest = check_sha256(source, None)
    # A source that changed just before or during reading may change again unnoticed: not stored.
    if newest + _UNSETTLED_NS < time.time_ns() and _state(source)[0] == state:
        # If it cannot be stored, it is computed again next time.
        with contextlib.suppress(ResnoiseError):
            write_json(memory, {**known, place: {"state": state, "sha256": digest}})
    return digest


def _remembered(memory: Path) -> dict[str, Any]:
    """Return the stored digests; none if the file is missing or damaged."""
    try:
        return read_json(memory)
    except ResnoiseError:
        return {}


def _state(source: Path) -> tuple[str, int]:
    """Return a digest of names, inodes, sizes and times of all files, and the latest time.

    Besides the time of modification, which programs can set back, that of change (ctime) counts.
    """
    names = visible_files(source) if source.is_dir() else [b""]
    state = hashlib.sha256()
    newest = 0
    for name in names:
        path = source / os.fsdecode(name) if name else source
        try:
            facts = path.stat()
        except OSError as error:
            raise ResnoiseError(f"{path}: cannot be read ({error.strerror})") from error
        times = (facts.st_mtime_ns, facts.st_ctime_ns)
        state.update(b"%s\0%d %d %d %d\0" % (name, facts.st_ino, facts.st_size, *times))
        newest = max(newest, *times)
    return state.hexdigest(), newest
