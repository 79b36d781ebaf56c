"""What can be made from finished runs alone. Standard library only: the rules import it too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnoise.plan import grid
from resnoise.plan.artefacts import ARTEFACTS, Artefact


def artefacts(config: Mapping[str, Any]) -> list[Artefact]:
    """Return the tables and figures whose runs all have weights in the folder ``finished_runs``.

    Args:
        config: a loaded configuration; without the key ``finished_runs``, no run is finished.
    """
    return [one for one in ARTEFACTS if not one.section or _is_finished(config, one.section)]


def _is_finished(config: Mapping[str, Any], section: str) -> bool:
    folder = config["finished_runs"]
    # Twins are never taken: they are trained in step.
    if folder is None or section not in grid.SECTIONS:
        return False
    runs = grid.SECTIONS[section](config)
    return all((Path(folder) / run.folder / "weights.safetensors").exists() for run in runs)
