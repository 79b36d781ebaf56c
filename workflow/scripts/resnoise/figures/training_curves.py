"""Training risk and test error against epoch for all runs of Table 1."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.figures.curves import band
from resnoise.summaries.runs import read_histories
from resnoise.summaries.seeds import finished, ranges

PANELS = {"risk": r"training risk $L_R$", "test_error": "test error"}


def summarise(histories: pd.DataFrame) -> pd.DataFrame:
    """Return mean, smallest and largest value over seeds for every network, depth and epoch.

    Columns: architecture, depth, epoch, seeds (their number), and for risk and test_error
    ``_mean``, ``_min`` and ``_max``. Epochs in which a run has diverged are left out.

    Args:
        histories: rows from ``resnoise.summaries.runs.read_histories``.
    """
    groups = finished(histories).groupby(["architecture", "depth", "epoch"], as_index=False)
    return groups.agg(seeds=("seed", "nunique"), **ranges(PANELS))


def draw(summary: pd.DataFrame) -> Figure:
    """Draw the table from ``summarise``: a panel for the risk and one for the test error."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.0), layout="constrained")
    depths = sorted(summary["depth"].unique())
    for axis, (name, label) in zip(axes, PANELS.items(), strict=True):
        for (architecture, depth), curve in summary.groupby(["architecture", "depth"]):
            band(
                axis,
                curve,
                "epoch",
                name,
                colour=style.COLOURS[str(architecture)],
                linestyle=style.line_style(depths.index(depth)),
                label=f"{architecture}-{depth}",
            )
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
    axes[0].set_yscale("log")
    axes[1].set_ylim(bottom=0)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", handlelength=3)
    return figure


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from the ``history.csv`` of runs, with its numbers."""
    summary = summarise(read_histories(file.parent for file in files))
    return style.Drawing(draw(summary), summary)
