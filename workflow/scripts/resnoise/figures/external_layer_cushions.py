"""Layer cushions (section 5) of all networks that were trained elsewhere, in one figure."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from resnoise.figures import by_place, style
from resnoise.summaries.external import layers_of_all


def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure: for every network the median and the range by the place of the layer.

    Args:
        table: table from ``resnoise.summaries.external.layers_of_all``.
    """
    label = "layer cushion of a picture:\nmedian, 5 % to 95 %"
    figure = by_place.draw(table, ("median", "q05", "q95"), label)
    style.logarithmic(figure.axes[0], "y")
    return figure


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from ``layer_cushion.csv`` of networks, with ``network.json`` beside each."""
    table = layers_of_all(file.parent for file in files)
    return style.Drawing(draw(table), table)
