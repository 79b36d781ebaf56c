"""Read the parts of a results folder that are compared: configuration, tables and runs."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.config import yamlfile
from resnoise.config.load import SAVED
from resnoise.errors import ResnoiseError
from resnoise.plan import grid
from resnoise.plan.artefacts import ALL
from resnoise.storage import csvfile
from resnoise.storage.digests import read_json

CLAIMS = "claims.csv"
RUNS_TABLE = "runs.csv"
# Of each network that was trained elsewhere -> what they are.
ELSEWHERE = {
    "layer_cushion_summary.csv": "layer cushions",
    "interlayer_blocks.csv": "interlayer cushions of blocks",
}


@dataclasses.dataclass(frozen=True)
class ResultsRoot:
    """A results folder.

    Attributes:
        path: the folder.
    """

    path: Path

    def configuration(self) -> dict[str, Any] | None:
        """Read the configuration saved in the folder, None if there is none.

        Raises:
            ResnoiseError: the file is damaged.
        """
        file = self.path / SAVED
        if not file.exists():
            return None
        return yamlfile.read(file, "a configuration")

    def table(self, name: str) -> pd.DataFrame | None:
        """Read a CSV file of the folder, None if it does not exist.

        Raises:
            ResnoiseError: the file is damaged.
        """
        file = self.path / name
        if not file.exists():
            return None
        return csvfile.read(file, "a table")

    def metrics(self) -> list[str]:
        """Return the names of the tables of metrics, such as "metrics/margin.csv"."""
        return sorted(f"metrics/{file.name}" for file in self.path.glob("metrics/*.csv"))

    def elsewhere(self) -> list[str]:
        """Return the names of the tables of single networks that were trained elsewhere."""
        found = (file for name in ELSEWHERE for file in self.path.glob(f"external/*/{name}"))
        return sorted(file.relative_to(self.path).as_posix() for file in found)

    def runs(self) -> dict[str, dict[str, Any]]:
        """Return relative folder -> parts of the record, for all finished runs.

        Raises:
            ResnoiseError: a record is damaged.
        """
        found = {}
        for file in sorted(self.path.glob(f"{grid.wildcards(grid.FOLDER)}/run.json")):
            if not (file.parent / "history.csv").exists():
                continue
            record = read_json(file)
            try:
                facts = {key: record[key] for key in ("spec", "data_digest", "code_digest")}
                found[file.parent.relative_to(self.path).as_posix()] = {
                    **facts,
                    "session": record["sessions"][-1],
                }
            except (KeyError, IndexError, TypeError) as error:
                raise ResnoiseError(f"{file}: not readable as the record of a run") from error
        return found


def open_root(path: Path) -> ResultsRoot:
    """Return the results folder at ``path``.

    Raises:
        ResnoiseError: the folder does not exist, or has nothing to compare.
    """
    if not path.is_dir():
        raise ResnoiseError(f"{path}: there is no folder of this name, expected a results folder")
    root = ResultsRoot(path)
    tables = [CLAIMS, RUNS_TABLE, *(artefact.data for artefact in ALL)]
    if not any((path / name).exists() for name in (SAVED, *tables)) and not root.runs():
        raise ResnoiseError(
            f"{path}: not a results folder, expected {SAVED}, a table such as table1.csv, or "
            "finished runs in runs/"
        )
    return root
