"""Figure 5 (appendix A): the blocks of simplified and of fully-fledged networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnoise.figures import diagrams, style
from resnoise.figures.diagrams import INK, SOFT


class Panel(NamedTuple):
    """A block to draw.

    Attributes:
        architecture: architecture of the network that the block is from.
        doubling: True for a block that doubles the channels.
        title: title of the panel.
        family: heading above all panels of the same family of networks.
    """

    architecture: str
    doubling: bool
    title: str
    family: str


SIMPLIFIED, FULLY_FLEDGED = "simplified", "fully-fledged"
PANELS = (
    Panel("plain", False, "(a) plain", SIMPLIFIED),
    Panel("residual", False, "(b) residual", SIMPLIFIED),
    Panel("residual", True, "(c) residual,\nchannels double", SIMPLIFIED),
    Panel("full-plain", False, "(d) plain", FULLY_FLEDGED),
    Panel("full-residual", False, "(e) residual", FULLY_FLEDGED),
    Panel("full-residual", True, "(f) residual,\nchannels double", FULLY_FLEDGED),
)

# Sizes in inches: the figure; its margin and the space between families; a box, the distance
# between boxes, radius of the plus; y of the input.
_WIDTH, _HEIGHT = 7.2, 4.75
_MARGIN, _BETWEEN = 0.1, 0.16
_BOX, _PITCH, _PLUS = (0.82, 0.27), 0.4, 0.06
_TOP = 3.98
_SIZE = ("channels", "height", "width")
_TEXTS = {"BatchNorm2d": "batch norm", "ReLU": "ReLU"}


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from ``network_layers.csv``, with the layers of all panels in order.

    Raises:
        ResnoiseError: the file is missing or damaged, or lacks a network.
    """
    architectures = list(dict.fromkeys(panel.architecture for panel in PANELS))
    table = diagrams.read(files[0], architectures)
    return style.Drawing(draw(table), pd.concat([block(table, panel) for panel in PANELS]))


def block(table: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Return the layers of the first block of the panel's kind; no rows if there is none."""
    rows = table[(table["architecture"] == panel.architecture) & (table["block"] != "")]
    blocks = (own for _, own in rows.groupby("block", sort=False))
    wanted = (own for own in blocks if _doubles(own) == panel.doubling)
    return next(wanted, rows.iloc[:0])


def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from the layers that ``diagrams.read`` returned."""
    figure, axes = diagrams.canvas(_WIDTH, _HEIGHT)
    column = (_WIDTH - 2 * _MARGIN - _BETWEEN) / len(PANELS)
    for family in (SIMPLIFIED, FULLY_FLEDGED):
        members = [index for index, panel in enumerate(PANELS) if panel.family == family]
        left = _MARGIN + members[0] * column + (family == FULLY_FLEDGED) * _BETWEEN
        right = left + len(members) * column
        axes.text((left + right) / 2, _HEIGHT - 0.14, family, ha="center", va="center", fontsize=9)
        axes.plot((left + 0.04, right - 0.04), 2 * (_HEIGHT - 0.27,), color=SOFT, lw=0.8)
        for place, index in enumerate(members):
            rows = block(table, PANELS[index])
            x = left + (place + 0.5) * column
            axes.text(
                *(x, _HEIGHT - 0.36, PANELS[index].title),
                ha="center",
                va="top",
                fontsize=8,
                fontweight="bold",
                linespacing=1.1,
            )
            if len(rows):
                _draw_block(axes, rows, x - 0.09)
    return figure


def _doubles(rows: pd.DataFrame) -> bool:
    return bool(rows["in_channels"].iloc[0] < rows["out_channels"].iloc[-1])


def _draw_block(axes: Axes, rows: pd.DataFrame, x: float) -> None:
    """Draw the layers of a block from top to bottom around ``x``, and its formula below."""
    first, last = rows.iloc[0], rows.iloc[-1]
    has_sum = "Sum" in set(rows["kind"])
    colour = style.COLOURS["residual" if has_sum else "plain"]
    y = _TOP
    _draw_tensor(axes, (x, y), "x", [first[f"in_{name}"] for name in _SIZE])
    above = y - 0.1
    branch = above - 0.1
    y -= _PITCH + 0.12
    for _, layer in rows.iterrows():
        half = _PLUS if layer["kind"] == "Sum" else _BOX[1] / 2
        diagrams.arrow(axes, (x, above), (x, y + half))
        if layer["kind"] == "Sum":
            diagrams.plus(axes, (x, y), _PLUS)
            outline = diagrams.detour((x, branch), (x + _PLUS, y), x + _BOX[0] / 2 + 0.12)
            diagrams.identity(axes, outline, style.COLOURS["residual"], dashed=_doubles(rows))
        elif layer["kind"] == "Conv2d":
            text = f"{layer['kernel']}$\\times${layer['kernel']} conv, {layer['out_channels']}"
            text += f", /{layer['stride']}" if layer["stride"] > 1 else ""
            diagrams.box(
                axes,
                (x, y),
                _BOX,
                text,
                edge=colour,
                fill=diagrams.tint(colour, 0.25),
                fontsize=6.8,
            )
        else:
            text = _TEXTS.get(layer["kind"], layer["kind"])
            fill = diagrams.tint(INK, 0.1 if layer["kind"] == "BatchNorm2d" else 0)
            diagrams.box(axes, (x, y), _BOX, text, fill=fill, fontsize=6.8)
        above = y - half
        y -= _PITCH
    diagrams.arrow(axes, (x, above), (x, y + 0.14))
    _draw_tensor(axes, (x, y + 0.04), "y", [last[f"out_{name}"] for name in _SIZE])
    added = {"none": "", "identity": " + x"}.get(first["identity"], r" + \mathrm{id}(x)")
    weights = "r" if has_sum else "p"
    formula = rf"$y = \mathrm{{ReLU}}(F(x; {weights}){added})$"
    axes.text(x + 0.06, y - 0.2, formula, ha="center", va="center", fontsize=7.2)
    if _doubles(rows) and has_sum:
        how = diagrams.DOUBLING[first["identity"]].replace(", ", ",\n")
        text = f"id: {how}"
        axes.text(x + 0.06, y - 0.34, text, ha="center", va="top", fontsize=6.8, color=INK)


def _draw_tensor(axes: Axes, place: diagrams.Point, symbol: str, size: list[int]) -> None:
    """Write the symbol of a tensor and its size: channels, height and width."""
    x, y = place
    axes.text(x, y, f"${symbol}$", ha="center", va="center", fontsize=10)
    text = r"{} @ {}$\times${}".format(*size)
    axes.text(x + 0.1, y, text, ha="left", va="center", fontsize=6, color=SOFT)
