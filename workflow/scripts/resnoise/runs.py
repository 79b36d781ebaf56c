"""Read the histories and metrics of finished runs."""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from resnoise.errors import ResnoiseError


def read_histories(folders: Iterable[Path]) -> pd.DataFrame:
    """Return the histories of all runs with columns that say which run a row belongs to.

    Columns: architecture, depth, initialisation, seed, then those of ``history.csv``.

    Args:
        folders: run folders, each with ``run.json`` and ``history.csv``.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    return _concatenate(folders, "history.csv", "no readable record and history")


def read_metrics(folders: Iterable[Path], name: str) -> pd.DataFrame:
    """Return a metric of all runs with columns that say which run a row belongs to.

    Columns: architecture, depth, initialisation, seed, then those of the file.

    Args:
        folders: run folders, each with ``run.json`` and the metric's file.
        name: the metric's file, such as "noise_stability.csv"; columns that say the run are
            replaced by what the record says.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    return _concatenate(folders, name, f"no readable record and {name}")


def _concatenate(folders: Iterable[Path], name: str, complaint: str) -> pd.DataFrame:
    """Return the rows of the file ``name`` of every run."""
    frames = []
    for folder in folders:
        try:
            spec = json.loads((folder / "run.json").read_text("utf-8"))["spec"]
            keys = {
                "architecture": spec["network"]["architecture"],
                "depth": spec["network"]["depth"],
                "initialisation": spec["initialisation"],
                "seed": spec["seed"],
            }
            # Names repeat in long files: as categories they take a byte a row.
            frame = pd.read_csv(folder / name, dtype={"snapshot": "category", "name": "category"})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResnoiseError(f"{folder}: {complaint} ({error})") from error
        frame = frame.drop(columns=[*keys], errors="ignore")
        for position, (key, value) in enumerate(keys.items()):
            frame.insert(position, key, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
