"""The table of all networks that were trained elsewhere: how stable each is against noise."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.summaries.external import overview
from resnoise.tables.text import PENDING, Table, fixed, markdown_table, number

LOST = "dead or exploded"
NOTE = (
    "Layer cushions: over layers, of the medians over pictures. Interlayer cushions: over single "
    "blocks, of the means over pictures. Noise: relative change of the logits by noise in one "
    "layer, divided by the size of the noise{size}; median over layers. Gradient flow: share of "
    "paths that dominate, mean over layers. Margin: median over the test pictures, and that of "
    "margin / norm of the logits. Larger cushions and margins and smaller changes mean more "
    "stability. A dash: there is no number, as where layers are dead or have exploded on all "
    "pictures; such layers count in no other number."
)


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _significant(value: float) -> str:
    return number(value, 3)


# Heading -> column of the summary, and how its numbers are written.
_COLUMNS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "test error": ("test_error", lambda value: fixed(value, 4)),
    "parameters": ("parameters", _whole),
    "layers": ("depth", _whole),
    LOST: ("lost_layers", _whole),
    "layer cushion: smallest": ("layer_cushion_smallest", _significant),
    "layer cushion: median": ("layer_cushion_median", _significant),
    "interlayer cushion: mean": ("interlayer_cushion_mean", _significant),
    "interlayer cushion: smallest": ("interlayer_cushion_smallest", _significant),
    "gradient flow": ("gradient_flow", _significant),
    "noise on weights": ("weight_noise", _significant),
    "noise on inputs": ("input_noise", _significant),
    "margin": ("margin_median", _significant),
    "relative margin": ("margin_relative_median", _significant),
}


def markdown(table: pd.DataFrame) -> str:
    """Return the table from ``resnoise.summaries.external.overview`` as Markdown.

    The number of dead and exploded layers is left out if there are none.
    """
    shown = {heading: entry for heading, entry in _COLUMNS.items() if entry[0] in table}
    if "lost_layers" in table and not table["lost_layers"].sum():
        del shown[LOST]
    lines = [
        [str(row["name"]), *(_cell(row, column, text) for column, text in shown.values())]
        for row in table.to_dict("records")
    ]
    sizes = table["noise_size"].dropna().unique() if "noise_size" in table else ()
    size = f" ({', '.join(f'{size:g}' for size in sizes)})" if len(sizes) else ""
    parts = [
        "# Networks trained elsewhere",
        markdown_table(["network", *shown], lines),
        NOTE.format(size=size),
    ]
    if "gradient_flow_missing" in table and table["gradient_flow_missing"].any():
        without = table[table["gradient_flow_missing"] != ""]
        reasons = without["name"] + " (" + without["gradient_flow_missing"] + ")"
        parts.append(f"Dominant gradient flow is not defined for {', '.join(reasons)}.")
    return "\n\n".join(parts) + "\n"


def _cell(row: Mapping[Any, Any], column: str, text: Callable[[float], str]) -> str:
    return PENDING if pd.isna(row[column]) else text(row[column])


def make(
    files: Sequence[Path], paper: Mapping[str, Any] | None, *, reading: str, layers: str
) -> Table:
    """Make the table.

    Args:
        files: measurements of networks, with ``network.json`` beside them.
        paper: not used; the paper has no such networks.
        reading: how dominant gradient flow is read.
        layers: which layers count in it.
    """
    table = overview(files, layers, reading)
    return Table(markdown(table), table)
