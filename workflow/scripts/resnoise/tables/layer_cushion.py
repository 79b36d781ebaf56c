"""The tables of layer cushions: every layer, and counts of layers beside the paper's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.summaries.layer_cushion import CLEARLY, COUNTS, count_table, layer_table, read_final
from resnoise.tables.text import Table, markdown_table


def markdown(layers: pd.DataFrame, counts: pd.DataFrame, confidence: float) -> str:
    """Return both tables as Markdown to read.

    Args:
        layers: table from ``layer_table``.
        counts: table from ``count_table``.
        confidence: confidence level of the intervals.
    """
    header = ["depth", "runs", "pictures", "residual larger", "clearly larger", "by median"]
    header += ["by minimum", "not clearly larger"]
    rows = []
    for row in counts.to_dict("records"):
        printed = "" if pd.isna(row["larger_paper"]) else f" (paper: {row['larger_paper']})"
        larger, clearly = (
            f"{row[name]} of {row['layers']}, {row[f'{name}_low']} to {row[f'{name}_high']}"
            for name in COUNTS
        )
        rows.append(
            [
                f"{row['depth']}",
                f"{row['plain_runs']} + {row['residual_runs']}",
                f"{row['pictures']}",
                f"{larger}{printed}",
                clearly,
                f"{row['larger_by_median']}",
                f"{row['larger_by_minimum']}",
                row["exceptions"] or "none",
            ]
        )
    names = ["depth", "layer", "name", "plain: minimum", "median (5 % to 95 %)"]
    names += ["residual: minimum", "median (5 % to 95 %)", "residual larger"]
    lines = [
        [
            f"{row['depth']}",
            f"{row['layer']}",
            row["name"],
            *(
                cell
                for kind in ("plain", "residual")
                for cell in (
                    f"{row[f'{kind}_minimum']:.3g}",
                    f"{row[f'{kind}_median']:.3g} ({row[f'{kind}_q05']:.3g} to "
                    f"{row[f'{kind}_q95']:.3g})",
                )
            ),
            f"{100 * row['residual_share']:.1f} %",
        ]
        for row in layers.to_dict("records")
    ]
    note = (
        "In a layer the residual cushion is larger if it is on more than half of the pictures, and "
        f"clearly larger if on more than {100 * CLEARLY:g} %; ranges: {100 * confidence:g} % "
        "intervals of a bootstrap over pictures and runs. In brackets the paper's count: all "
        "layers but two. The layer cushion is the minimum over the pictures."
    )
    return (
        f"# Layer cushions\n\n{markdown_table(header, rows)}\n\n{note}\n\n"
        f"{markdown_table(names, lines)}\n"
    )


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
