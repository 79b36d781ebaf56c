"""Which result files the claims need. No numpy and no pandas, because the rules import it too."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from resnoise.claims.definition import RUN_KEYS, Claim, claim_selections
from resnoise.errors import ResnoiseError
from resnoise.storage import identity


@dataclasses.dataclass(frozen=True)
class ResultFile:
    """A result file and the run that it belongs to.

    Attributes:
        path: place of the file below the results folder.
        run: architecture, depth, initialisation and seed; empty for a file of no single run.
    """

    path: str
    run: Mapping[str, Any]


def needed(
    claims: Iterable[Claim],
    runs: Mapping[str, Sequence[tuple[Mapping[str, Any], str]]],
    tables: Iterable[str],
) -> dict[str, list[ResultFile]]:
    """Return name of a source -> its files that some claim needs; sources without files left out.

    A source that exists but has no file of the wanted runs maps to an empty list.

    Args:
        claims: the claims.
        runs: name of a set of runs -> each run and its folder below the results folder.
        tables: files of the results folder itself that the configuration makes.

    Raises:
        ResnoiseError: a claim names a set of runs that no configuration has.
    """
    tables = set(tables)
    found: dict[str, dict[str, ResultFile]] = {}
    for claim in claims:
        for selection in claim_selections(claim):
            source = selection.source
            if source.runs is None:
                if source.file in tables:
                    found.setdefault(source.name, {})[source.file] = ResultFile(source.file, {})
                continue
            if source.runs not in runs:
                raise ResnoiseError(
                    f"source {source.name}: there are no runs {source.runs}; there are "
                    f"{', '.join(runs)}"
                )
            if not runs[source.runs]:
                continue
            files = found.setdefault(source.name, {})
            for run, folder in runs[source.runs]:
                if selection.takes(run):
                    path = f"{folder}/{source.file}"
                    files[path] = ResultFile(path, run)
    return {name: list(files.values()) for name, files in found.items()}


def paths(files: Mapping[str, Sequence[ResultFile]]) -> list[str]:
    """Return the paths of all files, each once and sorted."""
    return sorted({file.path for of_source in files.values() for file in of_source})


def to_json(files: Mapping[str, Sequence[ResultFile]]) -> str:
    """Return files as one line of JSON; runs that differ in the seed alone share an entry."""
    written: dict[str, list[dict[str, Any]]] = {}
    for name, of_source in files.items():
        groups: dict[str, dict[str, Any]] = {}
        for file in of_source:
            run = dict(file.run)
            if not run:
                groups[file.path] = {"path": file.path}
                continue
            seed = run.pop("seed")
            pattern = _replace_last(file.path, f"seed{seed}", "seed{seed}")
            groups.setdefault(pattern, {"path": pattern, "run": run, "seeds": []})
            groups[pattern]["seeds"].append(seed)
        written[name] = list(groups.values())
    return json.dumps(written, sort_keys=True)


def from_json(text: str) -> dict[str, list[ResultFile]]:
    """Return the files that ``to_json`` wrote.

    Raises:
        ResnoiseError: the text is no such JSON.
    """
    try:
        return {
            name: [file for group in groups for file in _files(group)]
            for name, groups in json.loads(text).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResnoiseError(f"--files is not what the rules write ({error})") from error


def checked(
    text: str, results: Path, expected: Sequence[str] | None
) -> dict[str, list[ResultFile]]:
    """Return the files that ``to_json`` wrote, after a check that they are of the right runs.

    Args:
        text: what ``to_json`` returned.
        results: the results folder.
        expected: for each of ``paths``, the digest of the run that it should be of; None: any run.

    Raises:
        ResnoiseError: the text is no such JSON, or a file is of another run.
    """
    sources = from_json(text)
    identity.check([results / path for path in paths(sources)], expected)
    return sources


def _files(group: Mapping[str, Any]) -> list[ResultFile]:
    """Return the files of one entry."""
    if "run" not in group:
        return [ResultFile(group["path"], {})]
    found = []
    for seed in group["seeds"]:
        run = {**group["run"], "seed": seed}
        path = group["path"].replace("{seed}", str(seed))
        found.append(ResultFile(path, {key: run[key] for key in RUN_KEYS}))
    return found


def _replace_last(text: str, old: str, new: str) -> str:
    """Return ``text`` with the last ``old`` replaced."""
    head, found, tail = text.rpartition(old)
    if not found:
        raise ResnoiseError(f"{text}: no {old} in the path of a run")
    return f"{head}{new}{tail}"
