"""Noise stability (section 5; Arora et al. 2018): the effect of Gaussian noise in one layer.

Rows of panels: change of the logits by noise on the weights of a layer, of the same size for all
networks, relative to the transferred weights and relative to the weights; by noise on its input;
how noise on the input of some layers fades on its way to the output; how far the layers from one
layer on are from linear.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType

from resnoise.figures import style
from resnoise.metrics import states
from resnoise.summaries.noise_stability import middle
from resnoise.summaries.runs import read_metrics

KEYS = ["architecture", "depth", "quantity", "size", "layer", "name", "at_layer"]
MARKERS = {"plain": "o", "residual": "^"}
PANELS = {
    "equal_weight_noise": "weights of layer, same noise\nfor all: change of logits " + r"$/\,s$",
    "transferred_weight_noise": "relative to weights with\nones: change of logits " + r"$/\,s$",
    "weight_noise": "relative to weights without\nones: change of logits " + r"$/\,s$",
    "input_noise": "noise on input of layer:\nchange of logits " + r"$/\,s$",
    "fading": "noise on input of marked\nlayers: change of responses " + r"$/\,s$",
    "inverse_smoothness": "from layer to logits:\ninverse smoothness " + r"$1/\rho$",
}
# Number of layers whose noise is followed through the network.
FOLLOWED = 4
_BAND = 2.0


def summarise(stability: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds, for the weights after training.

    Columns: architecture, depth, quantity, size, layer, name, at_layer, seeds (number of those with
    a mean), mean, standard_error, maximum (over all seeds, pictures and repeats), state ("dead" or
    "exploded" if no seed has a mean). With several seeds the standard
    error is that of the mean over seeds. With one seed it is the error within the run, which does
    not include the spread over seeds.

    Args:
        stability: rows from ``resnoise.summaries.runs.read_metrics`` for "noise_stability.csv".
    """
    final = stability[stability["snapshot"] == "final"]
    final = final.assign(whole=states.values(final["mean"], final[states.COLUMN]))
    # dropna=False keeps the rows of the contraction, which have no size.
    groups = final.groupby(KEYS, as_index=False, dropna=False, observed=True)
    summary = groups.agg(
        seeds=("mean", "count"),
        own_error=("standard_error", "mean"),
        deviation=("mean", "std"),
        maximum=("maximum", "max"),
        mean=("mean", "mean"),
        state=("whole", states.common),
    )
    several = summary["deviation"] / np.sqrt(summary["seeds"])
    summary["standard_error"] = several.where(summary["seeds"] > 1, summary["own_error"])
    return summary[[*KEYS, "seeds", "mean", "standard_error", "maximum", states.COLUMN]]


