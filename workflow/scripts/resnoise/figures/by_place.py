"""Curves of all networks that were trained elsewhere, against the place in the network."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from resnoise.figures import style
from resnoise.metrics import states

# With line styles, the same pair comes back after twenty networks.
MARKERS = ("o", "^", "s", "D", "v")
# Each colour of it is lighter than the one before, in grey as well; its end is too light for lines.
COLOURS, LIGHTEST = "plasma", 0.8
# Names of networks and their samples of lines in a row of the legend, in letters.
_ROW, _SAMPLE = 84, 9
_IN_ROW = 4


def draw(table: pd.DataFrame, values: tuple[str, str, str], label: str) -> Figure:
    """Draw the figure: for every network a line and the range around it by the place of the layer.

    Networks differ in colour, brightness, line style and marker. Layers that are dead or have
    exploded are gaps in the lines, and marked with crosses at the bottom.

    Args:
        table: rows with network, place (number of the layer / number of layers), state and numbers.
        values: columns with the line and with both ends of the range.
        label: of the y axis.
    """
    middle, low, high = values
    names = list(table["network"].unique())
    in_row = max(1, min(_IN_ROW, _ROW // (max(map(len, names)) + _SAMPLE)))
    figure, axis = plt.subplots(
        figsize=(6.4, 3.4 + 0.18 * -(-len(names) // in_row)), layout="constrained"
    )
    colours = mpl.colormaps[COLOURS](np.linspace(0, LIGHTEST, len(names)))
    for index, (name, colour) in enumerate(zip(names, colours, strict=True)):
        own = table[table["network"] == name]
        axis.fill_between(own["place"], own[low], own[high], color=colour, alpha=0.15, linewidth=0)
        axis.plot(
            own["place"],
            own[middle],
            color=colour,
            linestyle=style.line_style(index),
            marker=MARKERS[index % len(MARKERS)],
            markersize=3.5,
            label=name,
        )
    handles, labels = axis.get_legend_handles_labels()
    lost = table[table[states.COLUMN] != ""]
    for row, name in enumerate(lost["network"].unique()):
        places = lost.loc[lost["network"] == name, "place"].tolist()
        style.mark_states(axis, places, name, colour=colours[names.index(name)], row=row)
    if len(lost):
        handles.append(Line2D([], [], color="0.3", linestyle="", marker="x", markersize=3))
        labels.append("dead or exploded")
    axis.set_xlim(0, 1.02)
    axis.set_xlabel("place in the network: number of the layer / number of layers")
    axis.set_ylabel(label)
    figure.legend(
        handles, labels, loc="outside upper center", ncols=in_row, fontsize=7, handlelength=4
    )
    return figure
