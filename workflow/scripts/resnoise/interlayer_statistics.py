"""Interlayer cushions of residual beside plain networks: summaries and the table of blocks.

Works on the files of ``resnoise.metrics.interlayer_cushion``, without torch.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise import csvfile
from resnoise.errors import ResnoiseError
from resnoise.runs import read_metrics, read_network
from resnoise.tables import markdown_table

FILE = "interlayer_cushion.csv"
KINDS = ("residual", "plain")
FAMILIES = {"fully_fledged": "Fully-fledged networks", "simplified": "Simplified networks"}
NETWORK = ["family", "depth"]
# Architecture -> family and kind; those that the configuration allows to be measured.
ARCHITECTURES = {
    f"{prefix}{kind}": (family, kind)
    for prefix, family in (("full-", "fully_fledged"), ("", "simplified"))
    for kind in KINDS
}


def read(folders: Iterable[Path]) -> pd.DataFrame:
    """Return the cushions after training of all runs, with family and kind of their networks.

    Args:
        folders: run folders with ``run.json`` and ``interlayer_cushion.csv``.

    Raises:
        ResnoiseError: a file is missing or damaged, or no run has usable weights.
    """
    rows = read_metrics(folders, FILE)
    rows = rows[rows["snapshot"] == "final"]
    if rows.empty:
        raise ResnoiseError("no run has interlayer cushions: all of them diverged")
    names = rows["architecture"]
    return rows.assign(
        family=[ARCHITECTURES[name][0] for name in names],
        kind=[ARCHITECTURES[name][1] for name in names],
    )


def read_external(cushions: Path, record: Path) -> pd.DataFrame:
    """Return the cushions of a network trained elsewhere; its name stands for its family.

    Args:
        cushions: the file of ``resnoise.metrics.interlayer_cushion``.
        record: the network's facts (JSON).

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    name, depth, kind = read_network(record)
    rows = csvfile.read(cushions, "interlayer cushions")
    return rows.assign(family=name, depth=depth, kind=kind, seed=0)


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for every network and span with statistics over pictures and seeds.

    Columns: family, depth, kind, first, last, runs, pictures (with a cushion, over all runs), mean,
    standard_deviation, minimum, standard_error (root mean square over the pictures; 0: exact),
    probes (mean), each of the cushion.

    Args:
        rows: what ``read`` returned.
    """
    squares = rows.assign(square=rows["standard_error"] ** 2)
    groups = squares.groupby([*NETWORK, "kind", "first", "last"], as_index=False)
    table = groups.agg(
        runs=("seed", "nunique"),
        pictures=("cushion", "count"),
        mean=("cushion", "mean"),
        standard_deviation=("cushion", "std"),
        minimum=("cushion", "min"),
        standard_error=("square", "mean"),
        probes=("probes", "mean"),
    )
    table["standard_error"] **= 0.5
    return table


def blocks(summary: pd.DataFrame, paper: Mapping[str, Any] | None) -> pd.DataFrame:
    """Return a row for every family, depth and block, residual beside plain.

    Columns: family, depth, block, for both kinds ``_mean``, ``_standard_deviation``, ``_minimum``,
    ``_pictures`` and ``_minimal``, their ratio of means, and, in the row of the middle block of the
    network that the paper measured, ``paper_mean`` and ``paper_standard_deviation``. ``_minimal``
    is the minimal interlayer cushion (Arora et al. 2018, definition 4, without its bound
    1 / sqrt(h_i)): the smallest of all pictures and of all spans that begin with the block.

    Args:
        summary: what ``summarise`` returned.
        paper: section ``interlayer_cushion`` of the paper's numbers; None for none.
    """
    place = [*NETWORK, "kind", "first"]
    minimal = summary.groupby(place)["minimum"].min().rename("minimal")
    single = summary[summary["first"] == summary["last"]].join(minimal, on=place)
    single = single.rename(columns={"first": "block"})
    kept = ["mean", "standard_deviation", "minimum", "pictures", "minimal"]
    table = single[[*NETWORK, "block"]].drop_duplicates()
    for kind in KINDS:
        part = single[single["kind"] == kind].set_index([*NETWORK, "block"])[kept]
        table = table.join(part.add_prefix(f"{kind}_"), on=[*NETWORK, "block"])
    table["ratio"] = table["residual_mean"] / table["plain_mean"]
    table = table.sort_values([*NETWORK, "block"], ignore_index=True)
    for name in ("mean", "standard_deviation"):
        table[f"paper_{name}"] = float("nan")
    if paper is not None:
        family, _ = ARCHITECTURES[paper["architecture"]]
        rows = (table["family"] == family) & (table["depth"] == paper["depth"])
        middle = rows & (table["block"] == (table.loc[rows, "block"].max() + 1) // 2)
        for name in ("mean", "standard_deviation"):
            table.loc[middle, f"paper_{name}"] = paper[name]
    return table


def markdown(table: pd.DataFrame, title: str) -> str:
    """Return ``blocks`` as Markdown for people, a table for every family and depth."""
    parts = [f"# {title}"]
    for (family, depth), rows in table.groupby(NETWORK, sort=False):
        kinds = [kind for kind in KINDS if rows[f"{kind}_pictures"].notna().any()]
        both = len(kinds) == 2
        header = ["block", *(f"{kind}: mean +- std (minimum)" for kind in kinds)]
        header += ["residual / plain"] if both else []
        header += [f"{kind}: minimal" for kind in kinds]
        header += ["paper"] if rows["paper_mean"].notna().any() else []
        lines = []
        for row in rows.to_dict("records"):
            cells = [f"{row['block']}"]
            cells += [_cell(row, kind) for kind in kinds]
            cells += [_number(row["ratio"], 2)] if both else []
            cells += [_number(row[f"{kind}_minimal"], 4) for kind in kinds]
            if "paper" in header:
                cells.append(_paper(row))
            lines.append(cells)
        parts += [
            f"## {FAMILIES.get(str(family), family)}, depth {depth}",
            markdown_table(header, lines),
        ]
        if both:
            larger = int((rows["ratio"] > 1).sum())
            parts.append(f"The residual mean is the larger one in {larger} of {len(rows)} blocks.")
    parts.append(
        "Statistics over pictures (and runs, if there are several) after training. Cushions of "
        "blocks of one or two convolutions are computed without estimation; those of bottlenecks "
        "are estimated, with the standard errors in interlayer_cushion.csv. Minimal: the smallest "
        "cushion of all pictures and of all spans that begin with the block (minimal interlayer "
        "cushion of Arora et al. 2018)."
    )
    return "\n\n".join(parts) + "\n"


def _cell(row: Mapping[Any, Any], kind: str) -> str:
    """Return one network's statistics of a block."""
    if pd.isna(row[f"{kind}_mean"]):
        return "-"
    mean, std, low = (row[f"{kind}_{name}"] for name in ("mean", "standard_deviation", "minimum"))
    return f"{mean:.4f} +- {std:.4f} ({low:.4f})"


def _number(value: float, digits: int) -> str:
    """Return a number, or a dash where a network has none."""
    return "-" if pd.isna(value) else f"{value:.{digits}f}"


def _paper(row: Mapping[Any, Any]) -> str:
    """Return the paper's number, or nothing."""
    if pd.isna(row["paper_mean"]):
        return ""
    return f"{row['paper_mean']:.2f} +- {row['paper_standard_deviation']:.4f}"


def write(
    rows: pd.DataFrame, paper: Mapping[str, Any] | None, csv: Path, markdown_file: Path, title: str
) -> str:
    """Write the table of blocks as CSV and Markdown and return the Markdown."""
    table = blocks(summarise(rows), paper)
    text = markdown(table, title)
    return csvfile.write_with_markdown(table, csv, text, markdown_file)
