"""Measure a run with a metric of the registry."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise import registry
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.storage import csvfile
from resnoise.trained.run import TrainedRun

_RUN_COLUMNS = {"architecture", "depth", "initialisation", "seed"}


def measure_run(
    run: TrainedRun,
    metric: str,
    keys: Mapping[str, Any],
    outputs: Sequence[Path],
    computing: Computing,
) -> None:
    """Write the table that a metric without a specification returns for a run, as CSV.

    Args:
        run: the run.
        metric: a name in ``resnoise.registry.METRICS``.
        keys: the keys of its section of the configuration, which its ``measure`` gets by name.
        outputs: the CSV file to write.
        computing: where to compute.

    Raises:
        ResnoiseError: the metric returns no DataFrame, or one with a column that the run's record
            gives.
    """
    (output,) = outputs
    chosen = computing.set_up(run.spec.recipe.allow_tf32)
    table = importlib.import_module(registry.metric(metric).module).measure(run, chosen, **keys)
    if not isinstance(table, pd.DataFrame):
        raise ResnoiseError(f"metric {metric}: a {type(table).__name__} returned, not a DataFrame")
    if taken := sorted(_RUN_COLUMNS & {*table.columns}):
        raise ResnoiseError(
            f"metric {metric}: column {', '.join(taken)} returned, which the record of a run gives"
        )
    csvfile.write(output, table)
