"""Dominant gradient flow (appendix D.4.2) of all networks that were trained elsewhere."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from resnoise.figures import by_place, style
from resnoise.summaries.external import flows_of_all


def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure: for every network f_l and its standard error by the place of the layer.

    Args:
        table: table from ``resnoise.summaries.external.flows_of_all``.
    """
    if table.empty:
        figure, axis = plt.subplots(figsize=(5.0, 1.0))
        axis.set_axis_off()
        axis.text(0.5, 0.5, "not defined for any of the networks", ha="center", va="center")
        return figure
    # One picture has no standard error.
    error = table["f_mean_error"].fillna(0)
    ends = table.assign(low=table["f_mean"] - error, high=table["f_mean"] + error)
    label = "dominant gradient flow $f_l$:\nmean over pictures, standard error"
    figure = by_place.draw(ends, ("f_mean", "low", "high"), label)
    figure.axes[0].set_ylim(0, 1.05)
    return figure


def make(files: Sequence[Path], *, reading: str, layers: str) -> style.Drawing:
    """Make the figure from ``gradient_flow.csv`` of networks, with ``network.json`` beside each.

    Args:
        files: the files.
        reading: how dominant gradient flow is read.
        layers: which layers count.
    """
    table = flows_of_all((file.parent for file in files), layers, reading)
    return style.Drawing(draw(table), table)
