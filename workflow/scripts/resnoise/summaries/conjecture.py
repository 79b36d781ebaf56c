"""Dose and response: what was measured after training, against the size of the ID entries before.

The functions do not use torch.
"""

from collections.abc import Sequence

import pandas as pd

from resnoise import registry

# Column with the size of the ID entries, a parameter of the initialisation.
DOSE = "alpha"
# Architecture and initialisation of the networks that doses are compared with.
REFERENCES = (("plain", "kwi"), ("residual", "hmwi"))


def over_doses(rows: pd.DataFrame, family: str, measures: Sequence[str]) -> pd.DataFrame:
    """Return mean, smallest and largest value over seeds for every depth and dose.

    Columns: depth, architecture, initialisation, alpha (empty for ``REFERENCES``), seeds (their
    number), diverged (number of runs), and ``{measure}_mean``, ``_min`` and ``_max`` of each
    measure. Runs that diverged are in no mean. Runs that are neither a dose nor a reference have
    no row. Rows are sorted by depth and alpha, references last.

    Args:
        rows: a row for each run, with architecture, depth, initialisation, seed, status and the
            measures.
        family: name of the initialisation whose parameter is the dose.
        measures: columns to summarise.
    """
    doses = [dose(initialisation, family) for initialisation in rows["initialisation"]]
    pairs = zip(rows["architecture"], rows["initialisation"], strict=True)
    is_reference = pd.Series([pair in REFERENCES for pair in pairs], index=rows.index)
    rows = rows.assign(**{DOSE: pd.array(doses, dtype="Float64")})
    is_dose = (rows["architecture"] == "plain") & rows[DOSE].notna()
    rows = rows[is_dose | is_reference]
    keys = ["depth", "architecture", "initialisation", DOSE]
    table = []
    for values, own in rows.groupby(keys, dropna=False, sort=False):
        row = dict(zip(keys, values, strict=True))
        ended = own[own["status"] == "ok"]
        row |= {"seeds": len(own), "diverged": len(own) - len(ended)}
        for measure in measures:
            column = ended[measure]
            row |= {
                f"{measure}_mean": column.mean(),
                f"{measure}_min": column.min(),
                f"{measure}_max": column.max(),
            }
        table.append(row)
    return pd.DataFrame(table).sort_values(["depth", DOSE], kind="stable", ignore_index=True)


def dose(initialisation: str, family: str) -> float | None:
    """Return the dose of an initialisation, None if it is not one of the family with a dose only.

    Raises:
        ResnoiseError: there is no such initialisation.
    """
    name, parameters = registry.initialisation_parameters(initialisation)
    return parameters[DOSE] if name == family and [*parameters] == [DOSE] else None
