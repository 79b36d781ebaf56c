"""Gradient flow of several runs: means over seeds, and over the layers of a group."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from resnoise.metrics import states
from resnoise.specs.flow import PLACES
from resnoise.storage import csvfile

MEASURES = {"f_mean": "mean", "f_median": "median"}

FAMILIES = {"simplified": "simplified", "fully_fledged": "fully-fledged"}

_COLUMNS = (
    *("architecture", "family", "residual", "depth", "seed", "snapshot", "epoch"),
    *("reading", "layer", "group", "place", "pictures", states.COLUMN),
    *(f"{measure}{suffix}" for measure in MEASURES for suffix in ("", "_error")),
)


def read(files: Iterable[Path]) -> pd.DataFrame:
    """Read the rows of all files (see ``resnoise.metrics.gradient_flow``).

    Raises:
        ResnoiseError: a file is missing, damaged or lacks a column.
    """
    frames = []
    for file in files:
        frames.append(csvfile.read(file, "a gradient flow", _COLUMNS))
    return pd.concat(frames, ignore_index=True)


def of_layers(flows: pd.DataFrame, layers: str, reading: str) -> pd.DataFrame:
    """Return the rows of one reading and of the layers that count.

    Args:
        flows: rows of ``read``.
        layers: a key of ``resnoise.specs.flow.PLACES``.
        reading: a value of the column ``reading``.
    """
    return flows[(flows["reading"] == reading) & flows["place"].isin(PLACES[layers])]


def over_seeds(flows: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds, with one row for each network, snapshot and layer.

    Seeds in which a layer is dead or has exploded do not count there. The column state says so
    where none is left.

    The standard error in a file is that of a mean over pictures, and all seeds use the same
    pictures. Here it is the mean of these errors over the seeds, which has nothing of how seeds
    differ.

    Args:
        flows: rows of ``of_layers``.
    """
    keys = ["family", "architecture", "residual", "depth", "snapshot", "epoch"]
    keys += ["reading", "layer", "group", "place"]
    columns = [f"{measure}{suffix}" for measure in MEASURES for suffix in ("", "_error")]
    flows = flows.assign(whole=states.values(flows["f_mean"], flows[states.COLUMN]))
    groups = flows.groupby(keys, as_index=False)
    return groups.agg(
        seeds=("f_mean", "count"),
        **{name: (name, "mean") for name in columns},
        state=("whole", states.common),
    )


def over_layers(flows: pd.DataFrame) -> pd.DataFrame:
    """Return means over the layers of each group, by network, snapshot and epoch.

    Args:
        flows: rows of ``over_seeds``.
    """
    keys = ["family", "architecture", "residual", "snapshot", "epoch", "group"]
    return flows.groupby(keys, as_index=False)[list(MEASURES)].mean()
