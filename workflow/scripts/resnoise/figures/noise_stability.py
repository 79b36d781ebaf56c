"""Noise stability: what Gaussian noise in one layer does to the output, plain against residual.

Rows of panels: noise on the weights of a layer; noise on its input; how noise on the input of some
layers fades on its way to the output; how far the layers after one are from linear (section 5;
Arora et al. 2018).
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from resnoise.figures import style
from resnoise.files import atomic_path

KEYS = ["architecture", "depth", "quantity", "size", "layer", "name", "at_layer"]
MARKERS = {"plain": "o", "residual": "^"}
# Layers whose noise is followed through the network.
FOLLOWED = 4
_BAND = 2.0


def summarise(stability: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds of the weights after training.

    Columns: architecture, depth, quantity, size, layer, name, at_layer, seeds, mean,
    standard_error, maximum (over all seeds, pictures and repeats). The standard error is that of
    the mean over seeds if there are several, and else that of the one run, which knows nothing of
    other seeds.

    Args:
        stability: rows of ``resnoise.runs.read_metrics`` for "noise_stability.csv".
    """
    final = stability[stability["snapshot"] == "final"]
    # The contraction has no size.
    groups = final.groupby(KEYS, as_index=False, dropna=False)
    summary = groups.agg(
        seeds=("seed", "nunique"),
        own_error=("standard_error", "mean"),
        deviation=("mean", "std"),
        maximum=("maximum", "max"),
        mean=("mean", "mean"),
    )
    several = summary["deviation"] / np.sqrt(summary["seeds"])
    summary["standard_error"] = several.where(summary["seeds"] > 1, summary["own_error"])
    return summary[[*KEYS, "seeds", "mean", "standard_error", "maximum"]]


def draw(summary: pd.DataFrame) -> Figure:
    """Return the figure: a column for each depth, four rows of panels.

    Lines are means, bands two standard errors to both sides. The middle one of the sizes of noise
    is drawn bold, the others thin.

    Args:
        summary: what ``summarise`` returned.
    """
    depths = sorted(summary["depth"].unique())
    columns = max(len(depths), 1)
    figure, grid = plt.subplots(
        4,
        columns,
        figsize=(0.6 + 3.3 * columns, 8.6),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for axes, depth in zip(grid.T, depths, strict=False):
        own = summary[summary["depth"] == depth]
        sizes = sorted(own["size"].dropna().unique())
        main = sizes[len(sizes) // 2]
        axes[0].set_title(f"depth {depth}", fontsize=9)
        _at_output(axes[0], own, "weight_noise", sizes, main)
        _at_output(axes[1], own, "input_noise", sizes, main)
        _fading(axes[2], own[own["size"] == main])
        _at_output(axes[3], own, "inverse_smoothness", [main], main)
        axes[3].set_xlabel("layer")
        for axis in axes:
            axis.set_yscale("log")
            axis.tick_params(labelbottom=True)
    labels = (
        "noise on weights of layer:\nrelative change of logits",
        "noise on input of layer:\nrelative change of logits",
        "noise on input of marked layers:\nrelative change of responses",
        "from layer to logits:\ninverse smoothness" + r" $1/\rho$",
    )
    for axis, label in zip(grid[:, 0], labels, strict=True):
        axis.set_ylabel(label)
    handles = [
        Line2D([], [], color=style.COLOURS[name], marker=marker, markersize=3.5, label=name)
        for name, marker in MARKERS.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def _at_output(
    axis: Axes, data: pd.DataFrame, quantity: str, sizes: Sequence[float], main: float
) -> None:
    """Draw what noise in each layer does to the logits, and in how many layers residual wins."""
    last = data["at_layer"].max()
    chosen = data[(data["quantity"] == quantity) & (data["at_layer"] == last)]
    for size in sizes:
        for name in MARKERS:
            curve = chosen[(chosen["architecture"] == name) & (chosen["size"] == size)]
            _curve(axis, curve, "layer", name, bold=size == main)
            if len(curve) and len(sizes) > 1:
                _label_end(axis, curve, size, name)
    both = chosen[chosen["size"] == main].pivot(
        index="layer", columns="architecture", values="mean"
    )
    if {*MARKERS} <= {*both.columns}:
        smaller = int((both["residual"] < both["plain"]).sum())
        axis.text(
            0.03,
            0.03,
            f"$s = {main:g}$: residual smaller in {smaller} of {len(both)} layers",
            transform=axis.transAxes,
            fontsize=7,
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
        )


def _label_end(axis: Axes, curve: pd.DataFrame, size: float, name: str) -> None:
    """Write the size of the noise beside the first point of a residual curve."""
    if name == "residual":
        axis.annotate(
            f"{size:g}",
            (curve["layer"].iloc[0], curve["mean"].iloc[0]),
            xytext=(-3, 0),
            textcoords="offset points",
            fontsize=6,
            horizontalalignment="right",
            verticalalignment="center",
        )


def _fading(axis: Axes, data: pd.DataFrame) -> None:
    """Draw the relative change of all later responses for noise on the input of some layers."""
    noise = data[data["quantity"] == "input_noise"]
    layers = np.unique(noise["layer"])
    positions = np.linspace(0, len(layers) - 1, FOLLOWED + 1).round().astype(int)[:-1]
    for layer in layers[positions]:
        for name in MARKERS:
            curve = noise[(noise["layer"] == layer) & (noise["architecture"] == name)]
            _curve(axis, curve, "at_layer", name, bold=False)
            axis.plot(
                curve["at_layer"].iloc[:1],
                curve["mean"].iloc[:1],
                color=style.COLOURS[name],
                marker=MARKERS[name],
                markersize=5,
            )


def _curve(axis: Axes, curve: pd.DataFrame, x: str, name: str, bold: bool) -> None:
    """Draw a mean with its band."""
    colour = style.COLOURS[name]
    axis.plot(
        curve[x],
        curve["mean"],
        color=colour,
        marker=MARKERS[name] if bold else None,
        markersize=3,
        linewidth=1.3 if bold else 0.8,
    )
    # On a logarithmic axis a band that reaches below zero would swallow the panel.
    low = np.maximum(curve["mean"] - _BAND * curve["standard_error"], curve["mean"] / 10)
    high = curve["mean"] + _BAND * curve["standard_error"]
    axis.fill_between(curve[x], low, high, color=colour, alpha=0.2, lw=0)


def write(stability: pd.DataFrame, pdf: Path, png: Path, csv: Path) -> None:
    """Write the figure as PDF and PNG and the means behind it as CSV."""
    summary = summarise(stability)
    with atomic_path(csv) as temporary:
        summary.to_csv(temporary, index=False)
    figure = draw(summary)
    style.save(figure, pdf, png)
    plt.close(figure)
