"""Parts of the diagrams of networks (figures 4 and 5): reading the layers, drawing boxes and lines.

Coordinates are inches from the lower left corner of the figure.
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, PathPatch
from matplotlib.path import Path as Outline

from resnoise.errors import ResnoiseError
from resnoise.storage import csvfile

Point = tuple[float, float]

INK = "#222222"
SOFT = "#6b6b6b"

# Kind of identity connection in the table -> what it does where channels double.
DOUBLING = {
    "none": "",
    "stacked": "every other pixel, stacked twice",
    "zero-padded": "every other pixel, padded with zeros",
    "other": "a projection",
}

_COLUMNS = (
    *("architecture", "depth", "name", "kind", "block", "kernel", "stride"),
    *("in_channels", "out_channels", "in_height", "in_width", "out_height", "out_width"),
    *("parameters", "multiply_adds", "identity"),
)


def read(file: Path, architectures: list[str]) -> pd.DataFrame:
    """Read the rows of some architectures from the table that ``network_layers.py`` writes.

    Raises:
        ResnoiseError: the file is missing or damaged, or lacks one of the architectures.
    """
    kinds = {"kernel": "Int64", "stride": "Int64"}
    table = csvfile.read(file, "a table of layers", _COLUMNS, dtype=kinds)
    # Functions such as ReLU have no name, and layers outside of blocks have no block.
    table = table[[*_COLUMNS]].fillna({"name": "", "block": ""})
    if missing := set(architectures) - set(table["architecture"]):
        raise ResnoiseError(f"{file}: no layers of {', '.join(sorted(missing))}")
    return table[table["architecture"].isin(architectures)].reset_index(drop=True)


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty figure of the given size in inches, and axes with coordinates in inches."""
    figure = plt.figure(figsize=(width, height))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """Return a colour mixed with white: 0 gives white, 1 the colour."""
    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def box(
    axes: Axes,
    centre: Point,
    size: Point,
    text: str = "",
    *,
    edge: str = INK,
    fill: str | tuple[float, float, float] = "white",
    fontsize: float = 7,
    rounding: float = 0.03,
) -> None:
    """Draw a box with rounded corners around its centre, with text in it. Sizes are in inches."""
    (x, y), (width, height) = centre, size
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle=f"round,pad=0,rounding_size={rounding}",
            edgecolor=edge,
            facecolor=fill,
            linewidth=0.8,
            zorder=3,
        )
    )
    axes.text(x, y, text, ha="center", va="center_baseline", fontsize=fontsize, zorder=4)


def arrow(axes: Axes, start: Point, end: Point, head: float = 5) -> None:
    """Draw a straight arrow for the flow of signals; ``head`` is its head's size in points or 0."""
    line: dict[str, Any] = {"color": INK, "linewidth": 0.8, "zorder": 2}
    _add_arrow(axes, start, end, "-|>" if head else "-", head or 1, **line)


def _add_arrow(axes: Axes, start: Point, end: Point, kind: str, head: float, **line: Any) -> None:
    """Draw an arrow that begins and ends exactly at the given points."""
    patch = FancyArrowPatch(
        start, end, arrowstyle=kind, mutation_scale=head, shrinkA=0, shrinkB=0, **line
    )
    axes.add_patch(patch)


def arch(start: Point, end: Point, height: float) -> Outline:
    """Return the outline of an arch between two points, which rises ``height`` above them."""
    # A cubic Bezier curve rises to three quarters of the height of its two control points.
    (x0, y0), (x1, y1) = start, end
    points = [start, (x0, y0 + height / 0.75), (x1, y1 + height / 0.75), end]
    return Outline(points, [Outline.MOVETO, *[Outline.CURVE4] * 3])


def detour(start: Point, end: Point, side: float, radius: float = 0.1) -> Outline:
    """Return a line with round corners from ``start`` to x = ``side``, down, and to ``end``."""
    y0, (x1, y1) = start[1], end
    points = [start, (side - radius, y0), (side, y0), (side, y0 - radius)]
    points += [(side, y1 + radius), (side, y1), (side - radius, y1), (x1, y1)]
    curve = [Outline.LINETO, Outline.CURVE3, Outline.CURVE3]
    return Outline(points, [Outline.MOVETO, *curve, *curve, Outline.LINETO])


def identity(axes: Axes, outline: Outline, colour: str, *, dashed: bool, head: float = 6) -> None:
    """Draw an identity connection along ``outline``, ``dashed`` if it doubles the channels."""
    style = (0, (2.6, 1.4)) if dashed else "solid"
    line: dict[str, Any] = {"linewidth": 1.1, "zorder": 5}
    axes.add_patch(PathPatch(outline, fill=False, edgecolor=colour, linestyle=style, **line))
    # The head is drawn on a short piece of line of its own; on the dashed line it would be dashed.
    before, end = np.asarray(outline.vertices, dtype=float)[-2:]
    start = end + (before - end) * 0.02 / np.linalg.norm(before - end)
    _add_arrow(axes, (start[0], start[1]), (end[0], end[1]), "-|>", head, color=colour, **line)


def plus(axes: Axes, centre: Point, radius: float) -> None:
    """Draw the symbol of a sum: a plus in a circle."""
    axes.add_patch(
        Circle(centre, radius, facecolor="white", edgecolor=INK, linewidth=0.8, zorder=4)
    )
    x, y = centre
    arm = 0.6 * radius
    for dx, dy in ((arm, 0.0), (0.0, arm)):
        axes.plot((x - dx, x + dx), (y - dy, y + dy), color=INK, lw=0.8, zorder=5)
