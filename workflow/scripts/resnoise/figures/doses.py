"""Parts of the figures with the size of the ID entries as horizontal axis."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.figures.curves import band
from resnoise.summaries.conjecture import DOSE

COLOUR = "0.15"
# Of the networks to compare with; the colours are those of their kind.
LABELS = {"plain": "plain, KWI", "residual": "residual, HMWI"}
LINES = {"plain": "--", "residual": "-."}


def panel(axis: Axes, rows: pd.DataFrame, measure: str) -> None:
    """Draw a measure against alpha with its range over seeds, and the networks to compare with.

    Args:
        axis: where to draw.
        rows: the rows of one depth of ``resnoise.summaries.conjecture.over_doses``.
        measure: first part of the names of the measure's columns.
    """
    for row in rows[rows[DOSE].isna()].to_dict("records"):
        kind = str(row["architecture"])
        look: dict[str, Any] = {"color": style.COLOURS[kind], "linewidth": 1.0}
        axis.axhline(row[f"{measure}_mean"], linestyle=LINES[kind], label=LABELS[kind], **look)
        axis.axhspan(
            row[f"{measure}_min"], row[f"{measure}_max"], alpha=0.12, lw=0, color=look["color"]
        )
    doses = rows[rows[DOSE].notna()]
    band(
        axis,
        doses,
        DOSE,
        measure,
        colour=COLOUR,
        linestyle="-",
        label=r"plain, $\alpha$ at ID entries",
    )
    axis.plot(doses[DOSE], doses[f"{measure}_mean"], "o", color=COLOUR, markersize=3)


def label_below(figure: Figure, grid: Any) -> None:
    """Name the horizontal axis of the lowest panels, and write the legend below them.

    Args:
        figure: the figure.
        grid: its panels, [rows, columns].
    """
    for axis in grid[-1]:
        axis.set_xlabel(r"$\alpha$ at the start")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), handlelength=3)
