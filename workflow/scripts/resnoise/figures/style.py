"""What all figures share: colours of the paper, line styles that survive grey print, saving."""

import logging
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from resnoise.storage import csvfile
from resnoise.storage.files import atomic_path

# The paper draws plain networks in blue and residual ones in red; in grey, this blue is dark and
# this red is light.
COLOURS = {"plain": "#0b3c8c", "residual": "#e8503a"}
LINE_STYLES = ("-", "--", ":", "-.")

# It reports every glyph that it puts into a PDF.
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
        # Fixed, so that the same data gives the same file.
        "svg.hashsalt": "resnoise",
        "pdf.fonttype": 42,
    }
)


class Drawing:
    """A figure and the numbers behind it: what ``make`` of each module of this package returns.

    Attributes:
        figure: the figure.
        tables: what its CSV files hold, in the order of the rule's outputs.
        float_format: how floats are written to them, such as "%.7g"; None: with all digits.
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
