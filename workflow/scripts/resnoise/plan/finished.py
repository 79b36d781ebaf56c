"""What can be made from finished runs alone. Standard library only: the rules import it too."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resnoise.plan import grid
from resnoise.plan.artefacts import ARTEFACTS, Artefact


def missing(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return section -> folders of its runs that are not in ``finished_runs``; none if all are.

    Only runs with weights count. Twins are always missing: they are trained in step, and never
    taken.

    Args:
        config: a loaded configuration with the key ``finished_runs``.
    """
    finished = Path(config["finished_runs"])
    found = {
        section: [
            run.folder
            for run in runs(config)
            if not (finished / run.folder / "weights.safetensors").exists()
        ]
        for section, runs in grid.SECTIONS.items()
    }
    found["twins"] = grid.twin_folders(config)
    return {section: folders for section, folders in found.items() if folders}


def left_out(config: Mapping[str, Any]) -> frozenset[str]:
    """Return the sections that are left out, because some of their runs would have to be trained.

    Args:
        config: a loaded configuration; none is left out without the key ``only_finished``.
    """
    return frozenset(missing(config) if config["only_finished"] else ())


def artefacts(config: Mapping[str, Any]) -> list[Artefact]:
    """Return the tables and figures that are made under a loaded configuration."""
    absent = left_out(config)
    return [one for one in ARTEFACTS if one.section not in absent]


def claim_runs(
    config: Mapping[str, Any],
) -> dict[str, Sequence[tuple[dict[str, Any], str]]]:
    """Return what ``grid.claim_runs`` does, without runs in sections that are left out."""
    absent = left_out(config)
    return {
        name: () if grid.CLAIM_SECTIONS.get(name, name) in absent else runs
        for name, runs in grid.claim_runs(config).items()
    }


def claim_tables(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files directly in the results folder that claims may use."""
    absent = left_out(config)
    return tuple(file for file, section in grid.CLAIM_TABLES.items() if section not in absent)
