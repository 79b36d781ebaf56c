"""Measure a run with a metric of the registry."""

from pathlib import Path

import pandas as pd

from resnoise import csvfile, devices, registry
from resnoise.errors import ResnoiseError
from resnoise.trained import TrainedRun

_RUN_COLUMNS = {"architecture", "depth", "initialisation", "seed"}


def measure_run(run: TrainedRun, metric: str, output: Path, *, device: str, threads: int) -> None:
    """Write the table that a metric returns for a run, as CSV.

    Args:
        run: the run.
        metric: a name in ``resnoise.registry.METRICS``.
        output: CSV file to write.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads.

    Raises:
        ResnoiseError: the metric returns no DataFrame, or one with a column that the run's record
            gives.
    """
    chosen = devices.set_up(device, threads, run.spec.recipe.allow_tf32)
    table = registry.load_metric(metric).measure(run, chosen)
    if not isinstance(table, pd.DataFrame):
        raise ResnoiseError(f"metric {metric}: a {type(table).__name__} returned, not a DataFrame")
    if taken := sorted(_RUN_COLUMNS & {*table.columns}):
        raise ResnoiseError(
            f"metric {metric}: column {', '.join(taken)} returned, which the record of a run gives"
        )
    csvfile.write(output, table)
