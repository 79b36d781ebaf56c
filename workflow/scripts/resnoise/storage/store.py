"""Finished results kept by what they are, so that nothing is made twice and nothing is lost.

A workflow engine deletes the outputs of a job before it runs it again, whatever they cost. The
store is a folder that it does not know: each entry holds the files of one result, under the digest
of everything that determines the result (its identity). A job looks there first. What it finds is
compared with the digests that the entry keeps, so that damage is found, and leads to a new result
instead of a wrong one.

What is kept is a copy, so that damage of a result does not reach it; where a result is wanted again
it is a hard link to that copy, so that the same runs in many results folders take no more room.
Very large files are links from the start. Standard library only.
"""

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from resnoise.errors import ResnoiseError
from resnoise.storage.checksum import file_digest
from resnoise.storage.digests import read_json, text_digest, write_json
from resnoise.storage.files import atomic_path, umask

_log = logging.getLogger(__name__)

# Name of a store that is inside a results folder.
FOLDER = "store"
FACTS = "entry.json"
# Size in bytes from which files are not copied: those of data sets. A run's are below.
_LINKED = 100_000_000
# Entries that are being written; what a killed process leaves of one is removed by ``unfinished``.
_UNFINISHED = ".unfinished-"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A kept result.

    Attributes:
        folder: its folder in the store.
        identity: what determines the result, JSON-like.
        files: name relative to ``folder`` -> SHA-256 of the file.
    """

    folder: Path
    identity: dict[str, Any]
    files: dict[str, str]


class Store:
    """A folder of finished results."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which need not exist yet."""
        self.folder = folder

    def place(self, identity: Mapping[str, Any]) -> Path:
        """Return the folder of the result with this identity, whether it exists or not."""
        key = text_digest(json.dumps(identity, sort_keys=True))
        return self.folder / key[:2] / key

    def fetch(self, identity: Mapping[str, Any], outputs: Mapping[str, Path]) -> bool:
        """Link the files of a kept result to where they are wanted.

        Args:
            identity: what determines the result.
            outputs: name of each file -> where to put it.

        Returns:
            Whether the result is there and undamaged. If not, no file has been written.
        """
        folder = self.place(identity)
        if not folder.is_dir():
            return False
        try:
            entry = read(folder)
            missing = outputs.keys() - entry.files.keys()
            if missing:
                raise ResnoiseError(f"{folder}: without {', '.join(sorted(missing))}")
            check(entry)
            for name, path in outputs.items():
                _link(folder / name, path)
                # Later than the job's inputs, or the workflow would take it for out of date.
                os.utime(path)
        except (ResnoiseError, OSError) as error:
            _log.warning("not taken from the store, made anew: %s", error)
            return False
        return True

    def keep(self, identity: Mapping[str, Any], outputs: Mapping[str, Path]) -> None:
        """Keep the files of a finished result, in place of an entry with the same identity.

        If the system refuses, a warning says so: the result itself is not in danger.

        Args:
            identity: what determines the result.
            outputs: name of each file -> the file.
        """
        folder = self.place(identity)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _unfinished(self.folder) as new:
                for name, path in outputs.items():
                    (new / name).parent.mkdir(parents=True, exist_ok=True)
                    (_copy if path.stat().st_size < _LINKED else _link)(path, new / name)
                # Of the files themselves: a copy that went wrong is then found when it is taken.
                files = {name: file_digest(path) for name, path in outputs.items()}
                write_json(new / FACTS, {"identity": dict(identity), "files": files})
                if folder.exists():
                    shutil.rmtree(folder)
                new.rename(folder)
        except (ResnoiseError, OSError) as error:
            _log.warning("not kept in the store: %s", error)

    def entries(self) -> Iterator[Path]:
        """Yield the folder of every entry, in the order of their names."""
        yield from sorted(path.parent for path in self.folder.glob(f"??/*/{FACTS}"))

    def unfinished(self) -> list[Path]:
        """Return what killed processes may have left; one that still runs may be writing it."""
        return sorted(self.folder.glob(f"{_UNFINISHED}*"))


def read(folder: Path) -> Entry:
    """Return the entry in a folder of the store; ResnoiseError if its facts are damaged."""
    facts = read_json(folder / FACTS)
    try:
        return Entry(folder, dict(facts["identity"]), dict(facts["files"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ResnoiseError(f"{folder / FACTS}: not an entry of the store ({error})") from error


def check(entry: Entry) -> None:
    """Raise ResnoiseError if a file of an entry is missing or does not have its SHA-256."""
    for name, expected in entry.files.items():
        found = file_digest(entry.folder / name)
        if found != expected:
            raise ResnoiseError(
                f"{entry.folder / name}: SHA-256 is {found[:16]}..., {FACTS} says "
                f"{expected[:16]}...; the file was changed or damaged"
            )


@contextlib.contextmanager
def _unfinished(store: Path) -> Iterator[Path]:
    """Yield a new folder in the store, which is removed unless the block has renamed it."""
    folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=store))
    # mkdtemp makes it private to its owner; the store follows the user's umask as usual.
    folder.chmod(0o777 & ~umask())
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """Copy a file; file systems that can do so share its blocks until one of the two changes."""
    try:
        with source.open("rb") as one, target.open("wb") as two:
            while os.copy_file_range(one.fileno(), two.fileno(), 1 << 30):
                pass
    except (OSError, AttributeError):  # between file systems, or on a system, that cannot
        shutil.copyfile(source, target)


def _link(source: Path, target: Path) -> None:
    """Make ``target`` a hard link to ``source``, or a copy where that cannot be."""
    with atomic_path(target) as temporary:
        # Only the owner of a file can set the mode of a link to it, as results need it.
        if source.stat().st_uid != os.geteuid():
            shutil.copyfile(source, temporary)
            return
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, temporary)
