"""Weight statistics of several runs (``resnoise.metrics.weight_statistics``), without torch."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.errors import ResnoiseError
from resnoise.summaries.runs import read_metrics

FILE = "weight_statistics.csv"

MOMENTS = {"before": "initial", "after": "final"}

# Weights in Table 3 -> architecture of the runs: p of plain networks, T(r) of residual ones.
NETWORKS = {"p": "plain", "transferred": "residual"}

_COLUMNS = {"snapshot", "view", "group", "statistic", "value"}


def read_statistics(folders: Iterable[Path]) -> pd.DataFrame:
    """Read the weight statistics of all runs into one table, with columns that identify the run.

    Args:
        folders: run folders with ``run.json`` and ``weight_statistics.csv``.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    frame = read_metrics(folders, FILE)
    if missing := _COLUMNS - {*frame.columns}:
        raise ResnoiseError(f"{FILE}: no column {', '.join(sorted(missing))}")
    return frame


def table3(statistics: pd.DataFrame, paper: Mapping[int, Any]) -> pd.DataFrame:
    """Return Table 3: statistics of the plain weights p and of the transferred weights T(r).

    There is a row for every depth, group and statistic of ``resnoise.metrics.weight_statistics``.
    Each of before_p, before_transferred, after_p and after_transferred has the columns ``_mean``
    and ``_std`` over seeds (empty for one seed), ``_seeds`` (their number), and ``_paper``.

    Args:
        statistics: rows of ``read_statistics``.
        paper: section ``table3`` of the paper's numbers, as depth -> moment -> architecture ->
            group_statistic -> number.
    """
    # The view "plain" has the weights of the plain network that computes the run's function: p
    # itself for a plain run, T(r) for a residual run.
    plain = statistics[statistics["view"] == "plain"]
    rows = []
    for (depth, group, statistic), own in plain.groupby(
        ["depth", "group", "statistic"], sort=False
    ):
        row: dict[str, Any] = {"depth": depth, "group": group, "statistic": statistic}
        for moment, snapshot in MOMENTS.items():
            for network, architecture in NETWORKS.items():
                cell = own[(own["snapshot"] == snapshot) & (own["architecture"] == architecture)]
                printed = paper.get(int(str(depth)), {}).get(moment, {}).get(architecture, {})
                name = f"{moment}_{network}"
                row[f"{name}_mean"] = cell["value"].mean()
                row[f"{name}_std"] = cell["value"].std()
                row[f"{name}_seeds"] = len(cell)
                row[f"{name}_paper"] = printed.get(f"{group}_{statistic}")
        rows.append(row)
    return pd.DataFrame(rows).sort_values("depth", kind="stable", ignore_index=True)
