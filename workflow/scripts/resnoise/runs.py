"""Read the histories of finished runs."""

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
            frame = pd.read_csv(folder / "history.csv")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResnoiseError(f"{folder}: no readable record and history ({error})") from error
        for position, (name, value) in enumerate(keys.items()):
            frame.insert(position, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
