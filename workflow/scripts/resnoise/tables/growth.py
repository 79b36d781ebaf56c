"""The table of Figure 9: growth of the risk with depth, and the epoch of the largest difference."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resnoise.summaries.dynamics import peak_epochs, risk_differences
from resnoise.summaries.evaluations import read_evaluations
from resnoise.summaries.names import initialisation_name
from resnoise.summaries.published import PUBLISHED_AS
from resnoise.summaries.runs import read_histories
from resnoise.summaries.seeds import finished
from resnoise.tables.text import (
    PENDING,
    Table,
    markdown_table,
    measured,
    number,
    printed,
    seeds_cell,
)


def growth_table(
    evaluations: pd.DataFrame, histories: pd.DataFrame, paper: Mapping[str, Any]
) -> pd.DataFrame:
    """Return risks after training, their growth with depth, and the epoch of largest difference.

    Columns: depth, initialisation, seeds (their number), diverged (number of runs); risk_mean,
    risk_std (over seeds), risk_paper; growth and growth_paper (relative to the smallest depth);
    peak_epoch (see ``peak_epochs``) and peak_epoch_paper. Means leave out runs that diverged.

    Args:
        evaluations: rows from ``resnoise.summaries.evaluations.read_evaluations``, whose risks
            after training are those of the table.
        histories: rows from ``resnoise.summaries.runs.read_histories`` of the same runs.
        paper: section ``figure9`` of the paper's numbers.
    """
    peaks = peak_epochs(risk_differences(histories))
    last = evaluations[evaluations["snapshot"] == "final"]
    rows = []
    for (depth, initialisation), own in last.groupby(["depth", "initialisation"]):
        ended = finished(own)
        published = paper["risk"].get(int(str(depth)), {})
        rows.append(
            {
                "depth": depth,
                "initialisation": initialisation,
                "seeds": len(own),
                "diverged": len(own) - len(ended),
                "risk_mean": ended["risk"].mean(),
                "risk_std": ended["risk"].std(),
                "risk_paper": published.get(PUBLISHED_AS.get(str(initialisation)), np.nan),
                "peak_epoch": peaks.get(int(str(depth)), pd.NA),
                "peak_epoch_paper": paper["peak_epoch"],
            }
        )
    table = pd.DataFrame(rows)
    smallest = table[table["depth"] == table["depth"].min()].set_index("initialisation")
    place = [*table.columns].index("peak_epoch")
    for column, name in (("risk_paper", "growth_paper"), ("risk_mean", "growth")):
        growth = table[column] / table["initialisation"].map(smallest[column])
        table.insert(place, name, growth)
    return table


def growth_markdown(table: pd.DataFrame) -> str:
    """Return the table from ``growth_table`` as Markdown, with the paper's numbers in brackets."""
    header = ["depth", "init", "seeds", "training risk", "growth", "difference peaks at epoch"]
    rows = []
    for row in table.to_dict("records"):
        peak = PENDING if pd.isna(row["peak_epoch"]) else f"{row['peak_epoch']}"
        rows.append(
            [
                f"{row['depth']}",
                initialisation_name(row["initialisation"]),
                seeds_cell(row),
                f"{measured(row['risk_mean'], row['risk_std'])}{printed(row['risk_paper'], 2)}",
                f"{number(row['growth'], 3)}{printed(row['growth_paper'], 3)}",
                f"{peak} ({row['peak_epoch_paper']})",
            ]
        )
    note = (
        "Measured (paper: CIFAR-10, ten runs of 200 epochs). Means +- standard deviations over "
        "seeds of the risk on the training set after training, as in Table 1; growth: relative to "
        "the smallest depth (of the paper's printed numbers). Differences peak in the curves. Runs "
        "that diverged count in no mean."
    )
    return f"# Figure 9: risk and depth\n\n{markdown_table(header, rows)}\n\n{note}\n"


def make(files: Sequence[Path], paper: Mapping[str, Any]) -> Table:
    """Make the table from the ``history.csv`` of runs and the ``evaluation.csv`` beside each."""
    evaluations = read_evaluations(file.parent / "evaluation.csv" for file in files)
    histories = read_histories(file.parent for file in files)
    table = growth_table(evaluations, histories, paper["figure9"])
    return Table(growth_markdown(table), table)
