"""Figure 3 (section 5): distributions of the layer cushion over pictures, for every layer."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from resnoise.figures import style
from resnoise.metrics import states
from resnoise.summaries.layer_cushion import KINDS, Comparison, read_final, residual_shares

BINS = 200
# Height of a layer's tallest bar; the distance between two layers is 1.
HEIGHT = 0.92
INCHES_PER_LAYER = 0.165


def histograms(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return the histograms of the figure.

    Columns: depth, layer, name, residual_share (share of pictures on which the residual cushion is
    the larger one; empty if the layer is not compared), network ("plain" or "residual"), low and
    high (edges of the bin), fraction (share of the network's pictures with a cushion in the bin),
    state ("dead" or "exploded" in the only row of a layer without cushions). All histograms have
    the same bins, equally spaced in the logarithm. Bins without pictures are left out.
    """
    frames = []
    values = [(c, {kind: c.values(kind) for kind in KINDS}) for c in comparisons]
    positive = [v[np.isfinite(v) & (v > 0)] for _, both in values for v in both.values()]
    extremes = [bound for v in positive if len(v) for bound in (v.min(), v.max())]
    if not values:
        return _frame()
    # The range is a little larger than needed, so that no value falls outside by rounding.
    low, high = (min(extremes), max(extremes)) if extremes else (1.0, 1.0)
    edges = np.geomspace(0.999 * low, 1.001 * high, BINS + 1)
    for comparison, both in values:
        shares, _ = residual_shares(comparison)
        for kind in KINDS:
            for column, name in enumerate(comparison.names):
                cushions = both[kind][:, column]
                defined = cushions[np.isfinite(cushions)]
                counts, _ = np.histogram(defined, bins=edges)
                (filled,) = np.nonzero(counts)
                state = states.common(cushions)
                frames.append(
                    _frame(
                        depth=comparison.depth,
                        layer=column + 1,
                        name=name,
                        residual_share=shares[column],
                        network=kind,
                        low=[np.nan] if state else edges[filled],
                        high=[np.nan] if state else edges[filled + 1],
                        fraction=[np.nan] if state else counts[filled] / len(defined),
                        state=state,
                    )
                )
    return pd.concat(frames, ignore_index=True)


def _frame(**columns: object) -> pd.DataFrame:
    """Return rows with the columns of ``histograms``; no rows without arguments."""
    names = ["depth", "layer", "name", "residual_share", "network", "low", "high", "fraction"]
    names.append("state")
    return pd.DataFrame({name: columns.get(name, []) for name in names})


def draw(data: pd.DataFrame) -> Figure:
    """Draw the figure: a panel for each depth, and in it two histograms for each layer.

    Layers in which the residual network has the larger cushion on most pictures are marked. Layers
    that are dead or have exploded are named, and not compared.

    Args:
        data: table from ``histograms``.
    """
    depths = sorted(data["depth"].unique())
    rows = max(data["layer"], default=1)
    columns = max(len(depths), 1)
    figure, grid = plt.subplots(
        1,
        columns,
        figsize=(3.6 * columns, 1.0 + INCHES_PER_LAYER * (rows + 1)),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, depth in zip(grid[0], depths, strict=False):
        own = data[data["depth"] == depth]
        _panel(axis, own)
        shares = own.drop_duplicates("layer")["residual_share"].dropna()
        larger = int((shares > 0.5).sum())
        axis.set_title(
            f"depth {depth}: residual larger in {larger} of {len(shares)} layers", fontsize=9
        )
        axis.set_xlabel(r"layer cushion $\|Wx\|\,/\,(\|W\|_F\,\|x\|)$ of a picture")
    for axis in grid[0]:
        style.logarithmic(axis, "x")
    grid[0, 0].set_ylabel("layer")
    handles: list[Artist] = [
        Patch(facecolor=_face(kind), edgecolor=style.COLOURS[kind], label=kind) for kind in KINDS
    ]
    handles.append(
        Line2D([], [], color=style.COLOURS["residual"], marker="o", markersize=3.5, linestyle="")
    )
    handles[-1].set_label("residual larger on most pictures")
    # A row is wider than one panel.
    in_row = len(handles) if columns > 1 else 1
    figure.legend(handles=handles, loc="outside upper center", ncols=in_row)
    return figure


def _face(kind: str) -> tuple[str, float]:
    """Return colour and opacity of a histogram; residual ones are lighter, also in grey print."""
    return (style.COLOURS[kind], 0.75 if kind == "plain" else 0.45)


def _panel(axis: Axes, data: pd.DataFrame) -> None:
    """Draw the histograms of one depth, with the first layer on top."""
    axis.grid(axis="y", visible=False)
    layers = sorted(data["layer"].unique())
    for layer in layers:
        own = data[data["layer"] == layer]
        tallest = own["fraction"].max()
        axis.axhline(layer, color="0.85", linewidth=0.4, zorder=1)
        for place, kind in enumerate(KINDS):
            bars = own[own["network"] == kind]
            state = "".join(bars["state"].unique())
            if state:
                style.name_state(axis, (0.01 + 0.83 * place, layer), kind, state)
            if state or bars.empty:
                continue
            axis.stairs(
                *_outline(bars, layer, HEIGHT / tallest),
                baseline=layer,
                fill=True,
                facecolor=_face(kind),
                edgecolor=style.COLOURS[kind],
                linewidth=0.5,
                zorder=2 + layer,
            )
        share = own["residual_share"].iloc[0]
        if np.isnan(share):
            continue
        larger = share > 0.5
        axis.annotate(
            "\N{BLACK CIRCLE}" if larger else "\N{WHITE CIRCLE}",
            (1.0, layer),
            xycoords=axis.get_yaxis_transform(),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=6,
            color=style.COLOURS["residual" if larger else "plain"],
            verticalalignment="bottom",
            annotation_clip=False,
        )
    axis.set_ylim(max(layers) + 1.1, min(layers) - 1.1)
    axis.set_yticks([layer for layer in layers if layer in (1, max(layers)) or layer % 4 == 0])


def _outline(bars: pd.DataFrame, layer: int, scale: float) -> tuple[list[float], list[float]]:
    """Return heights and edges of a histogram whose base line is at ``layer``.

    The vertical axis points down, so bars have smaller values than the base line. Bins that were
    left out of the table are at the base line.
    """
    heights: list[float] = []
    edges: list[float] = []
    for low, high, fraction in zip(bars["low"], bars["high"], bars["fraction"], strict=True):
        if edges and low > edges[-1]:
            heights.append(float(layer))
            edges.append(low)
        if not edges:
            edges.append(low)
        heights.append(layer - scale * fraction)
        edges.append(high)
    return heights, edges


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from the ``layer_cushion.csv`` of runs, with its histograms."""
    data = histograms(read_final(file.parent for file in files))
    return style.Drawing(draw(data), data, float_format="%.7g")
