"""Table 5 (appendix D.3): networks of dominant paths only, compared with residual networks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.summaries.evaluations import read_evaluations
from resnoise.summaries.seeds import finished
from resnoise.tables.table1 import growth
from resnoise.tables.text import Table, markdown_table, measured, number, printed, seeds_cell

MEASURES = ("risk", "test_error")
# Network -> its name in the table, in its order.
NETWORKS = {
    "residual": "residual",
    "plain": "plain, T(HMWI)",
    "dominant-path": "dominant-path",
    "dominant-path-lower-full": "dominant-path-lower-full",
}


def table5(evaluations: pd.DataFrame, paper: Mapping[int, Any]) -> pd.DataFrame:
    """Return Table 5, with one row for each network and depth.

    Columns: depth, network, seeds (their number), diverged (number of runs); ``_mean`` and ``_std``
    (sample standard deviation) over seeds and ``_paper`` of risk and test_error; ``_mean`` and
    ``_paper`` of accuracy_share, the accuracy (1 - test_error) divided by that of the residual
    network of the same depth, and of risk_growth, the risk divided by that of the same network at
    the smallest depth. Means leave out runs that diverged.

    Args:
        evaluations: rows from ``resnoise.summaries.evaluations.read_evaluations``.
        paper: section ``table5`` of the paper's numbers, as depth -> network -> measure.
    """
    final = evaluations[evaluations["snapshot"] == "final"]
    rows = []
    for (depth, network), group in final.groupby(["depth", "architecture"]):
        ended = finished(group)
        numbers = paper.get(int(str(depth)), {}).get(network, {})
        row: dict[str, Any] = {
            "depth": depth,
            "network": network,
            "seeds": len(group),
            "diverged": len(group) - len(ended),
        }
        for measure in MEASURES:
            row[f"{measure}_mean"] = ended[measure].mean()
            row[f"{measure}_std"] = ended[measure].std()
            row[f"{measure}_paper"] = numbers.get(measure)
        rows.append(row)
    order = {network: place for place, network in enumerate(NETWORKS)}
    table = pd.DataFrame(rows)
    table = table.sort_values(
        ["depth", "network"],
        key=lambda column: column.map(order) if column.name == "network" else column,
        ignore_index=True,
    )
    for kind in ("mean", "paper"):
        table[f"accuracy_share_{kind}"] = _accuracy_share(table, f"test_error_{kind}")
        table[f"risk_growth_{kind}"] = growth(table, f"risk_{kind}")
    return table


def _accuracy_share(table: pd.DataFrame, column: str) -> pd.Series:
    """Return each row's accuracy divided by that of the residual network of the same depth."""
    accuracy = 1 - pd.to_numeric(table[column])
    residual = accuracy[table["network"] == "residual"]
    by_depth = residual.set_axis(table.loc[residual.index, "depth"])
    return accuracy / table["depth"].map(by_depth)


def table5_markdown(table: pd.DataFrame) -> str:
    """Return the table from ``table5`` as Markdown, with the paper's numbers in brackets."""
    header = ["depth", "network", "seeds", "training risk", "test error"]
    header += ["share of residual accuracy", "risk growth"]
    rows = []
    for row in table.to_dict("records"):
        cells = [f"{row['depth']}", NETWORKS[row["network"]], seeds_cell(row)]
        for measure in MEASURES:
            cells.append(
                measured(row[f"{measure}_mean"], row[f"{measure}_std"])
                + printed(row[f"{measure}_paper"], 4)
            )
        for name, digits in (("accuracy_share", 3), ("risk_growth", 4)):
            cells.append(
                number(row[f"{name}_mean"], digits) + printed(row[f"{name}_paper"], digits)
            )
        rows.append(cells)
    note = (
        "Measured (paper: CIFAR-10, 200 epochs). All networks start from HMWI. Means +- standard "
        "deviations over seeds; risk growth: training risk relative to the smallest depth. What "
        "the paper prints for residual networks here are the numbers of Table 2 for the plain "
        "networks from T(HMWI). With exact arithmetic both would be the same network at every "
        "step (section 4.1); rounding drives them apart, in float32 within some 15 epochs of the "
        "quick configuration, so that both are measured. dominant-path: diagonal kernels; "
        "dominant-path-lower-full: the lower half of the kernels that double the channels is full, "
        "for which the paper's numbers are lost."
    )
    return f"# Table 5\n\n{markdown_table(header, rows)}\n\n{note}\n"


def make(files: Sequence[Path], paper: Mapping[str, Any]) -> Table:
    """Make Table 5 from the ``evaluation.csv`` of runs."""
    table = table5(read_evaluations(files), paper["table5"])
    return Table(table5_markdown(table), table)
