"""What the figures with the size of the ID entries as horizontal axis share."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.figures.curves import band
from resnoise.specs.compared import DOSE

COLOUR = "0.15"
# Of the networks to compare with; the colours are those of their kind.
LABELS = {"plain": "plain, KWI", "residual": "residual, HMWI"}
LINES = {"plain": "--", "residual": "-."}


def draw(table: pd.DataFrame, measures: Mapping[str, str], *, log: bool) -> Figure:
    """Draw measures against alpha: a row of panels for each measure, a column for each depth.

    Args:
        table: from ``resnoise.summaries.conjecture.over_doses``.
        measures: first part of the names of a measure's columns -> its name for people.
        log: whether the vertical axes are logarithmic.
    """
    depths = sorted(table["depth"].unique())
    figure, grid = plt.subplots(
        len(measures),
        len(depths),
        figsize=(1.0 + 2.1 * max(len(depths), 2), 0.9 + 1.9 * len(measures)),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for axes, (measure, label) in zip(grid, measures.items(), strict=True):
        for axis, depth in zip(axes, depths, strict=True):
            _panel(axis, table[table["depth"] == depth], measure)
        if log and (table[f"{measure}_min"] > 0).any():
            style.logarithmic(axes[0], "y")
        axes[0].set_ylabel(label)
    for axis, depth in zip(grid[0], depths, strict=True):
        axis.set_title(f"depth {depth}", fontsize=9)
    for axis in grid[-1]:
        axis.set_xlabel(r"$\alpha$ at the start")
        # From no identity to all of it.
        axis.set_xlim(min(0.0, table[DOSE].min()) - 0.04, max(1.0, table[DOSE].max()) + 0.04)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), handlelength=3)
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, measure: str) -> None:
    """Draw a measure against alpha with its range over seeds, and the networks to compare with.

    Args:
        axis: where to draw.
        rows: the rows of one depth.
        measure: first part of the names of the measure's columns.
    """
    for row in rows[rows[DOSE].isna()].to_dict("records"):
        kind = str(row["architecture"])
        colour, line = style.COLOURS[kind], LINES[kind]
        axis.axhline(row[f"{measure}_mean"], color=colour, linestyle=line, label=LABELS[kind])
        axis.axhspan(row[f"{measure}_min"], row[f"{measure}_max"], color=colour, alpha=0.12, lw=0)
    doses = rows[rows[DOSE].notna()]
    label = r"plain, $\alpha$ at the ID entries"
    band(axis, doses, DOSE, measure, colour=COLOUR, linestyle="-", label=label)
    axis.plot(doses[DOSE], doses[f"{measure}_mean"], "o", color=COLOUR, markersize=3)
