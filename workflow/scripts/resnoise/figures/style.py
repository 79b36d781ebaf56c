"""What all figures share: the paper's colours, line styles that work in grey print, saving."""

import logging
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from resnoise.storage import csvfile
from resnoise.storage.digests import stamp
from resnoise.storage.files import atomic_path

# As in the paper, plain networks are blue and residual ones red. In grey print this blue is dark
# and this red is light.
COLOURS = {"plain": "#0b3c8c", "residual": "#e8503a"}
LINE_STYLES = ("-", "--", ":", "-.")

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
        stamp(csvs[0], None, [pdf, png])
