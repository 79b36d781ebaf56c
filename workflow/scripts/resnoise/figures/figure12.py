"""Figure 12 (appendix D.4.2): dominant gradient flow f_l against layer, and against epoch."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.summaries.gradient_flow import (
    FAMILIES,
    of_layers,
    over_layers,
    over_seeds,
    read,
)

# Snapshot -> line style and name. As in the paper, solid is the first and dotted the last.
SNAPSHOTS = {"iteration1": ("-", "first iteration"), "final": (":", "last iteration")}
ROWS = {"f_mean": r"$f_l$ (mean of ratio $>1$)", "f_median": r"$f_l$ (median of ratio $>1$)"}
_MARKERS = {1: "o", 2: "s", 3: "^"}


def draw(flows: pd.DataFrame) -> Figure:
    """Draw the figure: a column for each family of networks.

    The rows show f_l against layer, by mean and by median of the ratio, and its mean over each
    group against epoch.

    Args:
        flows: rows from ``resnoise.summaries.gradient_flow.over_seeds``.
    """
    families = [family for family in FAMILIES if family in set(flows["family"])]
    figure, axes = plt.subplots(
        3,
        len(families),
        figsize=(1.6 + 3.1 * len(families), 7.2),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for column, family in enumerate(families):
        part = flows[flows["family"] == family]
        for axis, (measure, label) in zip(axes[:2, column], ROWS.items(), strict=True):
            _against_layer(axis, part, measure)
            axis.set_ylabel(label if column == 0 else "")
        _against_epoch(axes[2, column], over_layers(part))
        axes[2, column].set_ylabel(r"mean of $f_l$ over a group" if column == 0 else "")
        depth = part["depth"].iloc[0]
        axes[0, column].set_title(f"({'ab'[column]}) {FAMILIES[family]}, depth {depth}")
    axes[0, 0].set_ylim(0, 1.12)
    axes[0, 0].set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    # The second row needs no legend: its lines are those of the first.
    for row in axes[[0, 2]]:
        row[-1].legend(
            *row[0].get_legend_handles_labels(),
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            fontsize=8,
            handlelength=3,
        )
    return figure


def _against_layer(axis: Axes, flows: pd.DataFrame, measure: str) -> None:
    """Draw f_l at the first and last iteration, with bands of one standard error over pictures.

    Crosses mark layers that are dead or have exploded at one of them.
    """
    for name, residual in (("plain", False), ("residual", True)):
        for snapshot, (line, when) in SNAPSHOTS.items():
            curve = flows[(flows["residual"] == residual) & (flows["snapshot"] == snapshot)]
            value, error = curve[measure], curve[f"{measure}_error"]
            colour = style.COLOURS[name]
            axis.plot(curve["layer"], value, line, color=colour, label=f"{name}, {when}")
            axis.fill_between(
                curve["layer"], value - error, value + error, color=colour, alpha=0.2, lw=0
            )
        lost = flows[(flows["residual"] == residual) & (flows["state"] != "")]
        lost = lost[lost["snapshot"].isin(SNAPSHOTS)]
        style.mark_states(axis, sorted(lost["layer"].unique()), name)
    firsts = flows.groupby("group")["layer"].min()
    for group, layer in firsts.items():
        if group != firsts.index[0]:
            axis.axvline(layer - 0.5, color="0.6", lw=0.6)
        axis.text(layer, 1.05, f"G{group}", color="0.4", fontsize=8)
    axis.set_xlabel(r"layer $l$")


def _against_epoch(axis: Axes, means: pd.DataFrame) -> None:
    """Draw the mean of f_l over the layers of each group, against epoch."""
    for name, residual in (("plain", False), ("residual", True)):
        of_kind = means[means["residual"] == residual]
        for group, curve in of_kind.groupby("group"):
            curve = curve.sort_values("epoch")
            axis.plot(
                curve["epoch"],
                curve["f_mean"],
                style.LINE_STYLES[int(str(group)) - 1],
                color=style.COLOURS[name],
                marker=_MARKERS[int(str(group))],
                markersize=3,
                label=f"{name}, G{group}",
            )
    # Most of the change is early, and the first points are at a fraction of an epoch or at 0.
    axis.set_xscale("symlog", linthresh=1, linscale=0.4)
    last = means["epoch"].max()
    ticks = [tick for tick in (0, 1, 2, 5, 10, 20, 50, 100, 200) if tick < last / 1.5] + [last]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("epoch")


def make(files: Sequence[Path], *, reading: str, layers: str) -> style.Drawing:
    """Make the figure from the ``gradient_flow.csv`` of runs, with its numbers.

    Args:
        files: the files.
        reading: how dominant gradient flow is read.
        layers: which layers count.
    """
    flows = over_seeds(of_layers(read(files), layers, reading))
    return style.Drawing(draw(flows), flows)
