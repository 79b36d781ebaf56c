"""Parts of figures of curves: bands over seeds, values at the ends of curves."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

# Distance of neighbouring labels in points, a little more than their font size.
_GAP = 9.0
_FONT_SIZE = 7.5


class End(NamedTuple):
    """The last point of a curve (in data coordinates), and the text and colour to write there."""

    x: float
    y: float
    text: str
    colour: str


def band(
    axis: Axes,
    rows: pd.DataFrame,
    x: str,
    y: str,
    *,
    colour: str,
    linestyle: str,
    label: str | None = None,
) -> None:
    """Draw the mean over seeds as a curve and the range over seeds as a band.

    Args:
        axis: where to draw.
        rows: the points, with the columns ``x``, ``{y}_mean``, ``{y}_min`` and ``{y}_max``.
        x: name of the column of the horizontal axis.
        y: first part of the names of the columns of the vertical axis.
        colour: colour of both.
        linestyle: style of the curve.
        label: label of the curve in a legend.
    """
    axis.plot(rows[x], rows[f"{y}_mean"], color=colour, linestyle=linestyle, label=label)
    axis.fill_between(rows[x], rows[f"{y}_min"], rows[f"{y}_max"], color=colour, alpha=0.15, lw=0)


def write_values(axis: Axes, ends: Sequence[End]) -> None:
    """Write a text to the right of each curve's end; texts that would overlap are moved apart.

    Call this last: limits, scales and layout of the figure must not change any more, except to make
    room for the texts.
    """
    figure = axis.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    points = 72 / figure.get_dpi()
    heights = [float(axis.transData.transform((end.x, end.y))[1]) * points for end in ends]
    # Not across the horizontal axis, where the numbers of its ticks are.
    lowest = float(axis.bbox.y0) * points + _GAP / 2
    for end, height, placed in zip(ends, heights, spread(heights, _GAP, lowest), strict=True):
        axis.annotate(
            end.text,
            (end.x, end.y),
            xytext=(4, placed - height),
            textcoords="offset points",
            va="center",
            color=end.colour,
            fontsize=_FONT_SIZE,
            annotation_clip=False,
        )


def spread(heights: Sequence[float], gap: float, lowest: float = -np.inf) -> list[float]:
    """Return heights that are at least ``gap`` apart and as near as possible to the given ones.

    None is below ``lowest``; those that would be are moved up, and others with them if need be.

    The order stays the same, and the sum of squared moves is the smallest possible. Subtracting k
    gaps from the k-th smallest height turns the condition "at least a gap apart" into "increasing",
    so that an isotonic regression solves the problem; the gaps are added again afterwards.
    """
    # Imported here, because few figures need it, and it takes time.
    from scipy.optimize import isotonic_regression

    order = np.argsort(heights, kind="stable")
    gaps = gap * np.arange(len(heights))
    regressed = isotonic_regression(np.asarray(heights)[order] - gaps).x
    placed = np.empty(len(heights))
    placed[order] = np.maximum(regressed, lowest) + gaps
    return [float(height) for height in placed]
