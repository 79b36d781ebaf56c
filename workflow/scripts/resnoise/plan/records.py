"""Snakemake's records of how each output was made, kept with the results so that they travel.

Snakemake decides by these records what is out of date, and stores them in the folder that it runs
in. Results that are copied elsewhere, or whose records are lost, would be taken for finished
whatever made them, or for out of date as a whole because copies have new times. So each results
folder has copies of the records of its files, and a file without a record is out of date.
Standard library only, because the rules import this module.
"""

import base64
import binascii
import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from resnoise.storage import store
from resnoise.storage.files import atomic_path, write_text

# In a results folder.
FOLDER = "provenance"
# Where Snakemake keeps them, in the folder that it runs in (format 6, see its persistence module).
SNAKEMAKE = Path(".snakemake/metadata")
_FORMAT = 6
_UNKNOWN = "there is no record of how this file was made"

# A script, module or environment with its digest, in a parameter (see ``provenance.digest``).
_CODE = re.compile(r"'([\w.]+) ([0-9a-f]{16})'")

# What the rules write, by suffix; and what is in a results folder but is no output of a rule
# (folders: directly in it).
_OUTPUTS = (".csv", ".sha256", ".json", ".safetensors", ".md", ".png", ".pdf", ".html")
_NO_OUTPUTS = ("verified.json",)
_NO_FOLDERS = {FOLDER, "logs", "benchmarks", store.FOLDER, "studies"}


def exchange(results: Path, metadata: Path = SNAKEMAKE) -> set[str]:
    """Bring Snakemake's records of a results folder and the folder's own copies up to date.

    Of two records of the same file, the one of the later job counts. A record that cannot be read
    counts as none.

    Args:
        results: the results folder, as the configuration names it.
        metadata: the folder with Snakemake's records.

    Returns:
        The names (see ``record_name``) of all records that can be read.

    Raises:
        ResnoiseError: the system refuses to write.
    """
    own = results / FOLDER
    here, there = _records(metadata, results), _records(own, results)
    good = set()
    for name in here.keys() | there.keys():
        if here.get(name) != there.get(name):
            one, two = metadata / name, own / name
            first, second = _end(one), _end(two)
            if first is None and second is None:
                continue
            if second is None or (first is not None and first >= second):
                _copy(one, two)
            else:
                _copy(two, one)
        good.add(name)
    return good


def mark_unrecorded(files: Iterable[Path], metadata: Path = SNAKEMAKE) -> None:
    """Give files a record that makes them out of date.

    Args:
        files: outputs without a record.
        metadata: the folder with Snakemake's records.

    Raises:
        ResnoiseError: the system refuses to write.
    """
    facts = {"params": [repr(_UNKNOWN)], "record_format_version": _FORMAT, "endtime": 0}
    for file in files:
        write_text(metadata / record_name(str(file)), json.dumps(facts))


def outputs(results: Path) -> Iterator[Path]:
    """Yield the files in a results folder that rules have written, sorted within each folder."""
    for place, folders, files in os.walk(results):
        folder = Path(place)
        if folder != results and (folder / "configuration.yaml").exists():
            # The results folder of another configuration.
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if folder == results:
            folders[:] = [
                name
                for name in folders
                if name not in _NO_FOLDERS and not name.startswith("compared-with-")
            ]
        for name in sorted(files):
            if (
                name.endswith(_OUTPUTS)
                and name not in _NO_OUTPUTS
                and not name.startswith(".")
                and not name.endswith("resume.safetensors")
            ):
                yield folder / name


def changed_code(results: Path, file: Path, code: Mapping[str, str]) -> list[str] | None:
    """Return which code has changed since an output was made, from the results folder's records.

    Args:
        results: the results folder.
        file: an output in it.
        code: what ``provenance.everything`` returns now.

    Returns:
        Names of the scripts, modules and environments that are others now, or gone; None if there
        is no record of how the file was made.
    """
    facts = _read(results / FOLDER / record_name(str(file)))
    if facts is None or facts.get("params") == [repr(_UNKNOWN)]:
        return None
    used = dict(_CODE.findall(" ".join(map(str, facts.get("params") or []))))
    return sorted(name for name, digest in used.items() if code.get(name) != digest)


def record_name(file: str) -> str:
    """Return the path of a file's record below the folder of records, as Snakemake names it."""
    encoded = base64.urlsafe_b64encode(file.encode()).decode()
    parts = [encoded[start : start + 254] for start in range(0, len(encoded), 254)]
    return "/".join([*(f"@{part}" for part in parts[:-1]), parts[-1]])


def _records(folder: Path, results: Path) -> dict[str, tuple[int, int]]:
    """Return path below ``folder`` -> (size, time) of all records of files in a results folder."""
    found = {}
    for place, _, files in os.walk(folder):
        for name in files:
            path = Path(place) / name
            relative = path.relative_to(folder).as_posix()
            encoded = "".join(part.removeprefix("@") for part in relative.split("/"))
            with contextlib.suppress(binascii.Error, UnicodeDecodeError, FileNotFoundError):
                file = Path(base64.urlsafe_b64decode(encoded).decode())
                if file.is_relative_to(results):
                    facts = path.stat()
                    found[relative] = (facts.st_size, facts.st_mtime_ns)
    return found


def _read(record: Path) -> dict[str, Any] | None:
    """Return the contents of a record, None if there is none that can be read."""
    try:
        facts = json.loads(record.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _end(record: Path) -> float | None:
    """Return when the job of a record ended, in seconds; None if it cannot be read."""
    facts = _read(record)
    if facts is None or not isinstance(facts.get("endtime"), int | float):
        return None
    return float(facts["endtime"])


def _copy(source: Path, target: Path) -> None:
    # A record that a crash cuts off is copied again at the next start.
    with atomic_path(target, flush=False) as temporary:
        shutil.copy2(source, temporary)
    # The same time on both sides shows at the next start that they are equal.
    shutil.copystat(source, target)
