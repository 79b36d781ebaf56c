"""The table of interlayer cushions of blocks: residual, plain, and the paper's number."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.summaries.interlayer_cushion import (
    ALL_KINDS,
    ARCHITECTURES,
    FAMILIES,
    KINDS,
    NETWORK,
    read,
    summarise,
)
from resnoise.summaries.runs import ANY_KIND
from resnoise.tables.text import PENDING, Table, fixed, markdown_table


def blocks(summary: pd.DataFrame, paper: Mapping[str, Any] | None) -> pd.DataFrame:
    """Return a row for every family, depth and block, with residual and plain side by side.

    Columns: family, depth, block; for each kind (or for "network" alone, where the kind of a
    network trained elsewhere is not known) ``_mean``, ``_standard_deviation``, ``_minimum``,
    ``_pictures``, ``_state`` ("dead" or "exploded" if no picture has a cushion) and ``_minimal``;
    ratio (of the two means); paper_mean and
    paper_standard_deviation, which are filled only for the block that the paper measured: the
    middle one of its network. ``_minimal`` is the minimal interlayer cushion (Arora et al. 2018,
    definition 4, without its bound 1 / sqrt(h_i)): the smallest over all pictures and all spans
    that begin with the block.

    Args:
        summary: table from ``summarise``.
        paper: section ``interlayer_cushion`` of the paper's numbers; None to leave them out.
    """
    place = [*NETWORK, "kind", "first"]
    minimal = summary.groupby(place)["minimum"].min().rename("minimal")
    single = summary[summary["first"] == summary["last"]].join(minimal, on=place)
    single = single.rename(columns={"first": "block"})
    kept = ["mean", "standard_deviation", "minimum", "pictures", "state", "minimal"]
    table = single[[*NETWORK, "block"]].drop_duplicates()
    known = KINDS if ANY_KIND not in set(single["kind"]) else (ANY_KIND,)
    for kind in known:
        part = single[single["kind"] == kind].set_index([*NETWORK, "block"])[kept]
        table = table.join(part.add_prefix(f"{kind}_"), on=[*NETWORK, "block"])
    both = all(kind in known for kind in KINDS)
    table["ratio"] = table["residual_mean"] / table["plain_mean"] if both else float("nan")
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
    """Return the table from ``blocks`` as Markdown, split into one for every family and depth."""
    parts = [f"# {title}"]
    if table.empty:
        parts.append("No run has cushions: all of them diverged.")
    for (family, depth), rows in table.groupby(NETWORK, sort=False):
        counts = rows.filter(regex="_pictures$").dropna(axis="columns", how="all")
        kinds = [kind for kind in ALL_KINDS if f"{kind}_pictures" in counts]
        both = len(kinds) == 2
        header = ["block", *(f"{kind}: mean +- std (minimum)" for kind in kinds)]
        header += ["residual / plain"] if both else []
        header += [f"{kind}: minimal" for kind in kinds]
        header += ["paper"] if rows["paper_mean"].notna().any() else []
        lines = []
        for row in rows.to_dict("records"):
            cells = [f"{row['block']}"]
            cells += [_cell(row, kind) for kind in kinds]
            cells += [fixed(row["ratio"], 2)] if both else []
            cells += [fixed(row[f"{kind}_minimal"], 4) for kind in kinds]
            if "paper" in header:
                cells.append(_paper(row))
            lines.append(cells)
        parts += [
            f"## {FAMILIES.get(str(family), family)}, depth {depth}",
            markdown_table(header, lines),
        ]
        if both:
            larger, compared = int((rows["ratio"] > 1).sum()), int(rows["ratio"].count())
            text = f"The residual mean is the larger one in {larger} of {compared} blocks"
            left = len(rows) - compared
            parts.append(f"{text}; {left} not compared." if left else f"{text}.")
    parts.append(
        "Statistics over the pictures of a run, after training; of several runs, their means and "
        "the smallest cushion of all. Cushions of blocks of one or two convolutions are computed "
        "without estimation; those of bottlenecks are estimated, with the standard errors in "
        "interlayer_cushion.csv. Minimal: the smallest cushion of all pictures and of all spans "
        "that begin with the block (minimal interlayer cushion of Arora et al. 2018). A block is "
        "dead on a picture if nothing of the picture reaches or leaves it, and has exploded if "
        "its numbers overflow: such pictures count in no number."
    )
    return "\n\n".join(parts) + "\n"


def _cell(row: Mapping[Any, Any], kind: str) -> str:
    """Return the text of a cell: statistics of one block in networks of one kind."""
    if pd.isna(row[f"{kind}_mean"]):
        return row[f"{kind}_state"] or PENDING
    mean, std, low = (row[f"{kind}_{name}"] for name in ("mean", "standard_deviation", "minimum"))
    return f"{mean:.4f} +- {std:.4f} ({low:.4f})"


def _paper(row: Mapping[Any, Any]) -> str:
    """Return the text of the paper's number, "" if there is none for this row."""
    if pd.isna(row["paper_mean"]):
        return ""
    return f"{row['paper_mean']:.2f} +- {row['paper_standard_deviation']:.4f}"


def make(files: Sequence[Path], paper: Mapping[str, Any] | None) -> Table:
    """Make the table for runs, or for one network trained elsewhere.

    Args:
        files: ``interlayer_cushion.csv`` of each network, with its record beside it.
        paper: the paper's numbers; None to leave them out, as for a network trained elsewhere.
    """
    rows = read(file.parent for file in files)
    table = blocks(summarise(rows), paper and paper["interlayer_cushion"])
    return Table(markdown(table, "Interlayer cushions of blocks"), table)
