"""The table of generalisation bounds and other measures of runs."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from resnoise.summaries.bounds import MARGIN_LOSS, MEASURES, read
from resnoise.summaries.names import initialisation_name
from resnoise.tables.text import Table, fixed, markdown_table, rounded, short

_NOTE = f"""\
After training, single runs. All measures are logarithms to base 10, and larger ones should mean
worse generalisation. The bounds are those of Arora et al. (2018, theorem 5.1): the logarithm of
the effective parameters, and margin loss ({MARGIN_LOSS}) + sqrt(effective parameters / training
pictures), without the constants and logarithms that the theorem hides. They are for comparison; a
bound above 1 says nothing about the error. The theorem needs a smoothness of at least three times
the depth. A measure with the margin is infinite if {100 * MARGIN_LOSS:g} % of the training pictures
or more are classified wrongly. A dash stands where a layer is dead, and for networks with more than
one layer in a block, to which the measures do not apply."""


def markdown(rows: pd.DataFrame) -> str:
    """Return the table from ``resnoise.summaries.bounds.read`` as Markdown."""
    header = ["network", "initialisation", "seed", "risk", "test error", "gap", *MEASURES.values()]
    header += ["bound", "bound, identity free", "smoothness (needed)"]
    lines = []
    for row in rows.to_dict("records"):
        cells = [
            f"{row['architecture']}-{row['depth']}",
            initialisation_name(row["initialisation"]),
            f"{row['seed']}",
        ]
        if row["status"] != "ok":
            cells.append(row["status"])
            lines.append([*cells, *[""] * (len(header) - len(cells))])
            continue
        cells += [short(row["risk"]), fixed(row["test_error"], 4), fixed(row["gap"], 4)]
        cells += [fixed(row[name], 2) for name in MEASURES]
        cells += [rounded(row["bound_value"]), rounded(row["bound_identity_free_value"])]
        smoothness = f"{short(row['smoothness'])} ({short(row['smoothness_needed'])})"
        lines.append([*cells, smoothness])
    title = "# Generalisation bounds"
    return f"{title}\n\n{markdown_table(header, lines)}\n\n{' '.join(_NOTE.splitlines())}\n"


def make(records: Sequence[Path], _paper: object = None, *, initialisation: str) -> Table:
    """Make the table for runs.

    Args:
        records: ``run.json`` of runs, with their measurements beside them.
        initialisation: name of the one whose parameter is the size of the ID entries, alpha.
    """
    rows = read((record.parent for record in records), initialisation)
    return Table(markdown(rows), rows)
