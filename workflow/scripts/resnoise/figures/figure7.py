"""Figure 7 (appendix C): histograms of weights before and after training."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from resnoise.errors import ResnoiseError
from resnoise.figures import style
from resnoise.summaries.runs import read_metrics
from resnoise.summaries.weights import MOMENTS, NETWORKS, read_statistics, table3

FILE = "weight_histogram.csv"
GROUPS = {"all": "all weights", "id": "ID entries"}
LABELS = {"p": "$p$, plain", "transferred": "$T(r)$, residual transferred"}
_COLUMNS = {"snapshot", "view", "group", "low", "high", "count"}


def read(folders: Iterable[Path]) -> pd.DataFrame:
    """Read the histograms of the figure, as means over seeds.

    Columns: group ("all", "id"), moment ("before", "after"), network ("p", "transferred"), low and
    high (edges of the bin), seeds (their number), count (mean over the seeds). Bins without weights
    are left out.

    Args:
        folders: run folders with ``run.json`` and ``weight_histogram.csv``.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    frame = read_metrics(folders, FILE)
    if missing := _COLUMNS - {*frame.columns}:
        raise ResnoiseError(f"{FILE}: no column {', '.join(sorted(missing))}")
    plain = frame[frame["view"] == "plain"]
    tables: list[pd.DataFrame] = []
    for group in GROUPS:
        for moment, snapshot in MOMENTS.items():
            for network, architecture in NETWORKS.items():
                own = plain[
                    (plain["group"] == group)
                    & (plain["snapshot"] == snapshot)
                    & (plain["architecture"] == architecture)
                ]
                seeds = own["seed"].nunique()
                sums = own.groupby(["low", "high"])["count"].sum().reset_index()
                sums["count"] /= max(seeds, 1)
                sums.insert(2, "seeds", seeds)
                sums.insert(0, "network", network)
                sums.insert(0, "moment", moment)
                sums.insert(0, "group", group)
                tables.append(sums)
    return pd.concat(tables, ignore_index=True)


def draw(data: pd.DataFrame, statistics: pd.DataFrame, clip: int, id_threshold: float) -> Figure:
    """Draw the figure: all weights above, ID entries below; before training left, after right.

    Args:
        data: table from ``read``.
        statistics: table from ``resnoise.summaries.weights.table3`` for the same runs.
        clip: upper end of the count axis in the upper panels.
        id_threshold: the upper panels show the number of weights above this value.
    """
    figure, grid = plt.subplots(2, 2, figsize=(7.2, 4.8), sharex=True, layout="constrained")
    tallest = data[data["group"] == "id"]["count"].max()
    for row, (group, label) in enumerate(GROUPS.items()):
        for column, moment in enumerate(MOMENTS):
            axis = grid[row, column]
            own = data[(data["group"] == group) & (data["moment"] == moment)]
            for network, architecture in NETWORKS.items():
                _steps(axis, own[own["network"] == network], style.COLOURS[architecture])
            if group == "all":
                axis.set_ylim(0, clip)
                axis.set_title(f"{moment} training", fontsize=9)
            else:
                axis.set_ylim(0, 1.15 * tallest)
                axis.set_xlabel("weight")
            lines = _notes(statistics, group, moment, id_threshold)
            # Left of the peak at 1 the histograms leave room.
            axis.annotate(
                "\n".join(lines),
                (0.9, 0.95),
                xycoords=("data", "axes fraction"),
                ha="right",
                va="top",
                fontsize=7.5,
            )
        clipped = f" (clipped at {clip})" if group == "all" else ""
        grid[row, 0].set_ylabel(f"{label}{clipped}")
    handles: list[Artist] = [
        Patch(facecolor=(style.COLOURS[a], 0.5), edgecolor=style.COLOURS[a], label=LABELS[n])
        for n, a in NETWORKS.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def _steps(axis: Axes, bins: pd.DataFrame, colour: str) -> None:
    """Draw one histogram; bins that are not in the table are 0."""
    if bins.empty:
        return
    # Only gaps between the bins are filled: weights that have exploded lie far apart.
    low, high = bins["low"].to_numpy(), bins["high"].to_numpy()
    gaps = np.flatnonzero(low[1:] - high[:-1] > (high - low)[:-1] / 2) + 1
    counts = np.insert(bins["count"].to_numpy(dtype=np.float64), gaps, 0)
    edges = np.append(np.insert(low, gaps, high[gaps - 1]), high[-1])
    axis.stairs(counts, edges, fill=True, color=colour, alpha=0.4, linewidth=0)
    axis.stairs(counts, edges, color=colour, linewidth=0.8)


def _notes(statistics: pd.DataFrame, group: str, moment: str, id_threshold: float) -> list[str]:
    """Return the lines of text in a panel: counts of large weights, or modes of ID entries."""

    def value(network: str, statistic: str) -> float:
        rows = (statistics["group"] == group) & (statistics["statistic"] == statistic)
        found = statistics.loc[rows, f"{moment}_{network}_mean"].dropna()
        return float(found.iloc[0]) if len(found) else np.nan

    if group == "all":
        name, form = f"above {id_threshold:g}", ".0f"
        numbers = {network: value(network, "above") for network in NETWORKS}
    else:
        name, form = "mode", ".2f"
        numbers = {network: value(network, "mode") for network in NETWORKS}
    symbols = {"p": "$p$", "transferred": "$T(r)$"}
    return [f"{name}:"] + [
        f"{symbols[network]} {number:{form}}"
        for network, number in numbers.items()
        if np.isfinite(number)
    ]


def make(files: Sequence[Path], *, clip: int, id_threshold: float) -> style.Drawing:
    """Make the figure from the ``weight_histogram.csv`` of runs, with its numbers.

    Args:
        files: histograms, each with ``weight_statistics.csv`` in the same folder.
        clip: upper end of the count axis in the upper panels.
        id_threshold: the upper panels show the number of weights above this value.
    """
    folders = [file.parent for file in files]
    data = read(folders)
    statistics = table3(read_statistics(folders), {})
    return style.Drawing(draw(data, statistics, clip, id_threshold), data)
