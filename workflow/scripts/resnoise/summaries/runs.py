"""Read the histories and metrics of finished runs."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from resnoise.errors import ResnoiseError
from resnoise.metrics import states
from resnoise.storage import csvfile
from resnoise.storage.digests import read_json


def read_histories(folders: Iterable[Path]) -> pd.DataFrame:
    """Read the histories of all runs into one table, with columns that identify the run.

    Columns: architecture, depth, initialisation, seed, then those of ``history.csv``.

    Args:
        folders: run folders, each with ``run.json`` and ``history.csv``.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    return _concatenate(folders, "history.csv", "a history")


def read_metrics(folders: Iterable[Path], name: str) -> pd.DataFrame:
    """Read a metric of all runs into one table, with columns that identify the run.

    Columns: architecture, depth, initialisation, seed, then those of the file.

    Args:
        folders: run folders, each with ``run.json`` and the metric's file.
        name: name of the metric's file, such as "noise_stability.csv". If it has columns that
            identify the run itself, they are replaced by those from ``run.json``.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    return _concatenate(folders, name, "a metric of a run")


# The kind of a network of which it is not known whether it is residual or plain.
ANY_KIND = "network"
_KINDS = {True: "residual", False: "plain", None: ANY_KIND}


def read_network(record: Path) -> tuple[str, int, str]:
    """Read name, depth and kind ("residual", "plain" or ``ANY_KIND``) of one trained elsewhere.

    Args:
        record: its ``network.json``.

    Raises:
        ResnoiseError: the file is missing or damaged.
    """
    facts = read_json(record)
    try:
        return facts["name"], facts["depth"], _KINDS[facts["residual"]]
    except KeyError as error:
        raise ResnoiseError(f"{record}: no {error}, delete it and rerun") from error


def _concatenate(folders: Iterable[Path], name: str, what: str) -> pd.DataFrame:
    """Read the file ``name`` of every run into one table; ``what`` names the file in messages."""
    frames = []
    for folder in folders:
        try:
            spec = read_json(folder / "run.json")["spec"]
            keys = {
                "architecture": spec["network"]["architecture"],
                "depth": spec["network"]["depth"],
                "initialisation": spec["initialisation"],
                "seed": spec["seed"],
            }
        except (KeyError, TypeError) as error:
            raise ResnoiseError(f"{folder}/run.json: not the record of a run ({error})") from error
        # Names repeat many times in long files; as categories they take one byte per row.
        categories = dict.fromkeys(("snapshot", "name", states.COLUMN), "category")
        frame = csvfile.read(folder / name, what, dtype=categories)
        frame = frame.drop(columns=[*keys], errors="ignore")
        for position, (key, value) in enumerate(keys.items()):
            frame.insert(position, key, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
