"""Figure 4 (appendix A): the simplified plain and residual networks, layer by layer."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from resnoise.figures import diagrams, style
from resnoise.figures.diagrams import INK, SOFT

# From top to bottom: architecture -> title with the paper's name, and y of the layers' middle.
PANELS = {
    "plain": ("(a) plain network (PlnNet)", 2.72),
    "residual": ("(b) residual network (ResNet)", 1.14),
}
DRAWN = ("Conv2d", "AveragePooling", "Linear")
# Of a group with more than MOST_BLOCKS blocks, only the FIRST ones and the LAST ones are drawn.
MOST_BLOCKS, FIRST, LAST = 6, 3, 2

# Sizes in inches: the figure; its margin and the space between groups; height of the tallest layer,
# smallest height of a layer, radius of the plus.
_WIDTH, _HEIGHT = 7.2, 3.8
_MARGIN, _BETWEEN_GROUPS = 0.12, 0.16
_TALLEST, _VECTOR, _PLUS = 0.62, 0.24, 0.045


@dataclasses.dataclass(frozen=True)
class Place:
    """The place of a layer, of the input, or of the dots for blocks that are left out.

    Attributes:
        x: x of the middle of the box.
        node: x of the point after the box, where an identity connection ends and the next begins.
        height: height of the box.
        layer: the layer's row of the table; None for the input and the dots.
        group: number of the group, from 1; 0 outside of the groups.
        text: text in the box.
        label: text below the box.
    """

    x: float
    node: float
    height: float
    layer: Any
    group: int
    text: str
    label: str = ""


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from ``network_layers.csv``, with the table of its layers.

    Raises:
        ResnoiseError: the file is missing or damaged, or lacks a network.
    """
    table = diagrams.read(files[0], [*PANELS])
    return style.Drawing(draw(table), table)


