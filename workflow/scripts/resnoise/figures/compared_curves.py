"""Training risk and test error against epoch of two results folders, overlaid."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from resnoise.figures import curves, style
from resnoise.summaries.dynamics import NETWORK
from resnoise.summaries.names import initialisation_name
from resnoise.summaries.seeds import finished, ranges

PANELS = {"risk": "training risk", "test_error": "test error"}
# In grey print the two differ in darkness. Neither is a colour of plain or residual networks.
_COLOURS = {"baseline": "#2b2b2b", "variant": "#e08a00"}
_WIDTHS = {"baseline": 2.2, "variant": 1.2}


def summarise(baseline: pd.DataFrame, variant: pd.DataFrame) -> pd.DataFrame:
    """Return mean, smallest and largest value over seeds for every network and epoch.

    Columns: root ("baseline" or "variant"), architecture, initialisation, depth, epoch, seeds
    (their number), and for risk and test_error ``_mean``, ``_min`` and ``_max``. Epochs in which a
    run has diverged are left out.

    Args:
        baseline: rows from ``resnoise.summaries.runs.read_histories`` for one folder.
        variant: the same for the other folder.
    """
    parts = []
    for root, histories in (("baseline", baseline), ("variant", variant)):
        groups = finished(histories).groupby([*NETWORK, "epoch"], as_index=False)
        part = groups.agg(seeds=("seed", "nunique"), **ranges(PANELS))
        part.insert(0, "root", root)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def draw(summary: pd.DataFrame) -> Figure:
    """Draw the figure: a row of panels for each kind of network, a line style for each depth."""
    kinds = [*summary[NETWORK[:2]].drop_duplicates().itertuples(index=False, name=None)]
    depths = sorted(summary["depth"].unique())
    figure, axes = plt.subplots(
        len(kinds),
        len(PANELS),
        figsize=(7.2, 0.6 + 2.3 * len(kinds)),
        layout="constrained",
        squeeze=False,
        sharex="row",
    )
    for row, (architecture, initialisation) in zip(axes, kinds, strict=True):
        own = summary[
            (summary["architecture"] == architecture)
            & (summary["initialisation"] == initialisation)
        ]
        for axis, (name, label) in zip(row, PANELS.items(), strict=True):
            for (root, depth), curve in own.groupby(["root", "depth"]):
                _curve(axis, curve, name, str(root), depths.index(depth))
            axis.set_title(f"{architecture}, {initialisation_name(initialisation)}", fontsize=9)
            axis.set_ylabel(label)
            axis.set_xlabel("epoch")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if own["epoch"].nunique() == 1:
            row[0].set_xlim(0, 2)
        style.logarithmic(row[0], "y")
        row[1].set_ylim(0, 1.05 * own["test_error_max"].max() or 1)
    handles = [Line2D([], [], color=colour, label=root) for root, colour in _COLOURS.items()]
    for rank, depth in enumerate(depths):
        line_style = style.line_style(rank)
        handles += axes[0][0].plot(
            [], [], color="#777777", linestyle=line_style, label=f"depth {depth}"
        )
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=3)
    return figure


def _curve(axis: Axes, curve: pd.DataFrame, name: str, root: str, depth_rank: int) -> None:
    """Draw the curve of one network of one folder; ``depth_rank`` chooses the line style."""
    curves.band(
        axis,
        curve,
        "epoch",
        name,
        colour=_COLOURS[root],
        linestyle=style.line_style(depth_rank),
    )
    line = axis.lines[-1]
    # Different widths, so that both curves can be seen where they are equal.
    line.set_linewidth(_WIDTHS[root])
    if len(curve) == 1:
        line.set_marker("o")
        line.set_markersize(2 + 2 * _WIDTHS[root])
