"""How well each measure predicts generalisation: its rank correlation with an interval."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.storage import csvfile
from resnoise.summaries.bounds import MEASURES
from resnoise.summaries.prediction import COLUMNS, EQUAL_RISK, GENERALISATION

# Kind of correlation -> marker, grey, place beside the line of its measure, name. No colours: those
# of the other figures stand for plain and residual networks.
_KINDS = {
    "tau": ("o", "0.1", 0.15, "all pairs of runs"),
    "granulated": ("D", "0.55", -0.15, "granulated: pairs that differ in one factor"),
}


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from ``prediction.csv`` (``resnoise.tables.prediction``)."""
    (file,) = files
    table = csvfile.read(file, "rank correlations", COLUMNS)
    rows = table[table["comparison"] == EQUAL_RISK]
    return style.Drawing(draw(rows), rows)


def draw(rows: pd.DataFrame) -> Figure:
    """Draw tau at equal risk, a panel for each target; measures sorted by their tau in the first.

    Args:
        rows: rows of one comparison from ``resnoise.summaries.prediction.correlations``.
    """
    first = rows[rows["target"] == next(iter(GENERALISATION))].sort_values(
        "tau", na_position="first"
    )
    order = [*first["measure"]]
    figure, axes = plt.subplots(
        1, 2, figsize=(7.2, 0.6 + 0.28 * len(order)), sharey=True, layout="constrained"
    )
    for axis, (target, title) in zip(axes, GENERALISATION.items(), strict=True):
        own = rows[rows["target"] == target].set_index("measure").loc[order]
        _panel(axis, own, title)
    axes[0].set_yticks(range(len(order)), [MEASURES[name] for name in order], fontsize=7)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(_KINDS), fontsize=8)
    return figure


def _panel(axis: Axes, own: pd.DataFrame, title: str) -> None:
    """Draw the correlations with one target."""
    for name, (marker, colour, shift, label) in _KINDS.items():
        places = [place + shift for place in range(len(own))]
        ends = (own[f"{name}_low"], own[f"{name}_high"])
        axis.hlines(places, *ends, color=colour, linewidth=1)
        axis.plot(own[name], places, marker, color=colour, markersize=4, label=label)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlim(-1.05, 1.05)
    axis.set_xlabel(f"Kendall's tau with the {title}", fontsize=8)
    axis.grid(axis="y", visible=False)