def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from the layers of a plain and a residual network (``diagrams.read``)."""
    figure, axes = diagrams.canvas(_WIDTH, _HEIGHT)
    for architecture, (title, middle) in PANELS.items():
        rows = table[table["architecture"] == architecture]
        network = places(rows)
        _draw_groups(axes, rows, network, middle)
        axes.text(_MARGIN, middle + 0.9, title, fontsize=8.5, fontweight="bold")
        _draw_network(axes, rows, network, middle, style.COLOURS[architecture])
    _draw_legend(axes, table)
    return figure


def places(rows: pd.DataFrame) -> list[Place]:
    """Return the places of the layers of one network, from left to right."""
    first = rows.iloc[0]
    groups = _groups(rows)
    found: list[tuple[Any, int, int, str, str]] = [
        (None, 0, first["in_height"], str(first["in_channels"]), "input")
    ]
    drawn: Any = rows[rows["kind"].isin(DRAWN)].itertuples()
    for row in drawn:
        group = groups.get(row.block, 0)
        members = [block for block, own in groups.items() if own == group and group]
        place = members.index(row.block) if group else 0
        if len(members) > MOST_BLOCKS and FIRST <= place < len(members) - LAST:
            if place == FIRST:
                found.append((None, group, row.out_height, "···", ""))
            continue
        label = {"AveragePooling": "pool", "Linear": "fc"}.get(row.kind, "")
        label = label or ("" if group else "conv")
        found.append((row, group, row.out_height, str(row.out_channels), label))
    changes = sum(one[1] != two[1] for one, two in itertools.pairwise(found))
    pitch = (_WIDTH - 2 * _MARGIN - changes * _BETWEEN_GROUPS) / len(found)
    x = _MARGIN + pitch / 2
    result = []
    for index, (layer, group, rows_out, text, label) in enumerate(found):
        gap = _BETWEEN_GROUPS if index + 1 < len(found) and found[index + 1][1] != group else 0
        height = max(_VECTOR, _TALLEST * (rows_out / first["in_height"]) ** 0.5)
        result.append(Place(x, x + pitch / 2, height, layer, group, text, label))
        x += pitch + gap
    return result


def _groups(rows: pd.DataFrame) -> dict[str, int]:
    """Return block -> number of its group, from 1."""
    blocks = [block for block in rows["block"].unique() if block]
    names = list(dict.fromkeys(block.rpartition(".")[0] for block in blocks))
    return {block: 1 + names.index(block.rpartition(".")[0]) for block in blocks}


def _draw_network(
    axes: Axes, rows: pd.DataFrame, network: list[Place], middle: float, colour: str
) -> None:
    """Draw the boxes of a network, the arrows between them, and its identity connections."""
    sums = set(rows.loc[rows["kind"] == "Sum", "block"])
    most = rows["out_channels"].max()
    width = 0.62 * min(two.x - one.x for one, two in itertools.pairwise(network))
    for index, place in enumerate(network):
        layer = place.layer
        left_out = layer is None and index > 0
        if left_out:
            axes.text(place.x, middle, place.text, ha="center", va="center", fontsize=9)
        else:
            convolution = layer is not None and layer.kind == "Conv2d"
            strength = 0.1 + 0.4 * layer.out_channels / most if convolution else 0.0
            diagrams.box(
                axes,
                (place.x, middle),
                (width, place.height),
                place.text,
                edge=colour if convolution else INK,
                fill=diagrams.tint(colour, strength),
                fontsize=6.5,
            )
        below = middle - place.height / 2 - 0.045
        if layer is not None and layer.kind == "Conv2d" and layer.stride > 1:
            text = f"/{layer.stride}"
            axes.text(place.x, below, text, ha="center", va="top", fontsize=6.5)
        axes.text(place.x, below, place.label, ha="center", va="top", fontsize=6.5, color=SOFT)
        if index + 1 == len(network):
            return
        after = network[index + 1]
        joins = layer is not None and layer.block in sums
        line = [place.x + width / 2, after.x - width / 2]
        if joins:
            start = network[index - 1]
            starts_at_sum = start.layer is not None and start.layer.block in sums
            from_ = (start.node, middle + (_PLUS if starts_at_sum else 0))
            doubles = bool(layer.in_channels != layer.out_channels)
            outline = diagrams.arch(from_, (place.node, middle + _PLUS), place.height / 2 + 0.14)
            diagrams.identity(axes, outline, style.COLOURS["residual"], dashed=doubles, head=4.5)
            diagrams.plus(axes, (place.node, middle), _PLUS)
        # Between close boxes there is no room for an arrow's head after the plus.
        head = 4 if line[1] - line[0] > 0.12 or not joins else 0
        diagrams.arrow(axes, (line[0], middle), (line[1], middle), head)


def _draw_groups(axes: Axes, rows: pd.DataFrame, network: list[Place], middle: float) -> None:
    """Draw a light band behind each group, with its number of blocks, channels and size."""
    groups = _groups(rows)
    half = min(two.x - one.x for one, two in itertools.pairwise(network)) / 2
    for number in sorted({*groups.values()}):
        own = [place.x for place in network if place.group == number]
        left, right = own[0] - half - 0.02, own[-1] + half + 0.06
        band = Rectangle((left, middle - 0.46), right - left, 1.28, facecolor="#f2f2f2", zorder=0)
        axes.add_patch(band)
        members = [block for block, group in groups.items() if group == number]
        last = rows[rows["block"] == members[-1]].iloc[-1]
        text = (
            rf"$G_{number}$: {len(members)} blocks"
            "\n"
            rf"{last['out_channels']} channels of "
            rf"{last['out_height']}$\times${last['out_width']}"
        )
        axes.text((left + right) / 2, middle + 0.65, text, ha="center", va="center", fontsize=7)


def _draw_legend(axes: Axes, table: pd.DataFrame) -> None:
    """Explain the symbols."""
    residual = table[table["architecture"] == "residual"]
    kernels = sorted({f"{k}$\\times${k}" for k in table["kernel"].dropna()})
    depth = int(residual["depth"].iloc[0])
    x, y = _MARGIN + 0.1, 0.45
    diagrams.box(axes, (x, y), (0.17, 0.22), "16", fontsize=6.5)
    axes.text(
        x + 0.18,
        y,
        f"{' or '.join(kernels)} convolution and ReLU; number: channels that go out; "
        "/2: stride 2; height: size of a channel",
        va="center",
        fontsize=7,
    )
    text = f"$L = 6n + 2 = {depth}$, $n = {(depth - 2) // 6}$"
    axes.text(_WIDTH - _MARGIN, y, text, va="center", ha="right", fontsize=8)
    y = 0.16
    diagrams.plus(axes, (x, y), _PLUS)
    axes.text(x + 0.18, y, "sum, before ReLU", va="center", fontsize=7)
    doubling = residual[residual["in_channels"] < residual["out_channels"]]
    (how,) = {diagrams.DOUBLING[kind] for kind in doubling["identity"]} - {""} or {"none"}
    for x, dashed, text in (
        (1.6, False, "identity connection"),
        (3.1, True, f"the same where channels double: {how}"),
    ):
        outline = diagrams.arch((x, y - 0.06), (x + 0.3, y - 0.06), 0.14)
        diagrams.identity(axes, outline, style.COLOURS["residual"], dashed=dashed, head=4.5)
        axes.text(x + 0.4, y, text, va="center", fontsize=7)
