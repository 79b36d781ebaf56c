"""Risk and test error after training, against the size of the ID entries before it, by depth."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.figures.curves import logarithmic
from resnoise.figures.doses import label_below, panel
from resnoise.summaries.conjecture import over_doses
from resnoise.summaries.evaluations import read_evaluations

MEASURES = {"risk": r"training risk $L_R$", "test_error": "test error"}


def make(files: Sequence[Path], *, initialisation: str) -> style.Drawing:
    """Make the figure from the ``evaluation.csv`` of runs, with its numbers.

    Args:
        files: measurements of doses of the family, and of the networks to compare them with.
        initialisation: the family.
    """
    rows = read_evaluations(files)
    table = over_doses(rows[rows["snapshot"] == "final"], initialisation, [*MEASURES])
    return style.Drawing(draw(table), table)


def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure: a column for each depth, with the risk above the test error.

    Args:
        table: from ``resnoise.summaries.conjecture.over_doses``.
    """
    depths = sorted(table["depth"].unique())
    figure, grid = plt.subplots(
        len(MEASURES),
        len(depths),
        figsize=(1.2 + 2.0 * len(depths), 4.4),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for axes, (measure, label) in zip(grid, MEASURES.items(), strict=True):
        for axis, depth in zip(axes, depths, strict=True):
            panel(axis, table[table["depth"] == depth], measure)
        logarithmic(axes[0], axes[0].yaxis)
        axes[0].set_ylabel(label)
    for axis, depth in zip(grid[0], depths, strict=True):
        axis.set_title(f"depth {depth}", fontsize=9)
    label_below(figure, grid)
    return figure
