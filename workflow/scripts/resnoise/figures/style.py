"""What all figures share: the paper's colours, line styles that work in grey print, saving."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator
from matplotlib.typing import ColorType

from resnoise.storage import csvfile
from resnoise.storage.digests import stamp
from resnoise.storage.files import atomic_path

# As in the paper, plain networks are blue and residual ones red. In grey print this blue is dark
# and this red is light. Networks that may be either are grey.
COLOURS = {"plain": "#0b3c8c", "residual": "#e8503a", "network": "0.35"}
LINE_STYLES = ("-", "--", ":", "-.")
# Of a legend that may have no place without curves.
OVER_CURVES: dict[str, Any] = {"frameon": True, "framealpha": 0.85, "edgecolor": "none"}

# At level INFO it logs every glyph that it puts into a PDF.
logging.getLogger("fontTools").setLevel(logging.WARNING)

mpl.use("Agg")
mpl.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        "lines.linewidth": 1.4,
        "savefig.dpi": 200,
        # A fixed salt, so that the same data gives the same file.
        "svg.hashsalt": "resnoise",
        "pdf.fonttype": 42,
    }
)


def logarithmic(axes: Axes, name: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with 1, 2 and 5 in each decade as plain numbers.

    Over less than a decade, where these would be two or three at most, there are more.

    Call this when all panels that share the axis are drawn.

    Args:
        axes: a panel.
        name: which of its axes.
    """
    axis: Axis = axes.xaxis
    shared = axes.get_shared_x_axes()
    if name == "y":
        axis, shared = axes.yaxis, axes.get_shared_y_axes()
    # matplotlib cannot place ticks if no value is above 0, as where all layers are dead.
    smallest = [getattr(one.dataLim, f"minpos{name}") for one in shared.get_siblings(axes)]
    if not np.isfinite(smallest).any():
        axes.set(**{f"{name}lim": (0.1, 1)})
    axes.set(**{f"{name}scale": "log"})
    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low)
    digits: Sequence[float] = (1, 2, 5)
    if decades < 0.3:
        digits = [step / 10 for step in range(10, 100)]
    elif decades < 1:
        digits = (1, 1.5, 2, 3, 5, 7)
    # Over less than a tenth of a decade, a logarithmic axis looks like another.
    axis.set_major_locator(MaxNLocator(5) if decades < 0.1 else LogLocator(subs=digits, numticks=8))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axes.minorticks_off()


def line_style(rank: int) -> str:
    """Return the line style of the curve with this number, from 0; they repeat."""
    return LINE_STYLES[rank % len(LINE_STYLES)]


def name_state(axis: Axes, place: tuple[float, float], kind: str, state: str) -> None:
    """Write beside a layer that the network of one kind is dead or has exploded there.

    Args:
        axis: where to write.
        place: x as a share of the axis' width, and y as the number of the layer.
        kind: "plain", "residual" or "network".
        state: from ``resnoise.metrics.states``.
    """
    axis.text(
        *place,
        f"{kind}: {state}",
        transform=axis.get_yaxis_transform(),
        color=COLOURS[kind],
        fontsize=5.5,
        verticalalignment="bottom",
    )


def mark_states(
    axis: Axes,
    places: Sequence[float],
    name: str,
    *,
    colour: ColorType | None = None,
    row: int | None = None,
) -> None:
    """Mark the layers that are dead or have exploded in one network with crosses at the bottom.

    Args:
        axis: its x axis has the layers.
        places: x of the layers.
        name: the network's kind, "plain" or "residual", or any name.
        colour: the network's colour; None for that of its kind.
        row: how far above the bottom, so that networks do not hide each other; None for its kind.
    """
    if not len(places):
        return
    row = ("plain", "residual").index(name) if row is None else row
    axis.plot(
        places,
        np.full(len(places), 0.03 + 0.05 * row),
        "x",
        transform=axis.get_xaxis_transform(),
        color=COLOURS[name] if colour is None else colour,
        markersize=3,
        label=f"{name}: dead or exploded",
    )


class Drawing:
    """A figure and its numbers: the result of each module's ``make`` in this package.

    Attributes:
        figure: the figure.
        tables: the contents of its CSV files, in the order of the rule's outputs.
        float_format: format of floats in these files, such as "%.7g"; None for all digits.
    """

    def __init__(
        self, figure: Figure, *tables: pd.DataFrame, float_format: str | None = None
    ) -> None:
        self.figure = figure
        self.tables = tables
        self.float_format = float_format

    def save(self, pdf: Path, png: Path, *csvs: Path) -> None:
        """Write PDF and PNG, atomically and without a time stamp, and a CSV file for each table."""
        for path, table in zip(csvs, self.tables, strict=True):
            csvfile.write(path, table, float_format=self.float_format)
        with atomic_path(pdf) as temporary:
            self.figure.savefig(temporary, metadata={"CreationDate": None})
        with atomic_path(png) as temporary:
            self.figure.savefig(temporary)
        plt.close(self.figure)
        if csvs:
            stamp(csvs[0], None, [pdf, png])
