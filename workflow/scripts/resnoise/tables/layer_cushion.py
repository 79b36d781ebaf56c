"""The tables of layer cushions: every layer, and counts of layers beside the paper's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.summaries.layer_cushion import (
    CLEARLY,
    COUNTS,
    KINDS,
    QUANTILES,
    count_table,
    layer_table,
    read_final,
)
from resnoise.tables.text import PENDING, Table, markdown_table


def markdown(layers: pd.DataFrame, counts: pd.DataFrame, confidence: float) -> str:
    """Return both tables as Markdown to read.

    Args:
        layers: table from ``layer_table``.
        counts: table from ``count_table``.
        confidence: confidence level of the intervals.
    """
    header = ["depth", "runs", "pictures", "residual larger", "clearly larger", "by median"]
    header += ["by minimum", "not clearly larger", "not compared"]
    rows = []
    for row in counts.to_dict("records"):
        printed = "" if pd.isna(row["larger_paper"]) else f" (paper: {row['larger_paper']})"
        larger, clearly = (_count(row, name) for name in COUNTS)
        rows.append(
            [
                f"{row['depth']}",
                f"{row['plain_runs']} + {row['residual_runs']}",
                f"{row['pictures']}",
                f"{larger}{printed}",
                clearly,
                *(
                    PENDING if pd.isna(row[name]) else f"{row[name]}"
                    for name in ("larger_by_median", "larger_by_minimum")
                ),
                row["exceptions"] or "none",
                row["not_compared"] or "none",
            ]
        )
    names = ["depth", "layer", "name", "plain: minimum", "median (5 % to 95 %)"]
    names += ["residual: minimum", "median (5 % to 95 %)", "residual larger"]
    lines = [
        [
            f"{row['depth']}",
            f"{row['layer']}",
            row["name"],
            *(cell for kind in KINDS for cell in _cells(row, kind)),
            PENDING if pd.isna(row["residual_share"]) else f"{100 * row['residual_share']:.1f} %",
        ]
        for row in layers.to_dict("records")
    ]
    note = (
        "In a layer the residual cushion is larger if it is on more than half of the pictures, and "
        f"clearly larger if on more than {100 * CLEARLY:g} %; ranges: {100 * confidence:g} % "
        "intervals of a bootstrap over pictures and runs. In brackets the paper's count: all "
        "layers but two. The layer cushion is the minimum over the pictures. A layer is dead on a "
        "picture if nothing of the picture reaches it, and has exploded if its numbers overflow: "
        "such pictures count in no number, and layers without other pictures are not compared."
    )
    return (
        f"# Layer cushions\n\n{markdown_table(header, rows)}\n\n{note}\n\n"
        f"{markdown_table(names, lines)}\n"
    )


def _count(row: Mapping[Any, Any], name: str) -> str:
    """Return a count of layers, of how many, and its interval."""
    if pd.isna(row[name]):
        return PENDING
    return f"{row[name]} of {row['layers']}, {row[f'{name}_low']} to {row[f'{name}_high']}"


def _cells(row: Mapping[Any, Any], kind: str) -> tuple[str, str]:
    """Return minimum and distribution of the cushions of one layer in networks of one kind."""
    if row[f"{kind}_state"]:
        return row[f"{kind}_state"], PENDING
    share = row[f"{kind}_measured"]
    part = "" if share == 1 else f" on {100 * share:.3g} % of pictures"
    low, median, high = (f"{row[f'{kind}_{name}']:.3g}" for name in QUANTILES)
    return f"{row[f'{kind}_minimum']:.3g}", f"{median} ({low} to {high}){part}"


def make(
    files: Sequence[Path],
    paper: Mapping[str, Any],
    *,
    replicates: int,
    confidence: float,
    seed: int,
) -> Table:
    """Make the table of all layers, and the counts of layers by depth.

    Args:
        files: ``layer_cushion.csv`` of runs.
        paper: the paper's numbers.
        replicates: number of bootstrap replicates.
        confidence: confidence level of the bootstrap interval.
        seed: seed of the bootstrap.
    """
    comparisons = read_final(file.parent for file in files)
    layers = layer_table(comparisons)
    exceptions = paper["layer_cushion"]["exceptions"]
    counts = count_table(
        comparisons, layers, exceptions, replicates=replicates, confidence=confidence, seed=seed
    )
    return Table(markdown(layers, counts, confidence), layers, counts)
