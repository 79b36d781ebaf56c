"""Figure 9 (appendix D.1): plain networks from KWI against plain networks from T(HMWI)."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resnoise.figures import style
from resnoise.figures.curves import End, band, write_values
from resnoise.summaries.dynamics import (
    peak_epochs,
    risk_curves,
    risk_differences,
    risks_after_training,
)
from resnoise.summaries.evaluations import read_evaluations
from resnoise.summaries.names import initialisation_name
from resnoise.summaries.runs import read_histories

# As in the paper: plain networks from T(HMWI) have the colour of the residual ones they come from.
COLOURS = {"kwi": style.COLOURS["plain"], "t-hmwi": style.COLOURS["residual"]}


def draw(curves: pd.DataFrame, differences: pd.DataFrame, ends: pd.DataFrame) -> Figure:
    """Draw the figure: (a) risk against epoch, (b) difference of the risks against epoch.

    In (a) a dot and a number beside each curve show the risk on the training set after training,
    as in Table 1; in (b) a dot marks the epoch with the largest difference, which
    the legend names.

    Args:
        curves: table from ``resnoise.summaries.dynamics.risk_curves``.
        differences: table from ``risk_differences`` of the same module, for the same runs.
        ends: table from ``risks_after_training`` of the same module, for the same runs.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
    depths = sorted(curves["depth"].unique())

    def line(depth: object) -> str:
        return style.line_style(depths.index(depth))

    labels = []
    final = ends.set_index(["initialisation", "depth"])["risk_mean"]
    for (initialisation, depth), own in curves.groupby(["initialisation", "depth"]):
        colour = COLOURS[str(initialisation)]
        label = f"{initialisation_name(initialisation)}, depth {depth}"
        band(axes[0], own, "epoch", "risk", colour=colour, linestyle=line(depth), label=label)
        value, epoch = final.get((initialisation, depth), math.nan), own["epoch"].iloc[-1]
        if math.isfinite(value):
            axes[0].plot(epoch, value, "o", color=colour, markersize=3)
            labels.append(End(epoch, value, f"{value:#.3g}", colour))
    if len(curves):
        style.logarithmic(axes[0], "y")
    peaks = peak_epochs(differences)
    for depth, own in differences.groupby("depth"):
        peak = own[own["epoch"] == peaks[int(str(depth))]]
        x, y = float(peak["epoch"].iloc[0]), float(peak["difference_mean"].iloc[0])
        band(
            axes[1],
            own,
            "epoch",
            "difference",
            colour="0.2",
            linestyle=line(depth),
            # Not beside the dot, because the dots of two depths can be at the same place.
            label=f"depth {depth!s}, largest at epoch {x:.0f}",
        )
        axes[1].plot(x, y, "o", color="0.2", markersize=4)
    axes[1].axhline(0, color="0.6", linewidth=0.8)
    axes[0].set_ylabel(r"training risk $L_R$")
    axes[1].set_ylabel(r"$L_R$ from KWI $-$ $L_R$ from T(HMWI)")
    for axis, title in zip(axes, ("(a) plain networks", "(b) difference"), strict=True):
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_title(title, fontsize=9, loc="left")
    if len(differences):
        axes[1].legend(handlelength=3, fontsize=7.5, **style.OVER_CURVES)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=max(len(depths), 2),
        handlelength=3,
    )
    write_values(axes[0], labels)
    return figure


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from the ``history.csv`` of runs and the ``evaluation.csv`` beside each.

    The numbers are those of panels (a) and (b).
    """
    evaluations = read_evaluations(file.parent / "evaluation.csv" for file in files)
    return drawing(read_histories(file.parent for file in files), evaluations)


def drawing(histories: pd.DataFrame, evaluations: pd.DataFrame) -> style.Drawing:
    """Make the figure from the rows of ``read_histories`` and ``read_evaluations``."""
    curves, differences = risk_curves(histories), risk_differences(histories)
    figure = draw(curves, differences, risks_after_training(evaluations))
    return style.Drawing(figure, curves, differences)
