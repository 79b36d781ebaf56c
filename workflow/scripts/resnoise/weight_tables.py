"""Tables 3 and 4: weights of plain and residual networks before and after training.

Works on the files of ``resnoise.metrics.weight_statistics`` and ``resnoise.run_evaluation``,
without torch.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise import csvfile
from resnoise.errors import ResnoiseError
from resnoise.runs import read_metrics
from resnoise.tables import (
    PENDING,
    PUBLISHED_AS,
    markdown_table,
    read_evaluations,
    read_paper,
    seeds_cell,
)

FILE = "weight_statistics.csv"
MOMENTS = {"before": "initial", "after": "final"}
# The networks of Table 3 by architecture: the weights p of the plain one, T(r) of the residual one.
NETWORKS = {"p": "plain", "transferred": "residual"}
_COLUMNS = {"snapshot", "view", "group", "statistic", "value"}
_GROUPS = {"all": "all weights", "large": "large weights", "id": "ID entries"}
_STATISTICS = {
    "mean": "mean",
    "standard_deviation": "standard deviation",
    "mass": "mass",
    "count": "number",
}


def read_statistics(folders: Iterable[Path]) -> pd.DataFrame:
    """Return the weight statistics of all runs with columns that say which run a row belongs to.

    Args:
        folders: run folders with ``run.json`` and ``weight_statistics.csv``.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    frame = read_metrics(folders, FILE)
    if missing := _COLUMNS - {*frame.columns}:
        raise ResnoiseError(f"{FILE}: no column {', '.join(sorted(missing))}")
    return frame


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
                _cell(row, f"{moment}_{network}")
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


def table4(
    evaluations: pd.DataFrame, statistics: pd.DataFrame, paper: Mapping[str, Any]
) -> pd.DataFrame:
    """Return Table 4: risk and weight term before and after training, from KWI and from T(HMWI).

    Columns: moment ("before", "after"), depth, initialisation, seeds, diverged; ``_mean`` and
    ``_std`` over seeds (empty for one) and ``_paper`` of risk and of term, the weight term of the
    plain network's weights; residual_term_mean and _std, that of the residual network that computes
    the same function (for T(HMWI) only); risk_over_term, and kwi_term_ratio, the weight term from
    KWI divided by this residual term, both of means and with ``_paper``. Runs that diverged count
    in no mean.

    Args:
        evaluations: rows of ``resnoise.tables.read_evaluations``.
        statistics: rows of ``read_statistics`` of the same runs.
        paper: the paper's numbers (see ``resnoise.tables.read_paper``).
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
            finished = group[group["status"] == "ok"]
            printed = _table4_numbers(paper, moment, int(str(depth)), str(initialisation))
            row: dict[str, Any] = {
                "moment": moment,
                "depth": depth,
                "initialisation": initialisation,
                "seeds": len(group),
                "diverged": len(group) - len(finished),
            }
            for measure in ("risk", "term", "residual_term"):
                # Of KWI there is no residual network to speak of.
                shown = measure != "residual_term" or initialisation != "kwi"
                row[f"{measure}_mean"] = finished[measure].mean() if shown else None
                row[f"{measure}_std"] = finished[measure].std() if shown else None
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
    """Return what the paper's Table 4 says of networks of one kind."""
    network = PUBLISHED_AS.get(initialisation, "")
    printed = dict(paper["table4"].get(depth, {}).get(moment, {}).get(network, {}))
    if moment == "after":
        # The table repeats these: of KWI from Table 1, of T(HMWI) from Table 2.
        repeated = paper["table1" if network == "plain" else "table2"]
        printed |= repeated.get(depth, {}).get("plain", {})
    return printed


def table4_markdown(table: pd.DataFrame) -> str:
    """Return ``table4`` as Markdown for people: measured, and the paper's number in brackets."""
    header = ["training", "depth", "init", "seeds", "training risk", "weight term"]
    header += ["of T^-1(p)", "risk / weight term", "KWI's weight term / of T^-1(p)"]
    rows = []
    for row in table.to_dict("records"):
        rows.append(
            [
                row["moment"],
                f"{row['depth']}",
                row["initialisation"].upper().replace("T-HMWI", "T(HMWI)"),
                seeds_cell(row),
                _cell(row, "risk"),
                _cell(row, "term"),
                _cell(row, "residual_term"),
                *(
                    _number(row[name]) + _printed(row[f"{name}_paper"])
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
    return csvfile.write_with_markdown(table, csv, text, markdown)


def write_table4(folders: Iterable[Path], paper: Path, csv: Path, markdown: Path) -> str:
    """Write Table 4 as CSV and Markdown; return the Markdown.

    Args:
        folders: run folders with ``weight_statistics.csv`` and ``evaluation.csv``.
        paper: the paper's numbers (YAML).
        csv: CSV to write.
        markdown: Markdown to write.
    """
    places = list(folders)
    evaluations = read_evaluations(folder / "evaluation.csv" for folder in places)
    table = table4(evaluations, read_statistics(places), read_paper(paper))
    return csvfile.write_with_markdown(table, csv, table4_markdown(table), markdown)


def _cell(row: Mapping[Any, Any], name: str) -> str:
    """Return "mean +- std (paper)" of a row's columns that start with ``name``."""
    mean, std = row.get(f"{name}_mean"), row.get(f"{name}_std")
    measured = _number(mean) + ("" if pd.isna(std) else f" +- {std:.2g}")
    return measured + _printed(row.get(f"{name}_paper"))


def _number(value: float | None) -> str:
    """Return ``value`` with 4 significant digits, whole from 1000 on; a dash if there is none."""
    if pd.isna(value):
        return PENDING
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _printed(value: float | None) -> str:
    """Return the paper's number in brackets, or nothing if it has none."""
    return "" if pd.isna(value) else f" ({value:.4g})"
