"""The table of Figure 12: gradient flow of residual networks relative to plain ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resnoise.specs.flow import last_shallow
from resnoise.summaries.gradient_flow import (
    FAMILIES,
    MEASURES,
    of_layers,
    over_seeds,
    read,
)
from resnoise.tables.text import Table, markdown_table, number, printed

# A mean f below this is no denominator: fewer than one of a thousand tests.
SMALLEST = 0.001

STAGES = {
    "training": "whole training",
    "iteration1": "first iteration",
    "final": "last iteration",
}


def ratios(flows: pd.DataFrame, paper: Mapping[str, Any], shallow_share: float) -> pd.DataFrame:
    """Return the ratio of f in residual networks to f in plain ones, by layers and stage.

    f is averaged over the layers. For the whole training it is also averaged over time, by the
    trapezoidal rule from the first to the last iteration. The ratio is that of the averages, and
    empty where f of plain networks is that of less than one test in one picture. A layer that is
    dead or has exploded at a snapshot, in one of the two networks, does not count there.

    Columns: family; layers ("shallow", "deep", "G1", ...), first and last (numbers of the layers);
    stage (of the training); for each of f_mean and f_median ``_residual``, ``_plain`` and
    ``_ratio``; ratio_paper.

    Args:
        flows: rows from ``over_seeds``.
        paper: section ``gradient_flow`` of the paper's numbers.
        shallow_share: share of the depth up to which layers are called shallow.
    """
    rows = []
    for family in FAMILIES:
        of_family = flows[(flows["family"] == family) & (flows["snapshot"] != "initial")]
        known = of_family.groupby(["depth", "snapshot", "layer"])["f_mean"].transform(
            lambda both: both.notna().all()
        )
        of_family = of_family[known.astype(bool)]
        if of_family.empty:
            continue
        for layers, chosen in _parts(of_family, shallow_share).items():
            for stage in STAGES:
                row: dict[str, Any] = {
                    "family": family,
                    "layers": layers,
                    "first": chosen["layer"].min(),
                    "last": chosen["layer"].max(),
                    "stage": stage,
                }
                for measure in MEASURES:
                    for residual, name in ((True, "residual"), (False, "plain")):
                        part = chosen[chosen["residual"] == residual]
                        row[f"{measure}_{name}"] = _average(part, measure, stage)
                    plain = row[f"{measure}_plain"]
                    row[f"{measure}_ratio"] = (
                        row[f"{measure}_residual"] / plain if plain >= SMALLEST else None
                    )
                printed_ratio = paper.get(family, {}).get(layers) if stage == "training" else None
                rows.append({**row, "ratio_paper": printed_ratio})
    return pd.DataFrame(rows)


def _parts(flows: pd.DataFrame, shallow_share: float) -> dict[str, pd.DataFrame]:
    """Return the rows of the shallow and the deep layers, and of each group."""
    last = last_shallow(int(flows["depth"].iloc[0]), shallow_share)
    shallow = flows["layer"] <= last
    parts = {"shallow": flows[shallow], "deep": flows[~shallow]}
    return parts | {f"G{group}": rows for group, rows in flows.groupby("group")}


def _average(flows: pd.DataFrame, measure: str, stage: str) -> float:
    """Return the mean over layers at a stage, or over layers and time for the whole training."""
    if stage != "training":
        return float(flows.loc[flows["snapshot"] == stage, measure].mean())
    means = flows.groupby("epoch")[measure].mean()
    times = means.index.to_numpy(dtype=np.float64)
    if len(times) < 2:
        return float("nan")
    return float(np.trapezoid(means, times) / (times[-1] - times[0]))


def ratios_markdown(table: pd.DataFrame) -> str:
    """Return the table from ``ratios`` as Markdown to read."""
    header = ["networks", "layers", "numbers", "stage", "f residual", "f plain", "ratio (paper)"]
    header += ["by median: f residual", "f plain", "ratio"]
    rows = []
    for row in table.to_dict("records"):
        numbers = f"{row['first']} to {row['last']}"
        cells = [FAMILIES[row["family"]], row["layers"], numbers, STAGES[row["stage"]]]
        for measure in MEASURES:
            cells += [f"{row[f'{measure}_{name}']:.3f}" for name in ("residual", "plain")]
            paper = printed(row["ratio_paper"], 3) if measure == "f_mean" else ""
            cells.append(number(row[f"{measure}_ratio"], 3) + paper)
        rows.append(cells)
    note = (
        "Share f of tests with a dominant gradient flow (equation 13), averaged over the layers; "
        "over the whole training also over time, from the first to the last iteration. The ratio "
        f"is that of the averages; there is none where f of plain networks is below {SMALLEST:g}. "
        "The mean over positions of inequality 5 is ill-conditioned; the last columns count tests "
        "by the median. Through each subsampling an identity reaches a quarter of the positions, "
        "so that the median is about single groups. Which layers the paper calls shallow is lost "
        "from its text. Layers that are dead or have exploded in one of the two networks count in "
        "neither average."
    )
    title = "Dominant gradient flow: residual relative to plain networks"
    return f"# {title}\n\n{markdown_table(header, rows)}\n\n{note}\n"


def make(
    files: Sequence[Path],
    paper: Mapping[str, Any],
    *,
    reading: str,
    layers: str,
    shallow_share: float,
) -> Table:
    """Make the table from the ``gradient_flow.csv`` of runs.

    Args:
        files: the files.
        paper: the paper's numbers.
        reading: how dominant gradient flow is read.
        layers: which layers count.
        shallow_share: see ``ratios``.
    """
    flows = over_seeds(of_layers(read(files), layers, reading))
    table = ratios(flows, paper["gradient_flow"], shallow_share)
    return Table(ratios_markdown(table), table)
