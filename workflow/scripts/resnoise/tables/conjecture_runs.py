"""The runs that test the conjecture: doses of identity, other causes, and the paper's networks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from resnoise.summaries.conjecture import RUN, cushions, evaluations
from resnoise.summaries.layer_cushion import FILE
from resnoise.summaries.names import initialisation_name
from resnoise.tables.text import Table, markdown_table, measured, seeds_cell

MEASURES = {
    "risk": "training risk",
    "train_error": "training error",
    "test_error": "test error",
    "gap": "gap",
    "cushion_median": "layer cushion",
}


def run_table(files: Sequence[Path]) -> pd.DataFrame:
    """Return means over seeds, with a row for each depth and kind of network.

    Columns: depth, architecture, initialisation, seeds (their number), diverged (number of runs),
    lost_layers (largest number of dead or exploded layers in a run); for each measure ``_mean`` and
    ``_std``. Rows are sorted by depth and otherwise in the order of ``files``.

    Args:
        files: ``evaluation.csv`` and ``layer_cushion.csv`` of runs.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    reached = evaluations(file for file in files if file.name != FILE)
    rows = reached.merge(cushions(file for file in files if file.name == FILE), on=RUN, how="left")
    rows["diverged"] = rows["status"] != "ok"
    named = {
        f"{measure}_{name}": (measure, name) for measure in MEASURES for name in ("mean", "std")
    }
    table = rows.groupby(RUN[:3], as_index=False, sort=False).agg(
        seeds=("seed", "count"),
        diverged=("diverged", "sum"),
        lost_layers=("lost_layers", "max"),
        **named,
    )
    return table.sort_values("depth", kind="stable", ignore_index=True)


def markdown(table: pd.DataFrame) -> str:
    """Return the table from ``run_table`` as Markdown."""
    rows = []
    for row in table.to_dict("records"):
        lost = row["lost_layers"]
        cells = [measured(row[f"{name}_mean"], row[f"{name}_std"]) for name in MEASURES]
        cells[-1] += f" ({lost:.0f} lost)" if lost > 0 else ""
        kind = [
            f"{row['depth']}",
            str(row["architecture"]),
            initialisation_name(row["initialisation"]),
        ]
        rows.append([*kind, seeds_cell(row), *cells])
    header = ["depth", "network", "initialisation", "seeds", *MEASURES.values()]
    note = (
        "After training, on all training and test pictures. Means +- standard deviations over "
        "seeds; runs that diverged count in none. Gap: test error - training error. Layer cushion: "
        "median over layers of the median over pictures, without layers that are lost (dead or "
        "exploded); in residual networks it includes the identity, whose ones are not in the norm "
        "of the weights."
    )
    return f"# Doses of identity and other causes\n\n{markdown_table(header, rows)}\n\n{note}\n"


def make(files: Sequence[Path], _paper: Mapping[str, object] | None = None) -> Table:
    """Make the table from the ``evaluation.csv`` and ``layer_cushion.csv`` of runs."""
    table = run_table(files)
    return Table(markdown(table), table)
