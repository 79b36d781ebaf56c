"""Table 3 (appendix C): weights of plain and residual networks before and after training.

Works on the files of ``resnoise.metrics.weight_statistics`` and ``resnoise.metrics.evaluation``,
without torch.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.summaries.published import read_paper
from resnoise.summaries.weights import MOMENTS, NETWORKS, read_statistics
from resnoise.tables.text import markdown_table, mean_cell, write_with_markdown

_GROUPS = {"all": "all weights", "large": "large weights", "id": "ID entries"}

_STATISTICS = {
    "mean": "mean",
    "standard_deviation": "standard deviation",
    "mass": "mass",
    "count": "number",
}


def table3(statistics: pd.DataFrame, paper: Mapping[int, Any]) -> pd.DataFrame:
    """Return Table 3: statistics of the plain weights p and of the transferred weights T(r).

    A row for every depth, group and statistic (see ``resnoise.metrics.weight_statistics``); for
    each of before_p, before_transferred, after_p and after_transferred the columns ``_mean`` and
    ``_std`` over seeds (empty for one seed), ``_seeds``, and ``_paper``.

    Args:
        statistics: rows of ``read_statistics``.
        paper: section ``table3`` of the paper's numbers, as depth -> moment -> architecture ->
            group_statistic -> number.
    """
    # As the plain network that computes the run's function: p itself, T(r) of a residual run.
    plain = statistics[statistics["view"] == "plain"]
    rows = []
    for (depth, group, statistic), own in plain.groupby(
        ["depth", "group", "statistic"], sort=False
    ):
        row: dict[str, Any] = {"depth": depth, "group": group, "statistic": statistic}
        for moment, snapshot in MOMENTS.items():
            for network, architecture in NETWORKS.items():
                cell = own[(own["snapshot"] == snapshot) & (own["architecture"] == architecture)]
                printed = paper.get(int(str(depth)), {}).get(moment, {}).get(architecture, {})
                name = f"{moment}_{network}"
                row[f"{name}_mean"] = cell["value"].mean()
                row[f"{name}_std"] = cell["value"].std()
                row[f"{name}_seeds"] = len(cell)
                row[f"{name}_paper"] = printed.get(f"{group}_{statistic}")
        rows.append(row)
    return pd.DataFrame(rows).sort_values("depth", kind="stable", ignore_index=True)


def table3_markdown(table: pd.DataFrame, threshold: float, id_threshold: float) -> str:
    """Return ``table3`` as Markdown for people: measured, and the paper's number in brackets.

    Args:
        table: what ``table3`` returned.
        threshold: magnitude above which weights are large.
        id_threshold: what the counts of ID-sized weights are above.
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


def write_table3(
    folders: Iterable[Path],
    paper: Path,
    csv: Path,
    markdown: Path,
    *,
    threshold: float,
    id_threshold: float,
) -> str:
    """Write Table 3 as CSV and Markdown; return the Markdown.

    Args:
        folders: run folders with ``weight_statistics.csv``.
        paper: the paper's numbers (YAML).
        csv: CSV to write.
        markdown: Markdown to write.
        threshold: magnitude above which weights are large.
        id_threshold: what the counts of ID-sized weights are above.
    """
    table = table3(read_statistics(folders), read_paper(paper)["table3"])
    text = table3_markdown(table, threshold, id_threshold)
    return write_with_markdown(table, csv, text, markdown)
