"""Figure 8 (appendix D): plain against residual networks, risk by epoch and test error by risk."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resnoise.figures import style
from resnoise.figures.curves import End, band, write_values
from resnoise.summaries.dynamics import equal_risk, risk_curves
from resnoise.summaries.runs import read_histories


def draw(curves: pd.DataFrame, equal: pd.DataFrame) -> Figure:
    """Draw the figure: (a) risk against epoch, (b) test error against risk.

    In (a) the risk after training is written beside each curve. The curves of (b) end where a run
    of their depth has its smallest risk, so that they can end anywhere: a dot marks the end, and a
    legend has the test error there.

    Args:
        curves: table from ``resnoise.summaries.dynamics.risk_curves``.
        equal: table from ``resnoise.summaries.dynamics.equal_risk`` for the same runs.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
    depths = sorted(curves["depth"].unique())
    ends = []
    for panel, (table, x, y) in enumerate(
        ((curves, "epoch", "risk"), (equal, "risk", "test_error"))
    ):
        for (architecture, depth), rows in table.groupby(["architecture", "depth"]):
            # In the order of training: by increasing epoch in (a), by decreasing risk in (b).
            own = rows.sort_values(x, ascending=panel == 0)
            colour = style.COLOURS[str(architecture)]
            line = style.line_style(depths.index(depth))
            place, value = float(own[x].iloc[-1]), float(own[f"{y}_mean"].iloc[-1])
            label = f"{architecture}-{depth}"
            if panel == 0:
                ends.append(End(place, value, f"{value:#.3g}", colour))
            else:
                label = f"{value:#.3g} at risk {place:#.3g}"
                axes[1].plot(place, value, "o", color=colour, markersize=3)
            band(axes[panel], own, x, y, colour=colour, linestyle=line, label=label)
    axes[0].set_xlabel("epoch")
    axes[0].set_ylabel(r"training risk $L_R$")
    axes[1].set_xlabel(r"training risk $L_R$")
    axes[1].set_ylabel("test error")
    for axis, title in zip(axes, ("(a) risk during training", "(b) at equal risk"), strict=True):
        axis.set_title(title, fontsize=9, loc="left")
    if len(curves):
        axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
        style.logarithmic(axes[0], "y")
    if len(equal):
        style.logarithmic(axes[1], "x")
        axes[1].invert_xaxis()
        axes[1].legend(handlelength=3, fontsize=7, **style.OVER_CURVES)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, handlelength=3
    )
    write_values(axes[0], ends)
    return figure


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from the ``history.csv`` of runs, with the numbers of panels (a) and (b)."""
    return drawing(read_histories(file.parent for file in files))


def drawing(histories: pd.DataFrame) -> style.Drawing:
    """Make the figure from the rows of ``read_histories``, with the numbers of both panels."""
    curves, equal = risk_curves(histories), equal_risk(histories)
    return style.Drawing(draw(curves, equal), curves, equal)
