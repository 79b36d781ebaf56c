"""Dose and response: what was measured after training, against the size of the ID entries before.

The functions do not use torch.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from resnoise import registry
from resnoise.metrics import states
from resnoise.specs.compared import DOSE, TABLE1
from resnoise.summaries import gradient_flow
from resnoise.summaries.evaluations import read_evaluations
from resnoise.summaries.layer_cushion import FILE
from resnoise.summaries.runs import read_metrics
from resnoise.summaries.seeds import ranges

RUN = ["architecture", "depth", "initialisation", "seed"]


def evaluations(files: Iterable[Path]) -> pd.DataFrame:
    """Return what runs reach, with a row for each.

    Columns: those of ``RUN``, status ("ok" or "diverged"), risk, train_error, test_error, and gap
    (test error - training error).

    Args:
        files: ``evaluation.csv`` of runs.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    rows = read_evaluations(files)
    final = rows[rows["snapshot"] == "final"].reset_index(drop=True)
    final = final[[*RUN, "status", "risk", "train_error", "test_error"]]
    return final.assign(gap=final["test_error"] - final["train_error"])


def cushions(files: Iterable[Path]) -> pd.DataFrame:
    """Return the layer cushions after training, with a row for each run.

    Columns: those of ``RUN``; cushion_median and cushion_smallest (over layers, of the medians over
    pictures); lost_layers (number of layers that are dead or have exploded on all pictures, which
    count in neither).

    Args:
        files: ``layer_cushion.csv`` of runs.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    rows = read_metrics((file.parent for file in files), FILE)
    rows = rows[rows["snapshot"] == "final"]
    whole = rows.assign(whole=states.values(rows["cushion"], rows[states.COLUMN]))
    layers = whole.groupby([*RUN, "layer"], as_index=False).agg(
        median=("cushion", "median"), state=("whole", states.common)
    )
    layers["lost"] = layers["state"] != ""
    return layers.groupby(RUN, as_index=False, sort=False).agg(
        cushion_median=("median", "median"),
        cushion_smallest=("median", "min"),
        lost_layers=("lost", "sum"),
    )


def flows(files: Iterable[Path], *, reading: str, layers: str) -> pd.DataFrame:
    """Return the dominant gradient flow, as its mean over layers, with a row for each run.

    Columns: those of ``RUN``, iteration1 and final (after the first iteration and after training).
    Layers that are dead or have exploded do not count.

    Args:
        files: ``gradient_flow.csv`` of runs.
        reading: how dominant gradient flow is read (key of the section ``gradient_flow``).
        layers: which layers count (likewise).

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    rows = gradient_flow.of_layers(gradient_flow.read(files), layers, reading)
    moments = ["iteration1", "final"]
    means = rows.groupby([*RUN, "snapshot"])["f_mean"].mean()
    return means.unstack("snapshot").reindex(columns=moments).reset_index()


def over_doses(rows: pd.DataFrame, family: str, measures: Sequence[str]) -> pd.DataFrame:
    """Return mean, smallest and largest value over seeds for every depth and dose.

    Columns: depth, architecture, initialisation, alpha (empty for the networks of Table 1, with
    which doses are compared), seeds (number of those that have a value), and ``{measure}_mean``,
    ``_min`` and ``_max`` of each measure. Runs that are neither a dose nor of Table 1 have no row.
    Rows are sorted by depth and alpha, those of Table 1 last.

    Args:
        rows: a row for each run, with the columns of ``RUN`` and the measures, which are empty for
            runs that diverged.
        family: name of the initialisation whose parameter is the dose.
        measures: columns to summarise.
    """
    doses = [dose(initialisation, family) for initialisation in rows["initialisation"]]
    rows = rows.assign(**{DOSE: pd.Series(doses, index=rows.index, dtype=float)})
    pairs = zip(rows["architecture"], rows["initialisation"], strict=True)
    is_reference = pd.Series([pair in TABLE1 for pair in pairs], index=rows.index)
    is_dose = (rows["architecture"] == "plain") & rows[DOSE].notna()
    rows = rows[is_dose | is_reference]
    keys = ["depth", "architecture", "initialisation", DOSE]
    table = rows.groupby(keys, dropna=False, as_index=False).agg(
        seeds=(measures[0], "count"), **ranges(measures)
    )
    return table.sort_values(["depth", DOSE], kind="stable", ignore_index=True)


def dose(initialisation: str, family: str) -> float | None:
    """Return the dose of an initialisation, None if it is not of the family with a dose only.

    Raises:
        ResnoiseError: there is no such initialisation.
    """
    name, parameters = registry.initialisation_parameters(initialisation)
    return parameters[DOSE] if name == family and [*parameters] == [DOSE] else None