def draw(summary: pd.DataFrame) -> Figure:
    """Draw the figure: a column for each depth, a row for each of ``PANELS``.

    Changes are divided by the size s of the noise, so that curves of different sizes differ only
    where networks are not linear. Lines are means. Bands are two standard errors to both sides, and
    are drawn for the middle size only.

    Args:
        summary: table from ``summarise``.
    """
    depths = sorted(summary["depth"].unique())
    sizes = sorted(summary["size"].dropna().unique())
    columns = max(len(depths), 1)
    figure, grid = plt.subplots(
        len(PANELS),
        columns,
        figsize=(0.6 + 3.3 * columns, 2.1 * len(PANELS)),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for axes, depth in zip(grid.T, depths, strict=False):
        own = summary[summary["depth"] == depth]
        for axis, quantity in zip(axes, PANELS, strict=True):
            if quantity == "fading":
                _fading(axis, own, middle(sizes))
                title = ""
            else:
                title = _at_output(axis, own, quantity, sizes)
            axis.set_title(title, fontsize=8)
            axis.tick_params(labelbottom=True)
        axes[0].set_title(f"depth {depth}\n{axes[0].get_title()}", fontsize=8)
        axes[-1].set_xlabel("layer")
    for axis in grid.flat:
        style.logarithmic(axis, "y")
    for axis, label in zip(grid[:, 0], PANELS.values(), strict=True):
        axis.set_ylabel(label)
    networks = [
        Line2D([], [], color=style.COLOURS[name], marker=marker, markersize=3.5, label=name)
        for name, marker in MARKERS.items()
    ]
    noises = [
        Line2D([], [], color="0.3", linestyle=_line_style(sizes, size), label=f"$s = {size:g}$")
        for size in sizes
    ]
    handles = [*networks, *noises]
    in_row = len(handles) if columns > 1 else len(networks)
    figure.legend(handles=handles, loc="outside upper center", ncols=in_row, handlelength=2.2)
    return figure


def _line_style(sizes: Sequence[float], size: float) -> LineStyleType:
    """Return the line style of a size: solid for the middle one, dashed or dotted for others."""
    if size == middle(sizes):
        return "-"
    others = [other for other in sizes if other != middle(sizes)]
    dashes = style.LINE_STYLES[1:]
    return cast(LineStyleType, dashes[others.index(size) % len(dashes)])


def _at_output(axis: Axes, data: pd.DataFrame, quantity: str, sizes: Sequence[float]) -> str:
    """Draw the effect on the logits by layer; return a title with the number of layers.

    The title says in how many layers the effect is smaller in the residual network. Layers that are
    dead or have exploded are marked with crosses and not compared.
    """
    chosen = data[(data["quantity"] == quantity) & (data["at_layer"] == data["at_layer"].max())]
    # Inverse smoothness is not divided by the size: it is relative to it by definition.
    scaled = quantity != "inverse_smoothness"
    for size in sizes:
        for name in MARKERS:
            curve = chosen[(chosen["architecture"] == name) & (chosen["size"] == size)]
            main = size == middle(sizes)
            _curve(
                axis, curve, "layer", name, size if scaled else 1, _line_style(sizes, size), main
            )
    both = chosen[chosen["size"] == middle(sizes)].pivot(
        index="layer", columns="architecture", values="mean"
    )
    if not {*MARKERS} <= {*both.columns}:
        return ""
    for name in MARKERS:
        style.mark_states(axis, both.index[both[name].isna()].tolist(), name)
    compared = both.dropna()
    smaller = int((compared["residual"] < compared["plain"]).sum())
    text = f"residual smaller in {smaller} of {len(compared)} layers"
    left = len(both) - len(compared)
    return f"{text}\n({left} dead or exploded)" if left else text


def _fading(axis: Axes, data: pd.DataFrame, size: float) -> None:
    """Draw, for noise on the input of some layers, the relative change of all later responses."""
    noise = data[(data["quantity"] == "input_noise") & (data["size"] == size)]
    layers = np.unique(noise["layer"])
    positions = np.linspace(0, len(layers), FOLLOWED, endpoint=False).astype(int)
    for layer in layers[positions] if len(layers) else ():
        for name in MARKERS:
            curve = noise[(noise["layer"] == layer) & (noise["architecture"] == name)]
            _curve(axis, curve, "at_layer", name, size, "-", False)
            axis.plot(
                curve["at_layer"].iloc[:1],
                curve["mean"].iloc[:1] / size,
                color=style.COLOURS[name],
                marker=MARKERS[name],
                markersize=4.5,
            )


def _curve(
    axis: Axes,
    curve: pd.DataFrame,
    x: str,
    name: str,
    divisor: float,
    line_style: LineStyleType,
    main: bool,
) -> None:
    """Draw the mean of one network, divided by ``divisor``, against the column ``x``.

    Solid lines have a band; ``main`` curves have markers and are thicker.
    """
    colour = style.COLOURS[name]
    axis.plot(
        curve[x],
        curve["mean"] / divisor,
        color=colour,
        linestyle=line_style,
        marker=MARKERS[name] if main else None,
        markersize=3,
        linewidth=1.2 if main else 0.9,
    )
    if line_style != "-":
        return
    # On a logarithmic axis, a band that reaches below zero would fill the panel to its lower end.
    low = np.maximum(curve["mean"] - _BAND * curve["standard_error"], curve["mean"] / 10)
    high = curve["mean"] + _BAND * curve["standard_error"]
    axis.fill_between(curve[x], low / divisor, high / divisor, color=colour, alpha=0.2, lw=0)


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from the ``noise_stability.csv`` of runs, with its means."""
    return drawing(read_metrics((file.parent for file in files), "noise_stability.csv"))


def drawing(stability: pd.DataFrame) -> style.Drawing:
    """Make the figure from the rows of ``read_metrics``, with its means."""
    summary = summarise(stability)
    return style.Drawing(draw(summary), summary, float_format="%.7g")
