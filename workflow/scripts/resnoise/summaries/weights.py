"""Weight statistics of all runs (``resnoise.metrics.weight_statistics``), without torch."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from resnoise.errors import ResnoiseError
from resnoise.summaries.runs import read_metrics

FILE = "weight_statistics.csv"

MOMENTS = {"before": "initial", "after": "final"}

# The networks of Table 3 by architecture: the weights p of the plain one, T(r) of the residual one.
NETWORKS = {"p": "plain", "transferred": "residual"}

_COLUMNS = {"snapshot", "view", "group", "statistic", "value"}


def read_statistics(folders: Iterable[Path]) -> pd.DataFrame:
    """Return the weight statistics of all runs with columns that say which run a row belongs to.

    Args:
        folders: run folders with ``run.json`` and ``weight_statistics.csv``.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    frame = read_metrics(folders, FILE)
    if missing := _COLUMNS - {*frame.columns}:
        raise ResnoiseError(f"{FILE}: no column {', '.join(sorted(missing))}")
    return frame
