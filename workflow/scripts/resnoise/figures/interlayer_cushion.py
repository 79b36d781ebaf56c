"""Heat maps of interlayer cushions, by first and last block: residual, plain, and their ratio."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from resnoise.figures import style
from resnoise.metrics import states
from resnoise.summaries.interlayer_cushion import ALL_KINDS, KINDS, NETWORK, read, summarise
from resnoise.summaries.runs import ANY_KIND

NAMES = {"fully_fledged": "fully-fledged", "simplified": "simplified"}
_MARKERS = {states.DEAD: "x", states.EXPLODED: "+"}
# Maps with more blocks than this have no room for numbers.
_LARGEST_WITH_NUMBERS = 10


def draw(summary: pd.DataFrame) -> Figure:
    """Draw the table from ``summarise``: a row of maps for every family and depth."""
    networks = list(summary.groupby(NETWORK, sort=False))
    if not networks:
        figure, axis = plt.subplots(figsize=(4.0, 1.0))
        axis.set_axis_off()
        axis.text(0.5, 0.5, "no cushions: all runs diverged", ha="center", va="center")
        return figure
    columns = max(len(_maps(rows)) for _, rows in networks)
    figure, axes = plt.subplots(
        len(networks),
        columns,
        figsize=(3.3 * columns + 0.3, 2.9 * len(networks)),
        layout="constrained",
        squeeze=False,
    )
    for line, ((family, depth), rows) in zip(axes, networks, strict=True):
        maps = _maps(rows)
        known = np.concatenate([_positive(maps[kind]) for kind in ALL_KINDS if kind in maps])
        shared = LogNorm(known.min(), known.max()) if len(known) else LogNorm(0.1, 1)
        # Networks trained elsewhere may have groups of unequal sizes, so no lines separate them.
        groups = 3 if family in NAMES else 1
        for axis, name in zip(line, [*maps, *[""] * (columns - len(maps))], strict=True):
            if not name:
                axis.set_visible(False)
                continue
            values = maps[name]
            if name in ALL_KINDS:
                _heat_map(axis, values, groups, "viridis", shared, r"mean $\mu_{i,j}$")
                _name_states(axis, rows[rows["kind"] == name])
                own = "" if name == ANY_KIND else f" {name}"
                axis.set_title(f"{NAMES.get(str(family), family)}{own}, depth {depth}", fontsize=9)
            else:
                # The scale is symmetric about 1, so that the colour shows which mean is larger.
                logarithms = np.abs(np.log(_positive(values)))
                extreme = max(1.02, float(np.exp(logarithms.max(initial=0))))
                norm = LogNorm(1 / extreme, extreme)
                _heat_map(axis, values, groups, "RdBu_r", norm, "residual / plain")
                title = "ratio of the means"
                if len(values) > _LARGEST_WITH_NUMBERS and (values < 1).any():
                    # In grey, both sides of the scale are dark.
                    first, last = np.nonzero(values < 1)
                    axis.plot(last + 1, first + 1, "_", color="black", markersize=3)
                    title += "; \N{MINUS SIGN}: below 1"
                axis.set_title(title, fontsize=9)
    return figure


def _maps(rows: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Return name -> map, as arrays [first, last]: means by kind, and "ratio".

    A kind of network without runs has no map; without both kinds there is no ratio.
    """
    maps = {}
    for kind in ALL_KINDS:
        part = rows[rows["kind"] == kind]
        if len(part):
            table = part.pivot(index="first", columns="last", values="mean")
            maps[kind] = table.to_numpy(dtype=np.float64)
    if all(kind in maps for kind in KINDS):
        maps["ratio"] = maps["residual"] / maps["plain"]
    return maps


def _positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return those of the values that have a place on a logarithmic scale, in one dimension."""
    found: NDArray[np.float64] = values[np.isfinite(values) & (values > 0)]
    return found


def _name_states(axis: Axes, rows: pd.DataFrame) -> None:
    """Mark spans that are dead or have exploded, and say below the map what the marks mean."""
    names = []
    for state, marker in _MARKERS.items():
        own = rows[rows["state"] == state]
        if len(own):
            axis.plot(own["last"], own["first"], marker, color="0.4", markersize=3)
            names.append(f"{marker} {state}")
    axis.text(
        *(0.03, 0.03, "\n".join(names)),
        transform=axis.transAxes,
        fontsize=7,
        color="0.4",
    )


def _heat_map(
    axis: Axes, values: NDArray[np.float64], groups: int, colours: str, norm: Normalize, label: str
) -> None:
    """Draw one map, with the first block downwards and the last block to the right.

    Lines separate the groups, which have equal numbers of blocks.
    """
    count = len(values)
    edges = np.arange(count + 1) + 0.5
    image = axis.pcolormesh(edges, edges, values, cmap=colours, norm=norm, rasterized=True)
    axis.set_aspect("equal")
    axis.invert_yaxis()
    axis.grid(False)
    for group in range(1, groups):
        boundary = group * count / groups + 0.5
        # No line in the lower left half, where there are no spans.
        axis.plot([boundary, boundary], [0.5, boundary], color="white", lw=0.9)
        axis.plot([boundary, count + 0.5], [boundary, boundary], color="white", lw=0.9)
    ticks = np.arange(1, count + 1, 1 if count <= _LARGEST_WITH_NUMBERS else 3)
    axis.set_xticks(ticks)
    axis.set_yticks(ticks)
    axis.set_xlabel("last block $j$")
    axis.set_ylabel("first block $i$")
    bar = axis.figure.colorbar(image, ax=axis, shrink=0.85, pad=0.02)
    bar.set_label(label)
    bar.locator = LogLocator(10, subs=(1, 1.5, 2, 3, 5, 7))
    bar.formatter = FuncFormatter(lambda value, _: f"{value:.2g}")
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.update_ticks()
    if count <= _LARGEST_WITH_NUMBERS:
        for (first, last), value in np.ndenumerate(values):
            if np.isfinite(value):
                red, green, blue, _ = image.cmap(norm(value))
                dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
                axis.text(
                    last + 1,
                    first + 1,
                    f"{value:.2f}".removeprefix("0"),
                    ha="center",
                    va="center",
                    fontsize=5.5,
                    color="white" if dark else "black",
                )


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from ``interlayer_cushion.csv`` of runs, or of one network from elsewhere."""
    return drawing(read(file.parent for file in files))


def drawing(rows: pd.DataFrame) -> style.Drawing:
    """Make the figure from the rows of ``read``, with its numbers."""
    summary = summarise(rows)
    return style.Drawing(draw(summary), summary)
