"""The table of Figure 12: gradient flow of residual networks relative to plain ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resnoise.summaries.gradient_flow import FAMILIES, MEASURES, over_seeds, read
from resnoise.tables.text import Table, markdown_table, number, printed

STAGES = {
    "training": "whole training",
    "iteration1": "first iteration",
    "final": "last iteration",
}


def ratios(flows: pd.DataFrame, paper: Mapping[str, Any], shallow_groups: int) -> pd.DataFrame:
    """Return the ratio of f in residual networks to f in plain ones, by layers and stage.

    f is averaged over the layers. For the whole training it is also averaged over time, by the
    trapezoidal rule from the first to the last iteration. The ratio is that of the averages. A
    layer that is dead or has exploded at a snapshot, in one of the two networks, does not count
    there.

    Columns: family; layers ("shallow", "deep", "G1", ...) and the numbers of their groups; stage
    (of the training); for each of f_mean and f_median ``_residual``, ``_plain`` and ``_ratio``;
    ratio_paper.

    Args:
        flows: rows from ``over_seeds``.
        paper: section ``gradient_flow`` of the paper's numbers.
        shallow_groups: number of groups, from the first on, whose layers are called shallow.
    """
    parts = {"shallow": range(1, shallow_groups + 1), "deep": range(shallow_groups + 1, 4)}
    parts |= {f"G{group}": range(group, group + 1) for group in (1, 2, 3)}
    rows = []
    for family in FAMILIES:
        of_family = flows[(flows["family"] == family) & (flows["snapshot"] != "initial")]
        known = of_family.groupby(["depth", "snapshot", "layer"])["f_mean"].transform(
            lambda both: both.notna().all()
        )
        of_family = of_family[known.astype(bool)]
        if of_family.empty:
            continue
        for layers, groups in parts.items():
            chosen = of_family[of_family["group"].isin(list(groups))]
            for stage in STAGES:
                row: dict[str, Any] = {
                    "family": family,
                    "layers": layers,
                    "groups": " ".join(str(group) for group in groups),
                    "stage": stage,
                }
                for measure in MEASURES:
                    for residual, name in ((True, "residual"), (False, "plain")):
                        part = chosen[chosen["residual"] == residual]
                        row[f"{measure}_{name}"] = _average(part, measure, stage)
                    plain = row[f"{measure}_plain"]
                    row[f"{measure}_ratio"] = row[f"{measure}_residual"] / plain if plain else None
                printed_ratio = paper.get(family, {}).get(layers) if stage == "training" else None
                rows.append({**row, "ratio_paper": printed_ratio})
    return pd.DataFrame(rows)


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
    header = ["networks", "layers", "groups", "stage", "f residual", "f plain", "ratio (paper)"]
    header += ["by median: f residual", "f plain", "ratio"]
    rows = []
    for row in table.to_dict("records"):
        cells = [FAMILIES[row["family"]], row["layers"], row["groups"], STAGES[row["stage"]]]
        for measure in MEASURES:
            cells += [f"{row[f'{measure}_{name}']:.3f}" for name in ("residual", "plain")]
            paper = printed(row["ratio_paper"], 3) if measure == "f_mean" else ""
            cells.append(_ratio(row[f"{measure}_ratio"]) + paper)
        rows.append(cells)
    note = (
        "Share f of sub-activations with a dominant gradient flow (equation 13), averaged over "
        "the layers; over the whole training also over time, from the first to the last "
        "iteration. The ratio is that of the averages. The mean over positions of inequality 5 "
        "is ill-conditioned; the last columns count sub-activations by the median. Through each "
        "subsampling an identity reaches a quarter of the positions, so that the median is "
        "about single groups. Which layers the paper calls shallow is lost from its text. Layers "
        "that are dead or have exploded in one of the two networks count in neither average."
    )
    title = "Dominant gradient flow: residual relative to plain networks"
    return f"# {title}\n\n{markdown_table(header, rows)}\n\n{note}\n"


def _ratio(value: float | None) -> str:
    """Return a ratio as text without an exponent, or a dash if there is none."""
    return number(value, 3) if pd.isna(value) or value < 100 else f"{value:.0f}"


def make(files: Sequence[Path], paper: Mapping[str, Any], *, shallow_groups: int) -> Table:
    """Make the table from the ``gradient_flow.csv`` of runs; see ``ratios`` for the options."""
    table = ratios(over_seeds(read(files)), paper["gradient_flow"], shallow_groups)
    return Table(ratios_markdown(table), table)
