"""Figure 3 during training: layer cushions of plain and residual networks at every snapshot."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.summaries.layer_cushion import (
    KINDS,
    QUANTILES,
    Comparison,
    Cushions,
    compare,
    layer_table,
    read_cushions,
)

TITLES = {"initial": "before training", "iteration1": "after 1 iteration", "final": "at the end"}
MARKERS = {"plain": "o", "residual": "^"}


def by_snapshot(folders: Iterable[Path]) -> dict[str, list[Comparison]]:
    """Read the cushions of runs: snapshot -> comparisons by depth, in the order of training.

    Args:
        folders: run folders with ``layer_cushion.csv``.
    """
    runs: dict[str, list[Cushions]] = {}
    for folder in folders:
        for snapshot, cushions in read_cushions(folder).items():
            runs.setdefault(snapshot, []).append(cushions)
    # Each file has its snapshots in order, but the first file may lack the final one.
    ordered = sorted(runs, key=lambda snapshot: snapshot == "final")
    return {snapshot: compare(runs[snapshot]) for snapshot in ordered}


def summarise(snapshots: Mapping[str, Sequence[Comparison]]) -> pd.DataFrame:
    """Return the rows of ``layer_table`` for all snapshots, with the snapshot as first column."""
    frames = [layer_table([])]
    frames += [layer_table(c).assign(snapshot=name) for name, c in snapshots.items()]
    frames[0]["snapshot"] = pd.Series(dtype=str)
    found = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    return found[["snapshot", *found.columns.drop("snapshot")]]


def draw(summary: pd.DataFrame) -> Figure:
    """Draw the figure: a row of panels for each depth, a column for each snapshot.

    Lines are medians over pictures, bands the range from 5 % to 95 % of the pictures. Crosses at
    the bottom mark the layers that are dead or have exploded.

    Args:
        summary: table from ``summarise``.
    """
    depths = sorted(summary["depth"].unique())
    snapshots = list(summary["snapshot"].unique())
    rows, columns = max(len(depths), 1), max(len(snapshots), 1)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(0.9 + 1.75 * columns, 0.7 + 1.9 * rows),
        sharex="row",
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, depth in zip(grid, depths, strict=False):
        for axis, snapshot in zip(axes, snapshots, strict=True):
            own = summary[(summary["depth"] == depth) & (summary["snapshot"] == snapshot)]
            _panel(axis, own)
            axis.set_xlabel("layer")
        axes[0].set_ylabel(f"layer cushion, depth {depth}")
    for axis, snapshot in zip(grid[0], snapshots, strict=False):
        name = TITLES.get(snapshot, snapshot.replace("epoch", "after epoch "))
        axis.set_title(name, fontsize=9)
    drawn: dict[str, Artist] = {}
    for axis in grid.flat:
        style.logarithmic(axis, "y")
        handles, labels = axis.get_legend_handles_labels()
        drawn |= {str(label): h for label, h in zip(labels, handles, strict=True)}
    figure.legend(list(drawn.values()), list(drawn), loc="outside upper center", ncols=2)
    return figure


def _panel(axis: Axes, data: pd.DataFrame) -> None:
    """Draw medians and bands of one depth at one snapshot."""
    for kind in KINDS:
        low, median, high = (data[f"{kind}_{label}"].to_numpy() for label in QUANTILES)
        style.mark_states(axis, data.loc[data[f"{kind}_state"] != "", "layer"].tolist(), kind)
        if not np.isfinite(median).any():
            continue
        axis.plot(
            data["layer"],
            median,
            color=style.COLOURS[kind],
            marker=MARKERS[kind],
            markersize=2.5,
            linewidth=1,
            label=kind,
        )
        axis.fill_between(data["layer"], low, high, color=style.COLOURS[kind], alpha=0.25, lw=0)


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from the ``layer_cushion.csv`` of runs, with its quantiles."""
    summary = summarise(by_snapshot(file.parent for file in files))
    return style.Drawing(draw(summary), summary, float_format="%.7g")
