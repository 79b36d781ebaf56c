"""Table 3 (appendix C): weights of plain and residual networks before and after training.

The table is made from the files of ``resnoise.metrics.weight_statistics``, without torch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.summaries.weights import MOMENTS, NETWORKS, read_statistics, table3
from resnoise.tables.text import Table, markdown_table, mean_cell

_GROUPS = {"all": "all weights", "large": "large weights", "id": "ID entries"}

_STATISTICS = {
    "mean": "mean",
    "standard_deviation": "standard deviation",
    "mass": "mass",
    "count": "number",
}


def table3_markdown(table: pd.DataFrame, threshold: float, id_threshold: float) -> str:
    """Return the table from ``table3`` as Markdown, with the paper's numbers in brackets.

    Args:
        table: table from ``table3``.
        threshold: magnitude above which weights are called large.
        id_threshold: value above which weights are counted as being of the size of ID entries.
    """
    lines = {
        **{
            (group, statistic): f"{label}, {name}"
            for statistic, label in _STATISTICS.items()
            for group, name in _GROUPS.items()
        },
        ("id", "share"): "mass of ID entries / of large weights",
        ("all", "above"): f"weights above {id_threshold:g}",
        ("id", "above"): f"ID entries above {id_threshold:g}",
        ("id", "mode"): "mode of ID entries",
    }
    header = ["depth", "", "p before", "T(r) before", "p after", "T(r) after"]
    cells = {
        (row["depth"], row["group"], row["statistic"]): row for row in table.to_dict("records")
    }
    rows = [
        [
            f"{depth}",
            label,
            *(
                mean_cell(row, f"{moment}_{network}")
                for moment in MOMENTS
                for network in NETWORKS
                for row in [cells.get((depth, group, statistic), {})]
            ),
        ]
        for depth in table["depth"].unique()
        for (group, statistic), label in lines.items()
    ]
    note = (
        "Measured (paper: CIFAR-10, depth 32, 200 epochs, what its text says). Means +- standard "
        f"deviations over seeds. Large: magnitude above {threshold:g}; mass: l1 norm; biases do "
        "not count. Mode: highest place of a Gaussian kernel density estimate. The paper prints "
        "its shares as more than 76 % and 10.29 %, and the mode as around 0.9."
    )
    return f"# Table 3\n\n{markdown_table(header, rows)}\n\n{note}\n"


def make(
    files: Sequence[Path], paper: Mapping[str, Any], *, threshold: float, id_threshold: float
) -> Table:
    """Make Table 3.

    Args:
        files: ``weight_statistics.csv`` of runs.
        paper: the paper's numbers.
        threshold: magnitude above which weights are called large.
        id_threshold: value above which weights are counted as being of the size of ID entries.
    """
    table = table3(read_statistics(file.parent for file in files), paper["table3"])
    return Table(table3_markdown(table, threshold, id_threshold), table)
