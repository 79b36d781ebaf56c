"""The table of rank correlations: which measure predicts how networks generalise."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.summaries.bounds import MEASURES, read_table
from resnoise.summaries.prediction import (
    ALL,
    EQUAL_RISK,
    FACTORS,
    TARGETS,
    comparisons,
    correlations,
)
from resnoise.tables.text import PENDING, Table, fixed, markdown_table, short

_NOTE = """\
Kendall's tau-b over runs; in brackets its bootstrap interval over runs, which is too narrow,
because runs with the same seed or of the same network are alike. All measures are such that larger
ones should mean worse generalisation, so that a measure that predicts has a positive tau. Start,
depth, seed: mean of tau over groups of runs that differ in this factor alone (Jiang et al. 2020);
within a group in which a measure is constant its tau is 0. Granulated: the mean of start and depth,
the factors that someone chooses."""


def markdown(table: pd.DataFrame, runs: pd.DataFrame, equal_risk: float) -> str:
    """Return the correlations as Markdown, with a table for each comparison and target.

    Args:
        table: from ``resnoise.summaries.prediction.correlations``.
        runs: the runs that they are of.
        equal_risk: largest training risk of the comparison at equal risk.
    """
    parts = ["# Which measure predicts generalisation"]
    for (comparison, target), rows in table.groupby(["comparison", "target"], sort=False):
        header = ["measure", "runs", "tau", "granulated", *FACTORS]
        lines = [
            [
                MEASURES[row["measure"]],
                f"{row['runs']}",
                _with_interval(row, "tau"),
                _with_interval(row, "granulated"),
                *(fixed(row[factor], 2) for factor in FACTORS),
            ]
            for row in rows.sort_values("tau", ascending=False, kind="stable").to_dict("records")
        ]
        title = f"## {str(comparison).capitalize()}: {TARGETS[str(target)]}"
        parts += [title, markdown_table(header, lines)]
    parts += [_of_runs(runs, equal_risk), " ".join(_NOTE.splitlines())]
    return "\n\n".join(parts) + "\n"


def _of_runs(runs: pd.DataFrame, equal_risk: float) -> str:
    """Return which runs are compared and which are left out, as a text."""
    chosen = comparisons(runs, equal_risk)
    near, finished = chosen[EQUAL_RISK], chosen[ALL]
    text = (
        f"{EQUAL_RISK.capitalize()}: the {len(near)} of {len(runs)} runs whose training risk is at "
        f"most {equal_risk:g}"
    )
    if len(near):
        text += f" ({short(near['risk'].min())} to {short(near['risk'].max())})"
    text += (
        f"; {len(finished) - len(near)} that did not come so far count only in {ALL}, where what "
        "makes a network trainable predicts its test error"
    )
    diverged = len(runs) - len(finished)
    return text + (f"; {diverged} that diverged count nowhere." if diverged else ".")


def _with_interval(row: Mapping[Any, Any], name: str) -> str:
    """Return the text of a correlation with its interval."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if pd.isna(value):
        return PENDING
    return fixed(value, 2) + ("" if pd.isna(low) else f" ({low:.2f} to {high:.2f})")


def make(
    files: Sequence[Path],
    _paper: object = None,
    *,
    equal_risk: float,
    replicates: int,
    confidence: float,
    seed: int,
) -> Table:
    """Make the table from the table of measures.

    Args:
        files: ``bounds.csv`` of the runs to compare (``resnoise.tables.bounds``).
        equal_risk: largest training risk of the comparison at equal risk.
        replicates: number of bootstrap draws.
        confidence: of the intervals.
        seed: of the bootstrap.
    """
    (file,) = files
    runs = read_table(file)
    table = correlations(
        runs, equal_risk=equal_risk, replicates=replicates, confidence=confidence, seed=seed
    )
    return Table(markdown(table, runs, equal_risk), table)
