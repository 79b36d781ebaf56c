"""What all figures share: colours of the paper, line styles that survive grey print, saving."""

import logging
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

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


def save(figure: Figure, pdf: Path, png: Path) -> None:
    """Write a figure as PDF and PNG, atomically and without a time stamp."""
    with atomic_path(pdf) as temporary:
        figure.savefig(temporary, metadata={"CreationDate": None})
    with atomic_path(png) as temporary:
        figure.savefig(temporary)
