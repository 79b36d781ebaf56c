"""Table 4 (appendix D): risk and weight term of plain networks from KWI and from T(HMWI)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.summaries.evaluations import read_evaluations
from resnoise.summaries.names import initialisation_name
from resnoise.summaries.published import PUBLISHED_AS
from resnoise.summaries.seeds import finished
from resnoise.summaries.weights import MOMENTS, read_statistics
from resnoise.tables.text import (
    Table,
    markdown_table,
    mean_cell,
    printed_rounded,
    rounded,
    seeds_cell,
)


def table4(
    evaluations: pd.DataFrame, statistics: pd.DataFrame, paper: Mapping[str, Any]
) -> pd.DataFrame:
    """Return Table 4: risk and weight term before and after training, from KWI and from T(HMWI).

    Columns: moment ("before" or "after" training), depth, initialisation, seeds (their number),
    diverged (number of runs), and

    - risk: training risk,
    - term: weight term of the plain network's weights,
    - residual_term (for T(HMWI) only): weight term of the residual network that computes the same
      function,
    - risk_over_term: mean risk divided by mean term,
    - kwi_term_ratio: mean term from KWI divided by the mean residual_term of this row.

    The first three have ``_mean`` and ``_std`` over seeds (``_std`` is empty for one seed); all but
    residual_term have ``_paper``. Means leave out runs that diverged.

    Args:
        evaluations: rows from ``resnoise.summaries.evaluations.read_evaluations``.
        statistics: rows from ``read_statistics`` for the same runs.
        paper: the paper's numbers (see ``resnoise.summaries.published.read_paper``).
    """
    keys = ["architecture", "depth", "initialisation", "seed", "snapshot"]
    terms = statistics[statistics["statistic"] == "weight_term"]
    wide = terms.pivot(index=keys, columns="view", values="value").reset_index()
    wide = wide.astype({"snapshot": str})
    wide = wide.rename(columns={"plain": "term", "residual": "residual_term"})
    known = evaluations[[*keys, "status", "risk"]].merge(wide, on=keys, how="left")
    rows = []
    for moment, snapshot in MOMENTS.items():
        own = known[known["snapshot"] == snapshot]
        for (depth, initialisation), group in own.groupby(["depth", "initialisation"]):
            ended = finished(group)
            printed = _table4_numbers(paper, moment, int(str(depth)), str(initialisation))
            row: dict[str, Any] = {
                "moment": moment,
                "depth": depth,
                "initialisation": initialisation,
                "seeds": len(group),
                "diverged": len(group) - len(ended),
            }
            for measure in ("risk", "term", "residual_term"):
                # Networks from KWI have no corresponding residual network.
                shown = measure != "residual_term" or initialisation != "kwi"
                row[f"{measure}_mean"] = ended[measure].mean() if shown else None
                row[f"{measure}_std"] = ended[measure].std() if shown else None
            row["risk_paper"] = printed.get("risk")
            row["term_paper"] = printed.get("weight_term")
            row["risk_over_term"] = row["risk_mean"] / row["term_mean"]
            row["risk_over_term_paper"] = printed.get("risk_over_term")
            row["kwi_term_ratio_paper"] = printed.get("plain_term_ratio")
            rows.append(row)
    table = pd.DataFrame(rows)
    kwi = table[table["initialisation"] == "kwi"].set_index(["moment", "depth"])["term_mean"]
    own_kwi = [kwi.get(key) for key in zip(table["moment"], table["depth"], strict=True)]
    ratio = pd.to_numeric(pd.Series(own_kwi)) / pd.to_numeric(table["residual_term_mean"])
    table.insert(len(table.columns) - 1, "kwi_term_ratio", ratio)
    return table


def _table4_numbers(
    paper: Mapping[str, Any], moment: str, depth: int, initialisation: str
) -> dict[str, float]:
    """Return the numbers that the paper's Table 4 prints for networks of one kind."""
    network = PUBLISHED_AS.get(initialisation, "")
    printed = dict(paper["table4"].get(depth, {}).get(moment, {}).get(network, {}))
    if moment == "after":
        # The table repeats numbers of other tables: for KWI of Table 1, for T(HMWI) of Table 2.
        repeated = paper["table1" if network == "plain" else "table2"]
        printed |= repeated.get(depth, {}).get("plain", {})
    return printed


def table4_markdown(table: pd.DataFrame) -> str:
    """Return the table from ``table4`` as Markdown, with the paper's numbers in brackets."""
    header = ["training", "depth", "init", "seeds", "training risk", "weight term"]
    header += ["of T^-1(p)", "risk / weight term", "KWI's weight term / of T^-1(p)"]
    rows = []
    for row in table.to_dict("records"):
        rows.append(
            [
                row["moment"],
                f"{row['depth']}",
                initialisation_name(row["initialisation"]),
                seeds_cell(row),
                mean_cell(row, "risk"),
                mean_cell(row, "term"),
                mean_cell(row, "residual_term"),
                *(
                    rounded(row[name]) + printed_rounded(row[f"{name}_paper"])
                    for name in ("risk_over_term", "kwi_term_ratio")
                ),
            ]
        )
    note = (
        "Measured (paper: CIFAR-10, 200 epochs). Means +- standard deviations over seeds. All are "
        "plain networks; those from T(HMWI) start as the equals of residual ones, T^-1(p). The "
        "paper's ratio for depth 20 before training, 268, is to the weight term of the residual "
        "network itself, without the ones of the ID entries. Runs that diverged count in no mean."
    )
    return f"# Table 4\n\n{markdown_table(header, rows)}\n\n{note}\n"


def make(files: Sequence[Path], paper: Mapping[str, Any]) -> Table:
    """Make Table 4.

    Args:
        files: ``weight_statistics.csv`` of runs, each with ``evaluation.csv`` in the same folder.
        paper: the paper's numbers.
    """
    folders = [file.parent for file in files]
    evaluations = read_evaluations(folder / "evaluation.csv" for folder in folders)
    table = table4(evaluations, read_statistics(folders), paper)
    return Table(table4_markdown(table), table)
