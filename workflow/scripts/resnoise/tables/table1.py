"""Tables 1 and 2 (appendices A and B): measured risk, cost and test error beside the paper's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.summaries.evaluations import TABLE1_MEASURES, read_evaluations
from resnoise.summaries.names import initialisation_name
from resnoise.summaries.seeds import finished
from resnoise.tables.text import Table, markdown_table, measured, number, printed, seeds_cell


def table1(evaluations: pd.DataFrame, paper: Mapping[int, Any]) -> pd.DataFrame:
    """Return Table 1: training risk, cost and test error of plain and residual networks.

    There is one row for every depth and network, with the number of seeds, the number of runs that
    diverged, mean and sample standard deviation over seeds (the latter empty for one seed), the
    paper's number for each mean, and the growth of the mean risk from the smallest depth to this
    one. Means leave out runs that diverged.

    Args:
        evaluations: rows from ``read_evaluations``.
        paper: section ``table1`` of the paper's numbers, as depth -> network -> measure.
    """
    final = evaluations[evaluations["snapshot"] == "final"]
    rows = []
    keys = ["architecture", "depth", "initialisation"]
    for (network, depth, initialisation), group in final.groupby(keys, sort=False):
        ended = finished(group)
        printed = paper.get(int(str(depth)), {}).get(network, {})
        row: dict[str, Any] = {
            "depth": depth,
            "network": network,
            "initialisation": initialisation,
            "seeds": len(group),
            "diverged": len(group) - len(ended),
        }
        for measure in TABLE1_MEASURES:
            row[f"{measure}_mean"] = ended[measure].mean()
            row[f"{measure}_std"] = ended[measure].std()
            row[f"{measure}_paper"] = printed.get(measure)
        rows.append(row)
    table = pd.DataFrame(rows).sort_values(
        ["depth", "network", "initialisation"], ignore_index=True
    )
    for column in ("risk_mean", "risk_paper"):
        table[column.replace("risk", "risk_growth")] = growth(table, column)
    return table


def growth(table: pd.DataFrame, column: str) -> pd.Series:
    """Return each row's value divided by the same network's value at the smallest depth."""
    smallest = table[table["depth"] == table["depth"].min()].set_index("network")[column]
    return pd.to_numeric(table[column]) / pd.to_numeric(table["network"].map(smallest))


def table1_markdown(table: pd.DataFrame, title: str) -> str:
    """Return the table from ``table1`` as Markdown, with the paper's numbers in brackets."""
    names = {"risk": "training risk", "cost": "training cost", "test_error": "test error"}
    header = ["depth", "network", "init", "seeds", *names.values(), "risk growth"]
    rows = []
    for row in table.to_dict("records"):
        cells = [
            f"{row['depth']}",
            row["network"],
            initialisation_name(row["initialisation"]),
            seeds_cell(row),
        ]
        for measure in names:
            cells.append(
                measured(row[f"{measure}_mean"], row[f"{measure}_std"])
                + printed(row[f"{measure}_paper"], 4)
            )
        cells.append(number(row["risk_growth_mean"], 3) + printed(row["risk_growth_paper"], 3))
        rows.append(cells)
    note = (
        "Measured (paper: CIFAR-10, 200 epochs). Means +- standard deviations over seeds; risk "
        "growth: training risk relative to the smallest depth. Risk and cost on the whole training "
        "set, without augmentation. Runs that diverged count in no mean."
    )
    return f"# {title}\n\n{markdown_table(header, rows)}\n\n{note}\n"


def make(
    files: Sequence[Path],
    paper: Mapping[str, Any],
    *,
    section: str = "table1",
    title: str = "Table 1",
) -> Table:
    """Make Table 1, or Table 2, which has the same columns.

    Args:
        files: ``evaluation.csv`` of runs.
        paper: the paper's numbers.
        section: section of the paper's numbers, "table1" or "table2".
        title: heading of the table.
    """
    table = table1(read_evaluations(files), paper[section])
    return Table(table1_markdown(table, title), table)
