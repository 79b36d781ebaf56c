"""Which paths the configuration may hold: folders for outputs, files and folders to read."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from resnoise.config.messages import show
from resnoise.config.schema import ROOT
from resnoise.plan import grid
from resnoise.storage.store import FOLDER

# Outputs must not go here: they would mix with the code, and deleting them could delete the code.
_CODE_FOLDERS = (
    ".git",
    ".snakemake",
    "config",
    "docs",
    "envs",
    "profiles",
    "reference",
    "rules",
    "slurm",
    "ssh",
    "tests",
    "workflow",
)

# Records of runs in a results folder.
_RECORDS = f"{grid.wildcards(grid.FOLDER)}/run.json"

# In bytes. File systems allow 255; Snakemake and this project append to names.
_LONGEST_NAME = 200


def output_rules(
    config: Mapping[str, Any], problems: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for each folder that outputs must not go to.

    Args:
        config: the completed configuration; values may still have wrong types.
        problems: key -> message of the problems that the schema has found.
    """
    code = _code_places()
    for key in ("results", "store", "downloads"):
        if key not in problems and config[key] is not None:
            yield from _folder_rules(key, config[key], code)
    if not {"results", "store"} & problems.keys() and config["store"] is not None:
        yield from _store_rules(config["results"], config["store"])
    if not {"results", "finished_runs"} & problems.keys() and config["finished_runs"] is not None:
        yield from _finished_rules(config["results"], config["finished_runs"])


def _folder_rules(
    key: str, value: str, code: tuple[set[Path], set[Path]]
) -> Iterator[tuple[str, str]]:
    """Yield a problem if ``value`` cannot be a folder, or if outputs there would mix with code."""
    if allowed := written_out(value):
        yield key, f"{show(value)} given, allowed: {allowed}"
        return
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in Path(value).parts):
        yield (
            key,
            f"{show(value)} given, allowed: folders with names of at most {_LONGEST_NAME} bytes",
        )
        return
    if (found := mode(value)) and not stat.S_ISDIR(found):
        yield key, f"{show(value)} given, allowed: a folder, but this is a file"
    places = [Path(read(Path.cwd() / value)) for read in (os.path.normpath, os.path.realpath)]
    around, own = code
    if any(place in around or not own.isdisjoint((place, *place.parents)) for place in places):
        yield (
            key,
            f"{show(value)} given, allowed: a folder of its own, which does not contain the "
            f"code or the working directory and is not in {', '.join(_CODE_FOLDERS)}",
        )


def _code_places() -> tuple[set[Path], set[Path]]:
    """Return the folders that hold code or the working directory, and those of the code itself."""
    # As they are written, and where links lead.
    read = (str, os.path.realpath)
    bases = {Path(one(base)) for one in read for base in (ROOT, Path.cwd())}
    around = {folder for base in bases for folder in (base, *base.parents)}
    own = {Path(one(base / name)) for one in read for base in bases for name in _CODE_FOLDERS}
    return around, own


def _store_rules(results: str, store: str) -> Iterator[tuple[str, str]]:
    """Yield a problem if results and store would be among each other's files."""
    own, kept = (Path(os.path.normpath(Path.cwd() / value)) for value in (results, store))
    inside = kept.is_relative_to(own) and kept != own / FOLDER
    if inside or own.is_relative_to(kept):
        yield (
            "store",
            f"{show(store)} given, allowed: a folder outside of the results folder "
            f"{show(results)}, or the folder {FOLDER} in it",
        )


def _finished_rules(results: str, finished: str) -> Iterator[tuple[str, str]]:
    """Yield a problem if finished runs cannot be taken from a folder."""
    if allowed := written_out(finished):
        yield "finished_runs", f"{show(finished)} given, allowed: {allowed}"
    elif not (stat.S_ISDIR(mode(finished)) and any(Path(finished).glob(_RECORDS))):
        yield (
            "finished_runs",
            f"{show(finished)} given, allowed: a results folder with finished runs (seen from "
            f"{Path.cwd()})",
        )
    elif os.path.realpath(finished) == os.path.realpath(results):
        yield (
            "finished_runs",
            f"{show(finished)} given, allowed: another folder than results, whose runs would be "
            "replaced while they are read",
        )


def plain(path: object) -> str | None:
    """Return what is allowed if ``path`` would be read as something else than a path."""
    if allowed := written_out(path):
        return allowed
    if isinstance(path, str) and set(path) & set("{}<>"):
        return "a path without the characters { } < >"
    if isinstance(path, str) and path.startswith("-"):
        return "a path that does not begin with - (an absolute one never does)"
    return None


def written_out(path: object) -> str | None:
    """Return what is allowed if a shell would replace a part of ``path``."""
    if isinstance(path, str) and (path.startswith("~") or "$" in path):
        return "a path that is written out, because ~ and $ are not replaced here"
    return None


def mode(path: str) -> int:
    """Return the mode (``st_mode``) of a file or folder, 0 if it does not exist."""
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        return 0
