"""Layer cushions (section 5) of a network that was trained elsewhere, layer by layer."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.metrics import states
from resnoise.summaries.external import RECORD, read_layers
from resnoise.summaries.runs import ANY_KIND, read_network

INCHES_PER_LAYER = 0.15


def draw(table: pd.DataFrame, name: str, kind: str) -> Figure:
    """Draw the figure: range, median and minimum of every layer, with the first layer on top.

    Layers that are dead or have exploded are named.

    Args:
        table: table from ``resnoise.summaries.external.read_layers``.
        name: name of the network.
        kind: "residual", "plain" or "network", for the colour.
    """
    colour = style.COLOURS[kind]
    figure, axis = plt.subplots(
        figsize=(5.0, 1.2 + INCHES_PER_LAYER * len(table)), layout="constrained"
    )
    axis.hlines(table["layer"], table["q05"], table["q95"], color=colour, linewidth=2.5, alpha=0.5)
    axis.plot(table["median"], table["layer"], "o", color=colour, markersize=4)
    axis.plot(table["minimum"], table["layer"], "|", color="black", markersize=7)
    for layer, state in zip(table["layer"], table[states.COLUMN], strict=True):
        if state:
            style.name_state(axis, (0.01, layer + 0.3), kind, state)
    style.logarithmic(axis, "x")
    axis.set_yticks(table["layer"], table["name"], fontsize=6)
    axis.grid(axis="y", visible=False)
    axis.set_ylim(len(table) + 0.7, 0.3)
    axis.set_xlabel(r"layer cushion $\|Wx\|\,/\,(\|W\|_F\,\|x\|)$ of a picture")
    axis.set_title(name if kind == ANY_KIND else f"{name} ({kind})", fontsize=9)
    labels = ("5 % to 95 % of the pictures", "median", "minimum")
    figure.legend(
        [*axis.collections, *axis.lines], labels, loc="outside upper center", ncols=3, fontsize=7
    )
    return figure


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from one network's ``layer_cushion.csv``, with ``network.json`` beside it."""
    (cushions,) = files
    name, _, kind = read_network(cushions.with_name(RECORD))
    table = read_layers(cushions.parent)
    return style.Drawing(draw(table, name, kind), table)
