"""Margins after training, relative to the norm of the logits, against depth."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.summaries.names import initialisation_name
from resnoise.summaries.runs import read_metrics

KEYS = ["architecture", "initialisation", "depth", "part"]
MARKERS = {"train": "o", "test": "^"}


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from the ``metrics/margin.csv`` of runs, with its means over seeds."""
    # The run's folder is the parent of the folder metrics/.
    rows = read_metrics((file.parent.parent for file in files), "metrics/margin.csv")
    final = rows[rows["snapshot"] == "final"]
    means = final.groupby(KEYS)[["relative_median"]].mean().reset_index()
    return style.Drawing(draw(means), means)


def draw(means: pd.DataFrame) -> Figure:
    """Draw the figure: a curve for each kind of network and part of the data set.

    Args:
        means: one row for each combination of ``KEYS``, with the column relative_median.
    """
    figure, axis = plt.subplots(figsize=(5.4, 3.2), layout="constrained")
    for (architecture, initialisation, part), own in means.groupby(KEYS[:2] + KEYS[3:]):
        axis.plot(
            own["depth"],
            own["relative_median"],
            marker=MARKERS[str(part)],
            linestyle="-" if part == "train" else "--",
            color=style.COLOURS.get(str(architecture), "#555555"),
            label=f"{architecture}, {initialisation_name(initialisation)}, {part}",
        )
    axis.set_xticks(sorted(means["depth"].unique()))
    axis.set_xlabel("depth")
    axis.set_ylabel(r"median of margin $/\,\|$logits$\|$")
    axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
    figure.legend(loc="outside right center", fontsize=8)
    return figure
