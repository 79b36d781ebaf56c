"""Tables of means over seeds, from any file of numbers that each run has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from resnoise.errors import ResnoiseError
from resnoise.summaries.runs import read_metrics
from resnoise.tables.text import Table, markdown_table, number

NETWORK = ("architecture", "depth", "initialisation")


def over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean and sample standard deviation over seeds of every column of numbers.

    Columns: architecture, depth, initialisation; the columns of text or truth values,
    which distinguish the rows of a run; seeds (their number); ``_mean`` and ``_std`` of each column
    of numbers (``_std`` is empty for one seed). Rows are sorted by depth, and otherwise in the
    order of ``rows``.

    Args:
        rows: rows from ``resnoise.summaries.runs.read_metrics``.

    Raises:
        ResnoiseError: two rows of a run have the same text in all columns of text.
    """
    own = [name for name in rows.columns if name not in (*NETWORK, "seed")]
    numbers = [name for name in own if _is_number(rows[name])]
    texts = [name for name in own if name not in numbers]
    keys = [*NETWORK, *texts]
    twice = rows[rows.duplicated([*keys, "seed"])]
    if len(twice):
        found = ", ".join(f"{key} {twice.iloc[0][key]}" for key in [*keys, "seed"])
        raise ResnoiseError(f"two rows with {found}: a column of texts must tell them apart")
    table: list[dict[str, Any]] = []
    grouped = rows.groupby(keys, sort=False, observed=True, dropna=False)
    for values, group in grouped:
        row: dict[str, Any] = dict(zip(keys, values, strict=True))
        row["seeds"] = len(group)
        for name in numbers:
            row[f"{name}_mean"] = group[name].mean()
            row[f"{name}_std"] = group[name].std()
        table.append(row)
    return pd.DataFrame(table).sort_values("depth", kind="stable", ignore_index=True)


def _is_number(column: pd.Series) -> bool:
    return is_numeric_dtype(column) and not is_bool_dtype(column)


def markdown(table: pd.DataFrame, title: str) -> str:
    """Return the table from ``over_seeds`` as Markdown to read."""
    numbers = [name.removesuffix("_mean") for name in table.columns if name.endswith("_mean")]
    keys = list(table.columns[: table.columns.get_loc("seeds")])
    rows = []
    for row in table.to_dict("records"):
        cells = [f"{row[key]}" for key in keys] + [f"{row['seeds']}"]
        for name in numbers:
            mean, std = row[f"{name}_mean"], row[f"{name}_std"]
            cells.append(number(mean, 4) + ("" if pd.isna(std) else f" +- {std:.2g}"))
        rows.append(cells)
    header = [*keys, "seeds", *numbers]
    header = [name.replace("_", " ") for name in header]
    note = "Means +- standard deviations over seeds."
    return f"# {title}\n\n{markdown_table(header, rows)}\n\n{note}\n"


def make(records: Sequence[Path], _paper: object = None, *, name: str, title: str) -> Table:
    """Make a table of means over seeds from a file that each run has.

    Args:
        records: ``run.json`` of runs.
        name: name of the file in the same folder, such as "evaluation.csv".
        title: heading of the table.

    Raises:
        ResnoiseError: a file is missing or damaged, or two of its rows have the same text.
    """
    table = over_seeds(read_metrics((record.parent for record in records), name))
    return Table(markdown(table, title), table)
